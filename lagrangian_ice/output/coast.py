"""Distance to the nearest land, offline, from the land mask on a lattice of 5 km."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lagrangian_ice.grid import Float
from lagrangian_ice.images.land import is_land

LATTICE = 5000.0
BLOCK = 100
"""Lattice points along the side of a block, which is looked up once."""
MARGINS = (1, 2, 4, 8)
"""Blocks around the positions, tried until land is near enough for the distance to be sure."""


def distance_to_coast(xy: Float) -> Float:
    """Distance (N,) to the nearest land, metres on the map.

    Good to about the lattice's 5 km; land smaller than that may be missed. 0 on land, NaN for
    NaN positions and where no land is within 4,000 km. The result for a position does not
    depend on the other positions.

    Parameters
    ----------
    xy : (N, 2) float64
        Map positions in metres.
    """
    distance = np.full(len(xy), np.nan)
    open_rows = np.flatnonzero(np.isfinite(xy).all(axis=1))
    for margin in MARGINS:
        if len(open_rows) == 0:
            break
        found, sure = _within(xy[open_rows], margin)
        distance[open_rows[sure]] = found[sure]
        open_rows = open_rows[~sure]
    return distance


def _within(xy: Float, margin: int) -> tuple[Float, NDArray[np.bool_]]:
    """Distances from the land inside a box around the positions; sure if less than to its edge."""
    side = LATTICE * BLOCK
    low = np.floor(xy.min(axis=0) / side).astype(int) - margin
    high = np.floor(xy.max(axis=0) / side).astype(int) + 1 + margin
    rows = [
        np.concatenate([_land_block(i, j) for i in range(low[0], high[0])], axis=1)
        for j in range(low[1], high[1])
    ]
    land = np.concatenate(rows, axis=0)
    if not land.any():
        return np.full(len(xy), np.nan), np.zeros(len(xy), bool)
    to_land = distance_transform_edt(~land) * LATTICE
    found = _bilinear(to_land, xy / LATTICE, low * BLOCK)
    edge = np.minimum(xy - low * side, high * side - LATTICE - xy).min(axis=1)
    return found, np.asarray(found + 2 * LATTICE < edge)


def _bilinear(values: Float, at: Float, origin: NDArray[np.int_]) -> Float:
    """Interpolate with fractions of the absolute lattice, so that a box gives no rounding."""
    whole = np.floor(at)
    right, up = (at - whole).T
    col, row = (whole.astype(int) - origin).T
    below = values[row, col] * (1 - right) + values[row, col + 1] * right
    above = values[row + 1, col] * (1 - right) + values[row + 1, col + 1] * right
    return np.asarray(below * (1 - up) + above * up)


@lru_cache(maxsize=4096)
def _land_block(i: int, j: int) -> NDArray[np.bool_]:
    steps = np.arange(BLOCK) * LATTICE
    x, y = np.meshgrid(i * BLOCK * LATTICE + steps, j * BLOCK * LATTICE + steps)
    return is_land(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(BLOCK, BLOCK)
