"""Geometry of the 8 x 8 pixel cells."""

import numpy as np

from lagrangian_ice.superlim.features import cell_to_rowcol, rowcol_to_cell


def test_centre_of_cell_0_is_3_5_not_4():
    np.testing.assert_array_equal(cell_to_rowcol(np.zeros(2)), [3.5, 3.5])


def test_row_and_column_of_a_cell_are_not_swapped():
    np.testing.assert_array_equal(cell_to_rowcol(np.array([2.0, 5.0])), [19.5, 43.5])


def test_cells_and_pixels_are_inverse():
    rowcol = np.random.default_rng(0).uniform(0, 1000, (20, 2))
    np.testing.assert_allclose(cell_to_rowcol(rowcol_to_cell(rowcol)), rowcol)
