"""Patches of an image around points, read at exact fractional positions by cubic B-splines.

All of it is a few products of matrices over a stack of patches: its cost goes with the number of
points, not with the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_POLE = np.sqrt(3.0) - 2.0
MARGIN = 9
"""Pixels beyond a patch that the spline's prefilter sees; the pole's 9th power is 7e-6."""
NEGLIGIBLE = 1e-12
"""Weight of a pixel in a spline that float32 cannot tell from none."""
FINE = 4
"""Spline values per pixel, between which a patch is read linearly."""


@dataclass(frozen=True)
class Band:
    """One band of an image, ready to be cut into patches.

    Attributes
    ----------
    pixels : (rows, cols) float32 Tensor
        Less their mean, which correlation does not see; 0 where there is no data.
    present : (rows, cols) bool Tensor
        Pixels with data.
    complete : bool
        Whether all have data.
    """

    pixels: Tensor
    present: Tensor
    complete: bool

    @classmethod
    def of(cls, pixels: NDArray[np.float32], device: str = "cpu") -> Band:
        """Take a band (rows, cols); NaN is no data."""
        present = np.isfinite(pixels)
        complete = bool(present.all())
        mean = np.float32(pixels[present].mean()) if present.any() else np.float32(0)
        centred = pixels - mean if complete else np.where(present, pixels - mean, np.float32(0))
        return cls(
            torch.from_numpy(centred).to(device), torch.from_numpy(present).to(device), complete
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return (self.pixels.shape[0], self.pixels.shape[1])

    def cut(self, corner: Tensor, size: int) -> tuple[Tensor, Tensor | None]:
        """Squares (N, size, size) from their first row and column (N, 2), whole numbers.

        Returns
        -------
        values : (N, size, size) float32 Tensor
            0 where there is no data, and outside.
        known : (N, size, size) bool Tensor or None
            Where there is data; None where all have.
        """
        if len(corner) and self._contains(corner, size):
            values = _squares(self.pixels, corner, size)
            if bool((self._count(corner, size) == size**2).all()):
                return values, None
            return values, _squares(self.present, corner, size)
        height, width = self.shape
        steps = torch.arange(size, device=corner.device)
        rows, cols = corner[:, :1] + steps, corner[:, 1:] + steps
        index = rows.clamp(0, height - 1)[:, :, None] * width + cols.clamp(0, width - 1)[:, None, :]
        known = self.present.reshape(-1).take(index)
        row_inside, col_inside = (
            (at >= 0) & (at < limit) for at, limit in ((rows, height), (cols, width))
        )
        known &= row_inside[:, :, None] & col_inside[:, None, :]
        return torch.where(known, self.pixels.reshape(-1).take(index), 0.0), known

    def share(self, centre: Tensor, half_width: int) -> Tensor:
        """Share (N,) of the pixels with data in squares around positions (N, 2), row and col."""
        size = 2 * half_width + 1
        return self._count(torch.floor(centre + 0.5).long() - half_width, size) / size**2

    def _contains(self, corner: Tensor, size: int) -> bool:
        """Whether all squares lie in the image."""
        limit = torch.tensor(self.shape, device=corner.device)
        return bool(((corner >= 0) & (corner + size <= limit)).all())

    def _count(self, corner: Tensor, size: int) -> Tensor:
        """Pixels (N,) with data in squares."""
        limit = torch.tensor(self.shape, device=corner.device)
        top, left = corner.clamp_min(0).minimum(limit).unbind(dim=1)
        bottom, right = (corner + size).clamp_min(0).minimum(limit).unbind(dim=1)
        sums = self._sums
        return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]

    @cached_property
    def _sums(self) -> Tensor:
        """Pixels (rows + 1, cols + 1) with data above and to the left of each corner."""
        sums = cv2.integral(self.present.cpu().numpy().view(np.uint8))
        return torch.from_numpy(sums).to(self.present.device)


def _squares(values: Tensor, corner: Tensor, size: int) -> Tensor:
    """Squares (N, size, size) that lie in an image (rows, cols)."""
    row, col = corner.unbind(dim=1)
    squares: Tensor = values.unfold(0, size, 1).unfold(1, size, 1)[row, col]
    return squares


@dataclass(frozen=True)
class Patches:
    """Squares of a band around N points, interpolated to ``FINE`` values per pixel.

    Attributes
    ----------
    corner : (N, 2) int64 Tensor
        Row, col of the first value of each.
    fine : (N, F, F) float32 Tensor
        Values of the spline.
    known : (N, S, S) float32 Tensor or None
        1 where a pixel has data, 0 elsewhere; None where all have.
    """

    corner: Tensor
    fine: Tensor
    known: Tensor | None

    @classmethod
    def around(cls, band: Band, centre: Tensor, half_width: int) -> Patches:
        """Cut squares of ``2 half_width + 1`` pixels around whole-pixel centres (N, 2).

        What has no data is bridged by the mean of the rest of its patch.
        """
        corner = centre.long() - half_width
        size = 2 * half_width + 1
        values, known = band.cut(corner - MARGIN, size + 2 * MARGIN)
        if known is not None:
            values = bridged(values, known)
            known = known[:, MARGIN:-MARGIN, MARGIN:-MARGIN].float()
        matrix = _spline_matrix(size).to(values)
        return cls(corner, matrix @ (values @ matrix.T), known)

    def take(self, index: Tensor) -> Patches:
        """Take some of the patches."""
        known = None if self.known is None else self.known[index]
        return Patches(self.corner[index], self.fine[index], known)

    def read(self, offsets: Tensor, warp: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read values at affine warps of offsets.

        Parameters
        ----------
        offsets : (K, 2) float32 Tensor
            Row, col.
        warp : (N, R, 2, 3) Tensor
            Takes them, R times for each patch, to row, col in pixels from its corner.

        Returns
        -------
        values : (N, R, K) float32 Tensor
            0 where not known.
        known : (N, R, K) bool Tensor or None
            Whether the 2 x 2 pixels around have data and the patch reaches so far; None where
            all are known.
        """
        side = (self.fine.shape[1] - 1) // FINE
        # The whole of each patch lies between -1 and 1; columns come first.
        scaled = warp.float().flip(2) * (2.0 / side)
        scaled[..., 2] -= 1.0
        lattice = _products(scaled, offsets)
        values = _bilinear(self.fine, lattice)
        farthest = scaled[..., :2].abs() @ offsets.abs().amax(dim=0) + scaled[..., 2].abs()
        if self.known is None and bool((farthest <= 1.0).all()):
            return values, None
        known = lattice.abs().amax(dim=-1) <= 1.0
        if self.known is None:
            return (values, None) if bool(known.all()) else (values.where(known, 0.0), known)
        known &= _bilinear(self.known, lattice) > 1.0 - 1e-4
        return values.where(known, 0.0), known


