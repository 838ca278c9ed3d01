"""The motion between two images anywhere, from scattered matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.consensus import nearest

ROBUST_ITERATIONS = 6
LEAST_MATCHES = 8


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


def predict(xy: Float, match_xy: Float, match_displacement: Float, neighbours: int) -> Prediction:
    """Robust local affine motion at any position.

    For each position, displacement is fitted as ``a + B (x - x_p)`` to the nearest matches,
    weighted by distance and re-weighted by Tukey's biweight (Holland and Welsch 1977) so that
    the majority's motion is found. The stated error adds what the fit leaves (the spread of
    the inliers, with the leverage of the position) and what the strain between the position
    and its nearest matches could do.

    Parameters
    ----------
    xy : (N, 2) float64
        Where the motion is wanted, metres.
    match_xy, match_displacement : (M, 2) float64
        Matches that passed the consensus, metres.
    neighbours : int
        Matches asked for each position.
    """
    count = min(neighbours, len(match_xy))
    if len(xy) == 0 or count < LEAST_MATCHES:
        return Prediction(
            np.full((len(xy), 2), np.nan), np.full(len(xy), np.inf), np.zeros(len(xy))
        )
    distance, index = nearest(match_xy, xy, count)
    offset = match_xy[index] - xy[:, None]
    moved = match_displacement[index]
    reach = np.maximum(distance[:, -1:], 1.0)
    near = np.exp(-0.5 * (distance / (0.5 * reach)) ** 2)
    design = np.concatenate([np.ones((*distance.shape, 1)), offset / reach[..., None]], axis=-1)
    fit, residual, weight = _robust_fit(design, moved, near)
    inverse = np.linalg.inv(_normal_matrix(design, weight))
    total = np.maximum(weight.sum(axis=1), 1e-9)
    variance = (weight[..., None] * residual**2).sum(axis=(1, 2)) / (2 * total)
    # Beyond the matches the affine part is an extrapolation: the leverage inverse[0, 0],
    # in units of one match, grows there.
    error = np.sqrt(variance * (1.0 / 4.0 + inverse[:, 0, 0])) + 0.02 * distance[:, 0]
    gradient = fit[:, 1:, :] / reach[..., None]
    rotation = np.degrees(
        np.arctan2(gradient[:, 0, 1] - gradient[:, 1, 0], 2 + gradient[:, 0, 0] + gradient[:, 1, 1])
    )
    return Prediction(fit[:, 0, :], error, rotation)


def _robust_fit(design: Float, moved: Float, near: Float) -> tuple[Float, Float, Float]:
    """Fit by iteratively re-weighted least squares, all positions at once.

    Starts from the neighbours' median, which a minority cannot move.
    """
    median = np.median(moved, axis=1, keepdims=True)
    residual = moved - median
    weight = near * _biweight(residual)
    fit = np.empty((len(design), 3, 2))
    for _ in range(ROBUST_ITERATIONS):
        matrix = _normal_matrix(design, weight)
        right = np.einsum("nki,nk,nkj->nij", design, weight, moved)
        fit = np.linalg.solve(matrix, right)
        residual = moved - design @ fit
        weight = near * _biweight(residual)
    return fit, residual, weight


def _normal_matrix(design: Float, weight: Float) -> Float:
    """Weighted normal matrices (N, 3, 3), with a ridge on the gradient for thin neighbourhoods."""
    matrix = np.einsum("nki,nk,nkj->nij", design, weight, design)
    ridge = 1e-3 * weight.sum(axis=1) + 1e-9
    matrix[:, np.arange(3), np.arange(3)] += ridge[:, None] * np.array([1e-6, 1.0, 1.0])
    return np.asarray(matrix, dtype=np.float64)


def _biweight(residual: Float) -> Float:
    size = np.linalg.norm(residual, axis=-1)
    scale = 1.4826 * np.median(size, axis=1, keepdims=True) + 1.0
    weight: Float = np.clip(1 - (size / (4.0 * scale)) ** 2, 0, None) ** 2
    return weight
