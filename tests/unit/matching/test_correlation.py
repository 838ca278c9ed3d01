"""Correlation of templates over a window."""

import numpy as np
import pytest
import torch
from moving_texture import moved_pair

from lagrangian_ice.matching.correlation import correlate, correlate_each, masked_ncc
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

NO_TURN = torch.zeros(1, dtype=torch.float64)


def brute_force_ncc(template, window):
    size = template.shape[0]
    lags = window.shape[0] - size + 1
    result = np.full((lags, lags), np.nan)
    for i in range(lags):
        for j in range(lags):
            part = window[i : i + size, j : j + size]
            both = np.isfinite(part) & np.isfinite(template)
            if both.sum() >= 0.5 * np.isfinite(template).sum():
                result[i, j] = np.corrcoef(part[both], template[both])[0, 1]
    return result


def ncc(template, window):
    stacks = [torch.from_numpy(template)[None, None], torch.from_numpy(window)[None]]
    known = [None if bool(s.isfinite().all()) else s.isfinite() for s in stacks]
    return masked_ncc(*(torch.nan_to_num(s) for s in stacks), *known)[0, 0].numpy()


@pytest.mark.parametrize("gaps", [(), ("window",), ("template",), ("template", "window")])
def test_masked_correlation_equals_brute_force(gaps):
    """Half-empty windows must neither be NaN nor count the gap as ice."""
    rng = np.random.default_rng(3)
    window = rng.normal(size=(25, 25)).astype(np.float32) + 40
    template = window[6:15, 4:13] + rng.normal(0, 0.3, (9, 9)).astype(np.float32)
    if "window" in gaps:
        window[:, 14:] = np.nan
    if "template" in gaps:
        template[:4, :] = np.nan
    found = ncc(template, window)
    expected = brute_force_ncc(template.astype(float), window.astype(float))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.unravel_index(np.nanargmax(found), found.shape) == (6, 4)


def test_each_of_a_batch_is_correlated_as_if_alone():
    """What is missing of one window is no matter of the next."""
    rng = np.random.default_rng(8)
    windows = rng.normal(size=(4, 25, 25)).astype(np.float32)
    templates = windows[:, 6:15, 4:13] + rng.normal(0, 0.3, (4, 9, 9)).astype(np.float32)
    windows[1, :, 15:] = np.nan
    templates[2, :3] = np.nan
    values = [torch.from_numpy(v) for v in (templates[:, None], windows)]
    known = [v.isfinite() for v in values]
    together = masked_ncc(*(torch.nan_to_num(v) for v in values), *known)
    for i in range(4):
        np.testing.assert_allclose(together[i, 0].numpy(), ncc(templates[i], windows[i]), atol=1e-5)


def test_flat_window_has_no_correlation():
    found = masked_ncc(torch.randn(1, 1, 9, 9), torch.full((1, 21, 21), 3.0))
    assert torch.isnan(found).all()


def test_peak_is_unbiased_at_any_fraction_of_a_pixel():
    """Template centre off by one, window cut at int(r): both would show here."""
    errors = []
    for shift in ([0.0, 0.0], [0.25, -0.4], [3.5, -2.7], [-5.1, 6.6]):
        pair = moved_pair(shift=shift, seed=4)
        guess = pair.truth + np.random.default_rng(5).uniform(-6, 6, pair.truth.shape)
        peak = correlate(
            Band.of(pair.source),
            Band.of(pair.target),
            Templates(torch.from_numpy(pair.start), 12),
            torch.from_numpy(guess),
            NO_TURN.expand(len(guess), 1),
            10,
        )
        errors.append(peak.position.numpy() - pair.truth)
    errors = np.concatenate(errors)
    assert np.abs(errors.mean(axis=0)).max() < 0.01
    assert np.abs(errors).max() < 0.15


