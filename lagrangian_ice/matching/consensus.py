"""Which vectors move as their neighbours do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.rows import Rows

Single = NDArray[np.float32]
Numbers = TypeVar("Numbers", Single, Float)

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


def nearest(tree: cKDTree, xy: Float, count: int) -> tuple[Float, NDArray[np.intp]]:
    """Distance and index (N, count) of the ``count`` points nearest to each position."""
    distance, index = tree.query(xy, k=np.arange(1, count + 1))
    return np.asarray(distance, dtype=np.float64), np.asarray(index, dtype=np.intp)


def agreeing_share(
    xy: Float,
    displacement: Float,
    neighbours_tree: cKDTree,
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
    neighbours_tree : cKDTree
        Of the positions of those M that they are judged by, metres. A neighbour at distance 0 is
        the vector itself and is not counted.
    neighbour_displacement : (M, 2) float64
        Metres.
    neighbours : int
        How many are asked.
    tolerance : float
        Metres.
    rotation : (N,) float64, optional
        Of the ice at the vectors, degrees counter-clockwise: neighbours on a turning floe
        move differently by the rotation times their distance.
    """
    count = min(neighbours + 1, neighbours_tree.n)
    if len(xy) == 0 or count == 0:
        return np.zeros(len(xy))
    around = _Neighbours.of(neighbours_tree, neighbour_displacement, xy, displacement, count)
    return around.share(around.agree(tolerance, 0.0 if rotation is None else rotation))


def best_rotation(
    xy: Float,
    displacement: Float,
    neighbours_tree: cKDTree,
    neighbour_displacement: Float,
    neighbours: int,
    tolerance: float,
) -> tuple[Float, Float]:
    """Rotation (N,) of ``ROTATIONS`` under which most neighbours agree, and their share (N,).

    Parameters as in :func:`agreeing_share`.
    """
    count = min(neighbours + 1, neighbours_tree.n)
    rotation, best = np.zeros(len(xy)), np.zeros(len(xy))
    if len(xy) == 0 or count == 0:
        return rotation, best
    around = _Neighbours.of(neighbours_tree, neighbour_displacement, xy, displacement, count)
    for angle in ROTATIONS:
        share = around.share(around.agree(tolerance, angle))
        better = share > best
        rotation[better], best[better] = angle, share[better]
    return rotation, best


@dataclass(frozen=True)
class _Neighbours(Rows):
    """The K vectors nearest to each of N vectors.

    ``x``, ``y`` (N, K) are their offsets from it, ``u``, ``v`` their displacements less its
    own, ``distance`` (N, K) and ``index`` (N, K) which they are. float32 is enough for
    differences.
    """

    x: Single
    y: Single
    u: Single
    v: Single
    distance: Single
    index: NDArray[np.intp]

    @classmethod
    def of(
        cls, tree: cKDTree, displacements: Float, xy: Float, displacement: Float, count: int
    ) -> _Neighbours:
        """Ask a tree of the neighbours' positions for the ``count`` nearest."""
        distance, index = nearest(tree, xy, count)

        def less(values: Float, own: Float, axis: int) -> Single:
            return (values[:, axis][index] - own[:, axis, None]).astype(np.float32)

        return cls(
            less(tree.data, xy, 0),
            less(tree.data, xy, 1),
            less(displacements, displacement, 0),
            less(displacements, displacement, 1),
            distance.astype(np.float32),
            index,
        )

    def agree(self, tolerance: float, rotation: float | Float) -> NDArray[np.bool_]:
        """Whether neighbours (N, K) move alike where the ice turns by degrees, one or (N,)."""
        turned_x, turned_y = turned(self.x, self.y, rotation)
        apart = np.hypot(self.u - turned_x, self.v - turned_y)
        by_distance = np.minimum(STRAIN_TOLERANCE * self.distance, FARTHEST_TOLERANCE * tolerance)
        return np.asarray(apart < by_distance + tolerance) & self.other

    @property
    def other(self) -> NDArray[np.bool_]:
        """(N, K); a neighbour at distance 0 is the vector itself."""
        return np.asarray(self.distance > 0)

    def share(self, agrees: NDArray[np.bool_]) -> Float:
        """Share (N,) of the neighbours that agree."""
        return np.asarray(agrees.sum(axis=1) / np.maximum(self.other.sum(axis=1), 1))


