"""Where each parcel has gone, to about a cell: a motion field from the whole image first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.cells import Matches, block_centres, match_cells
from lagrangian_ice.matching.consensus import in_consensus
from lagrangian_ice.matching.motion_field import Prediction, predict
from lagrangian_ice.settings import FirstGuessSettings
from lagrangian_ice.superlim.features import STRIDE, Features, rowcol_to_cell

GUIDED_RADII = (12.0, 8.0)
"""Cells around the field's prediction in which the guided rounds look."""
AGREEMENT = 1.5
"""Cells by which two neighbouring matches may differ and still move alike."""


@dataclass(frozen=True)
class FirstGuess:
    """Prediction for the parcels and the matches it was read from."""

    prediction: Prediction
    matches: Matches


def first_guess(
    source: Features, target: Features, xy: Float, seconds: float, settings: FirstGuessSettings
) -> FirstGuess:
    """Predict the motion of parcels from the matches of all cells of both images.

    All valid source cells are compared with all target cells that ice could have reached;
    mutual best matches that move like their neighbours make a motion field. Guided by it, all
    cells are matched again in small windows around its prediction, which fills the holes that
    repetitive or changed ice left.

    Parameters
    ----------
    source, target : Features
        Of images with the same pixel size.
    xy : (N, 2) float64
        Parcels in the source image, EPSG:3413 metres.
    seconds : float
        Time apart, of either sign.
    settings : FirstGuessSettings
        Fastest ice and the consensus.
    """
    cell = STRIDE * source.grid.pixel
    reach = settings.max_speed * abs(seconds) + cell
    centres = block_centres(source)
    matches = _agreeing(match_cells(source, target, np.zeros_like(centres), reach), cell, settings)
    for radius in GUIDED_RADII:
        field = predict(
            centres.reshape(-1, 2), matches.xy0, matches.displacement, settings.fit_neighbours
        )
        guided = field.displacement.reshape(centres.shape)
        matches = _agreeing(match_cells(source, target, guided, radius * cell), cell, settings)
    return FirstGuess(
        predict(xy, matches.xy0, matches.displacement, settings.fit_neighbours), matches
    )


def _agreeing(matches: Matches, cell: float, settings: FirstGuessSettings) -> Matches:
    kept = in_consensus(
        matches.xy0,
        matches.displacement,
        settings.consensus_neighbours,
        settings.consensus_share,
        AGREEMENT * cell,
    )
    return matches[kept]


def sample_descriptors(features: Features, xy: Float) -> NDArray[np.float32]:
    """Descriptors (N, 256) at any map position, bilinear between cell centres, unit length.

    NaN where one of the four cells around has no data.
    """
    cells = rowcol_to_cell(features.grid.rowcol(xy))
    limit = np.array(features.valid.shape, dtype=np.float64) - 1
    inside = ((cells >= 0) & (cells <= limit)).all(axis=1)
    corner = np.clip(np.floor(np.where(inside[:, None], cells, 0)), 0, np.maximum(limit - 1, 0))
    fraction = np.where(inside[:, None], cells - corner, 0)
    row, col = corner.astype(np.intp).T
    sampled = np.zeros((len(xy), features.descriptors.shape[-1]))
    known = inside.copy()
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
