"""Strain rates: exact small examples, the area's sign, errors against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.deformation.strain import (
    invariants,
    signed_area,
    strain_rate_errors,
    strain_rate_jacobian,
    strain_rates,
)

DAY = 86400.0
TRIANGLE = np.array([[[0.0, 0.0], [10e3, 1e3], [2e3, 9e3]]]) - np.array([500e3, 700e3])
WEAK = np.array([[0.0, 0.0], [0.0, 0.0]])
MODERATE = np.array([[0.01, 0.03], [-0.02, 0.02]]) / DAY
STRONG = np.array([[0.3, -0.2], [0.4, 0.1]]) / DAY


def moved(xy0, gradient, dt, drift=(0.1, -0.05)):
    velocity = np.asarray(drift) + (xy0 - xy0.mean(axis=1, keepdims=True)) @ gradient.T
    return xy0 + velocity * dt[..., None]


@pytest.mark.parametrize("gradient", [WEAK, MODERATE, STRONG])
def test_linear_velocity_gives_its_gradient(gradient):
    dt = np.array([[3.0, 3.1, 2.8]]) * DAY
    found = strain_rates(TRIANGLE, moved(TRIANGLE, gradient, dt), dt)
    np.testing.assert_allclose(found[0], gradient, atol=1e-15)


def test_area_sign_clockwise_triangle_keeps_its_divergence():
    """Known fault: an unsigned area turns opening into closing for clockwise triangles."""
    opening = np.array([[0.05, 0.0], [0.0, 0.02]]) / DAY
    dt = np.full((1, 3), 2 * DAY)
    clockwise = TRIANGLE[:, ::-1]
    assert signed_area(TRIANGLE)[0] > 0 > signed_area(clockwise)[0]
    for corners in (TRIANGLE, clockwise):
        found = invariants(strain_rates(corners, moved(corners, opening, dt), dt))
        assert found.divergence[0] == pytest.approx(0.07 / DAY, rel=1e-9)


def test_contour_formula_as_published():
    rng = np.random.default_rng(1)
    xy0 = rng.normal(0, 5e3, (20, 3, 2))
    dt = rng.uniform(2, 4, (20, 3)) * DAY
    xy1 = xy0 + rng.normal(0, 300, xy0.shape)
    velocity = (xy1 - xy0) / dt[..., None]
    after = np.roll(velocity, -1, axis=1) + velocity
    side = np.roll(xy0, -1, axis=1) - xy0
    area2 = 2 * signed_area(xy0)
    dudx = np.sum(after[..., 0] * side[..., 1], axis=1) / area2
    dudy = -np.sum(after[..., 0] * side[..., 0], axis=1) / area2
    dvdx = np.sum(after[..., 1] * side[..., 1], axis=1) / area2
    dvdy = -np.sum(after[..., 1] * side[..., 0], axis=1) / area2
    expected = np.stack([dudx, dudy, dvdx, dvdy], axis=1).reshape(-1, 2, 2)
    np.testing.assert_allclose(strain_rates(xy0, xy1, dt), expected, rtol=1e-9)


def test_each_vertex_has_its_own_time():
    dt = np.array([[3.0, 2.0, 4.0]]) * DAY
    uniform = TRIANGLE + np.array([0.2, 0.1]) * dt[..., None]
    np.testing.assert_allclose(strain_rates(TRIANGLE, uniform, dt), 0.0, atol=1e-18)


def test_invariants_of_pure_motions():
    opening = invariants(np.array([[[1.0, 0], [0, 1.0]]]))
    assert (opening.divergence[0], opening.shear[0], opening.vorticity[0]) == (2.0, 0.0, 0.0)
    turning = invariants(np.array([[[0, -1.0], [1.0, 0]]]))
    assert (turning.divergence[0], turning.shear[0], turning.vorticity[0]) == (0.0, 0.0, 2.0)
    sliding = invariants(np.array([[[0, 1.0], [0, 0]]]))
    assert (sliding.shear[0], sliding.total_deformation[0]) == (1.0, 1.0)


def test_no_area_gives_nan_not_zero():
    line = np.array([[[0.0, 0.0], [1e3, 0.0], [2e3, 0.0]]])
    dt = np.full((1, 3), DAY)
    assert np.isnan(strain_rates(line, line + 100, dt)).all()
    errors = strain_rate_errors(line, line + 100, dt, np.tile(np.eye(2), (1, 3, 1, 1)))
    assert np.isnan(errors.shear).all()


def test_errors_of_what_is_not_known_are_not_known():
    end = TRIANGLE + 100
    end[0, 1, 0] = np.nan
    errors = strain_rate_errors(
        TRIANGLE, end, np.full((1, 3), DAY), np.tile(np.eye(2), (1, 3, 1, 1))
    )
    assert np.isnan(errors.covariance).all()
    for name in ("divergence", "shear", "vorticity", "total_deformation"):
        assert np.isnan(getattr(errors, name)).all(), name


def test_no_triangles():
    empty = np.zeros((0, 3, 2))
    assert strain_rates(empty, empty, np.zeros((0, 3))).shape == (0, 2, 2)
    errors = strain_rate_errors(empty, empty, np.zeros((0, 3)), np.zeros((0, 3, 2, 2)))
    assert errors.shear.shape == (0,)


@pytest.mark.parametrize(
    ("xy0", "xy1", "dt", "text"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3, 2)), np.ones((4, 3)), r"xy0 has shape \(4, 2\)"),
        (np.zeros((4, 3, 2)), np.zeros((4, 3, 3)), np.ones((4, 3)), "xy1 has shape"),
        (np.zeros((4, 3, 2)), np.zeros((4, 3, 2)), np.ones(4), r"dt has shape \(4,\)"),
        (np.zeros((4, 3, 2)), np.zeros((5, 3, 2)), np.ones((4, 3)), "4, 5 and 4 triangles"),
        (np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), np.zeros((1, 3)), "0 s"),
    ],
)
def test_wrong_call_says_what_is_allowed(xy0, xy1, dt, text):
    with pytest.raises(ValueError, match=text):
        strain_rates(xy0, xy1, dt)


def test_wrong_covariance_shape():
    dt = np.full((1, 3), DAY)
    with pytest.raises(ValueError, match=r"covariance has shape \(1, 3\)"):
        strain_rate_errors(TRIANGLE, TRIANGLE, dt, np.ones((1, 3)))


def test_jacobian_equals_finite_differences():
    dt = np.array([[3.0, 2.9, 3.2]]) * DAY
    end = moved(TRIANGLE, STRONG, dt)
    jacobian = strain_rate_jacobian(TRIANGLE, dt)[0]
    step = 1.0
    for column in range(6):
        change = np.zeros(6)
        change[column] = step
        by = change.reshape(1, 3, 2)
        plus, minus = strain_rates(TRIANGLE, end + by, dt), strain_rates(TRIANGLE, end - by, dt)
        slope = (plus - minus).reshape(4) / (2 * step)
        np.testing.assert_allclose(jacobian[:, column], slope, rtol=1e-5, atol=1e-16)


def covariance_of(rng, shared):
    """A demanding 6 x 6 covariance: correlated x and y, unequal vertices, shared errors."""
    root = rng.normal(0, 60, (6, 6)) if shared else np.diag(rng.uniform(30, 90, 6))
    return root @ root.T


@pytest.mark.parametrize("gradient", [WEAK, MODERATE, STRONG], ids=["weak", "moderate", "strong"])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "correlated"])
def test_stated_errors_are_the_simulated_spread(gradient, shared):
    rng = np.random.default_rng(7)
    dt = np.array([[2.8, 3.0, 3.3]]) * DAY
    end = moved(TRIANGLE, gradient, dt)
    covariance = covariance_of(rng, shared)
    stated = strain_rate_errors(TRIANGLE, end, dt, covariance[None])
    count = 40000
    by = rng.multivariate_normal(np.zeros(6), covariance, count).reshape(-1, 3, 2)
    xy0, times = np.repeat(TRIANGLE, count, axis=0), np.repeat(dt, count, axis=0)
    gradients = strain_rates(xy0, end + by, times)
    drawn = invariants(gradients)
    for name in drawn._fields:
        simulated = getattr(drawn, name).std()
        assert getattr(stated, name)[0] == pytest.approx(simulated, rel=0.03), name
    np.testing.assert_allclose(
        stated.gradients[0].ravel(), gradients.reshape(-1, 4).std(axis=0), rtol=0.03
    )


def test_vertex_form_equals_full_form():
    own = np.array([[[[4.0, 1.0], [1.0, 9.0]]] * 3])
    full = np.kron(np.eye(3), own[0, 0])[None]
    dt = np.full((1, 3), DAY)
    end = moved(TRIANGLE, MODERATE, dt)
    left = strain_rate_errors(TRIANGLE, end, dt, own)
    right = strain_rate_errors(TRIANGLE, end, dt, full)
    np.testing.assert_array_equal(left.covariance, right.covariance)


def test_error_shared_by_all_vertices_cancels():
    """A scene's geolocation error moves all its parcels alike: it deforms nothing."""
    shared = np.kron(np.ones((3, 3)), np.array([[400.0, 50.0], [50.0, 300.0]]))[None]
    dt = np.full((1, 3), DAY)
    stated = strain_rate_errors(TRIANGLE, moved(TRIANGLE, MODERATE, dt), dt, shared)
    assert np.nanmax(np.abs(stated.gradients)) < 1e-12 / DAY


