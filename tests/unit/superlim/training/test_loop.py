"""Every stage learns, is seeded and can be interrupted."""

import csv

import cv2
import numpy as np
import pytest
import torch

from lagrangian_ice.errors import WeightsError
from lagrangian_ice.superlim.network import Scaling, SuperLIM, Topology
from lagrangian_ice.superlim.training import loop, stages
from lagrangian_ice.superlim.training.adaptation import LabelRecipe, label_images
from lagrangian_ice.superlim.training.drift import DriftPair
from lagrangian_ice.superlim.training.loop import Recipe, _cut_curve, train
from lagrangian_ice.superlim.training.pairs import Unlikeness

TINY = Topology(channels=(4, 4, 8, 8), detector_width=8, descriptor_width=16)
RECIPE = Recipe(steps=40, batch=4, learning_rate=1e-2)
SIZE = 64


def textures(rng):
    white = rng.normal(size=(128, 128)).astype(np.float32)
    return cv2.GaussianBlur(white, (0, 0), 2.0)


def known_pair():
    """Ice moved by (3, -5) pixels."""
    ice = textures(np.random.default_rng(0))
    large = cv2.resize(ice, (320, 320), interpolation=cv2.INTER_CUBIC)
    points = np.random.default_rng(1).uniform(20, 180, (400, 2))
    return DriftPair(
        large[40:240, 40:240], large[37:237, 45:245], points, np.add(points, [3.0, -5.0])
    )


def make_stage(kind, folder):
    torch.manual_seed(5)
    base = SuperLIM(TINY, "base").eval()
    if kind == "detector":
        return stages.BaseDetector(SIZE, Scaling())
    if kind == "adapt":
        labels = label_images(base, textures, LabelRecipe(SIZE, 4, 2, 0), folder / "labels.npz")
        return stages.AdaptedDetector(labels, Scaling())
    if kind == "joint":
        return stages.Joint(textures, SIZE, Scaling())
    if kind == "hinge":
        loss = stages.DescriptorLoss("hinge", hardest=8)
        return stages.Joint(textures, SIZE, Scaling(), loss)
    pairs = [known_pair()]
    share = 1.0 if kind == "real" else 0.0
    return stages.Descriptors(base, textures, SIZE, pairs, share, unlike=Unlikeness(turned=10.0))


def curve(folder):
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["detector", "adapt", "joint", "hinge", "simulated", "real"])
def test_losses_fall_and_the_curve_is_written(kind, tmp_path):
    network = train(TINY, make_stage(kind, tmp_path), RECIPE, tmp_path)
    assert not network.training
    rows = curve(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, RECIPE.steps + 1))
    for name in ("descriptor_loss", "detector_loss"):
        if name in rows[0]:
            values = [float(row[name]) for row in rows]
            assert np.mean(values[-8:]) < np.mean(values[:8]), name
    assert (tmp_path / "weights.pt").is_file()


@pytest.mark.parametrize("option", ["separable", "rotation_input"])
def test_other_topologies_learn_too(option, tmp_path):
    topology = TINY.model_copy(update={option: True})
    stage = stages.Joint(textures, SIZE, Scaling(), unlike=Unlikeness(turned=180.0))
    network = train(topology, stage, RECIPE, tmp_path)
    values = [float(row["descriptor_loss"]) for row in curve(tmp_path)]
    assert np.mean(values[-8:]) < np.mean(values[:8])
    if network.modulation is not None:
        assert network.modulation.weight.abs().max() > 1e-3


def test_rotation_input_can_be_added_to_a_network_that_had_none(tmp_path):
    start = SuperLIM(TINY).eval()
    told = TINY.model_copy(update={"rotation_input": True})
    slow = Recipe(steps=1, batch=1, learning_rate=1e-9)
    made = train(told, stages.Joint(textures, SIZE, Scaling()), slow, tmp_path, start)
    for name, value in start.named_parameters():
        torch.testing.assert_close(made.get_parameter(name), value, atol=1e-6, rtol=0)


def test_only_targets_are_told_that_they_are_turned():
    rng = np.random.default_rng(0)
    moved = stages.Joint(textures, SIZE, Scaling(), unlike=Unlikeness(turned=180.0))
    real = stages.Descriptors(SuperLIM(TINY), textures, SIZE, [known_pair()], real_share=1.0)
    for stage, least in ((moved, 40), (real, 5)):
        source, target = stage.batch(rng, 16)["rotation"].chunk(2)
        assert not source.any()
        assert target.std() > least


