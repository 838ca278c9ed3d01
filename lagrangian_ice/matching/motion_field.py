"""The motion between two images anywhere, from scattered matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.consensus import nearest, turned
from lagrangian_ice.matching.rows import Rows

ROBUST_ITERATIONS = 4
LEAST_MATCHES = 8
DISSENT = 0.5
"""Of the tolerance: what differs from a motion by more moves otherwise."""
CHUNK = 256
"""Positions worked on at once: what they need stays in the cache."""
VOTERS = 2
"""Of the neighbours every second one may propose a motion: those beside it say the same."""


@dataclass(frozen=True)
class Prediction(Rows):
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


@dataclass(frozen=True)
class _NearMatches:
    """The K matches nearest to each of N positions.

    ``x``, ``y`` (N, K) from the position, displacement ``u``, ``v``, ``rotation``, ``distance``
    and ``weight`` by nearness, all (N, K); ``reach`` (N,) of the farthest.
    """

    x: Float
    y: Float
    u: Float
    v: Float
    rotation: Float
    distance: Float
    weight: Float
    reach: Float

    @classmethod
    def of(
        cls, field: MotionField, xy: Float, distance: Float, index: NDArray[np.intp]
    ) -> _NearMatches:
        reach = np.maximum(distance[:, -1], 1.0)
        return cls(
            field.xy[:, 0][index] - xy[:, :1],
            field.xy[:, 1][index] - xy[:, 1:],
            field.displacement[:, 0][index],
            field.displacement[:, 1][index],
            field.rotation[index],
            distance,
            np.exp(-2 * (distance / reach[:, None]) ** 2),
            reach,
        )


_Begin = Callable[[_NearMatches, slice], tuple[Float, Float]]
"""Residuals u, v (N, K) from the motion that a fit begins with."""


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

    @cached_property
    def tree(self) -> cKDTree:
        """Of the positions: whoever asks for the nearest matches asks it."""
        return cKDTree(self.xy)

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
        return self.predict_and_dissent(xy, neighbours)[0]

    def predict_and_dissent(self, xy: Float, neighbours: int) -> tuple[Prediction, Float]:
        """Prediction, as above, and the share (N,) of the matches around that move otherwise.

        Otherwise is by more than ``DISSENT`` of the tolerance; 0 where nothing is known.
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

        def proposed(around: _NearMatches, chunk: slice) -> tuple[Float, Float]:
            turn_u, turn_v = turned(around.x, around.y, rotation[chunk])
            u, v = displacement[chunk, 0, None], displacement[chunk, 1, None]
            return around.u - u - turn_u, around.v - v - turn_v

        return self._in_chunks(xy, neighbours, proposed)[0]

    def _in_chunks(self, xy: Float, neighbours: int, begin: _Begin) -> tuple[Prediction, Float]:
        count = min(neighbours, len(self))
        if len(xy) == 0 or count < LEAST_MATCHES:
            return Prediction.unknown(len(xy)), np.zeros(len(xy))
        tree = self.tree

        def fitted(chunk: slice) -> tuple[Prediction, Float]:
            around = _NearMatches.of(self, xy[chunk], *nearest(tree, xy[chunk], count))
            return _fitted(around, begin(around, chunk), self.tolerance)

        parts, dissents = zip(*thread_map(fitted, chunks(len(xy), CHUNK)), strict=True)
        return Prediction.joined(parts), np.concatenate(dissents)

    def _voted(self, around: _NearMatches) -> tuple[Float, Float]:
        """Residuals of the neighbours from the motion that most of them follow."""
        best = np.full((len(around.distance), 1), -1.0)
        left_u, left_v = np.empty_like(around.u), np.empty_like(around.v)
        for k in range(0, around.distance.shape[1], VOTERS):
            x, y = around.x - around.x[:, [k]], around.y - around.y[:, [k]]
            turn_u, turn_v = turned(x, y, around.rotation[:, k])
            u, v = around.u - around.u[:, [k]] - turn_u, around.v - around.v[:, [k]] - turn_v
            closeness = np.exp((u * u + v * v) / (-2 * self.tolerance**2))
            votes = np.einsum("nk,nk->n", around.weight, closeness)[:, None]
            better = votes > best
            for kept, other in ((best, votes), (left_u, u), (left_v, v)):
                np.copyto(kept, other, where=better)
        return left_u, left_v


