"""Triangles of neighbouring parcels and what may be wrong with them."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Proj
from scipy.spatial import Delaunay, QhullError

from lagrangian_ice.deformation.strain import signed_area
from lagrangian_ice.grid import MAP_CRS, Float, xy_to_lonlat

Index = NDArray[np.int64]

SLIVER_ANGLE = 1.0
"""Degrees: thinner triangles, as on the hull of points in a row, are not formed."""
REACH = 2.0
"""Times ``max_side``: parcels further apart are not neighbours."""
MIXED_TIME = 120.0
"""Seconds: vertices of one image are seconds apart, of two joined frames at most a frame."""


class QualityFlag(IntFlag):
    """What is doubtful about a triangle; 0 is good."""

    SMALL_ANGLE = 1
    LONG_SIDE = 2
    MIXED_TIME = 4
    BOUNDARY = 8
    FOLDED = 16


UNFIT = int(QualityFlag.SMALL_ANGLE | QualityFlag.LONG_SIDE | QualityFlag.FOLDED)
"""Flags of triangles whose rates are not to be used: not drawn, smoothed or judged."""


def triangulate(xy: ArrayLike, seed_rowcol: ArrayLike, max_side: float) -> Index:
    """Join neighbouring parcels to triangles that do not overlap.

    Delaunay on the positions; where four parcels are still the corners of one seed-grid cell,
    the cell is cut along the grid's own diagonal (row, col)-(row + 1, col + 1), so that the
    same cell gives the same two triangles in every pair of passes.

    Parameters
    ----------
    xy : (N, 2) array_like
        Start positions, metres.
    seed_rowcol : (N, 2) array_like of int
        Row and column on the seed grid.
    max_side : float
        Metres; triangles with a side beyond twice this are not formed.

    Returns
    -------
    (F, 3) int64
        Rows of ``xy``, counter-clockwise. Empty where no triangle can be formed.

    Raises
    ------
    ValueError
        If a shape is wrong.
    """
    points, cells = np.asarray(xy, np.float64), np.asarray(seed_rowcol, np.int64)
    if points.ndim != 2 or points.shape[1] != 2 or cells.shape != points.shape:
        raise ValueError(
            f"xy has shape {points.shape} and seed_rowcol {cells.shape}, both must have (N, 2)"
        )
    if len(points) < 3:
        return np.zeros((0, 3), np.int64)
    try:
        mesh = Delaunay(points - points.mean(axis=0))
    except QhullError:
        return np.zeros((0, 3), np.int64)
    vertices = _counter_clockwise(points, mesh.simplices.astype(np.int64))
    vertices = _along_grid_diagonals(points, cells, vertices, mesh)
    corners = points[vertices]
    kept = (longest_side(corners) <= REACH * max_side) & (smallest_angle(corners) >= SLIVER_ANGLE)
    return vertices[kept]


def longest_side(corners: Float) -> Float:
    """Longest side (F,) of triangles (F, 3, 2), metres."""
    return np.asarray(_sides(corners).max(axis=1))


def smallest_angle(corners: Float) -> Float:
    """Smallest angle (F,) of triangles (F, 3, 2), degrees."""
    sides = np.sort(_sides(corners), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # the smallest angle faces the shortest side; atan2 of height keeps thin ones exact
        along = (sides[:, 1] ** 2 + sides[:, 2] ** 2 - sides[:, 0] ** 2) / 2
        angle = np.arctan2(2 * np.abs(signed_area(corners)), along)
    return np.asarray(np.degrees(angle))


def true_area(corners: Float) -> Float:
    """Area (F,) on the ellipsoid of triangles (F, 3, 2) given on the map, m2.

    The map's areal scale factor at the centroid divides the projected area: within 0.03 % for
    triangles of 25 km that are not thin, 0.3 % for thin ones.
    """
    if len(corners) == 0:
        return np.zeros(0)
    lonlat = xy_to_lonlat(corners.mean(axis=1))
    factors = Proj(MAP_CRS).get_factors(lonlat[:, 0], lonlat[:, 1])
    return np.asarray(np.abs(signed_area(corners)) / factors.areal_scale)


def edge_neighbours(vertices: Index) -> tuple[Index, NDArray[np.bool_]]:
    """Pairs (E, 2) of triangles that share an edge, and which triangles (F,) have a free edge."""
    count = len(vertices)
    edges = np.sort(np.concatenate([vertices[:, [0, 1]], vertices[:, [1, 2]], vertices[:, [2, 0]]]))
    owner = np.tile(np.arange(count), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, owner = edges[order], owner[order]
    same = np.all(edges[1:] == edges[:-1], axis=1)
    pairs = np.stack([owner[:-1][same], owner[1:][same]], axis=1)
    joined = np.bincount(pairs.ravel(), minlength=count)
    return pairs, joined < 3


def quality_flags(
    xy0: Float,
    xy1: Float,
    time0: Float,
    time1: Float,
    vertices: Index,
    min_angle: float,
    max_side: float,
) -> NDArray[np.uint8]:
    """Flag what is doubtful about triangles.

    Parameters
    ----------
    xy0, xy1 : (N, 2) float64
        Parcels at start and end, metres.
    time0, time1 : (N,) float64
        When they were seen, seconds.
    vertices : (F, 3) int64
        From :func:`triangulate`.
    min_angle : float
        Degrees.
    max_side : float
        Metres.

    Returns
    -------
    (F,) uint8
        Sum of :class:`QualityFlag`.
    """
    start, end = xy0[vertices], xy1[vertices]
    _, free = edge_neighbours(vertices)
    mixed = np.maximum(np.ptp(time0[vertices], axis=1), np.ptp(time1[vertices], axis=1))
    found = {
        QualityFlag.SMALL_ANGLE: smallest_angle(start) < min_angle,
        QualityFlag.LONG_SIDE: longest_side(start) > max_side,
        QualityFlag.MIXED_TIME: mixed > MIXED_TIME,
        QualityFlag.BOUNDARY: free,
        QualityFlag.FOLDED: signed_area(end) <= 0,
    }
    flags = np.zeros(len(vertices), np.uint8)
    for flag, where in found.items():
        flags[where] |= np.uint8(flag)
    return flags


def _sides(corners: Float) -> Float:
    return np.asarray(np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2))


def _counter_clockwise(points: Float, vertices: Index) -> Index:
    clockwise = signed_area(points[vertices]) < 0
    vertices[clockwise] = vertices[clockwise][:, ::-1]
    return vertices


def _along_grid_diagonals(points: Float, cells: Index, vertices: Index, mesh: Delaunay) -> Index:
    """Flip the edges inside seed cells that run across the grid's diagonal."""
    first, slot = np.nonzero(mesh.neighbors > np.arange(len(vertices))[:, None])
    second = mesh.neighbors[first, slot]
    apex = mesh.simplices[first, slot]
    edge = mesh.simplices[first[:, None], (slot[:, None] + [1, 2]) % 3]
    far = vertices[second].sum(axis=1) - edge.sum(axis=1)
    quads = np.stack([apex, edge[:, 0], far, edge[:, 1]], axis=1).astype(np.int64)
    low = cells[quads].min(axis=1, keepdims=True)
    corner = cells[quads] - low
    # apex and far must be (0, 0) and (1, 1), the edge's ends (0, 1) and (1, 0)
    unit = np.all(corner.max(axis=1) == 1, axis=1)
    on_diagonal = corner[..., 0] == corner[..., 1]
    wanted = unit & np.all(on_diagonal == [True, False, True, False], axis=1)
    distinct = np.any(corner[:, 0] != corner[:, 2], axis=1)
    distinct &= np.any(corner[:, 1] != corner[:, 3], axis=1)
    one, two = quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]
    sign = np.sign(signed_area(points[one]))
    convex = (sign != 0) & (sign == np.sign(signed_area(points[two])))
    flip = wanted & distinct & convex
    vertices[first[flip]], vertices[second[flip]] = one[flip], two[flip]
    return _counter_clockwise(points, vertices)
