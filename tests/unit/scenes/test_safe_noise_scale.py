import numpy as np
import pytest
from tiny_safe import Tiny, write_folder

from lagrangian_ice.scenes.reader import open_band, open_scene
from lagrangian_ice.scenes.safe import safe_band
from lagrangian_ice.scenes.safe_noise_scale import (
    Profiles,
    fit_noise_scales,
    sub_swath_of_bins,
)
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.radar_swath import plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame
from lagrangian_ice.simulate.speckle import speckle

PLAN = plan_radar_swath((-150.0, 80.0), 1609459200.0, False, 19.5, (300e3, 396e3), 400.0)
ERROR = (1.0, -0.6, 0.4, -0.3, 0.5)


@pytest.fixture(scope="module", params=[ERROR, (0.0,) * 5], ids=["wrong", "right"])
def product(request, tmp_path_factory):
    """Even ice at -25 dB in HV, and tables that are wrong by up to 1 dB in each sub-swath."""
    level = np.full((2, *PLAN.shape), 10**-2.5, dtype=np.float32)
    rng = np.random.default_rng(1)
    looks = np.stack([speckle(PLAN.shape, rng, 40.0) for _ in range(2)])
    noise = NoiseSettings(error=request.param)
    frame = SafeFrame(PLAN, "S1A", 5, 5, noise=noise)
    path = write_safe(tmp_path_factory.mktemp("noise"), frame, level, looks)
    return open_scene(path), request.param


def bias(scene, fit_noise):
    """Mean HV of each sub-swath against the truth, dB."""
    rows = open_band(scene, "HV", fit_noise).rows(512)
    pixels = np.concatenate([block for _, block in rows])
    parts = [one.parts for one in safe_band(scene.path, "HV").annotation.sub_swaths]
    means = [np.nanmean(np.concatenate([pixels[p].ravel() for p in part])) for part in parts]
    return 10 * np.log10(np.array(means)) + 25.0


def test_wrong_tables_are_mended_and_right_ones_left(product):
    scene, error = product
    before, after = bias(scene, False), bias(scene, True)
    if any(error):
        assert np.abs(before).max() > 0.4
    assert np.abs(after).max() < 0.1


def test_factors_are_those_put_in(product):
    scene, error = product
    band = safe_band(scene.path, "HV").with_fitted_noise()
    names = {one.parts[0][1].start: k for k, one in enumerate(band.annotation.sub_swaths)}
    for one in band.radiometry.corrections:
        if one.cols.start in names:
            expected = error[names[one.cols.start]]
            assert 10 * np.log10(one.factor) == pytest.approx(expected, abs=0.15)


def test_co_polarised_bands_and_products_without_sub_swaths_stay(product, tmp_path):
    scene, _ = product
    assert safe_band(scene.path, "HH").with_fitted_noise().radiometry.corrections == ()
    folder = write_folder(Tiny().files(), tmp_path / f"{Tiny().name}.SAFE")
    assert safe_band(folder, "HV").with_fitted_noise().radiometry.corrections == ()


def test_noise_equivalent_sigma0_follows(product):
    scene, _ = product
    band = safe_band(scene.path, "HV").with_fitted_noise()
    plain = safe_band(scene.path, "HV")
    ratio = band.radiometry.noise_equivalent_sigma0(
        0, 1
    ) / plain.radiometry.noise_equivalent_sigma0(0, 1)
    expected = np.ones(PLAN.shape[1])
    for one in band.radiometry.corrections:
        if one.rows.start == 0:
            expected[one.cols] = one.factor
    np.testing.assert_allclose(ratio[0], expected, rtol=1e-5)


def test_nothing_to_judge_by_changes_nothing():
    shape = (20, 100)
    profiles = Profiles(
        power=np.full(shape, np.nan),
        noise=np.full(shape, 1e-3),
        position=np.linspace(-1, 1, 100),
        swath=np.repeat(np.arange(2), 50)[None].repeat(20, 0),
        count=2,
    )
    assert [(one.factor, one.offset) for one in fit_noise_scales(profiles)] == [(1.0, 0.0)] * 2


def test_strong_contrast_of_ice_can_do_little_harm():
    """Ice that differs from place to place by more than the noise, alike over many lines."""
    rng = np.random.default_rng(3)
    swath = np.repeat(np.arange(5), 48)
    noise = (1e-3 * (1 + 0.5 * (swath == 0)))[None].repeat(16, 0)
    walk = np.cumsum(rng.normal(0, 0.12, (2, 240)), axis=1)
    ice = 0.02 * np.exp(np.repeat(walk, 8, axis=0))
    profiles = Profiles(noise + ice, noise, np.linspace(-1, 1, 240), swath[None].repeat(16, 0), 5)
    for one in fit_noise_scales(profiles):
        assert 0.7 <= one.factor <= 1.4
        assert abs(one.offset) <= 0.3e-3


def test_bins_on_a_seam_belong_to_none():
    parts = [[(slice(0, 10), slice(0, 25))], [(slice(0, 10), slice(25, 50))]]
    edges = np.arange(0, 51, 10)
    np.testing.assert_array_equal(sub_swath_of_bins(parts, 3, edges), [0, 0, -1, 1, 1])
    np.testing.assert_array_equal(sub_swath_of_bins(parts, 10, edges), [-1] * 5)
