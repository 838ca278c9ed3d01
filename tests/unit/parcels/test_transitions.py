import numpy as np
import pytest

from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.population import EndReason, State

DAY = 86400.0


def population(count=4):
    return t.planted(np.arange(1, count + 1) * 10, 0, np.arange(count), np.zeros(count), 1e4)


def alive(count=4, time=1000.0, pass_index=2):
    some = population(count)
    return t.born(some, some.parcel_id, np.full(count, time), pass_index)


def test_planted_parcels_stand_on_their_nodes():
    some = t.planted([5], 1, [3], [-2], 2500.0)
    assert some.xy.tolist() == [[-5000.0, 7500.0]]
    assert some.state.tolist() == [State.PENDING]
    assert np.isnan(some.time).all()


def test_rows_follow_ids_not_places():
    shuffled = population().take(np.array([2, 0, 3, 1]))
    assert t.rows_of(shuffled, [20, 30]).tolist() == [3, 0]


@pytest.mark.parametrize("ids", [[10, 10], [11], [99]])
def test_unknown_and_repeated_ids_are_refused(ids):
    with pytest.raises(ValueError, match="parcel"):
        t.rows_of(population(), ids)


def test_birth_sets_time_and_leaves_the_others_alone():
    some = t.born(population(), [20], np.array([7.0]), 3)
    assert some.state.tolist() == [0, State.ALIVE, 0, 0]
    assert some.time[1] == 7.0
    assert some.pass_index.tolist() == [-1, 3, -1, -1]


