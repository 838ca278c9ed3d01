"""Straight lines that part a template in two, and on which side its middle is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

DIRECTIONS, STEP = 24, 1.0
"""Of the lines that are tried: how many normals, and pixels between lines."""
UNBROKEN = -2
"""Which of the ways to part a template leaves all of it to the first."""
LEAST, MOST = 0.2, 0.9
"""Correlation by which a motion is taken to explain its ice."""


def standardised(band: Band, templates: Templates, turn: Tensor) -> Tensor:
    """Templates (N, K) turned by angles (N,), radians: mean 0, spread 1, 0 where not known."""
    values, known = templates.turned(band, turn[:, None])
    flat = values[:, 0].flatten(1)
    if known is None:
        centred = flat - flat.mean(dim=1, keepdim=True)
        count = torch.full_like(flat[:, :1], flat.shape[1])
    else:
        mask = known[:, 0].flatten(1)
        count = mask.sum(dim=1, keepdim=True).clamp_min(1).to(flat)
        centred = torch.where(mask, flat - flat.sum(dim=1, keepdim=True) / count, 0.0)
    return centred * torch.rsqrt((centred**2).sum(dim=1, keepdim=True) / count + 1e-12)


@dataclass(frozen=True)
class Parted:
    """What all lines that could part N templates, and that none does, say together.

    Attributes
    ----------
    odds : (N,) float64 Tensor
        That the middle moved to the first, logarithm.
    unbroken : (N,) float64 Tensor
        Of these, that all of the template did.
    mine, other : (N, 3) float64 Tensor
        The likeliest lines that leave the middle to either.
    """

    odds: Tensor
    unbroken: Tensor
    mine: Tensor
    other: Tensor

    def favouring_unbroken(self, by: Tensor) -> Tensor:
        """Odds (N,) where that nothing parts it is likelier by so much (N,), logarithms."""
        return torch.logaddexp(self.odds, self.unbroken + torch.log(torch.expm1(by)))


def parted(evidence: Tensor, half_width: int) -> Parted:
    """Ask how templates are parted, each way as likely as the evidence (N, K) makes it."""
    masks, lines, prior = _half_planes(half_width)
    likelihood = (evidence @ masks.T).double() + prior
    holds = lines[:, 2] <= 0
    mine = torch.logsumexp(likelihood[:, holds], dim=1)
    other = torch.logsumexp(likelihood[:, ~holds], dim=1)
    kept = lines[holds][likelihood[:, holds].argmax(dim=1)]
    left = -lines[~holds][likelihood[:, ~holds].argmax(dim=1)]
    return Parted(mine - other, likelihood[:, UNBROKEN] - other, kept, left)


@lru_cache(maxsize=4)
def _half_planes(half_width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ways to part a template between two motions.

    Returns
    -------
    masks : (J, K) float32 Tensor
        1 where a pixel follows the first.
    lines : (J, 3) float64 Tensor
        Between the two; the last two ways leave all of it to one.
    prior : (J,) float64 Tensor
        Logarithm of the weight of each: that no line parts it counts as much as all lines.
    """
    reach = round(1.3 * half_width / STEP)
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    distances = (np.arange(-reach, reach) + 0.5) * STEP
    parting = [[np.cos(angle), np.sin(angle), d] for angle in angles for d in distances]
    whole = [[1.0, 0.0, -2.0 * half_width], [1.0, 0.0, 2.0 * half_width]]
    lines = torch.tensor(parting + whole, dtype=torch.float64)
    prior = torch.zeros(len(lines), dtype=torch.float64)
    prior[-2:] = np.log(len(parting) / 2)
    ahead = lines[:, :2] @ Templates(torch.empty(0, 2), half_width).offsets().T
    return (ahead >= lines[:, 2:]).float(), lines, prior
