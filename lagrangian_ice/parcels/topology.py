"""Ice does not fold: parcels whose triangles turn over between two passes are convicted.

Two neighbours are together when they move nearly alike; parcels that are together in a chain make
a side, a rigid piece of ice. Where a triangle turns over, its vertex on the smallest side is
guilty, if that side is too small to be a plate. Between large sides a triangle may well turn
over: that is slip along a crack, and both sides stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError, cKDTree

from lagrangian_ice.grid import Float

TOGETHER = 0.15
"""Of their distance that two parcels may move apart and still be on one side."""
LEAST_SIDE = 5
"""Parcels that make a plate; fewer that fold the mesh are wrong vectors."""
LEAST_ANGLE = 10.0
"""Degrees; flatter triangles turn over by small errors and convict nobody."""
NEIGHBOURS, FELLOWS = 8, 3
"""Of the nearest parcels so many must have moved with a parcel, if there are enough of them."""
SEVERAL = 2
"""Of few parcels around, at the rim of a pass: of so many at least one must have moved with it."""
CLOSE = 0.3
"""Of the longest side: farther away no neighbour is looked for to tell how slim triangles are."""
WOBBLE = 1.0
"""Metres."""

Index = NDArray[np.int64]
Bool = NDArray[np.bool_]
S = TypeVar("S", bound=np.generic)


def parted(xy0: Float, xy1: Float, max_side: float, farthest: float) -> Bool:
    """Which of N displacements are unlike nearly all around.

    A wrong vector beyond the last parcels folds no triangle, but nothing there moves with it.

    Parameters
    ----------
    xy0, xy1 : (N, 2) float64
        Starts and ends, metres; all finite.
    max_side : float
        Parcels farther away say nothing, metres.
    farthest : float
        Metres by which ice may move otherwise than what is around it.

    Returns
    -------
    (N,) bool
        True where five or more of the ``NEIGHBOURS`` nearest are in reach and fewer than
        ``FELLOWS`` of these differ by no more than ``farthest``, or two or more are and none
        does.
    """
    alone = np.zeros(len(xy0), dtype=np.bool_)
    if len(xy0) <= SEVERAL or max_side <= 0:
        return alone
    moved = xy1 - xy0
    # Most ice moves far more alike, and its neighbours need not be looked up.
    cells = _Cells.covering(xy0, max_side)
    asked = np.flatnonzero(cells.at(cells.apart(moved)) > farthest)
    if not len(asked):
        return alone
    near, alike = moving_alike(xy0, moved, asked, max_side, farthest)
    around = near.sum(axis=1)
    needed = np.where(around > NEIGHBOURS // 2, FELLOWS, np.where(around >= SEVERAL, 1, 0))
    alone[asked] = alike.sum(axis=1) < needed
    return alone


def moving_alike(
    xy0: Float, moved: Float, asked: Index, reach: float, farthest: float | Float
) -> tuple[Bool, Bool]:
    """Which of the nearest displacements are in reach, and which of these move alike.

    Parameters
    ----------
    xy0, moved : (N, 2) float64
        Starts and displacements, metres; all finite.
    asked : (M,) int64
        Those whose neighbours are looked up.
    reach : float
        Displacements as far away or farther say nothing, metres.
    farthest : float or (M, 1) float64
        By which two that move alike may part, metres.

    Returns
    -------
    near, alike : (M, K) bool
        Of the ``NEIGHBOURS`` nearest, or all others where there are fewer.
    """
    count = min(NEIGHBOURS, len(xy0) - 1)
    if not len(asked) or count < 1:
        nobody = np.zeros((len(asked), 0), dtype=np.bool_)
        return nobody, nobody
    # The nearest of each is itself; beyond the reach there are infinite distances.
    others = np.arange(2, count + 2)
    distance, index = cKDTree(xy0).query(xy0[asked], others, distance_upper_bound=reach)
    # Twins of two streams, seeded at one node, say the same by the same vector.
    near = np.isfinite(distance) & (distance > 0)
    other = moved[np.where(near, index, 0)]
    return near, near & (np.linalg.norm(other - moved[asked, None], axis=2) <= farthest)


def folding(xy0: Float, xy1: Float, max_side: float) -> Bool:
    """Which of N displacements must go so that no triangle folds.

    Parameters
    ----------
    xy0, xy1 : (N, 2) float64
        Starts and ends, metres; all finite.
    max_side : float
        Triangles of the starts (Delaunay) with longer sides say nothing, metres.

    Returns
    -------
    (N,) bool
        True for the culprits. Without them every triangle of the rest's starts that turns over
        lies between sides of at least ``LEAST_SIDE`` parcels. Equal for any order of the rows.
    """
    guilty = np.zeros(len(xy0), dtype=np.bool_)
    if max_side <= 0 or len(xy0) < 3:
        return guilty
    # The order of the rows decides which of several equally bad displacements goes first.
    order = np.lexsort((xy0[:, 1], xy0[:, 0]))
    order = order[_uneasy(xy0[order], xy1[order], max_side)]
    while True:
        rest = order[~guilty[order]]
        found = _culprits(xy0[rest], xy1[rest], max_side)
        if not len(found):
            return guilty
        guilty[rest[found]] = True


def _uneasy(xy0: Float, xy1: Float, max_side: float) -> Bool:
    """Which displacements (N,) differ so much from others near by that a triangle may fold.

    A triangle that folds is at some moment without width. Its width is at least the shortest
    side times the sine of the smallest angle, and changes by no more than what its corners move
    apart. Most ice moves far more alike, and need not be triangulated.
    """
    distance = _at_least(xy0, CLOSE * max_side)
    cells = _Cells.covering(xy0, max_side)
    width = cells.least(distance) * np.sin(np.radians(LEAST_ANGLE))
    # Two more cells around, so that the mesh is the one of all displacements there.
    uneasy = np.isfinite(width) & (cells.apart(xy1 - xy0) >= width)
    near = maximum_filter(uneasy, size=5, mode="constant")
    return cells.at(near)


def _at_least(xy: Float, enough: float) -> Float:
    """How far positions (N, 2) are from all others (N,), or ``enough`` where that is more."""
    distance = np.full(len(xy), enough)
    # Asked once only: not balanced, a tree is built in half the time.
    couples = cKDTree(xy, balanced_tree=False).query_pairs(enough, output_type="ndarray")
    apart = np.linalg.norm(xy[couples[:, 0]] - xy[couples[:, 1]], axis=1)
    np.minimum.at(distance, couples.ravel(), np.repeat(apart, 2))
    return distance


@dataclass(frozen=True)
class _Cells:
    """Squares of the map, and in which of them N positions are.

    Attributes
    ----------
    shape : tuple of int
        Of the rectangle of cells around all positions.
    cell : (N,) int64
        Index into it, row by row.
    """

    shape: tuple[int, int]
    cell: Index

    @classmethod
    def covering(cls, xy: Float, side: float) -> _Cells:
        """Cells of a side, metres, around positions (N, 2)."""
        index = np.floor(xy / side).astype(np.int64)
        index -= index.min(axis=0)
        rows, cols = (int(size) for size in index.max(axis=0) + 1)
        return cls((rows, cols), index[:, 0] * cols + index[:, 1])

    def at(self, values: NDArray[S]) -> NDArray[S]:
        """Values (N,) of the positions' cells."""
        return np.asarray(values.ravel()[self.cell])

    def least(self, values: Float) -> Float:
        """Least of N values in each cell and the eight around it; infinite where there is none."""
        lowest = np.full(self.shape[0] * self.shape[1], np.inf)
        np.minimum.at(lowest, self.cell, values)
        around = minimum_filter(lowest.reshape(self.shape), size=3, mode="constant", cval=np.inf)
        return np.asarray(around)

    def apart(self, moved: Float) -> Float:
        """Find how far N displacements in each cell and the eight around are apart at most."""
        least = [self.least(sign * part) for part in moved.T for sign in (1.0, -1.0)]
        return np.asarray(np.hypot(-least[0] - least[1], -least[2] - least[3]))


