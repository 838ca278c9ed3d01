"""Affine fit and the filter measured on the pair."""

import numpy as np
import pytest
import torch
from moving_texture import moved_pair

from lagrangian_ice.matching import matched_filter
from lagrangian_ice.matching.affine_fit import _Ascent, _spread, fit_affine
from lagrangian_ice.matching.sampling import Band, bridged
from lagrangian_ice.matching.templates import Templates


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
