"""A synthetic model run of known bias, noise and scaling, in neXtSIM's own file layout."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import netCDF4
import numpy as np
import pandas as pd
import pytest
from ice_motion import self_similar
from product_frames import DAY, HEADER, START, field_velocity, make_frames

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import xy_to_lonlat
from lagrangian_ice.output.exports import export_trajectories
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.output.trajectories import write_trajectories
from lagrangian_ice.validation import buoys, nextsim
from lagrangian_ice.validation import triangles as triangles_module
from lagrangian_ice.validation.drifters import ModelTracks, read_drifters
from lagrangian_ice.validation.nextsim import (
    compare_deformation,
    compare_drift,
    drift_scores,
    error_growth,
    validate_nextsim,
    vector_correlation,
)
from lagrangian_ice.validation.triangles import Record

EPOCH = datetime(1900, 1, 1, tzinfo=UTC).timestamp()
BIAS = np.array([1200.0, -500.0])  # m per day


def write_model(path, ids, time, xy):
    """RGPS_Drifters layout with its faults; xy (T, N, 2), NaN where the drifter is gone."""
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", len(ids))
        dataset.createDimension("y", 1)
        made = dataset.createVariable("time", "f4", ("time",))
        made.units = "days since 1900-01-01 00:00:00"
        made[:] = (time - EPOCH) / DAY
        lonlat = np.full(xy.shape, np.nan)
        known = np.isfinite(xy[..., 0])
        lonlat[known] = xy_to_lonlat(xy[known])
        values = {
            "longitude": lonlat[..., 0],
            "latitude": lonlat[..., 1],
            "index": np.where(known, ids, np.nan),
            "sic": np.where(known, 0.97, np.nan),
        }
        for name, array in values.items():
            variable = dataset.createVariable(
                name, "f4" if name == "sic" else "f8", ("time", "x", "y"), fill_value=-1e9
            )
            variable[:] = np.where(np.isfinite(array), array, -1e9)[..., None]
        dataset["longitude"].units = "degrees_north"
        dataset["latitude"].units = "degrees_north"


@pytest.fixture(scope="module")
def frames():
    return make_frames(side=10, count=7)


@pytest.fixture(scope="module")
def product(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("observed") / "a_LP.nc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
        )
        write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    return path


def true_motion(product, time):
    """Ids and positions (T, N, 2) of the parcels as they were made."""
    table = read_trajectories(product)
    first = table.drop_duplicates("parcel_id")
    origin = first[["x", "y"]].to_numpy()
    begin = first["time"].to_numpy()
    row = first["seed_row"].to_numpy()
    col = first["seed_col"].to_numpy()
    start = np.stack([col - 5, row - 5], axis=1) * 10e3 + [0.0, -900e3]
    velocity = field_velocity(start)
    moved = origin + velocity * (time[:, None, None] - begin[:, None])
    return first["parcel_id"].to_numpy(), moved


@pytest.fixture
def model(product, tmp_path):
    def make(bias=(0.0, 0.0), noise=0.0, extra=0.0, seed=5):
        time = START + DAY + np.arange(0, 6.01, 0.5) * DAY
        ids, xy = true_motion(product, time)
        days = (time - time[0])[:, None, None] / DAY
        rng = np.random.default_rng(seed)
        wander = rng.normal(0, noise, xy.shape) if noise else 0.0
        grown = extra * (xy - xy.mean(axis=1, keepdims=True)) * days
        path = tmp_path / "RGPS_Drifters_20210102.nc"
        write_model(path, ids, time, xy + np.asarray(bias) * days + wander + grown)
        return path

    return make


def test_times_of_single_precision_are_put_right(model):
    table = read_drifters([model()])
    expected = START + DAY + np.arange(0, 6.01, 0.5) * DAY
    np.testing.assert_array_equal(np.unique(table["time"]), expected)


def test_single_precision_really_loses_minutes_and_quarters_are_found_again(tmp_path):
    time = START + np.arange(0, 40) * 3600.0 + 900.0
    raw = np.float32((time - EPOCH) / DAY).astype(float) * DAY + EPOCH
    assert 60 < np.abs(raw - time).max() < 200
    xy = np.broadcast_to([[0.0, -900e3]], (40, 1, 2))
    write_model(tmp_path / "m.nc", np.array([7]), time, xy)
    np.testing.assert_array_equal(read_drifters([tmp_path / "m.nc"])["time"], time)


def test_longitude_is_longitude_whatever_its_units_say(model, product):
    table = read_drifters([model()])
    ids, xy = true_motion(product, np.unique(table["time"]))
    one = table[table["parcel_id"] == ids[3]]
    np.testing.assert_allclose(one[["x", "y"]], xy[:, 3], atol=1e-3)


def test_drifters_that_vanish_have_no_position(tmp_path):
    time = START + np.arange(5) * DAY / 2
    xy = np.tile([0.0, -900e3], (5, 2, 1))
    xy[3:, 1] = np.nan
    write_model(tmp_path / "m.nc", np.array([4, 9]), time, xy)
    tracks = ModelTracks(read_drifters([tmp_path / "m.nc"]))
    asked = np.array([4, 4, 9, 9, 9, 5])
    at = tracks.at(asked, time[[0, 4, 0, 2, 4, 0]])
    assert np.isfinite(at[:, 0]).tolist() == [True, True, True, True, False, False]
    beyond = tracks.at(np.array([4, 4, 9]), np.array([time[0] - 1, time[4] + 1, time[2] + 10]))
    assert np.isnan(beyond).all()


def test_a_perfect_model_has_no_error(model, product):
    scores, _, (observed, modelled) = validate_nextsim(product, [model()])
    drift = scores["drift_km_per_day"]
    assert drift["rmse"] < 1e-3
    assert drift["vector_correlation"] == pytest.approx(1, abs=1e-4)
    assert len(observed) == len(modelled) > 100
    np.testing.assert_allclose(observed.gradients, modelled.gradients, atol=1e-6)
    json.dumps(scores, allow_nan=False)


def test_a_known_bias_is_diagnosed(model, product):
    scores, _, _ = validate_nextsim(product, [model(bias=BIAS)])
    drift = scores["drift_km_per_day"]
    assert drift["bias_x"] == pytest.approx(1.2, abs=0.002)
    assert drift["bias_y"] == pytest.approx(-0.5, abs=0.002)
    assert drift["rmse"] == pytest.approx(1.3, abs=0.002)
    growth = scores["error_growth"]
    for row in growth:
        assert row["median_distance"] == pytest.approx(1300 * row["days"], rel=0.3)
    # a shift of all does not deform
    assert scores["deformation"]["divergence"]["rmse"] < 1e-4


def test_where_the_model_started_is_not_in_the_difference_of_drift(model, product):
    """A start 600 m away is in all distances; the model drifts as the ice does."""
    observations = read_trajectories(product)
    drifters = read_drifters([model()]).assign(x=lambda table: table["x"] + 600.0)
    growth = error_growth(observations, ModelTracks(drifters))
    for row in growth:
        assert row["median_distance"] == pytest.approx(600, abs=1)
    moved = [row["rms_drift_difference"] for row in growth]
    assert moved[0] is None
    assert len(moved) > 2
    assert max(moved[1:]) < 1


def test_drift_that_is_wrong_is_in_the_difference_of_drift(model, product):
    observations = read_trajectories(product)
    growth = error_growth(observations, ModelTracks(read_drifters([model(bias=BIAS)])))
    # the third and fourth day are told together
    for days, row in zip((1, 2, np.sqrt(12.5)), growth[1:4], strict=True):
        assert row["rms_drift_difference"] == pytest.approx(1300 * days, rel=0.01)


def test_variables_of_other_shapes_are_told_with_the_file(tmp_path):
    time = START + np.arange(5) * DAY / 2
    path = tmp_path / "m.nc"
    write_model(path, np.array([4, 9]), time, np.tile([0.0, -900e3], (5, 2, 1)))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("index", "old")
        dataset.createVariable("index", "i4", dataset["old"].dimensions[1:])[:] = 4
    with pytest.raises(ProductError, match=r"m\.nc: index has the shape \(2,") as caught:
        read_drifters([path])
    assert "\n" not in str(caught.value)


def test_known_extra_noise_is_diagnosed_within_its_own_confidence(model, product):
    sigma = 300.0
    scores, compared, _ = validate_nextsim(product, [model(noise=sigma)])
    drift = scores["drift_km_per_day"]
    # at noon and midnight it is whole; between the outputs, at weights w and 1 - w, less
    w = (3600.0 + 10) / (DAY / 2)
    each = np.sqrt(2 * (w**2 + (1 - w) ** 2)) * sigma / 1e3
    assert drift["rmse_x"] == pytest.approx(each, rel=0.08)
    assert abs(drift["bias_x"]) < 3 * drift["bias_x_standard_error"]
    expected = compared["var_x"].mean() * 2 / (2 * each**2 * 1e6)
    assert drift["explained_by_observation_error"] == pytest.approx(expected, rel=0.3)


def test_bias_and_noise_lie_within_the_stated_confidence(model, product):
    sigma = 300.0
    scores, _, _ = validate_nextsim(product, [model(bias=BIAS, noise=sigma)])
    drift = scores["drift_km_per_day"]
    stated = drift["intervals"]
    w = (3600.0 + 10) / (DAY / 2)
    each = np.sqrt(2 * (w**2 + (1 - w) ** 2)) * sigma / 1e3
    truth = {
        "bias_x": BIAS[0] / 1e3,
        "bias_y": BIAS[1] / 1e3,
        "rmse_x": np.hypot(BIAS[0] / 1e3, each),
        "rmse_y": np.hypot(BIAS[1] / 1e3, each),
        "rmse": np.sqrt((BIAS @ BIAS) / 1e6 + 2 * each**2),
    }
    assert drift["pairs_of_passes"] == 5
    for name, value in truth.items():
        low, high = stated[name]
        assert low <= value <= high, name
        assert low <= drift[name] <= high
        assert high - low < 0.2
    low, high = stated["vector_correlation"]
    assert low <= drift["vector_correlation"] <= high < 1


def test_scores_of_sums_are_those_of_the_values():
    """The intervals are of the same scores: formulas on sums against numpy on values."""
    rng = np.random.default_rng(8)
    observed, modelled = rng.normal(2, 3, (300, 2)), rng.normal(1, 2, (300, 2))
    modelled += 0.7 * observed
    one, two = observed @ np.array([1, 1j]), modelled @ np.array([1, 1j])
    product = np.conj(one) * two
    columns = (
        np.ones(300), *observed.T, *modelled.T, abs(one) ** 2, abs(two) ** 2, product.real,
        product.imag, abs(two - one) ** 2, *(modelled - observed).T ** 2,
    )  # fmt: skip
    found = nextsim._drift_of_sums(np.stack(columns, axis=1).sum(axis=0)[None])
    whole = vector_correlation(observed, modelled)
    assert found["vector_correlation"][0] == pytest.approx(whole["vector_correlation"])
    assert found["rmse"][0] == pytest.approx(np.sqrt(np.mean(abs(two - one) ** 2)))
    rates = np.stack([np.ones(300), one.real, two.real, one.real**2, two.real**2,
                      one.real * two.real], axis=1)  # fmt: skip
    found = nextsim._rates_of_sums(rates.sum(axis=0)[None])
    assert found["correlation"][0] == pytest.approx(np.corrcoef(one.real, two.real)[0, 1])
    assert found["rmse"][0] == pytest.approx(np.sqrt(np.mean((two.real - one.real) ** 2)))


def test_a_known_scaling_exponent_of_the_model_is_diagnosed(tmp_path, monkeypatch):
    """From the model's file to the exponent; how often its interval is right: test_scaling."""
    monkeypatch.setattr(
        "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
    )
    side, days, hurst = 36, 14, 0.5
    frames = make_frames(side=side, count=days)
    path = tmp_path / "a_LP.nc"
    write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    rng = np.random.default_rng(1)
    # a new field every day: in three days their sum, which is as self-similar
    steps = [1500.0 * self_similar(side, hurst, rng).reshape(-1, 2) for _ in range(days)]
    first = frames.observations.drop_duplicates("parcel_id")[["x", "y"]].to_numpy()
    xy = first + np.concatenate([np.zeros((1, side**2, 2)), np.cumsum(steps, axis=0)])
    time = START + np.arange(days + 1) * DAY
    write_model(tmp_path / "m.nc", frames.parcels["parcel_id"].to_numpy(), time, xy)
    scores, _, _ = validate_nextsim(path, [tmp_path / "m.nc"])
    scaling = scores["deformation"]["modelled"]["spatial_scaling"]
    assert len(scaling["scales"]) >= 5
    for q in (1, 2, 3):
        beta = scaling[f"beta_{q}"]
        assert beta["value"] == pytest.approx(q * (1 - hurst), abs=0.1 * q)
        assert beta["low"] < beta["value"] < beta["high"] < beta["low"] + 0.35 * q
    assert abs(scaling["curvature"]["value"]) < 0.03
    observed = scores["deformation"]["observed"]["spatial_scaling"]
    assert observed["beta_1"]["value"] != pytest.approx(1 - hurst, abs=0.1)


