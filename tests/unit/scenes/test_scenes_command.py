import json
from datetime import UTC, datetime

import numpy as np
import pytest
from tiny_safe import Tiny, write_folder

from lagrangian_ice.cli import run
from lagrangian_ice.scenes.metadata_cache import CACHE_NAME

EARLY = Tiny()
LATE = Tiny(start=datetime(2021, 1, 5, 6, tzinfo=UTC), orbit=46118, datatake=0x58550)
HERE = "POLYGON((0 70, 40 70, 40 85, 0 85, 0 70))"
ELSEWHERE = "POLYGON((180 70, 220 70, 220 85, 180 85, 180 70))"


@pytest.fixture
def archive(tmp_path):
    for tiny in (EARLY, LATE):
        write_folder(tiny.files(), tmp_path / "archive" / f"{tiny.name}.SAFE")
    return tmp_path / "archive"


@pytest.fixture
def workspace(archive, tmp_path, capsys):
    place = tmp_path / "workspace"
    assert run(["scenes", "add", str(archive), "--workspace", str(place)]) == 0
    assert "2 scenes added" in capsys.readouterr().out
    return place


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [EARLY, LATE]),
        (["--area", HERE], [EARLY, LATE]),
        (["--area", ELSEWHERE], []),
        (["--start", "2021-01-02"], [LATE]),
        (["--end", "2021-01-02"], [EARLY]),
        (["--start", "2021-01-02", "--end", "2021-01-05"], []),
        (["--area", HERE, "--start", "2021-01-05", "--end", "2021-01-06"], [LATE]),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["workspace", "paths"])
def test_scenes_are_listed_by_area_and_time(archive, workspace, capsys, options, found, known):
    where = ["--workspace", str(workspace)] if known else [str(archive)]
    assert run(["scenes", "list", "--json", *where, *options]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [tiny.name for tiny in found]


def test_lines_tell_pass_and_footprint(archive, capsys):
    assert run(["scenes", "list", str(archive)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "S1A_046117_058549" in first
    assert "HH+HV" in first
    assert "N " in first
    assert "E " in first
    assert "e3 km2" in first


def test_a_wrong_area_is_told_in_one_line(archive, capsys):
    assert run(["scenes", "list", str(archive), "--area", "everywhere"]) == 1
    assert "not WKT" in capsys.readouterr().err


def test_adding_leaves_a_cache_that_listing_uses(archive, workspace, capsys, monkeypatch):
    assert (workspace / CACHE_NAME).is_file()
    monkeypatch.delattr("lagrangian_ice.scenes.reader.open_safe")
    assert run(["scenes", "add", str(archive), "--workspace", str(workspace)]) == 0
    assert "0 scenes added, 2 known before" in capsys.readouterr().out
    assert run(["scenes", "list", str(archive), "--workspace", str(workspace)]) == 0


def test_an_archive_that_has_moved_is_read_from_its_new_place(archive, workspace, tmp_path, capsys):
    """The paths that were gone stayed in the catalogue."""
    home = archive.rename(tmp_path / "moved")
    for told in (["2 of the known ones have moved and are read from their new place"], []):
        assert run(["scenes", "add", str(home), "--workspace", str(workspace)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines == ["0 scenes added, 2 known before, 0 unreadable", *told]
    assert run(["scenes", "list", "--json", "--workspace", str(workspace)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in rows] == [
        str(home / f"{one.name}.SAFE") for one in (EARLY, LATE)
    ]


def test_the_name_of_a_known_scene_at_another_time_is_told(write_scene, tmp_path, capsys):
    for number, day in enumerate(("2021-01-01", "2021-01-02")):
        tags = {"time_coverage_start": f"{day}T12:00:00"}
        path = write_scene(f"{number}/scene_HH.tif", np.full((40, 50), 0.05, np.float32), tags=tags)
        words = ["scenes", "add", str(path), "--workspace", str(tmp_path / "ws")]
        assert run(words) == 3 * number
        captured = capsys.readouterr()
        assert f"{1 - number} scenes added, 0 known before, {number} unreadable" in captured.out
    assert captured.err.count("\n") == 1
    assert "rename it" in captured.err
    words = ["seed", "--date", "2021-01-01", "--spacing", "1000", "--scenes", str(path)]
    assert run([*words, "--workspace", str(tmp_path / "ws")]) == 3
    assert "rename it" in capsys.readouterr().err
