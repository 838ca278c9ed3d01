"""Motion fields in the cache."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from rasterio.transform import Affine

from lagrangian_ice.matching.match import match_field
from lagrangian_ice.parcels import kept as kept_files
from lagrangian_ice.parcels.fields import FieldTask, ensure_field, keep_field
from lagrangian_ice.parcels.prepare import Recent, Task, load, prepare
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.settings import FirstGuessSettings, ImageSettings, Settings

SETTINGS = Settings(images=ImageSettings(pixel=100.0))


@pytest.fixture
def pair(tmp_path, write_scene):
    """Two passes of one texture, moved by 5 pixels, ready in the cache."""
    ice = np.random.default_rng(3).normal(-15, 3, (160, 165)).astype(np.float32)
    ready = []
    for number, shift in enumerate((0, 5)):
        moment = datetime(2021, 1, 1 + number, tzinfo=UTC)
        times = {
            "time_coverage_start": moment.isoformat(),
            "time_coverage_end": (moment + timedelta(seconds=30)).isoformat(),
        }
        north_up = Affine(100, 0, -60_000, 0, -100, -500_000)
        pixels = ice[:, shift : shift + 160]
        path = write_scene(f"scene_{number}.tif", pixels, transform=north_up, tags=times)
        folders = (tmp_path / "cache", tmp_path / "templates")
        task = Task((open_scene(path),), SETTINGS, *folders, 2**30)
        ready.append(replace(task, key=prepare(task).key))
    return FieldTask(*ready, FirstGuessSettings())


def same(one, other):
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def kept(task):
    return sorted(task.source.cache.glob("field-*.npz"))


def test_a_field_is_found_once_and_is_then_the_same(pair):
    found, seconds = ensure_field(pair, Recent())
    assert seconds > 0
    assert len(found) > 20
    moved = np.median(found.displacement, axis=0)
    np.testing.assert_allclose(moved, [-500, 0], atol=150)
    same(found, match_field(*load(pair.source), *load(pair.target), pair.settings))
    again, spent = ensure_field(pair, Recent())
    assert spent == 0
    same(found, again)
    assert type(again.tolerance) is type(found.tolerance)
    assert len(kept(pair)) == 1


def test_it_can_be_there_before_it_is_needed(pair):
    assert keep_field(pair, Recent()) > 0
    assert keep_field(pair, Recent()) == 0
    assert ensure_field(pair, Recent())[1] == 0


def test_other_settings_are_another_field(pair):
    slow = replace(pair, settings=FirstGuessSettings(max_speed=0.3))
    back = FieldTask(pair.target, pair.source, pair.settings)
    for task in (pair, slow, back):
        assert keep_field(task, Recent()) > 0
    assert len(kept(pair)) == 3


def test_a_damaged_file_is_made_again(pair):
    found, _ = ensure_field(pair, Recent())
    (path,) = kept(pair)
    path.write_bytes(path.read_bytes()[:200])
    again, seconds = ensure_field(pair, Recent())
    assert seconds > 0
    same(found, again)


def test_images_that_the_settings_no_longer_make_are_not_kept_for(pair):
    """A key of other settings names another image than the one that would be loaded."""
    other = Settings(images=ImageSettings(pixel=100.0, remove_incidence_trend=False))
    task = replace(pair, source=replace(pair.source, settings=other))
    assert ensure_field(task, Recent())[1] > 0
    assert keep_field(task, Recent()) == 0
    assert kept(pair) == []


def test_where_an_image_cannot_be_had_there_is_none(pair):
    for path in pair.source.cache.glob("*.npz"):
        path.unlink()
    pair.source.scenes[0].path.unlink()
    assert keep_field(pair, Recent()) == 0


def test_a_field_that_is_used_is_not_the_first_to_go(pair):
    ensure_field(pair, Recent())
    (path,) = kept(pair)
    os.utime(path, (1e9, 1e9))
    ensure_field(pair, Recent())
    assert path.stat().st_mtime > 1.5e9


def test_two_workers_that_find_one_field_at_once_both_have_it(pair):
    recent = [Recent(), Recent()]
    for one in recent:
        one.get(pair.source), one.get(pair.target)
    meet = threading.Barrier(2)
    whole = kept_files.in_place

    @contextmanager
    def together(path, **more):
        with whole(path, **more) as beside:
            yield beside
            meet.wait(10)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(kept_files, "in_place", together)
        one, other = threads.map(lambda some: ensure_field(pair, some)[0], recent)
    same(one, other)
    assert len(kept(pair)) == 1
    assert [path for path in pair.source.cache.iterdir() if path.name.endswith(".part")] == []
