"""Exports, each read back through the layout that its reader wants; the readers' traps by name."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime

import netCDF4
import numpy as np
import pandas as pd
import pytest
from product_frames import DAY, HEADER, START, make_frames
from pyproj import Transformer
from rgps_reader import read_rgps_lp, seconds_of

from lagrangian_ice.errors import ProductError
from lagrangian_ice.output import exports_rgps
from lagrangian_ice.output.exports import FORMATS, export_trajectories
from lagrangian_ice.output.exports_rgps import year_and_day
from lagrangian_ice.output.names import dates_of, product_name
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.output.trajectories import write_trajectories

NEXTSIM = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-45 +a=6378273 +b=6356889.448910593"
SHIFT = 64
"""Ids of stream b come after those of stream a."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Trajectory files of two streams of one workspace."""
    folder = tmp_path_factory.mktemp("streams")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
        )
        return [_write(folder, stream) for stream in (0, 1)]


def _write(folder, stream):
    frames = make_frames()
    observations = frames.observations.assign(
        parcel_id=frames.observations["parcel_id"] + SHIFT * stream,
        x=frames.observations["x"] + 3e3 * stream,
    )
    parcels = frames.parcels.assign(
        parcel_id=frames.parcels["parcel_id"] + SHIFT * stream, stream=stream
    )
    frames = replace(frames, observations=observations, parcels=parcels)
    path = folder / product_name(stream, dates_of(START, START + 5 * DAY), "0.1.0", "LP")
    write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    return path


@pytest.fixture(scope="module")
def truth(files):
    table = pd.concat([read_trajectories(path) for path in files])
    return table.sort_values(["parcel_id", "time"], ignore_index=True)


def on(crs, truth):
    """Positions of the product on another map, independent of the package."""
    change = Transformer.from_crs("EPSG:3413", crs, always_xy=True)
    return np.stack(change.transform(truth["x"].to_numpy(), truth["y"].to_numpy()), axis=1)


def export(files, name, tmp_path, **options):
    return export_trajectories(files, [name], tmp_path, **options)


def read_frame(path):
    return pd.read_pickle(path)  # noqa: S301 (the test's own file)


def test_the_first_of_november_is_day_305_of_a_common_year():
    moment = np.datetime64("2021-11-01T00:00:00").astype("datetime64[s]").astype(float)
    year, day = year_and_day([moment, np.nan])
    assert year.tolist() == [2021, -1]
    assert day.tolist() == [305.0, -1.0]
    np.testing.assert_allclose(seconds_of(year, day), [moment, np.nan], rtol=0, atol=1e-3)


def test_year_and_day_of_a_leap_years_last_second():
    moment = np.datetime64("2020-12-31T23:59:59").astype("datetime64[s]").astype(float)
    year, day = year_and_day([moment])
    assert (year[0], int(day[0])) == (2020, 366)


