"""Training pairs of known motion: one texture, seen twice.

The second view is the first moved by rotation, a small affine part, a smooth warp and now
and then a crack; each view gets its own speckle, brightness trend, decorrelation and leads.
The warp is never a strong perspective: both scenes are on one map grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.superlim.features import CELL_CENTRE, STRIDE
from lagrangian_ice.superlim.network import Scaling
from lagrangian_ice.superlim.scaling import Pixels, local_scaled, percentile_scaled

NO_KEYPOINT = STRIDE**2
UNKNOWN = -100
"""Label of cells that the detector loss leaves out."""


@dataclass(frozen=True)
class Unlikeness:
    """How unlike two looks at the same ice may be.

    Attributes
    ----------
    turned : float
        Degrees; half of the views are turned by up to so much, the others by little.
    noise : float
        Largest standard deviation of speckle, in standard deviations of the texture.
    change : float
        Largest standard deviation of what changed between the looks, in the same.
    leads : float
        Mean number of new leads.
    """

    turned: float = 70.0
    noise: float = 0.9
    change: float = 0.6
    leads: float = 0.7


USUAL = Unlikeness()


@dataclass(frozen=True)
class TrainingPair:
    """Two views and what is true of them.

    Attributes
    ----------
    source, target : (size, size) float32
        Scaled network input.
    cells : (h * w, 2) float32
        Row, column in target cells of every source cell's centre; NaN where the ice left.
    source_keypoints, target_keypoints : (h, w) int64
        Pixel of each cell with a keypoint, row by row, or 64.
    rotation : float
        Degrees counter-clockwise by which the ice has turned from source to target.
    """

    source: Pixels
    target: Pixels
    cells: NDArray[np.float32]
    source_keypoints: NDArray[np.int64]
    target_keypoints: NDArray[np.int64]
    rotation: float


def make_pair(
    texture: Pixels,
    size: int,
    scaling: Scaling,
    rng: np.random.Generator,
    unlike: Unlikeness = USUAL,
) -> TrainingPair:
    """Cut, move and disturb one pair.

    Parameters
    ----------
    texture : (rows, cols) float32
        dB or grey levels without gaps; at least ``size`` on either side.
    size : int
        Pixels per side of the views, a multiple of 8.
    scaling : Scaling
        Of the network's input.
    rng : Generator
        Everything random comes from it.
    unlike : Unlikeness
        How much is done to the second look, and to both.

    Raises
    ------
    ValueError
        If the texture is smaller than the views.
    """
    if min(texture.shape) < size:
        raise ValueError(f"texture {texture.shape} is smaller than the views, {size} px")
    source_at, target_at = _sampling(texture.shape, size, rng, unlike.turned)
    clean_source, clean_target = (sample(texture, at) for at in (source_at, target_at))
    spread = float(clean_source.std()) + 1e-3
    source = disturbed(clean_source / spread, rng, unlike)
    target = disturbed(clean_target / spread, rng, unlike)
    return TrainingPair(
        scaled(source, scaling),
        scaled(target, scaling),
        _true_cells(source_at, target_at),
        keypoint_labels(clean_source),
        keypoint_labels(clean_target),
        _mean_rotation(target_at),
    )


def scaled(view: Pixels, scaling: Scaling) -> Pixels:
    """Network input (rows, cols) of one view; NaN is no data."""
    if scaling.kind == "local":
        return local_scaled(view, scaling.sigma)
    return percentile_scaled(view, None)


def keypoint_labels(clean: Pixels, quantile: float = 0.85) -> NDArray[np.int64]:
    """Strongest corner of each cell, where it is among the image's strongest.

    The smaller eigenvalue of the structure tensor (Shi and Tomasi 1994) of the image before
    speckle is an exact and repeatable label.

    Parameters
    ----------
    clean : (rows, cols) float32
        Image before speckle.
    quantile : float
        Cells below this quantile of corner strength have no keypoint.

    Returns
    -------
    (h, w) int64
    """
    smooth = cv2.GaussianBlur(clean, (0, 0), 1.5)
    strength = cv2.cornerMinEigenVal(smooth, blockSize=5, ksize=3)
    rows, cols = (n // STRIDE for n in strength.shape)
    blocks = strength[: rows * STRIDE, : cols * STRIDE].reshape(rows, STRIDE, cols, STRIDE)
    cells = blocks.transpose(0, 2, 1, 3).reshape(rows, cols, STRIDE**2)
    strongest = cells.max(axis=-1)
    weak = strongest <= np.quantile(strongest, quantile)
    return np.where(weak, NO_KEYPOINT, cells.argmax(axis=-1)).astype(np.int64)


def _sampling(
    shape: tuple[int, ...], size: int, rng: np.random.Generator, most_turned: float
) -> tuple[Pixels, Pixels]:
    """Texture position (size, size, 2; x then y) of every pixel of both views."""
    zoom = float(rng.uniform(0.8, 1.25))
    span = min(size * zoom, min(shape) - 1)
    zoom = span / size
    centre = np.array(
        [rng.uniform(span / 2, n - span / 2) if n > span else n / 2 for n in shape[1::-1]]
    )
    row, col = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    offsets = np.stack([col, row], axis=-1)
    source_at = (offsets * zoom + centre).astype(np.float32)
    moved = offsets @ random_linear(rng, most_turned).T + rng.uniform(-0.2, 0.2, 2) * size
    moved = moved + _smooth_warp(size, rng)
    if rng.random() < 0.3:
        moved = _with_crack(moved, size, rng)
    return source_at, (moved * zoom + centre).astype(np.float32)


def _mean_rotation(target_at: Pixels) -> float:
    """Degrees counter-clockwise that the ice has turned, from where a target's pixels look."""
    # Medians, because of the crack.
    across, along = (np.median(np.diff(target_at[::4, ::4], axis=k), axis=(0, 1)) for k in (0, 1))
    return float(np.degrees(np.arctan2(along[1] - across[0], along[0] + across[1])))


