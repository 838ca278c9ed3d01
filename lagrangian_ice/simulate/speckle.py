"""Speckle of multi-looked intensity."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr

Image = NDArray[np.float32]

EW_LOOKS = 11.0
"""Equivalent number of looks of a 40 m EW GRDM pixel."""

EW_PIXEL = 40.0
"""Its pixel, metres."""

EW_RESOLUTION = 90.0
"""Resolution of EW GRDM in range and azimuth, metres."""

_TABLE = 4096
_REACH = 6.0


def speckle(
    shape: tuple[int, int], rng: np.random.Generator, looks: float, correlation: float = 0.0
) -> Image:
    """Multiplicative speckle: gamma distributed with mean 1 and variance 1 / looks.

    A Gaussian field with the correlation of the resolution cell is mapped through the
    gamma distribution's quantiles, so that the distribution is exact and the
    correlation nearly that of the field.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : numpy.random.Generator
        Source of the randomness.
    looks : float
        Equivalent number of looks, at least 0.5.
    correlation : float
        Standard deviation of the Gaussian point spread, pixels; 0 for independent pixels.

    Returns
    -------
    (rows, cols) float32
        Factors on the intensity.

    Raises
    ------
    ValueError
        If ``looks`` or ``correlation`` is out of its range.
    """
    if not looks >= 0.5:
        raise ValueError(f"looks {looks} must be at least 0.5")
    if not 0.0 <= correlation <= 50.0:
        raise ValueError(f"correlation {correlation} px must be between 0 and 50")
    field = _correlated(shape, rng, correlation)
    return gamma_from_normal(field, looks)


def response_width(pixel: float, resolution: float = EW_RESOLUTION) -> float:
    """Width (standard deviation, pixels) of the response of pixels averaged to a size.

    Parameters
    ----------
    pixel : float
        Side of the pixels, metres.
    resolution : float
        Full width at half power of the instrument's response, metres.
    """
    # Autocorrelating the response doubles its variance and the pixel's: both stay in step.
    return float(np.hypot(resolution / 2.3548, pixel / np.sqrt(12.0)) / pixel)


def effective_looks(pixel: float, resolution: float = EW_RESOLUTION) -> float:
    """Equivalent looks of EW GRDM averaged from its own to larger pixels.

    Neighbouring 40 m pixels share their speckle, so that averaging gains less than their number.

    Parameters
    ----------
    pixel, resolution : float
        Metres.
    """
    gain = _mean_correlation(EW_PIXEL, resolution) / _mean_correlation(pixel, resolution)
    return float(EW_LOOKS * max(gain, 1.0) ** 2)


def _mean_correlation(pixel: float, resolution: float) -> float:
    """Mean correlation of speckle between two points of a pixel, along one axis."""
    lag = (np.arange(400) + 0.5) / 400
    correlation = np.exp(-((lag * pixel) ** 2) / (4 * (resolution / 2.3548) ** 2))
    return float(2 * ((1 - lag) * correlation).mean())


def gamma_from_normal(field: Image, looks: float) -> Image:
    """Map a standard normal field to gamma with mean 1 and shape ``looks``, by a fine table."""
    nodes = np.linspace(-_REACH, _REACH, _TABLE)
    quantiles = (gammaincinv(looks, ndtr(nodes)) / looks).astype(np.float32)
    place = (np.clip(field, -_REACH, _REACH) + _REACH) * np.float32((_TABLE - 1) / (2 * _REACH))
    lower = np.minimum(place.astype(np.int32), _TABLE - 2)
    fraction = place - lower.astype(np.float32)
    low = quantiles[lower]
    return np.asarray(low + fraction * (quantiles[lower + 1] - low), dtype=np.float32)


def _correlated(shape: tuple[int, int], rng: np.random.Generator, correlation: float) -> Image:
    """Draw a standard normal field, smoothed by a Gaussian and brought back to unit variance."""
    if correlation < 0.1:
        return rng.standard_normal(shape, dtype=np.float32)
    reach = int(np.ceil(4 * correlation))
    white = rng.standard_normal((shape[0] + 2 * reach, shape[1] + 2 * reach), dtype=np.float32)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / correlation) ** 2)
    kernel = (kernel / np.sqrt((kernel**2).sum())).astype(np.float32)
    smooth = cv2.sepFilter2D(white, cv2.CV_32F, kernel, kernel)
    return np.ascontiguousarray(smooth[reach:-reach, reach:-reach])
