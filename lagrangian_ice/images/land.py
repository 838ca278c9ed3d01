"""Land, without a network: the bitmap of GSHHG shorelines that the roaring-landmask wheel ships.

Its cells are 15 arc seconds (463 m from north to south) and count as land where any land touches
them. The exact shorelines of the same wheel would take 1.3 GB of memory; the bitmap takes 0.4 GB.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray
from roaring_landmask import LandmaskProvider, RoaringMask
from scipy.ndimage import maximum_filter, minimum_filter

from lagrangian_ice.grid import Float, Grid, xy_to_lonlat

LATTICE = 500.0
"""Metres between the points that decide where a grid is looked at pixel by pixel."""

CENTRAL_MERIDIAN = -45.0
"""Of EPSG:3413: the longitude towards negative y."""
FARTHEST = 4e7
"""Metres from the pole on the map: 50 degrees south."""

_CHUNK = 1_000_000
_LOADING = Lock()
Mask = NDArray[np.bool_]


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
        land[first : first + _CHUNK] = _contains(xy[first : first + _CHUNK])
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
    mixed = maximum_filter(coarse, 3) != minimum_filter(coarse, 3)
    mask = _enlarged(coarse, step, grid.shape)
    row, col = np.nonzero(_enlarged(mixed, step, grid.shape))
    for first in range(0, len(row), _CHUNK):
        part = slice(first, first + _CHUNK)
        mask[row[part], col[part]] = is_land(grid.xy(np.column_stack([row[part], col[part]])))
    return mask


def _land_at(grid: Grid, rows: NDArray[np.int_], cols: NDArray[np.int_]) -> Mask:
    nodes = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1)
    return is_land(grid.xy(nodes.reshape(-1, 2))).reshape(len(rows), len(cols))


def _enlarged(coarse: Mask, step: int, shape: tuple[int, int]) -> Mask:
    """Each pixel takes the value of the lattice point nearest to it."""
    rows, cols = ((np.arange(size) + step // 2) // step for size in shape)
    return coarse[np.ix_(rows, cols)]


def _contains(xy: Float) -> Mask:
    longitude, latitude = longitude_latitude(xy)
    return np.asarray(_bitmap().contains_many(longitude, latitude), dtype=bool)


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


def _bitmap() -> RoaringMask:
    # It takes half a second and 0.4 GB: two threads must not load it at once.
    with _LOADING:
        return _loaded_bitmap()


@lru_cache(maxsize=1)
def _loaded_bitmap() -> RoaringMask:
    return RoaringMask.new(LandmaskProvider.Gshhg)