def _culprits(xy0: Float, xy1: Float, max_side: float) -> Index:
    """Rows of the worst displacements, at most one of each triangle that folds."""
    triangles = _triangles(xy0, max_side)
    if not len(triangles):
        return np.empty(0, dtype=np.int64)
    folded = triangles[_turned_over(xy0, xy1, triangles)]
    if not len(folded):
        return np.empty(0, dtype=np.int64)
    edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)), axis=0)
    size = _side_sizes(xy0, xy1, edges)
    suspects = folded[(size[folded] < LEAST_SIDE).any(axis=1)]
    return _worst(suspects, size, _misfit(xy1 - xy0, edges))


def _triangles(xy: Float, max_side: float) -> Index:
    """Counter-clockwise Delaunay triangles (T, 3) of sides and angles that can be judged."""
    if len(xy) < 3:
        return np.empty((0, 3), dtype=np.int64)
    # Nodes of a grid lie on common circles: with a wobble the triangles are unique, and Qhull
    # is three times as quick.
    wobble = WOBBLE * np.sin(xy[:, ::-1] / 7.0 + xy / 3.0)
    try:
        corners = Delaunay(xy - xy.mean(axis=0) + wobble).simplices.astype(np.int64)
    except QhullError:
        # All on a line.
        return np.empty((0, 3), dtype=np.int64)
    backwards = _area(xy, corners) < 0
    corners[backwards] = corners[backwards][:, ::-1]
    side = np.linalg.norm(xy[corners] - xy[np.roll(corners, 1, axis=1)], axis=2)
    longest = side.max(axis=1)
    # Twice the area is the product of two sides and the sine between them: the smallest angle
    # lies between the two longest.
    middle = np.median(side, axis=1)
    sine = 2 * _area(xy, corners) / (longest * middle)
    return np.asarray(corners[(longest <= max_side) & (sine >= np.sin(np.radians(LEAST_ANGLE)))])


