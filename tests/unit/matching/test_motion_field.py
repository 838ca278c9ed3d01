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


def test_dissent_is_the_share_that_moves_otherwise():
    xy = scattered(2000)
    minority = np.random.default_rng(1).random(len(xy)) < 0.3
    moved = np.where(minority[:, None], [5000.0, 0.0], [0.0, 0.0])
    wanted = scattered(40, seed=3) * 0.8 + 10_000
    prediction, dissent = still_field(xy, moved).predict_and_dissent(wanted, 40)
    np.testing.assert_allclose(prediction.displacement, 0, atol=1)
    assert abs(dissent.mean() - 0.3) < 0.05
    _, none = still_field(xy, 0 * moved).predict_and_dissent(wanted, 40)
    assert none.max() == 0


def test_prediction_is_the_weighted_least_squares_fit():
    """The closed form against a general solver, on matches that need no second weighting."""
    xy = scattered(400)
    moved = np.random.default_rng(5).normal(0, 1, xy.shape) + xy @ np.array([[0.03, 0], [0.01, 0]])
    wanted = np.array([[40_000.0, 60_000.0]])
    found = still_field(xy, moved).predict(wanted, 40)
    offset = xy - wanted
    distance = np.hypot(*offset.T)
    near = np.argsort(distance)[:40]
    weight = np.exp(-2 * (distance[near] / distance[near].max()) ** 2) ** 0.5
    design = np.column_stack([np.ones(40), offset[near]])
    fit = np.linalg.lstsq(design * weight[:, None], moved[near] * weight[:, None], rcond=None)[0]
    np.testing.assert_allclose(found.displacement[0], fit[0], atol=2)