def _fitted(
    around: _NearMatches, left: tuple[Float, Float], tolerance: float
) -> tuple[Prediction, Float]:
    """Fit by iteratively re-weighted least squares; also the share (N,) that moves otherwise."""
    x, y = around.x / around.reach[:, None], around.y / around.reach[:, None]
    one, u, v = np.ones_like(x), around.u, around.v
    # Sums of these products, weighted, are the normal equations.
    products = np.stack([one, x, y, x * x, x * y, y * y, u, x * u, y * u, v, x * v, y * v], axis=1)
    weight = around.weight * _biweight(left, tolerance)
    for _ in range(ROBUST_ITERATIONS):
        a, b, _ = _solved(products, weight)
        left = _less(u, a, x, y), _less(v, b, x, y)
        weight = around.weight * _biweight(left, tolerance)
    _, _, leverage = _solved(products, weight)
    total = np.maximum(weight.sum(axis=1), 1e-9)
    variance = (weight * (left[0] ** 2 + left[1] ** 2)).sum(axis=1) / (2 * total)
    # Beyond the matches the affine part is an extrapolation: the leverage, in units of one
    # match, grows there.
    spread = np.sqrt(variance * (1.0 / 4.0 + leverage))
    ux, uy, vx, vy = (gradient / around.reach for gradient in (a[1], a[2], b[1], b[2]))
    rotation = rotation_of(ux, uy, vx, vy)
    error = spread + 0.02 * around.distance[:, 0]
    dissent = (left[0] ** 2 + left[1] ** 2 > (DISSENT * tolerance) ** 2).mean(axis=1)
    return Prediction(np.stack([a[0], b[0]], axis=1), error, rotation), dissent


def rotation_of(ux: Float, uy: Float, vx: Float, vy: Float) -> Float:
    """Degrees counter-clockwise, of the gradients of a displacement."""
    return np.asarray(np.degrees(np.arctan2(vx - uy, 2 + ux + vy)))


def _less(values: Float, fit: tuple[Float, Float, Float], x: Float, y: Float) -> Float:
    """Values (N, K) less what a fit (3 of (N,)) expects at x, y (N, K)."""
    at, along_x, along_y = (part[:, None] for part in fit)
    return np.asarray(values - at - along_x * x - along_y * y)


_Fit = tuple[Float, Float, Float]
"""Value at the position and slopes along x and y, each (N,)."""


def _solved(products: Float, weight: Float) -> tuple[_Fit, _Fit, Float]:
    """Fits of u and of v, and the leverage (N,) of the position.

    The normal matrices, three by three with a ridge on the slopes for thin neighbourhoods, are
    solved by their cofactors.
    """
    sums = (products @ weight[:, :, None])[:, :, 0].T
    ridge = 1e-3 * sums[0] + 1e-9
    s, sx, sy = sums[0] + 1e-6 * ridge, sums[1], sums[2]
    sxx, sxy, syy = sums[3] + ridge, sums[4], sums[5] + ridge
    c00, c01, c02 = sxx * syy - sxy**2, sy * sxy - sx * syy, sx * sxy - sy * sxx
    c11, c12, c22 = s * syy - sy**2, sx * sy - s * sxy, s * sxx - sx**2
    scale = 1.0 / (s * c00 + sx * c01 + sy * c02)

    def fit(right: Float) -> _Fit:
        a, b, c = right
        return (
            (c00 * a + c01 * b + c02 * c) * scale,
            (c01 * a + c11 * b + c12 * c) * scale,
            (c02 * a + c12 * b + c22 * c) * scale,
        )

    return fit(sums[6:9]), fit(sums[9:12]), c00 * scale


def _biweight(left: tuple[Float, Float], tolerance: float) -> Float:
    """Weights (N, K); the spread that decides is that of the residuals, within the tolerance."""
    square = left[0] ** 2 + left[1] ** 2
    middle = square.shape[1] // 2
    median = np.sqrt(np.partition(square, middle, axis=1)[:, middle, None])
    scale = np.minimum(1.4826 * median + 1.0, tolerance)
    weight: Float = np.clip(1 - square / (4.0 * scale) ** 2, 0, None) ** 2
    return weight