@pytest.mark.parametrize("kind", ["detector", "adapt", "joint", "real"])
def test_interrupted_training_goes_on_as_if_it_had_not_been(kind, tmp_path, monkeypatch):
    recipe = Recipe(steps=14, batch=2, learning_rate=1e-2)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    undisturbed = train(TINY, make_stage(kind, tmp_path / "whole"), recipe, tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 4)
    original = loop._step

    def stops(run, stage, batch):
        if run.step == 10:
            raise KeyboardInterrupt
        return original(run, stage, batch)

    monkeypatch.setattr(loop, "_step", stops)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, make_stage(kind, tmp_path / "cut"), recipe, tmp_path / "cut")
    monkeypatch.setattr(loop, "_step", original)
    assert len(curve(tmp_path / "cut")) == 10  # two of them after the last checkpoint
    resumed = train(TINY, make_stage(kind, tmp_path / "cut"), recipe, tmp_path / "cut")
    for first, second in zip(undisturbed.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(first, second)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def test_start_weights_are_where_a_training_begins(tmp_path):
    start = SuperLIM(TINY).eval()
    slow = Recipe(steps=1, batch=1, learning_rate=1e-9)
    made = train(TINY, stages.BaseDetector(SIZE, Scaling()), slow, tmp_path, start)
    for first, second in zip(start.parameters(), made.parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


def test_directory_of_another_training_is_refused(tmp_path):
    short = Recipe(steps=1, batch=1)
    train(TINY, stages.BaseDetector(SIZE, Scaling()), short, tmp_path)
    for stage, recipe in (
        (stages.BaseDetector(SIZE, Scaling()), Recipe(steps=2, batch=1)),
        (stages.Joint(textures, SIZE, Scaling()), short),
    ):
        with pytest.raises(WeightsError, match="another directory"):
            train(TINY, stage, recipe, tmp_path)


def test_training_with_other_inputs_or_another_start_is_refused(tmp_path):
    """Else it would go on with them, or from where the first start led, and say nothing."""
    stage = stages.BaseDetector(SIZE, Scaling())
    short = Recipe(steps=1, batch=1, inputs="scenes 1")
    first, other = SuperLIM(TINY, "aa").eval(), SuperLIM(TINY, "bb").eval()
    train(TINY, stage, short, tmp_path, first)
    train(TINY, stage, short, tmp_path, first)
    for recipe, start in (
        (Recipe(steps=1, batch=1, inputs="scenes 2"), first),
        (short, other),
        (short, None),
    ):
        with pytest.raises(WeightsError, match="another directory") as raised:
            train(TINY, stage, recipe, tmp_path, start)
        assert "\n" not in str(raised.value)


def test_damaged_checkpoint_is_one_clear_line(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        train(TINY, stages.BaseDetector(SIZE, Scaling()), RECIPE, tmp_path)


def test_network_with_two_inputs_is_trained_too(tmp_path):
    two = TINY.model_copy(update={"inputs": 2})
    short = Recipe(steps=2, batch=1)
    assert train(two, stages.Joint(textures, SIZE, two.scaling), short, tmp_path).topology == two


def test_detector_of_stage_c_stays_where_its_teacher_is(tmp_path):
    stage = make_stage("simulated", tmp_path)
    batch = stage.batch(np.random.default_rng(0), 2)
    own = stage.losses(stage.teacher, batch).parts["detector_loss"]
    torch.manual_seed(9)
    other = SuperLIM(TINY).eval()
    assert stage.losses(other, batch).parts["detector_loss"] > own


def test_the_curve_of_another_training_is_not_gone_on_with(tmp_path):
    """Its header stayed above the rows of the new one."""
    (tmp_path / "curve.csv").write_text("step,other_loss\n1,9.0\n2,9.0\n")
    _cut_curve(tmp_path / "curve.csv", 0)
    assert not (tmp_path / "curve.csv").exists()


def test_rows_are_cut_by_their_step(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,loss\n5,1.0\n6,1.0\n7,1.0\n")
    _cut_curve(path, 6)
    assert path.read_text().splitlines() == ["step,loss", "5,1.0", "6,1.0"]
