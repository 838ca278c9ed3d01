"""export in other layouts, import and validate on the command line."""

import json
import re
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

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


def test_formats_may_be_named_one_by_one(product, tmp_path, capsys):
    words = ["export", "--format", "mojito,pysida", "--format", "sitrack", "--format", "mojito"]
    assert run([*words, "--out", str(tmp_path / "out"), "--trajectories", str(product)]) == 0
    assert capsys.readouterr().out.count("wrote ") == 3


@pytest.mark.parametrize("words", [["deform"], ["view"]])
def test_outputs_have_the_names_of_what_they_are(product, tmp_path, capsys, words):
    assert run([*words, str(product), "--out", str(tmp_path / "out.txt")]) == 1
    assert "the name must end in ." in told(capsys)
    assert not (tmp_path / "out.txt").exists()


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


def test_fixes_too_rare_to_be_interpolated_are_told(product, tmp_path, capsys):
    path = write_buoys(tmp_path / "buoys.csv")
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows[::6]]) + "\n")
    words = ["validate", "buoys", str(product), str(path), "--out", str(tmp_path / "out")]
    assert run(words) == 1
    assert "over more than 3 h without a fix, and half of theirs are 6 h or more" in told(capsys)


def test_the_least_distance_to_land_is_told_where_it_leaves_nothing(product, tmp_path, capsys):
    words = ["validate", "statistics", str(product), "--out", str(tmp_path / "out")]
    assert run([*words, "--min-coast", "1e7"]) == 1
    assert "km2, 10000 km or more off the coast" in told(capsys)


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
    write_drifters(tmp_path / "m.nc", product)
    out = tmp_path / "out"
    words = ["validate", "nextsim", str(product), str(tmp_path / "m.nc"), "--out", str(out)]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "RMSE 0.000 km per day" in text
    assert "triangles of both\n" in text
    assert len(list(out.glob("*.png"))) == 4


def test_thinned_records_are_said(product, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lagrangian_ice.validation.triangles.MOST", 500)
    write_drifters(tmp_path / "m.nc", product)
    out = ["--out", str(tmp_path / "out")]
    assert run(["validate", "nextsim", str(product), str(tmp_path / "m.nc"), *out]) == 0
    assert "triangles of both, those that end on one day in 3\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "nextsim.json").read_text())["every_nth_day"] == 3


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


@pytest.fixture(scope="module")
def damaged(product, tmp_path_factory):
    """Files as they arrive: cut, of another kind, without what is needed, without values."""
    import xarray as xr

    from lagrangian_ice.output.products import deform_file

    folder = tmp_path_factory.mktemp("damaged")
    (folder / "text.nc").write_text("hello")
    (folder / "empty.nc").touch()
    (folder / "cut.nc").write_bytes(product.read_bytes()[:30_000])
    deform_file(product, folder / "a_DP.nc")
    with xr.open_dataset(product, decode_times=False) as whole:
        whole.drop_vars("correlation").to_netcdf(folder / "lacks.nc")
        whole.isel(trajectory=slice(0, 1)).to_netcdf(folder / "one_parcel.nc")
        whole.isel(trajectory=slice(0, 0)).to_netcdf(folder / "no_parcel.nc")
        for name in ("x", "time"):
            nothing = whole.assign({name: whole[name] * np.nan})
            nothing.to_netcdf(folder / f"no_{name}.nc")
    with xr.open_dataset(folder / "a_DP.nc", decode_times=False) as whole:
        whole.isel(face=slice(0, 0)).to_netcdf(folder / "no_face.nc")
        whole.assign(face_nodes=whole["face_nodes"] + 10_000).to_netcdf(folder / "bad_nodes.nc")
    return folder


UNREADABLE = ("text.nc", "empty.nc", "cut.nc", "lacks.nc", "none.nc", "a_DP.nc")
EMPTY = ("no_parcel.nc", "no_x.nc", "no_time.nc")


@pytest.mark.parametrize("name", [*UNREADABLE, *EMPTY])
@pytest.mark.parametrize(
    "words",
    [
        "validate buoys {} buoys.csv --out out",
        "validate nextsim {} model.nc --out out",
        "plot trajectories {} --out p.png",
        "plot coverage {} --out p.png",
        "export --format rgps-csv --out out --trajectories {}",
        "export --format nextsim-iabp --out out --trajectories {}",
    ],
)
def test_a_trajectory_file_of_no_use_is_one_line(
    damaged, product, capsys, monkeypatch, name, words
):
    monkeypatch.chdir(damaged)
    write_buoys(damaged / "buoys.csv")
    write_drifters(damaged / "model.nc", product)
    assert run(words.format(name).split()) == 1
    assert name in told(capsys)
    assert not (damaged / "out").exists() or not list((damaged / "out").iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, name) for name in UNREADABLE[:3]),
        ("no_face.nc", "no triangle"),
        ("bad_nodes.nc", "damaged"),
        ("no_x.nc", "no triangle"),
        ("no_time.nc", "no triangle"),
        ("one_parcel.nc", "no triangle"),
    ],
)
@pytest.mark.parametrize(
    "words", ["validate statistics {} --out out", "plot deformation {} --out p.png"]
)
def test_a_deformation_file_of_no_use_is_one_line(
    damaged, capsys, monkeypatch, name, message, words
):
    if words.startswith("plot") and name in {"no_x.nc", "no_time.nc", "one_parcel.nc"}:
        message = "not a _DP.nc"
    monkeypatch.chdir(damaged)
    assert run(words.format(name).split()) == 1
    told_of = told(capsys)
    assert name in told_of
    assert message in told_of