def turn_effect(offset: Float, rotation: Float) -> Float:
    """Displacement (N, K, 2) that a rotation (N,) about the vector gives its neighbours."""
    return np.stack(turned(offset[..., 0], offset[..., 1], rotation), axis=-1)


def turned(x: Numbers, y: Numbers, rotation: float | Float) -> tuple[Numbers, Numbers]:
    """Displacement that a rotation, one or (N,) degrees, gives neighbours at (N, K) x, y."""
    angle = np.radians(np.reshape(rotation, (-1, 1)))
    cosine, sine = (np.cos(angle) - 1).astype(x.dtype), np.sin(angle).astype(x.dtype)
    return cosine * x - sine * y, sine * x + cosine * y


def in_consensus(
    xy: Float,
    displacement: Float,
    neighbours: int,
    share: float,
    tolerance: float,
    rotations: tuple[float, ...] = ROTATIONS,
) -> Float:
    """Rotation at which enough neighbours move alike, and enough of those that remain.

    A vector passes if its neighbours agree under any of the rotations (degrees): on a floe that
    turned by 45 degrees two matches a few cells apart move differently by as many cells. Of the
    neighbours that have passed themselves, the share must agree once more.

    Returns
    -------
    (N,) float64
        Degrees counter-clockwise; NaN where the neighbours do not agree.
    """
    count = min(neighbours + 1, len(xy))
    if count == 0:
        return np.empty(0)
    tree = cKDTree(xy)

    def asked(part: slice) -> _Votes:
        around = _Neighbours.of(tree, displacement, xy[part], displacement[part], count)
        return _votes(around, share, tolerance, rotations)

    votes = list(thread_map(asked, chunks(len(xy), CHUNK)))
    rotation = np.concatenate([vote.rotation for vote in votes])
    passed = np.isfinite(rotation)
    remain = np.concatenate([vote.remain(passed) for vote in votes])
    return np.where(remain >= share, rotation, np.nan)


@dataclass(frozen=True)
class _Votes:
    """What neighbours say of N vectors.

    ``rotation`` (N,) degrees under which enough agree, else NaN; ``index`` (N, K) of the
    neighbours, whether they ``agree`` (N, K) then, and whether they are an ``other`` (N, K)
    than the vector itself.
    """

    rotation: Float
    index: NDArray[np.intp]
    agree: NDArray[np.bool_]
    other: NDArray[np.bool_]

    def remain(self, passed: NDArray[np.bool_]) -> Float:
        """Share (N,) that agrees of the neighbours that have passed."""
        here = passed[self.index] & self.other
        return np.asarray((self.agree & here).sum(axis=1) / np.maximum(here.sum(axis=1), 1))


def _votes(
    around: _Neighbours, share: float, tolerance: float, rotations: tuple[float, ...]
) -> _Votes:
    rotation = np.full(len(around.index), np.nan)
    agree = np.zeros(around.index.shape, dtype=bool)
    rest, open_ones = np.arange(len(rotation)), around
    # Most ice hardly turns: the greater angles are asked only of what is still open.
    for angle in rotations:
        agrees = open_ones.agree(tolerance, angle)
        enough = open_ones.share(agrees) >= share
        if enough.any():
            rotation[rest[enough]], agree[rest[enough]] = angle, agrees[enough]
            rest, open_ones = rest[~enough], open_ones.take(np.flatnonzero(~enough))
        if len(rest) == 0:
            break
    return _Votes(rotation, around.index, agree, around.other)
