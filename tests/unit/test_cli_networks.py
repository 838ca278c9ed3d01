"""Commands of the network."""

import csv
import shutil

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lagrangian_ice.cli import run as run_cli
from lagrangian_ice.simulate.texture import ice_texture
from lagrangian_ice.superlim.network import SuperLIM
from lagrangian_ice.superlim.weights_store import list_weights, load_network, save_network

SMALL = ["--size", "64", "--batch", "1", "--steps", "2", "-q"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAGRANGIAN_ICE_WEIGHTS", str(tmp_path / "weights"))

    def call(*words, code=0):
        found = run_cli([str(word) for word in words])
        said = capsys.readouterr()
        assert found == code, said
        return said.err if code else said.out

    return call


def test_list_shows_built_in_and_imported_weights(run, tmp_path):
    run("weights", "export", "default", tmp_path / "mine.pt")
    run("weights", "import", tmp_path / "mine.pt")
    lines = run("weights", "list").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["default", "built"],
        ["light", "built"],
        ["mine", "imported"],
    ]
    assert lines[0].split("sha256 ")[1][:64] == lines[2].split("sha256 ")[1][:64]


def test_export_writes_onnx(run, tmp_path):
    run("weights", "export", "default", tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size > 2e6


def test_export_of_unknown_weights_is_one_line(run, tmp_path):
    told = run("weights", "export", "nothing", tmp_path / "net.pt", code=1)
    assert len(told.splitlines()) == 1
    assert "weights list" in told


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--size", "100"], "multiple of 8"),
        (["--stage", "adapt"], "needs --start"),
        (["--stage", "descriptors"], "needs --start"),
        (["--pair", "a", "b", "c"], "--stage descriptors"),
        (["--stage", "nothing"], "detector"),
        (["--start", "default", "--separable"], "new networks"),
        (["--channels", "8", "8", "8", "0"], "range"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(run, tmp_path, options, reason):
    assert reason in run("train", tmp_path / "t", *options, code=2)
    assert not (tmp_path / "t").exists()


def test_stages_follow_each_other(run, tmp_path):
    run("train", tmp_path / "a", "--stage", "detector", *SMALL)
    start = ["--start", tmp_path / "a" / "weights.pt"]
    labels = ["--labelled", "2", "--looks", "2"]
    run("train", tmp_path / "b", "--stage", "adapt", *start, *labels, *SMALL)
    start = ["--start", tmp_path / "b" / "weights.pt"]
    run("train", tmp_path / "c", "--stage", "descriptors", *start, *SMALL)
    run("weights", "import", tmp_path / "c" / "weights.pt", "--name", "c")
    for stage in "abc":
        with (tmp_path / stage / "curve.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 2


def test_a_training_goes_on_with_the_same_data_only(run, tmp_path):
    """Scenes are known by their contents: one of the same name and size is another."""
    rng = np.random.default_rng(0)
    scenes = [tmp_path / folder / "HH.tif" for folder in ("one", "two", "moved")]
    for scene in scenes:
        scene.parent.mkdir()
    for scene in scenes[:2]:
        write_scene(scene, ice_texture((200, 200), rng), 4)
    shutil.copy(scenes[0], scenes[2])
    assert scenes[0].stat().st_size == scenes[1].stat().st_size
    words = ["train", tmp_path / "t", *SMALL, "--scenes"]
    run(*words, scenes[0])
    run(*words, scenes[2])
    for other in (
        [scenes[1]],
        [scenes[0], "--scenes", scenes[1]],
        [scenes[0], "--simulated", "0.5"],
        [scenes[0], "--start", "default"],
    ):
        told = run(*words, *other, code=1)
        assert len(told.splitlines()) == 1
        assert "give another directory" in told


def test_labels_of_other_scenes_are_refused(run, tmp_path):
    scene = write_scene(tmp_path / "HH.tif", ice_texture((200, 200), np.random.default_rng(0)), 4)
    words = ["train", tmp_path / "t", "--stage", "adapt", "--start", "default"]
    words += ["--labelled", "2", "--looks", "2", *SMALL]
    run(*words)
    told = run(*words, "--scenes", scene, code=1)
    assert len(told.splitlines()) == 1
    assert "labels.npz" in told


def test_joint_training_with_the_published_loss(run, tmp_path):
    run("train", tmp_path / "h", "--loss", "hinge", "--hardest", "8", *SMALL)
    assert (tmp_path / "h" / "weights.pt").is_file()


def test_other_topologies_are_trained_and_listed(run, tmp_path):
    channels = ["--channels", "4", "4", "8", "8"]
    run("train", tmp_path / "l", "--separable", *channels, *SMALL)
    run("weights", "import", tmp_path / "l" / "weights.pt", "--name", "thin")
    start = ["--start", "thin", "--rotation", "180"]
    run("train", tmp_path / "t", *start, "--rotation-input", *SMALL)
    run("weights", "import", tmp_path / "t" / "weights.pt", "--name", "told")
    lines = {line.split()[0]: line for line in run("weights", "list").splitlines()}
    assert "separable, sha256" in lines["thin"]
    assert "separable, rotation input, sha256" in lines["told"]
    assert load_network("told").topology.channels == (4, 4, 8, 8)


def write_scene(path, data, day):
    transform = Affine(100, 0, -50_000, 0, -100, -600_000)
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:3413"}
    rows, cols = data.shape
    with rasterio.open(path, "w", transform=transform, height=rows, width=cols, **profile) as file:
        file.write(data, 1)
        file.update_tags(time_coverage_start=f"2020-03-0{day}T17:13:52Z")
    return path


def test_track_tells_the_rotation_to_the_target_alone(run, tmp_path):
    shipped = load_network("default")
    told = SuperLIM(shipped.topology.model_copy(update={"rotation_input": True}))
    # 1 + cos(rotation) - 1: at 90 degrees nothing of the image is left.
    told.modulation.weight.data.zero_()
    told.modulation.weight.data[: shipped.topology.descriptor_width, 0] = 1.0
    told.load_state_dict(told.state_dict() | shipped.state_dict())
    save_network(told, tmp_path / "told.pt")
    ice = ice_texture((300, 300), np.random.default_rng(0))
    pair = [write_scene(tmp_path / f"HH_{day}.tif", ice, day) for day in (4, 5)]
    words = [*pair, "--spacing", "2000", "--no-refine", "--weights", tmp_path / "told.pt"]
    upright = run("track", *words, "--out", tmp_path / "u.csv").split()
    turned = run("track", *words, "--rotation", "90", "--out", tmp_path / "t.csv").split()
    assert int(upright[0]) > 0.8 * int(upright[2])
    # Had the source been told too, its descriptors would be the target's again.
    assert int(turned[0]) < 0.2 * int(turned[2])


def test_scenes_of_a_pair_that_are_missing_are_one_line(run, tmp_path):
    pair = ["--pair", tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "v.csv"]
    options = ["--stage", "descriptors", "--start", "default", *pair, *SMALL]
    told = run("train", tmp_path / "t", *options, code=1)
    assert len(told.splitlines()) == 1
    assert "a.tif" in told


def test_weights_are_not_exported_onto_themselves(run, tmp_path):
    path = tmp_path / "mine.onnx"
    run("weights", "export", "default", tmp_path / "mine.pt")
    (tmp_path / "mine.pt").rename(path)
    told = run("weights", "export", path, path, code=1)
    assert told == f"error: {path}: would replace {path}; give another name for the output\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--hardest", "5"], "--hardest belongs to --loss hinge"),
        (["--real-share", "0.5"], "--real-share belongs to --pair"),
        (["--labelled", "5"], "--labelled belongs to --stage adapt"),
        (["--looks", "5"], "--looks belongs to --stage adapt"),
        (["--simulated", "0.5"], "--simulated belongs to --scenes"),
        (["--stage", "detector", "--scenes", "x.tif"], "--scenes belongs to the other stages"),
        (["--stage", "detector", "--loss", "hinge"], "--loss belongs to --stage joint"),
        (["--noise", "nan"], "nan is not a finite number"),
        (["--rotation", "nan"], "nan is not a finite number"),
        (["--learning-rate", "inf"], "inf is not a finite number"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_options_of_train_that_would_have_no_effect_or_no_sense(tmp_path, capsys, words, told):
    assert run_cli(["train", str(tmp_path / "t"), *words]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_a_scene_smaller_than_the_views_is_told_before_the_training(tmp_path, run, write_scene):
    path = write_scene("small_20210101T120000_HH.tif", np.full((44, 60), 0.05, np.float32))
    told = run("train", tmp_path / "t", "--size", 64, "--scenes", path, code=1)
    assert "44 x 60 pixels are too few for views of 64; leave it out, or give a smaller" in told


def test_damaged_weights_do_not_hide_the_others(tmp_path, run, monkeypatch):
    assert [entry.name for entry in list_weights()[0]][:1] == ["default"]
    monkeypatch.setenv("LAGRANGIAN_ICE_WEIGHTS", str(tmp_path))
    (tmp_path / "broken.pt").write_text("x")
    assert [entry.name for entry in list_weights()[0]][:1] == ["default"]
    told = run("weights", "list", code=3)
    assert "broken.pt: not a torch weights file" in told