class TestRgpsCsv:
    @pytest.fixture
    def tables(self, files, tmp_path):
        return [pd.read_csv(path) for path in export(files, "rgps-csv", tmp_path)]

    def test_a_file_for_each_stream_named_as_readers_want(self, files, tmp_path):
        paths = export(files, "rgps-csv", tmp_path)
        assert [path.name for path in paths] == [
            "R1001a21001001_LP.csv",
            "R1001b21001001_LP.csv",
        ]

    def test_columns_are_those_in_circulation(self, tables):
        header = (
            "IMAGE_ID,STREAM,IMAGE_YEAR,IMAGE_TIME,MAP_X,MAP_Y,GPID,BIRTH_YEAR,BIRTH_TIME,"
            "DEATH_YEAR,DEATH_TIME,N_OBS,OBS_YEAR,OBS_TIME,X_MAP,Y_MAP,LAT,LON,Q_FLAG"
        )
        assert ",".join(tables[0]) == header

    def test_every_observation_is_on_the_rgps_grid(self, tables, truth):
        table = pd.concat(tables, ignore_index=True)
        assert table["GPID"].tolist() == truth["parcel_id"].tolist()
        np.testing.assert_allclose(
            table[["X_MAP", "Y_MAP"]], on("EPSG:3411", truth), rtol=0, atol=1e-4
        )
        away = np.hypot(*(table[["X_MAP", "Y_MAP"]].to_numpy() - truth[["x", "y"]].to_numpy()).T)
        assert away.min() > 10  # it is not the product's own map
        np.testing.assert_allclose(table["LAT"], truth["lat"], atol=6e-6)
        np.testing.assert_allclose(table["LON"], truth["lon"], atol=6e-6)

    def test_days_are_one_based_so_pysidas_csv_reader_is_a_day_late(self, tables, truth):
        table = pd.concat(tables, ignore_index=True)
        assert table["OBS_TIME"].min() >= 1.0
        times = pd.to_datetime(table["OBS_YEAR"].astype(str) + "-01-01")
        as_pysida = times + pd.to_timedelta(table["OBS_TIME"], unit="D")
        late = as_pysida.to_numpy().astype("datetime64[ms]").astype(float) / 1e3 - truth["time"]
        np.testing.assert_allclose(late, DAY, atol=0.1)

    def test_the_image_is_the_pass_and_parcels_say_when_they_ended(self, tables):
        table = tables[0]
        assert sorted(table["IMAGE_ID"].unique()) == [f"S1A_{index:06d}" for index in range(5)]
        assert (table.groupby("GPID").size() == table.groupby("GPID")["N_OBS"].first()).all()
        ended = table["GPID"] % 9 == 0
        assert (table.loc[~ended, ["DEATH_YEAR", "DEATH_TIME"]] == -1).all(axis=None)
        assert (table.loc[ended, "DEATH_YEAR"] == 2021).all()

    def test_blocks_do_not_show(self, files, tmp_path, tables, monkeypatch):
        monkeypatch.setattr("lagrangian_ice.output.exports_rgps.BLOCK", 37)
        again = [pd.read_csv(path) for path in export(files, "rgps-csv", tmp_path / "again")]
        pd.testing.assert_frame_equal(pd.concat(again), pd.concat(tables))

    def test_another_map_on_request(self, files, tmp_path, truth):
        paths = export(files, "rgps-csv", tmp_path, crs=NEXTSIM)
        table = pd.concat([pd.read_csv(path) for path in paths])
        np.testing.assert_allclose(table[["X_MAP", "Y_MAP"]], on(NEXTSIM, truth), atol=1e-4)


