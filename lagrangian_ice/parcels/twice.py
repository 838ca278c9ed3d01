"""Parcels that their last sighting does not surely lead to, found where two sightings lead.

The last sighting, the one before it and the reference show three templates of the same ice. Where
two of them lead to one place, one of them surely, other ice is seldom there (decision 0044).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.vectors import Vectors, nothing_seen
from lagrangian_ice.parcels.earlier import (
    TOO_FAINT,
    Index,
    PastSightings,
    earlier_sightings,
    gathered,
    matched_from,
    pixels_apart,
)
from lagrangian_ice.parcels.population import Parcels
from lagrangian_ice.parcels.quality import doubt, sure
from lagrangian_ice.parcels.transitions import NO_PASS, Bool, Ids
from lagrangian_ice.parcels.view import Match, Pair, View, Wanted

SAME_PLACE = 0.4
"""Of ``confirm_within``: so near must two leads be where the last one was seen but not sure."""
MOST_DOUBT = 4.0
"""Times ``max_doubt``: what a lead may have that agrees with a sure one."""
COUPLES = ((0, 1), (0, 2), (1, 2))
"""Leads that may agree, the younger ones first."""


@dataclass(frozen=True)
class _Lead:
    """From which pass (N,) each parcel was looked for (-1: from none), and what was found."""

    source: NDArray[np.int32]
    vectors: Vectors

    def pairs(self, ids: Ids, rows: Bool) -> list[Pair]:
        """Take some of the parcels, one pair for each pass, in order of the parcels."""
        some = np.flatnonzero(rows)
        some = some[np.argsort(ids[some])]
        whole, source = Pair(0, ids, self.vectors), self.source[some]
        return [
            replace(whole.take(some[source == one]), source_pass=one)
            for one in np.unique(source).tolist()
        ]


def found_twice(
    parcels: Parcels, looked: Sequence[Pair], pairs: Sequence[Pair], view: View, match: Match
) -> tuple[list[Pair], list[Pair]]:
    """Find parcels that are not found, where two of their sightings lead to one place.

    Parameters
    ----------
    parcels : Parcels
        The population before the pass.
    looked : sequence of Pair
        Vectors from the passes in which the parcels were last seen, sure or not.
    pairs : sequence of Pair
        The same, without what is not believed.
    view : View
        The pass, and the rules.
    match : Match
        Tracks points from an earlier pass.

    Returns
    -------
    found, answers : list of Pair
        Parcels that are found now, from whichever of their sightings is sure, and where their
        other sightings lead: outliers, if elsewhere.
    """
    missing = [_missing(parcels, *couple) for couple in zip(looked, pairs, strict=True)]
    missing = [pair for pair in missing if len(pair.parcel_id)]
    if view.settings.faint_correlation == 1 or not missing:
        return [], []
    ids, last, faint = _last_leads(missing, view, match)
    correlation = np.where(faint, view.settings.faint_correlation, 1.0)
    within = np.where(faint, 1.0, SAME_PLACE) * view.settings.confirm_within
    leads = [last]
    for earlier in earlier_sightings(parcels, ids):
        rows = np.flatnonzero((earlier.source != NO_PASS) & _may_agree(leads, within, view))
        leads.append(_lead(earlier, rows, last.vectors.xy1, correlation, view, match))
    holding = _holding(leads, within, view)
    found, answers = [], []
    for number, lead in enumerate(leads):
        found += lead.pairs(ids, holding == number)
        beside = lead.vectors.tracked & (holding >= 0) & (holding != number)
        astray = pixels_apart(lead.vectors.xy1, _ends(leads, holding), view) > within
        told = replace(lead, vectors=lead.vectors.without(beside & astray))
        answers += told.pairs(ids, beside)
    return found, answers


def _missing(parcels: Parcels, looked: Pair, pair: Pair) -> Pair:
    """Take what is seen unsurely or too faint, of what was seen before it was seen last."""
    somehow = looked.vectors.tracked | np.isin(looked.vectors.status, TOO_FAINT)
    missing = looked.take(somehow & ~pair.vectors.tracked)
    before, older = earlier_sightings(parcels, missing.parcel_id)
    return missing.take((before.source != NO_PASS) | (older.source != NO_PASS))


def _last_leads(missing: list[Pair], view: View, match: Match) -> tuple[Ids, _Lead, Bool]:
    """Ids (N,), what their last sightings lead to, and which are too faint (N,).

    These are looked for once more.
    """
    least = view.settings.faint_correlation
    ids, source, vectors = gathered(missing)
    faint = np.isin(vectors.status, TOO_FAINT)
    asked = np.unique(source[faint]).tolist()
    parts = [np.flatnonzero(faint & (source == one)) for one in asked]
    requests = [
        Wanted(one, vectors.xy0[part], view.max_speed, least)
        for one, part in zip(asked, parts, strict=True)
    ]
    for part, again in zip(parts, match(requests), strict=True):
        vectors = vectors.put(part, again)
    return ids, _Lead(source, vectors), faint


def _lead(
    earlier: PastSightings, rows: Index, ends: Float, correlation: Float, view: View, match: Match
) -> _Lead:
    """Look for some of N parcels from earlier sightings."""
    vectors = nothing_seen(earlier.xy)
    for part, _, answer in matched_from(earlier, rows, ends, view, match, correlation):
        vectors = vectors.put(part, answer)
    return _Lead(earlier.source, vectors)


def _may_agree(leads: list[_Lead], within: Float, view: View) -> Bool:
    """Which parcels (N,) are led somewhere, but nowhere twice yet."""
    somewhere = np.any([lead.vectors.tracked for lead in leads], axis=0)
    return np.asarray(somewhere & (_holding(leads, within, view) < 0))


def _holding(leads: list[_Lead], within: Float, view: View) -> NDArray[np.int8]:
    """Give the number of the lead (N,) that is sure and that another agrees with; -1: none.

    They agree within so many pixels (N,).
    """
    holding = np.full(len(leads[0].source), -1, dtype=np.int8)
    pixel = view.image.grid.pixel
    certain = [sure(lead.vectors, view.settings, pixel) for lead in leads]
    doubts = [doubt(lead.vectors) for lead in leads]
    most = MOST_DOUBT * view.settings.max_doubt * pixel
    for one, other in COUPLES:
        if other < len(leads):
            apart = pixels_apart(leads[one].vectors.xy1, leads[other].vectors.xy1, view)
            agree = (holding < 0) & (apart <= within)
            agree &= np.maximum(doubts[one], doubts[other]) <= most
            holding[agree & certain[other]] = other
            holding[agree & certain[one]] = one
    return holding


def _ends(leads: list[_Lead], holding: NDArray[np.int8]) -> Float:
    """Where the leads that hold (N,) end (N, 2), metres; anything where none does."""
    ends = np.stack([lead.vectors.xy1 for lead in leads])
    return np.asarray(ends[np.maximum(holding, 0), np.arange(len(holding))])
