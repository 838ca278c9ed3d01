"""Cells, consensus, motion field and the first guess, on descriptors made by hand."""

import numpy as np
import pytest
import torch

from lagrangian_ice.grid import Grid
from lagrangian_ice.matching import cells
from lagrangian_ice.matching import first_guess as first_guess_module
from lagrangian_ice.matching.cells import (
    CellPair,
    Windows,
    any_of_block,
    block_centres,
    match_cells,
    strongest_cells,
)
from lagrangian_ice.matching.first_guess import (
    first_guess,
    motion_field,
    own_displacement,
    sample_descriptors,
)
from lagrangian_ice.settings import FirstGuessSettings
from lagrangian_ice.superlim.features import Features, cell_to_rowcol

PIXEL = 100.0


def features(descriptors, x0=0.0, y0=0.0, valid=None):
    height, width = descriptors.shape[:2]
    valid = np.ones((height, width), bool) if valid is None else valid
    unit = descriptors / np.linalg.norm(descriptors, axis=-1, keepdims=True)
    unit = np.where(valid[..., None], unit, 0).astype(np.float16)
    grid = Grid(x0, y0, PIXEL, (height * 8 + 3, width * 8 + 5))
    return Features(grid, np.zeros((height, width), np.float32), unit, valid, "")


def shifted_pair(rows=40, cols=48, shift=(5, -7), seed=0, outside=(0, 0)):
    """Cells moved by whole cells; the target grid is also offset by whole pixels."""
    rng = np.random.default_rng(seed)
    ice = rng.normal(size=(rows + 40, cols + 40, 256))
    source = ice[20 : 20 + rows, 20 : 20 + cols]
    target = ice[20 - shift[0] : 20 - shift[0] + rows, 20 - shift[1] : 20 - shift[1] + cols]
    first = features(source, 5000.0, 9000.0)
    second = features(target, 5000.0 + outside[1] * PIXEL, 9000.0 - outside[0] * PIXEL)
    truth = np.array(
        [shift[1] * 800.0 + outside[1] * PIXEL, -shift[0] * 800.0 - outside[0] * PIXEL]
    )
    return first, second, truth


def still(source, radius):
    """Windows around where the cells are."""
    return Windows(16, np.zeros_like(block_centres(source, 16)), radius)


def test_strongest_cell_of_each_group_is_chosen():
    source, _, _ = shifted_pair(rows=5, cols=6)
    source.scores[...] = np.arange(30).reshape(5, 6)
    source.valid[3, 3] = False
    chosen = np.argwhere(strongest_cells(source, 2)).tolist()
    expected = [[1, 1], [1, 3], [1, 5], [3, 1], [3, 2], [3, 5], [4, 1], [4, 3], [4, 5]]
    assert sorted(chosen) == sorted(expected)


def test_only_the_cells_asked_for_are_matched():
    source, target, _ = shifted_pair()
    looking = strongest_cells(source, 4)
    matches = match_cells(CellPair.of(source, target), still(source, 10_000.0), looking)
    assert 0 < len(matches) <= looking.sum()


@pytest.mark.parametrize("most", [1, 5_000, 40_000])
def test_a_block_that_is_compared_in_parts_matches_the_same(monkeypatch, most):
    source, target, _ = shifted_pair()
    windows = still(source, 10_000.0)
    whole = match_cells(CellPair.of(source, target), windows)
    monkeypatch.setattr(cells, "LARGEST", most)
    parts = match_cells(CellPair.of(source, target), windows)
    np.testing.assert_array_equal(parts.xy0, whole.xy0)
    np.testing.assert_allclose(parts.xy1, whole.xy1, rtol=0, atol=0.1)
    np.testing.assert_allclose(parts.similarity, whole.similarity, rtol=0, atol=1e-5)


@pytest.mark.parametrize("outside", [(0, 0), (3, -11)])
def test_whole_cell_motion_is_found_on_grids_with_another_origin(outside):
    source, target, truth = shifted_pair(outside=outside)
    matches = match_cells(CellPair.of(source, target), still(source, 10_000.0))
    # Cells that left the image match at random; their similarity is that of strangers.
    right = matches[matches.similarity > 0.9]
    assert len(right) > 0.5 * source.valid.size
    # Neighbours of random descriptors pull at random, by a tenth of a cell or so.
    assert np.linalg.norm(right.displacement - truth, axis=1).max() < 160
    assert np.abs(np.median(right.displacement - truth, axis=0)).max() < 5


