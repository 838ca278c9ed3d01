import numpy as np
import pytest

from lagrangian_ice.simulate.texture import ice_texture, ice_textures, power_law_noise


def test_same_seed_same_ice_other_seed_other_ice() -> None:
    first = ice_texture((96, 130), np.random.default_rng(4))
    again = ice_texture((96, 130), np.random.default_rng(4))
    other = ice_texture((96, 130), np.random.default_rng(5))
    assert first.shape == (96, 130)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.5


def test_levels_and_contrast_are_those_of_sea_ice() -> None:
    textures = [ice_textures((128, 128), np.random.default_rng(seed)) for seed in range(12)]
    hh = np.array([texture[0] for texture in textures])
    hv = np.array([texture[1] for texture in textures])
    assert np.isfinite(hh).all()
    assert np.isfinite(hv).all()
    means, spreads = hh.mean(axis=(1, 2)), hh.std(axis=(1, 2))
    assert means.min() > -18
    assert means.max() < -8
    assert spreads.min() > 0.8
    assert spreads.max() < 4.5
    assert np.ptp(means) > 2
    assert 7 < (hh - hv).mean() < 13


def test_hv_shares_structure_with_hh() -> None:
    hh, hv = ice_textures((256, 256), np.random.default_rng(2))
    assert np.corrcoef(hh.ravel(), hv.ravel())[0, 1] > 0.5


@pytest.mark.parametrize("pixel", [40.0, 400.0])
def test_other_pixels(pixel: float) -> None:
    texture = ice_texture((64, 64), np.random.default_rng(1), pixel)
    assert np.isfinite(texture).all()
    assert texture.std() > 0.5


def test_spectrum_falls_with_the_slope_asked_for() -> None:
    field, other = power_law_noise((512, 512), np.random.default_rng(0), 2.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    wavenumber = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    low = power[(wavenumber > 0.02) & (wavenumber < 0.03)].mean()
    high = power[(wavenumber > 0.2) & (wavenumber < 0.3)].mean()
    assert np.log10(low / high) == pytest.approx(2.0, abs=0.15)
    assert abs(np.corrcoef(field.ravel(), other.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(("shape", "pixel"), [((15, 64), 100.0), ((64, 64), 0.0)])
def test_wrong_arguments_are_named(shape: tuple[int, int], pixel: float) -> None:
    with pytest.raises(ValueError, match=r"15|0\.0 m"):
        ice_texture(shape, np.random.default_rng(0), pixel)
