"""Strain rates do not know the order of vertices, where the triangle is, or its drift."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lagrangian_ice.deformation.strain import invariants, signed_area, strain_rates

DAY = 86400.0
corners = arrays(np.float64, (1, 3, 2), elements=st.floats(-2e4, 2e4))
displacements = arrays(np.float64, (1, 3, 2), elements=st.floats(-3e3, 3e3))
intervals = arrays(np.float64, (1, 3), elements=st.floats(0.5 * DAY, 5 * DAY))
ORDERS = [list(order) for order in itertools.permutations(range(3))]


@given(xy0=corners, moved=displacements, dt=intervals, order=st.sampled_from(ORDERS))
@settings(max_examples=100)
def test_order_and_orientation_do_not_matter(xy0, moved, dt, order):
    assume(abs(signed_area(xy0)[0]) > 1e6)
    straight = strain_rates(xy0, xy0 + moved, dt)
    shuffled = strain_rates(xy0[:, order], (xy0 + moved)[:, order], dt[:, order])
    np.testing.assert_allclose(shuffled, straight, rtol=1e-9, atol=1e-16)


@given(
    xy0=corners,
    moved=displacements,
    dt=st.floats(0.5 * DAY, 5 * DAY),
    shift=st.tuples(st.floats(-3e6, 3e6), st.floats(-3e6, 3e6)),
    drift=st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)),
)
@settings(max_examples=100)
def test_place_and_mean_drift_do_not_matter(xy0, moved, dt, shift, drift):
    assume(abs(signed_area(xy0)[0]) > 1e6)
    times = np.full((1, 3), dt)
    here = strain_rates(xy0, xy0 + moved, times)
    there = xy0 + np.array(shift)
    away = strain_rates(there, there + moved + np.array(drift), times)
    np.testing.assert_allclose(away, here, rtol=1e-6, atol=1e-13)


@given(xy0=corners, moved=displacements, dt=st.floats(DAY, 3 * DAY), angle=st.floats(0, 6.28))
@settings(max_examples=100)
def test_invariants_do_not_turn_with_the_map(xy0, moved, dt, angle):
    assume(abs(signed_area(xy0)[0]) > 1e6)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    times = np.full((1, 3), dt)
    here = invariants(strain_rates(xy0, xy0 + moved, times))
    turned = invariants(strain_rates(xy0 @ turn.T, (xy0 + moved) @ turn.T, times))
    for left, right in zip(turned, here, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-14)
