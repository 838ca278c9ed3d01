"""A season with daily concentration files: parcels live on ice only, however it is run."""

import json
import shutil
from datetime import timedelta

import netCDF4
import numpy as np
import pytest
import small_archive as small

import lagrangian_ice as li
from lagrangian_ice.grid import transform

EDGE = -60_000.0
"""Metres: from 2 January on there is no ice west of it."""
EASE = "EPSG:6931"
DAYS = 4


@pytest.fixture(autouse=True)
def known_motion(monkeypatch):
    small.tell_motion(monkeypatch)


def write_day(folder, day):
    """Percent on a 1 km EASE grid, at noon."""
    corner = transform(np.array(small.CORNER), "EPSG:3413", EASE)
    x, y = corner[0] + np.arange(-1e5, 1e5, 1e3), corner[1] + np.arange(1e5, -1e5, -1e3)
    there = transform(np.stack(np.meshgrid(x, y), -1), EASE, "EPSG:3413")
    moment = small.BEGIN + timedelta(days=day, hours=12)
    with netCDF4.Dataset(folder / f"ice_{moment:%Y%m%d}1200.nc", "w") as dataset:
        time = dataset.createVariable("time", "f8")
        time.units = "days since 2021-01-01"
        time[...] = day + 0.5
        for name, values in (("x", x), ("y", y)):
            dataset.createDimension(name, len(values))
            axis = dataset.createVariable(name, "f8", (name,))
            axis.units = "m"
            axis[:] = values
        mapping = dataset.createVariable("crs", "i4")
        mapping.setncatts(
            {
                "grid_mapping_name": "lambert_azimuthal_equal_area",
                "latitude_of_projection_origin": 90.0,
                "longitude_of_projection_origin": 0.0,
                "semi_major_axis": 6378137.0,
                "inverse_flattening": 298.257223563,
            }
        )
        made = dataset.createVariable("ice_conc", "f4", ("y", "x"))
        made.setncatts(
            {"standard_name": "sea_ice_area_fraction", "units": "%", "grid_mapping": "crs"}
        )
        made[:] = np.where((there[..., 0] < EDGE) & (day > 0), 3.0, 98.0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    small.write_archive(folder / "scenes")
    (folder / "ice").mkdir()
    # None of 3 January: its two passes are more than half a day from any other.
    for day in (0, 1, 3):
        write_day(folder / "ice", day)
    config = folder / "config.toml"
    words = [f'ice_concentration = "{folder / "ice"}"', "concentration_days = 0.55"]
    words += ["spacing = 5000.0", "window_days = 1.0"]
    config.write_text("\n".join(["[parcels]", *words, ""]))
    return folder


def seeded(folder, workspace, cache=None):
    """Seed with the concentration in the settings."""
    words = ("--scenes", folder / "scenes", "--config", folder / "config.toml")
    assert small.command(workspace, "seed", "--date", "2021-01-01", *words) == 0
    if cache is not None:
        shutil.copytree(cache, workspace / "cache")
    return workspace


@pytest.fixture(scope="module")
def straight(archive, tmp_path_factory):
    return small.undisturbed(seeded(archive, tmp_path_factory.mktemp("edge_ws") / "ws"), DAYS)


def test_parcels_end_and_are_born_by_the_edge(straight):
    population = li.open_workspace(straight)
    ended = population.status()["parcels"]["ended"]
    assert ended["out_of_ice"] > 3
    seen = population.observations()
    first = seen.sort_values("time").groupby("parcel_id").first()
    day = (first["time"] - small.BEGIN.timestamp()) / 86400
    west = first["x"] < EDGE - 1500
    # On the first day there was ice; later nobody is born west of the edge where it is known.
    assert west[day < 1].any()
    known = (day > 1) & ((day < 2) | (day > 3))
    assert known.any()
    assert not west[known].any()


def test_what_was_not_known_is_told(straight):
    entry = li.open_workspace(straight).status()["ice_concentration"]
    assert entry["passes_with"] + entry["passes_without"] == 7
    assert entry["passes_without"] == 2
    (report,) = (straight / "reports").glob("*.json")
    passes = json.loads(report.read_text())["passes"]
    assert [bool(one["ice"]) for one in passes].count(False) == 2
    assert "not for 2" in report.with_suffix(".txt").read_text()


def test_in_parts_killed_and_rebuilt_it_is_the_same(straight, archive, tmp_path):
    workspace = seeded(archive, tmp_path / "ws", straight / "cache")
    assert small.command(workspace, "advance", "--days", 1.6) == 0
    place = "lagrangian_ice.parcels.store.Store.add_fold"
    small.killed(place, 2, False, workspace, "advance", "--until", "2021-01-05")
    assert small.command(workspace, "advance", "--until", "2021-01-05") == 0
    small.assert_same_products(straight, workspace)
    assert small.command(workspace, "rebuild", "--from", "2021-01-02") == 0
    small.assert_same_products(straight, workspace)


def test_a_day_that_comes_later_is_taken_in_by_a_rebuild(straight, archive, tmp_path):
    late = tmp_path / "ice"
    shutil.copytree(archive / "ice", late)
    aside = tmp_path / "aside.nc"
    shutil.move(late / "ice_202101021200.nc", aside)
    more = ("--ice-concentration", late, "--spacing", 5000, "--window-days", 1)
    workspace = tmp_path / "ws"
    words = ("--date", "2021-01-01", "--scenes", archive / "scenes", *more)
    assert small.command(workspace, "seed", *words) == 0
    shutil.copytree(straight / "cache", workspace / "cache")
    assert small.command(workspace, "advance", "--days", 1.5) == 0
    before = li.open_workspace(workspace).status()["ice_concentration"]
    shutil.move(aside, late / "ice_202101021200.nc")
    assert small.command(workspace, "rebuild", "--from", "2021-01-01") == 0
    after = li.open_workspace(workspace).status()["ice_concentration"]
    times = li.open_workspace(workspace).passes()["ice_time"] - small.BEGIN.timestamp()
    assert before == after == {"source": str(late), "passes_with": 3, "passes_without": 0}
    assert (times / 86400).tolist() == [0.5, 0.5, 1.5]


def test_seeding_without_ice_or_files_is_refused(archive, tmp_path, capsys):
    words = ("--date", "2021-01-04", "--scenes", archive / "scenes")
    nowhere = ("--ice-concentration", tmp_path / "none")
    assert small.command(tmp_path / "ws", "seed", *words, *nowhere) == 1
    assert "no NetCDF file" in capsys.readouterr().err
    assert not (tmp_path / "ws").exists()
