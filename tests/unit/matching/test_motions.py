"""Motions that meet around a parcel."""

import numpy as np
import pytest
from sheared_texture import GRID, SLIP, along_the_crack, displacement, sheared_pair

from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.matching.motions import motions_around, moves_otherwise


def in_pixels(moved):
    """(N, 2) row and col of map displacements."""
    return np.stack([-moved[..., 1], moved[..., 0]], axis=-1) / GRID.pixel


@pytest.mark.parametrize("distance", [-10.0, 1.0, 10.0])
def test_both_sides_of_a_crack_are_found_the_nearer_first(distance):
    rowcol = along_the_crack(distance)
    motions = motions_around(sheared_pair().field, GRID.xy(rowcol), GRID.pixel)
    moved = in_pixels(motions.displacement)
    near = displacement(rowcol[:, 1])
    if abs(distance) > 5:
        np.testing.assert_allclose(moved[:, 0], near, atol=0.8)
    both = np.sort(moved[:, :2, 0], axis=1)
    np.testing.assert_allclose(both, np.tile([-SLIP, SLIP], (len(both), 1)), atol=2)
    assert np.isnan(moved[:, 2]).all()
    assert np.abs(motions.rotation[:, :2]).max() < 4


def test_each_motion_lies_towards_its_ice():
    xy = GRID.xy(along_the_crack(4.0))
    motions = motions_around(sheared_pair().field, xy, GRID.pixel)
    towards = motions.towards()
    assert np.hypot(*towards[:, 0].T) == pytest.approx(1)
    east = in_pixels(motions.displacement)[:, :2, 0] > 0
    assert np.where(east, towards[:, :2, 0], -towards[:, :2, 0]).min() > 0.9


def test_one_plate_has_one_motion():
    xy = GRID.xy(along_the_crack(100.0))
    motions = motions_around(sheared_pair().field, xy, GRID.pixel)
    assert np.isfinite(motions.displacement[:, 0]).all()
    assert np.isnan(motions.displacement[:, 1:]).all()


def test_a_turning_plate_has_one_motion():
    rng = np.random.default_rng(0)
    xy = rng.uniform(-4000, 4000, (400, 2))
    angle = np.radians(20.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    field = MotionField(xy, xy @ turn - xy + [500, -300], np.full(len(xy), 15.0), 1200.0)
    motions = motions_around(field, np.zeros((1, 2)), 100.0)
    np.testing.assert_allclose(motions.displacement[0, 0], [500, -300], atol=20)
    assert motions.rotation[0, 0] == pytest.approx(20, abs=1)
    assert np.isnan(motions.displacement[0, 1]).all()
    told = np.array([[500.0, -300.0]])
    assert not moves_otherwise(field, np.zeros((1, 2)), told, np.array([20.0]), 100.0).any()


def test_only_near_the_crack_others_move_otherwise():
    field = sheared_pair().field
    for distance, expected in ((6.0, True), (80.0, False)):
        rowcol = along_the_crack(distance)
        moved = displacement(rowcol[:, 1])
        told = np.stack([moved[:, 1], -moved[:, 0]], axis=1) * GRID.pixel
        other = moves_otherwise(field, GRID.xy(rowcol), told, np.zeros(len(told)), GRID.pixel)
        assert (other == expected).all()


def test_nothing_is_asked_and_nothing_answered():
    none = np.empty((0, 2))
    empty = MotionField(none, none, np.empty(0), 1200.0)
    assert motions_around(sheared_pair().field, none, 100.0).displacement.shape == (0, 3, 2)
    assert not moves_otherwise(empty, np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2), 100.0).any()
    for count in (0, 2):
        motions = motions_around(empty, np.zeros((count, 2)), 100.0)
        assert motions.displacement.shape == (count, 3, 2)
        assert np.isnan(motions.displacement).all()
