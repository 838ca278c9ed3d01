"""Choice of pass pairs and the patches of deformation made from them."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.deformation.pairs import (
    Sightings,
    choose_pairs,
    deform,
    displacement_covariance,
    make_patch,
)
from lagrangian_ice.deformation.triangles import QualityFlag, true_area
from lagrangian_ice.settings import DeformationSettings

DAY = 86400.0
SETTINGS = DeformationSettings()
OPENING = np.array([[0.02, 0.03], [-0.01, 0.01]]) / DAY


def season(days=(0, 1, 2, 3, 4), side=6, gradient=OPENING, variance=100.0, seen=None):
    """Daily sightings of a lattice in a linear velocity field."""
    row, col = (index.ravel() for index in np.mgrid[:side, :side])
    start = np.stack([col, row], axis=1) * 10e3 + [100e3, -800e3]
    velocity = 0.1 + (start - start.mean(axis=0)) @ gradient.T
    count = len(start)
    parts = []
    for index, day in enumerate(days):
        time = day * DAY + row * 1.5
        rows = np.ones(count, bool) if seen is None else seen(index, row, col)
        sighting = Sightings(
            np.arange(count) + 1000,
            np.full(count, index),
            np.stack([row, col], axis=1),
            start + velocity * time[:, None],
            time,
            np.tile(np.eye(2) * variance * index, (count, 1, 1)),
        )
        parts.append(sighting[rows])
    names = Sightings.__dataclass_fields__
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return Sightings(*joined), np.array(days) * DAY


def chosen_passes(sightings, times, nominal=3 * DAY):
    return [
        (int(sightings.pass_index[source[0]]), int(sightings.pass_index[target[0]]), len(source))
        for source, target in choose_pairs(sightings, times, nominal)
    ]


def test_nominal_interval_is_chosen():
    sightings, times = season()
    assert chosen_passes(sightings, times) == [(0, 2, 36), (0, 3, 36), (1, 4, 36)]


def test_order_of_rows_does_not_matter():
    sightings, times = season()
    order = np.random.default_rng(0).permutation(len(sightings))
    assert chosen_passes(sightings[order], times) == chosen_passes(sightings, times)


def test_many_shared_parcels_win_over_a_closer_interval():
    def seen(index, row, col):
        return np.ones(len(row), bool) if index != 0 else row == 0

    sightings, times = season(days=(0, 0.5, 3), seen=seen)
    assert chosen_passes(sightings, times)[0] == (1, 2, 36)


def test_parcels_left_over_choose_another_source():
    def seen(index, row, col):
        return {0: row < 4, 1: row >= 3, 2: np.ones(len(row), bool)}[index]

    sightings, times = season(days=(0, 0.2, 3), seen=seen)
    assert chosen_passes(sightings, times) == [(0, 2, 24), (1, 2, 12)]


def test_no_pair_outside_the_allowed_interval():
    sightings, times = season(days=(0, 1, 6))
    assert chosen_passes(sightings, times) == []


def test_nothing_seen():
    sightings, times = season()
    empty = sightings[np.zeros(0, np.int64)]
    assert list(deform(empty, times, SETTINGS)) == []


def test_patch_has_the_gradient_of_the_field():
    sightings, times = season()
    patches = list(deform(sightings, times, SETTINGS))
    assert [(patch.source_pass, patch.target_pass) for patch in patches][-1] == (1, 4)
    first = patches[0]
    assert len(first.vertices) == 50
    np.testing.assert_allclose(first.gradients, np.tile(OPENING, (50, 1, 1)), atol=1e-10)
    np.testing.assert_allclose(first.smoothed, first.gradients, atol=1e-11)


def test_immobile_ice_is_counted():
    """Known fault: ice at rest was dropped from the deformation."""
    sightings, times = season(gradient=np.zeros((2, 2)))
    still = Sightings(
        sightings.parcel_id,
        sightings.pass_index,
        sightings.seed_rowcol,
        sightings.xy[sightings.parcel_id - 1000],
        sightings.time,
        sightings.covariance,
    )
    patches = list(deform(still, times, SETTINGS))
    assert [len(patch.vertices) for patch in patches] == [50, 50, 50]
    assert all(np.all(patch.invariants.total_deformation == 0.0) for patch in patches)
    assert all(np.all(patch.errors.divergence > 0) for patch in patches)


def test_errors_come_from_the_interval_only():
    """A parcel's old error does not make its new strain rates less certain."""
    sightings, times = season(days=(0, 3, 6))
    early, late = deform(sightings, times, SETTINGS)
    np.testing.assert_allclose(late.covariance, early.covariance)
    np.testing.assert_allclose(late.covariance[0], 100.0 * np.eye(2))


def test_difference_that_is_not_positive_is_missing_never_negative():
    source = np.array([np.diag([50.0, 50.0]), np.diag([10.0, 10.0]), np.full((2, 2), np.nan)])
    target = np.array([np.diag([60.0, 40.0]), np.diag([20.0, 30.0]), np.eye(2)])
    found = displacement_covariance(source, target)
    assert np.isnan(found[[0, 2]]).all()
    np.testing.assert_array_equal(found[1], np.diag([10.0, 20.0]))


