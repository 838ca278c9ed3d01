"""Affine fit and the filter measured on the pair."""

import numpy as np
import pytest
import torch
from moving_texture import moved_pair
from scipy.ndimage import gaussian_filter, rotate

from lagrangian_ice.matching import affine_fit, matched_filter
from lagrangian_ice.matching.affine_fit import _Ascent, _spread, fit_affine
from lagrangian_ice.matching.refine import Bands, refine
from lagrangian_ice.matching.sampling import Band, bridged
from lagrangian_ice.matching.templates import Templates
from lagrangian_ice.settings import MccSettings


def fitted(pair, offset=0.3, degrees=0.0, kernel=None, half_width=12):
    bands = [Band.of(pair.source), Band.of(pair.target)]
    if kernel is not None:
        bands = [matched_filter.apply(band, kernel) for band in bands]
    count = len(pair.start)
    return fit_affine(
        *bands,
        Templates(torch.from_numpy(pair.start), half_width),
        torch.from_numpy(pair.truth + offset),
        torch.full((count,), np.radians(degrees), dtype=torch.float64),
    )


def test_exact_on_a_shift_without_noise():
    pair = moved_pair(shift=[2.37, -1.81], seed=1)
    fit = fitted(pair)
    assert fit.converged.all()
    assert np.abs(fit.position.numpy() - pair.truth).max() < 0.01


@pytest.mark.parametrize("degrees", [-4.0, 5.0])
def test_finds_the_rotation_that_the_correlation_left(degrees):
    pair = moved_pair(shift=[0.4, 0.6], degrees=degrees, seed=2)
    fit = fitted(pair)
    matrix = fit.matrix.numpy()
    angle = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    np.testing.assert_allclose(angle, degrees, atol=0.4)
    assert abs(np.median(angle) - degrees) < 0.05
    assert np.abs(fit.position.numpy() - pair.truth).max() < 0.02


def test_filter_measured_on_a_noisy_pair_helps():
    pair = moved_pair(shift=[1.5, 0.5], noise=0.6, seed=3, count=120)
    kernel = matched_filter.measure(
        Band.of(pair.source),
        Band.of(pair.target),
        Templates(torch.from_numpy(pair.start), 16),
        torch.from_numpy(pair.truth),
        torch.zeros(len(pair.start), dtype=torch.float64),
    )
    plain, filtered = fitted(pair), fitted(pair, kernel=kernel)
    error = [np.median(np.hypot(*(f.position.numpy() - pair.truth).T)) for f in (plain, filtered)]
    assert error[1] < 0.8 * error[0]
    assert filtered.converged.float().mean() > 0.95


def test_filter_needs_a_place_with_complete_data():
    image = Band.of(np.full((60, 60), np.nan, np.float32))
    at = torch.full((3, 2), 30.0, dtype=torch.float64)
    turn = torch.zeros(3, dtype=torch.float64)
    assert matched_filter.measure(image, image, Templates(at, 16), at, turn) is None


def test_filtering_keeps_missing_pixels_missing():
    pixels = np.ones((40, 40), np.float32)
    pixels[10:20, 10:20] = np.nan
    kernel = np.zeros((17, 17), np.float32)
    kernel[8, 8] = 1
    filtered = matched_filter.apply(Band.of(pixels), kernel)
    np.testing.assert_array_equal(~filtered.present.numpy(), np.isnan(pixels))
    assert (filtered.pixels[~filtered.present] == 0).all()


def test_covariance_grows_with_noise_and_is_positive():
    sizes = []
    for noise in (0.1, 0.4):
        covariance = fitted(moved_pair(shift=[0.5, 0.5], noise=noise, seed=4)).covariance.numpy()
        assert (np.linalg.eigvalsh(covariance) > 0).all()
        sizes.append(np.median(np.trace(covariance, axis1=1, axis2=2)))
    assert sizes[1] > 4 * sizes[0]


def test_half_of_the_template_missing_is_still_unbiased():
    pair = moved_pair(shift=[1.2, -0.7], seed=5)
    target = pair.target.copy()
    target[:, ::7] = np.nan
    fit = fit_affine(
        Band.of(pair.source),
        Band.of(target),
        Templates(torch.from_numpy(pair.start), 12),
        torch.from_numpy(pair.truth + 0.3),
        torch.zeros(len(pair.start), dtype=torch.float64),
    )
    assert np.abs((fit.position.numpy() - pair.truth).mean(axis=0)).max() < 0.02
    assert float(fit.overlap.max()) < 0.8


