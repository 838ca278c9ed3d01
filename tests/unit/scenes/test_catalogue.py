import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from tiny_safe import Tiny, write_folder, write_zip

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes import catalogue
from lagrangian_ice.scenes.catalogue import find_scenes, scene_as_dict
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.reader import open_scene

PIXELS = np.full((40, 50), 0.05, dtype=np.float32)


@pytest.fixture
def archive(write_scene, tmp_path):
    write_scene("b/late_20210102T120000_HH.tif", PIXELS)
    write_scene("b/deep/er/early_20210101T120000_HV.TIFF", PIXELS)
    write_scene("a/late_20210102T120000_HH.tif", 2 * PIXELS)
    (tmp_path / "b" / "broken_20210101T120000_HH.tif").write_text("no image")
    (tmp_path / "b" / "notes.txt").write_text("not looked at")
    safe = tmp_path / "b" / "S1A_EW_GRDM_1SDH_20210101T000000.SAFE"
    safe.mkdir()
    (safe / "s1a-ew-grd-hh-20210101t000000.tiff").write_text("inside of a product")
    return tmp_path


def test_folders_are_searched(archive):
    scenes, unreadable = find_scenes([archive])
    assert [scene.id for scene in scenes] == ["early_20210101T120000_HV", "late_20210102T120000_HH"]
    assert sorted(one.path.name for one in unreadable) == [
        "S1A_EW_GRDM_1SDH_20210101T000000.SAFE",
        "broken_20210101T120000_HH.tif",
    ]
    assert all(str(one.path) in one.reason for one in unreadable)


def test_of_one_id_the_first_path_is_taken_whatever_the_order(archive):
    for paths in ([archive / "a", archive / "b"], [archive / "b", archive / "a"]):
        scenes, _ = find_scenes(paths)
        assert scenes[-1].path.parent.name == "a"


def test_the_same_name_at_another_time_is_told(write_scene, tmp_path):
    """It vanished without a word."""
    for name, day in (("a/scene_HH.tif", 1), ("b/scene_HH.tif", 2)):
        write_scene(name, PIXELS, tags={"time_coverage_start": f"2021-01-0{day}T12:00:00"})
    scenes, (told,) = find_scenes([tmp_path])
    assert [scene.path.parent.name for scene in scenes] == ["a"]
    assert told.path == tmp_path / "b" / "scene_HH.tif"
    assert str(scenes[0].path) in told.reason
    assert "2021-01-02T12:00:00Z, not 2021-01-01T12:00:00Z); rename it" in told.reason


def test_same_path_twice_is_one(archive):
    path = archive / "a" / "late_20210102T120000_HH.tif"
    scenes, unreadable = find_scenes([path, path, archive / "b" / ".." / "a"])
    assert len(scenes) == 1
    assert unreadable == []


def test_missing_path_is_reported(archive):
    scenes, unreadable = find_scenes([archive / "a", archive / "nowhere"])
    assert len(scenes) == 1
    assert "no such file" in unreadable[0].reason


def test_links_in_a_circle_end(archive):
    (archive / "b" / "up").symlink_to(archive, target_is_directory=True)
    scenes, _ = find_scenes([archive])
    assert len(scenes) == 2


def reasons(unreadable):
    """Reasons by file name; all can be printed and stored."""
    assert all((str(one.path) + one.reason).encode() for one in unreadable)
    assert all(str(one.path) in one.reason for one in unreadable)
    return {one.path.name: one.reason for one in unreadable}


@pytest.mark.parametrize("cached", [True, False])
def test_odd_entries_do_not_stop_the_others(write_scene, tmp_path, cached):
    folder = write_scene("odd/good_20210101T120000_HH.tif", PIXELS).parent
    (folder / "loop_20210101T120000.tif").symlink_to("loop_20210101T120000.tif")
    (folder / "loop.SAFE").symlink_to("loop.SAFE")
    (folder / "dangling_20210101T120000.tif").symlink_to("nowhere.tif")
    os.mkfifo(folder / "pipe_20210101T120000.tif")
    latin = write_scene("odd/latin_20210101T120000_HH.tif", PIXELS)
    latin.rename(folder / os.fsdecode(b"\xff_20210101T120000_HH.tif"))
    for paths in [folder], sorted(folder.iterdir()):
        cache = MetadataCache(tmp_path) if cached else None
        scenes, unreadable = find_scenes(paths, cache=cache)
        assert [scene.id for scene in scenes] == ["good_20210101T120000_HH"]
        told = reasons(unreadable)
        assert len(told) == 5
        assert "UTF-8" in told[r"\xff_20210101T120000_HH.tif"]
        assert "pipe" in told["pipe_20210101T120000.tif"]
        for name in ("loop_20210101T120000.tif", "loop.SAFE", "dangling_20210101T120000.tif"):
            assert "leads nowhere" in told[name]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no\nsuch value"),
        OverflowError("too large"),
        RuntimeError("a circle"),
        PermissionError(13, "Permission denied"),
    ],
)
def test_damage_that_no_reader_foresaw_is_that_of_one_file(archive, monkeypatch, error):
    def read(path):
        if path.name.startswith("early"):
            raise error
        return open_scene(path)

    monkeypatch.setattr(catalogue, "open_scene", read)
    scenes, unreadable = find_scenes([archive])
    assert [scene.id for scene in scenes] == ["late_20210102T120000_HH"]
    reason = reasons(unreadable)["early_20210101T120000_HV.TIFF"]
    assert "cannot be read" in reason
    assert "\n" not in reason


