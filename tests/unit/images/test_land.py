import numpy as np
import pytest

from lagrangian_ice.grid import Grid, lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.images.land import is_land, land_mask, longitude_latitude

PLACES = {
    "Greenland ice sheet": (-40.0, 72.0, True),
    "Svalbard": (16.0, 78.7, True),
    "Ellesmere": (-75.0, 81.0, True),
    "Siberia": (100.0, 70.0, True),
    "pole": (0.0, 90.0, False),
    "Beaufort Sea": (-140.0, 73.0, False),
    "Fram Strait": (0.0, 79.0, False),
    "Laptev Sea": (125.0, 76.5, False),
}


@pytest.mark.parametrize("place", PLACES)
def test_known_places(place):
    lon, lat, expected = PLACES[place]
    np.testing.assert_array_equal(is_land([lonlat_to_xy([lon, lat])]), [expected])


def test_positions_are_those_of_the_map_projection():
    """All round the pole, and on the meridian where longitudes jump."""
    turn = np.radians(np.linspace(0, 360, 721))
    distance = np.array([0.0, 1.0, 3e5, 1.7e6, 9e6])[:, None]
    xy = np.stack([distance * np.sin(turn), distance * np.cos(turn)], axis=-1).reshape(-1, 2)
    expected = xy_to_lonlat(xy)
    longitude, latitude = longitude_latitude(xy)
    apart = (longitude - expected[:, 0] + 180) % 360 - 180
    assert np.abs(apart * np.cos(np.radians(expected[:, 1]))).max() < 1e-6
    assert np.abs(latitude - expected[:, 1]).max() < 1e-6
    assert ((longitude >= -180) & (longitude <= 180)).all()


def test_no_positions():
    assert is_land(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((3, 3)), [[np.nan, 0.0]]])
def test_wrong_positions(wrong):
    with pytest.raises(ValueError):
        is_land(wrong)


@pytest.mark.parametrize("pixel", [100.0, 210.0, 1000.0])
def test_mask_of_a_coast_is_that_of_its_pixels(pixel):
    x, y = lonlat_to_xy([16.0, 79.5])
    grid = Grid.covering((x - 30e3, y - 30e3, x + 30e3, y + 30e3), pixel)
    mask = land_mask(grid)
    rows, cols = np.indices(grid.shape)
    exact = is_land(grid.xy(np.column_stack([rows.ravel(), cols.ravel()]))).reshape(grid.shape)
    assert 0.1 < exact.mean() < 0.9
    assert (mask != exact).mean() < 1e-3


def test_land_is_looked_for_wherever_it_may_be():
    """From the open Beaufort Sea over islands, every pixel."""
    x, y = lonlat_to_xy([-128.0, 73.0])
    grid = Grid.covering((x - 300e3, y - 300e3, x + 300e3, y + 300e3), 1000.0)
    rows, cols = np.indices(grid.shape)
    exact = is_land(grid.xy(np.column_stack([rows.ravel(), cols.ravel()]))).reshape(grid.shape)
    assert 0.1 < exact.mean() < 0.9
    np.testing.assert_array_equal(land_mask(grid), exact)


def test_mask_of_odd_and_tiny_grids():
    x, y = lonlat_to_xy([-40.0, 72.0])
    for shape in [(1, 1), (3, 2), (7, 13)]:
        mask = land_mask(Grid(float(x), float(y), 100.0, shape))
        assert mask.shape == shape
        assert mask.all()
