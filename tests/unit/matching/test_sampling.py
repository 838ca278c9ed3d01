"""Spline sampling at exact positions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from lagrangian_ice.matching.sampling import SplineImage, sample, sample_with_slope


@pytest.fixture
def pixels():
    return gaussian_filter(np.random.default_rng(0).normal(size=(90, 110)), 1.2).astype(np.float32)


def positions(count=200, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform([20, 20], [69, 89], (count, 2)))


def test_values_are_those_of_an_interpolating_cubic_spline(pixels):
    at = positions()
    image = SplineImage.of(pixels)
    ours = sample(image, at[:, 0], at[:, 1]).numpy() + pixels.mean()
    theirs = map_coordinates(pixels, at.numpy().T, order=3, mode="mirror")
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_row_and_column_are_not_swapped():
    ramp = np.indices((40, 60), dtype=np.float32)[0] * 10
    value, by_row, by_col = sample_with_slope(
        SplineImage.of(ramp), torch.tensor([20.25]).double(), torch.tensor([30.0]).double()
    )
    assert float(value) + ramp.mean() == pytest.approx(202.5, abs=1e-3)
    assert float(by_row) == pytest.approx(10, abs=1e-3)
    assert float(by_col) == pytest.approx(0, abs=1e-3)


def test_slopes_are_derivatives(pixels):
    at, step = positions(50), 1e-3
    image = SplineImage.of(pixels)
    _, by_row, by_col = sample_with_slope(image, at[:, 0], at[:, 1])
    for slope, (dr, dc) in ((by_row, (step, 0)), (by_col, (0, step))):
        after = sample(image, at[:, 0] + dr, at[:, 1] + dc)
        before = sample(image, at[:, 0] - dr, at[:, 1] - dc)
        np.testing.assert_allclose(slope, (after - before) / (2 * step), atol=2e-3)


def test_outside_and_beside_gaps_is_nan(pixels):
    pixels[40, 50] = np.nan
    image = SplineImage.of(pixels)
    rows = torch.tensor([-0.1, 39.5, 40.5, 42.0, 89.1]).double()
    cols = torch.tensor([50.0, 50.0, 49.5, 50.0, 50.0]).double()
    known = torch.isfinite(sample(image, rows, cols))
    assert known.tolist() == [False, False, False, True, False]


def test_zero_is_a_value_and_not_missing():
    image = SplineImage.of(np.zeros((10, 10), np.float32))
    assert float(sample(image, torch.tensor([4.5]).double(), torch.tensor([4.5]).double())) == 0
