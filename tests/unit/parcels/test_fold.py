from dataclasses import dataclass, replace

import numpy as np
import pytest
from drifting_ice import DAY, PIXEL, T0, WHOLE, Ice, See, planted, stream

from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.concentration import IceField, RegularCells
from lagrangian_ice.parcels.fold import lost_until
from lagrangian_ice.parcels.population import EndReason, State
from lagrangian_ice.settings import ParcelSettings

SETTINGS = ParcelSettings(birth_margin=0, reseed=False)
RESEED = ParcelSettings(birth_margin=0, reseed=True)
STREAMS = [stream()]


def test_pending_parcels_are_born_where_there_is_data_on_sea():
    see = See(0, WHOLE, holes=((-500, -500, 500, 500),), land=((9500, -500, 10500, 500),))
    fold = Ice().born(see, SETTINGS)
    state = dict(zip(fold.parcels.parcel_id.tolist(), fold.parcels.state.tolist(), strict=True))
    assert state[1] == state[2] == State.PENDING
    assert {state[i] for i in range(3, 25)} == {State.ALIVE}
    assert fold.observations.parcel_id.tolist() == list(range(3, 25))
    assert (fold.observations.covariance == 0).all()
    assert np.isnan(fold.observations.mcc).all()
    assert (fold.observations.source_pass == -1).all()


def test_nobody_is_born_where_half_a_template_is_missing():
    settings = ParcelSettings(birth_margin=4, reseed=True)
    see = See(0, WHOLE, holes=((21_500, 9_500, 22_500, 10_500),))
    fold = Ice().fold(planted(see.bounds), 0, see, STREAMS, settings, 1000)
    # Four pixels are 2 km: too much for the rim and for the node beside the hole.
    inner = {(x, y) for x in (10, 20, 30, 40) for y in (10, 20)} - {(20, 10)}
    assert {tuple(xy) for xy in (fold.observations.xy / 1e3).tolist()} == inner
    assert (fold.parcels.state == State.PENDING).sum() == 24 - 7


def test_parcels_follow_the_ice_and_errors_accumulate():
    ice = Ice(velocity=(0.01, -0.02))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    nodes = dict(zip(parcels.parcel_id.tolist(), parcels.xy, strict=True))
    for index, day in ((1, 1.0), (2, 2.0)):
        fold = ice.fold(parcels, index, See(day, WHOLE), STREAMS, SETTINGS, 1000)
        parcels = fold.parcels
    inner = fold.observations.parcel_id
    assert len(inner) == 15
    moved = np.array([0.01, -0.02]) * 2 * DAY
    expected = np.array([nodes[i] + moved for i in inner.tolist()])
    np.testing.assert_allclose(fold.observations.xy, expected, atol=1e-6)
    assert np.unique(fold.observations.covariance[:, 0, 0]).tolist() == [2 * 30.0**2]
    assert (fold.observations.source_pass == 1).all()
    assert (fold.observations.q_flag == 0).all()


def test_not_found_is_dormant_and_found_again_from_where_it_was_seen():
    ice = Ice(velocity=(0.01, 0.0), hidden=((9_000.0, 9_000.0, 12_000.0, 11_000.0),))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.missed) == 1
    row = t.rows_of(fold.parcels, fold.missed)
    assert fold.parcels.state[row] == State.DORMANT
    assert fold.parcels.pass_index[row] == 0
    ice.hidden = ()
    later = ice.fold(fold.parcels, 2, See(2, WHOLE), STREAMS, SETTINGS, 1000)
    at = later.observations.parcel_id == fold.missed[0]
    assert later.observations.source_pass[at].tolist() == [0]
    assert later.observations.xy[at].tolist() == [[10_000 + 0.01 * 2 * DAY, 10_000.0]]
    assert [pair.source_pass for pair in later.pairs] == [0, 1]


def test_what_a_pass_does_not_cover_stays_as_it_was():
    ice = Ice()
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    west = See(1, (-1_000.0, -1_000.0, 26_000.0, 31_000.0))
    fold = ice.fold(parcels, 1, west, STREAMS, SETTINGS, 1000)
    east = fold.parcels.xy[:, 0] >= 30_000
    assert east.any()
    assert (fold.parcels.state[east] == State.ALIVE).all()
    assert (fold.parcels.pass_index[east] == 0).all()


