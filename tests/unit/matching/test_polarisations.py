"""Two looks at the same ice made one."""

from dataclasses import replace

import numpy as np
import pytest

from lagrangian_ice.matching import match
from lagrangian_ice.matching.look import Look
from lagrangian_ice.matching.polarisations import AGREE, COMMON, both, is_faint, near, torn_around
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.settings import Settings
from lagrangian_ice.simulate.pairs import CASES, known_motion_pair
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.weights_store import load_network

PIXEL = 100.0


def look(end, variance, status=Status.TRACKED, mcc=0.5):
    """Points one below the other, each with its own variance along both axes, m2."""
    end = np.asarray(end, dtype=float)
    count = len(end)
    return Look(
        end=end,
        status=np.full(count, status, dtype=np.int8),
        covariance=np.asarray(variance, dtype=float)[:, None, None] * np.eye(2),
        side_covariance=np.zeros((count, 2, 2)),
        mcc=np.full(count, mcc),
        peak_ratio=np.full(count, 0.5),
        rotation=np.full(count, 10 * mcc),
        strain=np.full((count, 3), mcc),
        half_width=np.full(count, 16.0),
    )


def test_where_both_agree_the_end_is_their_weighted_mean_and_better_known():
    first, second = look([[0.0, 0.0]], [900.0], mcc=0.3), look([[40.0, 20.0]], [300.0], mcc=0.6)
    found = both(first, second, PIXEL)
    np.testing.assert_allclose(found.end, [[30.0, 15.0]])
    np.testing.assert_allclose(found.covariance, [COMMON * 225.0 * np.eye(2)])
    assert (found.mcc[0], found.rotation[0], found.strain[0, 0]) == (0.6, 6.0, 0.6)


def test_the_mean_follows_each_axis_by_its_own_error():
    first, second = look([[0.0, 0.0]], [1.0]), look([[10.0, 10.0]], [1.0])
    first.covariance[0], second.covariance[0] = np.diag([1.0, 9.0]), np.diag([9.0, 1.0])
    np.testing.assert_allclose(both(first, second, PIXEL).end, [[1.0, 9.0]])


@pytest.mark.parametrize(("apart", "agree"), [(AGREE - 0.01, True), (AGREE + 0.01, False)])
def test_where_they_differ_the_first_holds(apart, agree):
    first, second = look([[0.0, 0.0]], [900.0]), look([[apart * PIXEL, 0.0]], [900.0])
    found = both(first, second, PIXEL)
    assert (found.end[0, 0] > 0) == agree
    assert (found.covariance[0, 0, 0] < 900.0) == agree


def test_what_one_does_not_find_the_other_may():
    none = look([[np.nan, np.nan]], [np.nan], Status.LOW_CORRELATION)
    some = look([[7.0, 8.0]], [100.0])
    for found in (both(none, some, PIXEL), both(some, none, PIXEL)):
        assert found.status.tolist() == [Status.TRACKED]
        np.testing.assert_array_equal(found.end, some.end)
    assert both(none, none, PIXEL).status.tolist() == [Status.LOW_CORRELATION]


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_crack_leaves_open_in_both_stays(order):
    looks = look([[0.0, 0.0]], [900.0]), look([[40.0, 20.0]], [300.0])
    crack = np.diag([10_000.0, 0.0])
    for one, share in zip(looks[::order], (1.0, 0.5), strict=True):
        one.covariance[0] += share * crack
        one.side_covariance[0] += share * crack
    found = both(*looks, PIXEL)
    np.testing.assert_allclose(found.end, [[30.0, 15.0]])
    np.testing.assert_allclose(found.covariance, [COMMON * 225.0 * np.eye(2) + 0.5 * crack])
    np.testing.assert_allclose(found.side_covariance, [0.5 * crack])


def test_faint_is_what_is_not_found_for_want_of_texture_or_found_with_doubt_and_little_of_it():
    around = np.zeros(4)
    large, small = (60.0**2, 30.0**2)
    points = look(np.zeros((4, 2)), [large, small, small, large], mcc=0.4)
    points.rotation[:] = 0.0
    points.strain[:] = [[0.0] * 3, [0.0] * 3, [0.1, 0.0, 0.0], [0.0] * 3]
    points.mcc[3] = 0.8
    assert is_faint(points, 1.0, around, PIXEL).tolist() == [True, False, True, False]
    assert is_faint(points, 0.5, around, PIXEL).tolist() == [True, False, False, False]
    points.status[:] = [
        *(Status.LOW_CORRELATION, Status.NO_TEXTURE),
        *(Status.TWO_MOTIONS, Status.OUT_OF_IMAGE),
    ]
    assert is_faint(points, 1.0, around, PIXEL).tolist() == [True, True, False, False]
    points.mcc[:] = (0.8, np.nan, 0.8, 0.1)
    assert is_faint(points, 1.0, around, PIXEL).tolist() == [False, True, False, False]


def test_near_is_what_has_another_within_the_distance():
    xy = np.array([[0.0, 0.0], [30.0, 40.0], [300.0, 0.0]])
    assert near(xy, np.array([[0.0, 0.0], [1000.0, 0.0]]), 50.0).tolist() == [True, True, False]
    assert near(xy, np.empty((0, 2)), 50.0).tolist() == [False] * 3


def test_around_a_point_ice_is_torn_where_sure_points_near_it_moved_apart():
    others = PIXEL * np.array([[-10.0, 0.0], [10.0, 0.0], [0.0, 10.0], [500.0, 0.0]])
    moved = PIXEL * np.array([[0.0, 0.0], [0.0, 7.9], [0.0, 0.0], [90.0, 0.0]])
    xy = np.array([[0.0, 0.0], [200 * PIXEL, 0.0]])
    assert torn_around(xy, others, moved, PIXEL).tolist() == [False, False]
    moved[1] *= 1.1
    assert torn_around(xy, others, moved, PIXEL).tolist() == [True, False]
    assert torn_around(xy, others[:1], moved[:1], PIXEL).tolist() == [False, False]
    assert torn_around(xy, others[:0], moved[:0], PIXEL).tolist() == [False, False]


def test_what_the_other_polarisation_finds_is_asked_for_other_ice_too(monkeypatch):
    """Where ``min_odds`` asks whether only ice around may have been found."""
    asked = []
    refuse = match._refuse_other_ice

    def noted(pair, xy, look, settings):
        before = {tuple(one) for one in xy[look.status == Status.TRACKED]}
        refuse(pair, xy, look, settings)
        asked.append(before)

    monkeypatch.setattr(match, "_refuse_other_ice", noted)
    settings = Settings()
    case = replace(CASES["shear"], correlation=0.35)
    pair = known_motion_pair(4, case, shape=(512, 512))
    network = load_network("default")
    first, second = (
        extract_features(image, network, settings.features) for image in (pair.source, pair.target)
    )
    net = np.stack(np.meshgrid(np.arange(20, 500, 20), np.arange(20, 500, 20)), -1)
    xy = pair.source.grid.xy(net.reshape(-1, 2) + 0.3)
    strict = settings.mcc.model_copy(update={"min_odds": 6.0})
    found = match.match_images(
        pair.source, first, pair.target, second, xy, settings.first_guess, strict
    )
    assert found.tracked.sum() > 100
    assert {tuple(one) for one in xy[found.tracked]} <= set.union(*asked)
    assert len(asked) == 2
