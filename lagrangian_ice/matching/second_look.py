"""A second look for parcels that the network's matches did not lead to their ice.

Around such parcels the images themselves are correlated, averaged to a half or a quarter of
their resolution, in wide windows and at many rotations. One such match is often wrong; those that
agree with each other, and with the vectors tracked already, are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.matching.consensus import in_consensus, nearest, rotations_to
from lagrangian_ice.matching.correlation import correlate
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

HALF_WIDTH = 12
"""Of the coarse templates, coarse pixels."""
SPACING = 32
"""Pixels between the places that are looked at, the four around each parcel."""
MOST_PLACES = 768
CHUNK = 16
EXPECTED_FROM = 10
"""Tracked vectors whose median is where the search begins."""
NEIGHBOURS, SHARE, TOLERANCE = 12, 0.35, 8.0
"""Of the consensus: vectors asked, share that must agree, pixels they may differ."""
CONSENSUS_TO = 84.0
"""Degrees; more than is searched, because tracked vectors may have turned further."""
FARTHEST = 16_000.0
"""Metres from what the vectors around expect, beyond which ice is not looked for."""
LEAST_PRESENT = 0.5
CORNER = 0.25
"""Share of a window with data, seen from the corner of an image."""


@dataclass(frozen=True)
class Scale:
    """How coarsely and how far is searched.

    Attributes
    ----------
    pixels : int
        Averaged along each axis: what is left of speckle is little.
    radius : int
        Of the search, coarse pixels.
    step, farthest : float
        Rotations are tried in such steps up to this to either side, degrees; 180 tries all.
    """

    pixels: int
    radius: int
    step: float
    farthest: float

    @property
    def margin(self) -> int:
        """Coarse pixels around an image: where a search with data in a corner may reach."""
        return 2 * (HALF_WIDTH + self.radius)

    @property
    def rotations(self) -> Tensor:
        """Radians, (R,) float64."""
        steps = int(min(self.farthest, 180.0) // self.step)
        return torch.deg2rad(self.step * torch.arange(-steps, steps + 1, dtype=torch.float64))

    def reaching(self, rotation: float) -> Scale:
        """As far at least as a rotation, degrees."""
        return replace(self, farthest=max(self.farthest, rotation))

    def within(self, pixels: float) -> Scale:
        """Search so far at most, pixels of the image itself."""
        return replace(self, radius=min(self.radius, int(np.ceil(pixels / self.pixels))))

    def coarse(self, rowcol: Float) -> Float:
        """Row, col in the coarse image."""
        return (rowcol - (self.pixels - 1) / 2) / self.pixels

    def fine(self, rowcol: Float) -> Float:
        """Row, col in the image itself."""
        return np.asarray(rowcol * self.pixels + (self.pixels - 1) / 2)

    def averaged(self, band: Band) -> Band:
        """Band of means over squares of pixels, where half of them have data."""
        height, width = (size // self.pixels for size in band.shape)
        cut = (slice(height * self.pixels), slice(width * self.pixels))

        def mean(values: NDArray[Any]) -> Tensor:
            block = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
            return torch.from_numpy(block).to(band.pixels.device)

        values = mean(band.pixels[cut].cpu().numpy())
        if band.complete:
            return Band(values, torch.ones_like(values, dtype=torch.bool), complete=True)
        share = mean(band.present[cut].cpu().numpy().astype(np.float32))
        present = share >= LEAST_PRESENT
        values = torch.where(present, values / share.clamp_min(LEAST_PRESENT), 0.0)
        return Band(values, present, bool(present.all()))


HALF = Scale(pixels=2, radius=80, step=8.0, farthest=60.0)
QUARTER = Scale(pixels=4, radius=40, step=6.0, farthest=48.0)
"""A quarter of the resolution costs a quarter of the time; it does not see narrow plates."""


@dataclass(frozen=True)
class Tracked:
    """Vectors that the first look has tracked.

    Attributes
    ----------
    xy, displacement : (M, 2) float64
        Metres.
    """

    xy: Float
    displacement: Float


def look_again(
    source: tuple[Grid, Band],
    target: tuple[Grid, Band],
    xy: Float,
    tracked: Tracked,
    scale: Scale = QUARTER,
) -> MotionField:
    """Motion field around parcels that were not tracked.

    Parameters
    ----------
    source, target : tuple of Grid and Band
        Images with the same pixel.
    xy : (N, 2) float64
        Parcels that failed, metres.
    tracked : Tracked
        Vectors of the others.
    scale : Scale
        Of the search.

    Returns
    -------
    MotionField
        Coarse matches and tracked vectors that agree with each other.
    """
    pixel = source[0].pixel
    scale = scale.within(FARTHEST / pixel)
    places = _places(source[0], xy) if len(tracked.xy) else np.empty((0, 2))
    found, moved = _coarse_matches(source, target, places, tracked, scale)
    together = np.concatenate([tracked.xy, found])
    displacement = np.concatenate([tracked.displacement, moved])
    turns = rotations_to(max(scale.farthest, CONSENSUS_TO))
    rotation = in_consensus(together, displacement, NEIGHBOURS, SHARE, TOLERANCE * pixel, turns)
    kept = np.isfinite(rotation)
    return MotionField(together[kept], displacement[kept], rotation[kept], TOLERANCE * pixel)


def _places(grid: Grid, xy: Float) -> Float:
    """Positions of a net around the parcels, evenly thinned to ``MOST_PLACES``."""
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    nodes = np.floor(grid.rowcol(xy) / SPACING)[:, None] + corners
    unique = np.unique(nodes.reshape(-1, 2), axis=0) * SPACING
    limit = np.array(grid.shape) - 1
    inside = unique[((unique >= 0) & (unique <= limit)).all(axis=1)]
    thinned = inside[:: -(-len(inside) // MOST_PLACES)] if len(inside) else inside
    return grid.xy(thinned)


def _coarse_matches(
    source: tuple[Grid, Band],
    target: tuple[Grid, Band],
    places: Float,
    tracked: Tracked,
    scale: Scale,
) -> tuple[Float, Float]:
    """Positions (M, 2) and displacements (M, 2), metres, of the coarse correlation's peaks."""
    if len(places) == 0:
        return places, places
    _, index = nearest(cKDTree(tracked.xy), places, min(EXPECTED_FROM, len(tracked.xy)))
    expected = places + np.median(tracked.displacement[index], axis=1)
    start = scale.coarse(source[0].rowcol(places))
    guess = scale.coarse(target[0].rowcol(expected))
    bands = list(thread_map(scale.averaged, (source[1], target[1])))
    seen = _seen(bands[0], start, HALF_WIDTH) >= LEAST_PRESENT
    seen &= _seen(bands[1], guess, HALF_WIDTH + scale.radius) >= CORNER
    places, start, guess = places[seen], start[seen], guess[seen]
    if len(places) == 0:
        return places, places
    # What is missing is left flat, at the mean: masks would cost twice as much.
    bands = [_flat(band, scale.margin) for band in bands]
    start, guess = start + scale.margin, guess + scale.margin

    def look(part: slice) -> tuple[Float, NDArray[np.bool_]]:
        peak = correlate(
            bands[0],
            bands[1],
            Templates(torch.from_numpy(start[part]), HALF_WIDTH),
            torch.from_numpy(guess[part]),
            scale.rotations.expand(len(start[part]), -1),
            scale.radius,
        )
        usable = torch.isfinite(peak.correlation) & ~peak.at_edge
        return peak.position.numpy(), usable.numpy()

    found = list(thread_map(look, chunks(len(places), CHUNK)))
    position = np.concatenate([f[0] for f in found])
    usable = np.concatenate([f[1] for f in found])
    ends = target[0].xy(scale.fine(position[usable] - scale.margin))
    return places[usable], ends - places[usable]


def _seen(band: Band, rowcol: Float, half_width: int) -> Float:
    """Share (N,) of the pixels with data around positions."""
    return np.asarray(band.share(torch.from_numpy(rowcol), half_width).numpy())


def _flat(band: Band, margin: int) -> Band:
    """Band with a margin that counts what is missing as data at the mean."""
    pixels = torch.nn.functional.pad(band.pixels, (margin,) * 4)
    return Band(pixels, torch.ones_like(pixels, dtype=torch.bool), complete=True)
