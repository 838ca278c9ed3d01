"""One pass is folded into the population: births, sightings, ends, new seeds.

Which passes are matched. A pass looks for the parcels around it that were last seen
``min_interval_hours`` to ``max_gap_days`` before: the first pass in time that comes after the
interval takes a parcel, for ice is the less alike the longer it is apart. Its source is the pass
it was last seen in, so that every parcel has one source and the sources of a pass share its
parcels. There is a pair for every source that has a parcel on what the pass shows of the sea, where
it was seen or where it ought to be by now.

A parcel counts as not found where other ice may as well have been taken for it: its error or that
of its first guess is large, or the doubt about it. One that is found with some doubt needs a
witness: the sighting before its last one, or its reference, must lead to the same place.

Beside that, a parcel found whose reference (its birth, or the last sighting that was compared
with an earlier one) is ``closure_days`` old is matched from there as well. How far the two ends
are apart is its closure: what the templates have drifted. Up to ``closure_limit`` the end from the
older template holds, if that is not faint; beyond it the other one with the worst quality flag,
unless they are so far apart that one must be other ice, and the older template correlates well.
The sighting becomes the reference, at the latest when the old one is twice as old as it should be.

One that its last sighting does not lead to surely, or that is too faint, is found yet if two of
its sightings lead to the same place, one of them surely.

Where the concentration of sea ice is known, nobody is born below a limit of it, and a parcel that
was looked for and not found ends where it is below: at the place that its neighbours' motion
predicts, else where it was last seen. Who is found lives on.

Pure but for the matching, which is handed in: the same population and pass give the same
result, however the days are divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.vectors import NOT_COVERED, Vectors
from lagrangian_ice.parcels import transitions
from lagrangian_ice.parcels.concentration import IceField
from lagrangian_ice.parcels.earlier import closures, confirmed, foreseen
from lagrangian_ice.parcels.population import UNSEEN, EndReason, Parcels, State
from lagrangian_ice.parcels.quality import BEST, quality_flags, sure
from lagrangian_ice.parcels.topology import folding, parted
from lagrangian_ice.parcels.transitions import Bool, Drift, Ids
from lagrangian_ice.parcels.twice import found_twice
from lagrangian_ice.parcels.view import (
    DAY,
    HOUR,
    Ends,
    Expect,
    Match,
    Observations,
    Pair,
    Stream,
    View,
    Wanted,
)
from lagrangian_ice.settings import ParcelSettings

R = TypeVar("R", Observations, Ends)

LARGEST_MARGIN = 50_000.0
"""Metres outside the pass at which parcels are still looked for: they may have drifted in."""
PARTING_REACH = 2.0
"""Times ``max_fold_side`` that parcels are asked: at the rim of a pass few are nearer."""
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Steps from a place to the eight around it."""
STRAYED = 0.25
"""Of the way that a parcel ought to have drifted, by which it may have gone elsewhere."""


@dataclass(frozen=True)
class Fold:
    """All that one pass changes.

    Attributes
    ----------
    parcels : Parcels
        The living ones afterwards, in order of id.
    seeded : Parcels
        Those that this pass brought into being in empty cells.
    observations : Observations
        In order of id.
    missed : (N,) int64
        Parcels looked for and not found.
    ends : Ends
        In order of id.
    pairs : list of Pair
        In order of the source pass.
    """

    parcels: Parcels
    seeded: Parcels
    observations: Observations
    missed: Ids
    ends: Ends
    pairs: list[Pair]


def lost_until(
    parcels: Parcels, now: float, settings: ParcelSettings, streams: Sequence[Stream]
) -> tuple[Parcels, Ends]:
    """End the parcels that have waited too long by ``now``.

    Returns
    -------
    parcels : Parcels
        With those ended: as lost who was looked for in vain, as not covered who was not.
    ends : Ends
        Each at the moment its patience ran out, which does not depend on ``now``.
    """
    windows = {one.stream: one.window_end for one in streams}
    times = transitions.expiry(parcels, settings.max_gap_days * DAY, windows)
    over = transitions.living(parcels) & (times < now)
    ends = []
    for state, reason in UNSEEN.items():
        these = over & (parcels.state == state)
        ids = parcels.parcel_id[these]
        parcels = transitions.ended(parcels, ids, reason)
        ends.append(_ends(ids, reason, times[these]))
    return parcels, _in_order(ends)


