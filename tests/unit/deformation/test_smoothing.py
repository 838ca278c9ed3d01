"""Gradients of neighbouring triangles are averaged, each kind by itself."""

import numpy as np

from lagrangian_ice.deformation.smoothing import smooth_gradients

STRIP = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4], [4, 5, 6]])
"""Five triangles in a row, each beside the next."""
AREA = np.array([1.0, 2.0, 1.0, 3.0, 1.0])


def dilating(rates):
    """Gradients of pure divergence, half of it along each axis."""
    return 0.5 * np.asarray(rates)[:, None, None] * np.eye(2)


def smoothed(rates, usable=(True,) * 5, steps=1, threshold=10.0):
    """Divergence after smoothing."""
    found = smooth_gradients(dilating(rates), AREA, STRIP, np.array(usable), steps, threshold)
    return np.trace(found, axis1=1, axis2=2)


def test_neighbours_are_averaged_by_area():
    rates = [1.0, 2.0, 3.0, 4.0, 5.0]
    np.testing.assert_allclose(smoothed(rates), [5 / 3, 2.0, 19 / 6, 4.0, 17 / 4])
    np.testing.assert_allclose(smoothed(rates, steps=2)[0], (1 + 4 + 3) / 4)


def test_no_step_leaves_what_is_usable():
    rates, usable = [1.0, 2.0, np.nan, 4.0, 5.0], (True, False, True, True, True)
    np.testing.assert_array_equal(smoothed(rates, usable, steps=0), [1.0, np.nan, np.nan, 4.0, 5.0])


def test_what_is_not_usable_or_not_known_neither_gives_nor_gets():
    rates, usable = [1.0, 100.0, 3.0, np.nan, 5.0], (True, False, True, True, True)
    expected = [1.0, np.nan, 3.0, np.nan, 5.0]
    np.testing.assert_allclose(smoothed(rates, usable, steps=3), expected)


def test_what_deforms_is_averaged_with_what_deforms_only():
    rates = [1.0, 1.0, 20.0, 40.0, 1.0]
    np.testing.assert_allclose(smoothed(rates, steps=3), [1.0, 1.0, 35.0, 35.0, 1.0])
    # The threshold itself deforms.
    np.testing.assert_allclose(smoothed([1.0, 1.0, 10.0, 30.0, 1.0])[2:4], [25.0, 25.0])
