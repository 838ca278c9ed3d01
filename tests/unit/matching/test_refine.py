"""From first guess to a fraction of a pixel, and the two bands."""

import numpy as np
import pytest
from moving_texture import moved_pair

from lagrangian_ice.matching.refine import Bands, refine
from lagrangian_ice.settings import MccSettings

NOWHERE = (np.empty((0, 2)), np.empty((0, 2)), np.empty(0))


def refined(pair, places=NOWHERE, error=2.0):
    bands = Bands.prepare(pair.source, pair.target, places)
    count = len(pair.start)
    guess = pair.truth + np.random.default_rng(0).uniform(-5, 5, pair.truth.shape)
    return refine(bands, pair.start, guess, np.full(count, error), np.zeros(count), MccSettings())


def test_without_a_matched_place_the_bands_stay_as_they_are():
    pair = moved_pair(shift=[3.3, -2.2], noise=0.3, seed=1)
    found = refined(pair)
    assert found.converged.mean() > 0.95
    assert np.abs(np.median(found.position - pair.truth, axis=0)).max() < 0.02


def test_bands_without_any_data_answer_nothing():
    empty = np.full((200, 200), np.nan, np.float32)
    at = np.full((3, 2), 100.0)
    bands = Bands.prepare(empty, empty, NOWHERE)
    found = refine(bands, at, at, np.ones(3), np.zeros(3), MccSettings())
    assert np.isnan(found.correlation).all()


def test_nothing_is_asked_and_nothing_answered():
    pair = moved_pair(shift=[0, 0])
    bands = Bands.prepare(pair.source, pair.target, NOWHERE)
    none = np.empty((0, 2))
    assert refine(bands, none, none, np.empty(0), np.empty(0), MccSettings()).position.shape == (
        0,
        2,
    )


@pytest.mark.parametrize("noise", [0.25, 0.6])
def test_swapped_images_give_the_reversed_vectors(noise):
    pair = moved_pair(shift=[4.4, -3.7], degrees=2.0, noise=noise, seed=2, size=420, count=150)
    places = (pair.start, pair.truth, np.full(len(pair.start), np.radians(2.0)))
    there = refined(pair, places)
    count = len(pair.start)
    bands = Bands.prepare(pair.target, pair.source, (there.position, pair.start, -places[2]))
    back = refine(
        bands, there.position, pair.start + 1.5, np.full(count, 2.0), np.zeros(count), MccSettings()
    )
    apart = np.hypot(*(back.position - pair.start).T)
    assert np.median(apart) < 0.05


def test_error_does_not_depend_on_the_fraction_of_the_motion():
    """Pixel locking: the mean error over sub-pixel parts of the motion is flat to 0.02 px."""
    means = []
    for fraction in np.arange(0, 1, 0.125):
        pair = moved_pair(shift=[2 + fraction, -fraction], noise=0.3, seed=3, count=150)
        places = (pair.start, pair.truth, np.zeros(len(pair.start)))
        error = refined(pair, places).position - pair.truth
        means.append(np.median(error, axis=0))
    assert np.ptp(means, axis=0).max() < 0.02


def test_points_beside_gaps_change_nothing_of_the_others():
    """They are refined by themselves, with masks; the others as if there were no gap."""
    pair = moved_pair(shift=[3.3, -2.2], noise=0.3, seed=1)
    whole = refined(pair)
    row, col = np.rint(pair.truth[0]).astype(int)
    pair.target[row + 5 : row + 8, col - 3 : col + 3] = np.nan
    with_gap = refined(pair)
    reach = MccSettings().half_width + MccSettings().search_radius + 10
    beside = (np.abs(pair.truth - [row, col]) < reach).all(axis=1)
    assert with_gap.converged[beside].any()
    # All but the mean of the band, which the gap changes, is the same.
    np.testing.assert_allclose(
        with_gap.position[~beside], whole.position[~beside], rtol=0, atol=2e-3
    )