class TestRgpsLp:
    def test_the_bytes_are_big_endian_and_unpadded(self, files, tmp_path, truth):
        """Read with nothing but struct, field by field, as the layout is described."""
        data = export(files, "rgps-lp", tmp_path)[0].read_bytes()
        place = 0

        def take(form):
            nonlocal place
            values = struct.unpack_from(f">{form}", data, place)
            place += struct.calcsize(f">{form}")
            return values

        product, description = take("24s40s")
        assert product[5:6] == b"a"
        assert description.startswith(b"Lagrangian Ice Motion")
        n_images, n_trajectories = take("hi")
        (season,) = take("8s")
        assert season.rstrip(b"\0") == b"winter"
        assert take("hd")[0] >= 2024
        start, end = take("hd"), take("hd")
        assert start[0] == end[0] == 2021
        assert 1.0 < start[1] < end[1] < 6.0
        take("12s")
        corners = np.reshape(take("8f"), (4, 2))
        assert (corners[:, 0] > 75).all()
        images = [take("16shddd") for _ in range(n_images)]
        assert {name.rstrip(b"\0") for name, *_ in images} == {b"S1A_%06d" % i for i in range(5)}
        own = truth[truth["stream"] == 0]
        expected = on("EPSG:3411", own) / 1e3
        found = []
        for _ in range(n_trajectories):
            gpid, _, _, death_year, death, n_obs = take("ihdhdi")
            assert (death_year == -1) == (death == -1.0) == (gpid % 9 != 0)
            found += [(gpid, *take("hdddh")) for _ in range(n_obs)]
        assert place == len(data)
        found = np.array(found)
        np.testing.assert_array_equal(found[:, 0], own["parcel_id"])
        np.testing.assert_allclose(found[:, 3:5], expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose((found[:, 2] - 1) * DAY + START, own["time"], rtol=0, atol=1e-3)

    def test_readers_find_the_image_of_every_observation_by_its_time(self, files, tmp_path):
        motion = read_rgps_lp(export(files, "rgps-lp", tmp_path)[1])
        apart = np.abs(
            motion.observations["time"].to_numpy()[:, None] - motion.images["time"].to_numpy()
        )
        assert (apart.min(axis=1) < 0.002 * DAY).all()

    def test_a_long_pass_is_several_images(self, tmp_path, monkeypatch, files):
        monkeypatch.setattr("lagrangian_ice.output.exports_rgps.SLOT", 4.0)
        motion = read_rgps_lp(export(files, "rgps-lp", tmp_path)[0])
        assert len(motion.images) > 5
        assert motion.images["image_id"].nunique() == 5

    def test_reading_back_gives_the_product(self, files, tmp_path, truth):
        motion = read_rgps_lp(export(files, "rgps-lp", tmp_path)[1])
        own = truth[truth["stream"] == 1]
        np.testing.assert_allclose(motion.observations["time"], own["time"], rtol=0, atol=1e-3)
        assert motion.observations["gpid"].tolist() == own["parcel_id"].tolist()
        assert motion.parcels["death_time"].isna().sum() == 57


class TestPysida:
    @pytest.fixture
    def frame(self, files, tmp_path):
        (path,) = export(files, "pysida", tmp_path)
        assert path.name.endswith("_LP.df")
        return read_frame(path)

    def test_columns_and_types(self, frame):
        assert list(frame) == ["i", "g", "d", "x", "y", "q"]
        assert [frame[name].dtype.kind for name in frame] == list("iiMffi")

    def test_positions_are_on_the_nextsim_map_not_on_the_products(self, frame, truth):
        ordered = frame.sort_values(["g", "i"], ignore_index=True)
        assert ordered["g"].tolist() == truth["parcel_id"].tolist()
        np.testing.assert_allclose(ordered[["x", "y"]], on(NEXTSIM, truth), atol=1e-6)
        own = truth[["x", "y"]].to_numpy()
        ratio = np.hypot(*ordered[["x", "y"]].to_numpy().T) / np.hypot(*own.T)
        np.testing.assert_allclose(ratio, 0.962, atol=2e-3)
        assert np.hypot(*(ordered[["x", "y"]].to_numpy() - own).T).min() > 30e3

    def test_dates_are_true_not_a_day_late(self, frame, truth):
        ordered = frame.sort_values(["g", "i"])
        seconds = ordered["d"].to_numpy().astype("datetime64[ms]").astype(float) / 1e3
        assert np.abs(seconds - truth["time"]).max() < 300

    def test_i_is_the_pass_with_one_date_and_the_points_of_both_streams(self, frame):
        assert sorted(frame["i"].unique()) == [0, 1, 2, 3, 4]
        assert (frame.groupby("i")["d"].nunique() == 1).all()
        assert frame.groupby("i").size().min() > 100
        assert not frame.duplicated(["i", "g"]).any()

    def test_another_map_on_request(self, files, tmp_path, truth):
        (path,) = export(files, "pysida", tmp_path, crs="EPSG:3413")
        ordered = read_frame(path).sort_values(["g", "i"])
        np.testing.assert_allclose(ordered[["x", "y"]], truth[["x", "y"]])


class TestMojito:
    def test_layout_units_and_global_ids(self, files, tmp_path, truth):
        (path,) = export(files, "mojito", tmp_path)
        with netCDF4.Dataset(path) as dataset:
            assert set(dataset.dimensions) == {"points", "streams"}
            assert dataset["time"].units == "seconds since 1970-01-01 00:00:00"
            kinds = {name: dataset[name].dtype.str[1:] for name in dataset.variables}
            assert kinds == {
                **dict.fromkeys(("time", "x", "y", "lon", "lat"), "f8"),
                "index": "i8",
                **dict.fromkeys(("idstream", "streams", "q_flag"), "i1"),
            }
            np.testing.assert_array_equal(dataset["time"][:], truth["time"])
            np.testing.assert_allclose(dataset["x"][:], truth["x"] / 1e3)
            np.testing.assert_allclose(dataset["lat"][:], truth["lat"])
            assert dataset["streams"][:].tolist() == [1, 2]
            index = dataset["index"][:].filled()
            np.testing.assert_array_equal(index, truth["parcel_id"])
            np.testing.assert_array_equal(dataset["idstream"][:], 1 + (index > SHIFT))


class TestSitrack:
    def test_layout(self, files, tmp_path, truth):
        (path,) = export(files, "sitrack", tmp_path)
        with netCDF4.Dataset(path) as dataset:
            assert dataset.dimensions["time"].isunlimited()
            assert dataset["time"].units == "seconds since 1970-01-01 00:00:00"
            kinds = {name: dataset[name].dtype.str[1:] for name in dataset.variables}
            assert kinds == {
                **dict.fromkeys(("time", "buoy", "time_pos"), "i4"),
                "id_buoy": "i8",
                "mask": "i1",
                **dict.fromkeys(("latitude", "longitude", "y_pos", "x_pos"), "f4"),
            }
            ids = dataset["id_buoy"][:].filled()
            assert ids.tolist() == sorted(truth["parcel_id"].unique())
            seen = dataset["mask"][:] == 1
            assert seen.sum() == len(truth)
            np.testing.assert_array_equal(seen, ~np.ma.getmaskarray(dataset["x_pos"][:]))
            record, buoy = np.nonzero(seen)
            order = np.lexsort((record, ids[buoy]))
            for name, column in {"x_pos": "x", "y_pos": "y"}.items():
                found = dataset[name][:].filled()[record, buoy][order]
                np.testing.assert_allclose(found, truth[column] / 1e3, atol=1e-3)
            times = dataset["time_pos"][:].filled()[record, buoy][order]
            assert np.abs(times - truth["time"]).max() <= 0.5
            assert (np.diff(dataset["time"][:]) > 0).all()
            assert dataset["longitude"][:].min() >= 0


def read_drifters(path):
    """As the model does: one header line, then numbers by white space."""
    lines = path.read_text().splitlines()
    rows = np.array([line.split() for line in lines[1:]], dtype=np.float64)
    return lines[0], rows


class TestNextsimRgps:
    def test_only_whole_hours_equal_to_the_init_time(self, files, tmp_path):
        (path,) = export(files, "nextsim-rgps", tmp_path)
        assert path.name == "RGPS_2021-01-05.txt"
        _, rows = read_drifters(path)
        assert (rows[:, :4] == [2021, 1, 5, 0]).all()
        assert rows.shape[1] == 7

    def test_the_header_says_that_positions_are_interpolated(self, files, tmp_path):
        header, _ = read_drifters(export(files, "nextsim-rgps", tmp_path)[0])
        assert header.startswith("year month day hour number lat lon")
        assert "interpolated" in header

    def test_positions_lie_between_the_observations(self, files, tmp_path, truth):
        start = datetime(2021, 1, 2, 18, tzinfo=UTC)
        (path,) = export(files, "nextsim-rgps", tmp_path, start=start)
        assert path.name == "RGPS_2021-01-02_18.txt"
        _, rows = read_drifters(path)
        change = Transformer.from_crs("EPSG:4326", "EPSG:3413", always_xy=True)
        found = np.stack(change.transform(rows[:, 6], rows[:, 5]), axis=1)
        for number, xy in zip(rows[:, 4], found, strict=True):
            own = truth[truth["parcel_id"] == number]
            moment = start.timestamp()
            expected = [np.interp(moment, own["time"], own[axis]) for axis in "xy"]
            np.testing.assert_allclose(xy, expected, atol=0.05)
            assert own["time"].min() <= moment <= own["time"].max()
        assert rows[:, 4].astype(np.int64).tolist() == sorted(set(rows[:, 4].astype(np.int64)))

    def test_a_time_that_is_not_a_whole_hour_is_refused(self, files, tmp_path):
        with pytest.raises(ProductError, match="whole hours"):
            export(files, "nextsim-rgps", tmp_path, start=datetime(2021, 1, 2, 18, 30, tzinfo=UTC))

    def test_a_time_outside_the_record_is_refused(self, files, tmp_path):
        with pytest.raises(ProductError, match="observations go from 2021-01-01"):
            export(files, "nextsim-rgps", tmp_path, start=datetime(2022, 1, 1, tzinfo=UTC))

    def test_a_short_record_starts_at_the_hour_with_most_parcels(self, files, tmp_path):
        end = datetime(2021, 1, 3, tzinfo=UTC)
        (path,) = export(files, "nextsim-rgps", tmp_path, end=end)
        assert path.name == "RGPS_2021-01-01_02.txt"
        assert len(read_drifters(path)[1]) == 2 * SHIFT

    def test_an_end_after_the_start_takes_no_parcel_away(self, files, tmp_path):
        start = datetime(2021, 1, 3, tzinfo=UTC)
        (whole,) = export(files, "nextsim-rgps", tmp_path / "whole", start=start)
        end = datetime(2021, 1, 3, 1, tzinfo=UTC)
        (part,) = export(files, "nextsim-rgps", tmp_path / "part", start=start, end=end)
        assert part.read_text() == whole.read_text()

    def test_without_a_start_it_lies_before_the_end(self, files, tmp_path):
        for end, name in (
            (datetime(2021, 1, 5, tzinfo=UTC), "RGPS_2021-01-01_02.txt"),
            (datetime(2021, 1, 5, 1, tzinfo=UTC), "RGPS_2021-01-05.txt"),
        ):
            (path,) = export(files, "nextsim-rgps", tmp_path, end=end)
            assert path.name == name

    def test_ids_beyond_32_bits_are_refused(self, files, tmp_path, monkeypatch):
        monkeypatch.setattr("lagrangian_ice.output.exports_nextsim.np.iinfo", lambda kind: Small)
        with pytest.raises(ProductError, match="32-bit"):
            export(files, "nextsim-rgps", tmp_path)


class Small:
    max = 5


class TestNextsimIabp:
    def test_every_twelve_hours_and_parcels_vanish_when_they_end(self, files, tmp_path):
        (path,) = export(files, "nextsim-iabp", tmp_path)
        header, rows = read_drifters(path)
        assert "interpolated" in header
        assert set(rows[:, 3]) == {0.0, 12.0}
        when = rows[:, 2] * 24 + rows[:, 3]
        assert (np.diff(when) >= 0).all()
        assert sorted(set(when)) == [36.0 + 12 * step for step in range(8)]
        last = pd.Series(when).groupby(rows[:, 4]).max()
        assert (last[last.index % 9 == 0] < last.max()).any()
        assert not pd.DataFrame(rows[:, [2, 3, 4]]).duplicated().any()

    def test_nothing_is_interpolated_over_a_long_gap(self, files, tmp_path, monkeypatch):
        monkeypatch.setattr("lagrangian_ice.output.exports_nextsim.LONGEST_GAP", 0.5 * DAY)
        with pytest.raises(ProductError, match=r"both before and after .* go from 2021-01-01"):
            export(files, "nextsim-iabp", tmp_path)

    @pytest.mark.parametrize("hour", [0, 1, 12])
    def test_a_part_has_all_parcels_that_the_whole_has(self, files, tmp_path, hour):
        """Those of its first and last time too, whose observations lie outside of it."""
        (whole,) = export(files, "nextsim-iabp", tmp_path / "whole")
        start, end = datetime(2021, 1, 3, hour, tzinfo=UTC), datetime(2021, 1, 4, hour, tzinfo=UTC)
        (part,) = export(files, "nextsim-iabp", tmp_path / "part", start=start, end=end)
        _, all_rows = read_drifters(whole)
        moments = [datetime(*row[:4].astype(int), tzinfo=UTC) for row in all_rows]
        asked = [start <= moment < end for moment in moments]
        assert 0 < sum(asked) < len(asked)
        np.testing.assert_array_equal(read_drifters(part)[1], all_rows[asked])


@pytest.mark.parametrize("name", FORMATS)
def test_times_and_stream_are_chosen(files, tmp_path, name):
    paths = export(
        files,
        name,
        tmp_path / "part",
        start=datetime(2021, 1, 3, tzinfo=UTC),
        end=datetime(2021, 1, 5, 1, 1, tzinfo=UTC),
        stream=1,
    )
    assert len(paths) == 1
    assert [path.name for path in (tmp_path / "part").iterdir()] == [paths[0].name]
    if name == "pysida":
        frame = read_frame(paths[0])
        assert frame["g"].min() > SHIFT
        assert frame["d"].dt.day.unique().tolist() == [3, 4, 5]
        assert frame["i"].unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "nextsim-rgps"])
