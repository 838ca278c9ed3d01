"""Vectors of whole image pairs against known motion."""

from dataclasses import replace

import numpy as np
import pytest

from lagrangian_ice.matching.match import match_field, match_images
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.settings import FeatureSettings, FirstGuessSettings, MccSettings
from lagrangian_ice.simulate.pairs import PairCase, known_motion_pair
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.weights_store import load_network

SHAPE = (640, 640)
HALF_WIDTH = 1650.0


def tracked(case, seed, *, mcc=None, refine=True, weights="default"):
    pair = known_motion_pair(seed, case, shape=SHAPE)
    rng = np.random.default_rng(seed)
    xy = pair.source.grid.xy(rng.uniform(20, 620, (1200, 2)))
    points = xy[pair.observable(xy, HALF_WIDTH)]
    return tracked_at(pair, points, mcc=mcc, refine=refine, weights=weights)


def tracked_at(pair, xy, *, mcc=None, refine=True, weights="default"):
    network = load_network(weights)
    features = [extract_features(i, network, FeatureSettings()) for i in (pair.source, pair.target)]
    vectors = match_images(
        pair.source,
        features[0],
        pair.target,
        features[1],
        xy,
        FirstGuessSettings(),
        (mcc or MccSettings()) if refine else None,
    )
    return vectors, vectors.xy1 - pair.truth(xy)


@pytest.mark.parametrize(
    ("case", "median", "answered", "wrong"),
    [("easy", 9, 0.995, 0.002), ("medium", 22, 0.99, 0.004), ("hard", 40, 0.96, 0.006)],
)
def test_errors_are_small_unbiased_and_true_to_what_is_stated(case, median, answered, wrong):
    vectors, error = tracked(case, seed=21)
    found = vectors.tracked
    distance = np.hypot(*error[found].T)
    assert found.mean() >= answered
    assert np.median(distance) <= median
    assert (distance > 300).mean() <= wrong
    assert np.abs(np.median(error[found], axis=0)).max() <= 2.0
    sigma = np.sqrt(np.stack([vectors.covariance[:, 0, 0], vectors.covariance[:, 1, 1]], axis=1))
    inside = (np.abs(error[found]) < sigma[found]).mean()
    assert 0.55 <= inside <= 0.85


def test_what_is_faint_is_found_by_larger_templates(monkeypatch):
    """Where ice has changed much; and what they find is no worse than the rest."""
    case = PairCase(rotation=3.0, slip=10.0, drift=6000.0, correlation=0.3)
    vectors, error = tracked(case, seed=22)
    distance = np.hypot(*error.T)
    beside_cracks, _ = tracked(case, seed=22, mcc=MccSettings(faint=0.0))
    monkeypatch.setattr("lagrangian_ice.matching.match.LARGER", (1.5,))
    before, _ = tracked(case, seed=22)
    gained = vectors.tracked & ~before.tracked
    assert before.tracked.mean() + 0.003 < beside_cracks.tracked.mean()
    assert beside_cracks.tracked.mean() + 0.01 < vectors.tracked.mean()
    assert np.median(distance[gained]) <= 50
    assert (distance[gained] > 300).mean() <= 0.02


def test_what_is_faint_in_one_polarisation_is_found_in_the_other():
    case = PairCase(rotation=3.0, slip=10.0, drift=6000.0, correlation=0.3)
    vectors, error = tracked(case, seed=22)
    alone, before = tracked(case, seed=22, mcc=MccSettings(other_polarisation=False))
    distance, alone_distance = np.hypot(*error.T), np.hypot(*before.T)
    assert (distance < 300).mean() > (alone_distance < 300).mean() + 0.01
    gained = vectors.tracked & ~alone.tracked
    assert (distance[gained] > 300).mean() <= 0.05
    better = vectors.tracked & (vectors.standard_error < 0.8 * alone.standard_error)
    assert better.sum() >= 50
    assert np.median(distance[better]) < 0.9 * np.median(alone_distance[better])


def test_stripes_of_the_radar_are_not_taken_for_ice():
    """They are where the radar puts them, in both images alike, and do not move with the ice."""
    case = PairCase(rotation=3.0, slip=10.0, drift=6000.0, correlation=0.3)
    pair = known_motion_pair(22, case, shape=SHAPE)
    rng = np.random.default_rng(22)

    def striped(image):
        row, col = np.indices(image.grid.shape)
        stripes = np.sign(np.sin(2 * np.pi * (0.97 * col + 0.24 * row) / 60))
        cross = -28.0 + stripes + rng.normal(0, 1.2, image.grid.shape)
        return replace(image, data=np.stack([image.band("HH"), cross.astype(np.float32)]))

    pair = replace(pair, source=striped(pair.source), target=striped(pair.target))
    xy = pair.source.grid.xy(rng.uniform(20, 620, (300, 2)))
    xy = xy[pair.observable(xy, HALF_WIDTH)]
    vectors, _ = tracked_at(pair, xy)
    alone, _ = tracked_at(pair, xy, mcc=MccSettings(other_polarisation=False))
    np.testing.assert_array_equal(vectors.status, alone.status)
    np.testing.assert_array_equal(vectors.xy1, alone.xy1)


