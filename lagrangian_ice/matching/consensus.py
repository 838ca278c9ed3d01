"""Which vectors move as their neighbours do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float

STRAIN_TOLERANCE = 0.1
"""Difference of displacement allowed per distance: strain plus rotation of neighbouring ice."""
FARTHEST_TOLERANCE = 2.0
"""Times the tolerance that distance may add: far matches are no witnesses of everything."""
CHUNK = 2048
"""Vectors worked on at once."""
ROTATION_STEP = 12
"""Degrees; half of it is what ``STRAIN_TOLERANCE`` spans."""


def rotations_to(farthest: float) -> tuple[float, ...]:
    """Rotations to try, degrees, the smallest first."""
    steps = range(ROTATION_STEP, int(min(farthest, 180.0)) + 1, ROTATION_STEP)
    return (0.0, *(sign * float(angle) for angle in steps for sign in (1, -1)))


ROTATIONS = rotations_to(84.0)
"""Degrees up to which descriptors are matched at all."""


def nearest(points: Float | cKDTree, xy: Float, count: int) -> tuple[Float, NDArray[np.intp]]:
    """Distance and index (N, count) of the ``count`` points nearest to each position."""
    tree = points if isinstance(points, cKDTree) else cKDTree(points)
    distance, index = tree.query(xy, k=np.arange(1, count + 1))
    return np.asarray(distance, dtype=np.float64), np.asarray(index, dtype=np.intp)


def agreeing_share(
    xy: Float,
    displacement: Float,
    neighbour_xy: Float,
    neighbour_displacement: Float,
    neighbours: int,
    tolerance: float,
    rotation: Float | None = None,
) -> Float:
    """Share (N,) of the nearest neighbours that move alike.

    Two vectors agree when they differ by less than ``tolerance`` plus ``STRAIN_TOLERANCE``
    times their distance, which adds ``FARTHEST_TOLERANCE`` times the tolerance at most.
    A share, not a fit: the two sides of a crack both survive.

    Parameters
    ----------
    xy, displacement : (N, 2) float64
        The vectors to be judged, metres.
    neighbour_xy, neighbour_displacement : (M, 2) float64
        Those they are judged by. A neighbour at distance 0 is the vector itself and is not
        counted.
    neighbours : int
        How many are asked.
    tolerance : float
        Metres.
    rotation : (N,) float64, optional
        Of the ice at the vectors, degrees counter-clockwise: neighbours on a turning floe
        move differently by the rotation times their distance.
    """
    count = min(neighbours + 1, len(neighbour_xy))
    if len(xy) == 0 or count == 0:
        return np.zeros(len(xy))
    around = _Neighbours.of(neighbour_xy, neighbour_displacement, xy, count)
    return _share(xy, displacement, around, tolerance, rotation)


def best_rotation(
    xy: Float,
    displacement: Float,
    neighbour_xy: Float,
    neighbour_displacement: Float,
    neighbours: int,
    tolerance: float,
) -> tuple[Float, Float]:
    """Rotation (N,) of ``ROTATIONS`` under which most neighbours agree, and their share (N,).

    Parameters as in :func:`agreeing_share`.
    """
    count = min(neighbours + 1, len(neighbour_xy))
    rotation, best = np.zeros(len(xy)), np.zeros(len(xy))
    if len(xy) == 0 or count == 0:
        return rotation, best
    around = _Neighbours.of(neighbour_xy, neighbour_displacement, xy, count)
    for angle in ROTATIONS:
        share = _share(xy, displacement, around, tolerance, np.full(len(xy), angle))
        better = share > best
        rotation[better], best[better] = angle, share[better]
    return rotation, best


@dataclass(frozen=True)
class _Neighbours:
    """Positions (N, K, 2), displacements (N, K, 2) and distances (N, K) of K neighbours."""

    xy: Float
    displacement: Float
    distance: Float

    @classmethod
    def of(cls, points: Float, displacement: Float, xy: Float, count: int) -> _Neighbours:
        """Return the ``count`` points nearest to each position (N, 2)."""
        distance, index = nearest(points, xy, count)
        return cls(points[index], displacement[index], distance)

    def take(self, index: NDArray[np.intp]) -> _Neighbours:
        """Take those of some of the positions."""
        return _Neighbours(self.xy[index], self.displacement[index], self.distance[index])


def _share(
    xy: Float, displacement: Float, around: _Neighbours, tolerance: float, rotation: Float | None
) -> Float:
    difference = around.displacement - displacement[:, None]
    if rotation is not None:
        difference = difference - turn_effect(around.xy - xy[:, None], rotation)
    other = around.distance > 0
    by_distance = np.minimum(STRAIN_TOLERANCE * around.distance, FARTHEST_TOLERANCE * tolerance)
    agrees = other & (np.hypot(difference[..., 0], difference[..., 1]) < tolerance + by_distance)
    share = agrees.sum(axis=1) / np.maximum(other.sum(axis=1), 1)
    return np.asarray(share, dtype=np.float64)


def turn_effect(offset: Float, rotation: Float) -> Float:
    """Displacement (N, K, 2) that a rotation (N,) about the vector gives its neighbours."""
    angle = np.radians(rotation)[:, None]
    cosine, sine = np.cos(angle) - 1, np.sin(angle)
    x, y = offset[..., 0], offset[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def in_consensus(
    xy: Float,
    displacement: Float,
    neighbours: int,
    share: float,
    tolerance: float,
    rotations: tuple[float, ...] = ROTATIONS,
) -> Float:
    """Rotation at which enough neighbours move alike, asked again among the survivors.

    A vector passes if its neighbours agree under any of the rotations (degrees): on a floe that
    turned by 45 degrees two matches a few cells apart move differently by as many cells.

    Returns
    -------
    (N,) float64
        Degrees counter-clockwise; NaN where the neighbours do not agree.
    """
    found = np.zeros(len(xy))
    for _ in range(2):
        kept = np.flatnonzero(np.isfinite(found))
        found[kept] = _agreed_rotation(
            xy[kept], displacement[kept], neighbours, share, tolerance, rotations
        )
    return found


def _agreed_rotation(
    xy: Float,
    displacement: Float,
    neighbours: int,
    share: float,
    tolerance: float,
    rotations: tuple[float, ...],
) -> Float:
    count = min(neighbours + 1, len(xy))
    if count == 0:
        return np.empty(0)
    tree = cKDTree(xy)

    def agreed(part: slice) -> Float:
        distance, index = nearest(tree, xy[part], count)
        around = _Neighbours(xy[index], displacement[index], distance)
        found = np.full(len(distance), np.nan)
        # Most ice hardly turns: the greater angles are asked only of what is still open.
        for angle in rotations:
            rest = np.flatnonzero(np.isnan(found))
            turned = np.full(len(rest), angle)
            mine = (xy[part][rest], displacement[part][rest])
            agreeing = _share(*mine, around.take(rest), tolerance, turned) >= share
            found[rest[agreeing]] = angle
        return found

    parts = [slice(first, first + CHUNK) for first in range(0, len(xy), CHUNK)]
    return np.concatenate(list(thread_map(agreed, parts)))
