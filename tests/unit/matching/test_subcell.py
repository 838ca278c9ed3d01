"""Peak between cells."""

import numpy as np
import pytest

from lagrangian_ice.matching.subcell import AROUND, peak_offset


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, -0.2), (-0.45, 0.1)])
def test_a_smooth_peak_is_found_on_either_axis(offset):
    distance = ((AROUND - np.array(offset)) ** 2).sum(axis=1)
    similarity = np.exp(-distance / 2)[None]
    np.testing.assert_allclose(peak_offset(similarity)[0], offset, atol=0.05)


def test_a_missing_neighbour_leaves_the_centre_of_the_cell():
    similarity = np.full((1, 9), 0.5)
    similarity[0, 4], similarity[0, 1], similarity[0, 5] = 0.9, -np.inf, 0.7
    offset = peak_offset(similarity)[0]
    assert offset[0] == 0
    assert offset[1] > 0.1


def test_never_beyond_half_a_cell_and_flat_is_the_centre():
    rng = np.random.default_rng(0)
    assert np.abs(peak_offset(rng.normal(size=(200, 9)))).max() <= 0.5
    assert (peak_offset(np.ones((2, 9))) == 0).all()
