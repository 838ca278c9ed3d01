import numpy as np
import pytest

from lagrangian_ice.images import land_bitmap
from lagrangian_ice.images.land_bitmap import (
    CELLS,
    COAST,
    COLS,
    LAND,
    ROWS,
    SEA,
    land_cells,
    open_sea,
    read_bitmap,
    write_bitmap,
)


@pytest.fixture(scope="module")
def positions():
    random = np.random.default_rng(5)
    return random.uniform(-180, 180, 300_000), random.uniform(40, 90, 300_000)


def test_cells_are_those_of_the_wheel_they_were_made_from(positions):
    roaring = pytest.importorskip("roaring_landmask")
    mask = roaring.RoaringMask.new(roaring.LandmaskProvider.Gshhg)
    expected = mask.contains_many(*positions)
    assert 0.2 < np.mean(expected) < 0.8
    np.testing.assert_array_equal(land_cells(*positions), expected)


def test_open_sea_has_no_land(positions):
    """Nor within five kilometres, up to where tiles are narrower than that."""
    longitude, latitude = positions
    empty = open_sea(longitude, latitude) & (latitude < 87)
    assert 0.1 < empty.mean() < 0.9
    turn = np.random.default_rng(6).uniform(0, 2 * np.pi, len(longitude))
    north, east = 5 / 111.2 * np.cos(turn), 5 / 111.2 * np.sin(turn)
    east = east / np.cos(np.radians(latitude))
    assert not land_cells(longitude[empty], latitude[empty]).any()
    assert not land_cells((longitude + east)[empty], (latitude + north)[empty]).any()


def test_pole_and_date_line():
    assert not land_cells(np.array([-180.0, 0.0, 180.0]), np.full(3, 90.0)).any()
    # Wrangel Island lies across 180 degrees
    across = np.array([-180.0, 180.0, 179.9999, -179.9999, 540.0])
    assert land_cells(across, np.full(5, 71.2)).all()


def test_what_is_written_is_read(tmp_path, monkeypatch):
    cells = np.zeros((CELLS, COLS * CELLS), dtype=bool)
    cells[:, :CELLS] = True
    cells[3, CELLS + 5] = True
    sea = np.zeros_like(cells)
    path = tmp_path / "land.npz"
    write_bitmap(path, [cells if band == 150 else sea for band in range(ROWS)])
    kinds, first, streams = read_bitmap(path)
    assert kinds.reshape(ROWS, COLS)[150, :3].tolist() == [LAND, COAST, SEA]
    assert len(first) == ROWS * COLS + 1
    assert first[-1] == len(streams)
    monkeypatch.setattr(land_bitmap, "_index", lambda: (kinds, first, streams))
    land_bitmap._unpacked.cache_clear()
    try:
        longitude = np.array([5, 5, 6]) / CELLS - 179
        found = land_cells(longitude, np.array([3, 4, 3]) / CELLS + 60)
    finally:
        land_bitmap._unpacked.cache_clear()
    assert found.tolist() == [True, False, False]
