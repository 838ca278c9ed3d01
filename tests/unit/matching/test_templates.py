"""Templates: turned, and cut along a line."""

import numpy as np
import pytest
import torch

from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates, farthest_corner, turns

AT = torch.tensor([[30.0, 30.0], [28.4, 33.7]], dtype=torch.float64)
STILL = torch.zeros(2, 1, dtype=torch.float64)


def band():
    return Band.of(np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32))


def test_counter_clockwise_takes_east_to_north():
    row, col = turns(torch.tensor(np.pi / 2)) @ torch.tensor([0.0, 1.0])
    assert float(row) == pytest.approx(-1)
    assert float(col) == pytest.approx(0, abs=1e-6)


def test_a_line_leaves_the_pixels_beyond_its_distance():
    line = torch.tensor([[0.0, 1.0, -2.0], [1.0, 0.0, 3.0]], dtype=torch.float64)
    values, known = Templates(AT, 5, line).turned(band(), STILL)
    whole, all_known = Templates(AT, 5).turned(band(), STILL)
    assert all_known is None
    assert known[0, 0].sum(dim=0).tolist() == [0] * 3 + [11] * 8
    assert known[1, 0].sum(dim=1).tolist() == [0] * 8 + [11] * 3
    assert (values[known] == whole[known]).all()
    assert (values[~known] == 0).all()


def test_the_line_turns_with_the_ice():
    """Ice north of the parcel is west of it after a quarter turn counter-clockwise."""
    north = torch.tensor([[-1.0, 0.0, 0.5]], dtype=torch.float64)
    quarter = torch.full((1, 1), np.pi / 2, dtype=torch.float64)
    _, known = Templates(AT[:1], 4, north).turned(band(), quarter)
    assert known[0, 0, :, :4].all()
    assert not known[0, 0, :, 4:].any()


@pytest.mark.parametrize("degrees", [0.0, 10.0, 45.0, 90.0, 170.0])
def test_turned_templates_are_whole_at_any_angle(degrees):
    """The patch that they are read from is no larger than it must be, and no smaller."""
    angle = torch.full((2, 1), np.radians(degrees), dtype=torch.float64)
    _, known = Templates(AT, 8).turned(band(), angle)
    assert known is None


def test_no_templates_and_no_rotations():
    nothing = Templates(AT[:0], 8)
    values, _ = nothing.turned(band(), torch.zeros(0, 1, dtype=torch.float64))
    assert values.shape == (0, 1, 17, 17)
    assert farthest_corner(torch.zeros(0)) == 1.0