def test_exact_length_error_joins_first_order():
    dt = np.full((1, 3), 3 * DAY)
    covariance = np.tile(np.eye(2), (1, 3, 1, 1))
    found = []
    for size in (0.029, 0.031):
        gradient = np.array([[0, size], [0, 0]]) / DAY
        noise = 3 * DAY * 1e4 * size / DAY / 30
        end = moved(TRIANGLE, gradient, dt)
        errors = strain_rate_errors(TRIANGLE, end, dt, covariance * noise**2)
        found.append(errors.shear[0] / noise)
    assert found[0] == pytest.approx(found[1], rel=2e-3)


def some_triangles(count=200):
    rng = np.random.default_rng(0)
    corners = 1e4 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return corners + rng.uniform(-2e3, 2e3, (count, 3, 2)), np.full((count, 3), DAY)


def test_what_has_no_error_and_does_not_deform_has_an_error_of_nothing():
    xy, dt = some_triangles(2)
    errors = strain_rate_errors(xy, xy, dt, np.zeros((2, 3, 2, 2)))
    for name in ("divergence", "shear", "vorticity", "total_deformation"):
        assert getattr(errors, name).tolist() == [0.0, 0.0]


def test_errors_that_all_vertices_share_leave_none_whatever_the_rounding():
    xy, dt = some_triangles()
    shared = np.tile(np.eye(2) * 400.0, (3, 3))
    errors = strain_rate_errors(xy, 1.01 * xy, dt, np.broadcast_to(shared, (len(xy), 6, 6)))
    for name in ("divergence", "shear", "vorticity", "total_deformation"):
        assert (getattr(errors, name) < 1e-11).all()
