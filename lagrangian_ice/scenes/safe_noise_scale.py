"""How far the noise tables of a cross-polarised band are off, found from its own pixels.

In every sub-swath the true thermal noise is the table's times a factor that the product does not
tell; in EW1 it is the largest part of what is left in HV. Where the noise changes across the swath
(it is humped within a sub-swath and steps at the seams) and the ice does not, the received power
shows the factor (the idea of Park et al. 2018). Here all sub-swaths are solved for at once: the
mean power of some hundred lines is ``sum of factor_j noise_j`` plus a polynomial across the whole
swath, which is the ice's own and has no step at the seams. The step that is left at a seam gives an
offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from lagrangian_ice.grid import Float

DEGREE = 4
"""Of the polynomial across the swath."""

PRIOR = 0.15
"""Standard deviation of the factors about 1 that is known beforehand."""

WEAK = 3.0
"""The same for the least squares alone, to keep them solvable."""

CONTRAST = 0.15
"""Share of the power by which ice of some kilometres differs from the polynomial."""

LIMITS = (0.7, 1.4)
"""Of a factor: what is further off is not the noise."""

OFFSET_LIMIT = 0.3
"""Of an offset, as a share of the noise."""

OFFSET_PRIOR = 0.05
"""Standard deviation of the steps that is known beforehand, as a share of the noise."""

_BRIGHT = 30.0
_SEAM_BINS = 10
_ROUNDS = 6
_GROUPS = 10
_LEAST_BINS = 12
_LEAST_CHUNKS = 3


@dataclass(frozen=True)
class Profiles:
    """Mean power and noise of chunks of lines, in bins across the swath.

    Attributes
    ----------
    power, noise : (chunks, bins) float64
        As sigma nought, linear; NaN where nothing was received.
    position : (bins,) float64
        Across the swath, -1 to 1.
    swath : (chunks, bins) int64
        Number of the sub-swath, or -1 where a bin lies on a seam.
    count : int
        Of sub-swaths.
    """

    power: Float
    noise: Float
    position: Float
    swath: NDArray[np.int64]
    count: int


@dataclass(frozen=True)
class NoiseScale:
    """Correction of one sub-swath.

    Attributes
    ----------
    factor : float
        On the noise of the table.
    offset : float
        Sigma nought (linear) to be taken off besides.
    """

    factor: float
    offset: float


def fit_noise_scales(profiles: Profiles) -> list[NoiseScale]:
    """Factor and offset of each sub-swath; 1 and 0 where there is too little to tell."""
    used = _used(profiles)
    if used.any(axis=1).sum() < _LEAST_CHUNKS:
        return [NoiseScale(1.0, 0.0)] * profiles.count
    factors = np.clip(_factors(profiles, used), *LIMITS)
    rest = profiles.power - factors[np.maximum(profiles.swath, 0)] * profiles.noise
    offsets = _offsets(profiles, np.where(used, rest, np.nan))
    limit = OFFSET_LIMIT * float(np.median(profiles.noise[used]))
    return [
        NoiseScale(float(factor), float(np.clip(offset, -limit, limit)))
        for factor, offset in zip(factors, offsets, strict=True)
    ]


def _used(profiles: Profiles) -> NDArray[np.bool_]:
    """Bins of ice and water within one sub-swath, in chunks that have enough of them."""
    with np.errstate(invalid="ignore"):
        used = (profiles.swath >= 0) & np.isfinite(profiles.power) & (profiles.noise > 0)
        used &= profiles.power < _BRIGHT * profiles.noise
    used[used.sum(axis=1) < _LEAST_BINS * max(profiles.count, 2)] = False
    return used


def _factors(profiles: Profiles, used: NDArray[np.bool_]) -> Float:
    """Least squares over all chunks, each with a polynomial of its own, drawn to 1.

    The ice's own contrast is alike from bin to bin and from chunk to chunk: the error of the
    factors is that of groups of chunks (White's sandwich), and they are trusted against what is
    known beforehand as far as it allows.
    """
    parts = _reduced(profiles, used)
    scales = [np.ones(len(part)) for part in parts]
    weak = np.eye(profiles.count) / WEAK**2
    for _ in range(_ROUNDS):
        scaled = [part * scale[:, None] for part, scale in zip(parts, scales, strict=True)]
        normal = weak + sum(part[:, :-1].T @ part[:, :-1] for part in scaled)
        right = weak.sum(axis=1) + sum(part[:, :-1].T @ part[:, -1] for part in scaled)
        factors = np.linalg.solve(normal, right)
        residuals = [part[:, -1] - part[:, :-1] @ factors for part in parts]
        limit = 2.5 * float(np.median(np.abs(np.concatenate(residuals)))) + 1e-9
        scales = [np.sqrt(limit / np.maximum(np.abs(r), limit)) for r in residuals]
    scores = [part[:, :-1].T @ (part[:, -1] - part[:, :-1] @ factors) for part in scaled]
    groups = [np.sum(group, axis=0) for group in _grouped(scores)]
    inverse = np.linalg.inv(normal)
    shared = len(groups) / max(len(groups) - 1, 1)
    covariance = shared * inverse @ sum(np.outer(g, g) for g in groups) @ inverse
    prior = PRIOR**2 * np.eye(profiles.count)
    trust = prior @ np.linalg.inv(prior + covariance)
    return np.asarray(1.0 + trust @ (factors - 1.0))


def _reduced(profiles: Profiles, used: NDArray[np.bool_]) -> list[Float]:
    """Noise in the sub-swaths and power (bins, count + 1) of chunks, less their polynomials."""
    design = legendre.legvander(profiles.position, DEGREE)
    parts = []
    for chunk in np.flatnonzero(used.any(axis=1)):
        own = used[chunk]
        columns = np.zeros((int(own.sum()), profiles.count + 1))
        columns[np.arange(len(columns)), profiles.swath[chunk, own]] = profiles.noise[chunk, own]
        columns[:, -1] = profiles.power[chunk, own]
        weight = 1.0 / (CONTRAST * profiles.power[chunk, own])[:, None]
        parts.append(_without(design[own] * weight, columns * weight))
    return parts


def _grouped(scores: list[Float]) -> list[list[Float]]:
    edges = np.linspace(0, len(scores), min(_GROUPS, len(scores)) + 1).astype(int)
    return [scores[first:stop] for first, stop in pairwise(edges)]


def _without(basis: Float, columns: Float) -> Float:
    """Return what of columns a basis does not explain."""
    q, _ = np.linalg.qr(basis)
    return np.asarray(columns - q @ (q.T @ columns))


def _offsets(profiles: Profiles, rest: Float) -> Float:
    """Add up the steps at the seams; their mean over the swath is zero."""
    offsets = np.zeros(profiles.count)
    level = float(np.nanmedian(profiles.noise))
    for left in range(profiles.count - 1):
        steps = [
            _step(profiles.position, rest[chunk], profiles.swath[chunk], left)
            for chunk in range(len(rest))
        ]
        known = np.array([step for step in steps if np.isfinite(step)])
        step = _trusted_mean(known, OFFSET_PRIOR * level) if known.size >= _LEAST_CHUNKS else 0.0
        offsets[left + 1] = offsets[left] + step
    width = np.bincount(profiles.swath[profiles.swath >= 0], minlength=profiles.count)
    return np.asarray(offsets - np.average(offsets, weights=np.maximum(width, 1)))


def _step(position: Float, rest: Float, swath: NDArray[np.int64], left: int) -> float:
    """Right less left of a seam, each a straight line through the bins next to it."""
    ends = []
    for number, side in ((left, slice(-_SEAM_BINS, None)), (left + 1, slice(0, _SEAM_BINS))):
        own = np.flatnonzero((swath == number) & np.isfinite(rest))[side]
        if own.size < _SEAM_BINS:
            return np.nan
        ends.append((position[own], rest[own]))
    seam = 0.5 * (ends[0][0][-1] + ends[1][0][0])
    values = [float(np.polyval(np.polyfit(x - seam, y, 1), 0.0)) for x, y in ends]
    return values[1] - values[0]


def _trusted_mean(values: Float, prior: float) -> float:
    """Median, drawn to 0 as far as its error allows."""
    median = float(np.median(values))
    error = 1.4826 * float(np.median(np.abs(values - median))) * 1.25 / np.sqrt(len(values))
    return float(median * prior**2 / (prior**2 + error**2))


def sub_swath_of_bins(
    bounds: Sequence[Sequence[tuple[slice, slice]]], line: int, edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give the sub-swath (bins,) that bins between column edges lie in, -1 on seams.

    Parameters
    ----------
    bounds : sequence of sequences of (slice, slice)
        Rows and columns of the parts of each sub-swath.
    line : int
        Row that is looked at.
    edges : (bins + 1,) int64
        First columns of the bins, and the one after the last.
    """
    swath = np.full(len(edges) - 1, -1, dtype=np.int64)
    for number, parts in enumerate(bounds):
        for rows, cols in parts:
            if rows.start <= line < rows.stop:
                swath[(edges[:-1] >= cols.start) & (edges[1:] <= cols.stop)] = number
    return swath
