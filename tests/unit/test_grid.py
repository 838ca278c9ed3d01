"""Map positions and pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangian_ice.grid import Grid, lonlat_to_xy, xy_to_lonlat

NEAR = st.floats(-3e6, 3e6)
PIXEL = st.floats(10, 2000)


def test_centre_of_pixel_0_0_is_row_0_col_0():
    grid = Grid(1000.0, -500.0, 100.0, (3, 4))
    np.testing.assert_array_equal(grid.rowcol([1000.0, -500.0]), [0.0, 0.0])


def test_rows_grow_southward_and_columns_eastward():
    grid = Grid(0.0, 0.0, 100.0, (10, 10))
    np.testing.assert_array_equal(grid.rowcol([250.0, -130.0]), [1.3, 2.5])


def test_edges_lie_half_a_pixel_outside_the_centres():
    assert Grid(50.0, 950.0, 100.0, (10, 5)).bounds == (0.0, 0.0, 500.0, 1000.0)


@given(NEAR, NEAR, PIXEL, st.tuples(NEAR, NEAR))
def test_pixels_and_positions_are_inverse(x0, y0, pixel, xy):
    grid = Grid(x0, y0, pixel, (5, 5))
    np.testing.assert_allclose(grid.xy(grid.rowcol(xy)), xy, atol=1e-6)


@given(NEAR, NEAR, st.floats(1, 1e6), st.floats(1, 1e6), PIXEL)
def test_covering_grid_covers_with_less_than_a_pixel_to_spare(x, y, width, height, pixel):
    wanted = (x, y, x + width, y + height)
    covered = Grid.covering(wanted, pixel).bounds
    slack = np.array(wanted) - np.array(covered)
    assert (slack[:2] >= -1e-6).all()
    assert (slack[2:] <= 1e-6).all()
    assert (np.abs(slack) <= pixel + 1e-6).all()


@given(NEAR, NEAR, NEAR, NEAR)
def test_grids_of_one_pixel_are_shifted_by_whole_pixels(x, y, other_x, other_y):
    first = Grid.covering((x, y, x + 1000, y + 1000), 70.0)
    second = Grid.covering((other_x, other_y, other_x + 500, other_y + 500), 70.0)
    shift = first.rowcol([second.x0, second.y0])
    np.testing.assert_allclose(shift, np.rint(shift), atol=1e-6)


def test_contains_up_to_the_outermost_centres():
    grid = Grid(0.0, 0.0, 100.0, (3, 3))
    inside = grid.contains([[0.0, 0.0], [200.0, -200.0], [201.0, 0.0], [0.0, 1.0]])
    assert inside.tolist() == [True, True, False, False]


@pytest.mark.parametrize("bounds", [(0, 0, 0, 10), (0, 0, np.nan, 10), (5, 0, 0, 10)])
def test_empty_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="empty or not finite"):
        Grid.covering(bounds, 100.0)


def test_pixel_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="not positive"):
        Grid(0.0, 0.0, 0.0, (3, 3))


def test_the_pole_and_the_central_meridian():
    np.testing.assert_allclose(lonlat_to_xy([[0.0, 90.0]]), 0, atol=1e-6)
    x, y = lonlat_to_xy([-45.0, 80.0])
    assert x == pytest.approx(0, abs=1e-6)
    assert y < 0


@given(st.floats(-179.9, 179.9), st.floats(60, 89.9))
def test_longitude_and_latitude_come_back(lon, lat):
    np.testing.assert_allclose(xy_to_lonlat(lonlat_to_xy([lon, lat])), [lon, lat], atol=1e-8)
