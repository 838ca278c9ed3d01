"""Parcels are matched from earlier sightings than their last one too.

Where a sighting is doubtful, to see whether the sighting before the last, or else the reference,
leads to the same place; where a reference is due, to see how far the templates have drifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.rows import Rows
from lagrangian_ice.matching.vectors import NOT_COVERED, Status, Vectors
from lagrangian_ice.parcels import transitions
from lagrangian_ice.parcels.population import Parcels
from lagrangian_ice.parcels.quality import WORST, doubt, quality_flags
from lagrangian_ice.parcels.topology import moving_alike
from lagrangian_ice.parcels.transitions import NO_PASS, Bool
from lagrangian_ice.parcels.view import DAY, Match, Observations, Pair, View, Wanted

SLOWEST = 0.05
"""Added to the speed at which a parcel has gone when it is matched from long before, m s-1."""
LEAST_SEARCH = 0.1
"""Least speed that is searched then, m s-1."""
SILENT = (*NOT_COVERED, Status.NO_TEXTURE, Status.NO_FIRST_GUESS, Status.LOW_CORRELATION)
"""Statuses of witnesses that say nothing: they see not that the place is another."""
TOO_FAINT = (Status.NO_TEXTURE, Status.LOW_CORRELATION)
"""Statuses of parcels that are looked for with less correlation."""
ELSEWHERE = 64.0
"""Pixels from the place to where a witness's first guess leads, beyond which none is silent."""
COMPANY = 40_000.0
"""Metres within which another parcel must have been found in the same pair, and move alike, for
a doubtful one to be believed without a witness."""
SURE_CORRELATION, FAINT_CORRELATION = 0.5, 0.35
"""Correlation with which a reference outweighs a chain that leads quite elsewhere, and below which
it must lead to where the chain does."""
OLDEST_WITNESS = 2.0
"""Times the age of the last sighting: an older one is often not found again, wherever it is."""

Index = NDArray[np.intp]


@dataclass(frozen=True)
class PastSightings(Rows):
    """Sightings (N,): in which pass (-1: there is none), where (metres) and when (s)."""

    source: NDArray[np.int32]
    xy: Float
    time: Float


def confirmed(
    parcels: Parcels, pairs: list[Pair], view: View, match: Match
) -> tuple[list[Pair], list[Pair]]:
    """Refuse doubtful vectors to which no earlier sighting leads.

    The sighting before the last is asked, then the reference. A parcel is believed where there
    is neither, or neither says anything: the pass does not show where they lead, they are too
    faint to be found anywhere, or much older than the last sighting and not found; but not where
    the ice around them went quite elsewhere, nor where nothing else is found around: half of such
    doubtful vectors are wrong (decision 0037).

    Parameters
    ----------
    parcels : Parcels
        The population before the pass.
    pairs : list of Pair
        Vectors from the passes in which the parcels were last seen.
    view : View
        The pass, and the rules.
    match : Match
        Tracks points from an earlier pass.

    Returns
    -------
    pairs, answers : list of Pair
        Those given, of which some vectors are outliers now, and those from earlier sightings.
    """
    doubts = [doubtful(pair.vectors, view) for pair in pairs]
    couples = list(zip(pairs, doubts, strict=True))
    ids, ends = _ids_and_ends([pair.take(which) for pair, which in couples])
    seen_from = np.zeros(len(ids), dtype=np.bool_)
    alone = [_alone(pair.vectors, which, view) for pair, which in couples]
    heard: Bool = np.concatenate([seen_from[:0], *alone])
    last = parcels.time[transitions.rows_of(parcels, ids)]
    oldest = view.start - OLDEST_WITNESS * (view.start - last)
    answers: list[Pair] = []
    for part, seen, answer, near in _witnesses(parcels, ids, ends, view, match):
        answers.append(answer)
        vectors = answer.vectors
        silent = np.isin(vectors.status, SILENT)
        silent |= ~vectors.tracked & (seen < oldest[part])
        silent &= ~(pixels_apart(vectors.first_guess, ends[part], view) > ELSEWHERE)
        heard[part] |= ~silent
        seen_from[part] = near
    refused = ids[~seen_from & heard]
    return [_without(pair, refused) for pair in pairs], answers


