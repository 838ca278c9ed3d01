"""Where each parcel has gone, to about a cell: a motion field from the whole image first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.cells import (
    CellPair,
    Matches,
    Windows,
    any_of_block,
    block_centres,
    match_cells,
    strongest_cells,
)
from lagrangian_ice.matching.consensus import best_rotation, in_consensus
from lagrangian_ice.matching.motion_field import MotionField, Prediction
from lagrangian_ice.matching.subcell import BESIDE, peak_offset
from lagrangian_ice.settings import FirstGuessSettings
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol, rowcol_to_cell


@dataclass(frozen=True)
class _Round:
    """Where all cells of the source are matched.

    ``block``: cells per side of the blocks that share a window; ``radius``: cells around the
    expected end.
    """

    block: int
    radius: float


GLOBAL_SIDE, GLOBAL_BLOCK = 3, 32
"""Of each 3 x 3 cells the strongest is matched in the whole window, blocks of 32 x 32 at once."""
GLOBAL_AXES = 48
"""Of some 90 along which descriptors vary: enough to find where to look more closely."""
GLOBAL_ENOUGH = 0.05
"""Share of those cells that must agree; else all cells are asked, along all axes."""
LEAST_AGREEING = 100
"""Of all cells, that then must agree: a few do so by chance where the ice is not in the target."""
GUIDED = (_Round(block=8, radius=20), _Round(block=8, radius=8))
"""Around the field's prediction; widely at first, as the field is coarse where ice turns."""
AGREEMENT = 1.5
"""Cells by which two neighbouring matches may differ and still move alike."""
OWN_RADIUS = 8
"""Cells around the field's prediction in which a parcel's own descriptor looks."""
OWN_CHUNK = 64
MINORITY_SHARE = 0.2
"""Share of the matches around that must move as a parcel's own descriptor says."""
DISSENT_SHARE = 0.1
"""Share of the matches around that must move otherwise, or a parcel's own is not asked."""
MINORITY_TOLERANCE = 0.5
"""Of the field's tolerance: how far they may differ from it."""


def motion_field(
    source: Features, target: Features, seconds: float, settings: FirstGuessSettings
) -> MotionField:
    """Match all cells of two images and keep what moves like its neighbours.

    The source's strongest cells are compared with all target cells that ice could have
    reached; mutual best matches that move like their neighbours make a motion field. Guided
    by it, all cells are matched in windows around its prediction, the last of them small, which
    fills the holes that repetitive or changed ice left. Where too few of the strongest agree
    all cells are asked at once. It depends on no parcel.

    Parameters
    ----------
    source, target : Features
        Of images with the same pixel size.
    seconds : float
        Time apart, of either sign.
    settings : FirstGuessSettings
        Fastest ice and the consensus.
    """
    pair = CellPair.of(source, target)
    cell = STRIDE * source.grid.pixel
    reach = settings.max_speed * abs(seconds) + cell
    strongest = strongest_cells(source, GLOBAL_SIDE)
    field = _unguided(pair.along(GLOBAL_AXES), strongest, reach, settings)
    if len(field) < GLOBAL_ENOUGH * np.count_nonzero(strongest):
        of_all = _unguided(pair, source.valid, reach, settings)
        field = of_all if len(of_all) >= LEAST_AGREEING else field
    for one in GUIDED:
        windows = _guided(source, field, one, settings)
        found = match_cells(pair, windows, between=one is GUIDED[-1])
        field = _agreeing(found, cell, settings)
    return field


def _unguided(
    pair: CellPair, looking: NDArray[np.bool_], reach: float, settings: FirstGuessSettings
) -> MotionField:
    """Motion field from some cells of the source and all that ice could have reached, metres."""
    still = np.zeros_like(block_centres(pair.source, GLOBAL_BLOCK))
    found = match_cells(pair, Windows(GLOBAL_BLOCK, still, reach), looking, between=False)
    moved = found.displacement
    near = found[np.hypot(moved[:, 0], moved[:, 1]) <= reach]
    return _agreeing(near, STRIDE * pair.source.grid.pixel, settings)


def _guided(
    source: Features, field: MotionField, one: _Round, settings: FirstGuessSettings
) -> Windows:
    """Windows around the field's prediction, for the blocks that have data."""
    centres = block_centres(source, one.block)
    wanted = any_of_block(source.valid, one.block)
    displacement = np.full(centres.shape, np.nan)
    expected = field.predict(centres[wanted], settings.fit_neighbours)
    displacement[wanted] = expected.displacement
    return Windows(one.block, displacement, one.radius * STRIDE * source.grid.pixel)


def first_guess(
    source: Features,
    target: Features,
    field: MotionField,
    xy: Float,
    settings: FirstGuessSettings,
) -> Prediction:
    """Predict the motion of parcels from the field of matches and from their own descriptors.

    Parameters
    ----------
    source, target : Features
        Of images with the same pixel size.
    field : MotionField
        Of the two.
    xy : (N, 2) float64
        Parcels in the source image, EPSG:3413 metres.
    settings : FirstGuessSettings
        The consensus.
    """
    majority, dissent = field.predict_and_dissent(xy, settings.fit_neighbours)
    # Where all matches around move alike no minority can back another motion.
    asked = np.flatnonzero(dissent >= DISSENT_SHARE)
    expected = majority.displacement[asked]
    own = own_displacement(source, target, xy[asked], expected, OWN_RADIUS)
    parted = _with_minorities(majority.take(asked), own, xy[asked], field, settings)
    return majority.put(asked, parted)


