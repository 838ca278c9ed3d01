"""Which vectors move as their neighbours do."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lagrangian_ice.matching.consensus import agreeing_share, best_rotation, in_consensus


def scattered(count=600, seed=0):
    return np.random.default_rng(seed).uniform(0, 100_000, (count, 2))


def test_wrong_vectors_fall_and_right_ones_stay():
    xy = scattered()
    moved = np.tile([3000.0, -1000.0], (len(xy), 1)) + 0.02 * (xy - 50_000)
    wrong = np.random.default_rng(1).random(len(xy)) < 0.3
    moved[wrong] += np.random.default_rng(2).uniform(-20_000, 20_000, (wrong.sum(), 2))
    kept = np.isfinite(in_consensus(xy, moved, 20, 0.4, 1200.0))
    assert kept[~wrong].mean() > 0.97
    assert kept[wrong].mean() < 0.05


def test_both_rigid_sides_of_a_crack_survive():
    xy = scattered()
    moved = np.where((xy[:, :1] > 50_000), [[6000.0, 0.0]], [[0.0, -6000.0]])
    assert np.isfinite(in_consensus(xy, moved, 20, 0.4, 1200.0)).mean() > 0.97


def test_a_vector_is_not_its_own_witness():
    xy = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    moved = np.array([[0.0, 0.0], [9000.0, 0.0], [9000.0, 0.0]])
    share = agreeing_share(xy, moved, cKDTree(xy), moved, 2, 500.0)
    assert share[0] == 0


def test_ice_at_rest_is_a_motion_like_any_other():
    xy = scattered()
    np.testing.assert_array_equal(in_consensus(xy, np.zeros_like(xy), 20, 0.4, 1200.0), 0)


def turning(xy, degrees, about):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (xy - about) @ (turn - np.eye(2)).T


@pytest.mark.parametrize("degrees", [-70.0, -45.0, 20.0, 45.0])
def test_a_turning_floe_is_in_consensus_at_its_rotation(degrees):
    xy = scattered()
    moved = turning(xy, degrees, 50_000.0) + np.random.default_rng(1).normal(0, 150, xy.shape)
    wrong = np.random.default_rng(2).random(len(xy)) < 0.3
    moved[wrong] += np.random.default_rng(3).uniform(-20_000, 20_000, (wrong.sum(), 2))
    found = in_consensus(xy, moved, 20, 0.4, 1200.0)
    assert np.isfinite(found[~wrong]).mean() > 0.95
    assert np.isfinite(found[wrong]).mean() < 0.05
    assert abs(np.nanmedian(found) - degrees) <= 12


def test_best_rotation_of_a_vector_among_others():
    xy = scattered()
    moved = turning(xy, 40.0, 50_000.0)
    rotation, share = best_rotation(xy[:20], moved[:20], cKDTree(xy), moved, 20, 600.0)
    assert np.abs(rotation - 40).max() <= 12
    assert share.min() > 0.7


def test_nobody_agrees_with_nobody():
    nothing = np.empty((0, 2))
    assert len(in_consensus(nothing, nothing, 20, 0.4, 1200.0)) == 0
    assert (
        agreeing_share(np.zeros((2, 2)), np.zeros((2, 2)), cKDTree(nothing), nothing, 20, 1.0).max()
        == 0
    )


def test_who_agrees_only_with_the_fallen_falls_too():
    """Half of the first one's neighbours move as it does, but nobody else moves as they do."""
    x = np.array([0.0, -1.0, 1.0, -1.5, 1.5, -2.0, 2.0, -2.5, 2.5])
    xy = np.column_stack([1000 * x, np.zeros(9)])
    moved = np.zeros((9, 2))
    moved[3:, 1] = 10_000.0 * np.arange(3, 9)
    assert agreeing_share(xy, moved, cKDTree(xy), moved, 4, 500.0)[0] == 0.5
    assert np.isnan(in_consensus(xy, moved, 4, 0.5, 500.0, (0.0,))).all()