def _ids_and_ends(pairs: list[Pair]) -> tuple[NDArray[np.int64], Float]:
    """Parcels (N,) of pairs, and where they were found (N, 2)."""
    ids = np.concatenate([np.empty(0, np.int64), *(pair.parcel_id for pair in pairs)])
    return ids, np.concatenate([np.empty((0, 2)), *(pair.vectors.xy1 for pair in pairs)])


def _witnesses(
    parcels: Parcels,
    ids: NDArray[np.int64],
    ends: Float,
    view: View,
    match: Match,
) -> Iterator[tuple[Index, Float, Pair, Bool]]:
    """Ask the sightings before the last, then the references, of parcels found at ends (N, 2).

    Who was led there by the one is not asked of the other.

    Yields
    ------
    part : (M,) intp
        Which of the parcels are asked.
    seen : (M,) float64
        When, seconds since 1970.
    answer : Pair
        Their vectors from there.
    near : (M,) bool
        Whether these lead to within ``confirm_within`` of the ends.
    """
    agreed = np.zeros(len(ids), dtype=np.bool_)
    for earlier in earlier_sightings(parcels, ids):
        open_ = np.flatnonzero((earlier.source != NO_PASS) & ~agreed)
        for part, source, vectors in matched_from(earlier, open_, ends, view, match):
            near = pixels_apart(vectors.xy1, ends[part], view) <= view.settings.confirm_within
            agreed[part] = near
            yield part, earlier.time[part], Pair(source, ids[part], vectors), near


def earlier_sightings(
    parcels: Parcels, ids: NDArray[np.int64]
) -> tuple[PastSightings, PastSightings]:
    """Sightings before the last ones, and older references, of parcels (N,)."""
    rows = transitions.rows_of(parcels, ids)
    return _before_last(parcels, rows), _older_references(parcels, rows)


def _alone(vectors: Vectors, doubted: Bool, view: View) -> Bool:
    """Which of a pair's doubted vectors (M,) have no other one within ``COMPANY`` that moves alike.

    Alike is what does not part faster than ``max_parting``.
    """
    asked = np.flatnonzero(doubted[vectors.tracked])
    found = vectors.take(vectors.tracked)
    farthest = view.farthest_parting((found.time1 - found.time0)[asked, None])
    # One at that distance is still within it: on a grid there are such.
    reach = float(np.nextafter(COMPANY, np.inf))
    _, alike = moving_alike(found.xy0, found.xy1 - found.xy0, asked, reach, farthest)
    return ~np.asarray(alike.any(axis=1))


def doubtful(vectors: Vectors, view: View) -> Bool:
    """Which vectors (N,) are tracked, but with a doubt that asks for another witness."""
    limit = view.settings.confirm_doubt * view.image.grid.pixel
    return np.asarray(vectors.tracked & (doubt(vectors) > limit))


def _before_last(parcels: Parcels, rows: NDArray[np.int64]) -> PastSightings:
    everyone = PastSightings(parcels.earlier_pass, parcels.earlier_xy, parcels.earlier_time)
    return everyone.take(rows)


def _references(parcels: Parcels, rows: NDArray[np.int64]) -> PastSightings:
    everyone = PastSightings(parcels.reference_pass, parcels.reference_xy, parcels.reference_time)
    return everyone.take(rows)


def _older_references(parcels: Parcels, rows: NDArray[np.int64]) -> PastSightings:
    """Sightings that are references, but neither the last one nor the one before."""
    found = _references(parcels, rows)
    same = found.source == parcels.pass_index[rows]
    same |= found.source == parcels.earlier_pass[rows]
    return replace(found, source=np.where(same, np.int32(NO_PASS), found.source))


def pixels_apart(xy: Float, ends: Float, view: View) -> Float:
    """Pixels (N,) between positions (N, 2) and others; NaN where there is none."""
    distance = np.linalg.norm(xy - ends, axis=1)
    return np.asarray(distance / view.image.grid.pixel, dtype=np.float64)


def _without(pair: Pair, refused: NDArray[np.int64]) -> Pair:
    guilty = pair.vectors.tracked & np.isin(pair.parcel_id, refused)
    return replace(pair, vectors=pair.vectors.without(guilty))


