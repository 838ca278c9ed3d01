"""The part of two passes that a few parcels have to do with.

Half of the pairs have a handful of parcels, seen last in an older pass and near each other. Their
motion is found in the tiles of the source that they are in and those around, and where ice could
have gone from there. What is cut out depends on the parcels and the outline of the source alone,
so it is the same wherever and whenever the pair is matched.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.parcels.prepare import Ready
from lagrangian_ice.settings import FirstGuessSettings
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol

TILE_CELLS = 16
"""Cells per side of a tile: what is around a parcel is matched to this distance at least."""
LARGEST_SHARE = 0.8
"""Of a pass's area, that the tiles of few parcels may have; some of that lies beside the pass."""
REFINING = 256
"""Pixels around an expected end that the refinement and the second look can ask for."""

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax, metres."""


def tiles_around(xy: Float, pixel: float) -> NDArray[np.int64]:
    """Tiles (T, 2) of the map that hold a position (N, 2), and those around them.

    Parameters
    ----------
    xy : (N, 2) float64
        EPSG:3413, metres.
    pixel : float
        Of the images, metres.
    """
    own = np.unique(np.floor(xy / _side(pixel)).astype(np.int64), axis=0)
    steps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    return np.unique((own[:, None] + steps).reshape(-1, 2), axis=0)


def are_few(xy: Float, area: float, pixel: float) -> bool:
    """Whether parcels (N, 2) are matched in their surroundings only, not in the whole pass.

    Parameters
    ----------
    xy : (N, 2) float64
        In the source, metres.
    area : float
        Of the outline of the source, m2.
    pixel : float
        Of the images, metres.
    """
    return bool(len(tiles_around(xy, pixel)) * _side(pixel) ** 2 < LARGEST_SHARE * area)


def surroundings(
    source: Ready, target: Ready, xy: Float, settings: FirstGuessSettings
) -> tuple[Ready, Ready]:
    """Cut two passes to the surroundings of parcels, and to where those can have gone.

    Parameters
    ----------
    source, target : (GeoImage, Features)
        Of the whole passes.
    xy : (N, 2) float64
        Parcels in the source, metres.
    settings : FirstGuessSettings
        Fastest ice.
    """
    pixel = source[0].grid.pixel
    tiles = tiles_around(xy, pixel)
    near = cut(source, _box(np.concatenate([tiles, tiles + 1]) * _side(pixel)))
    seconds = abs(float(target[0].node_time.mean() - source[0].node_time.mean()))
    reach = settings.max_speed * seconds + TILE_CELLS * STRIDE * pixel
    image, features = near[0], _within(near[1], tiles)
    return (image, features), cut(target, _box(image.grid.bounds, reach))


def around_ends(
    target: Ready, xy: Float, field: MotionField, settings: FirstGuessSettings
) -> Ready:
    """Cut a target to where parcels (N, 2) are expected, and where their field leads to."""
    expected = xy + field.predict(xy, settings.fit_neighbours).displacement
    ends = np.concatenate([field.xy + field.displacement, expected])
    ends = ends[np.isfinite(ends).all(axis=1)]
    return cut(target, _box(ends, REFINING * target[0].grid.pixel)) if len(ends) else target


def cut(ready: Ready, box: Box) -> Ready:
    """Image and features of the part of a pass that lies in a box, or of the nearest part."""
    image, features = ready
    first, last = _pixels(image.grid, box)
    rows, cols = slice(first[0], last[0]), slice(first[1], last[1])
    corner = image.grid.xy(first.astype(np.float64))
    shape = (int(last[0] - first[0]), int(last[1] - first[1]))
    grid = Grid(float(corner[0]), float(corner[1]), image.grid.pixel, shape)
    part = replace(
        image,
        grid=grid,
        data=image.data[:, rows, cols],
        land=image.land[rows, cols],
        node_time=image.node_time[_every(TIME_STRIDE, first, last, 1)],
    )
    cells = _every(STRIDE, first, last, 0)
    kept = (features.scores[cells], features.descriptors[cells], features.valid[cells])
    return part, Features(grid, *kept, features.weights_sha256)


def _side(pixel: float) -> float:
    """Of a tile, metres."""
    return TILE_CELLS * STRIDE * pixel


def _box(points: ArrayLike, margin: float = 0.0) -> Box:
    """Smallest box around points, or around another box, and a margin on all sides."""
    corners = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    (xmin, ymin), (xmax, ymax) = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _pixels(grid: Grid, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and column of a box, at a node of time, and those after its last."""
    xmin, ymin, xmax, ymax = box
    shape = np.array(grid.shape)
    first = np.floor(grid.rowcol([xmin, ymax]) / TIME_STRIDE)
    last = np.ceil((grid.rowcol([xmax, ymin]) + 1) / TIME_STRIDE)
    # A whole cell at least is left of what lies beside the pass.
    farthest = np.maximum(shape // STRIDE - 1, 0) * STRIDE // TIME_STRIDE
    first = np.clip(first, 0, farthest)
    last = np.maximum(last, first + 1)
    whole = TIME_STRIDE * np.stack([first, last]).astype(np.int64)
    return whole[0], np.minimum(whole[1], shape)


def _every(
    stride: int, first: NDArray[np.int64], last: NDArray[np.int64], more: int
) -> tuple[slice, slice]:
    """Rows and columns of what is kept for every ``stride`` pixels, of a range of pixels."""
    begin, end = first // stride, -(-last // stride) + more
    return slice(int(begin[0]), int(end[0])), slice(int(begin[1]), int(end[1]))


def _within(features: Features, tiles: NDArray[np.int64]) -> Features:
    """Features of which only the cells in some tiles count."""
    height, width = features.valid.shape
    rows, cols = np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64)
    side = _side(features.grid.pixel)
    ys = features.grid.xy(cell_to_rowcol(np.stack([rows, 0 * rows], axis=1)))[:, 1]
    xs = features.grid.xy(cell_to_rowcol(np.stack([0 * cols, cols], axis=1)))[:, 0]
    east, north = np.floor(xs / side).astype(np.int64), np.floor(ys / side).astype(np.int64)
    inside = np.zeros((height, width), dtype=np.bool_)
    for x, y in tiles.tolist():
        inside |= (north == y)[:, None] & (east == x)
    return replace(features, valid=features.valid & inside)
