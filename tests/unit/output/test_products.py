"""The three products: written from frames, read back, and checked by compliance-checker."""

from __future__ import annotations

import json
from dataclasses import replace

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from product_frames import (
    DAY,
    HEADER,
    SETTINGS,
    START,
    make_frames,
    make_passes,
    records_of,
    write_all,
)

from lagrangian_ice.errors import ProductError
from lagrangian_ice.output import products, reading
from lagrangian_ice.output.attributes import Extent, Header, global_attributes
from lagrangian_ice.output.netcdf import new_file
from lagrangian_ice.output.pairs import write_pairs
from lagrangian_ice.output.products import (
    Records,
    dates_of_streams,
    deform_file,
    write_products,
)
from lagrangian_ice.output.reading import (
    open_trajectories,
    pair_of_dates,
    read_deformation,
    read_pairs,
    read_trajectories,
)
from lagrangian_ice.output.trajectories import write_trajectories
from lagrangian_ice.output.variables import PRODUCTS, TRAJECTORIES
from lagrangian_ice.settings import ProductSettings, Settings
from lagrangian_ice.times import Window

pytestmark = pytest.mark.usefixtures("straight_coast")


@pytest.fixture(scope="module")
def frames():
    return make_frames()


def empty_like(frames):
    names = ("parcels", "observations", "pairs", "vectors")
    return replace(frames, **{name: getattr(frames, name).iloc[:0] for name in names})


def one_parcel(frames, observations=None):
    own = frames.observations[frames.observations["parcel_id"] == 2].iloc[:observations]
    parcels = frames.parcels[frames.parcels["parcel_id"] == 2].assign(n_obs=len(own))
    vectors = frames.vectors[frames.vectors["parcel_id"] == 2]
    return replace(frames, observations=own, parcels=parcels, vectors=vectors)


CASES = {
    "season": lambda frames: frames,
    "empty": empty_like,
    "nothing_at_all": lambda frames: replace(empty_like(frames), passes=make_passes(0)),
    "single_parcel": one_parcel,
    "one_observation": lambda frames: one_parcel(frames, 1),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frames):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
        )
        directory = tmp_path_factory.mktemp("products")
        write_all(directory, frames)
    return directory


@pytest.fixture(scope="module")
def paths(folder):
    return {path.name[-5:-3]: path for path in folder.iterdir()}


def test_file_names(folder):
    stem = "lagrangian_ice_a_20210101_20210105_v0.1.0"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{stem}_{kind}.nc" for kind in ("DP", "LP", "PD")
    ]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["LP", "PD"])
@pytest.mark.filterwarnings("ignore")
def test_compliance_checker_finds_no_fault(cf_faults, case, kind, frames, tmp_path):
    written = write_all(tmp_path, CASES[case](frames))
    path = next(path for path in written if path.name.endswith(f"_{kind}.nc"))
    found = cf_faults(path)
    assert not any(found.values()), found


@pytest.mark.filterwarnings("ignore")
def test_deformation_fails_the_checker_for_ugrid_roles_only(cf_faults, paths):
    found = cf_faults(paths["DP"])
    messages = [message for part in found.values() for message in part]
    assert messages
    assert all("cf_role" in message for message in messages), messages


NO_VERTICAL_VARIABLE = (
    "Could not find vertical variable to test extent of "
    "geospatial_vertical_min/geospatial_vertical_max, see CF-1.6 spec chapter 4.3"
)


