"""The motions that meet around a parcel: those that groups of the matches near it follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.consensus import nearest, turn_effect
from lagrangian_ice.matching.motion_field import MotionField, rotation_of
from lagrangian_ice.matching.rows import Rows
from lagrangian_ice.superlim.features import STRIDE

NEIGHBOURS = 64
"""Matches asked: where all cells match those of a circle of 36 pixels."""
FARTHEST = 7.5
"""Cells from the parcel beyond which a match says nothing of a crack under its template."""
ALIKE = 0.3
"""Cells by which matches of one motion differ from it."""
STRAIN = 0.1
"""Share of their distance by which two matches of one motion may differ besides, when the
rotation between them is known to ten degrees only."""
LEAST_MATCHES = 6
MOST_MOTIONS = 3
"""Three floes meet at a point, hardly ever four."""
VOTERS = 2
"""Every second match may propose a motion."""
REFITS = 4
NEARNESS = 3.0
"""Cells, standard deviation of the weight by distance."""
CHUNK = 256
"""Positions worked on at once: of fewer, threads wait for each other's many short steps."""


@dataclass(frozen=True)
class Motions(Rows):
    """Motions around N positions, M each, that which most matches follow first.

    Attributes
    ----------
    displacement : (N, M, 2) float64
        At the position, metres; NaN where there are not so many motions.
    rotation : (N, M) float64
        Degrees counter-clockwise.
    centre : (N, M, 2) float64
        From the position to the middle of the matches that follow the motion, metres.
    """

    displacement: Float
    rotation: Float
    centre: Float

    @classmethod
    def unknown(cls, count: int) -> Motions:
        """No motion is known around ``count`` positions."""
        shape = (count, MOST_MOTIONS)
        return cls(np.full((*shape, 2), np.nan), np.zeros(shape), np.full((*shape, 2), np.nan))

    def towards(self) -> Float:
        """Point from the other motions' matches to those of each, unit vectors (N, M, 2)."""
        known = np.isfinite(self.centre[..., 0])
        others = np.maximum(known.sum(axis=1) - 1, 1)[:, None, None]
        away = (np.nansum(self.centre, axis=1)[:, None] - self.centre) / others
        apart = self.centre - away
        return np.asarray(apart / np.maximum(_length(apart), 1e-9)[..., None])


@dataclass(frozen=True)
class _Around:
    """K matches around N positions.

    ``offset`` and ``displacement`` (N, K, 2) metres; ``rotation`` (N, K) degrees; ``weight``
    (N, K) by nearness, 0 beyond the reach; ``cell`` metres.
    """

    offset: Float
    displacement: Float
    rotation: Float
    weight: Float
    cell: float

    @classmethod
    def of(cls, field: MotionField, xy: Float, cell: float) -> _Around:
        distance, index = nearest(field.tree, xy, min(NEIGHBOURS, len(field)))
        weight = np.exp(-0.5 * (distance / (NEARNESS * cell)) ** 2)
        weight[distance > FARTHEST * cell] = 0.0
        return cls(
            field.xy[index] - xy[:, None],
            field.displacement[index],
            field.rotation[index],
            weight,
            cell,
        )

    def take(self, index: NDArray[np.intp]) -> _Around:
        return _Around(
            self.offset[index],
            self.displacement[index],
            self.rotation[index],
            self.weight[index],
            self.cell,
        )


def moves_otherwise(
    field: MotionField, xy: Float, displacement: Float, rotation: Float, pixel: float
) -> NDArray[np.bool_]:
    """Whether a group of the matches around positions moves in another way than told.

    Parameters
    ----------
    field : MotionField
        The matches.
    xy, displacement : (N, 2) float64
        Positions and how they move, metres.
    rotation : (N,) float64
        Degrees counter-clockwise.
    pixel : float
        Of the images, metres.
    """
    if len(xy) == 0 or len(field) < LEAST_MATCHES:
        return np.zeros(len(xy), dtype=np.bool_)
    around = _Around.of(field, xy, STRIDE * pixel)
    left = around.displacement - displacement[:, None] - turn_effect(around.offset, rotation)
    other = (_length(left) > ALIKE * around.cell + 0.02 * _length(around.offset)) & (
        around.weight > 0
    )
    return np.asarray(other.sum(axis=1) >= LEAST_MATCHES)


