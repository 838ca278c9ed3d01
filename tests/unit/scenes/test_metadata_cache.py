import dataclasses
import sqlite3
import time

import pytest
from tiny_safe import Tiny, write_folder, write_zip

from lagrangian_ice.scenes import catalogue, metadata_cache
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.metadata_cache import CACHE_NAME, MetadataCache, signature
from lagrangian_ice.scenes.reader import open_scene

TINY = Tiny()


@pytest.fixture
def archive(tmp_path):
    """A folder, a zip and a product that cannot be read."""
    folder = tmp_path / "archive"
    write_folder(TINY.files(), folder / f"{TINY.name}.SAFE")
    later = TINY.after(240)
    write_zip(later.files(), folder / f"{later.name}.zip")
    broken = Tiny(platform="S1B").files()
    del broken["manifest.safe"]
    write_folder(broken, folder / f"{Tiny(platform='S1B').name}.SAFE")
    return folder


@pytest.fixture
def opened(monkeypatch):
    """Paths that were read and not taken from the cache."""
    paths = []

    def counted(path):
        paths.append(path)
        return open_scene(path)

    monkeypatch.setattr(catalogue, "open_scene", counted)
    return paths


def test_what_was_read_is_not_read_again(archive, tmp_path, opened):
    first = find_scenes([archive], cache=MetadataCache(tmp_path))
    assert len(opened) == 3
    opened.clear()
    second = find_scenes([archive], cache=MetadataCache(tmp_path))
    assert opened == []
    assert second == first
    assert [len(part) for part in second] == [2, 1]
    for scene, plain in zip(second[0], find_scenes([archive])[0], strict=True):
        assert dataclasses.asdict(scene) == dataclasses.asdict(plain)


@pytest.mark.parametrize("name", ["annotation", "calibration", "noise", "measurement"])
def test_a_changed_file_is_read_again(archive, tmp_path, opened, name):
    find_scenes([archive], cache=MetadataCache(tmp_path))
    opened.clear()
    folder = archive / f"{TINY.name}.SAFE"
    file = folder / TINY.names("HV")[name]
    file.write_bytes(file.read_bytes()[:-20])
    _, unreadable = find_scenes([archive], cache=MetadataCache(tmp_path))
    assert opened == [folder]
    assert folder in [one.path for one in unreadable]


def test_a_mended_product_is_read_again(archive, tmp_path):
    find_scenes([archive], cache=MetadataCache(tmp_path))
    other = Tiny(platform="S1B")
    write_folder(other.files(), archive / f"{other.name}.SAFE")
    scenes, unreadable = find_scenes([archive], cache=MetadataCache(tmp_path))
    assert (len(scenes), unreadable) == (3, [])


def test_the_unreadable_is_tried_again_after_a_day(archive, tmp_path, opened, monkeypatch):
    find_scenes([archive], cache=MetadataCache(tmp_path))
    opened.clear()
    later = time.time() + 86401
    monkeypatch.setattr(metadata_cache.time, "time", lambda: later)
    find_scenes([archive], cache=MetadataCache(tmp_path))
    assert [path.name for path in opened] == [f"{Tiny(platform='S1B').name}.SAFE"]


def test_a_file_that_changes_while_it_is_read_is_read_again(archive, tmp_path):
    path = archive / f"{TINY.name}.SAFE"
    cache = MetadataCache(tmp_path)
    before = signature(path)
    (path / "manifest.safe").touch()
    cache.put(path, open_scene(path), before)
    assert cache.get(path) is None


def test_paths_are_told_as_they_are_given(archive, tmp_path, monkeypatch):
    find_scenes([archive], cache=MetadataCache(tmp_path))
    monkeypatch.chdir(archive.parent)
    scenes, _ = find_scenes([archive.relative_to(tmp_path)], cache=MetadataCache(tmp_path))
    assert not scenes[0].path.is_absolute()


def test_no_folder_no_file(archive, tmp_path):
    place = tmp_path / "nowhere"
    cache = MetadataCache(place)
    find_scenes([archive], cache=cache)
    assert not place.exists()
    place.mkdir()
    cache.save()
    assert (place / CACHE_NAME).is_file()


def test_a_damaged_cache_is_begun_anew(archive, tmp_path):
    (tmp_path / CACHE_NAME).write_bytes(b"no database" * 1000)
    for _ in range(2):
        scenes, _ = find_scenes([archive], cache=MetadataCache(tmp_path))
        assert len(scenes) == 2
    # the damaged one was removed, and the next run wrote a new one
    with sqlite3.connect(tmp_path / CACHE_NAME) as db:
        assert db.execute("SELECT count(*) FROM scenes").fetchone() == (3,)


def test_entries_of_another_version_are_not_used(archive, tmp_path, opened, monkeypatch):
    find_scenes([archive], cache=MetadataCache(tmp_path))
    opened.clear()
    monkeypatch.setattr(metadata_cache, "FORMAT", "another")
    find_scenes([archive], cache=MetadataCache(tmp_path))
    assert len(opened) == 3