def test_unrelated_images_do_not_converge_to_a_confident_match():
    first, second = moved_pair([0, 0], seed=6), moved_pair([0, 0], seed=7)
    fit = fit_affine(
        Band.of(first.source),
        Band.of(second.source),
        Templates(torch.from_numpy(first.start), 12),
        torch.from_numpy(first.start),
        torch.zeros(len(first.start), dtype=torch.float64),
    )
    assert float(fit.correlation.median()) < 0.5


def test_the_spread_of_a_template_is_that_of_its_known_pixels():
    """Slopes are in its units, and with them the stated error: bridges would make it small."""
    values = torch.from_numpy(np.random.default_rng(0).normal(3, 2, (5, 400)).astype(np.float32))
    known = torch.ones(5, 400, dtype=torch.bool)
    torch.testing.assert_close(_spread(values, known), _spread(values, None))
    known[:, 250:] = False
    filled = bridged(values, known)
    torch.testing.assert_close(_spread(filled, known), values[:, :250].std(dim=1, keepdim=True))
    assert (filled.std(dim=1) < 0.9 * _spread(filled, known)[:, 0]).all()


def test_a_step_that_cannot_be_taken_is_no_small_one():
    ascent = _Ascent.begin(torch.eye(3, dtype=torch.float64).repeat(3, 1, 1))
    steps = torch.zeros(3, 6, dtype=torch.float64)
    # turns the template inside out; at rest; moves on
    steps[0, 1], steps[2, 0] = -1.0, 0.5
    ascent.judge(torch.arange(3), torch.full((3,), 0.5, dtype=torch.float64), steps)
    assert ascent.lost.tolist() == [True, False, False]
    assert ascent.moving.tolist() == [False, False, True]


def lineated(seed, across, along, noise, shift, size=360):
    """One texture of two lengths at 30 degrees, seen twice, moved by whole pixels."""
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.normal(size=(2 * size, 2 * size)), (across, along))
    texture = rotate(texture, 30, reshape=False)[size // 2 : -size // 2, size // 2 : -size // 2]
    seen = (texture / texture.std(), np.roll(texture / texture.std(), shift, (0, 1)))
    return [(one + noise * rng.normal(size=one.shape)).astype(np.float32) for one in seen]


@pytest.mark.parametrize(("along", "noise"), [(2.0, 0.8), (4.0, 0.8), (6.0, 0.4)])
def test_the_stated_error_is_true_in_both_directions_of_lineated_ice(along, noise):
    """Along the lines it was half of what it is."""
    shift, settings, scores = (3, -5), MccSettings(), []
    for seed in range(3):
        source, target = lineated(seed, 2.0, along, noise, shift)
        start = np.random.default_rng(seed).uniform(60, 300, (150, 2))
        truth = start + shift
        bands = Bands.prepare(source, target, (start[:60], truth[:60], np.zeros(60)))
        found = refine(bands, start, truth, np.full(150, 2.0), np.zeros(150), settings)
        sound = found.converged & (found.correlation > settings.min_correlation)
        assert sound.mean() > 0.9
        size, axes = np.linalg.eigh(found.covariance[sound])
        error = (found.position - truth)[sound]
        scores.append(np.einsum("nij,ni->nj", axes, error) / np.sqrt(size))
    minor, major = np.quantile(np.abs(np.concatenate(scores)), 0.683, axis=0)
    assert 0.8 < minor < 1.35
    assert 0.8 < major < 1.35


def test_what_both_images_share_alike_in_all_directions_is_one_number():
    squares = torch.tensor([[[4.0, 1.0], [1.0, 3.0]]], dtype=torch.float64)
    gain = affine_fit._gain(squares, 0.25 * squares)
    np.testing.assert_allclose(gain[0], 2 * np.eye(2), atol=1e-6)
    least = affine_fit._gain(squares, -squares)
    np.testing.assert_allclose(least[0], np.eye(2) / np.sqrt(affine_fit.LEAST_SHARED), atol=1e-6)
    one_way = torch.diag_embed(torch.tensor([[1.0, 0.2]], dtype=torch.float64))
    gain = affine_fit._gain(torch.eye(2, dtype=torch.float64)[None], one_way)[0].numpy()
    assert gain[1, 1] > 1.5 * gain[0, 0] > 1.4
    np.testing.assert_allclose(gain[[0, 1], [1, 0]], 0, atol=1e-9)
