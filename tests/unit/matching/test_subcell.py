"""Peak between cells."""

import numpy as np
import pytest

from lagrangian_ice.matching.subcell import BESIDE, peak_offset


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, -0.2), (-0.45, 0.1)])
def test_a_smooth_peak_is_found_on_either_axis(offset):
    cells = np.concatenate([[(0, 0)], BESIDE])
    similarity = np.exp(-((cells - np.array(offset)) ** 2).sum(axis=1) / 2)
    found = peak_offset(similarity[:1], similarity[None, 1:])
    np.testing.assert_allclose(found[0], offset, atol=0.05)


def test_a_missing_neighbour_leaves_the_centre_of_the_cell():
    beside = np.array([[-np.inf, 0.5, 0.5, 0.7]])
    offset = peak_offset(np.array([0.9]), beside)[0]
    assert offset[0] == 0
    assert offset[1] > 0.1


def test_never_beyond_half_a_cell_and_flat_is_the_centre():
    rng = np.random.default_rng(0)
    found = peak_offset(rng.normal(size=200), rng.normal(size=(200, 4)))
    assert np.abs(found).max() <= 0.5
    assert (peak_offset(np.ones(2), np.ones((2, 4))) == 0).all()