def test_nothing_is_matched_beyond_the_window():
    """From any cell it reaches to the far rim of its block's square, 16 + 5 cells from a corner."""
    source, target, _ = shifted_pair()
    matches = match_cells(CellPair.of(source, target), still(source, 4000.0), between=False)
    assert np.abs(matches.displacement).max() <= (15 + 5) * 800
    assert (np.abs(matches.displacement) > 5 * 800).any()


def test_all_that_is_within_the_radius_is_compared():
    """The target is as far as the window is wide, in either direction."""
    for shift in ((9, 0), (-9, 0), (0, 9), (0, -9)):
        source, target, truth = shifted_pair(shift=shift)
        matches = match_cells(CellPair.of(source, target), still(source, 9 * 800.0))
        right = np.linalg.norm(matches.displacement - truth, axis=1) < 160
        inside = (np.arange(40) + shift[0] >= 0) & (np.arange(40) + shift[0] < 40)
        across = (np.arange(48) + shift[1] >= 0) & (np.arange(48) + shift[1] < 48)
        assert right.sum() > 0.95 * inside.sum() * across.sum()


def test_windows_that_leave_the_target_match_nothing():
    source, target, _ = shifted_pair()
    windows = still(source, 1000.0)
    far = Windows(16, windows.displacement + 1e6, 1000.0)
    assert len(match_cells(CellPair.of(source, target), far)) == 0
    unknown = Windows(16, windows.displacement * np.nan, 1000.0)
    assert len(match_cells(CellPair.of(source, target), unknown)) == 0


def test_cells_without_data_match_nothing_and_leave_no_trace():
    source, target, truth = shifted_pair()
    holes = np.random.default_rng(3).random(source.valid.shape) < 0.3
    kept = features(source.descriptors.astype(float), 5000.0, 9000.0, ~holes)
    pair = CellPair.of(kept, target)
    assert pair.source_descriptors.shape[0] == (~holes).sum()
    matches = match_cells(pair, still(source, 10_000.0))
    right = matches[matches.similarity > 0.9]
    cells = np.rint((kept.grid.rowcol(right.xy0) - 3.5) / 8).astype(int)
    assert not holes[tuple(cells.T)].any()
    assert np.linalg.norm(right.displacement - truth, axis=1).max() < 160


def test_matches_do_not_depend_on_the_number_of_threads():
    source, target, _ = shifted_pair()
    before = torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        field = motion_field(source, target, 86400.0, FirstGuessSettings())
        found.append((field.xy, field.displacement, field.rotation))
    torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_blocks_that_hold_a_cell():
    cells = np.zeros((5, 9), bool)
    cells[4, 8] = cells[0, 1] = True
    expected = [[True, False, False], [False, False, True]]
    np.testing.assert_array_equal(any_of_block(cells, 4), expected)


def test_first_axes_are_the_strongest():
    rng = np.random.default_rng(9)
    mixed = rng.normal(size=(20, 256)) * np.linspace(3, 0.1, 20)[:, None]
    source, target = (features(rng.normal(size=(30, 30, 20)) @ mixed) for _ in range(2))
    pair = CellPair.of(source, target)
    strength = (pair.source_descriptors**2).sum(dim=0)
    assert (strength[:8] > strength[8:16]).all()
    fewer = pair.along(8)
    assert torch.equal(fewer.source_descriptors, pair.source_descriptors[:, :8])


def test_window_follows_the_expected_displacement():
    source, target, truth = shifted_pair()
    expected = np.broadcast_to(truth + np.array([800.0, 0.0]), block_centres(source, 16).shape)
    matches = match_cells(CellPair.of(source, target), Windows(16, expected, 2500.0))
    np.testing.assert_allclose(np.median(matches.displacement, axis=0), truth, atol=1)


def test_different_pixels_are_refused():
    source, target, _ = shifted_pair()
    other = Features(
        Grid(0, 0, 50.0, source.grid.shape), target.scores, target.descriptors, target.valid, ""
    )
    with pytest.raises(ValueError, match="do not match"):
        match_cells(CellPair.of(source, other), still(source, 1e4))


def guessed(source, target, xy):
    settings = FirstGuessSettings()
    field = motion_field(source, target, 86400.0, settings)
    return first_guess(source, target, field, xy, settings)


