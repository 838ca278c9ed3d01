"""Intervals hold the truth about as often as they say, also where values overlap in time."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.validation.confidence import FISHER, LOGARITHM, group_sums, intervals

DAY = 86400.0


def mean(sums):
    return {"mean": sums[:, 1] / sums[:, 0]}


def record(rng, days, overlap=3, size=30):
    """Sums of daily pairs of some days, whose common error is the mean of that many days'."""
    daily = rng.normal(0, 1.0, days + overlap)
    shared = np.convolve(daily, np.ones(overlap), "valid")[:days] / np.sqrt(overlap)
    values = shared[:, None] + rng.normal(0, 0.5, (days, size))
    return np.stack([np.full(days, size), values.sum(axis=1)], axis=1), np.arange(days) * DAY


def test_sums_of_groups_of_any_names():
    names, found = group_sums([9, -4, 9], np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]))
    np.testing.assert_array_equal(names, [-4, 9])
    np.testing.assert_array_equal(found, [[3, 4], [11, 22]])


@pytest.mark.parametrize("overlap", [1, 3], ids=["apart", "overlapping"])
@pytest.mark.parametrize("days", [12, 24, 120])
def test_the_truth_is_inside_about_as_often_as_stated(days, overlap):
    rng = np.random.default_rng(days)
    inside, widths = 0, []
    for _ in range(300):
        low, high = intervals(*record(rng, days, overlap), overlap * DAY, mean)["mean"]
        inside += low <= 0 <= high
        widths.append(high - low)
    # drawn one by one, the values would state a fifth of it and hold the truth a third of the time
    # of twelve days and pairs of three there are but four that share nothing
    assert 0.86 + 0.04 * (days > 4 * overlap) <= inside / 300 <= 0.985
    assert np.mean(widths) < 14 * np.sqrt(overlap / days)


def test_nothing_is_drawn_and_the_order_of_rows_does_not_matter():
    sums, time = record(np.random.default_rng(2), 20)
    there = intervals(sums, time, 3 * DAY, mean)["mean"]
    back = intervals(sums[::-1], time[::-1], 3 * DAY, mean)["mean"]
    assert there == pytest.approx(back)


def test_many_pairs_that_end_together_are_one():
    sums, time = record(np.random.default_rng(3), 30)
    one = intervals(sums, time, 3 * DAY, mean)["mean"]
    each = np.repeat(sums / 50, 50, axis=0)
    seconds = np.random.default_rng(4).uniform(0, 300, len(each))
    seconds[0] = 0.0
    assert intervals(each, np.repeat(time, 50) + seconds, 3 * DAY, mean)["mean"] == pytest.approx(
        one, rel=1e-3
    )


def test_a_record_of_less_than_three_pairs_has_no_interval():
    sums, time = record(np.random.default_rng(3), 6)
    assert intervals(sums, time, 3 * DAY, mean) == {"mean": None}
    assert intervals(sums[:1], time[:1], 3 * DAY, mean) == {"mean": None}
    assert intervals(sums[:0], time[:0], 3 * DAY, mean) == {"mean": None}
    sums, time = record(np.random.default_rng(3), 7)
    assert intervals(sums, time, 3 * DAY, mean)["mean"] is not None


def test_an_unknown_score_has_no_interval():
    sums, time = record(np.random.default_rng(4), 20)
    sums[:, 0] = 0
    assert intervals(sums, time, 3 * DAY, mean) == {"mean": None}


@pytest.mark.parametrize(
    ("scale", "value", "low", "high"), [(LOGARITHM, 0.02, 0, np.inf), (FISHER, 0.98, -1, 1)]
)
def test_scores_with_a_limit_stay_inside_it(scale, value, low, high):
    rng = np.random.default_rng(5)
    sums, time = record(rng, 9, size=1)
    sums[:, 1] = (
        value + (high == 1) * rng.uniform(-0.4, 0.02, 9) + (high > 1) * rng.uniform(0, 1, 9)
    )
    found = intervals(sums, time, 3 * DAY, mean, {"mean": scale})["mean"]
    assert low < found[0] < found[1] < high
