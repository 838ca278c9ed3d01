"""Coastline as rings of points, small enough to go into a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from shapely import get_coordinates, simplify
from shapely.geometry import LinearRing

from lagrangian_ice.grid import Grid
from lagrangian_ice.images.land import land_mask

Bounds = tuple[float, float, float, float]

BLUR = 0.7
"""Pixels: rounds the steps of the mask before its outline is drawn."""
LEAST_RING = 4
"""Corners: rings of fewer are smaller than a pixel."""


@dataclass(frozen=True)
class Coastline:
    """Rings of land in a box; a point inside an odd number of them is on land.

    Attributes
    ----------
    bounds : tuple of float
        Left, bottom, right, top of the box that the rings are true for, metres.
    unit : float
        Metres.
    rings : tuple of (N, 2) int32
        Corners, in units.
    """

    bounds: Bounds
    unit: float
    rings: tuple[NDArray[np.int32], ...]


def coastline(bounds: Bounds, pixels: int) -> Coastline:
    """Outline the land in a box.

    Parameters
    ----------
    bounds : tuple of float
        Left, bottom, right, top, metres (EPSG:3413).
    pixels : int
        Of the land mask along the longer side.

    Returns
    -------
    Coastline
        Good to about a pixel; islands smaller than that are missed.
    """
    pixel = max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / pixels
    grid = Grid.covering(bounds, pixel)
    # a frame of water closes the rings that leave the box
    mask = np.pad(gaussian_filter(land_mask(grid).astype(np.float64), BLUR), 1)
    outlines = contour_generator(z=mask).lines(0.5)
    unit = pixel / 4
    rings = []
    for line in outlines:
        rowcol = np.asarray(line, np.float64)[:, ::-1] - 1
        if len(rowcol) <= LEAST_RING:
            continue
        ring = simplify(LinearRing(grid.xy(rowcol)), pixel / 3)
        corners = np.rint(get_coordinates(ring)[:-1] / unit).astype(np.int32)
        if len(corners) >= LEAST_RING:
            rings.append(corners)
    return Coastline(grid.bounds, unit, tuple(rings))
