"""The part of two passes that a few parcels have to do with."""

import numpy as np
import pytest

from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.matching.match import match_field, match_images
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.parcels.nearby import (
    REFINING,
    are_few,
    around_ends,
    cut,
    surroundings,
    tiles_around,
)
from lagrangian_ice.settings import FirstGuessSettings, MccSettings
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol

PIXEL = 100.0
TILE = 12_800.0
SHAPE = (965, 1030)
DAY = 86400.0


def ready(shift=(0, 0), day=0.0, seed=4):
    """Noise moved by whole cells, with descriptors that are noise moved alike."""
    rng = np.random.default_rng(seed)
    rows, cols = SHAPE
    cells = (rows // STRIDE, cols // STRIDE)
    pixels = rng.normal(-15, 3, (rows + 80, cols + 80)).astype(np.float32)
    described = rng.normal(size=(cells[0] + 10, cells[1] + 10, 256))
    described /= np.linalg.norm(described, axis=-1, keepdims=True)
    scores = rng.uniform(size=described.shape[:2]).astype(np.float32)
    i, j = shift
    there = (slice(i, i + cells[0]), slice(j, j + cells[1]))
    nodes = (-(-rows // TIME_STRIDE) + 1, -(-cols // TIME_STRIDE) + 1)
    times = day * DAY + 0.5 * np.arange(nodes[0])[:, None] + 0.01 * np.arange(nodes[1])
    grid = Grid(-700_000.0, 200_000.0, PIXEL, SHAPE)
    data = pixels[None, 8 * i : 8 * i + rows, 8 * j : 8 * j + cols]
    land = np.zeros(SHAPE, dtype=np.bool_)
    image = GeoImage(f"day{day}", (), grid, ("HH",), "db", data, land, times)
    valid = np.ones(cells, dtype=np.bool_)
    return image, Features(grid, scores[there], described[there].astype(np.float16), valid, "")


def test_tiles_are_those_of_the_parcels_and_around():
    tiles = tiles_around(np.array([[100.0, 100.0], [200.0, 300.0]]), PIXEL)
    assert sorted(map(tuple, tiles.tolist())) == [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    beside = tiles_around(np.array([[100.0, 100.0], [TILE + 1, 100.0]]), PIXEL)
    assert len(beside) == 12
    # Of a finer image a tile is smaller: it has so many cells.
    assert len(tiles_around(np.array([[100.0, 100.0], [TILE + 1, 100.0]]), PIXEL / 4)) == 18


def test_few_are_those_whose_tiles_are_less_than_the_pass():
    one = np.array([[0.0, 0.0]])
    assert are_few(one, 12 * TILE**2, PIXEL)
    assert not are_few(one, 9 * TILE**2, PIXEL)
    assert not are_few(np.random.default_rng(0).uniform(0, 1e5, (99, 2)), 1e10, PIXEL)


@pytest.mark.parametrize(
    "box",
    [
        (-690_000.0, 150_000.0, -660_000.0, 190_000.0),
        (-9e6, -9e6, 9e6, 9e6),
        (-640_000.0, 110_000.0, 9e6, 125_000.0),
        (9e5, -9e5, 9.1e5, -8.9e5),
        (-9e5, 9e5, -8.9e5, 9.1e5),
    ],
)
def test_what_is_cut_out_lies_where_it_lay(box):
    image, features = ready()
    part, some = cut((image, features), box)
    assert part.grid == some.grid
    rows, cols = part.grid.shape
    assert min(rows, cols) >= STRIDE
    assert some.valid.shape == (rows // STRIDE, cols // STRIDE)
    offset = np.rint(image.grid.rowcol(part.grid.xy([0.0, 0.0]))).astype(int)
    assert (offset % TIME_STRIDE == 0).all()
    i, j = offset
    np.testing.assert_array_equal(part.data, image.data[:, i : i + rows, j : j + cols])
    i, j = offset // STRIDE
    height, width = some.valid.shape
    expected = features.descriptors[i : i + height, j : j + width]
    np.testing.assert_array_equal(some.descriptors, expected)
    corners = part.grid.xy(np.array([[0, 0], [rows - 1, cols - 1], [3.3, cols / 2]]))
    np.testing.assert_allclose(part.time_at(corners), image.time_at(corners), atol=1e-6)
    inside = image.grid.contains([box[:2], box[2:]])
    if inside.all():
        assert part.grid.contains([box[:2], box[2:]]).all()


def test_few_parcels_are_found_as_in_the_whole_passes():
    source, target = ready(), ready((3, 2), 1.0)
    corner = np.array([-672_000.0, 172_000.0])
    xy = corner + np.random.default_rng(1).uniform(0, 5000, (7, 2))
    settings = FirstGuessSettings(max_speed=0.1)
    near, reached = surroundings(source, target, xy, settings)
    assert near[0].data.size < 0.6 * source[0].data.size
    field = match_field(*near, *reached, settings)
    # Only cells of the tiles are matched, and there is nothing else between the two.
    tiles = {tuple(tile) for tile in tiles_around(xy, PIXEL).tolist()}
    assert {tuple(tile) for tile in np.floor(field.xy / TILE).astype(int).tolist()} <= tiles
    cells = near[0].grid.xy(cell_to_rowcol(np.argwhere(near[1].valid)))
    assert len(field) > 0.6 * len(cells)
    ends = around_ends(target, xy, field, settings)
    assert ends[0].data.size < target[0].data.size
    mcc = MccSettings()
    found = match_images(*near, *ends, xy, settings, mcc, field)
    whole = match_images(*source, *target, xy, settings, mcc)
    assert found.tracked.all()
    np.testing.assert_array_equal(found.status, whole.status)
    moved = np.array([-2, 3]) * STRIDE * PIXEL
    np.testing.assert_allclose(found.xy1 - xy, np.tile(moved, (7, 1)), atol=2)
    np.testing.assert_allclose(found.xy1, whole.xy1, atol=2)
    np.testing.assert_allclose(found.time1, whole.time1, atol=1e-3)


def test_the_target_reaches_as_far_as_ice_can_go():
    source, target = ready(), ready((0, 0), 1.0)
    xy = np.array([[-640_000.0, 150_000.0]])
    slow, fast = (
        surroundings(source, target, xy, FirstGuessSettings(max_speed=speed))[1][0].grid.bounds
        for speed in (0.05, 0.2)
    )
    assert fast[0] < slow[0]
    own = (np.floor(xy[0] / TILE) - 1) * TILE
    assert slow[0] <= own[0] - 0.05 * DAY
    assert slow[1] <= own[1] - 0.05 * DAY


def test_without_a_field_the_whole_target_is_left():
    _, target = ready(), ready()
    nothing = MotionField(np.empty((0, 2)), np.empty((0, 2)), np.empty(0), 1200.0)
    xy = np.array([[-665_000.0, 168_000.0]])
    assert around_ends(target, xy, nothing, FirstGuessSettings()) is target


def test_around_the_ends_there_is_room_for_the_refinement():
    target = ready()
    xy = np.random.default_rng(0).uniform(0, 2000, (50, 2))
    xy += np.array([-668_000.0, 166_000.0])
    field = MotionField(xy, np.full((50, 2), 800.0), np.zeros(50), 1200.0)
    part, _ = around_ends(target, xy, field, FirstGuessSettings())
    xmin, ymin, xmax, ymax = part.grid.bounds
    margin = REFINING * PIXEL
    low, high = (xy + 800).min(axis=0) - margin, (xy + 800).max(axis=0) + margin
    limits = np.clip([low, high], target[0].grid.bounds[:2], target[0].grid.bounds[2:])
    assert xmin <= limits[0, 0]
    assert ymin <= limits[0, 1]
    assert xmax >= limits[1, 0]
    assert ymax >= limits[1, 1]
    # and not much more: the box begins and ends at nodes of time
    room = TIME_STRIDE * PIXEL
    assert xmin >= limits[0, 0] - room
    assert ymax <= limits[1, 1] + room


def test_the_target_reaches_a_tile_farther_than_ice_can_go_either_way_in_time():
    xy = np.array([[-640_000.0, 150_000.0]])
    own = (np.floor(xy[0] / TILE) - 1) * TILE
    settings = FirstGuessSettings(max_speed=0.1)
    for first, second in ((0.0, 1.0), (1.0, 0.0)):
        source, target = ready(day=first), ready(day=second)
        _, (reached, _) = surroundings(source, target, xy, settings)
        xmin, ymin, _, _ = reached.grid.bounds
        assert xmin <= own[0] - 0.1 * DAY - TILE
        assert ymin <= own[1] - 0.1 * DAY - TILE


def test_around_the_ends_are_those_of_the_field_and_those_of_the_parcels():
    target = ready()
    margin = REFINING * PIXEL
    there = np.array([-660_000.0, 160_000.0])
    beside = there + np.array([8_000.0, 8_000.0])
    around = there + np.random.default_rng(0).uniform(0, 2000, (50, 2))
    field = MotionField(around, np.full((50, 2), 800.0), np.zeros(50), 1200.0)
    part, _ = around_ends(target, beside[None], field, FirstGuessSettings())
    xmin, ymin, xmax, ymax = part.grid.bounds
    limits = target[0].grid.bounds
    low, high = there + 900 - margin, beside + 700 + margin
    assert xmin <= max(low[0], limits[0])
    assert ymin <= max(low[1], limits[1])
    assert xmax >= min(high[0], limits[2])
    assert ymax >= min(high[1], limits[3])
