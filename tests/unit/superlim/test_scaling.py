"""Network input from pixels."""

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
