"""One pass is folded into the population: births, sightings, ends, new seeds.

Pure but for the matching, which is handed in: the same population and pass give the same
result, however the days are divided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.parcels import transitions
from lagrangian_ice.parcels.population import EndReason, Parcels, State
from lagrangian_ice.parcels.quality import BEST, quality_flags
from lagrangian_ice.parcels.transitions import Bool, Ids
from lagrangian_ice.settings import ParcelSettings

Match = Callable[[int, Float], Vectors]
"""Displacements of points (N, 2) from the pass of an index to the pass being folded."""

HOUR, DAY = 3600.0, 86400.0
LARGEST_MARGIN = 50_000.0
"""Metres outside the pass at which parcels are still looked for: they may have drifted in."""
_NOT_COVERED = (Status.OUT_OF_IMAGE, Status.TOO_LITTLE_DATA)
"""Statuses that say nothing about the parcel: the pass did not show the place."""


@dataclass(frozen=True)
class Stream:
    """One seeding.

    Attributes
    ----------
    stream : int
        0 is stream a.
    date, window_end : float
        Its parcels are born in passes that start within these, seconds since 1970.
    spacing : float
        Of its grid, metres.
    """

    stream: int
    date: float
    window_end: float
    spacing: float


@dataclass(frozen=True)
class Ends:
    """Parcels (N,) that end, why, and when (seconds since 1970)."""

    parcel_id: Ids
    reason: NDArray[np.int8]
    time: Float


@dataclass(frozen=True)
class Observations:
    """Sightings (N,) in one pass; a birth has no correlation and no source.

    ``covariance`` (N, 2, 2) is what has accumulated since birth, m2; ``source_pass`` is -1
    at a birth.
    """

    parcel_id: Ids
    time: Float
    xy: Float
    covariance: Float
    mcc: Float
    peak_ratio: Float
    rotation: Float
    q_flag: NDArray[np.int8]
    source_pass: NDArray[np.int32]


@dataclass(frozen=True)
class Pair:
    """Vectors of the parcels ``parcel_id`` (N,) from one source pass."""

    source_pass: int
    parcel_id: Ids
    vectors: Vectors


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
    parcels: Parcels, now: float, settings: ParcelSettings, streams: list[Stream]
) -> tuple[Parcels, Ends]:
    """End the parcels that have waited too long by ``now``.

    Returns
    -------
    parcels : Parcels
        With those ended as lost.
    ends : Ends
        Each at the moment its patience ran out, which does not depend on ``now``.
    """
    windows = {one.stream: one.window_end for one in streams}
    times = transitions.expiry(parcels, settings.max_gap_days * DAY, windows)
    over = transitions.living(parcels) & (times < now)
    parcels = transitions.ended(parcels, parcels.parcel_id[over], EndReason.LOST)
    return parcels, _ends(parcels.parcel_id[over], EndReason.LOST, times[over])


def fold_pass(
    parcels: Parcels,
    image: GeoImage,
    pass_index: int,
    start: float,
    match: Match,
    streams: list[Stream],
    settings: ParcelSettings,
    max_speed: float,
    next_id: int,
) -> Fold:
    """Fold one pass into the population.

    Parameters
    ----------
    parcels : Parcels
        All that live.
    image : GeoImage
        The pass.
    pass_index : int
        Its index.
    start : float
        Start of the pass, seconds since 1970: the clock of all rules.
    match : Match
        Tracks points from an earlier pass.
    streams : list of Stream
        All seedings.
    settings : ParcelSettings
        Intervals and distances.
    max_speed : float
        Fastest ice, m s-1.
    next_id : int
        First id for new parcels.
    """
    sea = image.valid & ~image.land
    parcels, lost = lost_until(parcels, start, settings, streams)
    parcels, births = _births(parcels, image, sea, pass_index, start, streams)
    pairs = _matched(parcels, image, sea, pass_index, start, match, settings, max_speed)
    parcels, sightings, unseen, aground = _sightings(parcels, pairs, image, sea, pass_index)
    sightings = _together(births, sightings)
    parcels, merged = _merged(parcels, sightings, settings, streams)
    seeded = _seeded(parcels, image, sea, pass_index, start, streams, settings, next_id)
    everyone = transitions.joined(parcels, seeded)
    return Fold(
        parcels=transitions.taken(everyone, transitions.living(everyone)),
        seeded=seeded,
        observations=_together(sightings, _birth_rows(seeded)),
        missed=unseen,
        ends=_all_ends([lost, aground, merged]),
        pairs=pairs,
    )


def sampled(mask: Bool, image: GeoImage, xy: Float) -> Bool:
    """Value (N,) of a pixel mask at map positions (N, 2); False outside the image."""
    inside = image.grid.contains(xy)
    # The pixel that contains a position, not a position made of it.
    row, col = np.rint(image.grid.rowcol(xy[inside])).astype(np.int64).T
    values = np.zeros(len(xy), dtype=np.bool_)
    values[inside] = mask[row, col]
    return values


def _births(
    parcels: Parcels,
    image: GeoImage,
    sea: Bool,
    pass_index: int,
    start: float,
    streams: list[Stream],
) -> tuple[Parcels, Observations]:
    open_streams = [one.stream for one in streams if one.date <= start < one.window_end]
    waiting = (parcels.state == State.PENDING) & np.isin(parcels.stream, open_streams)
    waiting[waiting] = sampled(sea, image, parcels.xy[waiting])
    ids = parcels.parcel_id[waiting]
    parcels = transitions.born(parcels, ids, image.time_at(parcels.xy[waiting]), pass_index)
    return parcels, _birth_rows(transitions.taken(parcels, waiting))


def _matched(
    parcels: Parcels,
    image: GeoImage,
    sea: Bool,
    pass_index: int,
    start: float,
    match: Match,
    settings: ParcelSettings,
    max_speed: float,
) -> list[Pair]:
    """Match the parcels in reach, source pass by source pass."""
    age_limits = (settings.min_interval_hours * HOUR, settings.max_gap_days * DAY)
    wanted = transitions.due(parcels, start, *age_limits) & (parcels.pass_index != pass_index)
    margin = np.minimum(max_speed * (start - parcels.time[wanted]), LARGEST_MARGIN)
    wanted[wanted] = _within(image, parcels.xy[wanted], margin)
    pairs = []
    for source in np.unique(parcels.pass_index[wanted]).tolist():
        rows = wanted & (parcels.pass_index == source)
        covered = sampled(sea, image, parcels.xy[rows])
        if not covered.any():
            continue
        vectors = match(source, parcels.xy[rows])
        # An attempt outside the pass that found nothing says nothing.
        told = vectors.tracked | (covered & ~np.isin(vectors.status, _NOT_COVERED))
        if told.any():
            pairs.append(
                Pair(source, parcels.parcel_id[rows][told], rows_of_vectors(vectors, told))
            )
    return pairs


def rows_of_vectors(vectors: Vectors, rows: Bool) -> Vectors:
    """Rows of vectors by mask."""
    return Vectors(**{name: getattr(vectors, name)[rows] for name in vectors.__dataclass_fields__})


def _within(image: GeoImage, xy: Float, margin: Float) -> Bool:
    xmin, ymin, xmax, ymax = image.grid.bounds
    x, y = xy[:, 0], xy[:, 1]
    across = (x >= xmin - margin) & (x <= xmax + margin)
    return np.asarray(across & (y >= ymin - margin) & (y <= ymax + margin))


def _sightings(
    parcels: Parcels, pairs: list[Pair], image: GeoImage, sea: Bool, pass_index: int
) -> tuple[Parcels, Observations, Ids, Ends]:
    """Apply the vectors: who is seen where, who is missed, who has come ashore."""
    seen = [_no_observations()]
    unseen = [np.empty(0, dtype=np.int64)]
    ashore = [_ends(np.empty(0, dtype=np.int64), EndReason.LAND, np.empty(0))]
    for pair in pairs:
        vectors, ids = pair.vectors, pair.parcel_id
        on_land = vectors.tracked.copy()
        on_land[on_land] = sampled(image.land, image, vectors.xy1[on_land])
        found = vectors.tracked & ~on_land
        unseen.append(ids[~vectors.tracked])
        ashore.append(_ends(ids[on_land], EndReason.LAND, vectors.time1[on_land]))
        parcels = transitions.ended(parcels, ids[on_land], EndReason.LAND)
        parcels = transitions.missed(parcels, ids[~vectors.tracked])
        parcels = transitions.observed(
            parcels,
            ids[found],
            vectors.xy1[found],
            vectors.time1[found],
            vectors.covariance[found],
            pass_index,
        )
        seen.append(_sighting_rows(parcels, pair, found, image.grid.pixel))
    all_seen = _together(*seen)
    return parcels, all_seen, np.sort(np.concatenate(unseen)), _all_ends(ashore)


def _sighting_rows(parcels: Parcels, pair: Pair, found: Bool, pixel: float) -> Observations:
    ids, vectors = pair.parcel_id[found], rows_of_vectors(pair.vectors, found)
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
    )


def _no_observations() -> Observations:
    return _birth_rows(transitions.no_parcels())


def _together(*parts: Observations) -> Observations:
    names = Observations.__dataclass_fields__
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.argsort(whole["parcel_id"], kind="stable")
    return Observations(**{name: values[order] for name, values in whole.items()})


def _merged(
    parcels: Parcels, seen: Observations, settings: ParcelSettings, streams: list[Stream]
) -> tuple[Parcels, Ends]:
    rows = transitions.rows_of(parcels, seen.parcel_id)
    # A fine seed grid must not merge with itself.
    finest = min((one.spacing for one in streams), default=np.inf)
    distance = min(settings.merge_distance, finest / 5)
    ids = transitions.merging(seen.parcel_id, parcels.stream[rows], seen.xy, distance)
    times = parcels.time[transitions.rows_of(parcels, ids)]
    ends = _ends(ids, EndReason.MERGED, times)
    return transitions.ended(parcels, ids, EndReason.MERGED), ends


def _seeded(
    parcels: Parcels,
    image: GeoImage,
    sea: Bool,
    pass_index: int,
    start: float,
    streams: list[Stream],
    settings: ParcelSettings,
    next_id: int,
) -> Parcels:
    """Seed the empty cells that the pass shows, with parcels of the latest stream begun."""
    begun = [one for one in streams if one.date <= start]
    if not (settings.reseed and begun):
        return transitions.no_parcels()
    stream = max(begun, key=lambda one: (one.date, one.stream))
    row, col = transitions.nodes_within(image.grid.bounds, stream.spacing)
    nodes = np.stack([col, row], axis=-1).astype(np.float64) * stream.spacing
    free = sampled(sea, image, nodes)
    begun_streams = np.isin(parcels.stream, [one.stream for one in begun])
    holders = transitions.taken(parcels, begun_streams)
    free[free] = transitions.vacant(holders, row[free], col[free], stream.spacing)
    ids = next_id + np.arange(int(free.sum()))
    new = transitions.planted(ids, stream.stream, row[free], col[free], stream.spacing)
    return transitions.born(new, ids, image.time_at(new.xy), pass_index)


def _ends(parcel_id: Ids, reason: EndReason, time: Float) -> Ends:
    return Ends(parcel_id, np.full(len(parcel_id), reason, dtype=np.int8), time)


def _all_ends(parts: list[Ends]) -> Ends:
    ids = np.concatenate([part.parcel_id for part in parts])
    order = np.argsort(ids, kind="stable")
    return Ends(
        ids[order],
        np.concatenate([part.reason for part in parts])[order],
        np.concatenate([part.time for part in parts])[order],
    )
