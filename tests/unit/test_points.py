import csv
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.errors import ProductError, SceneError
from lagrangian_ice.grid import xy_to_lonlat
from lagrangian_ice.points import COLUMNS, grid_points, read_points, write_vectors_csv


def written(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("names", ["x,y", "x0,y0", "name, x , y"])
def test_positions_are_read_exactly(tmp_path, names):
    value = "0.1,-2e5" if not names.startswith("name") else "a, 0.1, -2e5"
    assert read_points(written(tmp_path, f"{names}\n{value}\n")).tolist() == [[0.1, -2e5]]


def test_longitude_and_latitude_are_projected(tmp_path):
    xy = read_points(written(tmp_path, "lat,lon\n80,-45\n85.5,10\n"))
    np.testing.assert_allclose(xy_to_lonlat(xy), [[-45, 80], [10, 85.5]], atol=1e-9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "columns a, b"),
        ("", "columns none"),
        ("x,y\n", "no points"),
        ("x,y\n1,2\n3,four\n", "row 3: y = 'four'"),
        ("x,y\n1,nan\n", "row 2: y = 'nan'"),
        ("x,y\n1\n", "row 2: y = 'None'"),
        ("lon,lat\n10,91\n", "row 2: lat 91"),
        ("lon,lat\n500,80\n", "row 2: lon 500.0 is not between -360 degrees and 360 degrees"),
        ("lon,lat\n1e308,80\n", r"points\.csv: row 2: lon 1e\+308 is not between"),
        ("x,y\n1,2\n0,-1e300\n", r"row 3: y -1e\+300 is not between -13000000 m and 13000000 m"),
        ("x0,y0\n1.4e7,0\n", "row 2: x0 14000000.0 is not between"),
        (f"x,y\n{'1' * 70_000},0\n", "row 2 is longer than 65536 characters"),
        ("lon,lat\n10,-80\n", "row 2: lat -80.0 is not in the north"),
    ],
)
def test_bad_tables_name_the_row(tmp_path, text, told):
    with pytest.raises(ProductError, match=told):
        read_points(written(tmp_path, text))


def test_a_missing_or_binary_file_is_told(tmp_path):
    with pytest.raises(ProductError, match="No such file"):
        read_points(tmp_path / "none.csv")
    path = tmp_path / "b.csv"
    path.write_bytes(b"x,y\n\xff\xfe\x00")
    with pytest.raises(ProductError, match="cannot be read as CSV"):
        read_points(path)


def test_grid_points_are_multiples_inside_the_bounds():
    assert grid_points((-150.0, 10.0, 150.0, 110.0), 100.0).tolist() == [
        [-100.0, 100.0],
        [0.0, 100.0],
        [100.0, 100.0],
    ]


def test_a_grid_without_points_or_with_too_many_is_refused():
    with pytest.raises(SceneError, match="no grid point"):
        grid_points((10.0, 10.0, 90.0, 90.0), 100.0)
    with pytest.raises(ValueError, match="not positive"):
        grid_points((0.0, 0.0, 1.0, 1.0), -1.0)
    with pytest.raises(ValueError, match="use a wider"):
        grid_points((0.0, 0.0, 1e6, 1e6), 1.0)


def test_csv_holds_a_row_a_point_and_blanks_for_the_unknown(some_vectors, tmp_path):
    write_vectors_csv(tmp_path / "v.csv", some_vectors)
    with (tmp_path / "v.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert first["x1"] == "11.25"
    assert first["sigma_x"] == "3.0"
    assert first["sigma_y"] == "2.0"
    assert first["status"] == "tracked"
    assert first["time0"] == "2020-09-13T12:26:40.250Z"
    assert second["status"] == "low_correlation"
    empty = ("x1", "y1", "sigma_x", "sigma_y", "cov_xy", "mcc", "peak_ratio", "rotation")
    empty += ("time0", "time1")
    assert {second[name] for name in empty} == {""}


def test_a_folder_that_is_missing_is_told(some_vectors, tmp_path):
    with pytest.raises(ProductError, match="cannot be written"):
        write_vectors_csv(tmp_path / "none" / "v.csv", some_vectors)


def test_more_rows_than_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lagrangian_ice.points.MOST_POINTS", 3)
    assert len(read_points(written(tmp_path, "x,y\n" + "1,2\n" * 3))) == 3
    with pytest.raises(ProductError, match="has more than 3 rows"):
        read_points(written(tmp_path, "x,y\n" + "1,2\n" * 4))


def test_points_come_through_a_pipe_but_from_no_device(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("x,y\n1,2\n",))
    writer.start()
    assert read_points(pipe).tolist() == [[1, 2]]
    writer.join()
    with pytest.raises(ProductError, match="/dev/zero: is a device"):
        read_points(Path("/dev/zero"))
