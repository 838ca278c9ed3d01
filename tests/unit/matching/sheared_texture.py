"""Ice that a crack along a column parts: one side moves north, the other south."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from lagrangian_ice.grid import Grid
from lagrangian_ice.matching.motion_field import MotionField

SIZE, CRACK, SLIP = 280, 140, 8
GRID = Grid(0.0, 0.0, 100.0, (SIZE, SIZE))
CELL = 8


@dataclass(frozen=True)
class ShearedPair:
    source: np.ndarray
    target: np.ndarray
    field: MotionField


def displacement(col, slip=SLIP):
    """(N, 2) row and col by which the ice at columns moves."""
    rows = np.where(np.asarray(col) < CRACK, -slip, slip).astype(float)
    return np.stack([rows, np.zeros(len(rows))], axis=1)


def sheared_pair(noise=0.4, seed=0, slip=SLIP):
    """Two looks, and matches at the cells' centres that know on which side they are."""
    rng = np.random.default_rng(seed)
    ice = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 1.5)
    ice /= ice.std()
    moved = np.concatenate(
        [np.roll(ice[:, :CRACK], -slip, axis=0), np.roll(ice[:, CRACK:], slip, axis=0)], axis=1
    )
    looks = [(one + noise * rng.normal(size=one.shape)).astype(np.float32) for one in (ice, moved)]
    cells = np.arange(3.5, SIZE, CELL)
    rowcol = np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    step = displacement(rowcol[:, 1], slip) + 0.5 * rng.normal(size=rowcol.shape)
    xy = GRID.xy(rowcol)
    field = MotionField(xy, GRID.xy(rowcol + step) - xy, np.zeros(len(xy)), 1.5 * CELL * GRID.pixel)
    return ShearedPair(*looks, field)


def along_the_crack(distance, count=20):
    """Row, col (N, 2) at columns so far from the crack."""
    rows = np.linspace(60, SIZE - 60, count)
    return np.stack([rows, np.full(count, CRACK - 0.5 + distance)], axis=1)