@pytest.mark.filterwarnings("ignore")
def test_acdd_is_complete_once_the_settings_are(cf_faults, frames, tmp_path):
    filled = ProductSettings.model_fields.keys() - {"compression"}
    settings = Settings(product=ProductSettings(**dict.fromkeys(filled, "Some text")))
    written = write_all(tmp_path, frames, Header(settings))
    found = cf_faults(written[0], "acdd:1.3")
    messages = [message for part in found.values() for message in part]
    for message in messages:
        assert message in {
            "standard_name",
            "time_coverage_resolution not present",
            NO_VERTICAL_VARIABLE,
        }, messages


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)
def test_file_has_what_the_table_declares(product, paths):
    with netCDF4.Dataset(paths[product.key]) as dataset:
        assert list(dataset.variables) == [variable.name for variable in product.variables]
        for variable in product.variables:
            made = dataset[variable.name]
            assert made.dtype == np.dtype(variable.dtype), variable.name
            assert made.dimensions == variable.dimensions, variable.name
            attributes = {key: made.getncattr(key) for key in made.ncattrs()}
            fill = attributes.pop("_FillValue", None)
            np.testing.assert_equal(fill, variable.fill)
            for key, value in variable.attributes.items():
                np.testing.assert_array_equal(attributes[key], value)


def test_trajectories_round_trip(frames, paths):
    found = read_trajectories(paths["LP"])
    written = frames.observations
    assert len(found) == len(written)
    same = ("parcel_id", "time", "x", "y", "q_flag")
    for name in same:
        np.testing.assert_array_equal(found[name], written[name])
    np.testing.assert_array_equal(found["image_index"], written["pass_index"])
    np.testing.assert_allclose(found["x_standard_error"], np.sqrt(written["var_x"]), rtol=1e-6)
    np.testing.assert_allclose(found["xy_error_covariance"], written["cov_xy"], rtol=1e-6)
    np.testing.assert_allclose(found["correlation"], written["mcc"], rtol=1e-6)
    np.testing.assert_allclose(found["distance_to_coast"], written["x"] + 500e3, rtol=1e-6)
    source = written["source_pass_index"].replace(-1, np.nan)
    np.testing.assert_array_equal(found["source_image_index"], source)


def test_dates_are_exact_not_a_day_late(frames, paths):
    """Known fault: a reader of day-of-year times was one day late. Ours hold the very time."""
    with open_trajectories(paths["LP"]) as dataset:
        first = dataset["time"].to_numpy()[0, 0]
        assert first == np.datetime64("2021-01-01T01:00:30", "ns")
        assert str(dataset["birth_time"].to_numpy()[0])[:10] == "2021-01-01"
        assert dataset.attrs["time_coverage_start"] == "2021-01-01T01:00:30.000Z"
    seconds = read_trajectories(paths["LP"])["time"].to_numpy()
    np.testing.assert_array_equal(seconds, frames.observations["time"])


def test_ended_and_living_parcels(frames, paths):
    with open_trajectories(paths["LP"]) as dataset:
        ended = dataset["trajectory"].to_numpy() % 9 == 0
        assert np.isnat(dataset["death_time"].to_numpy()).tolist() == (~ended).tolist()
        assert set(dataset["death_reason"].to_numpy()[ended]) == {1}
        assert dataset["death_reason"].attrs["flag_meanings"].split()[1] == "lost"
        assert set(dataset["n_obs"].to_numpy()[ended]) == {2}
        # no position is invented after the last observation
        assert np.isnan(dataset["x"].to_numpy()[ended][:, 2:]).all()


def test_images_are_described(paths):
    with open_trajectories(paths["LP"]) as dataset:
        assert dataset["image_id"].to_numpy()[1] == "SCENE_1_A,SCENE_1_B"
        assert dataset["image_pass"].to_numpy()[4] == "S1A_000004"
        assert dataset["image_polarisation"].to_numpy()[0] == "HH,HV"
        orbits = dataset["image_orbit"].to_numpy()
        assert np.isnan(orbits[1])
        assert orbits[0] == 36000


def test_attributes_are_real(paths):
    with open_trajectories(paths["LP"]) as dataset:
        attributes = dataset.attrs
    assert attributes["creator_name"] == "A group"
    assert "license" not in attributes
    assert "" not in attributes.values()
    assert attributes["weights_sha256"] == "0" * 64
    assert attributes["input_scenes"].split(",")[:2] == ["SCENE_0_A", "SCENE_0_B"]
    assert json.loads(attributes["settings"]) == json.loads(SETTINGS.as_json())
    assert attributes["geospatial_bounds"].startswith("POLYGON ((")
    assert attributes["id"] == "lagrangian_ice_a_20210101_20210105_v0.1.0_LP"


