"""The quality flag of an observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float

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
