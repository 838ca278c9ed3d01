"""Images that are kept come back bit for bit."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.errors import SceneError
from lagrangian_ice.parcels import prepare as home
from lagrangian_ice.parcels.kept import load_arrays
from lagrangian_ice.parcels.prepare import (
    Recent,
    Task,
    clean,
    drop_templates,
    grid_of,
    keep_template,
    load,
    prepare,
)
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.settings import FeatureSettings, ImageSettings, Settings
from lagrangian_ice.superlim.network import SuperLIM, Topology
from lagrangian_ice.superlim.weights_store import save_network

SETTINGS = Settings(images=ImageSettings(pixel=100.0))
TAGS = {"time_coverage_start": "2021-01-01T03:00:00"}


@pytest.fixture
def task(write_scene, tmp_path):
    pixels = np.random.default_rng(0).normal(-15, 3, (90, 120)).astype(np.float32)
    pixels[:30, :50] = np.nan
    path = write_scene(
        "one_HH.tif", pixels, tags=TAGS, descriptions=["sigma0_HH"], nodata=float("nan")
    )
    folders = (tmp_path / "cache", tmp_path / "templates")
    return Task((open_scene(path),), SETTINGS, *folders, 2**30)


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        for name in one.__dataclass_fields__:
            value = getattr(one, name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
                assert value.dtype == getattr(other, name).dtype
            else:
                assert value == getattr(other, name), name


def test_what_is_kept_is_what_was_made(task):
    made = load(task)
    assert np.isnan(made[0].data).any()
    assert not made[1].valid.all()
    (path,) = task.cache.glob("*.npz")
    before = path.stat().st_ino
    assert_same(made, load(task))
    assert path.stat().st_ino == before


def test_the_grid_of_what_is_kept_is_told_without_the_image(task, monkeypatch):
    assert grid_of(replace(task, key="gone")) is None
    made = load(task)
    (path,) = task.cache.glob("*.npz")
    read = []
    monkeypatch.setattr(
        home, "load_arrays", lambda path, names: read.append(names) or load_arrays(path, names)
    )
    assert grid_of(replace(task, key=path.stem)) == made[0].grid
    assert read == [("about",)]


def test_a_damaged_file_is_made_again(task):
    made = load(task)
    (path,) = task.cache.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-2000])
    assert_same(made, load(task))


def test_a_template_outlives_the_scene_and_the_cache(task):
    key = prepare(task).key
    known = Task(task.scenes, SETTINGS, task.cache, task.templates, task.limit, key)
    made = load(known)
    keep_template(known, made)
    for path in (task.scenes[0].path, *task.cache.glob("*.npz")):
        path.unlink()
    assert_same(made, load(known))
    assert_same(made, Recent().get(known))
    drop_templates(task.templates, {key})
    assert_same(made, load(known))
    drop_templates(task.templates, set())
    assert list(task.templates.iterdir()) == []


@pytest.mark.parametrize(
    ("least", "limit", "asked", "loads"),
    [
        (1, 0, "aabba", "aba"),
        (2, 0, "ababcab", "abcab"),
        (2, 3, "abcabcdcba", "abcda"),
    ],
)
def test_small_passes_stay_in_memory_large_ones_by_number(monkeypatch, least, limit, asked, loads):
    """Sizes are told in passes."""
    loaded = []
    monkeypatch.setattr(home, "load", lambda task: loaded.append(task.key) or task.key)
    monkeypatch.setattr(home, "_bytes_of", lambda ready: 1)
    recent = Recent(least, limit)
    for key in asked:
        assert recent.get(Task((), SETTINGS, Path(), Path(), 0, key)) == key
    assert "".join(loaded) == loads


def test_a_template_that_keeps_more_than_is_asked_for_now_is_read(task):
    """Incidence angles were kept too; the scenes of such templates may be gone."""
    key = prepare(task).key
    known = Task(task.scenes, SETTINGS, task.cache, task.templates, task.limit, key)
    made = load(known)
    (path,) = task.cache.glob("*.npz")
    with np.load(path) as archive:
        kept = dict(archive)
    assert "node_incidence" not in kept
    for gone in (path, task.scenes[0].path):
        gone.unlink()
    task.templates.mkdir()
    np.savez(task.templates / path.name, **kept, node_incidence=np.empty((0, 0)))
    assert_same(made, load(known))


def test_a_template_is_kept_where_the_cache_has_lost_it(task):
    key = prepare(task).key
    known = Task(task.scenes, SETTINGS, task.cache, task.templates, task.limit, key)
    made = load(known)
    for path in task.cache.glob("*.npz"):
        path.unlink()
    keep_template(known, made)
    assert_same(made, load(known))


def test_a_template_of_other_settings_is_not_used(task):
    key = prepare(task).key
    known = Task(task.scenes, SETTINGS, task.cache, task.templates, task.limit, key)
    keep_template(known, load(known))
    changed = Settings(images=ImageSettings(pixel=200.0), features=FeatureSettings(tile=128))
    other = Task(task.scenes, changed, task.cache, task.templates, task.limit, key)
    assert load(other)[0].grid.pixel == 200.0
    recent = Recent()
    assert [recent.get(one)[0].grid.pixel for one in (known, other)] == [100.0, 200.0]


def test_settings_without_effect_on_images_leave_them_as_they_are(task):
    key = prepare(task).key
    features = FeatureSettings(tile=128, rotation=20.0)
    changed = replace(task, settings=Settings(images=SETTINGS.images, features=features), key=key)
    assert home.is_current(changed)
    assert prepare(changed).key == key


@pytest.mark.parametrize("what", ["version", "images", "features"])
def test_where_the_scenes_are_gone_the_template_serves_under_other_settings(
    task, monkeypatch, caplog, what
):
    """Every parcel was lost, in silence."""
    key = prepare(task).key
    known = replace(task, key=key)
    made = load(known)
    keep_template(known, made)
    changed = {
        "images": Settings(images=ImageSettings(pixel=100.0, fit_noise=True)),
        "features": Settings(
            images=SETTINGS.images, features=FeatureSettings(precision="bfloat16")
        ),
    }.get(what, SETTINGS)
    if what == "version":
        monkeypatch.setattr(home, "__version__", "99")
    later = replace(known, settings=changed)
    assert not home.is_current(later)
    for path in (task.scenes[0].path, *task.cache.glob("*.npz")):
        path.unlink()
    for _ in range(2):
        image, features = load(later)
        np.testing.assert_array_equal(image.data, made[0].data)
        same = np.array_equal(features.descriptors, made[1].descriptors)
        assert same == (what != "features")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "its scenes are gone" in line


def test_a_template_of_another_pixel_does_not_serve(task):
    key = prepare(task).key
    known = replace(task, key=key)
    keep_template(known, load(known))
    task.scenes[0].path.unlink()
    with pytest.raises(SceneError, match=r"one_HH\.tif: cannot be read"):
        load(replace(known, settings=Settings(images=ImageSettings(pixel=200.0))))


def test_weights_that_were_replaced_under_their_name_are_seen(tmp_path):
    path = tmp_path / "mine.pt"
    shas = []
    for width in (8, 16):
        topology = Topology(channels=(4, 4, 8, 8), descriptor_width=width)
        save_network(SuperLIM(topology), path)
        os.utime(path, ns=(width, width))
        shas.append(home._weights_sha256(str(path)))
        assert home._network(str(path), shas[-1]).topology == topology
    assert shas[0] != shas[1]


def test_what_a_killed_run_left_goes_what_others_write_stays(tmp_path):
    left = tmp_path / ".a.npz.part"
    others = [tmp_path / name for name in (".page.html.part", "a.npz", "b.part")]
    for path in (left, *others):
        path.write_text("x")
    export = tmp_path / ".export-1.npz.part"
    export.mkdir()
    clean(tmp_path, "*.npz")
    assert sorted(tmp_path.iterdir()) == sorted([export, *others])


def test_an_image_that_another_run_removes_meanwhile_is_made_again(task, monkeypatch):
    made = load(task)
    (path,) = task.cache.glob("*.npz")
    look = os.utime

    def gone_just_now(file, *more):
        path.unlink(missing_ok=True)
        look(file, *more)

    monkeypatch.setattr(home.os, "utime", gone_just_now)
    prepared = prepare(task)
    assert prepared.scenes == task.scenes
    monkeypatch.undo()
    assert_same(made, load(task))


def test_an_image_of_another_user_is_used(task, monkeypatch):
    made = load(task)

    def refused(*_):
        raise PermissionError(1, "not yours")

    monkeypatch.setattr(home.os, "utime", refused)
    monkeypatch.setattr(home, "_make", None)
    assert_same(made, load(task))


def test_frames_without_a_polarisation_in_common_do_not_take_the_others_along(write_scene, task):
    """All of the pass was lost."""
    (first,) = task.scenes
    pixels = np.random.default_rng(1).normal(-15, 3, (90, 120)).astype(np.float32)
    scenes = []
    for number, name in enumerate(("HV", "HH", "HV")):
        path = write_scene(
            f"s{number}_{name}.tif", pixels, tags=TAGS | {"lagrangian_ice_pass": "one"}
        )
        scenes.append(replace(open_scene(path), pass_id=first.pass_id))
    prepared = prepare(replace(task, scenes=(first, *scenes[:2])))
    assert [scene.polarisations for scene in prepared.scenes] == [("HH",), ("HH",)]
    ((name, reason),) = prepared.failed.items()
    assert name == "s0_HV"
    assert "has HV, not HH, in which most frames of its pass are" in reason
    # as many of both: the co-polarised one
    prepared = prepare(replace(task, scenes=(scenes[0], scenes[2], first, scenes[1])))
    assert [scene.id for scene in prepared.scenes] == [first.id, "s1_HH"]
