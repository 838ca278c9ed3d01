"""Drift vectors of another tracker become a trajectory file."""

import gzip

import numpy as np
import pytest

from lagrangian_ice import open_trajectories
from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.validation.import_vectors import import_vectors

HEAD = "t0,t1,x0,y0,x1,y1,conf,ccorr\n"
DEGREES = "t0,t1,lon0,lat0,lon1,lat1\n2021-01-01,2021-01-02,"
ERRORS = "t0,t1,x0,y0,x1,y1,sigma_x,sigma_y,cov_xy,status\n2021-01-01,2021-01-02,0,0,0,0,"
ROWS = (
    "2020-03-01T01:57:05Z,2020-03-02T03:27:28Z,24400,379000,31000,377600,3,0.497\n"
    "2020-03-01T01:57:05Z,2020-03-02T03:27:28Z,24400,331000,30800.25,329600,3,0.677\n"
    "2020-03-02T03:27:28Z,2020-03-04T00:00:00.5Z,26000,391800,32600,390400,3,0.41\n"
)


pytestmark = pytest.mark.usefixtures("straight_coast")


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "vectors.csv"
        path.write_text(text)
        return path

    return write


def test_each_vector_is_a_parcel_of_two_observations(csv, tmp_path):
    out = tmp_path / "v_LP.nc"
    assert import_vectors(csv(HEAD + ROWS), out) == 3
    table = read_trajectories(out)
    assert table["parcel_id"].tolist() == [1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(table["x"], [24400, 31000, 24400, 30800.25, 26000, 32600])
    assert table["time"].iloc[-1] == 1583280000.5
    np.testing.assert_array_equal(
        table["correlation"][1::2].round(3), np.float32([0.497, 0.677, 0.41]).round(3)
    )
    assert table["correlation"][::2].isna().all()


def test_equal_times_are_one_image(csv, tmp_path):
    out = tmp_path / "v_LP.nc"
    import_vectors(csv(HEAD + ROWS), out)
    with open_trajectories(out) as dataset:
        assert dataset.sizes["image"] == 3
        assert dataset["image_index"].to_numpy().tolist() == [[0, 1], [0, 1], [1, 2]]


def test_the_file_claims_nothing_that_nobody_measured(csv, tmp_path):
    out = tmp_path / "v_LP.nc"
    import_vectors(csv(HEAD + ROWS), out)
    with open_trajectories(out) as dataset:
        assert "settings" not in dataset.attrs
        assert "imported from vectors.csv" in dataset.attrs["title"]
        assert dataset.attrs["id"] == "v_LP"
        assert np.isnan(dataset["geolocation_standard_error"]).all()
        assert np.isnan(dataset["x_standard_error"][:, 1]).all()


def test_what_track_writes_is_read_with_its_errors(csv, tmp_path):
    head = "x0,y0,x1,y1,sigma_x,sigma_y,cov_xy,mcc,peak_ratio,rotation,status,time0,time1\n"
    times = "2021-01-01T00:00:00.000Z,2021-01-02T00:00:00.000Z"
    rows = f"0,-9e5,100,-9e5,30,40,50,0.7,0.5,1.0,tracked,{times}\n"
    rows += f"0,-8e5,,,,,,,,,no_match,{times[:24]},\n"
    out = tmp_path / "v_LP.nc"
    assert import_vectors(csv(head + rows), out) == 1
    last = read_trajectories(out).iloc[1]
    assert (last["x_standard_error"], last["y_standard_error"]) == (30, 40)
    assert last["xy_error_covariance"] == 50


def test_compressed_csv_in_degrees(tmp_path):
    path = tmp_path / "v.csv.gz"
    text = "t0,t1,lon0,lat0,lon1,lat1\n2021-01-01,2021-01-02,-45,80,-45,81\n"
    path.write_bytes(gzip.compress(text.encode()))
    import_vectors(path, tmp_path / "v_LP.nc")
    table = read_trajectories(tmp_path / "v_LP.nc")
    np.testing.assert_allclose(table["lat"], [80, 81])
    np.testing.assert_allclose(table["x"], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as CSV"),
        (HEAD, "holds no vector"),
        ("a,b\n1,2\n", "vectors need t0,t1 or time0,time1"),
        ("t0,t1,x0\n1,2,3\n", "vectors need x0,y0,x1,y1 or lon0"),
        (HEAD + ROWS.replace("30800.25", "east"), "row 3: x1 = 'east' is not a number"),
        (HEAD + ROWS.replace("30800.25", ""), "row 3: x1"),
        (HEAD + ROWS.replace("2020-03-04", "soon-"), "row 4: t1"),
        (HEAD + ROWS.replace("2020-03-04", "2020-02-04"), "row 4: t1 is not after t0"),
        (HEAD + ROWS.replace("2020-03-04", "2500-03-04"), "row 4: t1 = '2500-.* is not between"),
        (HEAD + ROWS.replace("391800", "1e300"), "row 4: x and y are not EPSG:3413"),
        (DEGREES + "-45,80,-45,170\n", "row 2: longitude and latitude are not of a place"),
        (DEGREES + "-45,80,-45,81\n2021-01-01,2021-01-02,0,-70,0,-71\n", "row 3: longitude"),
        (ERRORS + "30,-1,0,tracked\n", "row 2: sigma_y is negative"),
        (ERRORS + "30,40,1300,tracked\n", "row 2: cov_xy is more than sigma_x times sigma_y"),
        (
            ERRORS + "1,1,0,no_match\n2021-01-01,2021-01-02,0,0,0,0,-1,0,0,tracked\n",
            "row 3: sigma_x is negative",
        ),
    ],
)
def test_faults_of_the_csv_are_named_in_one_line(csv, tmp_path, text, message):
    with pytest.raises(ProductError, match=message) as caught:
        import_vectors(csv(text), tmp_path / "v_LP.nc")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.csv"]


def test_a_missing_csv_and_a_closed_folder(tmp_path, csv):
    with pytest.raises(ProductError, match="cannot be read as CSV"):
        import_vectors(tmp_path / "none.csv", tmp_path / "v_LP.nc")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProductError, match="cannot be written"):
        import_vectors(csv(HEAD + ROWS), tmp_path / "file" / "v_LP.nc")


def test_the_imported_file_passes_the_checker(cf_faults, csv, tmp_path):
    out = tmp_path / "v_LP.nc"
    import_vectors(csv(HEAD + ROWS), out)
    found = cf_faults(out)
    assert not found["high"] + found["medium"], found
