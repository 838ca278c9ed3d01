"""A texture before and after a known rigid motion."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates


@dataclass(frozen=True)
class MovedPair:
    source: np.ndarray
    target: np.ndarray
    start: np.ndarray
    truth: np.ndarray


def moved_pair(shift, degrees=0.0, noise=0.0, seed=0, size=220, count=40, smooth=1.5):
    """Counter-clockwise on the map about the middle, then shifted (row, col)."""
    rng = np.random.default_rng(seed)
    source = gaussian_filter(rng.normal(size=(size, size)), smooth)
    source /= source.std()
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([size / 2, size / 2])
    grid = np.stack(np.indices((size, size)), axis=-1).reshape(-1, 2)
    origin = (grid - middle - shift) @ turn + middle
    target = map_coordinates(source, origin.T, order=5, mode="mirror").reshape(size, size)
    start = rng.uniform(50, size - 50, (count, 2))
    truth = (start - middle) @ turn.T + middle + shift
    looks = [image + noise * rng.normal(size=image.shape) for image in (source, target)]
    return MovedPair(looks[0].astype(np.float32), looks[1].astype(np.float32), start, truth)
