"""Motion anywhere, from scattered matches."""

import numpy as np

from lagrangian_ice.matching.motion_field import MotionField


def scattered(count=600, seed=0):
    return np.random.default_rng(seed).uniform(0, 100_000, (count, 2))


def still_field(xy, moved, rotation=0.0):
    return MotionField(xy, moved, np.full(len(xy), rotation), 1200.0)


def test_prediction_is_exact_on_affine_motion():
    xy = scattered()
    gradient = np.array([[0.02, -0.05], [0.05, 0.01]])
    moved = [2000.0, 700.0] + xy @ gradient.T
    wanted = scattered(30, seed=3) * 0.8 + 10_000
    field = still_field(xy, moved).predict(wanted, 40)
    np.testing.assert_allclose(field.displacement, [2000.0, 700.0] + wanted @ gradient.T, atol=15)
    np.testing.assert_allclose(field.rotation, np.degrees(np.arctan2(0.1, 2.03)), atol=0.1)


def test_stated_error_grows_away_from_the_matches():
    xy = scattered()
    moved = np.random.default_rng(4).normal(0, 200, xy.shape)
    wanted = np.array([[50_000.0, 50_000.0], [160_000.0, 50_000.0]])
    field = still_field(xy, moved).predict(wanted, 40)
    assert field.error[0] < 300
    assert field.error[1] > 2 * field.error[0]


def test_too_few_matches_predict_nothing():
    field = still_field(np.zeros((3, 2)), np.zeros((3, 2))).predict(np.zeros((2, 2)), 40)
    assert np.isinf(field.error).all()


def test_beside_a_crack_the_nearer_side_is_followed_not_the_mean():
    xy = scattered(3000)
    right = xy[:, 0] > 50_000
    moved = np.where(right[:, None], [6000.0, 0.0], [0.0, -6000.0])
    wanted = np.array([[48_500.0, 50_000.0], [51_500.0, 50_000.0]])
    field = still_field(xy, moved).predict(wanted, 40)
    np.testing.assert_allclose(field.displacement, [[0.0, -6000.0], [6000.0, 0.0]], atol=1)


def test_two_floes_that_turn_differently_are_kept_apart():
    xy = scattered(3000)
    rotation = np.where(xy[:, 0] > 50_000, 40.0, -40.0)
    angle = np.radians(rotation)
    x, y = (xy - 50_000).T
    moved = np.stack(
        [(np.cos(angle) - 1) * x - np.sin(angle) * y, np.sin(angle) * x + (np.cos(angle) - 1) * y],
        axis=1,
    )
    wanted = np.array([[47_500.0, 50_000.0], [52_500.0, 50_000.0]])
    field = MotionField(xy, moved, rotation + 5, 1200.0).predict(wanted, 40)
    np.testing.assert_allclose(field.rotation, [-40.0, 40.0], atol=0.5)


def test_a_proposed_motion_is_followed_against_the_majority():
    xy = scattered(2000)
    rng = np.random.default_rng(1)
    minority = rng.random(len(xy)) < 0.3
    moved = np.where(minority[:, None], [5000.0, 0.0], [0.0, 0.0]) + rng.normal(0, 100, xy.shape)
    wanted, proposed = np.array([[50_000.0, 50_000.0]]), np.array([[4600.0, 300.0]])
    field = still_field(xy, moved)
    assert np.hypot(*field.predict(wanted, 40).displacement[0]) < 200
    followed = field.follow(wanted, proposed, np.zeros(1), 40)
    np.testing.assert_allclose(followed.displacement, [[5000.0, 0.0]], atol=200)
