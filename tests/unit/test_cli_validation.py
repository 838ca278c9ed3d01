"""export in other layouts, import and validate on the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.cli import run
from lagrangian_ice.output.trajectories import write_trajectories

sys.path.append(str(Path(__file__).parent / "output"))


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    from product_frames import HEADER, make_frames

    path = tmp_path_factory.mktemp("product") / "a_LP.nc"
    frames = make_frames(side=10, count=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
        )
        write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    return path


@pytest.fixture(autouse=True)
def no_land(monkeypatch):
    monkeypatch.setattr(
        "lagrangian_ice.plots.polar.land_mask", lambda grid: np.zeros(grid.shape, bool)
    )
    monkeypatch.setattr(
        "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
    )


def told(capsys):
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err


def write_buoys(path):
    """One buoy beside a parcel, 500 m away, drifting as it does."""
    from product_frames import START, field_velocity

    start = np.array([20e3, -900e3])
    lines = ["buoy,time,x,y"]
    for hour in range(0, 24 * 8):
        x, y = start + [300.0, 400.0] + field_velocity(start[None])[0] * hour * 3600.0
        day = np.datetime64(int(START) + hour * 3600, "s")
        lines.append(f"B,{day},{x},{y}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_all_layouts_from_files(product, tmp_path, capsys):
    names = "rgps-csv,rgps-lp,pysida,mojito,sitrack,nextsim-rgps,nextsim-iabp"
    words = ["export", "--format", names, "--out", str(tmp_path / "out")]
    assert run([*words, "--trajectories", str(product)]) == 0
    assert capsys.readouterr().out.count("wrote ") == 7
    assert len(list((tmp_path / "out").iterdir())) == 7


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--crs", "EPSG:3413"], "format rgps-lp is always in EPSG:3411"),
        (["--start", "2030-01-01"], "no observation in the times"),
        (["--trajectories", "none.nc"], "no such file"),
    ],
)
def test_exports_that_cannot_be_are_one_line(product, tmp_path, capsys, more, message):
    words = ["export", "--format", "rgps-lp", "--out", str(tmp_path / "out")]
    assert run([*words, "--trajectories", str(product), *more]) == 1
    assert message in told(capsys)


def test_own_products_have_one_map_and_come_from_the_workspace(product, tmp_path, capsys):
    words = ["export", "--format", "pairs", "--out", str(tmp_path)]
    assert run([*words, "--crs", "EPSG:3411"]) == 1
    assert "always in EPSG:3413" in told(capsys)
    assert run([*words, "--trajectories", str(product)]) == 2


def test_buoys(product, tmp_path, capsys):
    buoys = write_buoys(tmp_path / "buoys.csv")
    out = tmp_path / "out"
    assert run(["validate", "buoys", str(product), str(buoys), "--out", str(out)]) == 0
    assert "median difference 0 m" in capsys.readouterr().out
    scores = json.loads((out / "buoys.json").read_text())
    assert scores["all"]["count"] > 10
    names = {"buoys.json", "buoys.csv", "buoys_scatter.png", "buoys_map.png"}
    assert {path.name for path in out.iterdir()} == names


def test_statistics(product, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["validate", "statistics", str(product), "--out", str(out)]) == 0
    assert "triangles of" in capsys.readouterr().out
    assert json.loads((out / "statistics.json").read_text())["lkf"] is None
    assert len(list(out.glob("*.png"))) == 2
    words = ["validate", "statistics", str(product), "--out", str(out)]
    assert run([*words, "--min-days", "2.5", "--max-days", "inf"]) == 0
    capsys.readouterr()
    options = json.loads((out / "statistics.json").read_text())["options"]
    assert (options["min_days"], options["max_days"]) == (2.5, None)
    assert run([*words, "--min-days", "5"]) == 1
    assert "days 5" in told(capsys)


def test_nextsim(product, tmp_path, capsys):
    sys.path.append(str(Path(__file__).parent / "validation"))
    from product_frames import DAY, START
    from test_nextsim import true_motion, write_model

    time = START + DAY + np.arange(0, 6.01, 0.5) * DAY
    ids, xy = true_motion(product, time)
    write_model(tmp_path / "m.nc", ids, time, xy)
    out = tmp_path / "out"
    words = ["validate", "nextsim", str(product), str(tmp_path / "m.nc"), "--out", str(out)]
    assert run(words) == 0
    assert "RMSE 0.000 km per day" in capsys.readouterr().out
    assert len(list(out.glob("*.png"))) == 4


def test_import_vectors(tmp_path, capsys):
    csv = tmp_path / "v.csv"
    csv.write_text("t0,t1,x0,y0,x1,y1\n2021-01-01,2021-01-02,0,-9e5,100,-9e5\n")
    assert run(["import", "vectors", str(csv), "--out", str(tmp_path / "v_LP.nc")]) == 0
    assert capsys.readouterr().out.startswith("1 vectors; wrote")
    assert run(["import", "vectors", str(csv), "--out", str(tmp_path / "no" / "v_LP.nc")]) == 1
    assert "does not exist" in told(capsys)


@pytest.mark.parametrize("what", ["buoys", "nextsim"])
def test_a_missing_file_is_one_line(product, tmp_path, capsys, what):
    words = ["validate", what, str(product), str(tmp_path / "none.csv"), "--out", str(tmp_path)]
    assert run(words) == 1
    assert "none.csv" in told(capsys)
