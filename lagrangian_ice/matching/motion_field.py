"""The motion between two images anywhere, from scattered matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.consensus import nearest, turn_effect

ROBUST_ITERATIONS = 6
LEAST_MATCHES = 8
CHUNK = 512
"""Positions worked on at once; bounds the memory of the vote."""
VOTERS = 2
"""Of the neighbours every second one may propose a motion: those beside it say the same."""


@dataclass(frozen=True)
class Prediction:
    """Motion expected at N positions.

    Attributes
    ----------
    displacement : (N, 2) float64
        Metres; NaN where nothing is known.
    error : (N,) float64
        Standard error of the displacement per axis, metres; infinite where nothing is known.
    rotation : (N,) float64
        Degrees, counter-clockwise; 0 where nothing is known.
    """

    displacement: Float
    error: Float
    rotation: Float

    @classmethod
    def unknown(cls, count: int) -> Prediction:
        """Nothing is known of ``count`` positions."""
        return cls(np.full((count, 2), np.nan), np.full(count, np.inf), np.zeros(count))

    def take(self, index: NDArray[np.intp]) -> Prediction:
        """Take some of the positions."""
        return Prediction(self.displacement[index], self.error[index], self.rotation[index])

    def put(self, index: NDArray[np.intp], other: Prediction) -> Prediction:
        """Take the positions of ``index`` from another."""
        mine = [np.array(v) for v in (self.displacement, self.error, self.rotation)]
        for values, others in zip(
            mine, (other.displacement, other.error, other.rotation), strict=True
        ):
            values[index] = others
        return Prediction(*mine)


@dataclass(frozen=True)
class _Around:
    """The K matches nearest to each of N positions.

    ``offset`` (N, K, 2) from the position, ``displacement`` (N, K, 2), ``rotation`` and
    ``distance`` (N, K), ``weight`` (N, K) by nearness, ``reach`` (N, 1) of the farthest.
    """

    offset: Float
    displacement: Float
    rotation: Float
    distance: Float
    weight: Float
    reach: Float

    @classmethod
    def of(cls, field: MotionField, xy: Float, distance: Float, index: NDArray[np.intp]) -> _Around:
        reach = np.maximum(distance[:, -1:], 1.0)
        return cls(
            field.xy[index] - xy[:, None],
            field.displacement[index],
            field.rotation[index],
            distance,
            np.exp(-0.5 * (distance / (0.5 * reach)) ** 2),
            reach,
        )


_Begin = Callable[[_Around, slice], Float]
"""Residuals (N, K, 2) from the motion that a fit begins with."""


@dataclass(frozen=True)
class MotionField:
    """Matches that passed the consensus.

    Attributes
    ----------
    xy, displacement : (M, 2) float64
        Metres.
    rotation : (M,) float64
        Of the ice at each match, degrees counter-clockwise, to some ten degrees.
    tolerance : float
        By which two matches that move alike may differ, metres.
    """

    xy: Float
    displacement: Float
    rotation: Float
    tolerance: float

    def __len__(self) -> int:
        return len(self.xy)

    def predict(self, xy: Float, neighbours: int) -> Prediction:
        """Robust local affine motion at any position.

        The nearest matches vote which motion, displacement and rotation, most of them follow;
        then displacement is fitted as ``a + B (x - x_p)``, weighted by distance and
        re-weighted by Tukey's biweight (Holland and Welsch 1977) from there. Beside a crack
        that is the motion of the nearer side, never the mean of both. The stated error adds
        what the fit leaves (the spread of the inliers, with the leverage of the position) and
        what the strain between the position and its nearest matches could do.

        Parameters
        ----------
        xy : (N, 2) float64
            Where the motion is wanted, metres.
        neighbours : int
            Matches asked for each position.
        """
        return self._in_chunks(xy, neighbours, lambda around, _: self._voted(around))

    def follow(
        self, xy: Float, displacement: Float, rotation: Float, neighbours: int
    ) -> Prediction:
        """Local affine motion of those matches that move as proposed.

        Parameters
        ----------
        xy, displacement : (N, 2) float64
            Positions and their proposed displacements, metres.
        rotation : (N,) float64
            Proposed, degrees.
        neighbours : int
            Matches asked for each position.
        """

        def proposed(around: _Around, chunk: slice) -> Float:
            turned = turn_effect(around.offset, rotation[chunk])
            return around.displacement - displacement[chunk, None] - turned

        return self._in_chunks(xy, neighbours, proposed)

    def _in_chunks(self, xy: Float, neighbours: int, begin: _Begin) -> Prediction:
        count = min(neighbours, len(self))
        if len(xy) == 0 or count < LEAST_MATCHES:
            return Prediction.unknown(len(xy))
        tree = cKDTree(self.xy)

        def fitted(chunk: slice) -> Prediction:
            around = _Around.of(self, xy[chunk], *nearest(tree, xy[chunk], count))
            return _fitted(around, begin(around, chunk), self.tolerance)

        chunks = [slice(first, first + CHUNK) for first in range(0, len(xy), CHUNK)]
        parts = list(thread_map(fitted, chunks))
        return Prediction(
            np.concatenate([part.displacement for part in parts]),
            np.concatenate([part.error for part in parts]),
            np.concatenate([part.rotation for part in parts]),
        )

    def _voted(self, around: _Around) -> Float:
        """Residuals (N, K, 2) of the neighbours from the motion that most of them follow."""
        best = np.full(len(around.distance), -1.0)
        residual = np.empty_like(around.displacement)
        for k in range(0, around.distance.shape[1], VOTERS):
            turned = turn_effect(around.offset - around.offset[:, [k]], around.rotation[:, k])
            left = around.displacement - around.displacement[:, [k]] - turned
            closeness = np.exp(-0.5 * (left**2).sum(axis=-1) / self.tolerance**2)
            votes = (around.weight * closeness).sum(axis=1)
            better = votes > best
            best[better], residual[better] = votes[better], left[better]
        return residual


def _fitted(around: _Around, residual: Float, tolerance: float) -> Prediction:
    """Fit by iteratively re-weighted least squares, all positions at once."""
    steps = around.offset / around.reach[..., None]
    design = np.concatenate([np.ones((*around.distance.shape, 1)), steps], axis=-1)
    weight = around.weight * _biweight(residual, tolerance)
    fit = np.empty((len(design), 3, 2))
    for _ in range(ROBUST_ITERATIONS):
        right = np.einsum("nki,nk,nkj->nij", design, weight, around.displacement)
        fit = np.linalg.solve(_normal_matrix(design, weight), right)
        residual = around.displacement - design @ fit
        weight = around.weight * _biweight(residual, tolerance)
    inverse = np.linalg.inv(_normal_matrix(design, weight))
    total = np.maximum(weight.sum(axis=1), 1e-9)
    variance = (weight[..., None] * residual**2).sum(axis=(1, 2)) / (2 * total)
    # Beyond the matches the affine part is an extrapolation: the leverage inverse[0, 0],
    # in units of one match, grows there.
    spread = np.sqrt(variance * (1.0 / 4.0 + inverse[:, 0, 0]))
    gradient = fit[:, 1:, :] / around.reach[..., None]
    turn = gradient[:, 0, 1] - gradient[:, 1, 0]
    rotation = np.degrees(np.arctan2(turn, 2 + gradient[:, 0, 0] + gradient[:, 1, 1]))
    return Prediction(fit[:, 0, :], spread + 0.02 * around.distance[:, 0], rotation)


def _normal_matrix(design: Float, weight: Float) -> Float:
    """Weighted normal matrices (N, 3, 3), with a ridge on the gradient for thin neighbourhoods."""
    matrix = np.einsum("nki,nk,nkj->nij", design, weight, design)
    ridge = 1e-3 * weight.sum(axis=1) + 1e-9
    matrix[:, np.arange(3), np.arange(3)] += ridge[:, None] * np.array([1e-6, 1.0, 1.0])
    return np.asarray(matrix, dtype=np.float64)


def _biweight(residual: Float, tolerance: float) -> Float:
    """Weights (N, K); the spread that decides is that of the residuals, within the tolerance."""
    size = np.hypot(residual[..., 0], residual[..., 1])
    scale = np.minimum(1.4826 * np.median(size, axis=1, keepdims=True) + 1.0, tolerance)
    weight: Float = np.clip(1 - (size / (4.0 * scale)) ** 2, 0, None) ** 2
    return weight