def fold_pass(
    parcels: Parcels, view: View, match: Match, next_id: int, expect: Expect | None = None
) -> Fold:
    """Fold one pass into the population.

    Parameters
    ----------
    parcels : Parcels
        All that live.
    view : View
        The pass, and the rules.
    match : Match
        Tracks points from an earlier pass.
    next_id : int
        First id for new parcels.
    expect : callable, optional
        Told what will be asked of earlier sightings unless something changes before.
    """

    def surely(requests: Sequence[Wanted]) -> list[Vectors]:
        return [_sure(vectors, view) for vectors in match(requests)]

    parcels, lost = lost_until(parcels, view.start, view.settings, view.streams)
    if view.settings.closure_days == 0:
        # Nobody is compared with an older sighting, as after a restart that finds none.
        parcels = transitions.referred(parcels, parcels.parcel_id[transitions.sighted(parcels)])
    parcels, births = _births(parcels, view)
    drift = Drift(parcels)
    looked = _told(_matched(drift, view, match), drift, view)
    pairs = [replace(pair, vectors=_sure(pair.vectors, view)) for pair in looked]
    if expect is not None:
        expect(foreseen(parcels, pairs, view))
    found, twice = found_twice(parcels, looked, pairs, view, match)
    pairs = [_unfolded(pair, view) for pair in _with_found(pairs, found)]
    pairs, witnesses = confirmed(parcels, pairs, view, match)
    pairs = _told(pairs, drift, view)
    before = parcels
    parcels, sightings, unseen, aground = _sightings(parcels, pairs, view)
    parcels, melted = _out_of_ice(parcels, pairs, view)
    known = before.covariance[transitions.rows_of(before, sightings.parcel_id)]
    parcels, sightings, checks = closures(parcels, sightings, known, view, surely)
    sightings = _in_order([births, sightings])
    parcels, merged = _merged(parcels, sightings, view)
    seeded = _seeded(parcels, view, next_id)
    everyone = transitions.joined(parcels, seeded)
    return Fold(
        parcels=everyone.take(transitions.living(everyone)),
        seeded=seeded,
        observations=_in_order([sightings, _birth_rows(seeded)]),
        missed=unseen,
        ends=_in_order([lost, aground, melted, merged]),
        pairs=sorted([*pairs, *twice, *witnesses, *checks], key=lambda pair: pair.source_pass),
    )


def shown(image: GeoImage, xy: Float) -> Bool:
    """Whether the pass has data on sea at map positions (N, 2)."""
    return _with_data(image, xy) & ~on_land(image, xy)


def _with_data(image: GeoImage, xy: Float) -> Bool:
    """Whether the pass has data at map positions (N, 2)."""
    inside, row, col = _pixels(image, xy)
    inside[inside] = np.isfinite(image.data[:, row, col]).all(axis=0)
    return inside


def _fit_for_birth(view: View, xy: Float) -> Bool:
    """Whether positions (N, 2) are on ice and the pass shows enough around to find them again."""
    reach = view.settings.birth_margin * view.image.grid.pixel
    whole = shown(view.image, xy)
    for step in AROUND:
        whole[whole] = shown(view.image, xy[whole] + reach * np.array(step))
    whole[whole] = ~open_water(view.ice, xy[whole], view.settings)
    return whole


def open_water(ice: IceField | None, xy: Float, settings: ParcelSettings) -> Bool:
    """Whether positions (N, 2) are known to be without ice."""
    if ice is None:
        return np.zeros(len(xy), dtype=np.bool_)
    return np.asarray(ice.at(xy) < settings.min_concentration)


def on_land(image: GeoImage, xy: Float) -> Bool:
    """Whether map positions (N, 2) are on land of the image."""
    inside, row, col = _pixels(image, xy)
    inside[inside] = image.land[row, col]
    return inside


def _pixels(image: GeoImage, xy: Float) -> tuple[Bool, NDArray[np.int64], NDArray[np.int64]]:
    """Which positions are inside, and row and column of the pixels that contain those."""
    inside = np.asarray(image.grid.contains(xy))
    # The pixel that contains a position, not a position made of it.
    row, col = np.rint(image.grid.rowcol(xy[inside])).astype(np.int64).T
    return inside, row, col


def _births(parcels: Parcels, view: View) -> tuple[Parcels, Observations]:
    open_streams = [one.stream for one in view.begun if view.start < one.window_end]
    waiting = (parcels.state == State.PENDING) & np.isin(parcels.stream, open_streams)
    waiting[waiting] = _fit_for_birth(view, parcels.xy[waiting])
    ids, times = parcels.parcel_id[waiting], view.image.time_at(parcels.xy[waiting])
    parcels = transitions.born(parcels, ids, times, view.pass_index)
    return parcels, _birth_rows(parcels.take(waiting))


