"""Triangulation by seed grid and Delaunay, and the quality flags."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian_ice.deformation.strain import signed_area
from lagrangian_ice.deformation.triangles import (
    QualityFlag,
    edge_neighbours,
    longest_side,
    quality_flags,
    smallest_angle,
    triangulate,
    true_area,
)
from lagrangian_ice.grid import lonlat_to_xy

SPACING = 10e3
SIDE = 25_000.0


def lattice(rows=6, cols=7, noise=0.0, seed=0):
    row, col = (index.ravel() for index in np.mgrid[:rows, :cols])
    cells = np.stack([row, col], axis=1)
    xy = np.stack([col, row], axis=1) * SPACING + [-300e3, -900e3]
    return xy + np.random.default_rng(seed).normal(0, noise, xy.shape), cells


@pytest.mark.parametrize("noise", [0.0, 800.0])
def test_seed_cells_are_cut_along_one_diagonal(noise):
    xy, cells = lattice(noise=noise)
    vertices = triangulate(xy, cells, 25e3)
    within = np.ptp(cells[vertices], axis=1).max(axis=1) == 1
    # the hull of a noisy lattice may have a few flat extra triangles
    assert within.sum() == 2 * 5 * 6
    corner = cells[vertices[within]] - cells[vertices[within]].min(axis=1, keepdims=True)
    on_diagonal = (corner[..., 0] == corner[..., 1]).sum(axis=1)
    assert np.all(on_diagonal == 2)


def test_counter_clockwise_and_covering():
    xy, cells = lattice(noise=1500.0)
    vertices = triangulate(xy, cells, 25e3)
    areas = signed_area(xy[vertices])
    assert np.all(areas > 0)
    hull = 5 * 6 * SPACING**2
    assert areas.sum() == pytest.approx(hull, rel=0.15)


def test_mesh_is_the_same_whatever_the_order_of_parcels():
    xy, cells = lattice(noise=500.0)
    order = np.random.default_rng(3).permutation(len(xy))
    straight = {tuple(sorted(row)) for row in triangulate(xy, cells, 25e3)}
    shuffled = {tuple(sorted(order[row])) for row in triangulate(xy[order], cells[order], 25e3)}
    assert straight == shuffled


def test_reseeded_parcels_with_the_same_cell_do_not_break_the_mesh():
    xy, cells = lattice(noise=300.0)
    late = xy[:10] + np.array([4300.0, 5200.0])
    both, both_cells = np.concatenate([xy, late]), np.concatenate([cells, cells[:10]])
    vertices = triangulate(both, both_cells, 25e3)
    pairs, free = edge_neighbours(vertices)
    assert set(np.unique(vertices)) == set(range(len(both)))
    assert signed_area(both[vertices]).min() > 0
    counts = np.bincount(pairs.ravel(), minlength=len(vertices))
    assert counts.max() <= 3
    assert free.sum() < len(vertices)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_parcels(count):
    assert triangulate(np.zeros((count, 2)), np.zeros((count, 2), int), 25e3).shape == (0, 3)


def test_parcels_in_a_row_form_no_triangle():
    xy = np.stack([np.arange(5) * SPACING, np.zeros(5)], axis=1)
    assert len(triangulate(xy, np.zeros((5, 2), int), 25e3)) == 0


def test_wrong_shape():
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        triangulate(np.zeros((3, 3)), np.zeros((3, 3), int), 25e3)


def test_distant_groups_are_not_joined():
    xy, cells = lattice(3, 3)
    xy = np.concatenate([xy, xy + np.array([200e3, 0])])
    cells = np.concatenate([cells, cells + np.array([0, 20])])
    vertices = triangulate(xy, cells, 25e3)
    assert len(vertices) == 16
    assert longest_side(xy[vertices]).max() < 15e3


def test_angles_and_sides():
    right = np.array([[[0.0, 0.0], [4e3, 0.0], [0.0, 3e3]]])
    assert longest_side(right)[0] == pytest.approx(5e3)
    assert smallest_angle(right)[0] == pytest.approx(np.degrees(np.arctan2(3, 4)))
    thin = np.array([[[0.0, 0.0], [1e4, 0.0], [5e3, 1e-3]]])
    assert smallest_angle(thin)[0] == pytest.approx(np.degrees(2e-7), rel=1e-6)


def test_true_area_is_larger_at_85_north():
    """The projected area is 5.6 % low there (scale factor 0.972)."""
    xy = np.array([[[0.0, -540e3], [10e3, -540e3], [0.0, -530e3]]])
    ratio = true_area(xy)[0] / signed_area(xy)[0]
    assert ratio == pytest.approx(1.058, abs=0.003)


def flags_of(xy0, xy1, time0=None, time1=None, max_side=25e3):
    count = len(xy0)
    time0 = np.zeros(count) if time0 is None else time0
    time1 = np.full(count, 86400.0) if time1 is None else time1
    vertices = np.array([[0, 1, 2]])
    return QualityFlag(int(quality_flags(xy0, xy1, time0, time1, vertices, 10.0, max_side)[0]))


GOOD = np.array([[0.0, 0.0], [1e4, 0.0], [0.0, 1e4]])


def test_each_flag():
    assert flags_of(GOOD, GOOD) == QualityFlag.BOUNDARY
    thin = np.array([[0.0, 0.0], [1e4, 0.0], [5e3, 500.0]])
    assert QualityFlag.SMALL_ANGLE in flags_of(thin, thin)
    assert QualityFlag.LONG_SIDE in flags_of(GOOD, GOOD, max_side=1.2e4)
    assert QualityFlag.MIXED_TIME in flags_of(GOOD, GOOD, time0=np.array([0, 0, 3600.0]))
    assert QualityFlag.MIXED_TIME in flags_of(GOOD, GOOD, time1=np.array([0, 0, 3600.0]))
    assert QualityFlag.FOLDED in flags_of(GOOD, GOOD[[1, 0, 2]])


def test_seconds_between_lines_of_one_scene_are_not_mixed_times():
    assert flags_of(GOOD, GOOD, time0=np.array([0, 1.4, 2.9])) == QualityFlag.BOUNDARY


def test_inner_triangles_are_not_on_the_boundary():
    xy, cells = lattice()
    vertices = triangulate(xy, cells, 25e3)
    when = np.zeros(len(xy))
    flags = quality_flags(xy, xy, when, when + 1, vertices, 10.0, 25e3)
    inner = np.ptp(xy[vertices].reshape(len(vertices), -1), axis=1) >= 0
    boundary = (flags & QualityFlag.BOUNDARY) > 0
    assert 0 < boundary.sum() < inner.sum()
    centre = np.abs(xy[vertices].mean(axis=1) - xy.mean(axis=0)).max(axis=1) < 12e3
    assert not boundary[centre].any()


@pytest.mark.parametrize(("side", "formed"), [(0.9, 1), (1.9, 1), (2.1, 0)])
def test_triangles_are_formed_to_twice_the_largest_side_and_flagged_from_once(side, formed):
    xy = side * SIDE * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    found = triangulate(xy, np.array([[0, 0], [0, 9], [9, 0]]), SIDE)
    assert len(found) == formed
    if formed:
        flags = quality_flags(xy, xy, np.zeros(3), np.ones(3), found, 10.0, SIDE)
        assert bool(flags[0] & QualityFlag.LONG_SIDE) == (side > 1)


@pytest.mark.parametrize("late", [0, 1])
def test_times_are_mixed_at_the_start_or_at_the_end(late):
    xy = 1e4 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    times = [np.zeros(3), np.full(3, 9e4)]
    times[late] = times[late] + np.array([0.0, 0.0, 121.0])
    flags = quality_flags(xy, xy, *times, np.array([[0, 1, 2]]), 10.0, SIDE)
    assert flags[0] == QualityFlag.MIXED_TIME | QualityFlag.BOUNDARY


def test_a_triangle_that_ends_without_area_is_folded():
    start = 1e4 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    end = 1e4 * np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    flags = quality_flags(start, end, np.zeros(3), np.ones(3), np.array([[0, 1, 2]]), 10.0, SIDE)
    assert flags[0] & QualityFlag.FOLDED


def test_the_map_makes_areas_smaller_near_the_pole():
    """True at 70 N; at the pole the map's scale is 0.97."""
    triangle = 1e4 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    at = {lat: lonlat_to_xy(np.array([-45.0, lat])) + triangle[None] for lat in (60.0, 70.0, 89.0)}
    ratio = {lat: (true_area(xy) / signed_area(xy))[0] for lat, xy in at.items()}
    assert ratio[60.0] < 0.95
    assert ratio[70.0] == pytest.approx(1.0, abs=0.002)
    assert ratio[89.0] == pytest.approx(1.0629, abs=0.002)
