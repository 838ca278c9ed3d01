"""Patches sampled at exact positions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from lagrangian_ice.matching.sampling import (
    MARGIN,
    Band,
    Patches,
    _spline_matrix,
    bridged,
    slope_matrix,
)

HALF = 12


@pytest.fixture
def pixels():
    return gaussian_filter(np.random.default_rng(0).normal(size=(90, 110)), 1.2).astype(np.float32)


def centres(count=60, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).integers([30, 30], [60, 80], (count, 2)))


def moves(at):
    """Warps (N, R, 2, 3) that take the offset 0 to positions (N, R, 2)."""
    turn = torch.eye(2, dtype=torch.float64).expand(*at.shape, 2)
    return torch.cat([turn, at.double()[..., None]], dim=3)


NO_OFFSET = torch.zeros(1, 2)


def test_values_are_those_of_an_interpolating_cubic_spline(pixels):
    middle = centres()
    patches = Patches.around(Band.of(pixels), middle, HALF)
    offset = torch.from_numpy(np.random.default_rng(2).uniform(0, 2 * HALF, (60, 40, 2))).float()
    ours, known = patches.read(NO_OFFSET, moves(offset))
    at = offset.numpy() + middle.numpy()[:, None] - HALF
    theirs = map_coordinates(pixels, at.reshape(-1, 2).T, order=3, mode="mirror").reshape(60, 40)
    assert known is None
    # Read linearly between four values a pixel.
    error = (ours[..., 0].numpy() + pixels.mean() - theirs) / pixels.std()
    assert np.abs(error).max() < 0.04
    assert np.sqrt((error**2).mean()) < 0.01


def test_whole_pixels_are_read_exactly(pixels):
    middle = centres()
    patches = Patches.around(Band.of(pixels), middle, HALF)
    values, _ = patches.read(NO_OFFSET, moves(torch.full((len(middle), 1, 2), float(HALF))))
    expected = pixels[tuple(middle.numpy().T)] - pixels.mean()
    np.testing.assert_allclose(values[:, 0, 0].numpy(), expected, atol=2e-5)


def test_a_warp_takes_each_offset_to_its_place(pixels):
    """Turned, stretched and moved, and so twice for each patch, within and beyond it."""
    patches = Patches.around(Band.of(pixels), centres(5), HALF)
    offsets = torch.tensor([[0.0, 0.0], [3.0, -2.0], [-14.0, 9.0]])
    warp = torch.tensor([[0.9, -0.4, 12.3], [0.3, 1.1, 11.8]], dtype=torch.float64)
    warp = torch.stack([warp, warp + 0.25]).expand(5, 2, 2, 3)
    values, known = patches.read(offsets, warp)
    at = offsets.double() @ warp[..., :2].mT + warp[..., 2][..., None, :]
    one_by_one, known_so = patches.read(NO_OFFSET, moves(at.flatten(1, 2)))
    assert known is not None
    assert set(known.flatten().tolist()) == {True, False}
    assert known.tolist() == known_so.reshape(known.shape).tolist()
    np.testing.assert_allclose(values.numpy(), one_by_one.reshape(values.shape).numpy(), atol=1e-5)


def test_row_and_column_are_not_swapped():
    ramp = np.indices((60, 80), dtype=np.float32)[0] * 10
    patches = Patches.around(Band.of(ramp), torch.tensor([[30, 40]]), HALF)
    value, _ = patches.read(NO_OFFSET, moves(torch.tensor([[[HALF + 0.25, HALF + 3.0]]])))
    assert float(value[0, 0, 0]) + ramp.mean() == pytest.approx(302.5, abs=1e-2)


def test_slopes_are_derivatives(pixels):
    size, corner = 21, (30, 40)
    wide = pixels[
        corner[0] - MARGIN : corner[0] + size + MARGIN, corner[1] : corner[1] + size
    ].astype(np.float64)
    slope = slope_matrix(size, MARGIN).double().numpy() @ wide
    rows, cols = np.meshgrid(np.arange(size) + 30.0, np.arange(size) + 40.0, indexing="ij")
    step = 1e-3
    after, before = (
        map_coordinates(pixels.astype(np.float64), [rows + move, cols], order=3, mode="mirror")
        for move in (step, -step)
    )
    np.testing.assert_allclose(slope, (after - before) / (2 * step), atol=1e-4)


def test_outside_and_beside_gaps_is_not_known(pixels):
    pixels[40, 50] = np.nan
    patches = Patches.around(Band.of(pixels), torch.tensor([[40, 50]]), HALF)
    rows = torch.tensor([[-0.1, HALF - 0.5, HALF + 0.5, HALF + 1.0, HALF + 1.5, 2 * HALF + 0.1]])
    at = torch.stack([rows, torch.full_like(rows, float(HALF))], dim=2)
    values, known = patches.read(NO_OFFSET, moves(at))
    assert known is not None
    assert known[0, :, 0].tolist() == [False, False, False, True, True, False]
    assert torch.isfinite(values).all()


def test_beyond_the_image_is_not_known(pixels):
    values, known = Band.of(pixels).cut(torch.tensor([[-3, 0], [80, 100], [10, 10]]), 20)
    assert known is not None
    assert known.sum(dim=(1, 2)).tolist() == [17 * 20, 10 * 10, 400]
    assert (values[~known] == 0).all()


def test_complete_squares_have_no_mask(pixels):
    assert Band.of(pixels).cut(torch.tensor([[10, 10], [0, 0]]), 20)[1] is None


def test_zero_is_a_value_and_not_missing():
    band = Band.of(np.zeros((30, 30), np.float32))
    assert band.complete
    assert band.cut(torch.tensor([[5, 5]]), 10)[1] is None


def test_gaps_are_bridged_by_the_mean_of_the_rest():
    values = torch.tensor([[[1.0, 3.0], [99.0, 5.0]]])
    known = torch.tensor([[[True, True], [False, True]]])
    assert bridged(values, known)[0, 1, 0] == pytest.approx(3.0)


def cut_by_hand(pixels, corner, size):
    """What has no data, or is outside, is NaN."""
    wide = np.pad(pixels, 200, constant_values=np.nan)
    row, col = corner + 200
    return wide[row : row + size, col : col + size]


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("corners", [[(5, 7), (40, 60)], [(5, 7), (-3, 60)], [(80, 100), (-90, 4)]])
def test_squares_inside_across_and_outside_the_image(pixels, gap, corners):
    if gap:
        pixels[20:24, 10:13] = np.nan
    size = 21
    corner = torch.tensor(corners)
    values, known = Band.of(pixels).cut(corner, size)
    expected = np.stack([cut_by_hand(pixels, c, size) for c in corner.numpy()])
    there = np.isfinite(expected)
    assert (known is None) == there.all()
    if known is not None:
        np.testing.assert_array_equal(known.numpy(), there)
    mean = np.nanmean(pixels)
    np.testing.assert_allclose(values.numpy(), np.where(there, expected - mean, 0), atol=1e-6)


def test_share_is_that_of_the_pixels_with_data(pixels):
    pixels[20:40, 10:30] = np.nan
    centre = torch.tensor([[30.0, 20.0], [12.4, 12.6], [2.0, 3.0], [-50.0, 20.0], [88.0, 200.0]])
    share = Band.of(pixels).share(centre, 8)
    corners = np.floor(centre.numpy() + 0.5).astype(int) - 8
    by_hand = [np.isfinite(cut_by_hand(pixels, corner, 17)).mean() for corner in corners]
    np.testing.assert_allclose(share.numpy(), by_hand, atol=1e-6)


def test_matrices_hold_no_number_so_small_that_processors_slow_down():
    size = 129
    patches = Patches.around(Band.of(np.ones((200, 200), np.float32)), torch.tensor([[99, 99]]), 64)
    assert torch.isfinite(patches.fine).all()
    for matrix in (_spline_matrix(size), slope_matrix(size, MARGIN)):
        weights = matrix[matrix != 0].abs()
        # Products with image values of 1e-25 are still normal numbers of float32.
        assert weights.min() > 0.99e-12
        assert (matrix != 0).float().mean() < 0.5