def looked_for(
    parcels: Parcels, grid: Grid, start: float, settings: ParcelSettings, max_speed: float
) -> Bool:
    """Which parcels (N,) are due when a pass starts, and in reach of it.

    Parameters
    ----------
    parcels : Parcels
        The population.
    grid : Grid
        Of the image of the pass.
    start : float
        Of the pass, seconds since 1970.
    settings : ParcelSettings
        Intervals.
    max_speed : float
        Fastest ice, m s-1.
    """
    age_limits = (settings.min_interval_hours * HOUR, settings.max_gap_days * DAY)
    wanted = transitions.due(parcels, start, *age_limits)
    age = start - parcels.time[wanted]
    margin = np.minimum(max_speed * age, LARGEST_MARGIN)
    wanted[wanted] = _within(grid, parcels.xy[wanted], margin)
    return wanted


def from_last_sightings(
    parcels: Parcels, wanted: Bool, sources: Sequence[int], max_speed: float
) -> Iterator[tuple[Ids, Wanted]]:
    """Who of the wanted parcels (N,) was last seen in each source, and what is asked of it."""
    for source in sources:
        rows = wanted & (parcels.pass_index == source)
        yield parcels.parcel_id[rows], Wanted(source, parcels.xy[rows], max_speed)


def _matched(drift: Drift, view: View, match: Match) -> list[Pair]:
    """Match the parcels that are looked for from the passes they were last seen in."""
    parcels = drift.parcels
    wanted = looked_for(parcels, view.image.grid, view.start, view.settings, view.max_speed)
    wanted &= parcels.pass_index != view.pass_index
    sources = _sources(drift, view, wanted)
    asked = list(from_last_sightings(parcels, wanted, sources, view.max_speed))
    answers = zip(asked, match([request for _, request in asked]), strict=True)
    return [Pair(request.source_pass, ids, vectors) for (ids, request), vectors in answers]


def _told(pairs: list[Pair], drift: Drift, view: View) -> list[Pair]:
    """Pairs without parcels of which they tell nothing: not found, but not to be found either.

    Who is not found is missed where the pass shows both where the ice around was going and where
    the matches lead: images with little in common are alike by chance.
    """
    parcels, nobody = drift.parcels, np.empty(0, dtype=np.int64)
    ids = np.concatenate([nobody, *(pair.parcel_id[~pair.vectors.tracked] for pair in pairs)])
    which = np.isin(parcels.parcel_id, ids)
    place = parcels.xy[which] + drift.until(view.start, which)
    come = parcels.parcel_id[which][_with_data(view.image, place)]
    told = []
    for pair in pairs:
        told_of = pair.vectors.tracked.copy()
        missed = pair.take(~told_of)
        covered = np.isin(missed.parcel_id, come) & ~np.isin(missed.vectors.status, NOT_COVERED)
        told_of[~told_of] = covered & _with_data(view.image, _expected(missed.vectors))
        told.append(pair if told_of.all() else pair.take(told_of))
    return [pair for pair in told if len(pair.parcel_id)]


def _expected(vectors: Vectors) -> Float:
    """Where (N, 2) parcels ought to be: where others lead, else where they were last seen."""
    guess = vectors.first_guess
    return np.where(np.isfinite(guess), guess, vectors.xy0)


def _sources(drift: Drift, view: View, wanted: Bool) -> list[int]:
    """List the sources of parcels that the pass covers where they were seen or ought to be."""
    parcels, covered = drift.parcels, wanted.copy()
    covered[wanted] = shown(view.image, parcels.xy[wanted])
    sources = parcels.pass_index
    elsewhere = wanted & ~np.isin(sources, sources[covered])
    way = drift.until(view.start, elsewhere)
    expected, reach = parcels.xy[elsewhere] + way, STRAYED * np.linalg.norm(way, axis=1)
    near = shown(view.image, expected)
    for step in AROUND:
        near[~near] = shown(view.image, (expected + reach[:, None] * np.array(step))[~near])
    come = sources[elsewhere][near]
    found: list[int] = np.union1d(sources[covered], come).tolist()
    return found