def _products(warp: Tensor, offsets: Tensor) -> Tensor:
    """Positions (N, R, K, 2) of offsets (K, 2) under warps (N, R, 2, 3), by one product."""
    homogeneous = torch.cat([offsets.T, torch.ones_like(offsets[None, :, 0])])
    positions = warp.reshape(-1, 3) @ homogeneous
    return positions.reshape(*warp.shape[:3], len(offsets)).mT


def _bilinear(images: Tensor, lattice: Tensor) -> Tensor:
    """Values (N, R, K) of images (N, F, F) at x, y (N, R, K, 2), -1 to 1 from side to side."""
    values: Tensor = functional.grid_sample(
        images[:, None], lattice, mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[:, 0]


def bridged(values: Tensor, known: Tensor) -> Tensor:
    """Values (N, ...) in which what is not known is the mean of what is, patch by patch."""
    axes = tuple(range(1, values.ndim))
    count = known.sum(dim=axes, keepdim=True).clamp_min(1)
    mean = torch.where(known, values, 0.0).sum(dim=axes, keepdim=True) / count
    return torch.where(known, values, mean)


@lru_cache(maxsize=64)
def _spline_matrix(size: int) -> Tensor:
    """From ``size + 2 MARGIN`` pixels to ``FINE (size - 1) + 1`` values of their spline."""
    positions = np.arange(FINE * (size - 1) + 1) / FINE + MARGIN
    coefficients = np.arange(size + 2 * MARGIN)
    distance = np.abs(positions[:, None] - coefficients[None, :])
    basis = np.where(
        distance < 1,
        2 / 3 - distance**2 + distance**3 / 2,
        np.where(distance < 2, (2 - distance) ** 3 / 6, 0.0),
    )
    return _weights(basis @ _prefilter(size + 2 * MARGIN))


@lru_cache(maxsize=16)
def slope_matrix(size: int, margin: int) -> Tensor:
    """From ``size + 2 margin`` pixels to the slope of their spline at the ``size`` inner ones."""
    prefilter = _prefilter(size + 2 * margin)
    inner = np.arange(margin, margin + size)
    return _weights((prefilter[inner + 1] - prefilter[inner - 1]) / 2)


def _weights(matrix: NDArray[np.float64]) -> Tensor:
    """Take a matrix to float32 without what is negligible in it.

    A spline's tails fall below what float32 holds as a normal number: that adds nothing, and
    products with such numbers take Intel's processors ten times as long.
    """
    return torch.from_numpy(np.where(np.abs(matrix) > NEGLIGIBLE, matrix, 0.0)).float()


def _prefilter(size: int) -> NDArray[np.float64]:
    """Matrix of the interpolating cubic B-spline's coefficients (Unser 1999)."""
    distance = np.abs(np.arange(size)[:, None] - np.arange(size)[None, :])
    return np.asarray(-6 * _POLE / (1 - _POLE**2) * _POLE**distance)