@pytest.mark.parametrize(
    ("days", "told"), [((0, 3), "data 2021"), ((-40, 3), "data 2020-2021"), ((), "data ")]
)
def test_years_of_the_data_come_into_the_acknowledgement(days, told):
    product = ProductSettings(acknowledgement="Contains modified Copernicus Sentinel data {years}")
    header = Header(Settings(product=product))
    seconds = START + np.array(days, np.float64) * DAY
    extent = Extent().grow(seconds, np.zeros((0, 2)), np.zeros((0, 2)))
    found = global_attributes(TRAJECTORIES, header, "a", extent, [])
    assert str(found["acknowledgement"]).endswith(told)


def test_thousands_of_scenes_do_not_break_the_attributes(frames, tmp_path):
    passes = make_passes(5)
    passes["scene_ids"] = [
        tuple(f"SCENE_{index}_{k:060d}" for k in range(300)) for index in range(5)
    ]
    path = tmp_path / "many.nc"
    write_trajectories(path, HEADER, passes, frames.parcels, frames.chunks())
    with open_trajectories(path) as dataset:
        assert dataset.attrs["number_of_input_scenes"] == 1500
        assert "image_id" in dataset.attrs["input_scenes"]
        assert len(dataset["image_id"].to_numpy()[3].split(",")) == 300


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_chunks_of_any_size_give_the_same_file(size, frames, paths, tmp_path, monkeypatch):
    monkeypatch.setattr("lagrangian_ice.output.trajectories.BLOCK", 5)
    path = tmp_path / "other.nc"
    write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks(size))
    with xr.open_dataset(path) as one, xr.open_dataset(paths["LP"]) as two:
        xr.testing.assert_equal(one.load(), two.load())


def test_parcels_not_yet_seen_are_left_out(frames, tmp_path):
    waiting = frames.parcels.iloc[[0]].assign(parcel_id=10**6, n_obs=0, birth_time=np.nan)
    parcels = pd.concat([frames.parcels, waiting])
    path = tmp_path / "some.nc"
    write_trajectories(path, HEADER, frames.passes, parcels, frames.chunks())
    with open_trajectories(path) as dataset:
        assert dataset.sizes["trajectory"] == 64


def test_frames_that_disagree_are_refused_and_leave_nothing(frames, tmp_path):
    path = tmp_path / "bad.nc"
    half = frames.observations[frames.observations["pass_index"] != 3]
    with pytest.raises(ValueError, match=r"parcel 1 has 4 observations, its n_obs is 5"):
        write_trajectories(path, HEADER, frames.passes, frames.parcels, [half])
    split = (frames.observations.iloc[:3], frames.observations.iloc[3:])
    with pytest.raises(ValueError, match=r"parcel 1 is in two chunks"):
        write_trajectories(path, HEADER, frames.passes, frames.parcels, split)
    with pytest.raises(ValueError, match=r"pass_index 4 is not in its table"):
        write_trajectories(path, HEADER, frames.passes.iloc[:4], frames.parcels, frames.chunks())
    with pytest.raises(ValueError, match=r"parcel_id 64 is not in its table"):
        write_trajectories(
            path, HEADER, frames.passes, frames.parcels.iloc[:-1], frames.chunks(1000)
        )
    assert list(tmp_path.iterdir()) == []


