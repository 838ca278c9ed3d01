"""The quality flag of an observation, and the doubt about a vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.times import SECONDS_PER_DAY

GOOD_CORRELATION = 0.5
GOOD_PEAK_RATIO = 0.8
BEST, WORST = 0, 3


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
    known = np.isfinite(covariance.reshape(-1, 4).sum(axis=1))
    largest = np.linalg.eigvalsh(np.where(known[:, None, None], covariance, 0.0))[:, -1]
    fine = (
        (mcc >= GOOD_CORRELATION).astype(np.int8)
        + (peak_ratio <= GOOD_PEAK_RATIO)
        + (known & (largest <= pixel**2))
    )
    return np.asarray(WORST - fine, dtype=np.int8)


def doubt(vectors: Vectors) -> Float:
    """Say how much speaks for another piece of ice having been found than was looked for.

    Most vectors that are wrong have a crack under their template. It takes time to open, leaves
    open which side was found, and the affine motion that is fitted across it turns and strains
    otherwise than ice does. The chance goes with the product of the three (decision 0035).

    Parameters
    ----------
    vectors : Vectors
        Of N points.

    Returns
    -------
    (N,) float64
        Standard error of the end, times the days that have passed, times what the template has
        turned (radians; a floe that turned as the ice around did is in no doubt) and strained,
        metre days; NaN unless tracked.
    """
    otherwise = (vectors.rotation - vectors.first_guess_rotation + 180.0) % 360.0 - 180.0
    turned = np.radians(np.minimum(np.abs(vectors.rotation), np.abs(otherwise)))
    deformed = np.hypot(turned, np.linalg.norm(vectors.strain, axis=1))
    days = np.abs(vectors.time1 - vectors.time0) / SECONDS_PER_DAY
    return np.asarray(vectors.standard_error * days * deformed, dtype=np.float64)