def test_a_name_too_long_for_a_file_is_reported():
    scenes, unreadable = find_scenes([Path("a" * 300 + ".tif")])
    assert scenes == []
    assert "name too long" in unreadable[0].reason


def test_folder_that_cannot_be_searched_is_reported(archive, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    scenes, unreadable = find_scenes([archive])
    assert [scene.id for scene in scenes] == ["late_20210102T120000_HH"]
    assert any("Permission denied" in one.reason for one in unreadable)


def test_a_time_that_is_missing_can_be_set(write_scene, tmp_path):
    """The reason named --times, which `scenes add` and `seed` do not have."""
    path = write_scene("first_HH.tif", PIXELS)
    _, (told,) = find_scenes([tmp_path])
    assert "TIFFTAG_DATETIME, for example with `rio edit-info --tag`" in told.reason
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2021:05:01 00:00:00")
    (scene,), _ = find_scenes([tmp_path])
    assert scene.start == datetime(2021, 5, 1, tzinfo=UTC)


def test_dictionaries_for_json(archive):
    scenes, unreadable = find_scenes([archive])
    entries = json.loads(json.dumps([scene_as_dict(one) for one in [*scenes, *unreadable]]))
    columns = "id path start stop pass platform polarisations footprint status reason"
    assert {tuple(entry) for entry in entries} == {tuple(columns.split())}
    assert entries[0]["start"] == "2021-01-01T12:00:00Z"
    assert entries[0]["polarisations"] == ["HV"]
    assert shapely.from_wkt(entries[0]["footprint"]).area > 0
    assert [entry["status"] for entry in entries] == ["readable"] * 2 + ["unreadable"] * 2


TINY = Tiny(shape=(240, 300))


def found_ids(folder):
    scenes, unreadable = find_scenes([folder])
    assert unreadable == []
    return [scene.id for scene in scenes]


@pytest.mark.parametrize("short_names", [False, True])
def test_a_product_whose_folder_lost_its_ending_is_one_scene(tmp_path, short_names):
    """Its measurement files were taken for two scenes more, or for damaged ones."""
    folder = tmp_path / "archive" / "scene1"
    write_folder(replace(TINY, short_names=short_names).files(), folder)
    assert found_ids(tmp_path) == ["scene1"]
    assert found_ids(folder) == ["scene1"]
    assert open_scene(folder).polarisations == ("HH", "HV")


def test_a_zip_that_holds_a_product_is_a_scene_whatever_its_name(tmp_path):
    names = ["3f2b1c9e.zip", "renamed.SAFE.zip"]
    for name in names:
        write_zip(TINY.files(), tmp_path / name, f"{TINY.name}.SAFE/")
        assert open_scene(tmp_path / name).id == name.split(".")[0]
    write_zip({"notes.txt": b"something else"}, tmp_path / "other.zip")
    (tmp_path / "damaged.zip").write_bytes(b"PK")
    assert sorted(found_ids(tmp_path)) == ["3f2b1c9e", "renamed"]
    for name, told in (("other.zip", "0 manifests"), ("damaged.zip", "not a readable zip")):
        with pytest.raises(SceneError, match=told):
            open_scene(tmp_path / name)


def test_a_folder_of_products_may_be_named_as_one(tmp_path):
    """As `unzip -d X.SAFE X.zip` makes it."""
    folder = tmp_path / f"{TINY.name}.SAFE"
    write_folder(TINY.files(), folder / f"{TINY.name}.SAFE")
    assert found_ids(tmp_path) == [TINY.name]
    assert found_ids(folder) == [TINY.name]


def test_linked_folders_are_searched_once(tmp_path, write_scene):
    write_scene("elsewhere/a_20210101T120000_HH.tif", PIXELS)
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("one", "other"):
        (archive / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert found_ids(archive) == ["a_20210101T120000_HH"]


def test_names_do_not_move_the_cursor(tmp_path):
    path = tmp_path / "bad\nname\x1b[2J.SAFE"
    write_folder(TINY.files(), path)
    _, (told,) = find_scenes([tmp_path])
    assert "\n" not in told.reason
    assert "\x1b" not in told.reason
    assert r"bad\x0aname\x1b[2J.SAFE" in told.reason
    assert "control characters; rename it" in told.reason


def test_a_pipe_named_as_a_zip_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    assert found_ids(tmp_path) == []


def test_a_folder_named_as_a_picture_is_searched(tmp_path, write_scene):
    write_scene("mosaics.tif/a_20210101T120000_HH.tif", PIXELS)
    assert found_ids(tmp_path) == ["a_20210101T120000_HH"]


def test_a_product_given_by_its_manifest_is_read_again_when_it_is_repaired(tmp_path):
    folder = tmp_path / f"{TINY.name}.SAFE"
    write_folder(TINY.files(), folder)
    measurement = sorted((folder / "measurement").iterdir())[0]
    content = measurement.read_bytes()
    measurement.unlink()
    cache = MetadataCache(tmp_path)
    for scenes_there in (0, 1):
        scenes, unreadable = find_scenes([folder / "manifest.safe"], cache)
        assert (len(scenes), len(unreadable)) == (scenes_there, 1 - scenes_there)
        measurement.write_bytes(content)


def test_a_link_to_what_is_around_is_not_followed(tmp_path, write_scene):
    write_scene("archive/a_20210101T120000_HH.tif", PIXELS)
    write_scene("other/b_20210102T120000_HH.tif", PIXELS)
    (tmp_path / "archive" / "up").symlink_to("..", target_is_directory=True)
    assert found_ids(tmp_path / "archive") == ["a_20210101T120000_HH"]