@pytest.mark.parametrize("degrees", [-12.0, 9.0])
def test_rotation_found_is_counter_clockwise_on_the_map(degrees):
    pair = moved_pair(shift=[1.3, 0.2], degrees=degrees, seed=6)
    angles = torch.deg2rad(torch.tensor([-12.0, 0.0, 9.0], dtype=torch.float64))
    peak = correlate(
        Band.of(pair.source),
        Band.of(pair.target),
        Templates(torch.from_numpy(pair.start), 12),
        torch.from_numpy(pair.truth + 2.2),
        angles.expand(len(pair.start), 3),
        8,
    )
    np.testing.assert_allclose(np.degrees(peak.rotation.numpy()), degrees)
    assert float(peak.correlation.median()) > 0.95


def test_motion_beyond_the_search_is_reported_at_the_edge():
    pair = moved_pair(shift=[0.0, 9.0], seed=7)
    peak = correlate(
        Band.of(pair.source),
        Band.of(pair.target),
        Templates(torch.from_numpy(pair.start), 12),
        torch.from_numpy(pair.truth - [0, 5.0]),
        NO_TURN.expand(len(pair.start), 1),
        4,
    )
    assert peak.at_edge.float().mean() > 0.8


def test_repeated_texture_has_a_high_second_peak():
    tile = np.random.default_rng(8).normal(size=(10, 10)).astype(np.float32)
    image = Band.of(np.tile(tile, (12, 12)))
    at = torch.tensor([[60.0, 60.0]]).double()
    peak = correlate(image, image, Templates(at, 12), at, NO_TURN[None], 14)
    assert float(peak.ratio) > 0.98


@pytest.mark.parametrize(("error", "expected"), [(None, 12.0), (1.0, 0.0), (30.0, 12.0)])
def test_a_sure_guess_outweighs_a_slightly_higher_correlation_far_away(error, expected):
    """The texture lies at the guess, and a little stronger 12 px away."""
    rng = np.random.default_rng(11)
    source = rng.normal(size=(120, 120)).astype(np.float32)
    noise = rng.normal(size=source.shape).astype(np.float32)
    target = 0.55 * source + 0.6 * np.roll(source, 12, axis=1) + noise
    at = torch.tensor([[60.0, 60.0]], dtype=torch.float64)
    peak = correlate(
        *(Band.of(source), Band.of(target), Templates(at, 16), at, NO_TURN.reshape(1, 1), 16),
        None if error is None else torch.tensor([error], dtype=torch.float64),
    )
    assert abs(float(peak.position[0, 1]) - 60 - expected) < 0.2
    assert 0.4 < float(peak.correlation[0]) < 0.5
    discounted = float(peak.discounted[0])
    if error == 1.0:
        assert discounted == pytest.approx(float(peak.correlation[0]), abs=1e-3)


def test_a_peak_far_from_a_sure_guess_counts_for_less():
    pair = moved_pair(shift=[9.0, 7.0], noise=0.8, seed=12)
    start = torch.from_numpy(pair.start)
    arguments = (Band.of(pair.source), Band.of(pair.target), Templates(start, 12), start)
    angles = NO_TURN.expand(len(start), 1)
    peaks = [
        correlate(*arguments, angles, 12, torch.full((len(start),), error).double())
        for error in (1.0, 3.0, 1000.0)
    ]
    sure, less, none = (peak.discounted.median() for peak in peaks)
    assert sure < less < none
    assert none == pytest.approx(float(peaks[2].correlation.median()), abs=1e-3)


def test_parts_of_a_template_together_are_found_as_each_by_itself():
    pair = moved_pair(shift=[3.3, -2.6], degrees=5.0, noise=0.4, count=6)
    bands = Band.of(pair.source), Band.of(pair.target)
    start, guess = torch.from_numpy(pair.start), torch.from_numpy(pair.truth + 1.2)
    lines = torch.tensor([[1.0, 0.0, 2.0], [-1.0, 0.0, 2.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    angles = torch.full((len(start), len(lines)), np.radians(5.0), dtype=torch.float64)
    whole = Templates(start, 10, lines.expand(len(start), -1, -1))
    together = correlate_each(*bands, whole, guess, angles, 6)
    for number, line in enumerate(lines):
        part = Templates(start, 10, line.expand(len(start), -1))
        alone = correlate(*bands, part, guess, angles[:, :1], 6)
        for name, values in vars(alone).items():
            found = vars(together)[name][number :: len(lines)]
            np.testing.assert_allclose(found, values, atol=1e-4, err_msg=name)
