"""On which side of a crack a parcel is, where its template holds ice of two motions.

A correlation follows the larger part of a template, and the parcel in its middle may be on the
other. Each motion that meets around the parcel is aligned by itself, with that half of the
template that lies towards it; then the straight line is sought along which the template, cut in
two, is explained best, and with it the side of the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.correlation import PIXELS_PER_SAMPLE, correlate
from lagrangian_ice.matching.parting import LEAST, MOST, parted, standardised
from lagrangian_ice.matching.refine import Bands
from lagrangian_ice.matching.rows import Rows
from lagrangian_ice.matching.templates import Templates
from lagrangian_ice.settings import MccSettings

SEARCH = 6
"""Pixels around a motion's prediction in which it is aligned."""
AHEAD = 2.0
"""Pixels from the parcel towards the ice of a motion where the half begins that aligns it."""
SAME = 1.5
"""Pixels; motions that differ by less are one."""
CHUNK = 64


@dataclass(frozen=True)
class Sides(Rows):
    """Side of N parcels.

    Attributes
    ----------
    position : (N, 2) float64
        Row, col in the target, of the side's motion.
    rotation : (N,) float64
        Degrees counter-clockwise.
    line : (N, 3) float64
        Cuts the template; see :class:`~lagrangian_ice.matching.templates.Templates`.
    odds : (N,) float64
        Logarithm of the odds of this side; NaN where no two motions differ.
    favoured : (N,) float64
        The same, for the verdict: if it is the first motion's side, that nothing parts the
        template is likelier by what chance alone makes of a rival.
    apart : (N, 2) float64
        Row, col from the position to where the strongest rival leads.
    """

    position: Float
    rotation: Float
    line: Float
    odds: Float
    favoured: Float
    apart: Float

    def spread(self) -> Float:
        """Covariance (N, 2, 2) of row and col, px2, as the other side may be the right one."""
        right = 1 / (1 + np.exp(-self.odds))
        outer = self.apart[:, :, None] * self.apart[:, None, :]
        return np.asarray((right * (1 - right))[:, None, None] * outer)

    def share(self, half_width: int) -> Float:
        """Share (N,) of a template's pixels that are on the side."""
        steps = np.arange(-half_width, half_width + 1)
        row, col, distance = (part[:, None, None] for part in self.line.T)
        ahead = row * steps[:, None] + col * steps
        return np.asarray((ahead >= distance).mean(axis=(1, 2)))


@dataclass(frozen=True)
class Candidates(Rows):
    """M motions that N parcels may follow.

    Attributes
    ----------
    guess : (N, M, 2) float64
        Row, col in the target that each leads to; NaN where there are not so many.
    rotation : (N, M) float64
        Degrees counter-clockwise.
    towards : (N, M, 2) float64
        Row, col: unit vector towards the ice that follows it; 0 for a motion that was found with
        the whole template.
    """

    guess: Float
    rotation: Float
    towards: Float

    def beside(self, found: Float) -> Candidates:
        """With others (N, K, 2), turned as the first, that are where their ice was found.

        Those that lead somewhere come first, and there are no more than some parcel has.
        """
        guess = np.concatenate([self.guess, found], axis=1)
        turned = np.repeat(self.rotation[:, :1], found.shape[1], axis=1)
        rotation = np.concatenate([self.rotation, turned], axis=1)
        towards = np.concatenate([self.towards, np.zeros_like(found)], axis=1)
        known = np.isfinite(guess[..., 0])
        most = int(known.sum(axis=1).max(initial=1))
        order = np.argsort(~known, axis=1, kind="stable")[:, :most]
        rows = np.arange(len(guess))[:, None]
        return Candidates(guess[rows, order], rotation[rows, order], towards[rows, order])


def choose_sides(
    bands: Bands, start: Float, candidates: Candidates, settings: MccSettings
) -> Sides:
    """Say which motion each parcel follows.

    Parameters
    ----------
    bands : Bands
        Both images.
    start : (N, 2) float64
        Row, col in the source.
    candidates : Candidates
        Motions around them.
    settings : MccSettings
        Template and rotations.
    """

    def choose(part: slice) -> Sides:
        whole = Templates(torch.from_numpy(start[part]), settings.half_width)
        aligned = _Aligned.by_halves(bands, whole, candidates.take(part), settings)
        return _Duel.between(bands, whole, aligned).won(aligned)

    return Sides.joined(list(thread_map(choose, chunks(len(start), CHUNK))))