def test_known_bias_and_noise_lie_within_their_intervals_whatever_the_seed(model, product):
    """Noise of the drifters' own: no seed is chosen, all but one in sixteen hold every truth."""
    sigma, w = 300.0, (3600.0 + 10) / (DAY / 2)
    each = np.sqrt(2 * (w**2 + (1 - w) ** 2)) * sigma / 1e3
    truth = {
        "bias_x": BIAS[0] / 1e3,
        "bias_y": BIAS[1] / 1e3,
        "rmse_x": np.hypot(BIAS[0] / 1e3, each),
        "rmse": np.sqrt((BIAS @ BIAS) / 1e6 + 2 * each**2),
    }
    observations = read_trajectories(product)
    inside = []
    for seed in range(16):
        tracks = ModelTracks(read_drifters([model(bias=BIAS, noise=sigma, seed=seed)]))
        found = drift_scores(compare_drift(observations, tracks))["intervals"]
        inside.append([found[name][0] <= value <= found[name][1] for name, value in truth.items()])
    assert np.mean(inside, axis=0).min() >= 15 / 16


def test_a_longer_season_makes_as_many_more_displacements(monkeypatch):
    """80,000 parcels seen 100 times would be 400 million of them if all pairs were made."""
    made = []

    def displacements(*args, **limits):
        made.append(buoys.displacements(*args, **limits))
        return made[-1]

    monkeypatch.setattr(nextsim, "displacements", displacements)
    seen = 200
    time = START + np.arange(seen) * DAY
    observations = pd.DataFrame(
        {
            "parcel_id": np.repeat([4, 9], seen),
            "time": np.tile(time, 2),
            "x": np.tile(1000.0 * np.arange(seen), 2),
            "y": -900e3,
            "image_index": np.tile(np.arange(seen), 2),
            "correlation": 0.7,
            "x_standard_error": 20.0,
            "y_standard_error": 20.0,
            "xy_error_covariance": 0.0,
            "geolocation_standard_error": 10.0,
        }
    )
    model = ModelTracks(observations[["parcel_id", "time", "x", "y"]])
    compared = compare_drift(observations.sample(frac=1, random_state=1), model)
    assert len(made[0]) == len(compared) == 2 * (seen - 1)
    assert (compared["hours"] == 24).all()
    np.testing.assert_allclose(compared[["model_dx", "dx"]], 1000.0)


