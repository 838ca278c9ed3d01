import numpy as np
import pytest
from rasterio.transform import Affine

from lagrangian_ice.grid import transform
from lagrangian_ice.scenes.georeference import (
    AffineGeoreference,
    GcpGeoreference,
    fit_control_points,
    mean_pixel,
    usable_control_points,
)
from lagrangian_ice.scenes.reader import open_scene, read_georeference

SHAPE = (400, 500)
ROTATED = Affine(80.0, 60.0, -50_000.0, 60.0, -80.0, -600_000.0)
NAME = "ice_20210101T120000_HH.tif"


def swath(rowcol):
    """Map positions of a curved swath, exact, of pixel positions (centres are whole)."""
    v, u = np.moveaxis(np.asarray(rowcol, dtype=float), -1, 0) * 40.0
    x = -30_000.0 + 0.8 * u - 0.6 * v + 3e-7 * u * v
    y = -600_000.0 - 0.6 * u - 0.8 * v + 5e-7 * u * u - 2e-7 * v * v
    return np.stack([x, y], axis=-1)


def control_points(shape=SHAPE, count=8, crs="EPSG:3413"):
    """Rows (row, col, x, y) as files count: (0, 0) is the corner of the first pixel."""
    rows, cols = (np.linspace(0, size, count) for size in shape)
    corner = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.hstack([corner, transform(swath(corner - 0.5), "EPSG:3413", crs)])


def somewhere(shape=SHAPE, margin=0.0, count=500):
    rng = np.random.default_rng(1)
    return rng.uniform(-margin, np.asarray(shape) - 1 + margin, (count, 2))


def test_rotated_affine_is_exact(write_scene):
    path = write_scene(NAME, np.ones(SHAPE, dtype=np.float32), transform=ROTATED)
    reference = read_georeference(open_scene(path))
    rowcol = somewhere(margin=50.0)
    expected = np.stack(ROTATED @ (rowcol[:, 1] + 0.5, rowcol[:, 0] + 0.5), axis=-1)
    np.testing.assert_allclose(reference.xy(rowcol), expected, atol=1e-6)
    np.testing.assert_allclose(reference.rowcol(expected), rowcol, atol=1e-8)
    assert reference.is_swath


def test_first_pixel_centre_of_an_affine_scene_is_row_0_col_0(write_scene):
    path = write_scene(NAME, np.ones(SHAPE, dtype=np.float32))
    reference = read_georeference(open_scene(path))
    np.testing.assert_allclose(reference.xy([0.0, 0.0]), [-49_950.0, -600_050.0], atol=1e-6)
    assert not reference.is_swath


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:4326", "EPSG:5041"])
def test_control_points_count_from_the_corner_half_a_pixel_away(write_scene, crs):
    path = write_scene(
        NAME, np.ones(SHAPE, dtype=np.float32), crs=crs, gcps=control_points(crs=crs)
    )
    reference = read_georeference(open_scene(path))
    rowcol = somewhere()
    error = np.hypot(*(reference.xy(rowcol) - swath(rowcol)).T)
    # half a pixel would be 28 m
    assert error.max() < 0.05
    np.testing.assert_allclose(reference.rowcol(swath(rowcol)), rowcol, atol=1e-3)


def test_all_control_points_are_gone_through():
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 400, (60, 2))
    positions = swath(points) + rng.normal(0, 30, points.shape)
    reference = GcpGeoreference(points, positions, SHAPE)
    # the bicubic spline between the nodes cannot follow noise of this density exactly
    np.testing.assert_allclose(fit_control_points(points, positions)(points), positions, atol=1e-3)
    assert np.abs(reference.xy(points) - positions).max() < 1.0


def test_inverse_of_control_points_reaches_beyond_the_scene():
    table = control_points()
    reference = GcpGeoreference(table[:, :2] - 0.5, table[:, 2:], SHAPE)
    rowcol = somewhere(margin=300.0)
    np.testing.assert_allclose(reference.rowcol(reference.xy(rowcol)), rowcol, atol=1e-6)


def test_repeated_control_points_do_no_harm(write_scene):
    gcps = np.vstack([control_points(), control_points()[:3]])
    reference = read_georeference(
        open_scene(write_scene(NAME, np.ones(SHAPE, dtype=np.float32), gcps=gcps))
    )
    assert np.abs(reference.xy(somewhere()) - swath(somewhere())).max() < 0.05


def test_control_points_on_mountains_are_left_out(write_scene):
    gcps = np.hstack([control_points(), np.zeros((64, 1))])
    high = [9, 10, 17, 30]
    gcps[high, 4] = 600.0
    gcps[high, 2] += 1000.0
    reference = read_georeference(
        open_scene(write_scene(NAME, np.ones(SHAPE, dtype=np.float32), gcps=gcps))
    )
    assert np.abs(reference.xy(somewhere()) - swath(somewhere())).max() < 0.05


def test_heights_that_are_not_terrain_leave_all_points():
    assert usable_control_points(np.full(64, 25.0)).all()
    assert usable_control_points(np.zeros(64)).all()


def test_longitudes_of_either_turn_are_one_place():
    matrix = np.array([[0.01, 0.0, 178.0], [0.0, -0.01, 80.0]])
    reference = AffineGeoreference("EPSG:4326", matrix, (100, 400), geographic=True)
    rowcol = np.array([[50.0, 10.0], [50.0, 390.0]])
    np.testing.assert_allclose(reference.rowcol(reference.xy(rowcol)), rowcol, atol=1e-6)


def test_mean_pixel_of_a_swath():
    table = control_points()
    reference = GcpGeoreference(table[:, :2] - 0.5, table[:, 2:], SHAPE)
    assert mean_pixel(reference) == pytest.approx(40.0, rel=0.01)
