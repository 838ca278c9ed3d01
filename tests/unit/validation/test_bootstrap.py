"""Intervals by resampling groups: right coverage where values of a group share an error."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.validation.bootstrap import group_sums, intervals


def mean(sums):
    return {"mean": sums[:, 1] / sums[:, 0]}


def draw(rng, groups=40, size=30):
    """Values of which the group's own error is the larger part."""
    number = np.repeat(np.arange(groups) * 7, size)
    values = np.repeat(rng.normal(0, 1.0, groups), size) + rng.normal(0, 0.5, groups * size)
    return number, np.stack([np.ones(len(number)), values], axis=1)


def test_sums_of_groups_of_any_names():
    found = group_sums([9, -4, 9], np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]))
    np.testing.assert_array_equal(found, [[3, 4], [11, 22]])


@pytest.mark.parametrize("groups", [5, 12, 40])
def test_the_truth_is_inside_about_as_often_as_stated(groups):
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        low, high = intervals(*draw(rng, groups), mean, trial)["mean"]
        inside += low <= 0 <= high
    # drawn one by one, the values would state a fifth of it and hold the truth a third of the time
    assert 0.89 < inside / 200 < 0.985


def test_the_same_seed_gives_the_same():
    given = draw(np.random.default_rng(2))
    assert intervals(*given, mean, 5) == intervals(*given, mean, 5) != intervals(*given, mean, 6)


@pytest.mark.parametrize("groups", [1, 2])
def test_too_few_groups_have_no_interval(groups):
    assert intervals(*draw(np.random.default_rng(3), groups), mean, 0) == {"mean": None}
    assert intervals([], np.zeros((0, 2)), mean, 0) == {"mean": None}


def test_an_unknown_score_has_no_interval():
    number, values = draw(np.random.default_rng(4))
    values[:, 0] = 0
    assert intervals(number, values, mean, 0) == {"mean": None}