def test_small_plates_that_turned_are_found_by_a_thorough_second_look():
    vectors, error = tracked("rotation", seed=30)
    quick, _ = tracked("rotation", seed=30, mcc=MccSettings(thorough=False))
    gained = vectors.tracked & ~quick.tracked
    assert gained.sum() >= 25
    assert (np.hypot(*error[gained].T) > 300).sum() <= 1


def test_the_light_network_guesses_nearly_as_well():
    vectors, error = tracked("medium", seed=21, refine=False, weights="light")
    distance = np.hypot(*error.T)
    assert vectors.tracked.mean() >= 0.99
    assert (distance < 800).mean() >= 0.98
    assert np.nanmedian(distance) <= 150


def test_both_sides_of_slipping_plates_are_tracked():
    _, error = tracked("shear", seed=22)
    assert (np.hypot(*error.T) < 300).mean() >= 0.985


def test_beside_cracks_parcels_follow_their_own_side_or_say_that_they_may_not():
    pair = known_motion_pair(26, "shear", shape=SHAPE)
    xy = pair.source.grid.xy(np.random.default_rng(26).uniform(40, 600, (6000, 2)))
    distance = pair.distance_to_crack(xy)
    xy = xy[(distance > 500) & (distance < 1600) & pair.observable(xy)]
    vectors, error = tracked_at(pair, xy)
    found = vectors.tracked
    wrong = np.hypot(*error[found].T) > 300
    sigma = np.sqrt(np.trace(vectors.covariance[found], axis1=1, axis2=2))
    assert len(xy) > 400
    assert found.mean() > 0.7
    assert wrong.mean() < 0.05
    assert (wrong & (sigma < 150)).mean() < 0.03
    assert (vectors.status == Status.TWO_MOTIONS).any()


def test_first_guess_alone_is_good_to_a_cell():
    vectors, error = tracked("medium", seed=23, refine=False)
    distance = np.hypot(*error[vectors.tracked].T)
    assert np.median(distance) <= 250
    assert (distance <= 800).mean() >= 0.98
    assert np.isnan(vectors.mcc).all()
    sigma = np.sqrt(vectors.covariance[:, 0, :1])
    assert 0.6 <= (np.abs(error) < sigma)[vectors.tracked].mean() <= 0.8


def test_what_is_not_tracked_has_no_end():
    vectors, _ = tracked(PairCase(rotation=3.0, slip=10.0, drift=6000.0, correlation=0.3), seed=24)
    failed = ~vectors.tracked
    assert failed.any()
    assert np.isnan(vectors.xy1[failed]).all()
    assert np.isnan(vectors.covariance[failed]).all()
    assert np.isnan(vectors.time1[failed]).all()
    assert set(vectors.status[failed]) <= {int(status) for status in Status}


def test_images_without_a_match_in_common_give_no_vector():
    first, second = (known_motion_pair(seed, "easy", shape=(320, 320)) for seed in (27, 28))
    pair = replace(first, target=second.target)
    vectors, _ = tracked_at(pair, pair.source.grid.xy([[100.0, 100.0], [150.0, 200.0]]))
    assert (vectors.status == Status.NO_FIRST_GUESS).all()
    assert np.isnan(vectors.xy1).all()


def test_points_outside_and_on_no_data_are_told_apart():
    pair = known_motion_pair(25, "easy", shape=(320, 320))
    pair.source.data[:, :120, :120] = np.nan
    xy = pair.source.grid.xy(np.array([[-5.0, 10.0], [50.0, 50.0], [200.0, 200.0]]))
    vectors, _ = tracked_at(pair, xy)
    expected = [Status.OUT_OF_IMAGE, Status.TOO_LITTLE_DATA, Status.TRACKED]
    assert vectors.status.tolist() == [int(status) for status in expected]


def test_what_has_left_the_target_is_not_called_faint():
    pair = known_motion_pair(25, "easy", shape=(320, 320))
    gone = pair.source.grid.xy(np.array([[70.0, c] for c in range(60, 280, 20)], float))
    end = pair.target.grid.rowcol(pair.truth(gone))
    pair.target.data[:, : int(end[:, 0].max()) + 30] = np.nan
    vectors, _ = tracked_at(pair, gone)
    assert (vectors.status == Status.TOO_LITTLE_DATA).all()


def test_a_field_made_before_gives_the_same_vectors():
    pair = known_motion_pair(26, "medium", shape=(320, 320))
    network = load_network("default")
    features = [extract_features(i, network, FeatureSettings()) for i in (pair.source, pair.target)]
    both = (pair.source, features[0], pair.target, features[1])
    settings = (FirstGuessSettings(), MccSettings())
    xy = pair.source.grid.xy(np.random.default_rng(26).uniform(30, 290, (60, 2)))
    at_once = match_images(*both, xy, *settings)
    before = match_images(*both, xy, *settings, match_field(*both, settings[0]))
    np.testing.assert_array_equal(before.status, at_once.status)
    np.testing.assert_array_equal(before.xy1, at_once.xy1)
    np.testing.assert_array_equal(before.covariance, at_once.covariance)
