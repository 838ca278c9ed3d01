"""The side of a crack on which a parcel is."""

import numpy as np
import pytest
from sheared_texture import CRACK, along_the_crack, displacement, sheared_pair

from lagrangian_ice.matching.cracks import Candidates, choose_sides
from lagrangian_ice.matching.refine import Bands, refine
from lagrangian_ice.settings import MccSettings

NOWHERE = (np.empty((0, 2)), np.empty((0, 2)), np.empty(0))


def bands(seed=0):
    pair = sheared_pair(seed=seed)
    return Bands.prepare(pair.source, pair.target, NOWHERE)


def both_motions(start):
    """Candidates west and east of the crack, guessed two pixels off."""
    steps = np.stack([displacement(np.full(len(start), col)) for col in (0, CRACK + 1)], axis=1)
    count = len(start)
    return Candidates(
        start[:, None] + steps + 2.0,
        np.zeros((count, 2)),
        np.tile([[0.0, -1.0], [0.0, 1.0]], (count, 1, 1)),
    )


@pytest.mark.parametrize("distance", [-12.0, -5.0, -3.0, 3.0, 5.0, 12.0])
def test_the_side_is_told_close_to_the_crack(distance):
    start = along_the_crack(distance)
    sides = choose_sides(bands(), start, both_motions(start), MccSettings())
    sure = sides.odds > 1
    assert sure.mean() > 0.9
    right = np.hypot(*(sides.position - start - displacement(start[:, 1])).T) < 1
    assert right[sure].all()


def test_on_the_crack_itself_the_odds_are_low():
    near, far = (along_the_crack(d) for d in (0.0, 8.0))
    odds = [choose_sides(bands(), at, both_motions(at), MccSettings()).odds for at in (near, far)]
    assert np.median(odds[0]) < 2
    assert np.median(odds[1]) > 10


def test_the_line_lies_on_the_crack():
    start = along_the_crack(6.0)
    sides = choose_sides(bands(), start, both_motions(start), MccSettings())
    assert (sides.line[:, 1] > 0.8).all()
    assert np.median(sides.line[:, 2]) == pytest.approx(-6, abs=1.5)
    assert np.median(sides.share(16)) == pytest.approx((16 + 6) / 33, abs=0.06)


def test_with_one_motion_there_is_no_side():
    start = along_the_crack(60.0)
    twice = both_motions(start)
    same = Candidates(twice.guess[:, [1, 1]], twice.rotation, twice.towards)
    gone = Candidates(
        np.where([[[True], [False]]], np.nan, twice.guess), twice.rotation, twice.towards
    )
    for candidates in (same, gone):
        assert np.isnan(choose_sides(bands(), start, candidates, MccSettings()).odds).all()


def test_a_motion_that_no_ice_follows_is_no_rival():
    """Half a template fits somewhere by chance, which must not cost a right vector."""
    start = along_the_crack(-60.0)
    both = both_motions(start)
    guess = both.guess.copy()
    guess[:, 1] = guess[:, 0] + [15.0, 20.0]
    candidates = Candidates(guess, both.rotation, both.towards)
    noisy = sheared_pair(noise=2.0)
    both = Bands.prepare(noisy.source, noisy.target, NOWHERE)
    sides = choose_sides(both, start, candidates, MccSettings())
    assert sides.odds.min() < 2.5
    assert (sides.favoured > 5).all()


def test_a_template_cut_at_the_crack_finds_its_side():
    """Six pixels from the crack a whole template has its smaller part there."""
    start = along_the_crack(6.0)
    guess = start + displacement(start[:, 1]) + 1.5
    error, still = np.full(len(start), 2.0), np.zeros(len(start))
    line = np.tile([0.0, 1.0, -5.5], (len(start), 1))
    found = refine(bands(), start, guess, error, still, MccSettings(), line)
    off = np.hypot(*(found.position - start - displacement(start[:, 1])).T)
    assert found.converged.all()
    assert np.median(off) < 0.2
    assert found.overlap == pytest.approx(1)
    whole = refine(bands(), start, guess, error, still, MccSettings())
    assert np.median(found.correlation) > np.median(whole.correlation)


def test_nothing_is_asked_and_nothing_answered():
    start = np.empty((0, 2))
    sides = choose_sides(bands(), start, both_motions(start), MccSettings())
    assert sides.position.shape == (0, 2)
    assert sides.odds.shape == (0,)


def test_other_candidates_stand_beside_those_that_lead_somewhere():
    start = along_the_crack(6.0, count=3)
    motions = both_motions(start)
    found = np.full((3, 2, 2), np.nan)
    found[0] = [[1.0, 2.0], [3.0, 4.0]]
    found[1, 1] = [5.0, 6.0]
    more = motions.beside(found)
    assert np.isfinite(more.guess[..., 0]).sum(axis=1).tolist() == [4, 3, 2]
    assert more.guess.shape == (3, 4, 2)
    np.testing.assert_array_equal(more.guess[:, :2], motions.guess)
    assert more.guess[1, 2].tolist() == [5.0, 6.0]
    assert not more.towards[:2, 2].any()
    np.testing.assert_array_equal(more.towards[:, :2], motions.towards)
    none = motions.beside(np.full((3, 2, 2), np.nan))
    np.testing.assert_array_equal(none.guess, motions.guess)