def _within(grid: Grid, xy: Float, margin: Float) -> Bool:
    xmin, ymin, xmax, ymax = grid.bounds
    x, y = xy[:, 0], xy[:, 1]
    across = (x >= xmin - margin) & (x <= xmax + margin)
    return np.asarray(across & (y >= ymin - margin) & (y <= ymax + margin))


def _unfolded(pair: Pair, view: View) -> Pair:
    """Pair without the vectors that nothing around moves with, and those that fold the mesh."""
    vectors = pair.vectors
    longest = view.settings.max_fold_side * view.finest
    tracked = np.flatnonzero(vectors.tracked)
    if not len(tracked):
        return pair
    seconds = float(np.median(vectors.time1[tracked] - vectors.time0[tracked]))
    farthest = float(view.farthest_parting(seconds))
    reach = PARTING_REACH * longest
    alone = parted(vectors.xy0[tracked], vectors.xy1[tracked], reach, farthest)
    left = tracked[~alone]
    folds = left[folding(vectors.xy0[left], vectors.xy1[left], longest)]
    guilty = np.concatenate([tracked[alone], folds])
    return replace(pair, vectors=vectors.without(guilty))


def _with_found(pairs: list[Pair], found: list[Pair]) -> list[Pair]:
    """Pairs with parcels that were missed, and then found from one or the other of these passes."""
    by_source = {one.source_pass: one for one in pairs}
    for one in found:
        for source, pair in by_source.items():
            by_source[source] = _instead(pair, one)
        there = by_source.get(one.source_pass)
        new = one if there is None else one.take(~np.isin(one.parcel_id, there.parcel_id))
        if len(new.parcel_id):
            by_source[one.source_pass] = new if there is None else _joined(there, new)
    return [pair for pair in by_source.values() if len(pair.parcel_id)]


def _instead(pair: Pair, found: Pair) -> Pair:
    """Pair without parcels that were found from elsewhere, or with what was found from there."""
    here = np.isin(pair.parcel_id, found.parcel_id)
    if not here.any():
        return pair
    if pair.source_pass != found.source_pass:
        return pair.take(~here)
    order = np.searchsorted(found.parcel_id, pair.parcel_id[here])
    return replace(pair, vectors=pair.vectors.put(here, found.vectors.take(order)))


def _joined(pair: Pair, other: Pair) -> Pair:
    """Two pairs of the same passes as one, in order of the parcels."""
    ids = np.concatenate([pair.parcel_id, other.parcel_id])
    whole = Pair(pair.source_pass, ids, Vectors.joined([pair.vectors, other.vectors]))
    return whole.take(np.argsort(ids, kind="stable"))


def _sure(vectors: Vectors, view: View) -> Vectors:
    """Vectors without those that may as well lead elsewhere."""
    unsure = vectors.tracked & ~sure(vectors, view.settings, view.image.grid.pixel)
    return vectors.without(unsure)


def _sightings(
    parcels: Parcels, pairs: list[Pair], view: View
) -> tuple[Parcels, Observations, Ids, Ends]:
    """Apply the vectors: who is seen where, who is missed, who has come ashore."""
    seen = [_no_observations()]
    unseen = [np.empty(0, dtype=np.int64)]
    ashore = [_ends(np.empty(0, dtype=np.int64), EndReason.LAND, np.empty(0))]
    for pair in pairs:
        vectors, ids = pair.vectors, pair.parcel_id
        aground = vectors.tracked.copy()
        aground[aground] = on_land(view.image, vectors.xy1[aground])
        found = vectors.tracked & ~aground
        unseen.append(ids[~vectors.tracked])
        ashore.append(_ends(ids[aground], EndReason.LAND, vectors.time1[aground]))
        parcels = transitions.ended(parcels, ids[aground], EndReason.LAND)
        parcels = transitions.missed(parcels, ids[~vectors.tracked])
        parcels = transitions.observed(
            parcels,
            ids[found],
            vectors.xy1[found],
            vectors.time1[found],
            vectors.covariance[found],
            view.pass_index,
        )
        seen.append(_sighting_rows(parcels, pair, found, view.image.grid.pixel))
    all_seen = _in_order(seen)
    return parcels, all_seen, np.sort(np.concatenate(unseen)), _in_order(ashore)


