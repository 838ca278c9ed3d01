"""A second look for parcels that the network's matches did not lead to their ice.

Around such parcels the images themselves are correlated, averaged to a quarter of their
resolution, in wide windows and at many rotations. One such match is often wrong; those that
agree with each other, and with the vectors tracked already, are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.engine import chunks, thread_map
from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.matching.consensus import in_consensus, nearest, rotations_to
from lagrangian_ice.matching.correlation import correlate
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

COARSE = 4
"""Pixels averaged along each axis: what is left of speckle is little."""
HALF_WIDTH, RADIUS = 12, 40
"""Of the coarse templates and their search, coarse pixels."""
MARGIN = 2 * (HALF_WIDTH + RADIUS)
"""Coarse pixels around an image: where a search with data in a corner may reach."""
ROTATION_STEP = 6.0
FARTHEST_ROTATION = 48.0
"""Degrees, unless more is asked for."""
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
LEAST_PRESENT = 0.5
CORNER = 0.25
"""Share of a window with data, seen from the corner of an image."""


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
    farthest: float = FARTHEST_ROTATION,
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
    farthest : float
        Rotations are tried up to this to either side, degrees; 180 tries all.

    Returns
    -------
    MotionField
        Coarse matches and tracked vectors that agree with each other.
    """
    pixel = source[0].pixel
    places = _places(source[0], xy) if len(tracked.xy) else np.empty((0, 2))
    found, moved = _coarse_matches(source, target, places, tracked, farthest)
    together = np.concatenate([tracked.xy, found])
    displacement = np.concatenate([tracked.displacement, moved])
    turns = rotations_to(max(farthest, CONSENSUS_TO))
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
    farthest: float,
) -> tuple[Float, Float]:
    """Positions (M, 2) and displacements (M, 2), metres, of the coarse correlation's peaks."""
    if len(places) == 0:
        return places, places
    _, index = nearest(cKDTree(tracked.xy), places, min(EXPECTED_FROM, len(tracked.xy)))
    expected = places + np.median(tracked.displacement[index], axis=1)
    start = _to_coarse(source[0].rowcol(places))
    guess = _to_coarse(target[0].rowcol(expected))
    bands = list(thread_map(_averaged, (source[1], target[1])))
    seen = _seen(bands[0], start, HALF_WIDTH) >= LEAST_PRESENT
    seen &= _seen(bands[1], guess, HALF_WIDTH + RADIUS) >= CORNER
    places, start, guess = places[seen], start[seen], guess[seen]
    if len(places) == 0:
        return places, places
    # What is missing is left flat, at the mean: masks would cost twice as much.
    bands = [_flat(band) for band in bands]
    start, guess = start + MARGIN, guess + MARGIN
    steps = int(min(farthest, 180.0) // ROTATION_STEP)
    angles = torch.deg2rad(ROTATION_STEP * torch.arange(-steps, steps + 1, dtype=torch.float64))

    def look(part: slice) -> tuple[Float, NDArray[np.bool_]]:
        peak = correlate(
            bands[0],
            bands[1],
            Templates(torch.from_numpy(start[part]), HALF_WIDTH),
            torch.from_numpy(guess[part]),
            angles.expand(len(start[part]), -1),
            RADIUS,
        )
        usable = torch.isfinite(peak.correlation) & ~peak.at_edge
        return peak.position.numpy(), usable.numpy()

    found = list(thread_map(look, chunks(len(places), CHUNK)))
    position = np.concatenate([f[0] for f in found])
    usable = np.concatenate([f[1] for f in found])
    ends = target[0].xy(_from_coarse(position[usable] - MARGIN))
    return places[usable], ends - places[usable]


def _seen(band: Band, rowcol: Float, half_width: int) -> Float:
    """Share (N,) of the pixels with data around positions."""
    return np.asarray(band.share(torch.from_numpy(rowcol), half_width).numpy())


def _to_coarse(rowcol: Float) -> Float:
    return (rowcol - (COARSE - 1) / 2) / COARSE


def _from_coarse(rowcol: Float) -> Float:
    return np.asarray(rowcol * COARSE + (COARSE - 1) / 2)


def _flat(band: Band) -> Band:
    """Band with a margin, as wide as a search, that counts what is missing as data at the mean."""
    pixels = torch.nn.functional.pad(band.pixels, (MARGIN,) * 4)
    return Band(pixels, torch.ones_like(pixels, dtype=torch.bool), complete=True)


def _averaged(band: Band) -> Band:
    """Band of means over ``COARSE`` x ``COARSE`` pixels, where half of them have data."""
    height, width = (size // COARSE for size in band.shape)
    blocks = (height, COARSE, width, COARSE)
    cut = (slice(height * COARSE), slice(width * COARSE))
    values = band.pixels[cut].reshape(blocks)
    if band.complete:
        present = torch.ones(height, width, dtype=torch.bool, device=values.device)
        return Band(values.mean(dim=(1, 3)), present, complete=True)
    count = band.present[cut].reshape(blocks).float().sum(dim=(1, 3))
    present = count >= LEAST_PRESENT * COARSE**2
    mean = values.sum(dim=(1, 3)) / count.clamp_min(1.0)
    return Band(torch.where(present, mean, 0.0), present, bool(present.all()))
