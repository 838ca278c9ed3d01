import dataclasses

import numpy as np
import pytest

from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.simulate.swath import Swath

SWATH = Swath(-150.0, 80.0, 305.0, 100.0, (901, 701), 1.6e9, 25.0, 33.0)


def net(swath: Swath) -> np.ndarray:
    rows, cols = swath.shape
    row, col = np.linspace(0, rows - 1, 13), np.linspace(0, cols - 1, 11)
    return np.stack(np.meshgrid(row, col, indexing="ij"), -1).reshape(-1, 2)


def test_pixels_go_to_the_map_and_back() -> None:
    rowcol = net(SWATH)
    assert np.abs(SWATH.rowcol(SWATH.xy(rowcol)) - rowcol).max() < 1e-6
    assert np.abs(lonlat_to_xy(SWATH.lonlat(rowcol)) - SWATH.xy(rowcol)).max() < 1e-5


def test_middle_heading_and_scale() -> None:
    middle = (np.array(SWATH.shape) - 1) / 2
    assert np.allclose(SWATH.lonlat(middle), [-150.0, 80.0])
    ahead = SWATH.lonlat(middle + np.array([10, 0])) - SWATH.lonlat(middle)
    east, north = ahead[0] * np.cos(np.deg2rad(80.0)), ahead[1]
    assert np.rad2deg(np.arctan2(east, north)) % 360 == pytest.approx(305.0, abs=0.5)
    assert np.hypot(east, north) * 111.6e3 == pytest.approx(1000.0, rel=0.01)


def test_columns_go_to_the_right_of_the_flight() -> None:
    along = SWATH.xy([10.0, 0.0]) - SWATH.xy([0.0, 0.0])
    right = SWATH.xy([0.0, 10.0]) - SWATH.xy([0.0, 0.0])
    assert along[0] * right[1] - along[1] * right[0] < 0


def test_spline_of_all_pixels_is_exact() -> None:
    every = SWATH.all_xy()
    rowcol = np.random.default_rng(0).integers(0, SWATH.shape, (200, 2))
    assert np.abs(every[rowcol[:, 0], rowcol[:, 1]] - SWATH.xy(rowcol)).max() < 1e-3


def test_lines_bend_on_the_map() -> None:
    ends = SWATH.xy([[0.0, 0.0], [450.0, 350.0], [900.0, 700.0]])
    assert np.abs(ends[1] - ends[[0, 2]].mean(axis=0)).max() > 1.0


def test_control_points_lie_on_pixel_centres_counted_from_corners() -> None:
    points = SWATH.control_points()
    assert len(points) == 100
    rowcol = np.array([[point.row, point.col] for point in points]) - 0.5
    xy = lonlat_to_xy(np.array([[point.x, point.y] for point in points]))
    assert np.abs(SWATH.xy(rowcol) - xy).max() < 1e-5
    assert rowcol.min() == 0
    assert tuple(rowcol.max(axis=0)) == (900, 700)


def test_frame_has_the_geometry_and_times_of_its_lines() -> None:
    frame = SWATH.frame(300, 400).frame(10, 50)
    rowcol = net(frame)
    assert np.abs(frame.xy(rowcol) - SWATH.xy(rowcol + np.array([310, 0]))).max() < 1e-6
    assert np.allclose(frame.line_times, SWATH.line_times[310:360], rtol=0, atol=1e-6)
    assert frame.stop == pytest.approx(SWATH.line_time(359), abs=1e-6)


def test_contains() -> None:
    xy = SWATH.xy([[0.0, 0.0], [900.0, 700.0], [-0.1, 5.0], [5.0, 700.1]])
    assert SWATH.contains(xy + 0.0).tolist()[2:] == [False, False]
    assert SWATH.contains(SWATH.xy([1.0, 1.0]))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"lines 800 to 1000 are not in 901"):
        SWATH.frame(800, 200)
    with pytest.raises(ValueError, match="pixel 0"):
        dataclasses.replace(SWATH, pixel=0)
