"""From image pixels to network input; needs no torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

LEAST_SPREAD = 1e-3
"""Below this standard deviation (dB or grey levels) an image is taken as flat."""


def percentile_scaled(pixels: Pixels, floor_db: float | None) -> Pixels:
    """Scene's 1st to 99th percentile to 0-1, clipped; NaN becomes the middle of the range.

    Parameters
    ----------
    pixels : (rows, cols) float32
        NaN is no data.
    floor_db : float or None
        Values below are raised to it first.
    """
    if floor_db is not None:
        pixels = np.maximum(pixels, np.float32(floor_db))
    low, high = np.nanpercentile(pixels[::4, ::4], [1, 99])
    scaled = (pixels - low) / max(high - low, LEAST_SPREAD)
    clipped: Pixels = np.nan_to_num(np.clip(scaled, 0, 1), nan=0.5).astype(np.float32)
    return clipped


def local_scaled(pixels: Pixels, sigma: float) -> Pixels:
    """Deviation from the local mean over the local standard deviation, clipped to +-3.

    Makes the input independent of incidence trend, calibration and display stretch. Both
    moments are taken over the pixels with data only, within a Gaussian of ``sigma`` pixels;
    NaN becomes 0, the local mean.
    """
    present = np.isfinite(pixels)
    filled = np.where(present, pixels, np.float32(0))
    # Centred first, so that the variance below is not a difference of large numbers.
    filled[present] -= filled[present].mean()
    weight = _blurred(present.astype(np.float32), sigma) + np.float32(1e-6)
    mean = _blurred(filled, sigma) / weight
    variance = _blurred(filled**2, sigma) / weight - mean**2
    spread = np.sqrt(np.maximum(variance, LEAST_SPREAD**2))
    scaled = np.clip((filled - mean) / spread, -3, 3)
    return np.where(present, scaled, np.float32(0)).astype(np.float32)


def _blurred(values: Pixels, sigma: float) -> Pixels:
    """Gaussian mean, computed on an eight times smaller image where sigma allows it."""
    factor = 8 if sigma >= 24 else 1
    if factor == 1 or min(values.shape) < 4 * factor:
        blurred = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, dtype=np.float32)
    rows, cols = values.shape
    small = cv2.resize(
        values, (-(-cols // factor), -(-rows // factor)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT)
    whole = cv2.resize(small, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, dtype=np.float32)
