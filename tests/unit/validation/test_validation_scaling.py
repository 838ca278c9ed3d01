"""How often the intervals of exponents hold the truth, over records of ice of known scaling."""

from __future__ import annotations

import numpy as np
import pytest
from ice_motion import self_similar

from lagrangian_ice.deformation.strain import signed_area, strain_rates
from lagrangian_ice.validation.scaling import spatial_scaling, temporal_scaling
from lagrangian_ice.validation.triangles import Triangles

DAY = 86400.0
SIDE, DAYS, RUNS, HURST = 28, 21, 10, 0.5
ROW, COL = (index.ravel() for index in np.mgrid[: SIDE - 1, : SIDE - 1])
CORNER = ROW * SIDE + COL
FACES = np.concatenate(
    [
        np.stack([CORNER, CORNER + 1, CORNER + SIDE + 1], axis=1),
        np.stack([CORNER, CORNER + SIDE + 1, CORNER + SIDE], axis=1),
    ]
)
LATTICE = np.stack(np.mgrid[:SIDE, :SIDE][::-1], axis=-1).reshape(-1, 2) * 10e3


def record(seed):
    """Positions (DAYS + 1, N, 2) of ice with a new self-similar velocity every day."""
    rng = np.random.default_rng(seed)
    steps = [1500.0 * self_similar(SIDE, HURST, rng).reshape(-1, 2) for _ in range(DAYS)]
    return LATTICE + np.concatenate([np.zeros((1, SIDE**2, 2)), np.cumsum(steps, axis=0)])


def triangles_of(xy, days):
    """Every pair of so many days, one ending every day."""
    parts, count = [], len(FACES)
    for pair, end in enumerate(range(days, DAYS + 1)):
        begin, after = xy[end - days][FACES], xy[end][FACES]
        parts.append(
            Triangles(
                np.full(count, pair),
                begin.mean(axis=1),
                strain_rates(begin, after, np.full((count, 3), days * DAY)) * DAY,
                np.abs(signed_area(begin)),
                np.full(count, float(days)),
                np.full((count, 3), np.nan),
                np.full(count, end * DAY),
            )
        )
    return Triangles.join(parts)


@pytest.fixture(scope="module")
def runs():
    found = []
    for seed in range(RUNS):
        xy = record(seed)
        space = spatial_scaling(triangles_of(xy, 3))
        time = temporal_scaling([triangles_of(xy, days) for days in (1, 2, 3, 6)])
        found.append({**space, "alpha": time["alpha"]})
    return found


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("beta_1", 1 - HURST),
        ("beta_2", 2 * (1 - HURST)),
        ("beta_3", 3 * (1 - HURST)),
        ("slope", 1 - HURST),
        # steps that know nothing of one another: the mean rate falls as the root of the time
        ("alpha", 0.5),
    ],
)
def test_the_stated_confidence_is_that_of_ten_records(runs, name, truth):
    values = np.array([run[name]["value"] for run in runs])
    low, high = (np.array([run[name][end] for run in runs]) for end in ("low", "high"))
    # one record is off by 6 %; limits that hold for any ten seeds, not for these alone
    assert values.mean() == pytest.approx(truth, abs=0.08 * truth)
    # of ten at 90 to 95 %, fewer than seven in one case of a hundred
    assert np.sum((low <= truth) & (truth <= high)) >= 7
    spread = values.std(ddof=1)
    assert 0.5 < np.mean(high - low) / (2 * 2.3 * spread) < 2.4


def test_a_field_without_intermittency_has_no_curvature(runs):
    values = np.array([run["curvature"]["value"] for run in runs])
    assert abs(values.mean()) < 0.008
    assert np.mean([run["curvature"]["high"] for run in runs]) < 0.025
