import numpy as np
import pytest

from lagrangian_ice.images.geoimage import TIME_STRIDE
from lagrangian_ice.simulate.pairs import (
    CASES,
    KnownPair,
    PairCase,
    known_motion_pair,
    local_variance,
)
from lagrangian_ice.simulate.render import sample
from lagrangian_ice.simulate.texture import ice_texture

HALF = 16


def correlation_at_truth(pair: KnownPair) -> np.ndarray:
    grid = pair.source.grid
    west, south, east, north = grid.bounds
    xy = np.random.default_rng(0).uniform((west, south), (east, north), (600, 2))
    rowcol = np.rint(grid.rowcol(xy[pair.observable(xy, 1.2 * HALF * grid.pixel)]))
    offset = np.stack(np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1], -1)
    places = rowcol[:, None, None, :] + offset
    source = pair.source.data[0][places[..., 0].astype(int), places[..., 1].astype(int)]
    there = pair.truth(grid.xy(places).reshape(-1, 2)).reshape(places.shape)
    target = sample(pair.target.data[0], pair.target.grid, there)
    a = source - source.mean(axis=(1, 2), keepdims=True)
    b = target - target.mean(axis=(1, 2), keepdims=True)
    squares = (a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2))
    return np.asarray((a * b).sum(axis=(1, 2)) / np.sqrt(squares))


@pytest.mark.parametrize("case", ["easy", "medium", "rotation"])
def test_templates_correlate_as_the_case_says(case: str) -> None:
    pair = known_motion_pair(1, case, shape=(500, 540))
    scores = correlation_at_truth(pair)
    assert len(scores) > 50
    assert np.nanmean(scores) == pytest.approx(CASES[case].correlation, abs=0.06)


def test_images_are_complete_and_deterministic() -> None:
    pair = known_motion_pair(2, "hard", shape=(200, 230))
    again = known_motion_pair(2, "hard", shape=(200, 230))
    other = known_motion_pair(3, "hard", shape=(200, 230))
    assert pair.source.data.shape == (2, 200, 230)
    assert pair.source.grid.shape == pair.target.grid.shape == (200, 230)
    assert np.isfinite(pair.source.data).all()
    assert np.isfinite(pair.target.data).all()
    assert np.array_equal(pair.target.data, again.target.data)
    assert not np.array_equal(pair.target.data, other.target.data)
    nodes = (np.array(pair.source.node_time.shape) - 1) * TIME_STRIDE
    assert (nodes >= np.array(pair.source.grid.shape) - 1).all()
    assert pair.target_time - pair.source_time == 86400.0
    moved = pair.truth(pair.motion.centres) - pair.motion.centres
    assert np.median(np.hypot(*moved.T)) == pytest.approx(24e3, rel=0.15)


def test_takes_a_texture() -> None:
    texture = ice_texture((260, 240), np.random.default_rng(9))
    pair = known_motion_pair(4, PairCase(drift=300.0), texture=texture)
    assert pair.source.polarisations == ("HH",)
    assert pair.source.data.shape == (1, 260, 240)
    difference = pair.source.data[0] - texture
    assert abs(difference.mean()) < 0.6
    assert np.corrcoef(pair.source.data[0].ravel(), texture.ravel())[0, 1] > 0.8
    missing = np.isnan(pair.target.data[0]).mean()
    assert 0 < missing < 0.1


def test_observable_points_are_inside_and_away_from_cracks() -> None:
    pair = known_motion_pair(5, "shear", shape=(300, 300))
    west, south, east, north = pair.source.grid.bounds
    xy = np.random.default_rng(0).uniform((west, south), (east, north), (500, 2))
    loose, strict = pair.observable(xy), pair.observable(xy, 1600.0)
    assert strict.sum() < loose.sum() < 500
    assert not (strict & ~loose).any()
    assert pair.distance_to_crack(xy[strict]).min() > 1600 * 2**0.5
    assert pair.target.grid.contains(pair.truth(xy[strict])).all()


def test_local_variance_of_white_noise() -> None:
    noise = np.random.default_rng(0).normal(3.0, 2.0, (200, 200)).astype(np.float32)
    assert np.mean(local_variance(noise)) == pytest.approx(4.0, rel=0.05)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="case 'simple' is unknown; there are easy"):
        known_motion_pair(0, "simple")
    with pytest.raises(ValueError, match=r"texture has shape \(10, 10\)"):
        known_motion_pair(0, texture=np.zeros((10, 10), np.float32))
    with pytest.raises(ValueError, match="polarisations"):
        known_motion_pair(0, polarisations=("VV",))
    with pytest.raises(ValueError, match=r"correlation 1\.2"):
        PairCase(correlation=1.2)


def test_a_missing_pixel_is_missed_by_the_templates_that_have_it_alone():
    image = np.random.default_rng(0).normal(size=(400, 400)).astype(np.float32)
    whole = local_variance(image)
    image[60, 60] = np.nan
    found = local_variance(image)
    assert np.isfinite(whole).all()
    # 33 pixels across, one every 16
    assert np.count_nonzero(np.isnan(found)) in {4, 6, 9}
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], whole[known], rtol=1e-3)


def test_less_than_a_day_is_no_case():
    with pytest.raises(ValueError, match=r"days 0\.5 is not allowed; use 1 or more"):
        PairCase(days=0.5)
