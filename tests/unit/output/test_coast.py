"""Distance to coast: right on a known coast, and the same whatever else is asked."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.output import coast


@pytest.fixture
def straight_coast(monkeypatch):
    """Land west of x = -300 km."""
    coast._land_block.cache_clear()
    monkeypatch.setattr(coast, "is_land", lambda xy: xy[:, 0] < -300e3)
    yield
    coast._land_block.cache_clear()


def test_distance_on_a_straight_coast(straight_coast):
    xy = np.array([[0.0, 0.0], [123456.0, -900e3], [1700e3, 40e3], [-400e3, 0.0], [np.nan, 1.0]])
    found = coast.distance_to_coast(xy)
    expected = np.maximum(xy[:, 0] + 300e3, 0.0)
    np.testing.assert_allclose(found, expected, atol=5000.0)
    assert found[3] == 0.0
    assert np.isnan(found[4])


def test_result_does_not_depend_on_company(straight_coast):
    xy = np.random.default_rng(1).uniform(-250e3, 900e3, (200, 2))
    together = coast.distance_to_coast(xy)
    alone = np.concatenate([coast.distance_to_coast(row[None]) for row in xy[:20]])
    np.testing.assert_array_equal(alone, together[:20])


def test_nothing_asked(straight_coast):
    assert coast.distance_to_coast(np.zeros((0, 2))).shape == (0,)


@pytest.mark.slow
def test_north_pole_is_700_km_from_land():
    coast._land_block.cache_clear()
    assert coast.distance_to_coast(np.zeros((1, 2)))[0] == pytest.approx(700e3, abs=20e3)
