"""The quality flag of an observation, and the doubt about a vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.doubt import doubt as match_doubt
from lagrangian_ice.matching.vectors import Vectors, largest_variance
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.times import SECONDS_PER_DAY

GOOD_CORRELATION = 0.5
GOOD_PEAK_RATIO = 0.8
BEST, WORST = 0, 3
FAINT, LEAST_FAINT = 0.45, 0.1
"""Correlation below which a step's error may be larger, and that below which no more so."""


def quality_flags(
    mcc: Float, peak_ratio: Float, covariance: Float, pixel: float
) -> NDArray[np.int8]:
    """Count what is weak in tracked vectors (N,), so lower is better.

    Three things can be weak: a correlation below 0.5, a second peak above 0.8 of the first,
    and a standard error (larger axis of the 2 x 2 covariance) above one pixel. A value that
    is not known counts as weak. A birth is 0.

    Parameters
    ----------
    mcc, peak_ratio : (N,) float64
        Of the match.
    covariance : (N, 2, 2) float64
        Of the displacement, m2.
    pixel : float
        Of the image, metres.
    """
    fine = (
        (mcc >= GOOD_CORRELATION).astype(np.int8)
        + (peak_ratio <= GOOD_PEAK_RATIO)
        + (largest_variance(covariance) <= pixel**2)
    )
    return np.asarray(WORST - fine, dtype=np.int8)


def doubt(vectors: Vectors) -> Float:
    """Say how much speaks for other ice having been found than was looked for.

    Parameters
    ----------
    vectors : Vectors
        Of N points.

    Returns
    -------
    (N,) float64
        :func:`lagrangian_ice.matching.doubt.doubt`, metre days; NaN unless tracked.
    """
    days = np.abs(vectors.time1 - vectors.time0) / SECONDS_PER_DAY
    turns = (vectors.rotation, vectors.first_guess_rotation)
    return match_doubt(vectors.standard_error, days, turns, vectors.strain)


def sure(vectors: Vectors, settings: ParcelSettings, pixel: float) -> NDArray[np.bool_]:
    """Which vectors (N,) are tracked and lead to one place only, as far as they tell by themselves.

    Parameters
    ----------
    vectors : Vectors
        Of N points.
    settings : ParcelSettings
        The rules.
    pixel : float
        Of the image, metres.
    """
    # Of little correlation halves seem to part by chance: the error says less.
    faint = np.maximum(1.0, (FAINT / np.maximum(vectors.mcc, LEAST_FAINT)) ** 2)
    unsure = vectors.standard_error > settings.max_step_error * pixel * faint
    unsure |= vectors.first_guess_error > settings.max_guess_error * pixel
    unsure |= doubt(vectors) > settings.max_doubt * pixel
    return np.asarray(vectors.tracked & ~unsure)
