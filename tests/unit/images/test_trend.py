import numpy as np
import pytest

from lagrangian_ice.images.trend import fit_trend, trend_at, trend_order

SHAPE = (300, 400)
ACROSS = np.linspace(-1, 1, SHAPE[1])
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def swath(order, seed=0):
    """Ice of 3 dB contrast under a known trend; the trend (cols,) with mean zero."""
    rng = np.random.default_rng(seed)
    ice = rng.normal(-13, 1.5, SHAPE)
    u = np.linspace(-1, 1, SHAPE[1])
    trend = -3.0 * u + (0.8 * (u**2 - 1 / 3) if order == 2 else 0)
    return (ice + trend).astype(np.float32), trend


@pytest.mark.parametrize("order", [1, 2])
def test_known_trend_is_found(order):
    pixels, trend = swath(order)
    coefficients = fit_trend(pixels, EVERYWHERE, ACROSS, order)
    found = trend_at(coefficients, ACROSS)
    assert np.abs(found - trend).max() < 0.12
    assert found.mean() == pytest.approx(0, abs=1e-12)


def test_trend_in_an_uneven_coordinate_keeps_the_mean_of_the_image():
    """Incidence angles are closer together far out; the columns are what the image shows."""
    pixels, _ = swath(1)
    uneven = np.sin(np.pi / 4 * (ACROSS + 1)) * 2 - 1
    coefficients = fit_trend(pixels, EVERYWHERE, uneven, 2)
    assert trend_at(coefficients, uneven).mean() == pytest.approx(0, abs=1e-12)
    assert np.ptp(trend_at(coefficients, uneven)) > 4


def test_open_water_on_one_side_does_not_tilt_the_trend():
    pixels, trend = swath(1)
    pixels[:, :50] -= 8.0
    coefficients = fit_trend(pixels, EVERYWHERE, ACROSS, 1)
    found = trend_at(coefficients, ACROSS)
    assert np.abs(found - trend).max() < 0.3


def test_land_and_missing_pixels_have_no_say():
    pixels, trend = swath(1)
    ice = np.ones(SHAPE, dtype=bool)
    ice[:200, 100:] = False
    pixels[:200, 100:] = 5.0
    pixels[250:, :150] = np.nan
    found = trend_at(fit_trend(pixels, ice, ACROSS, 1), ACROSS)
    assert np.abs(found - trend).max() < 0.3


def test_ice_structure_survives():
    pixels, _ = swath(1)
    u = np.linspace(-1, 1, SHAPE[1])
    pixels += (2.0 * np.sin(2 * np.pi * 3 * u)).astype(np.float32)
    trend = trend_at(fit_trend(pixels, EVERYWHERE, ACROSS, 2), ACROSS)
    kept = np.median(pixels, axis=0) - trend
    assert np.ptp(kept) > 3.5


def test_without_enough_to_judge_by_the_trend_is_unknown():
    pixels = np.full(SHAPE, np.nan, dtype=np.float32)
    assert fit_trend(pixels, EVERYWHERE, ACROSS, 2) is None
    pixels, _ = swath(1)
    # columns of one side only
    pixels[:, 150:] = np.nan
    assert fit_trend(pixels, EVERYWHERE, ACROSS, 2) is None


def test_flat_image_has_no_trend():
    flat = np.full(SHAPE, -12.0, dtype=np.float32)
    np.testing.assert_allclose(fit_trend(flat, EVERYWHERE, ACROSS, 2), 0, atol=1e-6)


def test_order_grows_with_the_width():
    assert [trend_order(width) for width in (40e3, 150e3, 400e3)] == [0, 1, 2]
