import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, spline_filter

from lagrangian_ice.images.resample import (
    Source,
    block_mean,
    reduce_rows,
    reduction,
    sample,
    spline_coefficients,
    subtract_between_nodes,
)


def ramp(shape=(60, 70)):
    row, col = np.indices(shape)
    return (2.0 * row + 3.0 * col + 100.0).astype(np.float32)


def source(pixels, factors=(1, 1), sigma=(0.0, 0.0)):
    return Source(np.asarray(pixels, dtype=np.float32), factors, sigma)


def test_block_mean_small_example():
    pixels = np.array([[1, 3, 5, 7, 9], [1, 3, 5, 7, 9], [4, 4, 8, 8, 2]], dtype=np.float32)
    np.testing.assert_array_equal(block_mean(pixels, (2, 2)), [[2, 6, np.nan], [np.nan] * 3])
    np.testing.assert_array_equal(block_mean(pixels, (1, 1)), pixels)
    np.testing.assert_allclose(block_mean(pixels, (3, 1)), [[2, 10 / 3, 6, 22 / 3, 20 / 3]], 1e-6)


def test_block_mean_leaves_missing_pixels_out():
    pixels = np.array([[1, np.nan, np.nan, np.nan], [3, 5, np.nan, 8]], dtype=np.float32)
    np.testing.assert_array_equal(block_mean(pixels, (2, 2)), [[3, np.nan]])


def test_reduction_of_rows_in_blocks_is_that_of_the_whole():
    pixels = np.random.default_rng(0).normal(size=(37, 41)).astype(np.float32)
    pixels[5:9, 3:30] = np.nan
    blocks = ((row, pixels[row : row + 9]) for row in range(0, 37, 9))
    np.testing.assert_array_equal(
        reduce_rows(blocks, pixels.shape, (3, 2)), block_mean(pixels, (3, 2))
    )


@pytest.mark.parametrize(
    ("scale", "factors", "sigma"),
    [
        ((0.4, 0.4), (1, 1), (0, 0)),
        ((1.0, 1.0), (1, 1), (0, 0)),
        ((2.5, 1.25), (2, 1), (0.375, 0.375)),
        ((4.0, 3.0), (4, 3), (0, 0)),
    ],
)
def test_reduction_follows_the_scale(scale, factors, sigma):
    assert reduction(scale) == (factors, pytest.approx(sigma))


def test_half_pixel_of_the_block_mean():
    # a block of k pixels has its centre at their mean: 0.5 for 2, 1.0 for 3
    pixels = ramp((160, 160))
    for factors in [(2, 2), (3, 3), (3, 2), (4, 1)]:
        reduced = source(block_mean(pixels, factors), factors)
        row, col = np.meshgrid(np.linspace(70, 90, 23), np.linspace(70, 90, 29), indexing="ij")
        values = sample(reduced, row, col)
        np.testing.assert_allclose(values, 2 * row + 3 * col + 100, atol=1e-3)


def test_positions_are_not_rounded():
    row, col = np.full((1, 400), 30.0), np.linspace(20, 40, 400)[None]
    values = sample(source(ramp()), row, col)
    np.testing.assert_allclose(np.diff(values), 3 * np.diff(col), atol=2e-4)


def test_smoothing_does_not_shift():
    values = sample(source(ramp(), sigma=(0.8, 0.8)), np.full((1, 5), 30.3), np.full((1, 5), 25.7))
    np.testing.assert_allclose(values, 2 * 30.3 + 3 * 25.7 + 100, atol=1e-3)


def test_outside_and_not_finite_positions_are_missing():
    row = np.array([[-0.6, -0.4, 59.4, 59.6, np.nan, 5.0, 5.0]])
    col = np.array([[5.0, 5.0, 5.0, 5.0, 5.0, 69.6, np.inf]])
    missing = np.isnan(sample(source(ramp()), row, col))
    np.testing.assert_array_equal(missing, [[True, False, False, True, True, True, True]])


def test_missing_pixels_do_not_bleed():
    pixels = np.full((60, 70), 5.0, dtype=np.float32)
    pixels[:, 40:] = np.nan
    row, col = np.meshgrid(np.linspace(10, 50, 33), np.linspace(30, 50, 201), indexing="ij")
    for sigma in [(0.0, 0.0), (0.7, 0.7)]:
        values = sample(source(pixels, sigma=sigma), row, col)
        np.testing.assert_allclose(values[np.isfinite(values)], 5.0, atol=1e-5)
        np.testing.assert_array_equal(np.isfinite(values), col <= 39.5)


def test_single_missing_pixel_is_missing_and_no_more():
    pixels = ramp()
    pixels[30, 30] = np.nan
    values = sample(source(pixels), *np.meshgrid(np.arange(60.0), np.arange(70.0), indexing="ij"))
    np.testing.assert_array_equal(np.isnan(values), np.isnan(pixels))
    np.testing.assert_allclose(values[np.isfinite(values)], pixels[np.isfinite(pixels)], atol=1e-3)


def test_result_does_not_depend_on_the_tile():
    pixels = np.random.default_rng(3).normal(10, 2, (200, 200)).astype(np.float32)
    pixels[90:95, 20:180] = np.nan
    image = source(pixels, sigma=(0.4, 0.4))
    row, col = np.meshgrid(np.arange(0.3, 199, 0.9), np.arange(0.1, 199, 0.9), indexing="ij")
    whole = sample(image, row, col)
    part = sample(image, row[60:150, 80:130], col[60:150, 80:130])
    np.testing.assert_allclose(part, whole[60:150, 80:130], atol=1e-4)


def test_averaging_down_removes_what_the_output_cannot_hold():
    _, col = np.indices((300, 300))
    wave = np.sin(2 * np.pi * col / 2.3).astype(np.float32)
    at = np.meshgrid(np.arange(30, 270, 3.7), np.arange(30, 270, 3.7), indexing="ij")
    factors, sigma = reduction((3.7, 3.7))
    folded = sample(source(wave), *at)
    averaged = sample(source(block_mean(wave, factors), factors, sigma), *at)
    assert folded.std() > 0.5
    assert averaged.std() < 0.2


@pytest.mark.parametrize("sigma", [(0.0, 0.0), (0.8, 0.4)])
def test_coefficients_are_those_of_a_gaussian_and_the_recursive_filter(sigma):
    pixels = np.random.default_rng(5).gamma(4, 2, (80, 90)).astype(np.float32)
    smooth = gaussian_filter(pixels.astype(np.float64), sigma, mode="mirror", truncate=4.0)
    expected = spline_filter(smooth, mode="mirror")
    np.testing.assert_allclose(spline_coefficients(pixels, sigma), expected, atol=1e-3)


def test_a_plane_between_nodes_is_taken_out():
    row, col = np.indices((75, 50))
    plane = (3.0 * row - 2.0 * col + 5.0).astype(np.float32)
    nodes = np.add.outer(3.0 * np.arange(0, 97, 32) + 5.0, -2.0 * np.arange(0, 65, 32))
    subtract_between_nodes(plane, nodes.astype(np.float32), 32)
    np.testing.assert_allclose(plane, 0, atol=1e-4)
