"""Parcels against buoys with known bias, noise and stated errors."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import xy_to_lonlat
from lagrangian_ice.validation.buoys import (
    BuoyOptions,
    _NearBuoys,
    compare_buoys,
    displacements,
    score_buoys,
)
from lagrangian_ice.validation.positions import Tracks, read_positions, season_of

START = 1609459200.0  # 2021-01-01
DAY = 86400.0
SPEED = np.array([0.08, -0.05])


def buoys(count=30, days=5, step=3600.0):
    time = START - DAY + np.arange(0, (days + 2) * DAY, step)
    parts = []
    for number in range(count):
        origin = np.array([20e3 * number, -900e3])
        xy = origin + SPEED * (time - START)[:, None]
        parts.append(
            pd.DataFrame({"buoy": f"B{number:02d}", "time": time, "x": xy[:, 0], "y": xy[:, 1]})
        )
    return pd.concat(parts, ignore_index=True)


def parcels(rng, count=30, each=40, sigma=60.0, bias=(0.0, 0.0), days=2.0, away=1500.0):
    """Vectors near the buoys, with known noise and a stated error of ``sigma``."""
    rows = []
    parcel = 0
    for number in range(count):
        for _ in range(each):
            parcel += 1
            time0 = START + rng.uniform(0, DAY)
            at = np.array([20e3 * number, -900e3]) + SPEED * (time0 - START)
            at = at + rng.uniform(-away, away, 2)
            time1 = time0 + days * DAY
            end = at + SPEED * (time1 - time0) + rng.normal(0, sigma, 2) + bias
            for index, (time, xy) in enumerate(((time0, at), (time1, end))):
                rows.append((parcel, time, *xy, index * sigma, np.nan if index == 0 else 0.65))
    frame = pd.DataFrame(
        rows, columns=["parcel_id", "time", "x", "y", "x_standard_error", "correlation"]
    )
    return frame.assign(
        y_standard_error=frame["x_standard_error"],
        xy_error_covariance=0.0,
        geolocation_standard_error=np.nan,
        image_index=0,
    )


def test_known_noise_is_found_and_the_stated_error_is_right():
    compared = compare_buoys(parcels(np.random.default_rng(3)), Tracks(buoys()))
    scores = score_buoys(compared)
    assert scores["all"]["count"] == 1200
    # the median length of a two-dimensional normal vector is 1.1774 sigma
    assert scores["all"]["median_distance"] == pytest.approx(60 * 1.1774, rel=0.05)
    assert scores["all"]["distance_percentiles"]["p90"] == pytest.approx(60 * 2.146, rel=0.06)
    assert scores["stated_error"]["median_normalised"] == pytest.approx(1.1774, rel=0.05)
    assert scores["stated_error"]["share_within_1"] == pytest.approx(0.393, abs=0.04)
    assert abs(scores["all"]["bias_x"]) < 6


def test_parcels_are_compared_some_at_a_time(monkeypatch):
    everyone = parcels(np.random.default_rng(3))
    whole = compare_buoys(everyone, Tracks(buoys()))
    monkeypatch.setattr("lagrangian_ice.validation.buoys.AT_ONCE", 7)
    in_parts = compare_buoys(everyone, Tracks(buoys()))
    order = ["parcel_id", "time0", "time1"]
    pd.testing.assert_frame_equal(
        *(table.sort_values(order, ignore_index=True) for table in (whole, in_parts))
    )


def test_known_bias_is_found():
    compared = compare_buoys(
        parcels(np.random.default_rng(4), sigma=20.0, bias=(150.0, -40.0)), Tracks(buoys())
    )
    scores = score_buoys(compared)
    assert scores["all"]["bias_x"] == pytest.approx(150, abs=3)
    assert scores["all"]["bias_y"] == pytest.approx(-40, abs=3)
    assert scores["stated_error"]["median_normalised"] > 5


def test_direction_is_counter_clockwise_from_buoy_to_parcel():
    exact = parcels(np.random.default_rng(5), count=1, each=1, sigma=1e-6)
    start = exact.loc[0, ["x", "y"]].to_numpy(float)
    moved = exact.loc[1, ["x", "y"]].to_numpy(float) - start
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    exact.loc[1, ["x", "y"]] = start + turn @ moved
    compared = compare_buoys(exact, Tracks(buoys(1)))
    assert compared["direction"].iloc[0] == pytest.approx(30, abs=1e-3)


def test_the_buoy_alone_is_interpolated_and_not_over_gaps():
    tracks = Tracks(buoys(1, step=2 * 3600.0))
    inside = tracks.at("B00", np.array([START + 1000.0]))
    np.testing.assert_allclose(inside, [[80.0, -900e3 - 50.0]], atol=1e-6)
    gaps = Tracks(buoys(1, step=6 * 3600.0))
    known = gaps.at("B00", np.array([START - DAY, START - DAY + 1000.0, START - DAY - 1.0]))
    assert np.isfinite(known).all(axis=1).tolist() == [True, False, False]


def test_limits_of_distance_and_time():
    observations = parcels(np.random.default_rng(6), days=5.0)
    tracks = Tracks(buoys(days=8))
    assert compare_buoys(observations, tracks).empty
    assert not compare_buoys(observations, tracks, BuoyOptions(max_hours=130)).empty
    near = compare_buoys(observations, tracks, BuoyOptions(max_hours=130, max_distance=500))
    assert near["start_distance"].max() <= 500
    with pytest.raises(ValueError, match="max_distance -1"):
        BuoyOptions(max_distance=-1)
    with pytest.raises(ValueError, match="hours 9 to 3"):
        BuoyOptions(min_hours=9, max_hours=3)


def test_the_nearest_buoy_is_taken():
    positions = buoys(2)
    positions.loc[positions["buoy"] == "B01", "x"] -= 19e3
    compared = compare_buoys(
        parcels(np.random.default_rng(7), count=1, each=50, away=400.0), Tracks(positions)
    )
    assert set(compared["buoy"]) == {"B00"}
    assert len(compared) == 50


def test_every_two_observations_of_a_parcel_within_the_hours():
    table = pd.DataFrame(
        {
            "parcel_id": [1, 1, 1, 2, 2],
            "time": [0.0, DAY, 3 * DAY, 0.0, 9 * DAY],
            "x": [0.0, 1.0, 5.0, 0.0, 0.0],
            "y": 0.0,
            "correlation": [np.nan, 0.9, 0.4, np.nan, 0.5],
            "x_standard_error": [0.0, 3.0, 5.0, 0.0, 1.0],
            "y_standard_error": [0.0, 3.0, 5.0, 0.0, 1.0],
            "xy_error_covariance": 0.0,
            "geolocation_standard_error": 10.0,
            "image_index": [0, 1, 3, 0, 9],
        }
    )
    found = displacements(table, 6, 96).sort_values(["time0", "time1"])
    assert found["hours"].tolist() == [24, 72, 48]
    assert found["dx"].tolist() == [1, 5, 4]
    assert found["mcc"].tolist() == [0.9, 0.4, 0.4]
    # own errors are differences of variances; both images' geolocation is added
    np.testing.assert_allclose(found["var_x"], [209, 225, 216])
    assert displacements(table.iloc[:0], 6, 96).empty
    assert displacements(table, 6, 96, most_steps=1)["hours"].tolist() == [24, 48]


def test_scores_are_json_and_name_their_groups():
    scores = score_buoys(compare_buoys(parcels(np.random.default_rng(8)), Tracks(buoys())))
    text = json.loads(json.dumps(scores, allow_nan=False))
    assert text["by_season"]["DJF"]["count"] == 1200
    assert text["by_mcc"]["0.6 to 0.7"]["count"] == 1200
    assert sum(group["count"] for group in text["by_hours"].values()) == 1200


def test_scores_by_the_size_of_the_stated_error():
    """Small stated errors that are right, and large ones that are three times too small."""
    good = parcels(np.random.default_rng(9), sigma=20.0)
    bad = parcels(np.random.default_rng(10), sigma=240.0)
    bad = bad.assign(
        parcel_id=bad["parcel_id"] + 100_000,
        x_standard_error=bad["x_standard_error"] / 3,
        y_standard_error=bad["y_standard_error"] / 3,
    )
    scores = score_buoys(compare_buoys(pd.concat([good, bad]), Tracks(buoys())))
    right, wrong = scores["by_stated_error"]["25 to 50"], scores["by_stated_error"]["100 to 200"]
    assert right["count"] == wrong["count"] == 1200
    assert right["rms_distance"] == pytest.approx(right["rms_expected_distance"], rel=0.06)
    assert wrong["rms_distance"] == pytest.approx(3 * wrong["rms_expected_distance"], rel=0.06)
    assert right["share_within_1"] == pytest.approx(0.393, abs=0.04)


def test_no_position_is_no_track():
    with pytest.raises(ValueError, match="no position"):
        Tracks(buoys(1).iloc[:0])


def test_seasons():
    months = np.arange("2020-01-15", "2021-01-15", dtype="datetime64[M]").astype("datetime64[s]")
    seasons = season_of(months.astype(float))
    assert seasons == ["DJF"] * 2 + ["MAM"] * 3 + ["JJA"] * 3 + ["SON"] * 3 + ["DJF"]


class TestReadPositions:
    @pytest.fixture
    def table(self):
        found = buoys(2, step=3 * 3600.0)
        found[["lon", "lat"]] = xy_to_lonlat(found[["x", "y"]].to_numpy())
        return found

    def check(self, path, table):
        found = read_positions(path)
        names = ["time", "x", "y"]
        np.testing.assert_allclose(found[names], table[names], rtol=0, atol=1e-3)
        return found

    def test_csv_with_names_of_its_own_and_doubled_rows(self, table, tmp_path):
        path = tmp_path / "b.csv"
        moment = pd.to_datetime(table["time"], unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
        frame = pd.DataFrame(
            {
                "ID": table["buoy"],
                "DateTime": moment,
                "Longitude": table["lon"],
                "Latitude": table["lat"],
            }
        )
        pd.concat([frame, frame]).to_csv(path, index=False)
        assert set(self.check(path, table)["buoy"]) == {"B00", "B01"}

    def test_netcdf_of_trajectories(self, table, tmp_path):
        path = tmp_path / "b.nc"
        shape = (2, -1)
        xr.Dataset(
            {
                "name": ("trajectory", ["B00", "B01"], {"cf_role": "trajectory_id"}),
                "time": (
                    ("trajectory", "obs"),
                    table["time"].to_numpy().reshape(shape),
                    {"units": "seconds since 1970-01-01 00:00:00"},
                ),
                "lon": (("trajectory", "obs"), table["lon"].to_numpy().reshape(shape)),
                "lat": (("trajectory", "obs"), table["lat"].to_numpy().reshape(shape)),
            }
        ).to_netcdf(path)
        assert set(self.check(path, table)["buoy"]) == {"B00", "B01"}

    @pytest.mark.parametrize(("named", "common"), [(True, False), (True, True), (False, True)])
    def test_netcdf_with_the_buoys_as_columns(self, table, tmp_path, named, common):
        path = tmp_path / "b.nc"
        values = {name: table[name].to_numpy().reshape(2, -1).T for name in ("time", "lon", "lat")}
        assert (values["time"][:, 0] == values["time"][:, 1]).all()
        time = ("obs", values["time"][:, 0]) if common else (("obs", "drifter"), values["time"])
        xr.Dataset(
            {
                **(
                    {"id": ("drifter", ["B00", "B01"], {"cf_role": "trajectory_id"})}
                    if named
                    else {}
                ),
                "time": (*time, {"units": "seconds since 1970-01-01 00:00:00"}),
                **{name: (("obs", "drifter"), values[name]) for name in ("lon", "lat")},
            }
        ).to_netcdf(path)
        names = {"B00", "B01"} if named else {"drifter_0", "drifter_1"}
        assert set(self.check(path, table)["buoy"]) == names

    def test_netcdf_with_the_buoys_as_columns_and_times_of_another_dimension(self, table, tmp_path):
        path = tmp_path / "b.nc"
        values = {name: table[name].to_numpy().reshape(2, -1).T for name in ("time", "lon", "lat")}
        units = {"units": "seconds since 1970-01-01 00:00:00"}
        xr.Dataset(
            {
                "id": ("drifter", ["B00", "B01"], {"cf_role": "trajectory_id"}),
                "time": ("when", values["time"][:, 0], units),
                **{name: (("obs", "drifter"), values[name]) for name in ("lon", "lat")},
            }
        ).to_netcdf(path)
        assert set(self.check(path, table)["buoy"]) == {"B00", "B01"}

    def test_netcdf_of_ragged_rows(self, table, tmp_path):
        path = tmp_path / "b.nc"
        xr.Dataset(
            {
                "rowsize": ("buoys", [len(table) // 2] * 2, {"sample_dimension": "obs"}),
                "time": (
                    "obs",
                    table["time"].to_numpy(),
                    {"units": "seconds since 1970-01-01 00:00:00"},
                ),
                "longitude": ("obs", table["lon"].to_numpy()),
                "latitude": ("obs", table["lat"].to_numpy()),
            }
        ).to_netcdf(path)
        assert self.check(path, table)["buoy"].nunique() == 2

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("buoy,lon,lat\n1,2,3\n", "there is none for time"),
            ("buoy,time,lon,lat\na,noon,0,80\n", "row 2: time = 'noon'"),
            ("buoy,time,lon,lat\na,2021-01-01,0,-80\n", "no position in the northern"),
            ("buoy,time,lon,lat\na,1799-12-31,0,80\n", "1799-12-31"),
            ("id,time,lon,lat\na,2021-01-01,0,80\n,2021-01-02,0,80\n", "row 3: id is empty"),
            ("buoy,time,lon,lat\na,2261-01-01,0,80\n", "2261-01-01"),
            ("", "cannot be read as CSV"),
        ],
    )
    def test_faults_are_named(self, tmp_path, text, message):
        path = tmp_path / "b.csv"
        path.write_text(text)
        with pytest.raises(ProductError, match=message):
            read_positions(path)

    def test_netcdf_of_something_else(self, tmp_path):
        path = tmp_path / "b.nc"
        xr.Dataset({"a": 1}).to_netcdf(path)
        with pytest.raises(ProductError, match="has no variable of time"):
            read_positions(path)
        path.write_text("text")
        with pytest.raises(ProductError, match="not a readable NetCDF"):
            read_positions(path)
        with pytest.raises(ProductError, match="no such file"):
            read_positions(tmp_path / "none.nc")


def test_parcels_that_are_never_near_a_buoy_are_not_read_and_nothing_is_missed():
    """Whatever is within the limit of the drifting buoy, between its fixes too, is kept."""
    rng = np.random.default_rng(8)
    origin = np.array([3e5, -8e5])
    fixes = origin + np.cumsum(rng.normal(0, 4e3, (60, 2)), axis=0)
    for limit in (500.0, 4000.0, 45_000.0):
        near = _NearBuoys(fixes, limit)
        share = rng.uniform(0, 1, (59, 1))
        between = fixes[:-1] + share * np.diff(fixes, axis=0)
        angle = rng.uniform(0, 2 * np.pi, 59)
        at = between + limit * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        unseen = np.full(59, np.nan)
        assert near(np.stack([unseen, at[:, 0]], 1), np.stack([unseen, at[:, 1]], 1)).all()
        away = at + 60 * max(limit, 2e4)
        assert not near(away[:, :1], away[:, 1:]).any()
    assert not near(unseen[:, None], unseen[:, None]).any()
