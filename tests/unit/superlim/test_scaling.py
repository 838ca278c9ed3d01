"""Network input from pixels."""

import warnings

import numpy as np
import pytest

from lagrangian_ice.superlim.scaling import local_scaled, percentile_scaled


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(-14, 3, (200, 240)).astype(np.float32)


def test_local_scaling_ignores_gain_and_offset(pixels):
    np.testing.assert_allclose(
        local_scaled(pixels, 40.0), local_scaled(7 * pixels + 300, 40.0), atol=2e-3
    )


def test_local_scaling_removes_a_brightness_trend(pixels):
    trend = np.linspace(-8, 8, 240, dtype=np.float32)
    scaled = local_scaled(pixels + trend, 40.0)
    assert abs(scaled[:, 60:90].mean() - scaled[:, 150:180].mean()) < 0.15


def test_missing_pixels_become_the_local_mean_and_do_not_bleed(pixels):
    holed = pixels.copy()
    holed[50:150, 50:150] = np.nan
    scaled = local_scaled(holed, 40.0)
    assert np.isfinite(scaled).all()
    assert (scaled[60:140, 60:140] == 0).all()
    np.testing.assert_allclose(scaled[:20, :20], local_scaled(pixels, 40.0)[:20, :20], atol=0.4)


def test_flat_image_is_zero():
    assert not local_scaled(np.full((64, 64), -12, np.float32), 40.0).any()


def test_percentiles_become_0_and_1(pixels):
    scaled = percentile_scaled(pixels, None)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert abs(np.median(scaled) - 0.5) < 0.02


def test_percentile_scaling_raises_values_below_the_floor(pixels):
    low = percentile_scaled(pixels, -15.0)
    assert (low[pixels < -15] == low[pixels < -15][0]).all()


def test_strips_leave_no_seam():
    """Ice that repeats down the image must be scaled alike wherever a strip ends."""
    period = np.random.default_rng(0).normal(-14, 3, (64, 240)).astype(np.float32)
    scaled = local_scaled(np.tile(period, (14, 1)), 24.0)
    for top in range(256, 640, 64):
        np.testing.assert_allclose(scaled[top : top + 64], scaled[256:320], atol=1e-4)


def test_rows_and_columns_beyond_the_last_whole_block_are_scaled_too(pixels):
    whole = local_scaled(pixels, 40.0)
    cut = local_scaled(pixels[:195, :237], 40.0)
    np.testing.assert_allclose(cut[:100, :120], whole[:100, :120], atol=0.05)
    assert abs(cut[190:].mean()) < 0.2


def test_scaling_into_a_given_array(pixels):
    out = np.zeros((210, 250), np.float32)
    local_scaled(pixels, 40.0, out[5:-5, 5:-5])
    np.testing.assert_array_equal(out[5:-5, 5:-5], local_scaled(pixels, 40.0))


@pytest.mark.parametrize("value", [1e36, -1e36, 3e38, np.inf])
@pytest.mark.parametrize("share", [0.001, 0.9])
def test_damaged_pixels_of_any_size_stay_finite_without_a_warning(pixels, value, share):
    rng = np.random.default_rng(1)
    wrong = rng.random(pixels.shape) < share
    pixels[wrong] = value * rng.choice([-1, 0.5, 1], wrong.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scaled in (local_scaled(pixels, 40.0), percentile_scaled(pixels, None)):
            assert np.isfinite(scaled).all()
