"""Resampling without aliasing and without rounding: block means, smoothing, cubic splines.

Everything here averages the values it is given; the caller gives linear intensity. NaN is no
data: it never takes part in a mean, and never spreads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from lagrangian_ice.grid import Float

Pixels = NDArray[np.float32]

_FILL_SIGMA = 1.5
_REACH = 14
"""Source pixels around a window: the filters and the spline's prefilter have died out there."""

_POLE = np.sqrt(3.0) - 2.0
"""Of the filter from values to coefficients of a cubic B-spline (Unser 1999)."""

_PREFILTER_REACH = 10
"""Pixels after which the filter has fallen to 1e-6."""

_TRUNCATE = 4.0


@dataclass(frozen=True)
class Source:
    """A scene's band, reduced by whole factors.

    Attributes
    ----------
    pixels : (rows, cols) float32
        Means over ``factors`` pixels of the stored image.
    factors : tuple of int
        Stored rows and columns in one pixel.
    sigma : tuple of float
        Standard deviation (px, rows and columns) of the smoothing that is still to be done.
    """

    pixels: Pixels
    factors: tuple[int, int]
    sigma: tuple[float, float]

    def positions(self, row: Float, col: Float) -> tuple[Float, Float]:
        """Positions in ``pixels`` of positions in the stored image.

        A pixel of k stored ones has its centre at their mean, (k - 1) / 2 after the first.
        """
        fr, fc = self.factors
        return (row - 0.5 * (fr - 1)) / fr, (col - 0.5 * (fc - 1)) / fc


def reduction(scale: tuple[float, float]) -> tuple[tuple[int, int], tuple[float, float]]:
    """Whole factors of the block mean, and the smoothing that is left after it.

    Parameters
    ----------
    scale : tuple of float
        Source pixels that an output pixel spans along rows and columns.

    Returns
    -------
    factors : tuple of int
        At least 1 each.
    sigma : tuple of float
        Gaussian (reduced px) that makes of a pixel's response one half an output pixel wide:
        ``0.5 sqrt(ratio^2 - 1)``, 0 where the output is not coarser.
    """
    factors = (max(1, int(scale[0])), max(1, int(scale[1])))
    ratios = (scale[0] / factors[0], scale[1] / factors[1])
    sigma = tuple(0.5 * float(np.sqrt(max(ratio**2 - 1.0, 0.0))) for ratio in ratios)
    return factors, (sigma[0], sigma[1])