def test_covariances_add_up():
    some = alive()
    step = np.array([[[4.0, 1.0], [1.0, 9.0]]])
    for index in (3, 4):
        some = t.observed(some, [30], np.array([[1.0, 2.0]]), np.array([5.0]), step, index)
    assert some.covariance[2].tolist() == [[8.0, 2.0], [2.0, 18.0]]
    assert some.covariance[0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_transitions_do_not_change_their_input():
    before = alive()
    t.observed(before, [10], np.ones((1, 2)), np.ones(1), np.ones((1, 2, 2)), 9)
    t.ended(before, [20], EndReason.LOST)
    assert before.state.tolist() == [State.ALIVE] * 4
    assert before.pass_index.tolist() == [2] * 4


def test_the_ended_stay_ended():
    some = t.ended(alive(), [10], EndReason.LAND)
    one = (np.ones((1, 2)), np.ones(1), np.ones((1, 2, 2)), 3)
    for act in (
        lambda: t.observed(some, [10], *one),
        lambda: t.missed(some, [10]),
        lambda: t.ended(some, [10], EndReason.LOST),
        lambda: t.born(some, [10], np.ones(1), 3),
    ):
        with pytest.raises(ValueError, match="parcel 10 is ended"):
            act()


def test_pending_cannot_be_observed():
    with pytest.raises(ValueError, match="parcel 10 is pending and cannot be observed"):
        t.observed(population(), [10], np.ones((1, 2)), np.ones(1), np.ones((1, 2, 2)), 3)


def test_an_end_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        t.ended(alive(), [10], EndReason.NOT_ENDED)


def test_joining_repeats_is_refused_and_orders_by_id():
    with pytest.raises(ValueError, match="parcel 10 is in both"):
        t.joined(population(), population())
    other = t.planted([5, 45], 0, [0, 1], [9, 9], 1e4)
    assert t.joined(population(), other).parcel_id.tolist() == [5, 10, 20, 30, 40, 45]


@pytest.mark.parametrize(
    ("age", "expected"), [(0.4, False), (0.5, True), (4.0, True), (4.1, False)]
)
def test_due_between_the_interval_and_the_gap(age, expected):
    some = alive(1, time=0.0)
    assert t.due(some, age * DAY, 0.5 * DAY, 4 * DAY).tolist() == [expected]


def test_expiry_of_pending_is_their_streams_window():
    some = t.joined(alive(1, time=100.0), t.planted([99], 7, [0], [5], 1e4))
    assert t.expiry(some, 50.0, {0: 1.0, 7: 2.0}).tolist() == [150.0, 2.0]


def test_the_younger_of_a_close_couple_merges():
    xy = np.array([[0.0, 0.0], [1500.0, 0.0], [3000.0, 0.0], [9000.0, 0.0]])
    ids = np.array([4, 2, 7, 1])
    assert t.merging(ids, np.zeros(4, np.int32), xy, 2000.0).tolist() == [4, 7]


def test_a_parcel_that_has_merged_takes_none_with_it():
    # 1 ends 2; 3 is close to 2 alone and lives.
    xy = np.array([[0.0, 0.0], [1500.0, 0.0], [3000.0, 0.0]])
    assert t.merging(np.array([1, 2, 3]), np.zeros(3, np.int32), xy, 2000.0).tolist() == [2]


def test_streams_do_not_merge_with_each_other():
    xy = np.zeros((2, 2))
    assert len(t.merging(np.array([1, 2]), np.array([0, 1], np.int32), xy, 2000.0)) == 0


def test_a_node_is_vacant_when_no_parcel_is_within_three_quarters_of_a_spacing():
    some = alive(1)
    for x, free in ((7499.0, False), (7501.0, True), (-7499.0, False)):
        moved = t.observed(some, [10], np.array([[x, 0.0]]), np.ones(1), np.zeros((1, 2, 2)), 3)
        row, col = np.array([0], np.int32), np.array([0], np.int32)
        assert t.vacant(moved, row, col, 1e4).tolist() == [free]


def test_a_grid_that_drifts_turns_and_jitters_leaves_no_node_vacant():
    rng = np.random.default_rng(5)
    row, col = t.nodes_within((-3e5, -3e5, 3e5, 3e5), 1e4)
    inner_row, inner_col = t.nodes_within((-1.5e5, -1.5e5, 1.5e5, 1.5e5), 1e4)
    ids = np.arange(len(row))
    parcels = t.born(t.planted(ids, 0, row, col, 1e4), ids, np.zeros(len(ids)), 0)
    for angle in np.radians([0.0, 10.0, 45.0]):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        xy = parcels.xy @ turn.T + 5000.0 + rng.normal(0, 50.0, parcels.xy.shape)
        moved = t.observed(parcels, ids, xy, np.ones(len(ids)), np.zeros((len(ids), 2, 2)), 1)
        assert not t.vacant(moved, inner_row, inner_col, 1e4).any()


def test_a_node_is_vacant_by_its_distance_wherever_the_cells_lie():
    rng = np.random.default_rng(6)
    row, col = t.nodes_within((-5e4, 2e4, 9e4, 11e4), 1e4)
    ids = np.arange(60)
    parcels = t.born(t.planted(ids, 0, row[:60], col[:60], 1e4), ids, np.zeros(60), 0)
    xy = rng.uniform((-7e4, 0.0), (11e4, 13e4), (60, 2))
    moved = t.observed(parcels, ids, xy, np.ones(60), np.zeros((60, 2, 2)), 1)
    nodes = 1e4 * np.stack([col, row], axis=-1)
    nearest = np.linalg.norm(nodes[:, None] - xy, axis=2).min(axis=1)
    assert 10 < (nearest >= 7500.0).sum() < len(nodes) - 10
    np.testing.assert_array_equal(t.vacant(moved, row, col, 1e4), nearest >= 7500.0)


def test_the_ended_hold_no_cell():
    some = t.ended(alive(1), [10], EndReason.LOST)
    assert t.vacant(some, np.array([0], np.int32), np.array([0], np.int32), 1e4).tolist() == [True]


def test_nodes_lie_at_multiples_of_the_spacing():
    row, col = t.nodes_within((-10_000.0, 1.0, 9_999.0, 20_000.0), 1e4)
    assert sorted(zip(row.tolist(), col.tolist(), strict=True)) == [
        *((1, -1), (1, 0), (2, -1), (2, 0)),
    ]


def test_a_sighting_pushes_the_last_one_back():
    some = alive(time=1000.0, pass_index=2)
    assert (some.earlier_pass == -1).all()
    step = np.zeros((1, 2, 2))
    some = t.observed(some, [30], np.array([[5.0, 6.0]]), np.array([2000.0]), step, 4)
    assert some.earlier_pass.tolist() == [-1, -1, 2, -1]
    assert some.earlier_xy[2].tolist() == [0.0, 2e4]
    assert some.earlier_time[2] == 1000.0
    again = t.observed(some, [30], np.array([[7.0, 8.0]]), np.array([3000.0]), step, 5)
    assert again.earlier_xy[2].tolist() == [5.0, 6.0]
    assert again.earlier_pass[2] == 4


def test_parcels_go_on_as_they_and_those_around_went():
    some = alive(time=0.0)
    everyone = np.ones(4, dtype=bool)
    assert (t.Drift(some).until(DAY, everyone) == 0).all()
    step = np.zeros((2, 2, 2))
    moved = some.xy[:2] + np.array([100.0, -200.0])
    some = t.observed(some, [10, 20], moved, np.full(2, 1000.0), step, 3)
    which = np.array([True, False, True, True])
    way = t.Drift(some).until(3000.0, which)
    # Seen at 1000 s and at 0 s.
    np.testing.assert_allclose(way, [[200.0, -400.0], [300.0, -600.0], [300.0, -600.0]])
    assert t.Drift(some).until(3000.0, np.zeros(4, dtype=bool)).shape == (0, 2)


def gone_by(some, ids, ways):
    """Parcels seen once more, 1000 s after, so far from where they were."""
    rows = t.rows_of(some, ids)
    xy, time = some.xy[rows] + np.array(ways), some.time[rows] + 1000.0
    return t.observed(some, ids, xy, time, np.zeros((len(ids), 2, 2)), 3)


def test_of_those_around_the_four_nearest_tell_the_drift():
    some = alive(6, time=0.0)
    some = gone_by(some, [10, 20, 30, 40, 50], [[100.0 * n, 0.0] for n in (1, 2, 4, 8, 1600)])
    first = np.arange(6) == 0
    way = t.Drift(some).until(2000.0, first)
    np.testing.assert_allclose(way, [[np.mean([100.0, 200.0, 400.0, 800.0]), 0.0]])


def test_who_has_ended_tells_nobody_the_drift():
    some = gone_by(alive(2, time=0.0), [10], [[500.0, 0.0]])
    second = np.array([False, True])
    assert t.Drift(some).until(1000.0, second).tolist() == [[500.0, 0.0]]
    some = t.ended(some, [10], EndReason.MERGED)
    assert t.Drift(some).until(1000.0, second).tolist() == [[0.0, 0.0]]


def test_without_a_distance_not_even_those_in_one_place_merge():
    ids, stream = np.array([1, 2]), np.zeros(2, np.int32)
    assert len(t.merging(ids, stream, np.zeros((2, 2)), 0.0)) == 0
    assert t.merging(ids, stream, np.zeros((2, 2)), 1.0).tolist() == [2]


def test_only_who_was_just_seen_is_corrected():
    one = (np.ones((1, 2)), np.ones(1), np.ones((1, 2, 2)))
    some = t.missed(alive(), [10])
    some = t.ended(some, [20], EndReason.LAND)
    for name, state in ((10, "dormant"), (20, "ended")):
        with pytest.raises(ValueError, match=f"parcel {name} is {state} and cannot be corrected"):
            t.corrected(some, [name], *one)
    fixed = t.corrected(some, [30], *one)
    assert fixed.xy[2].tolist() == [1.0, 1.0]
    assert fixed.earlier_pass[2] == -1