def matched_from(
    earlier: PastSightings,
    rows: Index,
    ends: Float,
    view: View,
    match: Match,
    correlation: Float | None = None,
) -> Iterator[tuple[Index, int, Vectors]]:
    """Vectors from some of N earlier sightings, pass by pass.

    Parameters
    ----------
    earlier : PastSightings
        Of N parcels.
    rows : (M,) intp
        Who is asked for.
    ends : (N, 2) float64
        Where they are, metres.
    view : View
        The pass, and the rules.
    match : Match
        Tracks points from an earlier pass.
    correlation : (N,) float64, optional
        Times the least that is asked for otherwise.

    Yields
    ------
    part : (L,) intp
        Those of one pass and one such correlation.
    source : int
        The pass.
    vectors : Vectors
        From there.
    """
    parts, requests = _requests(earlier, rows, ends, view, correlation)
    sources = [one.source_pass for one in requests]
    return zip(parts, sources, match(requests), strict=True)


def _requests(
    earlier: PastSightings,
    rows: Index,
    ends: Float,
    view: View,
    correlation: Float | None = None,
) -> tuple[list[Index], list[Wanted]]:
    """Parts of :func:`matched_from`, and what each asks."""
    least = np.ones(len(ends)) if correlation is None else correlation
    parts, requests = [], []
    for source in np.unique(earlier.source[rows]).tolist():
        here = rows[earlier.source[rows] == source]
        for asked in np.unique(least[here]).tolist():
            part = here[least[here] == asked]
            start = earlier.xy[part]
            gone = np.linalg.norm(ends[part] - start, axis=1) / (view.start - earlier.time[part])
            speed = speed_to_search(float(gone.max()), view.max_speed)
            parts.append(part)
            requests.append(Wanted(source, start, speed, asked))
    return parts, requests


def foreseen(parcels: Parcels, pairs: list[Pair], view: View) -> list[Wanted]:
    """Tell what will be asked of earlier sightings if all holds that was found.

    Parameters
    ----------
    parcels : Parcels
        The population before the pass.
    pairs : list of Pair
        Vectors from the passes in which the parcels were last seen.
    view : View
        The pass, and the rules.

    Returns
    -------
    list of Wanted
        What :func:`confirmed` asks first, then what :func:`closures` does, but of references of
        which a parcel is missing that may be found yet.
    """
    if not pairs:
        return []
    ids, source, vectors = gathered(pairs)
    rows = transitions.rows_of(parcels, ids)
    before, reference = _before_last(parcels, rows), _references(parcels, rows)
    asked = np.flatnonzero(doubtful(vectors, view) & (before.source != NO_PASS))
    _, witnesses = _requests(before, asked, vectors.xy1, view)
    due = _due(reference, source, view)
    # Who may be found yet would be one more of its reference.
    open_ = reference.source[due & np.isin(vectors.status, (*TOO_FAINT, Status.OUTLIER))]
    due &= vectors.tracked & ~np.isin(reference.source, open_)
    # Sightings are in order of the parcels.
    in_order = np.argsort(ids)
    _, checks = _requests(reference, in_order[due[in_order]], vectors.xy1, view)
    return [*witnesses, *checks]


def gathered(pairs: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int32], Vectors]:
    """Parcels (N,) of one pair or more, the passes (N,) that they come from, their vectors."""
    ids = np.concatenate([pair.parcel_id for pair in pairs])
    sources = [np.full(len(one.parcel_id), one.source_pass, dtype=np.int32) for one in pairs]
    return ids, np.concatenate(sources), Vectors.joined([pair.vectors for pair in pairs])


def _due(reference: PastSightings, source_pass: NDArray[np.integer], view: View) -> Bool:
    """Which parcels (N,) found from these passes are to be compared with their references."""
    after = view.settings.closure_days * DAY
    due = (reference.source != NO_PASS) & (reference.source != source_pass)
    return np.asarray(due & (view.start - reference.time >= after) & (after > 0))


def speed_to_search(gone: float, max_speed: float) -> float:
    """Speed at which a parcel is matched from long before, m s-1.

    Where it has gone is known: not all that ice could do must be searched. In steps of a factor
    of two, so that it can be told before the fold comes to it.

    Parameters
    ----------
    gone : float
        Speed at which the fastest of the parcels has gone.
    max_speed : float
        Fastest ice.
    """
    steps = np.ceil(np.log2(max((1.5 * gone + SLOWEST) / LEAST_SEARCH, 1.0)))
    return float(min(max_speed, LEAST_SEARCH * 2.0**steps))


