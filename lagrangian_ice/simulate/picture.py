"""A picture as the texture of simulated ice."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from lagrangian_ice.errors import SceneError, reason_of

Image = NDArray[np.float32]

MEAN = (-13.0, -22.0)
"""Backscatter of HH and HV that grey levels are spread about, dB."""

SPREAD = (2.5, 2.0)
"""Standard deviation given to grey levels in HH and HV, dB."""

LEAST_SIDE = 16


def picture_textures(path: Path, shape: tuple[int, int]) -> Image:
    """Sigma nought of ice that looks like a picture, mirrored at its edges as often as needed.

    A pixel of the picture is a pixel of the ice. Floating point numbers are taken for dB where
    some are negative, else for linear backscatter; whole numbers for grey levels that are linear
    in dB. No data becomes the mean.

    Parameters
    ----------
    path : Path
        Any raster that GDAL opens; of two bands the second is HV, else HV follows HH.
    shape : tuple of int
        Rows, columns.

    Returns
    -------
    (2, rows, cols) float32
        HH and HV in dB, finite.

    Raises
    ------
    SceneError
        If the picture cannot be read, is too small or of one value.
    """
    bands, whole = _read(path)
    hh = _decibels(bands[0], whole, 0, path)
    follows = MEAN[1] + (hh - hh.mean()) * np.float32(SPREAD[1] / SPREAD[0])
    hv = _decibels(bands[1], whole, 1, path) if len(bands) == 2 else follows
    row, col = (_mirrored(size, count) for size, count in zip(hh.shape, shape, strict=True))
    return np.stack([hh, hv])[:, row[:, None], col]


def _read(path: Path) -> tuple[Image, bool]:
    """Read the first band, or both of two, NaN for no data; and whether they are whole numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                pixels = dataset.read([1, 2] if dataset.count == 2 else [1], masked=True)
    except (RasterioError, OSError) as error:
        raise SceneError(f"{path}: not a picture that can be read ({reason_of(error)})") from None
    if min(pixels.shape[1:]) < LEAST_SIDE:
        size = " x ".join(str(side) for side in pixels.shape[1:])
        raise SceneError(f"{path}: {size} pixels are too few for ice; give {LEAST_SIDE} at least")
    values = np.where(np.ma.getmaskarray(pixels), np.nan, np.ma.getdata(pixels))
    return values.astype(np.float32), bool(np.issubdtype(pixels.dtype, np.integer))


def _decibels(values: Image, whole: bool, index: int, path: Path) -> Image:
    if not whole and not (values < 0).any():
        with np.errstate(divide="ignore"):
            values = 10 * np.log10(values)
    known = np.isfinite(values)
    spread = float(values[known].std()) if known.any() else 0.0
    if not spread > 0:
        raise SceneError(f"{path}: band {index + 1} has one value only; give a picture of ice")
    mean = float(values[known].mean())
    if whole:
        values = np.float32(MEAN[index]) + (values - np.float32(mean)) * np.float32(
            SPREAD[index] / spread
        )
        mean = MEAN[index]
    return np.asarray(np.where(known, values, mean), dtype=np.float32)


def _mirrored(size: int, count: int) -> NDArray[np.intp]:
    """Give indices (count,) that go to and fro over ``size`` pixels."""
    index = np.arange(count) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
