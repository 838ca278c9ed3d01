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
    line : (N, 3) or (N, R, 3) float64 Tensor, optional
        Row and col of a unit normal, and a distance: of each template only the offsets from its
        centre count that are at least so far along the normal. All do by default. There may be
        one for each of R rotations.
    """

    start: Tensor
    half_width: int
    line: Tensor | None = None

    def offsets(self) -> Tensor:
        """Row, col (K, 2) float64 of the pixels from the centre, row by row."""
        device = self.start.device
        steps = torch.arange(
            -self.half_width, self.half_width + 1, dtype=torch.float64, device=device
        )
        return torch.cartesian_prod(steps, steps)

    def counting(self, turn: Tensor) -> Tensor | None:
        """Which pixels (N, R, K) count where offsets are turned (N, R, 2, 2); None if all do."""
        if self.line is None:
            return None
        line = self.line if self.line.ndim == 3 else self.line[:, None]
        normal = (turn.mT @ line[..., :2, None])[..., 0]
        return normal @ self.offsets().T >= line[..., 2:]

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
        # Ice that turned by +a shows, at offset d in the target, what was at -a turned d.
        turn = turns(-rotations)
        centre = (self.start - middle + reach)[:, None, :, None].expand(*turn.shape[:3], 1)
        values, known = patches.read(self.offsets().float(), torch.cat([turn, centre], dim=3))
        counting = self.counting(turn)
        if counting is not None:
            known = counting if known is None else known & counting
            values = values.where(known, 0.0)
        square = (*rotations.shape, *[2 * self.half_width + 1] * 2)
        return values.reshape(square), None if known is None else known.reshape(square)


def farthest_corner(rotations: Tensor) -> float:
    """How far the corners of turned squares of half width 1 reach along an axis, 1 to root 2."""
    reach = torch.cos(rotations).abs() + torch.sin(rotations).abs()
    return float(reach.max()) if reach.numel() else 1.0


def turns(angle: Tensor) -> Tensor:
    """Matrices (..., 2, 2) that turn row, col counter-clockwise on the map by ``angle`` (...).

    Radians. Rows grow southward, so a counter-clockwise turn on the map takes +col to -row.
    """
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([cosine, -sine], dim=-1), torch.stack([sine, cosine], dim=-1)
    return torch.stack(rows, dim=-2)