def test_different_parcels_are_refused():
    sightings, _ = season()
    with pytest.raises(ValueError, match="same parcels"):
        make_patch(sightings[np.arange(10)], sightings[np.arange(36, 46)[::-1]], SETTINGS)


def test_smoothing_averages_along_a_crack_and_not_beside_it():
    """Noise goes down on both sides; the crack's opening stays in its triangles."""
    rng = np.random.default_rng(2)
    side = 12
    row, col = (index.ravel() for index in np.mgrid[:side, :side])
    start = np.stack([col, row], axis=1) * 10e3 + [0.0, -900e3]
    moved = start + rng.normal(0, 20, start.shape)
    moved[:, 0] += np.where(col >= 6, 2500.0, 0.0)
    covariance = np.tile(np.eye(2) * 400.0, (len(start), 1, 1))
    cells = np.stack([row, col], axis=1)
    ids = np.arange(len(start))
    when = np.zeros(len(start))
    source = Sightings(ids, np.zeros_like(ids), cells, start, when, covariance * 0)
    target = Sightings(ids, np.ones_like(ids), cells, moved, when + 3 * DAY, covariance)
    patch = make_patch(source, target, SETTINGS)
    centre = start[patch.vertices].mean(axis=1)
    crack = np.abs(centre[:, 0] - 55e3) < 5e3
    raw = patch.invariants.divergence * DAY
    smooth = (patch.smoothed[:, 0, 0] + patch.smoothed[:, 1, 1]) * DAY
    assert np.nanstd(smooth[~crack]) < 0.5 * np.nanstd(raw[~crack])
    assert np.nanmean(smooth[crack]) == pytest.approx(2500 / 10e3 / 3, rel=0.02)
    assert np.abs(np.nanmax(smooth[~crack])) < 0.01


STRONG = np.array([[0.25, -0.2], [0.35, 0.1]]) / DAY
OWN = np.array([[900.0, 350.0], [350.0, 500.0]])
"""Of one vector, m2."""


