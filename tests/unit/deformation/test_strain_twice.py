"""Strain rates and their errors against a second implementation that shares nothing with ours.

A plane fitted through the three velocities by least squares has the gradient of the triangle; the
contour is walked side by side in plain Python; the Jacobian is that of finite differences of
the fit. Conventions are those of published files: start positions, shear without a half.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lagrangian_ice as li
from lagrangian_ice.deformation.strain import (
    invariants,
    strain_rate_errors,
    strain_rate_jacobian,
)

DAY = 86400.0
COUNT = 400


def plane_fit(xy0, xy1, dt):
    """Gradients (M, 2, 2) of the planes u(x, y), v(x, y) through the corners' velocities."""
    found = np.empty((len(xy0), 2, 2))
    for row, (start, end, seconds) in enumerate(zip(xy0, xy1, dt, strict=True)):
        start, end = np.asarray(start, float), np.asarray(end, float)
        centre = start.mean(axis=0)
        design = np.column_stack([np.ones(3), (start - centre) / 1e4])
        velocity = (end - start) / np.asarray(seconds, float)[:, None]
        planes, *_ = np.linalg.lstsq(design, velocity, rcond=None)
        found[row] = planes[1:].T / 1e4
    return found


def walked_contour(start, end, seconds):
    """Divergence and shear of one triangle, counter-clockwise, as the field's papers write it."""
    (x, y) = zip(*start, strict=True)
    u = [(b[0] - a[0]) / t for a, b, t in zip(start, end, seconds, strict=True)]
    v = [(b[1] - a[1]) / t for a, b, t in zip(start, end, seconds, strict=True)]
    area = 0.5 * ((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
    ux = uy = vx = vy = 0.0
    for i, j in ((0, 1), (1, 2), (2, 0)):
        ux += (u[j] + u[i]) * (y[j] - y[i]) / (2 * area)
        uy -= (u[j] + u[i]) * (x[j] - x[i]) / (2 * area)
        vx += (v[j] + v[i]) * (y[j] - y[i]) / (2 * area)
        vy -= (v[j] + v[i]) * (x[j] - x[i]) / (2 * area)
    return ux + vy, ((ux - vy) ** 2 + (uy + vx) ** 2) ** 0.5


@pytest.fixture(scope="module")
def triangles():
    """Triangles as a season has them: 10 km, 2,000 km from the pole, days apart, any order."""
    rng = np.random.default_rng(11)
    place = rng.uniform(-2e6, 2e6, (COUNT, 1, 2))
    corners = np.array([[0.0, 0.0], [10e3, 0.0], [0.0, 10e3]]) + rng.normal(0, 1.5e3, (COUNT, 3, 2))
    for row in range(COUNT):
        rng.shuffle(corners[row])
    dt = rng.uniform(1, 4, (COUNT, 1)) * DAY + rng.normal(0, 1800, (COUNT, 3))
    drift = rng.normal(0, 0.15, (COUNT, 1, 2)) * dt[..., None]
    xy0 = place + corners
    return xy0, xy0 + drift + rng.normal(0, 400, (COUNT, 3, 2)), dt


def test_the_gradient_is_that_of_the_plane_through_the_velocities(triangles):
    found = li.strain_rates(*triangles)
    np.testing.assert_allclose(found, plane_fit(*triangles), rtol=1e-7, atol=1e-13)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_divergence_and_shear_of_the_papers_whatever_the_order(triangles, order):
    chosen = list(order)
    xy0, xy1, dt = (values[:, chosen] for values in triangles)
    found = invariants(li.strain_rates(xy0, xy1, dt))
    expected = np.array([walked_contour(*one) for one in zip(*triangles, strict=True)])
    np.testing.assert_allclose(found.divergence, expected[:, 0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.shear, expected[:, 1], rtol=1e-6, atol=1e-12)


def test_days_for_seconds_give_rates_per_day(triangles):
    """Published files are per day: the unit of dt is the unit of the rates."""
    xy0, xy1, dt = triangles
    per_day = li.strain_rates(xy0, xy1, dt / DAY)
    np.testing.assert_allclose(per_day, li.strain_rates(xy0, xy1, dt) * DAY, rtol=1e-9, atol=1e-9)
    km = li.strain_rates(xy0 / 1e3, xy1 / 1e3, dt)
    np.testing.assert_allclose(km, li.strain_rates(xy0, xy1, dt), rtol=1e-7, atol=1e-14)


def test_the_jacobian_is_that_of_the_fitted_plane(triangles):
    """Central differences of the least-squares plane, every displacement."""
    xy0, xy1, dt = (values[:25] for values in triangles)
    jacobian = strain_rate_jacobian(xy0, dt)
    step = 0.5
    for column, (vertex, axis) in enumerate(itertools.product(range(3), range(2))):
        change = np.zeros((3, 2))
        change[vertex, axis] = step
        difference = plane_fit(xy0, xy1 + change, dt) - plane_fit(xy0, xy1 - change, dt)
        slope = difference.reshape(-1, 4) / (2 * step)
        np.testing.assert_allclose(jacobian[..., column], slope, rtol=1e-4, atol=1e-14)


def test_errors_are_the_spread_of_fitted_planes():
    """Monte Carlo through the second implementation, unequal times, correlated x and y."""
    rng = np.random.default_rng(3)
    xy0 = np.array([[400e3, -900e3], [409e3, -898e3], [401e3, -889e3]])
    dt = np.array([2.9, 3.0, 3.2]) * DAY
    gradient = np.array([[0.05, -0.1], [0.2, 0.1]]) / DAY
    xy1 = xy0 + ((xy0 - xy0.mean(axis=0)) @ gradient.T + [0.1, 0.05]) * dt[:, None]
    covariance = np.array([[[900.0, 300.0], [300.0, 1600.0]]] * 3) * [[[1.0]], [[2.0]], [[0.5]]]
    draws = 4000
    noise = np.stack([rng.multivariate_normal([0, 0], c, draws) for c in covariance], axis=1)
    starts, times = np.broadcast_to(xy0, (draws, 3, 2)), np.broadcast_to(dt, (draws, 3))
    found = plane_fit(starts, xy1 + noise, times)
    stated = strain_rate_errors(xy0[None], xy1[None], dt[None], covariance[None])
    np.testing.assert_allclose(found.std(axis=0), stated.gradients[0], rtol=0.04)
    one = invariants(found)
    for name in ("divergence", "shear", "vorticity", "total_deformation"):
        assert getattr(one, name).std() == pytest.approx(getattr(stated, name)[0], rel=0.04), name


def test_single_precision_is_taken_as_it_is(triangles):
    """A file of float32 metres has 0.1 m steps 2,000 km away; they are not made worse here."""
    narrow = [values.astype(np.float32) for values in triangles]
    found = li.strain_rates(*narrow)
    assert found.dtype == np.float64
    wide = [values.astype(np.float64) for values in narrow]
    np.testing.assert_array_equal(found, li.strain_rates(*wide))
    np.testing.assert_allclose(found, li.strain_rates(*triangles), atol=1e-9)


def test_lists_integers_and_big_endian_numbers_are_taken():
    xy0 = [[[0, 0], [10000, 0], [0, 10000]]]
    xy1 = [[[0, 0], [10100, 0], [0, 10000]]]
    found = li.strain_rates(xy0, xy1, [[100000] * 3])
    np.testing.assert_allclose(found, [[[1e-7, 0], [0, 0]]], atol=1e-20)
    big = li.strain_rates(np.array(xy0, ">f4"), np.array(xy1, ">i4"), np.array([[1e5] * 3], ">f8"))
    np.testing.assert_array_equal(big, found)


def test_triangles_without_area_do_not_spoil_the_others(triangles):
    xy0, xy1, dt = (values[:4].copy() for values in triangles)
    xy0[1, 2] = xy0[1, 0]
    xy1[1, 2] = xy1[1, 0]
    xy0[2, 0, 1] = np.nan
    found = li.strain_rates(xy0, xy1, dt)
    assert np.isnan(found[[1, 2]]).all(axis=(1, 2)).all()
    np.testing.assert_array_equal(found[[0, 3]], li.strain_rates(*triangles)[[0, 3]])


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((2, 3), (2, 3), (3,)), r"xy0 has shape \(2, 3\), it must have \(M, 3, 2\)"),
        (((3, 2), (3, 2), (3,)), r"xy0 has shape \(3, 2\)"),
        (((5, 2, 3), (5, 2, 3), (5, 3)), r"xy0 has shape \(5, 2, 3\)"),
        (((5, 3, 2), (5, 3, 2), (5, 1)), r"dt has shape \(5, 1\), it must have \(M, 3\)"),
        (((5, 3, 2), (5, 3, 2), ()), r"dt has shape \(\)"),
        (((0, 3, 2), (1, 3, 2), (1, 3)), "0, 1 and 1 triangles"),
    ],
)
def test_wrong_shapes_say_what_is_wanted(shapes, text):
    xy0, xy1, dt = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=text):
        li.strain_rates(xy0, xy1, dt)


def test_nothing_gives_nothing():
    assert li.strain_rates(np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), np.zeros((0, 3))).shape == (
        0,
        2,
        2,
    )