def test_streams_that_are_alone_do_not_replace_each_other(files, tmp_path, name):
    made = [export(files, name, tmp_path, stream=stream) for stream in (0, 1)]
    assert len({path for paths in made for path in paths}) == 2


@pytest.mark.parametrize("name", ["rgps-lp", "nextsim-rgps", "nextsim-iabp"])
def test_a_layout_with_a_fixed_map_refuses_another(files, tmp_path, name):
    with pytest.raises(ValueError, match="a CRS can be asked of rgps-csv, pysida"):
        export(files, name, tmp_path, crs="EPSG:3413")


@pytest.mark.parametrize("crs", ["EPSG:99999", "nonsense", "EPSG:4326"])
def test_a_wrong_crs_is_refused_in_one_line(files, tmp_path, crs):
    with pytest.raises(ValueError, match=crs) as caught:
        export(files, "mojito", tmp_path, crs=crs)
    assert "\n" not in str(caught.value)


def test_nothing_is_left_where_one_of_the_formats_fails(files, tmp_path):
    start = datetime(2021, 1, 3, 0, 30, tzinfo=UTC)
    with pytest.raises(ProductError, match="whole hours"):
        export_trajectories(files, ["mojito", "nextsim-rgps"], tmp_path / "out", start=start)
    assert list((tmp_path / "out").iterdir()) == []


