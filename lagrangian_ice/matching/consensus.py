"""Which vectors move as their neighbours do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.grid import Float

STRAIN_TOLERANCE = 0.1
"""Difference of displacement allowed per distance: strain plus rotation of neighbouring ice."""
FARTHEST_TOLERANCE = 2.0
"""Times the tolerance that distance may add: far matches are no witnesses of everything."""


def nearest(points: Float, xy: Float, count: int) -> tuple[Float, NDArray[np.intp]]:
    """Distance and index (N, count) of the ``count`` points nearest to each position."""
    distance, index = cKDTree(points).query(xy, k=np.arange(1, count + 1))
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
    distance, index = nearest(neighbour_xy, xy, count)
    expected = np.repeat(displacement[:, None], count, axis=1)
    if rotation is not None:
        expected = expected + _turn_effect(neighbour_xy[index] - xy[:, None], rotation)
    difference = np.linalg.norm(neighbour_displacement[index] - expected, axis=-1)
    other = distance > 0
    allowed = tolerance + np.minimum(STRAIN_TOLERANCE * distance, FARTHEST_TOLERANCE * tolerance)
    agrees = other & (difference < allowed)
    share = agrees.sum(axis=1) / np.maximum(other.sum(axis=1), 1)
    return np.asarray(share, dtype=np.float64)


def _turn_effect(offset: Float, rotation: Float) -> Float:
    """Displacement (N, K, 2) that a rotation (N,) about the vector gives its neighbours."""
    angle = np.radians(rotation)[:, None]
    cosine, sine = np.cos(angle) - 1, np.sin(angle)
    x, y = offset[..., 0], offset[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def in_consensus(
    xy: Float, displacement: Float, neighbours: int, share: float, tolerance: float
) -> NDArray[np.bool_]:
    """Vectors (N,) of which enough neighbours move alike, asked again among the survivors."""
    kept = np.ones(len(xy), dtype=np.bool_)
    for _ in range(2):
        around = agreeing_share(
            xy[kept], displacement[kept], xy[kept], displacement[kept], neighbours, tolerance
        )
        kept[kept] = around >= share
    return kept
