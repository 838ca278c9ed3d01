"""Templates of which the halves are found apart, or one not at all."""

import numpy as np
import pytest
from sheared_texture import along_the_crack, displacement, sheared_pair

from lagrangian_ice.matching.halves import halves_apart, seen_again, torn
from lagrangian_ice.matching.refine import Bands

NOWHERE = (np.empty((0, 2)), np.empty((0, 2)), np.empty(0))
HALF_WIDTH = 16


def bands(noise=0.4, hide=False):
    """Two looks; ``hide`` shows other ice east of the crack the second time."""
    pair, other = sheared_pair(noise=noise), sheared_pair(noise=noise, seed=9)
    target = pair.target.copy()
    if hide:
        target[:, 140:] = other.target[:, 140:]
    return Bands.prepare(pair.source, target, NOWHERE)


def followed(distance, west=True):
    """Places at a distance from the crack, and where the ice of one side of it goes."""
    start = along_the_crack(distance)
    col = np.full(len(start), 0.0 if west else 279.0)
    return start, start + displacement(col), np.zeros(len(start))


def test_a_template_is_torn_by_a_crack_and_by_nothing_else():
    assert torn(bands(), *followed(2.0), HALF_WIDTH).all()
    assert not torn(bands(), *followed(-60.0), HALF_WIDTH).any()


def test_both_halves_are_found_though_the_whole_was_between_them():
    start, pair = along_the_crack(0.0), sheared_pair(slip=2)
    both = Bands.prepare(pair.source, pair.target, NOWHERE)
    found = halves_apart(both, start, start, np.zeros(len(start)), HALF_WIDTH)
    rows = np.sort(found[..., 0] - start[:, None, 0], axis=1)
    assert np.median(rows, axis=0) == pytest.approx([-2, 2], abs=0.3)


@pytest.mark.parametrize("hide", [False, True])
def test_the_middle_is_seen_again_on_the_side_that_was_followed_only(hide):
    """Whether the other side moved away or is gone."""
    both = bands(hide=hide)
    own = seen_again(both, *followed(-6.0), HALF_WIDTH)
    beyond = seen_again(both, *followed(6.0), HALF_WIDTH)
    far = seen_again(both, *followed(-60.0), HALF_WIDTH)
    assert (own > 4).mean() > 0.9
    assert (beyond < 0).mean() > 0.9
    assert (far > 20).all()


def test_missing_pixels_are_no_evidence():
    pair = sheared_pair()
    source, target = pair.source.copy(), pair.target.copy()
    start, end, still = followed(-60.0)
    source[:, :70] = np.nan
    whole = seen_again(Bands.prepare(pair.source, target, NOWHERE), start, end, still, HALF_WIDTH)
    part = seen_again(Bands.prepare(source, target, NOWHERE), start, end, still, HALF_WIDTH)
    assert (part > 6).all()
    assert np.median(part) < np.median(whole)


def test_nothing_is_asked_and_nothing_answered():
    nothing = (np.empty((0, 2)), np.empty((0, 2)), np.empty(0))
    assert torn(bands(), *nothing, HALF_WIDTH).shape == (0,)
    assert seen_again(bands(), *nothing, HALF_WIDTH).shape == (0,)
    assert halves_apart(bands(), *nothing, HALF_WIDTH).shape == (0, 2, 2)
