"""Cubic B-spline sampling of images at exact fractional positions, batched."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_POLE = np.sqrt(3.0) - 2.0
_PREFILTER_REACH = 12
"""The pole's 12th power is 1e-7: the filter's tail beyond is below float32."""


@dataclass(frozen=True)
class SplineImage:
    """One band ready to be sampled.

    Attributes
    ----------
    coefficients : (rows, cols) float32 Tensor
        Of the interpolating cubic B-spline (Unser 1999), no-data filled with the mean.
    valid : (rows, cols) float32 Tensor
        1 where there is data, else 0.
    """

    coefficients: Tensor
    valid: Tensor

    @classmethod
    def of(cls, pixels: NDArray[np.float32], device: str = "cpu") -> SplineImage:
        """Prefilter a band (rows, cols); NaN is no data.

        The mean of the data is removed: correlation does not see it, and float32 sums are
        more exact without it.
        """
        present = np.isfinite(pixels)
        mean = np.float32(pixels[present].mean()) if present.any() else np.float32(0)
        filled = np.where(present, pixels - mean, np.float32(0))
        reach = np.arange(-_PREFILTER_REACH, _PREFILTER_REACH + 1)
        kernel = -6 * _POLE / (1 - _POLE**2) * _POLE ** np.abs(reach)
        coefficients = cv2.sepFilter2D(
            filled, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101
        )
        return cls(
            torch.from_numpy(coefficients).to(device),
            torch.from_numpy(present.astype(np.float32)).to(device),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return (self.coefficients.shape[0], self.coefficients.shape[1])


def _basis(fraction: Tensor) -> list[Tensor]:
    """Values of the four cubic B-splines around a position, fraction in [0, 1)."""
    rest = 1 - fraction
    return [
        rest**3 / 6,
        2 / 3 - fraction**2 * (2 - fraction) / 2,
        2 / 3 - rest**2 * (2 - rest) / 2,
        fraction**3 / 6,
    ]


def _slope_basis(fraction: Tensor) -> list[Tensor]:
    """Their derivatives."""
    rest = 1 - fraction
    return [
        -(rest**2) / 2,
        fraction * (1.5 * fraction - 2),
        -rest * (1.5 * rest - 2),
        fraction**2 / 2,
    ]


def sample(image: SplineImage, rows: Tensor, cols: Tensor) -> Tensor:
    """Values at fractional positions; NaN where they or the 2 x 2 pixels around lack data.

    Parameters
    ----------
    image : SplineImage
        Any band.
    rows, cols : Tensor
        Any shape, float64 or float32 pixels.
    """
    corner_row, corner_col, down, right = _split(rows, cols)
    value = _accumulate(image, corner_row, corner_col, _basis(down), _basis(right))
    known = _known(image, corner_row, corner_col, rows, cols)
    return torch.where(known, value, torch.nan)


def sample_with_slope(
    image: SplineImage, rows: Tensor, cols: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope along rows and slope along columns; value as in :func:`sample`."""
    corner_row, corner_col, down, right = _split(rows, cols)
    basis = (_basis(down), _basis(right))
    slope = (_slope_basis(down), _slope_basis(right))
    value = _accumulate(image, corner_row, corner_col, basis[0], basis[1])
    along_rows = _accumulate(image, corner_row, corner_col, slope[0], basis[1])
    along_cols = _accumulate(image, corner_row, corner_col, basis[0], slope[1])
    known = _known(image, corner_row, corner_col, rows, cols)
    return torch.where(known, value, torch.nan), along_rows, along_cols


def _split(rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    corner_row, corner_col = torch.floor(rows), torch.floor(cols)
    down, right = (rows - corner_row).float(), (cols - corner_col).float()
    return corner_row.long(), corner_col.long(), down, right


def _accumulate(
    image: SplineImage,
    row: Tensor,
    col: Tensor,
    row_weights: list[Tensor],
    col_weights: list[Tensor],
) -> Tensor:
    height, width = image.shape
    flat = image.coefficients.reshape(-1)
    columns = [(col + j).clamp(0, width - 1) for j in range(-1, 3)]
    value = torch.zeros_like(row_weights[0])
    for i in range(4):
        start = (row + (i - 1)).clamp(0, height - 1) * width
        line = torch.zeros_like(value)
        for j in range(4):
            line.addcmul_(flat[start + columns[j]], col_weights[j])
        value.addcmul_(line, row_weights[i])
    return value


def _known(image: SplineImage, row: Tensor, col: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    height, width = image.shape
    inside = (rows >= 0) & (rows <= height - 1) & (cols >= 0) & (cols <= width - 1)
    flat = image.valid.reshape(-1)
    down, right = (row + 1).clamp(0, height - 1), (col + 1).clamp(0, width - 1)
    row, col = row.clamp(0, height - 1), col.clamp(0, width - 1)
    present = flat[row * width + col] * flat[row * width + right]
    present = present * flat[down * width + col] * flat[down * width + right]
    return inside & (present > 0)
