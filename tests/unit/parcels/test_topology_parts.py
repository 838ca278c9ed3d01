"""Which displacement goes where a triangle turns over, and which need not be looked at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangian_ice.parcels import topology
from lagrangian_ice.parcels.topology import folding, moving_alike

SPACING = 10_000.0


@pytest.mark.parametrize(("apart", "sizes"), [(1490.0, [2, 2]), (1510.0, [1, 1])])
def test_two_are_on_one_side_up_to_fifteen_percent_of_their_distance(apart, sizes):
    xy = np.array([[0.0, 0.0], [SPACING, 0.0]])
    found = topology._side_sizes(xy, xy + np.array([[0.0, 0.0], [0.0, apart]]), np.array([[0, 1]]))
    assert found.tolist() == sizes


def test_the_worst_goes_first():
    """Of one triangle: who is on the smallest side, then in most triangles, then fits least."""
    one = np.array([[0, 1, 2]])
    assert topology._worst(one, np.array([1, 2, 9]), np.array([0.0, 9.0, 9.0])).tolist() == [0]
    assert topology._worst(one, np.array([2, 1, 9]), np.array([9.0, 0.0, 9.0])).tolist() == [1]
    assert topology._worst(one, np.array([2, 2, 9]), np.array([1.0, 5.0, 9.0])).tolist() == [1]
    two = np.array([[0, 1, 2], [0, 3, 4]])
    size, misfit = np.array([2, 2, 2, 2, 2]), np.array([1.0, 5.0, 5.0, 5.0, 5.0])
    assert topology._worst(two, size, misfit).tolist() == [0]


def test_a_triangle_without_width_at_its_end_has_turned_over():
    xy = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    corners = np.array([[0, 1, 2]])
    flat = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert topology._turned_over(xy, flat, corners).tolist() == [True]
    assert topology._turned_over(xy, 2 * xy, corners).tolist() == [False]


def test_what_is_beside_a_void_need_not_be_looked_at():
    """All around a swath that lies aslant was."""
    row, col = np.indices((40, 40))
    inside = (np.abs(row - col) < 8) & ~((np.abs(row - 20) < 5) & (np.abs(col - 20) < 5))
    xy = SPACING * np.stack([col[inside], row[inside]], axis=-1).astype(float)
    assert not topology._uneasy(xy, 1.01 * xy, 2.5 * SPACING).any()
    torn = 1.01 * xy
    torn[100] += 2 * SPACING
    assert topology._uneasy(xy, torn, 2.5 * SPACING)[100]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), side=st.floats(1.2, 3.0))
def test_only_where_ice_parts_it_is_triangulated_and_nothing_is_missed(seed, side):
    rng = np.random.default_rng(seed)
    row, col = np.indices((14, 14))
    xy = SPACING * np.stack([col.ravel(), row.ravel()], axis=-1)
    xy += rng.uniform(-3000, 3000, xy.shape)
    end = xy + rng.normal(0, 50, xy.shape)
    wrong = rng.choice(len(xy), 6, replace=False)
    end[wrong] += rng.normal(0, 12e3, (6, 2))
    found = folding(xy, end, side * SPACING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topology, "_uneasy", lambda xy0, *_: np.ones(len(xy0), dtype=bool))
        np.testing.assert_array_equal(folding(xy, end, side * SPACING), found)


def test_the_twin_of_another_stream_is_no_company():
    xy = np.array([[0.0, 0.0], [0.0, 0.0], [60e3, 0.0]])
    moved = np.array([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0]])
    near, alike = moving_alike(xy, moved, np.arange(3), 50e3, 1.0)
    assert not near.any()
    assert not alike.any()
    near, _ = moving_alike(xy, moved, np.arange(3), 70e3, 1.0)
    assert near.any(axis=1).all()
