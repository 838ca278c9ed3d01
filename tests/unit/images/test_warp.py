import numpy as np
import pytest
from scipy.interpolate import RectBivariateSpline

from lagrangian_ice.grid import Grid
from lagrangian_ice.images.warp import LATTICE_STEP, PixelMap
from lagrangian_ice.scenes.georeference import AffineGeoreference, GcpGeoreference

GRID = Grid(100_050.0, -650_050.0, 100.0, (700, 900))


def polar_affine(crs="EPSG:5041"):
    """A north-up 100 m scene of the universal polar stereographic map, over GRID's area."""
    return AffineGeoreference(
        crs, np.array([[100.0, 0, 2_450_000.0], [0, -100.0, 1_650_000.0]]), (1500, 1500)
    )


def swath():
    """Strongly curved swath: 5 px of sag over the image."""
    rows, cols = np.meshgrid(
        np.linspace(-0.5, 999.5, 9), np.linspace(-0.5, 999.5, 9), indexing="ij"
    )
    rowcol = np.column_stack([rows.ravel(), cols.ravel()])
    v, u = rowcol.T * 100.0
    x = 100_000.0 + 0.8 * u - 0.6 * v + 5e-7 * u * u
    y = -640_000.0 - 0.6 * u - 0.8 * v + 3e-7 * u * v
    return GcpGeoreference(rowcol, np.column_stack([x, y]), (1000, 1000))


@pytest.mark.parametrize("reference", [polar_affine(), swath()], ids=["map", "swath"])
def test_positions_between_the_lattice_are_exact_to_a_hundredth_pixel(reference):
    pixel_map = PixelMap(GRID, reference)
    row, col = pixel_map.rowcol(slice(0, 700), slice(0, 900))
    rows, cols = np.meshgrid(np.arange(0, 700, 7), np.arange(0, 900, 11), indexing="ij")
    exact = reference.rowcol(GRID.xy(np.stack([rows, cols], axis=-1)))
    assert np.abs(row[::7, ::11] - exact[..., 0]).max() < 0.01
    assert np.abs(col[::7, ::11] - exact[..., 1]).max() < 0.01
    assert np.median(np.abs(row[::7, ::11] - exact[..., 0])) < 1e-4


@pytest.mark.parametrize(
    ("reference", "straight"), [(polar_affine(), True), (swath(), False)], ids=["map", "swath"]
)
def test_positions_between_maps_of_one_projection_are_affine(reference, straight):
    row, col = PixelMap(GRID, reference).rowcol(slice(37, 690), slice(13, 888))
    for there in (row, col):
        bent = there[0, 0] + there[-1, -1] - there[0, -1] - there[-1, 0]
        assert (abs(bent) < 1e-6) == straight
    exact = reference.rowcol(GRID.xy(np.array([[37, 13], [689, 887]])))
    found = np.stack([row, col], axis=-1)[[0, -1], [0, -1]]
    np.testing.assert_allclose(found, exact, atol=1e-5 if straight else 0.01)


def test_blocks_agree_with_the_whole():
    pixel_map = PixelMap(GRID, swath())
    whole = pixel_map.rowcol(slice(0, 700), slice(0, 900))
    part = pixel_map.rowcol(slice(300, 420), slice(512, 900))
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a[300:420, 512:900], b, atol=1e-9)


def test_spline_is_that_of_fitpack():
    pixel_map = PixelMap(GRID, swath())
    nodes = [
        (np.arange(n) - 3.0) * LATTICE_STEP
        for n in (699 // LATTICE_STEP + 8, 899 // LATTICE_STEP + 8)
    ]
    exact = pixel_map.georeference.rowcol(
        GRID.xy(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1))
    )
    rows, cols = slice(0, 700), slice(17, 900)
    for axis, found in enumerate(pixel_map.rowcol(rows, cols)):
        spline = RectBivariateSpline(*nodes, exact[..., axis])
        expected = spline(np.arange(0, 700), np.arange(17, 900))
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_longitudes_and_latitudes_over_the_pole():
    # rows from 90N southward, columns around the whole pole
    matrix = np.array([[0.05, 0, -180.0], [0, -0.001, 90.0]])
    reference = AffineGeoreference("EPSG:4326", matrix, (2000, 7200), geographic=True)
    grid = Grid(-49_950.0, 49_950.0, 100.0, (1000, 1000))
    row, col = PixelMap(grid, reference).rowcol(slice(480, 520), slice(480, 520))
    rows, cols = np.meshgrid(np.arange(480, 520), np.arange(480, 520), indexing="ij")
    there = reference.xy(np.stack([row, col], axis=-1))
    np.testing.assert_allclose(there, grid.xy(np.stack([rows, cols], axis=-1)), atol=1e-3)


def test_scale_counts_source_pixels():
    fine = AffineGeoreference(
        "EPSG:3413", np.array([[32.0, 24.0, 1e5], [24.0, -32.0, -6e5]]), (900, 900)
    )
    assert PixelMap(GRID, fine).scale() == pytest.approx((2.5, 2.5))
    oblong = AffineGeoreference(
        "EPSG:3413", np.array([[50.0, 0.0, 1e5], [0.0, -25.0, -6e5]]), (900, 900)
    )
    assert PixelMap(GRID, oblong).scale() == pytest.approx((4.0, 2.0))


@pytest.mark.parametrize("reference", [polar_affine(), swath()], ids=["map", "swath"])
def test_only_blocks_without_the_scene_are_passed_over(reference):
    pixel_map = PixelMap(GRID, reference)
    passed = 0
    for top in range(0, 700, 50):
        for left in range(0, 900, 50):
            block = slice(top, top + 50), slice(left, left + 50)
            row, col = pixel_map.rowcol(*block)
            rows, cols = reference.shape
            seen = (row >= -0.5) & (row <= rows - 0.5) & (col >= -0.5) & (col <= cols - 0.5)
            touches = pixel_map.touches(*block)
            assert touches or not seen.any()
            passed += not touches
    assert passed > 0
