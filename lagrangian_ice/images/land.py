"""Land, without a network: the bitmap of GSHHG shorelines in this package.

Its cells are 15 arc seconds (463 m from north to south) and count as land where any land touches
them.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.grid import Float, Grid, xy_to_lonlat
from lagrangian_ice.images.land_bitmap import land_cells, open_sea

LATTICE = 500.0
"""Metres between the points that decide where a grid is looked at pixel by pixel."""

CENTRAL_MERIDIAN = -45.0
"""Of EPSG:3413: the longitude towards negative y."""
FARTHEST = 4e7
"""Metres from the pole on the map: 50 degrees south."""

_CHUNK = 1_000_000
_NODES = 16
Mask = NDArray[np.bool_]
Index = NDArray[np.int_]


def is_land(xy: ArrayLike) -> Mask:
    """Whether map positions (N, 2) in metres are on land (or in a cell that land touches).

    Raises
    ------
    ValueError
        If the positions are not finite or not (N, 2).
    """
    xy = np.asarray(xy, dtype=np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"xy has shape {xy.shape}; allowed is (N, 2)")
    if not np.all(np.isfinite(xy)):
        raise ValueError("xy holds values that are not finite")
    land = np.empty(len(xy), dtype=bool)
    for first in range(0, len(xy), _CHUNK):
        land[first : first + _CHUNK] = land_cells(*longitude_latitude(xy[first : first + _CHUNK]))
    return land


def land_mask(grid: Grid) -> Mask:
    """Land (rows, cols) on a map grid.

    A lattice of 500 m decides where the pixels are looked at one by one: near a coast. An islet
    between four of its points can be missed.
    """
    step = max(1, round(LATTICE / grid.pixel))
    if step == 1:
        return _land_at(grid, np.arange(grid.shape[0]), np.arange(grid.shape[1]))
    rows, cols = (np.arange(-(-size // step) + 1) * step for size in grid.shape)
    coarse = _land_at(grid, rows, cols)
    mask = _enlarged(coarse, step, grid.shape)
    octets, around = coarse.astype(np.uint8), np.ones((3, 3), np.uint8)
    mixed = cv2.dilate(octets, around) != cv2.erode(octets, around)
    if mixed.any():
        row, col = np.nonzero(_enlarged(mixed, step, grid.shape))
        mask[row, col] = _land_of(grid, row, col)
    return mask


def _land_at(grid: Grid, rows: Index, cols: Index) -> Mask:
    """Land (len(rows), len(cols)); where there is only sea far around it is not looked for."""
    land = np.zeros((len(rows), len(cols)), dtype=bool)
    row, col = np.nonzero(_near_land(grid, rows, cols))
    land[row, col] = _land_of(grid, rows[row], cols[col])
    return land


def _near_land(grid: Grid, rows: Index, cols: Index) -> Mask:
    """Where (len(rows), len(cols)) there may be land, told by every 16th node.

    Nodes are at most 500 m apart, so that no tile of a degree fits between every 16th.
    """
    few = [np.append(nodes[::_NODES], nodes[-1]) for nodes in (rows, cols)]
    there = np.stack(np.meshgrid(*few, indexing="ij"), axis=-1).reshape(-1, 2)
    near = ~open_sea(*longitude_latitude(grid.xy(there))).reshape(len(few[0]), len(few[1]))
    blocks = near[:-1, :-1] | near[1:, :-1] | near[:-1, 1:] | near[1:, 1:]
    return _repeated(blocks, *(np.arange(len(nodes)) // _NODES for nodes in (rows, cols)))


def _land_of(grid: Grid, row: Index, col: Index) -> Mask:
    land = np.empty(len(row), dtype=bool)
    for first in range(0, len(row), _CHUNK):
        part = slice(first, first + _CHUNK)
        land[part] = is_land(grid.xy(np.column_stack([row[part], col[part]])))
    return land


def _enlarged(coarse: Mask, step: int, shape: tuple[int, int]) -> Mask:
    """Each pixel takes the value of the lattice point nearest to it."""
    return _repeated(coarse, *((np.arange(size) + step // 2) // step for size in shape))


def _repeated(coarse: Mask, rows: Index, cols: Index) -> Mask:
    """Quicker along one axis after the other than along both."""
    return np.take(np.take(coarse, cols, axis=1), rows, axis=0)


def longitude_latitude(xy: Float) -> tuple[Float, Float]:
    """Longitude and latitude (N,), degrees, of map positions (N, 2), good to a centimetre.

    The polar map is the same all round: six times as quick as a transform of every point.
    """
    x, y = xy[:, 0], xy[:, 1]
    longitude = CENTRAL_MERIDIAN + np.degrees(np.arctan2(x, -y))
    longitude[longitude < -180] += 360
    return longitude, np.interp(np.hypot(x, y), *_latitudes())


@lru_cache(maxsize=1)
def _latitudes() -> tuple[Float, Float]:
    """Distance from the pole on the map, every kilometre, and latitude."""
    distance = np.arange(0.0, FARTHEST, 1000.0)
    return distance, xy_to_lonlat(np.column_stack([distance, np.zeros_like(distance)]))[:, 1]
