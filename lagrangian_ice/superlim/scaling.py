"""From image pixels to network input; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.engine import thread_map

T = TypeVar("T")

Pixels = NDArray[np.float32]

MIDDLE = 0.5
"""What percentile scaling makes of missing pixels."""
LEAST_SPREAD = 1e-3
"""Below this standard deviation (dB or grey levels) an image is taken as flat."""
CLIP = 3.0
"""Standard deviations beyond which local scaling clips."""
COARSE = 8
"""Times by which the local moments' image is smaller, where sigma is much larger."""
LARGEST = np.float32(1e15)
"""Pixels beyond it, which are damage, are lowered to it: its square is still a float32."""
STRIP = 256
"""Rows that are scaled at a time: they stay in the processor's cache."""


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
    low, high = np.nanpercentile(_bounded(pixels[::4, ::4].copy()), [1, 99])
    with np.errstate(over="ignore"):  # what is beyond float32 is clipped like the rest
        scaled: Pixels = pixels - np.float32(low)
        scaled /= np.float32(max(high - low, LEAST_SPREAD))
    np.clip(scaled, 0, 1, out=scaled)
    scaled[np.isnan(scaled)] = MIDDLE
    return scaled


def local_scaled(pixels: Pixels, sigma: float, out: Pixels | None = None) -> Pixels:
    """Deviation from the local mean over the local standard deviation, clipped to +-3.

    Makes the input independent of incidence trend, calibration and display stretch. Both
    moments are taken over the pixels with data only, within a Gaussian of ``sigma`` pixels;
    NaN becomes 0, the local mean.

    Parameters
    ----------
    pixels : (rows, cols) float32
        NaN is no data.
    sigma : float
        Pixels.
    out : (rows, cols) float32, optional
        Where to write the result.
    """
    scaled = np.empty_like(pixels) if out is None else out
    factor = COARSE if sigma >= 3 * COARSE and min(pixels.shape) >= 4 * COARSE else 1
    sample = pixels[::factor, ::factor]
    present = np.isfinite(sample)
    # Less a middle value, so that the variance is not a difference of large numbers.
    middle = np.float32(_bounded(sample[present]).mean() if present.any() else 0)
    strips = [slice(top, top + STRIP) for top in range(0, len(pixels), STRIP)]
    sums = _each(lambda s: _block_means(_bounded(pixels[s] - middle), factor), strips)
    mean, spread = _moments(np.concatenate(sums, axis=1), sigma / factor)
    mean += middle

    def scale(strip: slice) -> None:
        rows = pixels[strip]
        with np.errstate(over="ignore"):  # what is beyond float32 is clipped like the rest
            np.subtract(rows, _enlarged(mean, strip, rows.shape, factor), out=scaled[strip])
            scaled[strip] /= _enlarged(spread, strip, rows.shape, factor)
        np.clip(scaled[strip], -CLIP, CLIP, out=scaled[strip])
        scaled[strip][np.isnan(rows)] = 0

    _each(scale, strips)
    return scaled


def _bounded(values: Pixels) -> Pixels:
    """Lower what is beyond :data:`LARGEST`, in place; all else keeps its bits."""
    return np.clip(values, -LARGEST, LARGEST, out=values)


def _each(function: Callable[[slice], T], strips: Sequence[slice]) -> list[T]:
    """Call for each strip, on threads where there are several."""
    return list(map(function, strips) if len(strips) == 1 else thread_map(function, strips))


def _block_means(values: Pixels, factor: int) -> Pixels:
    """Share with data, sum and sum of squares over all pixels of each block (3, h, w)."""
    missing = np.isnan(values)
    values[missing] = 0
    layers: list[Pixels] = [(~missing).astype(np.float32), values, values * values]
    if factor > 1:
        rows, cols = values.shape
        beyond = ((0, -rows % factor), (0, -cols % factor))
        size = (-(-cols // factor), -(-rows // factor))
        padded = [np.pad(layer, beyond) if any(map(any, beyond)) else layer for layer in layers]
        layers = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in padded]
    return np.stack(layers).astype(np.float32)


def _moments(means: Pixels, sigma: float) -> tuple[Pixels, Pixels]:
    """Mean and standard deviation (h, w) within a Gaussian of ``sigma`` blocks."""
    weight, total, squares = (
        np.asarray(cv2.GaussianBlur(layer, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
        for layer in means
    )
    weight = weight + np.float32(1e-6)
    mean = total / weight
    variance = squares / weight - mean**2
    return mean, np.sqrt(np.maximum(variance, np.float32(LEAST_SPREAD**2)))


def _enlarged(small: Pixels, strip: slice, shape: tuple[int, ...], factor: int) -> Pixels:
    """Rows of a strip of an image that is ``factor`` times larger, linear between blocks."""
    if factor == 1:
        return small[strip]
    first, last = strip.start // factor, -(-(strip.start + shape[0]) // factor)
    above = min(first, 1)
    part = small[first - above : last + 1]
    size = (part.shape[1] * factor, part.shape[0] * factor)
    large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[above * factor :][: shape[0], : shape[1]], dtype=np.float32)