@pytest.mark.parametrize("name", ["text.nc", "cut.nc", "bad_nodes.nc", "no_x.nc", "no_time.nc"])
def test_the_page_of_a_damaged_file_is_one_line(damaged, capsys, monkeypatch, name):
    monkeypatch.chdir(damaged)
    assert run(["view", name, "--out", "p.html"]) == 1
    assert name in told(capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as CSV"),
        ("buoy,time,x,y\n", "holds no position"),
        ("a,b\n1,2\n", "there is none for buoy"),
        ("buoy,time,x,y\nB,yesterday,0,-9e5\n", "row 2: time = 'yesterday'"),
        ("buoy,time,x,y\nB,2021-01-01,,\n", "holds no position"),
        ("buoy,time,x,y\nB,0001-01-01,0,-9e5\n", "row 2: time = '0001-01-01' is not between"),
        (
            "buoy,time,x,y\nB,9999-12-31T23:59:59.9999,0,-9e5\n",
            "time = '9999-12-31T23:59:59.9999' is not",
        ),
        ("buoy,time,x,y\nB,2019-01-01,0,-9e5\nB,2019-01-02,9,-9e5\n", "buoys from 2019-01-01"),
    ],
)
def test_buoys_of_no_use_are_one_line(product, tmp_path, capsys, text, message):
    (tmp_path / "b.csv").write_text(text)
    words = [
        "validate",
        "buoys",
        str(product),
        str(tmp_path / "b.csv"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert run(words) == 1
    told_of = told(capsys)
    assert "b.csv" in told_of
    assert message in told_of


def write_drifters(path, product, days=0.0, ids=0):
    sys.path.append(str(Path(__file__).parent / "validation"))
    from product_frames import DAY, START
    from test_nextsim import true_motion, write_model

    time = START + DAY + np.arange(0, 6.01, 0.5) * DAY
    known, xy = true_motion(product, time)
    write_model(path, known + ids, time + days * DAY, xy)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"days": 400.0}, "observations go from 2021-01-01"),
        ({"ids": 5000}, "no parcel is among the model's drifters"),
        ({"days": 4.5}, "no parcel is seen twice"),
    ],
)
def test_a_model_that_shares_nothing_says_what(product, tmp_path, capsys, change, message):
    model = write_drifters(tmp_path / "m.nc", product, **change)
    assert run(["validate", "nextsim", str(product), str(model), "--out", str(tmp_path / "o")]) == 1
    assert message in told(capsys)


def test_a_model_that_starts_years_before_the_parcels_is_compared(product, tmp_path, capsys):
    models = [write_drifters(tmp_path / "1.nc", product, days=-900.0)]
    models.append(write_drifters(tmp_path / "2.nc", product))
    words = ["validate", "nextsim", str(product), *map(str, models), "--out", str(tmp_path / "o")]
    assert run(words) == 0
    growth = json.loads((tmp_path / "o" / "nextsim.json").read_text())["error_growth"]
    assert growth[-1]["days"] > 900


