"""Edges of the rules by which a pass is folded: where each of them begins and ends."""

from dataclasses import replace

import numpy as np
import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, planted, stream

from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.concentration import IceField, RegularCells
from lagrangian_ice.parcels.fold import open_water, shown
from lagrangian_ice.parcels.population import EndReason, State
from lagrangian_ice.parcels.view import View
from lagrangian_ice.settings import ParcelSettings

SETTINGS = ParcelSettings(birth_margin=0, reseed=False)
RESEED = ParcelSettings(birth_margin=0, reseed=True)
STREAMS = [stream()]


def test_parcels_that_wait_for_a_later_seeding_hold_no_cell():
    later = planted(WHOLE, first=500, number=1)
    streams = [stream(), stream(1, day=10.0)]
    fold = Ice().fold(later, 0, See(5, WHOLE), streams, RESEED, 1000)
    assert len(fold.seeded) == 24


def test_empty_cells_are_seeded_by_the_latest_stream_that_has_begun():
    streams = [stream(), stream(1, day=1.0), stream(2, day=9.0)]
    fold = Ice().fold(t.no_parcels(), 0, See(5, WHOLE), streams, RESEED, 1000)
    assert set(fold.seeded.stream.tolist()) == {1}


def test_one_that_is_seen_after_the_longest_gap_to_the_second_lives():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(4.0, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == 24
    assert len(fold.ends.parcel_id) == 0


def test_nobody_is_born_in_a_pass_that_starts_when_the_window_ends():
    fold = Ice().fold(planted(WHOLE), 0, See(3.0, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == 0


def test_a_pass_is_not_matched_with_itself_where_no_interval_is_asked():
    settings = SETTINGS.model_copy(update={"min_interval_hours": 0.0})
    ice = Ice()
    first = ice.born(See(0, WHOLE), settings)
    assert first.pairs == []
    assert len(first.observations.parcel_id) == 24


def test_where_a_band_is_missing_the_pass_shows_nothing():
    image = See(0, WHOLE).image()
    half = image.data.copy()
    half[:, :, : half.shape[2] // 2] = np.nan
    both = replace(image, polarisations=("HH", "HV"), data=np.concatenate([image.data, half]))
    xy = np.array([[0.0, 0.0], [50_000.0, 0.0]])
    assert shown(image, xy).tolist() == [True, True]
    assert shown(both, xy).tolist() == [False, True]


def test_of_just_the_least_concentration_there_is_ice():
    cells = RegularCells("EPSG:3413", (-1e4, -1e4), (1e4, 1e4), (3, 3))
    ice = IceField(T0, cells, np.full(9, 0.25))
    settings = SETTINGS.model_copy(update={"min_concentration": 0.25})
    assert not open_water(ice, np.zeros((1, 2)), settings).any()
    more = SETTINGS.model_copy(update={"min_concentration": 0.26})
    assert open_water(ice, np.zeros((1, 2)), more).all()


def test_a_pass_that_shows_land_alone_is_matched_with_nothing():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(1, WHOLE, land=(WHOLE,)), STREAMS, SETTINGS, 1000)
    assert fold.pairs == []
    assert len(fold.missed) == 0


class Elsewhere(Ice):
    """Ice at rest that the images tell is off by 100 km, too faint to be found."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        status = np.full(len(xy), Status.LOW_CORRELATION, np.int8)
        return replace(
            vectors.without(vectors.tracked),
            status=status,
            first_guess=xy + np.array([100_000.0, 0.0]),
        )


def test_who_is_led_beside_the_pass_is_not_missed_in_it():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    astray = Elsewhere(velocity=(0.0, 0.0), passes=ice.passes)
    fold = astray.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.missed) == 0
    assert fold.pairs == []
    assert (fold.parcels.state == State.ALIVE).all()


def test_who_is_not_to_be_found_in_a_pass_is_not_looked_for_once_more():
    rest = Ice(velocity=(0.0, 0.0))
    parcels = rest.born(See(0, WHOLE), SETTINGS).parcels
    parcels = rest.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000).parcels
    ice = Ice((-0.3, 0.0), hidden=((-1e5, -1e5, 1e5, 1e5),), passes=rest.passes)
    beside = See(2, (-30_000.0, -1_000.0, 5_000.0, 31_000.0))
    fold = ice.fold(parcels, 2, beside, STREAMS, SETTINGS, 1000)
    assert len(fold.missed) == 4
    # All are looked for; once more, with less correlation, only those that ought to be there.
    first, *others = [one for _, one in ice.asked]
    assert (first.source_pass, first.correlation, len(first.xy)) == (1, 1.0, 24)
    assert {len(one.xy) for one in others if one.correlation < 1} == {4}


def test_nobody_is_looked_for_farther_from_a_pass_than_the_largest_margin():
    """Ice that goes 30 km a day, seen three days after; the pass is 64 km away, or 44."""
    ice = Ice(velocity=(-0.35, 0.0))
    parcels = t.born(planted(WHOLE), np.arange(1, 25), np.full(24, T0), 0)
    step, moved = np.zeros((24, 2, 2)), parcels.xy + np.array([-0.35 * DAY, 0.0])
    parcels = t.observed(parcels, parcels.parcel_id, moved, np.full(24, T0 + DAY), step, 1)
    ice.passes |= {0: See(0, WHOLE), 1: See(1, WHOLE)}
    west, edge = (-200_000.0, -1_000.0, -75_000.0, 31_000.0), -75_000.0
    fold = ice.fold(parcels, 2, See(4, west), STREAMS, SETTINGS, 1000)
    asked = np.unique(np.concatenate([pair.parcel_id for pair in fold.pairs]))
    near = parcels.parcel_id[parcels.xy[:, 0] <= edge + 50_000.0]
    assert 0 < len(near) < 24
    np.testing.assert_array_equal(asked, near)


class Apart(Ice):
    """Ice at rest of which the parcels at one place move otherwise."""

    place = (0.0, 0.0)
    way = (0.0, 0.0)

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = np.hypot(*(xy - self.place).T) < 100
        return replace(vectors, xy1=vectors.xy1 + at[:, None] * np.array(self.way))


def seen_at(nodes, spacing):
    """Parcels that pass 0 has seen at these multiples of a spacing."""
    col, row = np.array(nodes).T
    ids = np.arange(1, len(col) + 1)
    parcels = t.planted(ids, 0, row, col, spacing)
    return t.born(parcels, ids, np.full(len(ids), T0), 0)


def missed_of(parcels, place, way, spacing, **changes):
    bounds = (-20_000.0, -20_000.0, 120_000.0, 120_000.0)
    ice = Apart(velocity=(0.0, 0.0))
    ice.place, ice.way, ice.passes[0] = place, way, See(0, bounds)
    settings = SETTINGS.model_copy(update=changes)
    fold = ice.fold(parcels, 1, See(1, bounds), [stream(spacing=spacing)], settings, 1000)
    return fold.missed.tolist()


FEW = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize(("distance", "missed"), [(4, [7]), (6, [])])
def test_those_around_are_within_five_spacings_of_the_finest_grid(distance, missed):
    """One moves 10 km, the others do not; on a grid of 2 km 10 km are the reach."""
    spacing = 2000.0
    parcels = seen_at([*FEW, (2 + distance, 0)], spacing)
    place = ((2 + distance) * spacing, 0.0)
    assert missed_of(parcels, place, (10_000.0, 0.0), spacing) == missed


@pytest.mark.parametrize(("side", "folds"), [(1, True), (3, False)])
def test_larger_triangles_than_two_and_a_half_spacings_may_fold(side, folds):
    """With the others one spacing away, or three, one crosses the side opposite to it."""
    parcels = seen_at([(0, 0), (side, 0), (0, side), (side, side)], 1e4)
    far = 1.5e4 * side
    missed = missed_of(parcels, (0.0, 0.0), (far, far), 1e4, max_parting=10.0)
    assert bool(missed) == folds


def test_who_merges_ends_when_it_was_seen():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    ids, xy = parcels.parcel_id, parcels.xy.copy()
    xy[3] = xy[2] + np.array([900.0, 0.0])
    crowded = t.observed(parcels, ids, xy, np.full(len(ids), T0), np.zeros((len(ids), 2, 2)), 0)
    fold = ice.fold(crowded, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert fold.ends.reason.tolist() == [EndReason.MERGED]
    at = fold.observations.parcel_id == fold.ends.parcel_id[0]
    assert fold.ends.time.tolist() == fold.observations.time[at].tolist() == [T0 + DAY]


def test_a_finer_stream_that_has_not_begun_changes_nothing():
    parcels = seen_at([*FEW, (6, 0)], 1e4)
    see = See(1, WHOLE)
    later = stream(1, day=10.0, spacing=1e3)
    view = View(see.image(), 1, see.start, [stream(), later], SETTINGS, 0.6)
    assert view.finest == 1e4
    assert len(parcels) == 7
    after = View(see.image(), 1, T0 + 10 * DAY, [stream(), later], SETTINGS, 0.6)
    assert after.finest == 1e3