def _with_minorities(
    majority: Prediction, own: Float, xy: Float, field: MotionField, settings: FirstGuessSettings
) -> Prediction:
    """Prediction in which parcels beside a crack may follow the smaller side.

    The field follows the majority of the matches around. Where a parcel's own descriptor says
    otherwise, and a minority of the matches moves as it says, the parcel is with them.
    """
    apart = np.linalg.norm(own - majority.displacement, axis=1) > field.tolerance
    index = np.flatnonzero(apart)
    rotation, share = best_rotation(
        xy[index],
        own[index],
        field.tree,
        field.displacement,
        settings.consensus_neighbours,
        MINORITY_TOLERANCE * field.tolerance,
    )
    backed = share >= MINORITY_SHARE
    index = index[backed]
    minority = field.follow(xy[index], own[index], rotation[backed], settings.fit_neighbours)
    return majority.put(index, minority)


def own_displacement(
    source: Features, target: Features, xy: Float, expected: Float, radius: int
) -> Float:
    """Displacement (N, 2) that each parcel's own descriptor finds near the expected one.

    Parameters
    ----------
    source, target : Features
        Of both images.
    xy, expected : (N, 2) float64
        Positions in the source and expected displacements, metres.
    radius : int
        Cells around the expected end that are compared.

    Returns
    -------
    (N, 2) float64
        Metres, fitted between cells; NaN where there is no descriptor at either end.
    """
    found = np.full(xy.shape, np.nan)
    wanted = sample_descriptors(source, xy)
    usable = np.flatnonzero(np.isfinite(wanted[:, 0]) & np.isfinite(expected).all(axis=1))
    steps = np.arange(-radius, radius + 1)

    def look(index: NDArray[np.intp]) -> Float:
        cells = rowcol_to_cell(target.grid.rowcol(xy[index] + expected[index]))
        middle = np.rint(cells).astype(np.intp)
        rows = middle[:, :1, None] + steps[None, :, None]
        cols = middle[:, 1:, None] + steps[None, None, :]
        similarity = _similarity(wanted[index], target, *np.broadcast_arrays(rows, cols))
        best = _peak(similarity) - radius + middle
        return target.grid.xy(cell_to_rowcol(best)) - xy[index]

    parts = [usable[first : first + OWN_CHUNK] for first in range(0, len(usable), OWN_CHUNK)]
    for index, moved in zip(parts, thread_map(look, parts), strict=True):
        found[index] = moved
    return found


def _similarity(
    wanted: NDArray[np.float32],
    target: Features,
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
) -> Float:
    """Similarity (N, S, S) of each wanted descriptor to target cells; -inf where none is."""
    height, width = target.valid.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    rows, cols = np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)
    inside &= target.valid[rows, cols]
    descriptors = target.descriptors[rows, cols].astype(np.float32)
    values = np.einsum("nijd,nd->nij", descriptors, wanted, optimize=True)
    return np.where(inside, values, -np.inf).astype(np.float64)


def _peak(similarity: Float) -> Float:
    """Row, col (N, 2) of the highest similarity, fitted over the 3 x 3 values around it."""
    count, side, _ = similarity.shape
    flat = similarity.reshape(count, -1)
    best = flat.argmax(axis=1)
    row, col = best // side, best % side
    padded = np.pad(similarity, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    at = np.arange(count)[:, None]
    beside = padded[at, row[:, None] + 1 + BESIDE[:, 0], col[:, None] + 1 + BESIDE[:, 1]]
    highest = flat[np.arange(count), best]
    known = np.isfinite(highest)[:, None]
    return np.where(known, np.stack([row, col], axis=1) + peak_offset(highest, beside), np.nan)


def _agreeing(matches: Matches, cell: float, settings: FirstGuessSettings) -> MotionField:
    rotation = in_consensus(
        matches.xy0,
        matches.displacement,
        settings.consensus_neighbours,
        settings.consensus_share,
        AGREEMENT * cell,
    )
    kept = np.isfinite(rotation)
    return MotionField(
        matches.xy0[kept], matches.displacement[kept], rotation[kept], AGREEMENT * cell
    )


def sample_descriptors(features: Features, xy: Float) -> NDArray[np.float32]:
    """Descriptors (N, 256) at any map position, bilinear between cell centres, unit length.

    NaN where one of the four cells around has no data.
    """
    cells = rowcol_to_cell(features.grid.rowcol(xy))
    limit = np.array(features.valid.shape, dtype=np.float64) - 1
    inside = np.asarray(((cells >= 0) & (cells <= limit)).all(axis=1))
    corner = np.clip(np.floor(np.where(inside[:, None], cells, 0)), 0, np.maximum(limit - 1, 0))
    fraction = np.where(inside[:, None], cells - corner, 0)
    row, col = corner.astype(np.intp).T
    sampled = np.zeros((len(xy), features.descriptors.shape[-1]))
    known = np.array(inside)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - i - fraction[:, 0]) * np.abs(1 - j - fraction[:, 1])
        at = (np.minimum(row + i, int(limit[0])), np.minimum(col + j, int(limit[1])))
        known &= features.valid[at] | (weight == 0)
        sampled += weight[:, None] * features.descriptors[at]
    length = np.linalg.norm(sampled, axis=1)
    known &= length > 0
    sampled[known] /= length[known, None]
    sampled[~known] = np.nan
    return sampled.astype(np.float32)
