"""From first guess to a fraction of a pixel: correlation, then the affine fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching import matched_filter
from lagrangian_ice.matching.affine_fit import AffineFit, colour_factor, fit_affine
from lagrangian_ice.matching.correlation import Peak, correlate
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates
from lagrangian_ice.settings import MccSettings

CHUNK = 128
"""Points worked on at once: fewer, and the calls cost more than the work."""
LARGEST_RADIUS = 48
FILTER_PLACES, COLOUR_PLACES = 128, 48
"""That the filter and the noise's colour are measured at, at most. The colour is a median, and
costs as much as to refine so many points."""
FILTER_HALF_WIDTH, FILTER_RADIUS = 16, 10
FILTER_LEAST_CORRELATION = 0.3
FILTER_NEAR = 4.0
"""Pixels from where a place was matched that it must be found again; chance finds one in ten."""
VARIANCE_SCALE = 0.92
"""Stated over formal variance, the noise's colour included: the value for which 68 % of the errors
lie within one sigma over easy, medium and hard known motion of real and simulated textures."""


@dataclass(frozen=True)
class Refined:
    """Refinement of N points; positions in target pixels.

    Attributes
    ----------
    position : (N, 2) float64
        Row, col in the target.
    matrix : (N, 2, 2) float64
        Template offsets (row, col) to target offsets.
    covariance : (N, 2, 2) float64
        Of row, col, px2.
    correlation, discounted, ratio : (N,) float64
        Correlation, what of it is left so far from the guess, and second peak over that.
    overlap : (N,) float64
        Share of the template's pixels that count with data in both.
    at_edge, converged : (N,) bool
        Peak on the border of the search; fit came to rest near it.
    """

    position: Float
    matrix: Float
    covariance: Float
    correlation: Float
    discounted: Float
    ratio: Float
    overlap: Float
    at_edge: NDArray[np.bool_]
    converged: NDArray[np.bool_]


@dataclass(frozen=True)
class Bands:
    """One band of both images, as it is and filtered for the fit.

    Attributes
    ----------
    source, target, source_filtered, target_filtered : Band
        Of both images.
    colour : float
        Of the noise.
    agreement : float
        Share of the matched places found again in this band that are where they were matched:
        0 where the band shows something else than ice, or nothing.
    """

    source: Band
    target: Band
    source_filtered: Band
    target_filtered: Band
    colour: float
    agreement: float

    @classmethod
    def prepare(
        cls,
        source: NDArray[np.float32],
        target: NDArray[np.float32],
        places: tuple[Float, Float, Float],
    ) -> Bands:
        """Take two bands and make their filtered copies.

        Parameters
        ----------
        source, target : (rows, cols) float32
            NaN is no data.
        places : tuple
            Row, col (M, 2) in the source and in the target, and rotation (M,) in radians, of
            matched places that the filter is measured at.
        """
        first, second = thread_map(Band.of, (source, target))
        if len(places[0]) == 0:
            return cls(first, second, first, second, 1.0, 0.0)
        found, agreement = _found_again(first, second, places)
        kernel = matched_filter.measure(first, second, *found)
        if kernel is None:
            return cls(first, second, first, second, 1.0, agreement)
        both = thread_map(lambda band: matched_filter.apply(band, kernel), (first, second))
        first_filtered, second_filtered = both
        colour = colour_factor(first_filtered, second_filtered, *_some(found))
        return cls(first, second, first_filtered, second_filtered, colour, agreement)


def _found_again(
    source: Band, target: Band, places: tuple[Float, Float, Float]
) -> tuple[tuple[Templates, Tensor, Tensor], float]:
    """Templates, positions and rotations of the places found again, and how many are there."""
    start, guess, rotation = (torch.from_numpy(p) for p in places)
    templates = Templates(start, FILTER_HALF_WIDTH)
    peak = correlate(source, target, templates, guess, rotation[:, None], FILTER_RADIUS)
    good = (peak.correlation > FILTER_LEAST_CORRELATION) & ~peak.at_edge
    near = (peak.position - guess).norm(dim=1)[good] <= FILTER_NEAR
    agreement = float(near.double().mean()) if len(near) else 0.0
    found = Templates(start[good], FILTER_HALF_WIDTH)
    return (found, peak.position[good], peak.rotation[good]), agreement


def _some(found: tuple[Templates, Tensor, Tensor]) -> tuple[Templates, Tensor, Tensor]:
    """Templates, positions and rotations of an even choice of ``COLOUR_PLACES`` at most."""
    templates, position, rotation = found
    step = -(-len(position) // COLOUR_PLACES) or 1
    return replace(templates, start=templates.start[::step]), position[::step], rotation[::step]


def refine(
    bands: Bands,
    start: Float,
    guess: Float,
    guess_error: Float,
    rotation: Float,
    settings: MccSettings,
    line: Float | None = None,
) -> Refined:
    """Refine every point.

    Parameters
    ----------
    bands : Bands
        Both images.
    start, guess : (N, 2) float64
        Row, col in the source and expected in the target; finite.
    guess_error : (N,) float64
        Standard error of the guess, pixels: sets the search radius.
    rotation : (N,) float64
        Expected, degrees counter-clockwise on the map.
    settings : MccSettings
        Template, search, rotations.
    line : (N, 3) float64, optional
        Cuts each template; see :class:`~lagrangian_ice.matching.templates.Templates`.
    """
    radius = _search_radius(guess_error, settings.search_radius)
    offsets = torch.tensor(settings.rotations, dtype=torch.float64)

    def refine_chunk(index: NDArray[np.intp]) -> tuple[NDArray[np.intp], Refined]:
        cut = None if line is None else torch.from_numpy(line[index])
        templates = Templates(torch.from_numpy(start[index]), settings.half_width, cut)
        angles = torch.deg2rad(torch.from_numpy(rotation[index])[:, None] + offsets)
        peak = correlate(
            bands.source,
            bands.target,
            templates,
            torch.from_numpy(guess[index]),
            angles,
            int(radius[index[0]]),
            torch.from_numpy(guess_error[index]),
        )
        fit = fit_affine(
            bands.source_filtered,
            bands.target_filtered,
            templates,
            peak.position,
            peak.rotation,
        )
        return index, _collected(peak, fit, VARIANCE_SCALE * bands.colour)

    gaps = _gaps(bands, start, guess, settings.half_width + radius)
    return _joined(list(thread_map(refine_chunk, _chunks(radius, gaps))), len(start))


def _search_radius(error: Float, least: int) -> NDArray[np.int64]:
    """Three standard errors, in steps of ``least`` so that points can share a batch."""
    steps = np.ceil((3 * error + 1) / least).clip(1)
    return np.asarray(np.minimum(steps * least, max(LARGEST_RADIUS, least)), dtype=np.int64)


def _gaps(bands: Bands, start: Float, guess: Float, reach: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether data may be missing of what each point (N,) is refined by."""
    gaps = np.zeros(len(start), dtype=np.bool_)
    for value in np.unique(reach):
        index = np.flatnonzero(reach == value)
        for band, centre in ((bands.source, start), (bands.target, guess)):
            share = band.share(torch.from_numpy(centre[index]), int(value))
            gaps[index] |= share.numpy() < 1
    return gaps


