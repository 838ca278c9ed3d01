from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.simulate.motion import MotionSettings, random_motion
from lagrangian_ice.simulate.swath import Swath
from lagrangian_ice.simulate.truth import Truth
from lagrangian_ice.validation.truth import (
    compare_strain,
    expected_to_live,
    score_frames,
    score_trajectories,
    trajectory_distances,
)

DAY = 86400.0
START = 1.6e9


def swath(day: float, shape: tuple[int, int] = (400, 400)) -> Swath:
    return Swath(-150.0, 80.0, 305.0, 200.0, shape, START + day * DAY, 25.0, 33.0)


@pytest.fixture(scope="module")
def truth() -> Truth:
    swaths = tuple(swath(day) for day in (0.1, 1.1, 2.1, 3.1))
    x, y = swaths[0].xy([200.0, 200.0])
    bounds = (x - 60e3, y - 60e3, x + 60e3, y + 60e3)
    settings = MotionSettings(drift=3e3, event=0.0)
    motion = random_motion(bounds, START, 4.0, np.random.default_rng(3), settings)
    return Truth(motion, swaths)


@pytest.fixture(scope="module")
def births(truth: Truth) -> np.ndarray:
    rowcol = np.stack(np.meshgrid(np.arange(60, 341, 20.0), np.arange(60, 341, 20.0)), -1)
    return truth.swaths[0].xy(rowcol.reshape(-1, 2))


def table(truth: Truth, births: np.ndarray, noise: float) -> pd.DataFrame:
    time0 = truth.swaths[0].start + 5.0
    found = truth.sightings(births, time0)
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({"parcel_id": np.arange(len(births)), "time": time0})]
    frames[0][["x", "y"]] = births
    for k in range(1, len(truth.swaths)):
        xy = found.xy[:, k] + rng.normal(0, noise, births.shape)
        later = pd.DataFrame({"parcel_id": np.arange(len(births)), "time": found.time[:, k]})
        later[["x", "y"]] = xy
        frames.append(later.dropna())
    return pd.concat(frames).sample(frac=1, random_state=1)


def test_true_trajectories_score_zero(truth: Truth, births: np.ndarray) -> None:
    score = score_frames(table(truth, births, 0.0), np.zeros(0, np.int64), truth)
    assert score.parcels == len(births)
    assert score.median_distance < 1e-6
    assert score.p90_distance < 1e-6
    assert score.share_wrong == 0
    assert score.share_kept == 1
    assert score.observable > 150
    assert np.isnan(score.divergence_error)


def test_errors_and_losses_are_counted(truth: Truth, births: np.ndarray) -> None:
    frame = table(truth, births, 100.0)
    time = np.full(len(births), truth.swaths[0].start + 5.0)
    observable = np.flatnonzero(expected_to_live(births, time, truth))
    wrong = frame["parcel_id"].to_numpy() == observable[0]
    frame.loc[wrong & (frame["time"] > START + 2 * DAY).to_numpy(), "x"] += 5000.0
    unseen = frame["parcel_id"].isin(observable[1:3]) & (frame["time"] > START + DAY)
    score = score_frames(frame[~unseen], observable[3:5], truth)
    # The median of a two-dimensional normal error is 1.18 of its standard deviation, p90 2.15.
    assert score.median_distance == pytest.approx(118, rel=0.1)
    assert score.p90_distance == pytest.approx(215, rel=0.1)
    assert score.share_wrong * score.observations == pytest.approx(2)
    assert score.share_kept == pytest.approx(1 - 4 / score.observable)


def test_distances_are_to_the_ice_that_was_there_at_birth(truth: Truth, births: np.ndarray) -> None:
    shifted = births + 700.0
    frame = pd.DataFrame(
        {"parcel_id": [1, 1], "time": [START, START + 2 * DAY], "x": 0.0, "y": 0.0}
    )
    frame.loc[0, ["x", "y"]] = shifted[100]
    end = truth.position(shifted[100:101], START, START + 2 * DAY)[0]
    frame.loc[1, ["x", "y"]] = end + np.array([30.0, -40.0])
    found = trajectory_distances(frame, truth)
    assert found["distance"].to_numpy() == pytest.approx([50.0])


def test_ice_that_leaves_the_images_is_not_expected_to_live(
    truth: Truth, births: np.ndarray
) -> None:
    first, last = truth.swaths[0].start, truth.swaths[-1].start
    assert expected_to_live(births, np.full(len(births), first), truth).mean() > 0.7
    away = births + 100e3
    assert not expected_to_live(away, np.full(len(births), first), truth).any()
    assert not expected_to_live(births, np.full(len(births), last), truth).any()


def test_ice_that_nothing_has_shown_for_too_long_when_asked_is_not_expected_to_live(
    truth: Truth, births: np.ndarray
) -> None:
    time, last = np.full(len(births), truth.swaths[0].start), truth.swaths[-1].start
    at_the_last = expected_to_live(births, time, truth)
    assert (expected_to_live(births, time, truth, last + DAY / 24) == at_the_last).all()
    assert not expected_to_live(births, time, truth, last + 5 * DAY).any()


def test_strain_of_true_triangles_has_no_error(truth: Truth, births: np.ndarray) -> None:
    time0, time1 = truth.swaths[0].start, truth.swaths[3].start
    nodes = pd.DataFrame(births, columns=["x", "y"]).assign(time_start=time0, time_end=time1)
    first = np.arange(100)
    faces = pd.DataFrame({"node_1": first, "node_2": first + 1, "node_3": first + 15})
    faces = faces.assign(divergence=1e-7, shear=2e-7, quality_flag=np.uint8(0))
    faces.loc[5, "quality_flag"] = 255
    found = compare_strain(nodes, faces, truth)
    assert 90 < len(found.true_shear) < 100
    assert np.isfinite(found.true_divergence).all()
    assert (found.true_shear >= 0).all()
    frame = table(truth, births, 0.0)
    score = score_frames(frame, np.zeros(0, np.int64), truth, found)
    assert score.triangles == len(found.shear)
    errors = np.abs(found.true_divergence - 1e-7)
    assert score.divergence_error == pytest.approx(np.median(errors))
    exact = found._replace(divergence=found.true_divergence, shear=found.true_shear)
    score = score_frames(frame, np.zeros(0, np.int64), truth, exact)
    assert score.divergence_error == score.shear_error == 0
    assert score.true_deformation > 1e-9


def test_nothing_to_score_is_said(truth: Truth, tmp_path: Path) -> None:
    empty = pd.DataFrame({name: np.zeros(0) for name in ("parcel_id", "time", "x", "y")})
    with pytest.raises(ValueError, match="no observations"):
        score_frames(empty, np.zeros(0, np.int64), truth)
    with pytest.raises(ProductError, match=r"none_LP\.nc: no such file"):
        score_trajectories(tmp_path / "none_LP.nc", truth)