def motions_around(field: MotionField, xy: Float, pixel: float) -> Motions:
    """Find the motions around positions (N, 2), one after the other.

    Each match proposes its motion, displacement and rotation; that which most others near the
    position follow is fitted to these, affine; what follows it is set aside, and the rest is
    asked again.

    Parameters
    ----------
    field : MotionField
        The matches.
    xy : (N, 2) float64
        Positions, metres.
    pixel : float
        Of the images, metres.
    """
    if len(field) < LEAST_MATCHES:
        return Motions.unknown(len(xy))

    def found(chunk: slice) -> Motions:
        return _motions(_Around.of(field, xy[chunk], STRIDE * pixel))

    return Motions.joined(list(thread_map(found, chunks(len(xy), CHUNK))))


def _motions(around: _Around) -> Motions:
    motions = Motions.unknown(len(around.weight))
    free = around.weight > 0
    index = np.arange(len(free))
    for number in range(MOST_MOTIONS):
        index = index[free[index].sum(axis=1) >= LEAST_MATCHES]
        part, unused = around.take(index), free[index]
        fit, follows = _fitted(part, _most_followed(part, unused), unused)
        enough = follows.sum(axis=1) >= LEAST_MATCHES
        index, fit, follows = index[enough], fit[enough], follows[enough]
        motions.displacement[index, number] = fit[:, 0]
        motions.rotation[index, number] = rotation_of(
            fit[:, 1, 0], fit[:, 2, 0], fit[:, 1, 1], fit[:, 2, 1]
        )
        weight = (around.weight[index] * follows)[..., None]
        middle = (weight * around.offset[index]).sum(axis=1) / weight.sum(axis=1)
        motions.centre[index, number] = middle
        free[index] &= ~follows
    return motions


def _most_followed(around: _Around, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the free matches (N, K) follow the motion that most of them follow."""
    most = np.full(len(free), -1.0)
    follows = np.zeros_like(free)
    for k in range(0, free.shape[1], VOTERS):
        step = around.offset - around.offset[:, [k]]
        left = around.displacement - around.displacement[:, [k]]
        left = left - turn_effect(step, around.rotation[:, k])
        agrees = free & (_length(left) < ALIKE * around.cell + STRAIN * _length(step))
        votes = np.where(free[:, k], (around.weight * agrees).sum(axis=1), -1.0)
        better = votes > most
        most[better], follows[better] = votes[better], agrees[better]
    return follows


def _fitted(
    around: _Around, follows: NDArray[np.bool_], free: NDArray[np.bool_]
) -> tuple[Float, NDArray[np.bool_]]:
    """Affine motion (N, 3, 2) per cell of distance, and the free matches that follow it."""
    steps = around.offset / around.cell
    design = np.concatenate([np.ones((*steps.shape[:2], 1)), steps], axis=-1)
    fit = np.zeros((len(steps), 3, 2))
    for _ in range(REFITS):
        weight = around.weight * follows
        weighted = design * weight[..., None]
        matrix = weighted.mT @ design
        # A trace of a ridge holds the gradient where the matches lie on a line.
        ridge = 0.02 * weight.sum(axis=1)[:, None] * np.array([0.0, 1.0, 1.0]) + 1e-9
        matrix[:, np.arange(3), np.arange(3)] += ridge
        fit = np.linalg.solve(matrix, weighted.mT @ around.displacement)
        follows = free & (_length(around.displacement - design @ fit) < ALIKE * around.cell)
    fit[:, 1:] /= around.cell
    return fit, follows


def _length(vectors: Float) -> Float:
    # Not hypot, which takes five times as long to be safe from overflow.
    return np.asarray(np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2))
