"""Templates of which one half is found and the other is not, or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.correlation import PIXELS_PER_SAMPLE, correlate_each
from lagrangian_ice.matching.parting import LEAST, MOST, parted, standardised
from lagrangian_ice.matching.refine import Bands
from lagrangian_ice.matching.templates import Templates

CUTS, SEARCH = 4, 8
"""Ways in which a template is cut through its middle, and pixels that the halves may part."""
AHEAD = 2.0
"""Pixels from the middle where the half begins that is aligned by itself."""
UNLIKE = 0.4
"""By which the correlations of two halves differ where only one is ice of the motion found."""
CHUNK, HALVED_CHUNK = 32, 8
"""Templates worked on at once: where they are asked, and where their halves are aligned."""

Bool = NDArray[np.bool_]


def torn(bands: Bands, start: Float, end: Float, rotation: Float, half_width: int) -> Bool:
    """Whether one half of templates is seen again where they were found, and the other less so.

    Parameters
    ----------
    bands : Bands
        Both images.
    start, end : (N, 2) float64
        Row, col in the source, and in the target where the whole template was found.
    rotation : (N,) float64
        Degrees counter-clockwise, with which it was found.
    half_width : int
        Of the template, pixels.

    Returns
    -------
    (N,) bool
        Whether the correlations of two halves differ by more than ``UNLIKE``.
    """

    def apart(first: Tensor, second: Tensor) -> Tensor:
        r = _correlation_of_halves(first, second, half_width)
        return (r[:, 0] - r[:, 1]).abs().amax(dim=1)

    return np.asarray(_asked(bands, (start, end, rotation), half_width, apart) > UNLIKE)


def seen_again(bands: Bands, start: Float, end: Float, rotation: Float, half_width: int) -> Float:
    """Say how sure it is that the middle of templates is ice that is seen where they were found.

    A correlation of half a template may find it, and the parcel be in the other half.

    Parameters
    ----------
    bands, start, end, rotation, half_width
        As of :func:`torn`.

    Returns
    -------
    (N,) float64
        Logarithm of the odds, over all straight lines that could part what is seen again.
    """

    def odds(first: Tensor, second: Tensor) -> Tensor:
        best = _correlation_of_halves(first, second, half_width).flatten(1).amax(dim=1)
        r = best.clamp(LEAST, MOST)[:, None]
        left = (first - r * second) ** 2 / (1 - r**2) + torch.log1p(-(r**2))
        evidence = (first**2 - left) / (2 * PIXELS_PER_SAMPLE)
        # What is missing in either says nothing.
        evidence[(first == 0) | (second == 0)] = 0.0
        return parted(evidence, half_width).odds

    return _asked(bands, (start, end, rotation), half_width, odds)


def _asked(
    bands: Bands,
    places: tuple[Float, Float, Float],
    half_width: int,
    question: Callable[[Tensor, Tensor], Tensor],
) -> Float:
    """Ask one number (N,) of the templates (N, K) in both images, some at a time."""

    def answers(part: slice) -> Float:
        start, end, rotation = (values[part] for values in places)
        first, second = _looks(bands, (start, end, rotation), half_width)
        return np.asarray(question(first, second).numpy())

    return np.concatenate(list(thread_map(answers, chunks(len(places[0]), CHUNK))))


def _looks(
    bands: Bands, places: tuple[Float, Float, Float], half_width: int
) -> tuple[Tensor, Tensor]:
    """Templates (N, K) in both images, standardised: at the start, and turned at the end."""
    start, end, rotation = (torch.from_numpy(values) for values in places)
    turn = torch.deg2rad(rotation)
    first = standardised(
        bands.source_filtered, Templates(start, half_width), torch.zeros_like(turn)
    )
    return first, standardised(bands.target_filtered, Templates(end, half_width), -turn)


def _correlation_of_halves(first: Tensor, second: Tensor, half_width: int) -> Tensor:
    """Correlate templates (N, K) over the pixels of each half, (N, 2, CUTS)."""
    parts = _cuts(half_width).flatten(0, 1).T

    def mean(values: Tensor) -> Tensor:
        return values @ parts / parts.sum(dim=0)

    f, g = mean(first), mean(second)
    power = (mean(first**2) - f**2) * (mean(second**2) - g**2)
    r = (mean(first * second) - f * g) * torch.rsqrt(power.clamp_min(1e-6))
    return r.reshape(len(first), 2, CUTS)


def halves_apart(bands: Bands, start: Float, end: Float, rotation: Float, half_width: int) -> Float:
    """Say where the two halves of templates were found that no one motion explains.

    Each is cut through its middle in ``CUTS`` ways; of that which explains most, both halves are
    aligned by themselves.

    Parameters
    ----------
    bands, start, end, rotation, half_width
        As of :func:`torn`.

    Returns
    -------
    (N, 2, 2) float64
        Row, col of both in the target; NaN where one has no peak.
    """
    if len(start) == 0:
        return np.empty((0, 2, 2))
    lines = torch.cat([_normals(), torch.full((2, CUTS, 1), AHEAD, dtype=torch.float64)], dim=2)
    lines = lines.flatten(0, 1)

    def aligned(part: slice) -> Float:
        middle, guess = (torch.from_numpy(at[part]) for at in (start, end))
        angle = torch.deg2rad(torch.from_numpy(rotation[part]))
        points = len(middle)
        halves = Templates(middle, half_width, lines.expand(points, -1, -1))
        turned = angle[:, None].expand(-1, len(lines))
        peak = correlate_each(bands.source, bands.target, halves, guess, turned, SEARCH)
        known = torch.isfinite(peak.correlation) & ~peak.at_edge
        position = torch.where(known[:, None], peak.position, torch.nan)
        left = torch.log1p(-(peak.correlation.nan_to_num().clamp(0, MOST) ** 2))
        best = left.reshape(points, 2, CUTS).sum(dim=1).argmin(dim=1)
        return position.reshape(points, 2, CUTS, 2)[torch.arange(points), :, best].numpy()

    return np.concatenate(list(thread_map(aligned, chunks(len(start), HALVED_CHUNK))))


def _normals() -> Tensor:
    """Make unit vectors (2, CUTS, 2) across the cuts through a template, and against them."""
    angles = np.pi / CUTS * np.arange(CUTS)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return torch.from_numpy(np.stack([normals, -normals]))


@lru_cache(maxsize=4)
def _cuts(half_width: int) -> Tensor:
    """Halves (2, CUTS, K) float32 of a template: 1 where a pixel is ahead of the cut."""
    offsets = Templates(torch.empty(0, 2), half_width).offsets()
    return (_normals() @ offsets.T > 0).float()
