"""Wrong vectors that fold the mesh go, whole plates stay, whatever the order of the rows."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from lagrangian_ice.parcels.topology import (
    LEAST_ANGLE,
    LEAST_SIDE,
    TOGETHER,
    WOBBLE,
    folding,
    parted,
)

SPACING = 10_000.0
MAX_SIDE = 2.5 * SPACING
SEEDS = st.integers(0, 2**32 - 1)


def grid(rng, side=9):
    row, col = np.indices((side, side))
    nodes = SPACING * np.stack([col.ravel(), row.ravel()], axis=-1)
    return nodes + rng.uniform(-2000, 2000, nodes.shape)


def gentle(rng, xy):
    """A drift with a gradient of a few percent and some noise."""
    gradient = rng.normal(0, 0.03, (2, 2))
    drift = rng.uniform(-20e3, 20e3, 2)
    return xy + drift + (xy - xy.mean(axis=0)) @ gradient.T + rng.normal(0, 50, xy.shape)


def cross(first, second):
    return first[0] * second[1] - first[1] * second[0]


def mesh(xy):
    """Triangles; where four points lie nearly on a circle the wobble says which two there are."""
    return Delaunay(xy - xy.mean(axis=0) + WOBBLE * np.sin(xy[:, ::-1] / 7 + xy / 3)).simplices


def folded(xy0, xy1):
    """Triangles that turn over and are neither too large nor too flat, found independently."""
    corners = mesh(xy0)
    turned = []
    for one in corners:
        a, b, c = xy0[one]
        sides = sorted(np.linalg.norm(p - q) for p, q in ((a, b), (b, c), (c, a)))
        area = 0.5 * abs(cross(b - a, c - a))
        flat = 2 * area < np.sin(np.radians(LEAST_ANGLE)) * sides[1] * sides[2]
        before, after = (np.sign(cross(q[1] - q[0], q[2] - q[0])) for q in (xy0[one], xy1[one]))
        if sides[2] <= MAX_SIDE and not flat and before != after:
            turned.append(one)
    return turned


@settings(max_examples=40)
@given(seed=SEEDS)
def test_ice_that_does_not_fold_loses_nobody(seed):
    rng = np.random.default_rng(seed)
    xy = grid(rng)
    assert not folding(xy, gentle(rng, xy), MAX_SIDE).any()


@settings(max_examples=60)
@given(seed=SEEDS, count=st.integers(1, 6))
def test_wrong_vectors_that_fold_go_and_only_they(seed, count):
    rng = np.random.default_rng(seed)
    xy = grid(rng)
    end = gentle(rng, xy)
    wrong = rng.choice(len(xy), count, replace=False)
    angle = rng.uniform(0, 2 * np.pi, count)
    end[wrong] += 35e3 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    gone = folding(xy, end, MAX_SIDE)
    assert set(np.flatnonzero(gone)) <= set(wrong)
    assert len(folded(xy[~gone], end[~gone])) == 0


@settings(max_examples=60)
@given(seed=SEEDS, slip=st.floats(-60e3, 60e3), opening=st.floats(0, 20e3))
def test_rigid_sides_of_a_crack_survive(seed, slip, opening):
    rng = np.random.default_rng(seed)
    xy = grid(rng)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    # Through the middle, so that both sides are plates.
    side = (xy - xy.mean(axis=0)) @ across > 0
    end = xy + np.where(side[:, None], slip * along + opening * across, 0.0)
    end += rng.normal(0, 50, xy.shape)
    assert not folding(xy, end, MAX_SIDE).any()


@settings(max_examples=40)
@given(seed=SEEDS, spread=st.floats(0, 15e3))
@example(seed=226, spread=6241.0)
def test_whatever_comes_what_is_left_folds_only_between_plates(seed, spread):
    rng = np.random.default_rng(seed)
    xy = grid(rng, 7)
    end = gentle(rng, xy) + rng.normal(0, spread, xy.shape)
    gone = folding(xy, end, MAX_SIDE)
    left, left_end = xy[~gone], end[~gone]
    for one in folded(left, left_end):
        assert (plate_sizes(left, left_end)[one] >= LEAST_SIDE).all()


def plate_sizes(xy, end):
    """Parcels in the chain of neighbours that move alike, one by one."""
    near = {i: set() for i in range(len(xy))}
    for one in mesh(xy):
        for i, j in ((0, 1), (1, 2), (2, 0)):
            apart = np.linalg.norm(end[one[i]] - end[one[j]] - xy[one[i]] + xy[one[j]])
            if apart <= TOGETHER * np.linalg.norm(xy[one[i]] - xy[one[j]]):
                near[one[i]].add(one[j])
                near[one[j]].add(one[i])
    size = np.zeros(len(xy), int)
    for first in range(len(xy)):
        chain, open_ = {first}, [first]
        while open_:
            more = near[open_.pop()] - chain
            chain |= more
            open_ += more
        size[first] = len(chain)
    return size


@settings(max_examples=40)
@given(seed=SEEDS)
def test_the_order_of_the_rows_says_nothing(seed):
    rng = np.random.default_rng(seed)
    xy = grid(rng)
    end = gentle(rng, xy)
    wrong = rng.choice(len(xy), 8, replace=False)
    end[wrong] += rng.normal(0, 20e3, (8, 2))
    order = rng.permutation(len(xy))
    gone = folding(xy, end, MAX_SIDE)
    np.testing.assert_array_equal(folding(xy[order], end[order], MAX_SIDE), gone[order])


def test_few_or_collinear_parcels_convict_nobody():
    line = np.stack([np.arange(6) * 1e4, np.zeros(6)], axis=-1)
    for xy in (np.zeros((0, 2)), line[:1], line[:2], line):
        assert not folding(xy, xy[::-1], MAX_SIDE).any()


def test_switched_off_it_convicts_nobody():
    rng = np.random.default_rng(1)
    xy = grid(rng)
    end = xy.copy()
    end[40] += 35e3
    assert folding(xy, end, MAX_SIDE)[40]
    assert not folding(xy, end, 0.0).any()


FARTHEST = 4000.0


@settings(max_examples=30)
@given(seed=SEEDS, count=st.integers(1, 2))
def test_wrong_vectors_at_the_rim_are_alone_though_they_fold_nothing(seed, count):
    rng = np.random.default_rng(seed)
    xy = grid(rng)
    drift = np.array([3000.0, -2000.0])
    end = xy + drift + rng.uniform(-300, 300, xy.shape)
    wrong = np.zeros(len(xy), bool)
    wrong[np.argsort(xy[:, 0])[-count:]] = True
    end[wrong] += [16_000.0, 0.0]
    np.testing.assert_array_equal(parted(xy, end, MAX_SIDE, FARTHEST), wrong)


def test_sides_of_a_crack_are_not_alone():
    xy = grid(np.random.default_rng(0))
    moved = np.where(xy[:, :1] > 3.5 * SPACING, [[9000.0, 0.0]], [[0.0, 9000.0]])
    assert not parted(xy, xy + moved, MAX_SIDE, FARTHEST).any()


def test_of_few_that_are_near_one_must_move_alike():
    """At the corner of a pass two were led 20 km astray, each elsewhere; three were not."""
    xy = SPACING * np.array([[0.0, 0], [1.5, 0], [2.5, 0], [3.2, 0], [6.0, 0]])
    moved = np.array([[9000.0, 18_800], [7300, 14_000], [-1400, -1300], [-1300, -1400], [-1700, 0]])
    wrong = [True, True, False, False, False]
    reach = 5 * SPACING
    np.testing.assert_array_equal(parted(xy, xy + moved, reach, FARTHEST), wrong)
    # With one of the others alone it cannot be told which of the two is wrong.
    assert not parted(xy[1:3], (xy + moved)[1:3], reach, FARTHEST).any()
    assert not parted(xy[[0, 1, 4]], (xy + moved)[[0, 1, 4]], 2 * SPACING, FARTHEST).any()
    assert not parted(xy, xy + moved, 0, FARTHEST).any()


@settings(max_examples=30)
@given(seed=SEEDS, reach=st.floats(1.5, 6.0))
def test_who_is_alone_follows_from_the_nearest_wherever_the_cells_lie(seed, reach):
    rng = np.random.default_rng(seed)
    xy = grid(rng) + rng.uniform(-1e6, 1e6, 2)
    moved = rng.normal(0, 3000.0, xy.shape)
    moved[xy[:, 0] > np.median(xy[:, 0])] *= 0.1
    distance = np.linalg.norm(xy[:, None] - xy, axis=2)
    order = np.argsort(distance, axis=1)[:, 1:9]
    near = np.take_along_axis(distance, order, axis=1) < reach * SPACING
    alike = np.linalg.norm(moved[order] - moved[:, None], axis=2) <= FARTHEST
    around, fellows = near.sum(axis=1), (near & alike).sum(axis=1)
    alone = ((around > 4) & (fellows < 3)) | ((around > 1) & (fellows == 0))
    np.testing.assert_array_equal(parted(xy, xy + moved, reach * SPACING, FARTHEST), alone)
