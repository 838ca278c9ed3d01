"""Places that the network's matches did not lead to their ice."""

import numpy as np
import pytest
from moving_texture import moved_pair

from lagrangian_ice.grid import Grid
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.second_look import HALF, QUARTER, Tracked, look_again

PIXEL = 100.0


def images(pair):
    size = pair.source.shape
    grid = Grid(0.0, 0.0, PIXEL, size)
    return (grid, Band.of(pair.source)), (grid, Band.of(pair.target))


def tracked_at(grid, start, end):
    xy = grid.xy(np.asarray(start, dtype=float))
    return Tracked(xy, grid.xy(np.asarray(end, dtype=float)) - xy)


def test_a_turned_and_moved_plate_is_found_from_a_far_guess():
    pair = moved_pair([40.0, -55.0], degrees=33.0, noise=0.7, seed=1, size=640, smooth=4.0)
    source, target = images(pair)
    inside = ((pair.truth > 70) & (pair.truth < 570)).all(axis=1)
    inside &= ((pair.start > 150) & (pair.start < 490)).all(axis=1)
    wanted = source[0].xy(pair.start[inside])
    guess = tracked_at(source[0], pair.start[:3], pair.start[:3] + np.array([10.0, 0.0]))
    field = look_again(source, target, wanted, guess)
    found = field.predict(wanted, 12)
    error = wanted + found.displacement - target[0].xy(pair.truth[inside])
    assert np.median(np.hypot(*error.T)) < 3 * PIXEL
    assert abs(np.median(found.rotation) - 33) < 3


def test_unrelated_images_agree_on_nothing():
    first, second = (moved_pair([0, 0], seed=s, size=480, smooth=4.0) for s in (2, 3))
    source, target = images(first)
    target = (target[0], Band.of(second.source))
    at = source[0].xy(first.start)
    guess = tracked_at(source[0], first.start[:1], first.start[:1])
    assert not np.isfinite(look_again(source, target, at, guess).predict(at, 12).error).any()


def test_without_a_tracked_vector_nothing_is_known():
    pair = moved_pair([3.0, 1.0], size=320)
    source, target = images(pair)
    none = Tracked(np.empty((0, 2)), np.empty((0, 2)))
    assert len(look_again(source, target, source[0].xy(pair.start), none)) == 0


def test_missing_data_is_not_ice():
    pair = moved_pair([8.0, -12.0], noise=0.3, seed=4, size=480, smooth=4.0)
    pair.source[:, :90] = np.nan
    pair.target[300:, 200:260] = np.nan
    source, target = images(pair)
    wanted = source[0].xy(pair.start)
    guess = tracked_at(source[0], pair.start[:2], pair.truth[:2])
    field = look_again(source, target, wanted, guess)
    found = field.predict(wanted, 12)
    error = np.hypot(*(wanted + found.displacement - target[0].xy(pair.truth)).T)
    assert np.median(error) < 2 * PIXEL


def test_any_rotation_is_found_when_it_is_asked_for():
    pair = moved_pair([10.0, 5.0], degrees=140.0, noise=0.5, seed=5, size=640, smooth=4.0)
    source, target = images(pair)
    near = (np.abs(pair.start - 320) < 120).all(axis=1)
    wanted = source[0].xy(pair.start[near])
    guess = tracked_at(source[0], pair.start[:1], pair.start[:1])
    assert not np.isfinite(
        look_again(source, target, wanted, guess).predict(wanted, 12).error
    ).any()
    found = look_again(source, target, wanted, guess, QUARTER.reaching(180.0)).predict(wanted, 12)
    error = np.hypot(*(wanted + found.displacement - target[0].xy(pair.truth[near])).T)
    assert np.median(error) < 4 * PIXEL


def test_where_no_place_has_data_nothing_is_known():
    pair = moved_pair([3.0, 1.0], size=320)
    source, target = images(pair)
    target = (target[0], Band.of(np.full_like(pair.source, np.nan)))
    at = source[0].xy(pair.start)
    guess = tracked_at(source[0], pair.start[:1], pair.start[:1])
    assert len(look_again(source, target, at, guess)) == 0


def test_ice_is_found_beside_a_gap_and_at_the_rim_of_the_image():
    """What is missing is flat, not a mask: what is there must be found as before."""
    pair = moved_pair([20.0, -30.0], noise=0.3, seed=6, size=480, smooth=4.0)
    pair.target[:, :150] = np.nan
    source, target = images(pair)
    inside = (pair.truth[:, 1] > 220) & ((pair.truth > 60) & (pair.truth < 420)).all(axis=1)
    wanted = source[0].xy(pair.start[inside])
    guess = tracked_at(source[0], pair.start[:1], pair.start[:1])
    found = look_again(source, target, wanted, guess).predict(wanted, 12)
    error = np.hypot(*(wanted + found.displacement - target[0].xy(pair.truth[inside])).T)
    assert inside.sum() > 10
    assert np.nanmax(error) < 4 * PIXEL
    assert np.isfinite(found.error).mean() > 0.9


@pytest.mark.parametrize("scale", [HALF, QUARTER])
def test_averages_are_those_of_what_is_there(scale):
    rng = np.random.default_rng(3)
    pixels = rng.normal(size=(83, 62)).astype(np.float32)
    pixels[rng.random(pixels.shape) < 0.4] = np.nan
    pixels[16:32, 20:44] = np.nan
    band = Band.of(pixels)
    coarse = scale.averaged(band)
    rows, cols = (size // scale.pixels for size in pixels.shape)
    blocks = pixels[: rows * scale.pixels, : cols * scale.pixels]
    blocks = blocks.reshape(rows, scale.pixels, cols, scale.pixels)
    known = np.isfinite(blocks).mean(axis=(1, 3)) >= 0.5
    assert np.array_equal(coarse.present.numpy(), known)
    assert 0 < known.mean() < 1
    assert not coarse.complete
    expected = np.nanmean(np.where(known[:, None, :, None], blocks, 0), axis=(1, 3))
    expected = np.where(known, expected - np.nanmean(pixels), 0)
    assert np.allclose(coarse.pixels.numpy(), expected, atol=1e-5)