def test_descriptors_of_few_dimensions_are_compared_in_as_many():
    rng = np.random.default_rng(9)
    mixed = rng.normal(size=(20, 256))
    source, target = (features(rng.normal(size=(30, 30, 20)) @ mixed) for _ in range(2))
    pair = CellPair.of(source, target)
    assert pair.source_descriptors.shape == (900, 32)
    full = source.descriptors.reshape(-1, 256).astype(float)
    expected = full @ target.descriptors.reshape(-1, 256).astype(float).T
    found = pair.source_descriptors @ pair.target_descriptors.T
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


def test_descriptors_that_vary_along_every_axis_are_compared_whole():
    source, target, _ = shifted_pair()
    assert CellPair.of(source, target).source_descriptors.shape[1] == 256


def test_images_without_data_have_no_matches():
    source, target, _ = shifted_pair()
    empty = features(np.ones((40, 48, 256)), valid=np.zeros((40, 48), bool))
    assert len(match_cells(CellPair.of(empty, target), still(empty, 1e4))) == 0
    guess = guessed(source, empty, np.array([[7000.0, 7000.0]]))
    assert np.isnan(guess.displacement).all()
    assert np.isinf(guess.error).all()


def test_descriptor_at_a_cell_centre_is_the_cells_own():
    source, _, _ = shifted_pair()
    xy = source.grid.xy(cell_to_rowcol(np.array([[4.0, 9.0], [11.5, 9.0], [-1.0, 2.0]])))
    sampled = sample_descriptors(source, xy)
    np.testing.assert_allclose(sampled[0], source.descriptors[4, 9], atol=2e-3)
    between = source.descriptors[11, 9].astype(float) + source.descriptors[12, 9]
    np.testing.assert_allclose(sampled[1], between / np.linalg.norm(between), atol=2e-3)
    assert np.isnan(sampled[2]).all()


def test_own_descriptor_finds_its_cell():
    source, target, truth = shifted_pair()
    xy = source.grid.xy(cell_to_rowcol(np.array([[20.0, 20.0], [25.0, 30.0]])))
    expected = np.tile(truth + np.array([1600.0, 800.0]), (2, 1))
    found = own_displacement(source, target, xy, expected, 4)
    np.testing.assert_allclose(found, np.tile(truth, (2, 1)), atol=80)


def test_parcel_beside_a_crack_follows_its_own_side():
    """Three quarters of the matches around are on the other plate."""
    rng = np.random.default_rng(5)
    ice = rng.normal(size=(80, 80, 256))
    target = ice.copy()
    target[:, 40:] = np.roll(ice[:, 40:], 6, axis=0)
    source, target = features(ice), features(target)
    xy = source.grid.xy(cell_to_rowcol(np.array([[40.0, 38.0], [40.0, 42.0]])))
    guess = guessed(source, target, xy)
    np.testing.assert_allclose(guess.displacement, [[0.0, 0.0], [0.0, -4800.0]], atol=250)


def test_first_guess_of_a_whole_field_with_its_error():
    source, target, truth = shifted_pair(rows=64, cols=64)
    xy = source.grid.xy(np.random.default_rng(6).uniform(120, 380, (40, 2)))
    guess = guessed(source, target, xy)
    error = np.linalg.norm(guess.displacement - truth, axis=1)
    assert error.max() < 100
    assert guess.error.max() < 800


def test_no_parcels_descriptor_is_asked_where_all_matches_agree(monkeypatch):
    asked = []
    true = first_guess_module.own_displacement

    def counted(source, target, xy, expected, radius):
        asked.append(len(xy))
        return true(source, target, xy, expected, radius)

    monkeypatch.setattr(first_guess_module, "own_displacement", counted)
    source, target, _ = shifted_pair(rows=64, cols=64)
    guessed(source, target, source.grid.xy(np.random.default_rng(6).uniform(150, 350, (40, 2))))
    assert asked == [0]


def test_where_the_strongest_cells_do_not_agree_all_are_asked():
    """Descriptors so changed that one cell in twenty finds its like."""
    source, target, truth = shifted_pair(rows=64, cols=64, seed=5)
    noise = np.random.default_rng(6).normal(size=target.descriptors.shape)
    changed = features(target.descriptors + 0.3 * noise, 5000.0, 9000.0)
    field = motion_field(source, changed, 86400.0, FirstGuessSettings())
    assert len(field) > 1000
    assert np.abs(np.median(field.displacement, axis=0) - truth).max() < 150
