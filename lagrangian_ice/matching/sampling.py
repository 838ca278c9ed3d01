"""Cubic B-spline sampling of images at exact fractional positions, batched."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

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
    valid : (rows, cols) bool Tensor
        Whether the pixel and those to the right, below, and right below have data.
    complete : bool
        Whether all have.
    """

    coefficients: Tensor
    valid: Tensor
    complete: bool

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
        beside = np.pad(present, ((0, 1), (0, 1)), mode="edge")
        valid = present & beside[1:, :-1] & beside[:-1, 1:] & beside[1:, 1:]
        return cls(
            torch.from_numpy(coefficients).to(device),
            torch.from_numpy(valid).to(device),
            bool(present.all()),
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

    The 16 terms of the spline are read as four bilinear values (Sigg and Hadwiger 2005),
    which torch reads several times faster than it gathers pixels.

    Parameters
    ----------
    image : SplineImage
        Any band.
    rows, cols : Tensor
        Any shape, float64 or float32 pixels.
    """
    corner_row, corner_col, down, right = _split(rows, cols)
    above, below = _bilinear_pairs(corner_row, down)
    left, beyond = _bilinear_pairs(corner_col, right)
    value = torch.zeros_like(down)
    for row, row_weight in (above, below):
        for col, col_weight in (left, beyond):
            value += row_weight * col_weight * _bilinear(image.coefficients, row, col)
    return torch.where(_known(image, corner_row, corner_col, rows, cols), value, torch.nan)


def _bilinear_pairs(corner: Tensor, fraction: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """Two positions whose linear interpolation, with these weights, sums the four terms."""
    first, second, third, fourth = _basis(fraction)
    before, after = first + second, third + fourth
    return (corner - 1 + second / before, before), (corner + 1 + fourth / after, after)


def _bilinear(pixels: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Linear interpolation at positions inside, the nearest pixel's value outside."""
    height, width = pixels.shape
    # Positions in double until they are scaled: float32 alone would lose 1e-3 px far out.
    scaled = [
        (2 * position / max(size - 1, 1) - 1).float()
        for position, size in ((cols, width), (rows, height))
    ]
    lattice = torch.stack(scaled, dim=-1).reshape(1, 1, -1, 2)
    values = functional.grid_sample(
        pixels[None, None], lattice, mode="bilinear", padding_mode="border", align_corners=True
    )
    return values.reshape(rows.shape)


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
    return corner_row, corner_col, (rows - corner_row).float(), (cols - corner_col).float()


def _accumulate(
    image: SplineImage,
    row: Tensor,
    col: Tensor,
    row_weights: list[Tensor],
    col_weights: list[Tensor],
) -> Tensor:
    height, width = image.shape
    row, col = row.long(), col.long()
    flat = image.coefficients.reshape(-1)
    columns = [(col + j).clamp(0, width - 1) for j in range(-1, 3)]
    value = torch.zeros_like(row_weights[0])
    for i in range(4):
        start = (row + (i - 1)).clamp(0, height - 1) * width
        line = torch.zeros_like(value)
        for j in range(4):
            line.addcmul_(flat.take(start + columns[j]), col_weights[j])
        value.addcmul_(line, row_weights[i])
    return value


def _known(image: SplineImage, row: Tensor, col: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    height, width = image.shape
    inside = (rows >= 0) & (rows <= height - 1) & (cols >= 0) & (cols <= width - 1)
    if image.complete:
        return inside
    index = row.clamp(0, height - 1).long() * width + col.clamp(0, width - 1).long()
    return inside & image.valid.reshape(-1).take(index)