def test_wrong_calls_are_refused(files, tmp_path):
    with pytest.raises(ValueError, match="format 'rgps' is unknown"):
        export(files, "rgps", tmp_path)
    with pytest.raises(ProductError, match="no observation in the times"):
        export(files, "mojito", tmp_path, start=datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(ProductError, match="parcel 1 is in two of"):
        export([files[0], files[0]], "mojito", tmp_path)
    with pytest.raises(ProductError, match="no such file"):
        export([tmp_path / "none_LP.nc"], "mojito", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ProductError, match="cannot be written"):
        export(files, "mojito", tmp_path / "file")
    with pytest.raises(ProductError, match="no trajectory file"):
        export([], "mojito", tmp_path)


def test_an_export_does_not_replace_what_it_is_made_of(files, tmp_path):
    (first, *_) = export_trajectories(files[:1], ["mojito"], tmp_path)
    given = first.rename(tmp_path / "kept.nc")
    first.write_bytes(files[0].read_bytes())
    with pytest.raises(ProductError, match="would replace"):
        export_trajectories([first], ["mojito"], tmp_path)
    assert first.read_bytes() == files[0].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([given, first])


def test_no_day_comes_after_the_last_of_a_year():
    """A tenth of a millisecond before midnight was day 367."""
    last = np.datetime64("2020-12-31T23:59:59.9999").astype("datetime64[us]").astype(float) / 1e6
    _, day = year_and_day([last, np.nan])
    assert exports_rgps._day(day) == ["366.999999", "-1.000000"]
    assert exports_rgps._day(np.array([305.0, 305.25, 1.1])) == [
        "305.000000",
        "305.250000",
        "1.100000",
    ]
