"""Two looks at the same ice, one in each polarisation, made one.

Their speckle is independent, and of ice some is seen better in one and some in the other. Where
both find a parcel in one place it is there, and better known; where they differ nobody can tell
which is right, and what the first says holds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.consensus import nearest
from lagrangian_ice.matching.doubt import doubt
from lagrangian_ice.matching.look import Look
from lagrangian_ice.matching.vectors import Status, largest_variance

FAINT = 0.5
"""Correlation below which a point that is not surely found is looked for in the other polarisation:
where ice correlates well and a point is in doubt, there is a crack, and both see the same of it."""
UNSURE, DOUBTFUL = 0.5, 0.02
"""Standard error (pixels) and doubt (pixel days) above which it is not surely found."""
AROUND, REACH, APART = 6, 64.0, 8.0
"""Of so many of the nearest surely found points within a reach (pixels) none may have moved further
(pixels) from another one: else there is a crack."""
AGREE = 2.0
"""Pixels that the ends of both may be apart."""
COMMON = 1.35
"""Stated over formal variance of their mean: what has changed in the ice is in both. The value for
which 68 % of the errors lie within one sigma on archives of faint and of plain ice."""


def is_faint(look: Look, days: float, around: Float, pixel: float) -> NDArray[np.bool_]:
    """Which points are faint and not surely found.

    Parameters
    ----------
    look : Look
        Of N points.
    days : float
        That have passed.
    around : (N,) float64
        What the ice around has turned, degrees.
    pixel : float
        Metres.
    """
    error = np.sqrt(largest_variance(look.covariance)) / pixel
    doubtful = doubt(error, days, (look.rotation, around), look.strain) > DOUBTFUL
    unsure = (look.status == Status.TRACKED) & (doubtful | (error > UNSURE))
    unsure |= look.status == Status.LOW_CORRELATION
    return np.asarray((unsure & (look.mcc < FAINT)) | (look.status == Status.NO_TEXTURE))


def near(xy: Float, others: Float, farthest: float) -> NDArray[np.bool_]:
    """Which positions (N, 2) have one of others (M, 2) within a distance."""
    if len(others) == 0:
        return np.zeros(len(xy), dtype=np.bool_)
    distance, _ = cKDTree(others).query(xy)
    return np.asarray(distance <= farthest)


def torn_around(xy: Float, others: Float, moved: Float, pixel: float) -> NDArray[np.bool_]:
    """Which positions (N, 2) have others (M, 2) around that moved (M, 2) too differently."""
    if len(others) == 0:
        return np.zeros(len(xy), dtype=np.bool_)
    distance, index = nearest(cKDTree(others), xy, min(AROUND, len(others)))
    close = (distance < REACH * pixel)[:, :, None]
    lowest = np.where(close, moved[index], np.inf).min(axis=1)
    highest = np.where(close, moved[index], -np.inf).max(axis=1)
    apart = np.hypot(*np.maximum(highest - lowest, 0.0).T)
    return np.asarray(apart > APART * pixel)


def both(first: Look, second: Look, pixel: float) -> Look:
    """Put two looks at the same N points together.

    Parameters
    ----------
    first, second : Look
        Of points in two polarisations.
    pixel : float
        Metres.

    Returns
    -------
    Look
        The mean of the ends, weighted by their covariances, where they agree, with rotation,
        strain and correlation of the surer look; where one found nothing the other; where they
        differ the first.
    """
    found, other = (look.status == Status.TRACKED for look in (first, second))
    alone = np.flatnonzero(other & ~found)
    whole = first.put(alone, second.take(alone))
    apart = np.linalg.norm(second.end - first.end, axis=1)
    agree = np.flatnonzero(found & other & (apart <= AGREE * pixel))
    return whole.put(agree, _mean(first.take(agree), second.take(agree)))


def _mean(first: Look, second: Look) -> Look:
    """Weighted mean of looks that agree.

    A crack under a template is in both: no mean makes less of what it leaves open. Of little
    correlation halves seem to part by chance: where one look sees less of it than the other,
    that holds.
    """
    looks = (first, second)
    inverse = [np.linalg.inv(look.covariance - look.side_covariance) for look in looks]
    covariance = np.linalg.inv(inverse[0] + inverse[1])
    ends = [i @ look.end[:, :, None] for i, look in zip(inverse, looks, strict=True)]
    sides = [look.side_covariance for look in looks]
    side = np.where((_spread(sides[1]) < _spread(sides[0]))[:, None, None], sides[1], sides[0])
    surer = np.flatnonzero(_spread(second.covariance) < _spread(first.covariance))
    return replace(
        first.put(surer, second.take(surer)),
        end=(covariance @ (ends[0] + ends[1]))[:, :, 0],
        covariance=COMMON * covariance + side,
        side_covariance=side,
    )


def _spread(covariance: Float) -> Float:
    """Sum (N,) of the variances along both axes, m2."""
    return np.asarray(np.trace(covariance, axis1=1, axis2=2))