def test_known_extra_divergence_is_diagnosed_on_the_same_triangles(model, product):
    scores, _, _ = validate_nextsim(product, [model(extra=0.02)])
    found = scores["deformation"]["divergence"]
    assert found["bias"] == pytest.approx(0.04, rel=0.1)  # both directions
    assert scores["deformation"]["shear"]["bias"] == pytest.approx(0, abs=0.005)
    assert found["explained_by_observation_error"] > 0


def test_triangles_that_the_model_lacks_are_left_out_of_both(product, tmp_path):
    time = START + DAY + np.arange(0, 6.01, 0.5) * DAY
    ids, xy = true_motion(product, time)
    xy[6:, ::7] = np.nan
    write_model(tmp_path / "m.nc", ids, time, xy)
    observed, modelled = compare_deformation(
        Record.of(product), ModelTracks(read_drifters([tmp_path / "m.nc"]))
    )
    np.testing.assert_array_equal(observed.xy, modelled.xy)
    assert np.isfinite(observed.gradients).all()


def test_ids_go_through_the_export_into_the_model_and_back(product, tmp_path):
    (path,) = export_trajectories(
        [product], ["nextsim-rgps"], tmp_path, start=datetime(2021, 1, 3, tzinfo=UTC)
    )
    rows = np.loadtxt(path, skiprows=1)
    ids = rows[:, 4].astype(int)
    time = START + 2 * DAY + np.arange(0, 3.01, 0.5) * DAY
    all_ids, xy = true_motion(product, time)
    xy = xy[:, np.searchsorted(all_ids, ids)]
    np.testing.assert_allclose(xy_to_lonlat(xy[0])[:, 1], rows[:, 5], atol=1e-4)
    write_model(tmp_path / "m.nc", ids, time, xy)
    scores, _, _ = validate_nextsim(product, [tmp_path / "m.nc"])
    assert scores["drift_km_per_day"]["parcels"] == len(ids)
    assert scores["drift_km_per_day"]["rmse"] < 1e-3