def random_linear(rng: np.random.Generator, most_turned: float) -> NDArray[np.float64]:
    """Rotation and a small affine part (2, 2), as ice between two scenes has them."""
    little = rng.random() < 0.5
    turn = rng.normal(0, 10) if little else rng.uniform(-most_turned, most_turned)
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rotation @ (np.eye(2) + rng.normal(0, 0.02, (2, 2)))


def _smooth_warp(size: int, rng: np.random.Generator) -> Pixels:
    coarse = rng.normal(0, rng.uniform(0, 4), (4, 4, 2)).astype(np.float32)
    warp = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(warp, dtype=np.float32)


def _with_crack(
    moved: NDArray[np.float64], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Slip along a line through the view: one side moves by up to 24 pixels."""
    normal = rng.normal(size=2)
    normal /= np.hypot(*normal)
    beyond = moved @ normal > rng.uniform(-0.3, 0.3) * size
    return moved + beyond[..., None] * rng.uniform(-24, 24, 2)


def sample(texture: Pixels, at: Pixels) -> Pixels:
    """Cubic interpolation of a texture at x, y (rows, cols, 2)."""
    sampled = cv2.remap(
        texture, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(sampled, dtype=np.float32)


def disturbed(clean: Pixels, rng: np.random.Generator, unlike: Unlikeness = USUAL) -> Pixels:
    """Add what differs between two looks at the same ice: change, leads, speckle, trend.

    Parameters
    ----------
    clean : (rows, cols) float32
        Of unit spread.
    rng : Generator
        Everything random comes from it.
    unlike : Unlikeness
        How much.
    """
    size = clean.shape[0]
    seen = clean.copy()
    if rng.random() < 0.7:  # temporal decorrelation at scales of 2 to 16 px
        white = rng.normal(size=clean.shape).astype(np.float32)
        change = cv2.GaussianBlur(white, (0, 0), float(rng.uniform(1, 8)))
        seen += np.float32(rng.uniform(0, unlike.change)) * change / change.std()
    for _ in range(rng.poisson(unlike.leads)):
        seen = _with_lead(seen, rng)
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.4, 1.2)))
        seen = np.asarray(blurred, dtype=np.float32)
    seen += rng.normal(size=clean.shape).astype(np.float32) * rng.uniform(0.05, unlike.noise)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    seen += ramp * rng.normal(0, 0.5) + ramp[:, None] * rng.normal(0, 0.5)
    if rng.random() < 0.3:  # displays saturate
        low, high = np.quantile(seen, [rng.uniform(0, 0.08), rng.uniform(0.92, 1)])
        seen = np.clip(seen, low, high)
    return seen.astype(np.float32)


def _with_lead(seen: Pixels, rng: np.random.Generator) -> Pixels:
    size = seen.shape[0]
    path = np.cumsum(rng.normal(0, size / 10, (12, 2)) + rng.normal(0, size / 8, 2), axis=0)
    path += rng.uniform(0, size, 2)
    mask = np.zeros_like(seen)
    cv2.polylines(mask, [path.astype(np.int32)], False, 1.0, int(rng.integers(1, 7)), cv2.LINE_AA)
    level = rng.choice([-2.0, -1.5, 1.5, 2.5])
    return (seen * (1 - mask) + mask * np.float32(level)).astype(np.float32)


def _true_cells(source_at: Pixels, target_at: Pixels) -> NDArray[np.float32]:
    """Target cell position of every source cell's centre, by inverting the target's sampling."""
    size = source_at.shape[0]
    centres = (np.arange(size // STRIDE) * STRIDE + CELL_CENTRE).astype(np.float32)
    columns, rows = np.meshgrid(centres, centres)
    wanted = cv2.remap(source_at, columns, rows, cv2.INTER_LINEAR).reshape(-1, 2)
    found = _inverse(target_at, wanted.astype(np.float64))
    return ((found - CELL_CENTRE) / STRIDE).astype(np.float32)


def _inverse(mapping: Pixels, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixel row, col (N, 2) whose mapped position is wanted (N, 2 in x, y); NaN where none.

    The nearest mapped pixel, then one Newton step with the local Jacobian.
    """
    size = mapping.shape[0]
    step = 4
    nodes = mapping[::step, ::step].reshape(-1, 2)
    _, nearest = cKDTree(nodes).query(wanted)
    per_row = len(range(0, size, step))
    start = np.stack([nearest // per_row, nearest % per_row], axis=-1) * float(step)
    position = np.array(start, dtype=np.float64)
    for _ in range(4):
        position, residual = _newton_step(mapping, position, wanted)
    outside = (position < 0).any(axis=1) | (position > size - 1).any(axis=1)
    position[outside | (residual > 0.5) | (np.abs(position - start).max(axis=1) > 12)] = np.nan
    return position


def _newton_step(
    mapping: Pixels, position: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = mapping.shape[0]
    at: NDArray[np.float64] = np.clip(position, 1, size - 2)

    def value(offset_row: float, offset_col: float) -> NDArray[np.float64]:
        columns = (at[:, 1] + offset_col).astype(np.float32)
        rows = (at[:, 0] + offset_row).astype(np.float32)
        sampled = cv2.remap(mapping, columns, rows, cv2.INTER_LINEAR)
        return sampled.reshape(-1, 2).astype(np.float64)

    error = wanted - value(0, 0)
    along_row = (value(1, 0) - value(-1, 0)) / 2
    along_col = (value(0, 1) - value(0, -1)) / 2
    determinant = along_row[:, 0] * along_col[:, 1] - along_row[:, 1] * along_col[:, 0]
    determinant = np.where(np.abs(determinant) < 1e-3, 1e-3, determinant)
    row_step = (error[:, 0] * along_col[:, 1] - error[:, 1] * along_col[:, 0]) / determinant
    col_step = (along_row[:, 0] * error[:, 1] - along_row[:, 1] * error[:, 0]) / determinant
    step = np.stack([row_step, col_step], axis=1)
    residual: NDArray[np.float64] = np.hypot(error[:, 0], error[:, 1])
    return np.asarray(at + step, dtype=np.float64), residual