def closures(
    parcels: Parcels, seen: Observations, before: Float, view: View, match: Match
) -> tuple[Parcels, Observations, list[Pair]]:
    """Match sightings from their reference too where that is due, and note the difference.

    Parameters
    ----------
    parcels : Parcels
        The population with the sightings.
    seen : Observations
        Sightings (N,) of the pass.
    before : (N, 2, 2) float64
        Covariance that had accumulated before them, m2.
    view : View
        The pass, and the rules.
    match : Match
        Tracks points from an earlier pass.

    Returns
    -------
    parcels, seen : Parcels, Observations
        Of which some are where the earlier template says.
    pairs : list of Pair
        Vectors from the references.
    """
    due_after = view.settings.closure_days * DAY
    rows = transitions.rows_of(parcels, seen.parcel_id)
    reference = _references(parcels, rows)
    age = view.start - reference.time
    known = (reference.source != NO_PASS) & (due_after > 0)
    found_from_it = known & (reference.source == seen.source_pass)
    due = _due(reference, seen.source_pass, view)
    # Nothing is left to compare; so old a reference is given up all the same.
    given_up = found_from_it & (age >= 2 * due_after)
    compared_with = np.where(given_up, reference.source, seen.reference_pass)
    seen = replace(seen, reference_pass=compared_with.astype(np.int32))
    pairs = []
    found = list(matched_from(reference, np.flatnonzero(due), seen.xy, view, match))
    for part, source, vectors in found:
        pairs.append(Pair(source, seen.parcel_id[part], vectors))
        given_up = age[part] >= 2 * due_after
        seen = _compared(seen, part, _Found(source, vectors, before[part], given_up), view)
    parcels = transitions.corrected(parcels, seen.parcel_id, seen.xy, seen.time, seen.covariance)
    parcels = transitions.referred(parcels, seen.parcel_id[seen.reference_pass >= 0])
    return parcels, seen, pairs


@dataclass(frozen=True)
class _Found:
    """Vectors (M,) from a reference.

    ``before`` (M, 2, 2) is the covariance that had accumulated before this pass, m2; ``given_up``
    (M,) tells whose reference is given up if it is not found from there.
    """

    reference: int
    vectors: Vectors
    before: Float
    given_up: Bool


def _compared(seen: Observations, rows: Index, found: _Found, view: View) -> Observations:
    """Sightings of which some were found from their reference too, or it is given up there."""
    vectors, limit = found.vectors, view.settings.closure_limit
    here = seen.take(rows)
    apart = pixels_apart(vectors.xy1, here.xy, view)
    compared = vectors.tracked | found.given_up
    pixel = view.image.grid.pixel

    def flagged(flags: NDArray[np.int8]) -> NDArray[np.int8]:
        """Half the limit is one more weak thing to be counted, all of it the worst."""
        weak = np.where(apart > 0.5 * limit, np.minimum(flags + 1, WORST), flags)
        return np.where(apart > limit, WORST, weak).astype(np.int8)

    here = replace(
        here,
        closure=apart * pixel,
        reference_pass=np.where(compared, np.int32(found.reference), here.reference_pass),
        q_flag=flagged(here.q_flag),
    )
    better = replace(
        here,
        xy=vectors.xy1,
        time=vectors.time1,
        # In place of the last step's: so differences are right on average (decision 0031).
        covariance=found.before + vectors.covariance,
        mcc=vectors.mcc,
        peak_ratio=vectors.peak_ratio,
        rotation=vectors.rotation,
        source_pass=np.full(len(rows), found.reference, dtype=np.int32),
        q_flag=flagged(quality_flags(vectors.mcc, vectors.peak_ratio, vectors.covariance, pixel)),
    )
    # What is faint may be a crack's other side; what is sure outweighs a leap.
    faint = vectors.mcc < FAINT_CORRELATION
    good = apart <= np.where(faint, min(view.settings.confirm_within, limit), limit)
    good |= (apart > ELSEWHERE) & (vectors.mcc >= SURE_CORRELATION)
    return seen.put(rows, here.put(good, better.take(good)))