def test_a_parcel_that_drifted_into_the_pass_is_found():
    ice = Ice(velocity=(-0.05, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    west = See(1, (-11_000.0, -1_000.0, 27_000.0, 31_000.0))
    fold = ice.fold(parcels, 1, west, STREAMS, SETTINGS, 1000)
    assert (fold.observations.xy[:, 0] == 30_000 - 0.05 * DAY).sum() == 4


def test_a_pass_that_shows_only_where_parcels_have_gone_finds_them():
    ice = Ice(velocity=(-0.1, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    parcels = ice.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000).parcels
    west = (-19_000.0, -1_000.0, -9_000.0, 31_000.0)
    assert not (parcels.xy[:, 0] < west[2]).any()
    fold = ice.fold(parcels, 2, See(2, west), STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == 4
    assert len(fold.missed) == 0
    # Ice at rest would not have come there: nothing is matched in vain.
    still = Ice(velocity=(0.0, 0.0))
    parcels = still.born(See(0, WHOLE), SETTINGS).parcels
    parcels = still.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000).parcels
    assert still.fold(parcels, 2, See(2, west), STREAMS, SETTINGS, 1000).pairs == []


@pytest.mark.parametrize(("speed", "found"), [(0.08, 4), (0.05, 0)])
def test_they_may_have_gone_by_a_quarter_of_the_way_elsewhere(speed, found):
    ice = Ice(velocity=(-0.1, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    parcels = ice.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000).parcels
    slower = Ice(velocity=(-speed, 0.0), passes=ice.passes)
    left = float(parcels.xy[parcels.pass_index == 1, 0].min())
    beside = (left - speed * DAY - 1_000.0, -1_000.0, left - speed * DAY + 1_000.0, 31_000.0)
    fold = slower.fold(parcels, 2, See(2, beside), STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == found


def test_seen_too_recently_is_left_alone():
    ice = Ice()
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(0.3, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == len(fold.pairs) == 0
    assert (fold.parcels.pass_index == 0).all()


def test_what_no_pass_shows_ends_after_the_gap_at_its_own_moment():
    ice = Ice()
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(4.5, WHOLE), STREAMS, SETTINGS, 1000)
    assert len(fold.parcels) == 0
    assert (fold.ends.reason == EndReason.NOT_COVERED).all()
    np.testing.assert_array_equal(fold.ends.time, T0 + 4 * DAY)
    _, ends = lost_until(parcels, T0 + 9 * DAY, SETTINGS, STREAMS)
    np.testing.assert_array_equal(ends.time, fold.ends.time)


def test_who_is_looked_for_in_vain_is_lost_who_is_not_is_not_covered():
    ice = Ice(velocity=(0.0, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    halfway = (-1_000.0, -1_000.0, 25_000.0, 31_000.0)
    fold = ice.fold(parcels, 1, See(1, halfway), STREAMS, SETTINGS, 1000)
    _, ends = lost_until(fold.parcels, T0 + 4.5 * DAY, SETTINGS, STREAMS)
    x = parcels.xy[t.rows_of(parcels, ends.parcel_id), 0]
    lost = ends.reason == EndReason.LOST
    assert set(x[lost]) == {0.0, 10_000.0}
    assert set(x[~lost]) == {30_000.0, 40_000.0, 50_000.0}
    assert set(ends.reason[~lost]) == {EndReason.NOT_COVERED}
    assert (np.diff(ends.parcel_id) > 0).all()


def test_who_has_left_the_pass_is_not_missed_who_has_come_is():
    ice = Ice(velocity=(0.1, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS).parcels
    node = dict(zip(first.parcel_id.tolist(), first.xy[:, 0].tolist(), strict=True))
    parcels = ice.fold(first, 1, See(0.6, WHOLE), STREAMS, SETTINGS, 1000).parcels
    ice.hidden = ((28_000.0, -1e5, 1e5, 1e5),)
    # The ice goes 8.6 km to the east: what began at 30 km goes from 35.2 to 43.8 km.
    gone = ice.fold(parcels, 2, See(1.6, WHOLE), STREAMS, SETTINGS, 1000)
    assert {node[one] for one in gone.missed.tolist()} == {30_000.0}
    farther = See(1.6, (38_000.0, -1_000.0, 70_000.0, 31_000.0))
    come = ice.fold(parcels, 2, farther, STREAMS, SETTINGS, 1000)
    assert {node[one] for one in come.missed.tolist()} == {30_000.0, 40_000.0, 50_000.0}


@pytest.mark.parametrize(("hidden", "sigma"), [(((-1e5, -1e5, 1e5, 1e5),), 30.0), ((), 1000.0)])
def test_matches_that_lead_into_a_pass_alone_make_nobody_missed(hidden, sigma):
    """Images with little in common are alike by chance: ice at rest does not come there."""
    parcels = Ice().born(See(0, WHOLE), SETTINGS).parcels
    ice = Ice(velocity=(-0.3, 0.0), hidden=hidden, sigma=sigma)
    ice.passes[0] = See(0, WHOLE)
    beside = See(1, (-30_000.0, -1_000.0, 5_000.0, 31_000.0))
    fold = ice.fold(parcels, 1, beside, STREAMS, SETTINGS, 1000)
    assert set(parcels.xy[t.rows_of(parcels, fold.missed), 0]) == {0.0}


def test_what_ought_to_be_ashore_and_is_not_found_is_missed():
    ice = Ice(velocity=(0.1, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    shore = ((17_000.0, -1_000.0, 20_000.0, 31_000.0),)
    fold = ice.fold(parcels, 1, See(1, WHOLE, land=shore), STREAMS, SETTINGS, 1000)
    assert set(parcels.xy[t.rows_of(parcels, fold.missed), 0]) == {0.0, 10_000.0}


def test_pending_parcels_end_with_their_window():
    pending = planted(WHOLE)
    late = See(3.5, WHOLE)
    fold = Ice().fold(pending, 0, late, STREAMS, SETTINGS, 1000)
    assert len(fold.observations.parcel_id) == 0
    np.testing.assert_array_equal(fold.ends.time, T0 + 3 * DAY)


def test_ashore_ends_without_a_position_on_land():
    ice = Ice(velocity=(0.1, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    shore = ((18_000.0, 9_000.0, 19_500.0, 11_000.0),)
    fold = ice.fold(parcels, 1, See(1, WHOLE, land=shore), STREAMS, SETTINGS, 1000)
    assert fold.ends.reason.tolist() == [EndReason.LAND]
    assert fold.ends.time.tolist() == [T0 + DAY]
    assert not np.isin(fold.ends.parcel_id, fold.observations.parcel_id).any()
    assert not np.isin(fold.ends.parcel_id, fold.parcels.parcel_id).any()


def test_a_parcel_that_comes_too_close_to_an_older_one_merges():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    ids = parcels.parcel_id
    xy = parcels.xy.copy()
    xy[3] = xy[2] + [900.0, 0.0]
    crowded = t.observed(parcels, ids, xy, np.full(len(ids), T0), np.zeros((len(ids), 2, 2)), 0)
    fold = ice.fold(crowded, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert fold.ends.parcel_id.tolist() == [ids[3]]
    assert fold.ends.reason.tolist() == [EndReason.MERGED]
    assert ids[3] in fold.observations.parcel_id


def test_empty_cells_are_seeded_with_new_ids_and_full_ones_are_not():
    ice = Ice(velocity=(0.1, 0.0))
    parcels = ice.born(See(0, WHOLE), RESEED).parcels
    fold = ice.fold(parcels, 1, See(1, WHOLE), STREAMS, RESEED, 1000)
    # 8.6 km east: the westernmost column of cells is empty.
    assert fold.seeded.parcel_id.tolist() == [1000, 1001, 1002, 1003]
    assert fold.seeded.seed_col.tolist() == [0, 0, 0, 0]
    assert np.isin(fold.seeded.parcel_id, fold.observations.parcel_id).all()
    assert (np.diff(fold.parcels.parcel_id) > 0).all()


def test_a_parcel_that_is_not_found_keeps_the_cell_where_it_ought_to_be():
    # Only the one that was last seen at 29.5 km: where it was nobody needs it.
    hidden = ((28_500.0, 9_000.0, 30_500.0, 11_000.0),)
    ice = Ice(velocity=(0.11, 0.0))
    parcels = ice.born(See(0, WHOLE), RESEED).parcels
    parcels = ice.fold(parcels, 1, See(1, WHOLE), STREAMS, RESEED, 1000).parcels
    # Nor one that has left the image, and would be there if it had gone the other way.
    parcels = parcels.take(parcels.xy[:, 0] < 45e3)
    fold = replace(ice, hidden=hidden).fold(parcels, 2, See(2, WHOLE), STREAMS, RESEED, 2000)
    missed = parcels.xy[t.rows_of(parcels, fold.missed)]
    np.testing.assert_allclose(missed, [[29_504.0, 10_000.0]], atol=1)
    node = 1e4 * np.array([4, 1])
    # Nobody else is near, neither of those that are found nor where they were last seen.
    assert np.linalg.norm(fold.observations.xy - node, axis=1).min() > 7500
    assert np.linalg.norm(missed - node, axis=1).min() > 7500
    nodes = set(zip(fold.seeded.seed_col.tolist(), fold.seeded.seed_row.tolist(), strict=True))
    assert nodes
    assert (4, 1) not in nodes


def test_nothing_depends_on_the_order_of_rows():
    ice = Ice(velocity=(0.07, 0.02), hidden=((9_000.0, 9_000.0, 22_000.0, 11_000.0),))
    parcels = ice.born(See(0, WHOLE), RESEED).parcels
    shuffled = parcels.take(np.random.default_rng(3).permutation(len(parcels)))
    first, second = (
        ice.fold(some, 1, See(1, WHOLE), STREAMS, RESEED, 1000) for some in (parcels, shuffled)
    )
    for name in vars(first.observations):
        np.testing.assert_array_equal(
            getattr(first.observations, name), getattr(second.observations, name)
        )
    for name in vars(first.parcels):
        np.testing.assert_array_equal(getattr(first.parcels, name), getattr(second.parcels, name))


@pytest.mark.parametrize("spacing", [1000.0, 2000.0])
def test_a_fine_grid_does_not_merge_with_itself(spacing):
    see = See(0, (-500.0, -500.0, 5_500.0, 5_500.0))
    fine = [stream(spacing=spacing)]
    fold = Ice().fold(planted(see.bounds, spacing=spacing), 0, see, fine, SETTINGS, 1000)
    assert len(fold.ends.parcel_id) == 0


CHECKED = ParcelSettings(birth_margin=0, reseed=False, closure_days=2.0)


def days(ice, see, until, settings=CHECKED):
    """Folds of a pass a day, the first of which bears the parcels."""
    folds = [ice.fold(planted(see.bounds), 0, see, STREAMS, settings, 1000)]
    for day in range(1, until + 1):
        parcels = folds[-1].parcels
        folds.append(ice.fold(parcels, day, See(day, WHOLE), STREAMS, settings, 1000))
    return folds


def test_an_earlier_sighting_is_matched_too_when_it_is_due():
    folds = days(Ice(velocity=(0.002, 0.001)), See(0, WHOLE), 4)
    references = [np.unique(fold.observations.reference_pass).tolist() for fold in folds]
    assert references == [[-1], [-1], [0], [-1], [2]]
    assert [[pair.source_pass for pair in fold.pairs] for fold in folds[1:]] == [
        *([0], [0, 1], [2], [2, 3])
    ]
    closure = folds[2].observations.closure
    assert np.isfinite(closure).all()
    assert closure.max() < 1e-6
    # It is the match from there that holds, and its error that is added.
    assert [np.unique(fold.observations.source_pass).tolist() for fold in folds[1:]] == [
        *([0], [0], [2], [2])
    ]
    assert np.unique(folds[4].observations.covariance[:, 0, 0]).tolist() == [4 * 30.0**2]
    assert np.isnan(folds[3].observations.closure).all()
    assert (folds[2].parcels.reference_pass == 2).all()
    assert (folds[2].observations.q_flag == 0).all()


class Slipping(Ice):
    """Templates that drift: each match is off by so much, whatever the time apart."""

    offset = (150.0, 0.0)

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        return replace(vectors, xy1=vectors.xy1 + self.offset)


def test_templates_that_drift_are_told_by_their_closure():
    ice = Slipping(velocity=(0.0, 0.0))
    fold = days(ice, See(0, WHOLE), 2)[2]
    seen = fold.observations
    # Two steps of 150 m, and one from the birth: the one holds.
    np.testing.assert_allclose(seen.closure, 150.0)
    np.testing.assert_allclose(seen.xy, fold.parcels.reference_xy)
    np.testing.assert_allclose((seen.xy - [150.0, 0.0]) % 1e4, 0.0, atol=1e-6)
    np.testing.assert_array_equal(seen.xy, fold.parcels.xy)
    assert (seen.q_flag == 0).all()
    ice.offset = (2100.0, 0.0)
    assert (days(ice, See(0, WHOLE), 2)[2].observations.q_flag == 1).all()


def test_beyond_the_limit_nothing_is_corrected_and_the_flag_is_the_worst():
    ice = Slipping(velocity=(0.0, 0.0))
    ice.offset = (4100.0, 0.0)
    seen = days(ice, See(0, WHOLE), 2)[2].observations
    checked = np.isfinite(seen.closure)
    np.testing.assert_allclose(seen.closure[checked], 4100.0)
    np.testing.assert_allclose((seen.xy[checked] - [8200.0, 0.0]) % 1e4, 0.0, atol=1e-6)
    assert (seen.q_flag[checked] == 3).all()


class Faded(Slipping):
    """Ice whose correlation falls to ``left`` after a day and a half."""

    left = 0.3

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        apart = self.passes[target].day - self.passes[source].day
        return replace(vectors, mcc=np.full(len(xy), self.left if apart > 1.5 else 0.8))


@pytest.mark.parametrize(
    ("left", "off", "holds"),
    [(0.3, 2100.0, 4200.0), (0.36, 2100.0, 2100.0), (0.3, 1200.0, 1200.0)],
    ids=["too faint", "not too faint", "confirmed by the chain"],
)
def test_a_faint_match_from_the_reference_holds_only_where_the_chain_leads_too(left, off, holds):
    ice = Faded(velocity=(0.0, 0.0))
    ice.left, ice.offset = left, (off, 0.0)
    seen = days(ice, See(0, WHOLE), 2)[2].observations
    seen = seen.take(np.isfinite(seen.closure))
    np.testing.assert_allclose(seen.closure, off)
    np.testing.assert_allclose((seen.xy - [holds, 0.0]) % 1e4, 0.0, atol=1e-6)


class Astray(Ice):
    """One parcel is found 33 km away by the second pass, and again there."""

    from_birth = 0.8

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        if (source, target) == (0, 1):
            at = np.hypot(*(xy - [1e4, 1e4]).T) < 1
            return replace(vectors, xy1=vectors.xy1 + at[:, None] * [33_000.0, 0.0])
        return replace(vectors, mcc=np.full(len(xy), self.from_birth if source == 0 else 0.8))


@pytest.mark.parametrize(("from_birth", "ends"), [(0.5, 10_000.0), (0.49, 43_000.0)])
def test_a_sure_reference_brings_back_what_went_quite_elsewhere(from_birth, ends):
    ice = Astray(velocity=(0.0, 0.0))
    ice.from_birth = from_birth
    settings = CHECKED.model_copy(update={"max_parting": 10.0, "max_fold_side": 0.0})
    seen = days(ice, See(0, WHOLE), 2, settings)[2].observations
    (at,) = np.flatnonzero(seen.closure > 1)
    np.testing.assert_allclose(seen.closure[at], 33_000.0)
    np.testing.assert_allclose(seen.xy[at], [ends, 10_000.0])
    # Either way the trajectory has a leap in it.
    assert seen.q_flag[at] == 3


class Forgetful(Ice):
    """Ice that is not known again after a day and a half."""

    def match(self, source, target, xy):
        apart = self.passes[target].day - self.passes[source].day
        far = ((-1e9, -1e9, 1e9, 1e9),)
        self.hidden = far if apart > 1.5 else ()
        return super().match(source, target, xy)


def test_a_reference_that_is_not_found_again_is_given_up():
    folds = days(Forgetful(velocity=(0.0, 0.0)), See(0, WHOLE), 4)
    references = [np.unique(fold.observations.reference_pass).tolist() for fold in folds]
    assert references == [[-1], [-1], [-1], [-1], [0]]
    assert np.isnan(folds[4].observations.closure).all()
    assert (folds[3].parcels.reference_pass == 0).all()
    assert (folds[4].parcels.reference_pass == 4).all()
    assert all((fold.parcels.state == State.ALIVE).all() for fold in folds)


def test_without_closures_no_earlier_pass_is_matched():
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=0.0)
    for fold in days(Ice(velocity=(0.0, 0.0)), See(0, WHOLE), 4, settings)[1:]:
        assert len(fold.pairs) == 1
        assert (fold.observations.reference_pass == -1).all()
        # No older than a restart would find: a witness from there would depend on restarts.
        before = fold.parcels.pass_index - fold.parcels.reference_pass
        assert (before <= 1).all()


class Misled(Ice):
    """One parcel is found where it cannot be: across two of its neighbours."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        wrong = np.hypot(*(xy - [20_000.0, 10_000.0]).T) < 100
        return replace(vectors, xy1=vectors.xy1 + wrong[:, None] * np.array([21_000.0, 14_000.0]))


class Scattered(Ice):
    """Ice of which a corner is matched far outside of the rest, where it folds nothing."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        wrong = np.hypot(*(xy - [50_000.0, 30_000.0]).T) == 0
        return replace(vectors, xy1=vectors.xy1 + wrong[:, None] * np.array([-400.0, 9_500.0]))


def test_a_vector_that_nothing_around_moves_with_is_no_sighting():
    ice = Scattered(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    at = np.hypot(*(first.parcels.xy - [50_000.0, 30_000.0]).T) == 0
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert fold.missed.tolist() == first.parcels.parcel_id[at].tolist()
    fast = ParcelSettings(birth_margin=0, reseed=False, max_parting=1.0)
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, fast, 1000)
    assert not len(fold.missed)


def test_a_vector_that_folds_the_mesh_is_no_sighting():
    ice = Misled(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    at = np.hypot(*(first.parcels.xy - [20_000.0, 10_000.0]).T) == 0
    culprit = first.parcels.parcel_id[at]
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)
    assert fold.missed.tolist() == culprit.tolist()
    assert fold.parcels.state[at].tolist() == [State.DORMANT]
    vectors = fold.pairs[0].vectors
    assert vectors.status[fold.pairs[0].parcel_id == culprit].tolist() == [Status.OUTLIER]
    assert np.isnan(vectors.xy1[~vectors.tracked]).all()
    free = ParcelSettings(birth_margin=0, reseed=False, max_fold_side=0.0)
    again = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, free, 1000)
    assert len(again.missed) == 0


def ice_edge(x, unknown=None):
    """Concentration on 1 km cells: none west of x, and unknown east of another x."""
    centres = np.arange(-60_000.0, 60_001.0, 1e3)
    west, _ = np.meshgrid(centres, centres)
    values = np.where(west < x, 0.1, 0.9)
    if unknown is not None:
        values[west > unknown] = np.nan
    size = (len(centres), len(centres))
    cells = RegularCells("EPSG:3413", (centres[0], centres[0]), (1e3, 1e3), size)
    return IceField(T0, cells, values.ravel())


def reasons(fold):
    """Why each parcel ended, by id."""
    return dict(zip(fold.ends.parcel_id.tolist(), fold.ends.reason.tolist(), strict=True))


WEST = ((-1e5, -1e5, 15_000.0, 1e5),)
"""Boxes in which nothing can be matched: the nodes at 0 and 10 km."""


def test_what_is_not_found_where_there_is_no_ice_ends_as_out_of_it():
    ice = Ice(velocity=(0.0, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(1, WHOLE, ice=ice_edge(5_000.0)), STREAMS, SETTINGS, 1000)
    west = parcels.parcel_id[parcels.xy[:, 0] == 0.0].tolist()
    dormant = parcels.parcel_id[parcels.xy[:, 0] == 10_000.0].tolist()
    assert reasons(fold) == dict.fromkeys(west, EndReason.OUT_OF_ICE)
    assert fold.ends.time.tolist() == [T0 + DAY] * 4
    assert fold.missed.tolist() == sorted(west + dormant)
    rows = t.rows_of(fold.parcels, dormant)
    assert (fold.parcels.state[rows] == State.DORMANT).all()


def test_where_the_neighbours_lead_decides_not_where_it_was():
    ice = Ice(velocity=(0.1, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    # The ice has gone 8.6 km to the east: the first column is on ice now.
    onward = ice.fold(parcels, 1, See(1, WHOLE, ice=ice_edge(8_000.0)), STREAMS, SETTINGS, 1000)
    assert reasons(onward) == {}
    gone = ice.fold(parcels, 1, See(1, WHOLE, ice=ice_edge(9_500.0)), STREAMS, SETTINGS, 1000)
    assert set(reasons(gone).values()) == {EndReason.OUT_OF_ICE}
    assert len(gone.ends.parcel_id) == 4


class Unguessed(Ice):
    """Ice of which no neighbour is found either."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        lost = ~vectors.tracked[:, None]
        return replace(vectors, first_guess=np.where(lost, np.nan, vectors.first_guess))


def test_without_a_guess_it_is_where_it_was_last_seen():
    ice = Unguessed(velocity=(0.1, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    fold = ice.fold(parcels, 1, See(1, WHOLE, ice=ice_edge(500.0)), STREAMS, SETTINGS, 1000)
    assert fold.ends.parcel_id.tolist() == parcels.parcel_id[parcels.xy[:, 0] == 0.0].tolist()


def test_who_is_found_lives_on_and_the_unknown_ends_nobody():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    everywhere = See(1, WHOLE, ice=ice_edge(1e6))
    assert reasons(ice.fold(parcels, 1, everywhere, STREAMS, SETTINGS, 1000)) == {}
    ice.hidden = WEST
    unknown = See(1, WHOLE, ice=ice_edge(1e6, unknown=-5_000.0))
    assert reasons(ice.fold(parcels, 1, unknown, STREAMS, SETTINGS, 1000)) == {}
    assert reasons(ice.fold(parcels, 1, See(1, WHOLE), STREAMS, SETTINGS, 1000)) == {}


def test_nobody_is_born_or_seeded_without_ice():
    ice = Ice(velocity=(0.0, 0.0))
    see = See(0, WHOLE, ice=ice_edge(15_000.0))
    fold = ice.fold(planted(see.bounds), 0, see, STREAMS, RESEED, 1000)
    assert sorted(set(fold.observations.xy[:, 0])) == [20e3, 30e3, 40e3, 50e3]
    assert (fold.parcels.state == State.PENDING).sum() == 8
    # When there is ice on the next day the rest is born: pending, with their own ids.
    later = See(1, WHOLE, ice=ice_edge(-1e6))
    again = ice.fold(fold.parcels, 1, later, STREAMS, RESEED, 1000)
    assert (again.parcels.state == State.ALIVE).all()
    assert len(again.seeded) == 0
    # After the window it is seeded anew.
    much = See(3.5, WHOLE, ice=ice_edge(5_000.0))
    late = ice.fold(fold.parcels, 1, much, STREAMS, RESEED, 1000)
    assert sorted(set(late.seeded.xy[:, 0])) == [10e3]


def test_the_least_concentration_is_a_setting():
    ice = Ice(velocity=(0.0, 0.0), hidden=WEST)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    see = See(1, WHOLE, ice=ice_edge(5_000.0))
    less = ParcelSettings(birth_margin=0, reseed=False, min_concentration=0.05)
    assert reasons(ice.fold(parcels, 1, see, STREAMS, less, 1000)) == {}
    more = ParcelSettings(birth_margin=0, reseed=False, min_concentration=0.95)
    assert len(reasons(ice.fold(parcels, 1, see, STREAMS, more, 1000))) == 8


@dataclass
class Doubtful(Ice):
    """One parcel may as well be elsewhere after some days: its error along y is 0.8 pixels."""

    least_days: float = 0.0

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = np.hypot(*(xy - [20_000.0, 10_000.0]).T) < 100
        at &= vectors.time1 - vectors.time0 > self.least_days * DAY
        vectors.covariance[at, 1, 1] = (0.8 * PIXEL) ** 2
        return vectors


@pytest.mark.parametrize(("largest", "missed"), [(0.7, 1), (0.9, 0)])
def test_a_vector_that_may_as_well_lead_elsewhere_is_no_sighting(largest, missed):
    ice = Doubtful(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    settings = replace_settings(max_step_error=largest)
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, settings, 1000)
    assert len(fold.missed) == missed
    at = np.hypot(*(first.parcels.xy - [20_000.0, 10_000.0]).T) < 100
    state = fold.parcels.state[at].tolist()
    assert state == [State.DORMANT if missed else State.ALIVE]
    assert (~fold.pairs[0].vectors.tracked).sum() == missed


@pytest.mark.parametrize(("mcc", "missed"), [(0.45, 1), (0.44, 1), (0.4, 0), (0.05, 0)])
def test_of_little_correlation_the_error_may_be_larger(mcc, missed):
    """The error is 0.8 pixels; 0.7 times the square of 0.45 over 0.42 is as much."""

    class Faint(Doubtful):
        def match(self, source, target, xy):
            vectors = super().match(source, target, xy)
            return replace(vectors, mcc=np.full(len(xy), mcc))

    ice = Faint(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    settings = replace_settings(max_step_error=0.7)
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, settings, 1000)
    assert len(fold.missed) == missed


class Cracked(Ice):
    """One parcel's template is strained by a tenth, and known to a pixel."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = np.hypot(*(xy - [20_000.0, 10_000.0]).T) < 100
        vectors.covariance[at] = PIXEL**2 * np.eye(2)
        vectors.strain[at, 0] = 0.1
        return vectors


@pytest.mark.parametrize(("day", "missed"), [(0.9, 0), (1.1, 1)])
def test_a_vector_that_may_be_of_other_ice_is_no_sighting(day, missed):
    ice = Cracked(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    settings = replace_settings(max_step_error=2.0, max_doubt=0.1)
    fold = ice.fold(first.parcels, 1, See(day, WHOLE), STREAMS, settings, 1000)
    assert len(fold.missed) == missed
    assert (~fold.pairs[0].vectors.tracked).sum() == missed


def test_a_doubtful_vector_from_an_earlier_sighting_corrects_nothing():
    ice = Doubtful(velocity=(0.0, 0.0), least_days=3.0)
    settings = replace_settings(max_step_error=0.7)
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    for index, day in ((1, 1.0), (2, 2.0), (3, 3.1)):
        fold = ice.fold(parcels, index, See(day, WHOLE), STREAMS, settings, 1000)
        parcels = fold.parcels
    seen = fold.observations
    at = np.hypot(*(seen.xy - [20_000.0, 10_000.0]).T) < 100
    assert np.isnan(seen.closure[at]).tolist() == [True]
    assert seen.source_pass[at].tolist() == [2]
    assert (seen.closure[~at] == 0).all()


@pytest.mark.parametrize(("largest", "missed"), [(0.7, True), (0.9, False)])
def test_what_was_looked_for_anywhere_is_no_sighting(largest, missed):
    """The guesses' error is 400 m, 0.8 pixels."""
    ice = Ice(velocity=(0.0, 0.0))
    first = ice.born(See(0, WHOLE), SETTINGS)
    settings = replace_settings(max_guess_error=largest)
    fold = ice.fold(first.parcels, 1, See(1, WHOLE), STREAMS, settings, 1000)
    assert len(fold.missed) == (len(first.parcels) if missed else 0)


def replace_settings(**changes):
    return SETTINGS.model_copy(update=changes)