def _chunks(radius: NDArray[np.int64], gaps: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Points that can share a batch; those without gaps need no masks and go by themselves."""
    for value in np.unique(radius):
        for missing in (False, True):
            index = np.flatnonzero((radius == value) & (gaps == missing))
            if len(index):
                yield from (index[part] for part in chunks(len(index), CHUNK))


def _collected(peak: Peak, fit: AffineFit, variance_scale: float) -> Refined:
    return Refined(
        fit.position.numpy(),
        fit.matrix.numpy(),
        variance_scale * fit.covariance.numpy(),
        peak.correlation.double().numpy(),
        peak.discounted.double().numpy(),
        peak.ratio.double().numpy(),
        fit.overlap.numpy(),
        peak.at_edge.numpy(),
        fit.converged.numpy(),
    )


def _joined(parts: list[tuple[NDArray[np.intp], Refined]], count: int) -> Refined:
    shapes = {"position": (2,), "matrix": (2, 2), "covariance": (2, 2)}
    whole: dict[str, NDArray[Any]] = {}
    for field in fields(Refined):
        kind = np.bool_ if field.name in ("at_edge", "converged") else np.float64
        whole[field.name] = np.zeros((count, *shapes.get(field.name, ())), dtype=kind)
        for index, part in parts:
            whole[field.name][index] = getattr(part, field.name)
    return Refined(**whole)