@dataclass(frozen=True)
class _Aligned:
    """Where M motions really lead N parcels.

    ``position`` (N, M, 2) row, col; ``rotation`` (N, M) radians; ``known`` (N, M).
    """

    position: Tensor
    rotation: Tensor
    known: Tensor

    @classmethod
    def by_halves(
        cls, bands: Bands, whole: Templates, candidates: Candidates, settings: MccSettings
    ) -> _Aligned:
        """Align each candidate by the half of the template that lies towards its ice.

        One that was found with the whole template is aligned already.
        """
        offsets = torch.deg2rad(torch.tensor(settings.rotations, dtype=torch.float64))
        position = torch.from_numpy(candidates.guess).nan_to_num()
        rotation = torch.deg2rad(torch.from_numpy(candidates.rotation))
        known = torch.from_numpy(np.isfinite(candidates.guess[..., 0]))
        towards = torch.from_numpy(candidates.towards).nan_to_num()
        lines = torch.cat([towards, torch.full_like(towards[..., :1], AHEAD)], dim=-1)
        loose = known & (towards != 0).any(dim=-1)
        for number in range(known.shape[1]):
            index = torch.nonzero(loose[:, number])[:, 0]
            if len(index) == 0:
                continue
            half = Templates(whole.start[index], whole.half_width, lines[index, number])
            angles = rotation[index, number, None] + offsets
            guess = position[index, number]
            peak = correlate(bands.source, bands.target, half, guess, angles, SEARCH)
            position[index, number], rotation[index, number] = peak.position, peak.rotation
            known[index, number] = torch.isfinite(peak.correlation)
        return cls(position, rotation, known)

    def looks(self, number: int, bands: Bands, whole: Templates) -> Tensor:
        """Templates (N, K) where one motion leads, standardised; 0 where it leads nowhere."""
        index = torch.nonzero(self.known[:, number])[:, 0]
        found = replace(whole, start=self.position[index, number])
        looks = torch.zeros(len(whole.start), len(whole.offsets()))
        looks[index] = standardised(bands.target_filtered, found, -self.rotation[index, number])
        return looks


@dataclass(frozen=True)
class _Duel:
    """Candidates against each other, NaN where there are no two.

    ``odds`` (N, M, M) of each over each, logarithms, and ``favoured`` (N, M, M) as in
    :class:`Sides`; ``lines`` (N, M, M, 3) that leave it its ice.
    """

    odds: Tensor
    favoured: Tensor
    lines: Tensor

    @classmethod
    def between(cls, bands: Bands, whole: Templates, aligned: _Aligned) -> _Duel:
        count, most = aligned.known.shape
        still = torch.zeros(count, dtype=torch.float64)
        first = standardised(bands.source_filtered, whole, still)
        seconds = [aligned.looks(number, bands, whole) for number in range(most)]
        odds = torch.full((count, most, most), torch.nan, dtype=torch.float64)
        favoured = odds.clone()
        lines = torch.zeros(count, most, most, 3, dtype=torch.float64)
        for a in range(most):
            for b in range(a + 1, most):
                apart = (aligned.position[:, a] - aligned.position[:, b]).norm(dim=1)
                both = aligned.known[:, a] & aligned.known[:, b]
                index = torch.nonzero(both & (apart > SAME))[:, 0]
                if len(index) == 0:
                    continue
                evidence = _evidence(first[index], seconds[a][index], seconds[b][index])
                found = parted(evidence, whole.half_width)
                odds[index, a, b], odds[index, b, a] = found.odds, -found.odds
                lines[index, a, b], lines[index, b, a] = found.mine, found.other
                chance = _chance(apart[index])
                ahead = found.favouring_unbroken(chance) if a == 0 else found.odds
                favoured[index, a, b], favoured[index, b, a] = ahead, -found.odds
        return cls(odds, favoured, lines)

    def won(self, aligned: _Aligned) -> Sides:
        """Take the candidate that stands best against its strongest rival, with their line."""
        filled = torch.where(torch.isnan(self.odds), torch.inf, self.odds)
        least, rival = filled.min(dim=2)
        odds, winner = torch.where(torch.isinf(least), -torch.inf, least).max(dim=1)
        rows = torch.arange(len(winner))
        other = rival[rows, winner]
        position = aligned.position[rows, winner]
        return Sides(
            position.numpy(),
            torch.rad2deg(aligned.rotation[rows, winner]).numpy(),
            self.lines[rows, winner, other].numpy(),
            torch.where(torch.isinf(odds), torch.nan, odds).numpy(),
            self.favoured[rows, winner, other].numpy(),
            (aligned.position[rows, other] - position).numpy(),
        )


def _chance(apart: Tensor) -> Tensor:
    """Logarithm (N,) of how much likelier chance makes a rival at distances (N,), pixels.

    It was put where it fits best, of as many independent places as are so near.
    """
    return torch.log1p(np.pi * apart**2 / PIXELS_PER_SAMPLE)


def _evidence(ice: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Logarithm (N, K) of how much likelier each pixel is to have moved to ``one``.

    Where a pixel of the source is seen again as g with the correlation r, it is normal about
    r g with variance ``1 - r^2``. Neighbours are not independent.
    """
    best = torch.maximum((ice * one).mean(dim=1), (ice * other).mean(dim=1))
    r = best.clamp(LEAST, MOST)[:, None]
    against = (ice - r * other) ** 2 - (ice - r * one) ** 2
    return against / (2 * (1 - r**2) * PIXELS_PER_SAMPLE)
