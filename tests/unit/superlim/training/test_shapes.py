"""Drawn shapes."""

import cv2
import numpy as np
import pytest

from lagrangian_ice.superlim.training import shapes


def test_same_seed_gives_the_same_drawing():
    first, second = (shapes.drawn_shape(96, np.random.default_rng(4)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", range(24))
def test_corners_lie_inside_and_apart_and_the_image_has_unit_spread(seed):
    image, corners = shapes.drawn_shape(96, np.random.default_rng(seed))
    assert image.shape == (96, 96)
    assert image.std() == pytest.approx(1, abs=1e-3)
    assert ((corners >= 0) & (corners <= 95)).all()
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    assert (apart[~np.eye(len(corners), dtype=bool)] >= shapes.APART).all()


@pytest.mark.parametrize("kind", [k for k in shapes.KINDS if k is not shapes._ellipses])
def test_corners_are_where_the_drawing_has_corners(kind):
    """The drawing changes in two directions near most corners, and seldom elsewhere."""
    found = []
    for seed in range(12):
        canvas = np.zeros((192, 192), np.float32)
        corners = kind(canvas, np.random.default_rng(seed))
        corners = shapes._inside(corners, 192)
        strength = cv2.cornerMinEigenVal(cv2.GaussianBlur(canvas, (0, 0), 1.0), 5)
        near = cv2.dilate(strength, np.ones((9, 9), np.uint8))
        if len(corners):
            at = np.rint(corners).astype(int)
            found.append((near[at[:, 0], at[:, 1]] > 20 * np.median(near)).mean())
    assert np.mean(found) > 0.8


def test_corner_of_a_filled_polygon_is_exact():
    canvas = np.zeros((64, 64), np.float32)
    square = np.array([[16.0, 20.0], [16.0, 44.0], [40.0, 44.0], [40.0, 20.0]])
    shapes._fill(canvas, square, 1.0)
    rows, cols = np.nonzero(canvas > 0.5)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (16, 40, 20, 44)


def test_ellipses_have_no_corners():
    canvas = np.zeros((96, 96), np.float32)
    assert shapes._ellipses(canvas, np.random.default_rng(0)).shape == (0, 2)
    assert canvas.any()


def test_crossing_of_two_segments():
    first = np.array([[0.0, 0.0], [10.0, 10.0]])
    np.testing.assert_allclose(
        shapes._crossing(first, np.array([[0.0, 10.0], [10.0, 0.0]])), [[5, 5]]
    )
    assert not len(shapes._crossing(first, np.array([[0.0, 1.0], [10.0, 11.0]])))
    assert not len(shapes._crossing(first, np.array([[0.0, 10.0], [4.0, 6.0]])))