def test_deform_says_how_many_triangles(product, damaged, tmp_path, capsys):
    out = str(tmp_path / "a_DP.nc")
    assert run(["deform", str(product), "--out", out]) == 0
    assert int(capsys.readouterr().out.split()[0]) > 100
    assert run(["deform", str(product), "--out", out, "--start", "2030-01-01"]) == 0
    assert capsys.readouterr().out.startswith("no triangles; wrote")
    assert run(["deform", str(damaged / "no_time.nc"), "--out", out]) == 0
    assert capsys.readouterr().out.startswith("no triangles; wrote")


@pytest.mark.parametrize(
    "words",
    [
        "deform {} --out {}",
        "view {} --out {}",
        "import vectors {} --out {}",
        "plot coverage {} --out {}",
    ],
)
def test_a_product_is_not_replaced_by_what_is_made_of_it(
    product, tmp_path, capsys, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.nc", "a.png"):
        Path(name).write_bytes(product.read_bytes())
        assert run(words.format(name, f"./{name}").split()) == 1
        assert f"{name}: would replace {name}" in told(capsys)
        assert Path(name).read_bytes() == product.read_bytes()


@pytest.mark.parametrize("what", ["buoys", "nextsim"])
def test_what_is_compared_is_not_replaced_by_the_scores(
    product, tmp_path, capsys, monkeypatch, what
):
    monkeypatch.chdir(tmp_path)
    data = write_buoys(tmp_path / f"{what}.csv").read_bytes()
    assert run(["validate", what, str(product), f"{what}.csv", "--out", "."]) == 1
    assert f"{what}.csv: would replace" in told(capsys)
    assert Path(f"{what}.csv").read_bytes() == data


def test_a_format_that_is_asked_for_twice_is_written_once(product, tmp_path, capsys):
    words = ["--trajectories", str(product), "--out", str(tmp_path)]
    assert run(["export", "--format", "mojito,rgps-csv, mojito", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(set(lines)) == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize(
    "words", ["export --format mojito --trajectories {}", "validate statistics {}"]
)
def test_a_folder_of_outputs_that_is_a_file_is_told(product, tmp_path, capsys, words):
    out = tmp_path / "file"
    out.touch()
    assert run([*words.format(product).split(), "--out", str(out)]) == 1
    assert f"{out}: is a file; --out names a folder" in told(capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["deform", "LP", "--out", "out.nc"],
        ["view", "LP", "--out", "out.html"],
        ["plot", "trajectories", "LP", "--out", "out.png"],
        ["export", "--format", "mojito", "--trajectories", "LP", "--out", "out"],
        ["validate", "statistics", "LP", "--out", "out"],
        ["validate", "buoys", "LP", "buoys.csv", "--out", "out"],
    ],
)
def test_a_damaged_product_is_named(product, tmp_path, capsys, monkeypatch, words):
    """One that opens, for its header is whole, and cannot be read to its end."""
    monkeypatch.chdir(tmp_path)
    write_buoys(tmp_path / "buoys.csv")
    path = tmp_path / "damaged_LP.nc"
    path.write_bytes(product.read_bytes())
    spoil(path)
    assert run([str(path) if word == "LP" else word for word in words]) == 1
    said = told(capsys)
    assert "damaged_LP.nc: damaged, cannot be read" in said
    assert "NetCDF" in said


def spoil(path):
    """Overwrite all packed values that are of an observation each and of double precision."""
    content = bytearray(path.read_bytes())
    with xr.open_dataset(path) as dataset:
        size = 8 * dataset["x"].size
    found = 0
    for start in re.finditer(b"\x78", bytes(content)):
        unpacked = zlib.decompressobj()
        with suppress(zlib.error):
            if len(unpacked.decompress(content[start.start() :], size + 1)) == size:
                content[start.start() + 2 : start.start() + 40] = b"\xff" * 38
                found += 1
    assert found > 2
    path.write_bytes(content)
