"""Templates: squares of the source image around points, whole or cut along a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.matching.sampling import Band, Patches


@dataclass(frozen=True)
class Templates:
    """Squares around N points of the source.

    Attributes
    ----------
    start : (N, 2) float64 Tensor
        Row, col of their centres.
    half_width : int
        Pixels.
    line : (N, 3) float64 Tensor, optional
        Row and col of a unit normal, and a distance: of each template only the offsets from its
        centre count that are at least so far along the normal. All do by default.
    """

    start: Tensor
    half_width: int
    line: Tensor | None = None

    def offsets(self) -> tuple[Tensor, Tensor]:
        """Row and column (T, T) float64 of the pixels from the centre."""
        device = self.start.device
        steps = torch.arange(
            -self.half_width, self.half_width + 1, dtype=torch.float64, device=device
        )
        rows, cols = torch.meshgrid(steps, steps, indexing="ij")
        return rows, cols

    def counting(self, rows: Tensor, cols: Tensor) -> Tensor | None:
        """Which offsets (N, ...) or (...) from the centres count, (N, ...); None if all do."""
        if self.line is None:
            return None
        shape = (-1,) + (1,) * (max(rows.ndim, 3) - 1)
        row, col, distance = (part.reshape(shape).to(rows) for part in self.line.unbind(dim=1))
        return row * rows + col * cols >= distance

    def turned(self, source: Band, rotations: Tensor) -> tuple[Tensor, Tensor | None]:
        """Templates as the ice would look after each rotation.

        Parameters
        ----------
        source : Band
            Image they are cut from.
        rotations : (N, R) float64 Tensor
            Radians, counter-clockwise on the map.

        Returns
        -------
        values : (N, R, T, T) float32 Tensor
        known : (N, R, T, T) bool Tensor or None
            None where all are known and count.
        """
        middle = torch.floor(self.start + 0.5)
        reach = int(np.ceil(self.half_width * farthest_corner(rotations) + 0.5))
        patches = Patches.around(source, middle, reach)
        rows, cols = self.offsets()
        # Ice that turned by +a shows, at offset d in the target, what was at -a turned d.
        turned = rotated(rows.float(), cols.float(), -rotations.reshape(-1).float())
        shape = (*rotations.shape, *rows.shape)
        row, col = (at.reshape(shape) for at in turned)
        offset = (self.start - middle + reach).float()[:, None, None, None, :]
        values, known = patches.sample(row + offset[..., 0], col + offset[..., 1])
        counting = self.counting(row, col)
        if counting is None:
            return values, known
        known = counting if known is None else known & counting
        return torch.where(known, values, 0.0), known


def farthest_corner(rotations: Tensor) -> float:
    """How far the corners of turned squares of half width 1 reach along an axis, 1 to root 2."""
    reach = torch.cos(rotations).abs() + torch.sin(rotations).abs()
    return float(reach.max()) if reach.numel() else 1.0


def rotated(rows: Tensor, cols: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (N, ...) turned counter-clockwise on the map by ``angle`` (N,), radians.

    Rows grow southward, so a counter-clockwise turn on the map takes +col to -row.
    """
    shape = (-1,) + (1,) * rows.ndim
    cosine, sine = torch.cos(angle).reshape(shape), torch.sin(angle).reshape(shape)
    return cosine * rows - sine * cols, sine * rows + cosine * cols