def block_mean(pixels: Pixels, factors: tuple[int, int]) -> Pixels:
    """Mean of the valid pixels of each block; NaN where fewer than half are, or it is incomplete.

    Parameters
    ----------
    pixels : (rows, cols) float32
        NaN is no data. The last blocks may be incomplete.
    factors : tuple of int
        Rows and columns of a block.
    """
    if factors == (1, 1):
        return pixels
    whole = _whole_blocks_mean(pixels, factors)
    if whole is not None:
        return whole
    rows, cols = (-(-size // factor) for size, factor in zip(pixels.shape, factors, strict=True))
    total = np.zeros((rows, cols), dtype=np.float32)
    count = np.zeros((rows, cols), dtype=np.int32)
    for row, col in np.ndindex(factors):
        part = pixels[row :: factors[0], col :: factors[1]]
        valid = np.isfinite(part)
        total[: part.shape[0], : part.shape[1]] += np.where(valid, part, np.float32(0))
        count[: part.shape[0], : part.shape[1]] += valid
    mean = np.full((rows, cols), np.nan, dtype=np.float32)
    np.divide(total, count, out=mean, where=2 * count >= factors[0] * factors[1])
    # the mean of an incomplete block is not that of its centre
    mean[pixels.shape[0] // factors[0] :] = np.nan
    mean[:, pixels.shape[1] // factors[1] :] = np.nan
    return mean


def _whole_blocks_mean(pixels: Pixels, factors: tuple[int, int]) -> Pixels | None:
    """Mean of the blocks where all are complete and no pixel is missing; else None."""
    if pixels.shape[0] % factors[0] or pixels.shape[1] % factors[1]:
        return None
    total = pixels[:: factors[0]].copy()
    for row in range(1, factors[0]):
        total += pixels[row :: factors[0]]
    mean = total[:, :: factors[1]].copy()
    for col in range(1, factors[1]):
        mean += total[:, col :: factors[1]]
    mean *= np.float32(1.0 / (factors[0] * factors[1]))
    # a missing pixel makes its block's sum missing
    return mean if np.isfinite(mean).all() else None


def reduce_rows(
    blocks: Iterable[tuple[int, Pixels]], shape: tuple[int, int], factors: tuple[int, int]
) -> Pixels:
    """Block mean of an image that comes in blocks of rows.

    Parameters
    ----------
    blocks : iterable of (int, (rows, cols) float32)
        First row, a multiple of ``factors[0]``, and pixels.
    shape : tuple of int
        Rows, columns of the whole image.
    factors : tuple of int
        Rows and columns of a block of the mean.
    """
    fr, fc = factors
    reduced = np.full((-(-shape[0] // fr), -(-shape[1] // fc)), np.nan, dtype=np.float32)
    for row, pixels in blocks:
        mean = block_mean(pixels, factors)
        reduced[row // fr : row // fr + len(mean)] = mean
    return reduced


def sample(source: Source, row: Float, col: Float) -> Pixels:
    """Values of an image at fractional positions.

    Missing pixels are first filled with the weighted mean of the valid ones near them, so that
    nothing of them gets into their neighbours; then the image is smoothed as far as the output
    asks for and read by a cubic B-spline. Where less than half of the weight around a position
    is valid, or outside of the outermost pixels' edges, the value is NaN.

    Parameters
    ----------
    source : Source
        Image.
    row, col : (h, w) float64
        Positions in the stored image; those that are not finite give NaN.

    Returns
    -------
    (h, w) float32
    """
    result = np.full(row.shape, np.nan, dtype=np.float32)
    at_row, at_col = source.positions(row, col)
    rows, cols = source.pixels.shape
    with np.errstate(invalid="ignore"):
        inside = (at_row >= -0.5) & (at_row <= rows - 0.5)
        inside &= (at_col >= -0.5) & (at_col <= cols - 0.5)
    if not inside.any():
        return result
    at = np.stack([at_row[inside], at_col[inside]])
    low = np.maximum(np.floor(at.min(axis=1)).astype(int) - _REACH, 0)
    high = np.ceil(at.max(axis=1)).astype(int) + _REACH + 1
    window = source.pixels[low[0] : high[0], low[1] : high[1]]
    valid = np.isfinite(window)
    if not valid.any():
        return result
    at -= low[:, None]
    result[inside] = _read(window, valid, source.sigma, at)
    return result


def _read(
    window: Pixels, valid: NDArray[np.bool_], sigma: tuple[float, float], at: Float
) -> Pixels:
    """Values (N,) at positions (2, N) in a window; NaN where less than half of the weight is."""
    if valid.all():
        return _spline(window, sigma, at)
    count = _valid_around(valid, at)
    values = np.full(len(count), np.nan, dtype=np.float32)
    seen = count > 0
    values[seen] = _spline(_filled(window, valid), sigma, at[:, seen])
    edge = np.flatnonzero(seen & (count < 4))
    weight = map_coordinates(
        valid.astype(np.float32), at[:, edge], order=1, mode="nearest", output=np.float32
    )
    values[edge[weight < 0.5]] = np.nan
    return values


def _spline(pixels: Pixels, sigma: tuple[float, float], at: Float) -> Pixels:
    coefficients = spline_coefficients(pixels, sigma)
    values = map_coordinates(
        coefficients, at, order=3, mode="mirror", prefilter=False, output=np.float32
    )
    return np.asarray(values, dtype=np.float32)


def _valid_around(valid: NDArray[np.bool_], at: Float) -> NDArray[np.uint8]:
    """How many (N,) of the four pixels around positions (2, N) have data."""
    wide = np.pad(valid, 1, mode="edge").astype(np.uint8)
    count = wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]
    row, col = np.floor(at).astype(np.intp) + 1
    return np.asarray(count[row, col])


def spline_coefficients(pixels: Pixels, sigma: tuple[float, float]) -> Pixels:
    """Coefficients (rows, cols) of the cubic B-spline through an image, smoothed on the way.

    Smoothing and the spline's prefilter are one separable filter, its far ends cut off: several
    times as quick as a Gaussian and then the recursion, and the same to 1e-5.

    Parameters
    ----------
    pixels : (rows, cols) float32
        Without missing ones; mirrored beyond its edges.
    sigma : tuple of float
        Of the Gaussian along rows and columns, px; 0 does not smooth.
    """
    along_rows, along_cols = (_coefficient_kernel(value) for value in sigma)
    filtered = cv2.sepFilter2D(
        pixels, cv2.CV_32F, along_cols, along_rows, borderType=cv2.BORDER_REFLECT_101
    )
    return np.asarray(filtered, dtype=np.float32)


@lru_cache(maxsize=64)
def _coefficient_kernel(sigma: float) -> Pixels:
    lag = np.arange(-_PREFILTER_REACH, _PREFILTER_REACH + 1)
    kernel = _POLE ** np.abs(lag)
    if sigma > 0:
        reach = int(_TRUNCATE * sigma + 0.5)
        kernel = np.convolve(kernel, np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2))
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def subtract_between_nodes(pixels: Pixels, nodes: Pixels, stride: int) -> None:
    """Subtract a smooth field that is known at every so many pixels, bilinear between them.

    Parameters
    ----------
    pixels : (rows, cols) float32
        Changed in place.
    nodes : (h, w) float32
        At rows and columns 0, stride, 2 stride ... past the last ones.
    stride : int
        Pixels between the nodes.
    """
    share = np.arange(stride, dtype=np.float32)[:, None] / np.float32(stride)
    index = np.arange(pixels.shape[1]) / stride
    low = index.astype(np.intp)
    weight = (index - low).astype(np.float32)
    wide = nodes[:, low] * (1 - weight) + nodes[:, low + 1] * weight
    for node, first in enumerate(range(0, pixels.shape[0], stride)):
        part = pixels[first : first + stride]
        part -= wide[node] + share[: len(part)] * (wide[node + 1] - wide[node])


def _filled(window: Pixels, valid: NDArray[np.bool_]) -> Pixels:
    known = np.where(valid, window, np.float32(0))
    weight, near = (_blurred(layer) for layer in (valid.astype(np.float32), known))
    far = np.float32(window[valid].mean())
    mean = np.full_like(window, far)
    np.divide(near, weight, out=mean, where=weight > 1e-3)
    return np.where(valid, window, mean)


def _blurred(pixels: Pixels) -> Pixels:
    side = 2 * int(_TRUNCATE * _FILL_SIGMA + 0.5) + 1
    blurred = cv2.GaussianBlur(pixels, (side, side), _FILL_SIGMA, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)