def test_of_a_long_record_every_nth_day_is_looked_at_and_it_is_said(product, model, monkeypatch):
    whole, _, _ = validate_nextsim(product, [model()])
    assert whole["every_nth_day"] == 1
    monkeypatch.setattr(triangles_module, "MOST", 500)
    thinned, _, _ = validate_nextsim(product, [model()])
    assert thinned["every_nth_day"] == Record.of(product).every > 1
    assert thinned["deformation"]["triangles"] < whole["deformation"]["triangles"]
    for name in ("drift_km_per_day", "error_growth"):
        assert thinned[name] == whole[name]


def test_vector_correlation_finds_turning_and_length():
    rng = np.random.default_rng(6)
    observed = rng.normal(size=(500, 2))
    angle = np.radians(-25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = vector_correlation(observed, 1.5 * observed @ turn.T + [3.0, 1.0])
    assert found["vector_correlation"] == pytest.approx(1)
    assert found["mean_turning"] == pytest.approx(-25)
    assert found["regression"] == pytest.approx(1.5)
    assert vector_correlation(observed, np.ones((500, 2)))["regression"] is None


def test_faults_are_named_in_one_line(product, model, tmp_path):
    text = tmp_path / "text.nc"
    text.write_text("no")
    with pytest.raises(ProductError, match="cannot be read"):
        read_drifters([text])
    with pytest.raises(ProductError, match="lacks longitude"):
        read_drifters([product])
    with pytest.raises(ProductError, match="no model file"):
        read_drifters([])
    time = START + np.arange(3) * DAY
    xy = np.tile([0.0, -900e3], (3, 2, 1))
    write_model(tmp_path / "other.nc", np.array([90001, 90002]), time, xy)
    with pytest.raises(ProductError, match="are the ids of one export"):
        validate_nextsim(product, [tmp_path / "other.nc"])


def test_several_files_of_one_run_are_joined(model):
    path = model()
    twice = read_drifters([path, path])
    pd.testing.assert_frame_equal(twice, read_drifters([path]))


def test_a_record_without_a_time_is_no_record(tmp_path):
    time = START + np.arange(5) * DAY / 2
    path = tmp_path / "m.nc"
    write_model(path, np.array([4, 9]), time, np.tile([0.0, -900e3], (5, 2, 1)))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["time"][4] = np.ma.masked
    table = read_drifters([path])
    assert np.isfinite(table["time"]).all()
    assert ModelTracks(table).end == time[3]