def test_chunks_out_of_order_are_refused(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("lagrangian_ice.output.trajectories.BLOCK", 5)
    backwards = list(frames.chunks())[::-1]
    with pytest.raises(ValueError, match="ascending order"):
        write_trajectories(tmp_path / "bad.nc", HEADER, frames.passes, frames.parcels, backwards)


def test_interrupted_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "product.nc"
    path.write_bytes(b"old")

    def interrupted():
        with new_file(path) as dataset:
            dataset.createDimension("x", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_place_is_one_clear_line(frames, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    with pytest.raises(ProductError, match=r"LP\.nc: cannot be written") as caught:
        write_all(blocker, frames)
    assert "\n" not in str(caught.value)


def test_superseded_products_go_others_stay(frames, tmp_path):
    other = tmp_path / "lagrangian_ice_b_20210101_20210103_v0.1.0_LP.nc"
    mine = tmp_path / "notes.nc"
    unfinished = tmp_path / ".lagrangian_ice_a_20210101_20210103_v0.1.0_LP.nc.part"
    for path in (other, mine, unfinished):
        path.write_text("x")
    short = frames.passes.iloc[:3]
    few = frames.observations[frames.observations["pass_index"] < 3]
    parcels = frames.parcels.assign(n_obs=few.groupby("parcel_id").size().to_numpy())
    vectors = frames.vectors[frames.vectors["pair_index"] < 2]
    pairs = frames.pairs.iloc[:2]
    first = write_all(
        tmp_path,
        replace(
            frames, passes=short, observations=few, parcels=parcels, vectors=vectors, pairs=pairs
        ),
    )
    second = write_all(tmp_path, frames)
    assert not {path.name for path in first} & {path.name for path in second}
    assert sorted(tmp_path.iterdir()) == sorted([*second, other, mine])


def test_each_stream_has_its_files(frames, tmp_path):
    later = frames.parcels["parcel_id"] > 40
    parcels = frames.parcels.assign(stream=later.astype(int))
    own = {stream: set(parcels["parcel_id"][parcels["stream"] == stream]) for stream in (0, 1)}

    def of(frame):
        return lambda stream: [frame[frame["parcel_id"].isin(own[stream])]]

    everything = (frames.passes, parcels, of(frames.observations), frames.pairs)
    dates = dates_of_streams(frames.passes, parcels)
    records = Records(*everything, of(frames.vectors), dates)
    written = write_products(tmp_path, HEADER, records)
    assert [path.name.split("_")[2] for path in written] == ["a"] * 3 + ["b"] * 3
    with open_trajectories(written[3]) as dataset:
        assert set(dataset["trajectory"].to_numpy()) == own[1]


def test_deformation_round_trip(frames, paths):
    nodes, faces = read_deformation(paths["DP"])
    assert len(faces) > 100
    corners = faces[["node_1", "node_2", "node_3"]].to_numpy()
    assert corners.max() == len(nodes) - 1
    for corner in range(3):
        own = nodes["node_pair_index"].to_numpy()[corners[:, corner]]
        np.testing.assert_array_equal(own, faces["pair_index"])
    np.testing.assert_allclose(
        faces["total_deformation"], np.hypot(faces["divergence"], faces["shear"])
    )
    np.testing.assert_allclose(faces["divergence"], faces["dudx"] + faces["dvdy"])
    assert (faces["divergence_standard_error"] > 0).all()
    crack = faces["shear"] * DAY > 0.05
    assert 0 < crack.sum() < len(faces) / 3
    assert (faces["divergence"][crack] * DAY).median() == pytest.approx(0.02 / 10e3 * DAY, rel=0.05)


def test_immobile_ice_is_in_the_file(frames, tmp_path):
    """Known fault: ice at rest was dropped from the deformation."""
    first = frames.observations.groupby("parcel_id")[["x", "y"]].transform("first")
    still = replace(frames, observations=frames.observations.assign(x=first["x"], y=first["y"]))
    written = write_all(tmp_path, still)
    nodes, faces = read_deformation(written[1])
    assert len(faces) > 100
    assert (faces["total_deformation"] == 0).all()
    assert (nodes["dx"] == 0).all()


def test_deform_file_gives_the_product_again(paths, tmp_path):
    deform_file(paths["LP"], tmp_path / "again.nc")
    with xr.open_dataset(tmp_path / "again.nc") as one, xr.open_dataset(paths["DP"]) as two:
        xr.testing.assert_equal(one.load(), two.load())
        assert one.attrs["settings"] == two.attrs["settings"]
        assert one.attrs["weights_sha256"] == two.attrs["weights_sha256"]


def test_deform_file_with_other_settings(paths, tmp_path):
    settings = SETTINGS.deformation.model_copy(update={"nominal_days": 1.0})
    deform_file(paths["LP"], tmp_path / "daily.nc", settings)
    with xr.open_dataset(tmp_path / "daily.nc") as dataset:
        assert json.loads(dataset.attrs["settings"])["deformation"]["nominal_days"] == 1.0
        assert dataset.sizes["pair"] == 4


def test_a_season_is_deformed_some_days_at_a_time_with_the_same_result(
    paths, tmp_path, monkeypatch
):
    monkeypatch.setattr(products, "SPAN_DAYS", 0.7)
    deform_file(paths["LP"], tmp_path / "pieces.nc")
    with xr.open_dataset(tmp_path / "pieces.nc") as one, xr.open_dataset(paths["DP"]) as two:
        xr.testing.assert_equal(one.load(), two.load())


@pytest.mark.parametrize(("first", "last"), [(2.5, 3.5), (3.5, 4.5)])
def test_deform_file_of_some_days(paths, tmp_path, first, last):
    window = Window(START + first * DAY, START + last * DAY)
    deform_file(paths["LP"], tmp_path / "one.nc", window=window)
    deform_file(paths["LP"], tmp_path / "none.nc", window=Window(START + 50 * DAY))
    nodes, faces = read_deformation(tmp_path / "one.nc")
    all_nodes, all_faces = read_deformation(paths["DP"])
    ends = all_nodes["time_end"].to_numpy()[all_faces["node_1"]]
    expected = all_faces[(ends >= window.start) & (ends < window.end)]
    assert 0 < len(expected) < len(all_faces)
    np.testing.assert_array_equal(faces["shear"], expected["shear"])
    assert nodes["time_end"].between(window.start, window.end).all()
    assert len(read_deformation(tmp_path / "none.nc")[1]) == 0


@pytest.mark.parametrize("kinds", [("LP",), ("DP",), ("PD",), ("DP", "PD")])
def test_only_what_is_asked_for_is_made(kinds, frames, paths, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    kept = tmp_path / "there" / paths["LP"].name
    kept.write_text("of another run")
    if "DP" not in kinds:
        monkeypatch.setattr(products, "deform_file", None)
    written = write_products(tmp_path / "there", HEADER, records_of(frames), kinds)
    assert written == [tmp_path / "there" / paths[kind].name for kind in kinds]
    assert {path.name for path in (tmp_path / "there").iterdir()} == {
        kept.name, *(path.name for path in written)
    }  # fmt: skip
    if "LP" not in kinds:
        assert kept.read_text() == "of another run"


def test_which_files_hold_triangles(paths, tmp_path, monkeypatch):
    assert [kind for kind, path in paths.items() if reading.is_deformation(path)] == ["DP"]
    with pytest.raises(ProductError, match=r"none_DP\.nc: no such file"):
        reading.is_deformation(tmp_path / "none_DP.nc")

    def unreadable(*_):
        raise OSError("as a library says")  # without a number

    monkeypatch.setattr("lagrangian_ice.output.reading.netCDF4.Dataset", unreadable)
    with pytest.raises(ProductError, match=r"NetCDF file \(as a library says\)"):
        reading.is_deformation(paths["LP"])


def test_an_excerpt_is_named_by_no_day_after_it(frames, tmp_path):
    """The last pass that it begins may go on after its end."""
    window = Window(end=START + 2 * DAY)
    (path,) = write_products(tmp_path, HEADER, records_of(frames, window), ["LP"], window)
    assert path.name == "lagrangian_ice_a_20210101_20210102_v0.1.0_LP.nc"


def test_two_dates_of_a_season(frames, paths, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 10)
    first, second = "2021-01-02T02:00", "2021-01-04T02:00"
    found = pair_of_dates(paths["LP"], first, second, 12)
    table = frames.observations.set_index(["parcel_id", "pass_index"])
    both = [i for i in sorted(frames.parcels["parcel_id"]) if (i, 1) in table.index]
    both = [i for i in both if (i, 3) in table.index]
    assert found["parcel_id"].tolist() == both
    for number, index in enumerate((1, 3)):
        expected = table.loc[[(i, index) for i in both]]
        np.testing.assert_array_equal(found[f"x{number}"], expected["x"])
        np.testing.assert_allclose(found[f"var_y{number}"], expected["var_y"], rtol=1e-6)
        seconds = found[f"time{number}"].astype("int64") / 1e9
        np.testing.assert_allclose(seconds, expected["time"], atol=1e-6, rtol=0)
        assert (found[f"image{number}"] == index).all()
    with open_trajectories(paths["LP"]) as dataset:
        assert pair_of_dates(dataset, first, second, 12).equals(found)
    assert len(pair_of_dates(paths["LP"], first, "2031-01-01")) == 0
    with pytest.raises(ValueError, match="two different moments"):
        pair_of_dates(paths["LP"], first, first)
    with pytest.raises(ValueError, match="not ISO 8601"):
        pair_of_dates(paths["LP"], first, "soon")
    assert pair_of_dates(paths["LP"], f"{first}Z", f"{second}Z", 12).equals(found)
    with (
        xr.open_dataset(paths["LP"], decode_times=False) as raw,
        pytest.raises(ProductError, match="not decoded"),
    ):
        pair_of_dates(raw, first, second)


def test_deform_file_refuses_to_overwrite_its_input(paths):
    with pytest.raises(ProductError, match="would replace"):
        deform_file(paths["LP"], paths["LP"])


def test_damaged_settings_attribute_is_named(frames, tmp_path):
    path = tmp_path / "lp.nc"
    write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.settings = "{"
    with pytest.raises(ProductError, match=r"lp\.nc: the attribute settings is not JSON"):
        deform_file(path, tmp_path / "dp.nc")


def test_pairs_round_trip(frames, paths):
    found = read_pairs(paths["PD"])
    assert len(found) == len(frames.vectors)
    for name in ("x0", "y1", "time0", "time1", "status", "first_guess_x"):
        np.testing.assert_array_equal(found[name], frames.vectors[name])
    np.testing.assert_array_equal(found["trajectory"], frames.vectors["parcel_id"])
    lost = found["status"] != 0
    assert lost.any()
    assert found["displacement_x"][lost].isna().all()
    np.testing.assert_array_equal(found["pair_target_image"], found["pair_index"] + 1)


def test_pairs_of_unknown_passes_are_refused(frames, tmp_path):
    with pytest.raises(ValueError, match="pass_index 4"):
        write_pairs(
            tmp_path / "bad.nc", HEADER, frames.passes.iloc[:4], frames.pairs, [frames.vectors]
        )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_text("not NetCDF"), "not a readable NetCDF file"),
        (lambda path: path.write_bytes(b""), "not a readable NetCDF file"),
        (lambda path: xr.Dataset({"a": 1}).to_netcdf(path), "lacks the variable trajectory"),
    ],
)
def test_bad_file_is_one_clear_line(make, text, tmp_path):
    path = tmp_path / "bad.nc"
    make(path)
    with pytest.raises(ProductError, match=text) as caught:
        open_trajectories(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_product_of_another_kind_is_named(paths):
    with pytest.raises(ProductError, match=r"not a _LP\.nc product"):
        open_trajectories(paths["DP"])


def test_times_before_1970_and_far_ahead_survive(frames, tmp_path):
    shift = -2 * START
    observations = frames.observations.assign(time=frames.observations["time"] + shift)
    path = tmp_path / "old.nc"
    write_trajectories(path, HEADER, frames.passes, frames.parcels, [observations])
    np.testing.assert_array_equal(read_trajectories(path)["time"], observations["time"])


def test_an_excerpt_is_named_by_the_last_pass_that_begins_in_it():
    passes = make_passes(5).drop(index=3)
    parcels = make_frames().parcels
    found = dates_of_streams(passes, parcels, Window(end=START + 4 * DAY))
    assert found == {0: "20210101_20210103"}
    # Of a stream that has no parcel yet something is said too.
    assert dates_of_streams(passes, parcels.iloc[:0]) == {0: "none_20210105"}