def chained(rng, gradient):
    """Parcels followed over two vectors to a first pass and one more to a second.

    Errors of vectors add up along a parcel; the geolocation error of a pass is shared by its
    parcels. Half of the parcels are of a frame 100 minutes later.
    """
    truth, _ = season(days=(2, 5), gradient=gradient)
    late = 6000.0 * (truth.seed_rowcol[:, 1] >= 3)
    time = np.stack([truth.time[:36], truth.time[36:]]) + late.reshape(2, 36)
    root = np.linalg.cholesky(OWN)
    errors = rng.normal(size=(3, 36, 2)) @ root.T
    # two vectors before the first pass; the third follows the ice that lies where they ended
    first = truth.xy[:36] + errors[0] + errors[1]
    velocity = 0.1 + (first - truth.xy[:36].mean(axis=0)) @ gradient.T
    second = first + velocity * (time[1] - time[0])[:, None] + errors[2]
    seen = np.stack([first, second]) + rng.normal(0, 500.0, (2, 1, 2))
    return [
        Sightings(
            truth.parcel_id[:36], np.full(36, index), truth.seed_rowcol[:36], seen[index],
            time[index], np.tile((2 + index) * OWN, (36, 1, 1)),
        )
        for index in (0, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("gradient", [np.zeros((2, 2)), STRONG], ids=["weak", "strong"])
def test_stated_errors_are_the_spread_of_whole_patches(gradient):
    """Own errors of the vectors between the two passes count; old and shared ones cancel."""
    rng = np.random.default_rng(21)
    lines = {"divergence": [], "vorticity": [], "shear": []}
    truth = {"divergence": np.trace(gradient), "vorticity": gradient[1, 0] - gradient[0, 1]}
    truth["shear"] = np.hypot(gradient[0, 0] - gradient[1, 1], gradient[0, 1] + gradient[1, 0])
    for _ in range(250):
        patch = make_patch(*chained(rng, gradient), SETTINGS)
        assert (patch.quality_flag & 4).any()
        np.testing.assert_allclose(patch.covariance, np.tile(OWN, (36, 1, 1)), rtol=1e-9)
        for name, found in lines.items():
            error = getattr(patch.invariants, name) - truth[name]
            found.append(error / getattr(patch.errors, name))
    for name, found in lines.items():
        values = np.concatenate(found)
        if name == "shear" and not gradient.any():
            # it cannot be negative: its spread at rest is tested where the strain rates are
            continue
        assert values.std() == pytest.approx(1.0, rel=0.03), name
        assert abs(values.mean()) < 0.05, name


def few_sightings(seen, times):
    """Sightings of the parcels (values) of each pass (by index), at times in days."""
    rows = [(parcel, index) for index, parcels in seen.items() for parcel in parcels]
    ids, passes = np.array(rows).T
    seed = np.stack([ids % 3, ids // 3], axis=1)
    xy = 1e4 * seed + np.array([10.0, 20.0])
    count = len(ids)
    covariance = np.zeros((count, 2, 2))
    return Sightings(ids, passes, seed, xy, np.array(times)[passes] * DAY, covariance)


def chosen(seen, times, nominal=3.0, ends=None):
    some = few_sightings(seen, times)
    found = []
    for source, target in choose_pairs(some, np.array(times) * DAY, nominal * DAY, ends):
        np.testing.assert_array_equal(some.parcel_id[source], some.parcel_id[target])
        passes = (int(some.pass_index[source][0]), int(some.pass_index[target][0]))
        found.append((*passes, some.parcel_id[source].tolist()))
    return found


@pytest.mark.parametrize(("count", "pairs"), [(3, 1), (2, 0)])
def test_three_parcels_are_a_pair(count, pairs):
    parcels = list(range(count))
    assert len(chosen({0: parcels, 1: parcels}, [0.0, 3.0])) == pairs


def test_the_pass_nearest_to_the_nominal_time_wins_within_half_of_it():
    four = [1, 2, 3, 4]
    assert chosen({0: four, 1: four, 2: four}, [0.0, 1.4, 4.5]) == [(1, 2, four)]
    assert chosen({0: four, 1: four}, [0.0, 1.5]) == [(0, 1, four)]
    assert chosen({0: four, 1: four}, [0.0, 4.5]) == [(0, 1, four)]
    assert chosen({0: four, 1: four}, [0.0, 1.49]) == []
    assert chosen({0: four, 1: four}, [0.0, 4.51]) == []


def test_the_rest_chooses_again():
    seen = {0: [1, 2, 3, 4], 1: [5, 6, 7], 2: [1, 2, 3, 4, 5, 6, 7]}
    assert chosen(seen, [0.0, 0.4, 3.0]) == [(0, 2, [1, 2, 3, 4]), (1, 2, [5, 6, 7])]


def test_ends_are_told_by_the_index_of_the_pass_not_by_its_time():
    four = [1, 2, 3, 4]
    # In the order of the state the later pass comes first.
    ends = np.array([True, False])
    assert chosen({1: four, 0: four}, [3.0, 0.0], ends=ends) == [(1, 0, four)]
    assert chosen({1: four, 0: four}, [3.0, 0.0], ends=~ends) == []


def test_a_source_of_two_parcels_is_none():
    seen = {0: [1, 2], 1: [3, 4, 5], 2: [1, 2, 3, 4, 5]}
    assert chosen(seen, [2.0, 3.3, 5.0]) == [(1, 2, [3, 4, 5])]


def test_what_is_folded_gives_nothing_to_the_smoothed_rates():
    settings = DeformationSettings(max_side=25_000.0, smoothing_steps=3)
    seed = np.array([[row, col] for row in range(3) for col in range(3)])
    ids, zero = np.arange(9), np.zeros((9, 2, 2))
    start = 1e4 * seed[:, ::-1].astype(float)
    end = start.copy()
    # One corner crosses the side opposite to it.
    end[0] += 12_000.0
    early = Sightings(ids, np.zeros(9, int), seed, start, np.zeros(9), zero)
    late = Sightings(ids, np.ones(9, int), seed, end, np.full(9, 3 * DAY), zero)
    patch = make_patch(early, late, settings)
    folded = (patch.quality_flag & QualityFlag.FOLDED) > 0
    assert folded.any()
    assert not folded.all()
    assert np.isnan(patch.smoothed[folded]).all()
    still = ~np.isin(patch.vertices, [0]).any(axis=1)
    assert (patch.smoothed[still] == 0).all()


def test_an_error_of_nothing_along_an_axis_is_not_stated():
    before = np.eye(2)[None]
    flat = displacement_covariance(before, before + np.diag([4.0, 0.0]))
    assert np.isnan(flat).all()
    known = displacement_covariance(before, before + np.diag([4.0, 1.0]))
    np.testing.assert_array_equal(known, np.diag([4.0, 1.0])[None])


def test_a_patch_is_of_the_middle_of_its_time_and_of_the_area_at_its_start():
    seed = np.array([[row, col] for row in range(2) for col in range(2)])
    ids, zero = np.arange(4), np.zeros((4, 2, 2))
    start = 1e4 * seed[:, ::-1].astype(float)
    early = Sightings(ids, np.zeros(4, int), seed, start, np.full(4, DAY), zero)
    late = Sightings(ids, np.ones(4, int), seed, 1.1 * start, np.full(4, 4 * DAY), zero)
    patch = make_patch(early, late, DeformationSettings())
    np.testing.assert_allclose(patch.time, 2.5 * DAY)
    np.testing.assert_allclose(patch.area, 5e7)
    np.testing.assert_allclose(patch.area_true, true_area(start[patch.vertices]))