def _turned_over(xy0: Float, xy1: Float, triangles: Index) -> Bool:
    return np.asarray(_area(xy0, triangles) * _area(xy1, triangles) <= 0)


def _area(xy: Float, corners: Index) -> Float:
    first, second = xy[corners[:, 1]] - xy[corners[:, 0]], xy[corners[:, 2]] - xy[corners[:, 0]]
    return np.asarray(0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]))


def _side_sizes(xy0: Float, xy1: Float, edges: Index) -> Index:
    """How many parcels (N,) there are on the side of each."""
    start, end = (xy[edges[:, 0]] - xy[edges[:, 1]] for xy in (xy0, xy1))
    apart = np.linalg.norm(end - start, axis=1)
    joined = edges[apart <= TOGETHER * np.linalg.norm(start, axis=1)]
    graph = coo_array((np.ones(len(joined)), joined.T), shape=(len(xy0), len(xy0)))
    _, side = connected_components(graph, directed=False)
    return np.asarray(np.bincount(side)[side])


def _misfit(moved: Float, edges: Index) -> Float:
    """Mean difference (N,) of each displacement to those of its neighbours, metres."""
    ends = np.concatenate([edges, edges[:, ::-1]])
    apart = np.linalg.norm(moved[ends[:, 0]] - moved[ends[:, 1]], axis=1)
    total = np.bincount(ends[:, 0], apart, minlength=len(moved))
    return np.asarray(total / np.maximum(np.bincount(ends[:, 0], minlength=len(moved)), 1))


def _worst(suspects: Index, size: Index, misfit: Float) -> Index:
    """From the worst displacement on, those that share no triangle with a worse one."""
    count = np.bincount(suspects.ravel(), minlength=len(size))
    accused = np.unique(suspects[size[suspects] < LEAST_SIDE])
    order = np.lexsort((accused, -misfit[accused], -count[accused], size[accused]))
    place = np.full(len(size), len(size))
    place[accused[order]] = np.arange(len(accused))
    return np.unique(accused[order][np.unique(place[suspects].min(axis=1))])