def _out_of_ice(parcels: Parcels, pairs: list[Pair], view: View) -> tuple[Parcels, Ends]:
    """End who was looked for, not found, and ought to be where there is no ice."""
    gone = [_ends(np.empty(0, dtype=np.int64), EndReason.OUT_OF_ICE, np.empty(0))]
    for pair in pairs:
        missed = pair.take(~pair.vectors.tracked)
        place = _expected(missed.vectors)
        water = open_water(view.ice, place, view.settings)
        ids = missed.parcel_id[water]
        gone.append(_ends(ids, EndReason.OUT_OF_ICE, view.image.time_at(place[water])))
        parcels = transitions.ended(parcels, ids, EndReason.OUT_OF_ICE)
    return parcels, _in_order(gone)


def _sighting_rows(parcels: Parcels, pair: Pair, found: Bool, pixel: float) -> Observations:
    ids, vectors = pair.parcel_id[found], pair.vectors.take(found)
    rows = transitions.rows_of(parcels, ids)
    return Observations(
        parcel_id=ids,
        time=vectors.time1,
        xy=vectors.xy1,
        covariance=parcels.covariance[rows],
        mcc=vectors.mcc,
        peak_ratio=vectors.peak_ratio,
        rotation=vectors.rotation,
        q_flag=quality_flags(vectors.mcc, vectors.peak_ratio, vectors.covariance, pixel),
        source_pass=np.full(len(ids), pair.source_pass, dtype=np.int32),
        reference_pass=np.full(len(ids), transitions.NO_PASS, dtype=np.int32),
        closure=np.full(len(ids), np.nan),
    )


def _birth_rows(parcels: Parcels) -> Observations:
    count = len(parcels)
    nothing = np.full(count, np.nan)
    return Observations(
        parcel_id=parcels.parcel_id,
        time=parcels.time,
        xy=parcels.xy,
        covariance=parcels.covariance,
        mcc=nothing,
        peak_ratio=nothing,
        rotation=nothing,
        q_flag=np.full(count, BEST, dtype=np.int8),
        source_pass=np.full(count, transitions.NO_PASS, dtype=np.int32),
        reference_pass=np.full(count, transitions.NO_PASS, dtype=np.int32),
        closure=nothing,
    )


def _no_observations() -> Observations:
    return _birth_rows(transitions.no_parcels())


def _in_order(parts: Sequence[R]) -> R:
    """Put parts together, in order of the parcels."""
    whole = parts[0].joined(parts)
    return whole.take(np.argsort(whole.parcel_id, kind="stable"))


def _merged(parcels: Parcels, seen: Observations, view: View) -> tuple[Parcels, Ends]:
    rows = transitions.rows_of(parcels, seen.parcel_id)
    # A fine seed grid must not merge with itself.
    distance = min(view.settings.merge_distance, view.finest / 5)
    ids = transitions.merging(seen.parcel_id, parcels.stream[rows], seen.xy, distance)
    times = parcels.time[transitions.rows_of(parcels, ids)]
    ends = _ends(ids, EndReason.MERGED, times)
    return transitions.ended(parcels, ids, EndReason.MERGED), ends


def _seeded(parcels: Parcels, view: View, next_id: int) -> Parcels:
    """Seed the empty cells that the pass shows, with parcels of the latest stream begun."""
    if not (view.settings.reseed and view.begun):
        return transitions.no_parcels()
    stream = max(view.begun, key=lambda one: (one.date, one.stream))
    row, col = transitions.nodes_within(view.image.grid.bounds, stream.spacing)
    free = transitions.vacant(_holders(parcels, view), row, col, stream.spacing)
    nodes = np.stack([col, row], axis=-1).astype(np.float64) * stream.spacing
    free[free] = _fit_for_birth(view, nodes[free])
    ids = next_id + np.arange(int(free.sum()))
    new = transitions.planted(ids, stream.stream, row[free], col[free], stream.spacing)
    return transitions.born(new, ids, view.image.time_at(new.xy), view.pass_index)


def _holders(parcels: Parcels, view: View) -> Parcels:
    """Parcels that keep cells from being seeded, where they ought to be by now.

    One that is found again later would end the parcel that was seeded where it drifted to.
    """
    begun = np.isin(parcels.stream, [one.stream for one in view.begun])
    holders = parcels.take(begun & transitions.living(parcels))
    unseen = np.isfinite(holders.time) & (holders.pass_index != view.pass_index)
    xy = holders.xy.copy()
    xy[unseen] += Drift(holders).until(view.start, unseen)
    return replace(holders, xy=xy)


def _ends(parcel_id: Ids, reason: EndReason, time: Float) -> Ends:
    return Ends(parcel_id, np.full(len(parcel_id), reason, dtype=np.int8), time)
