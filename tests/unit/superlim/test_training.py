"""Training pairs, losses and the loop."""

import csv

import cv2
import numpy as np
import pytest
import torch

from lagrangian_ice.superlim.network import Topology
from lagrangian_ice.superlim.training import pairs
from lagrangian_ice.superlim.training.losses import bilinear_targets, descriptor_loss
from lagrangian_ice.superlim.training.train import Recipe, train

TINY = Topology(channels=(4, 4, 8, 8), detector_width=8, descriptor_width=16)
RECIPE = Recipe(steps=40, batch=4, size=64, learning_rate=1e-2)


def textures(rng):
    white = rng.normal(size=(128, 128)).astype(np.float32)
    return cv2.GaussianBlur(white, (0, 0), 2.0)


def test_true_cells_show_the_same_ice_in_both_views(monkeypatch):
    """The texture is its own column, undisturbed: both views must read the same number."""
    monkeypatch.setattr(pairs, "_disturb", lambda clean, rng: clean)
    monkeypatch.setattr(pairs, "local_scaled", lambda pixels, sigma: pixels)
    for axis in (0, 1):
        texture = np.indices((300, 300), dtype=np.float32)[axis]
        rng = np.random.default_rng(5)
        pair = pairs.make_pair(texture, 128, 40.0, rng)
        cells = np.stack(np.indices((16, 16)), axis=-1).reshape(-1, 2)
        known = np.isfinite(pair.cells).all(axis=1)
        assert known.mean() > 0.3
        read = [
            cv2.remap(
                view,
                (at[known, 1] * 8 + 3.5).astype(np.float32),
                (at[known, 0] * 8 + 3.5).astype(np.float32),
                cv2.INTER_LINEAR,
            ).ravel()
            for view, at in ((pair.source, cells), (pair.target, pair.cells))
        ]
        scale = pair.source.std() / texture.std()
        difference = np.abs(read[0] - read[1])
        # A crack's own line cannot be inverted; everything else is exact.
        assert np.quantile(difference, 0.9) < 0.3 * max(scale, 1e-3) + 0.3


def test_texture_smaller_than_the_views_is_refused():
    with pytest.raises(ValueError, match="smaller"):
        pairs.make_pair(np.zeros((32, 32), np.float32), 64, 40.0, np.random.default_rng(0))


def test_keypoint_label_is_the_corner_of_its_cell():
    image = np.zeros((64, 64), np.float32)
    image[20:, 27:] = 1.0
    labels = pairs.keypoint_labels(image)
    row, col = divmod(int(labels[2, 3]), 8)
    assert abs(16 + row - 20) <= 1
    assert abs(24 + col - 27) <= 1
    assert (labels == pairs.NO_KEYPOINT).sum() >= 50


def test_soft_label_is_bilinear():
    index, weight = bilinear_targets(torch.tensor([[[1.25, 2.5]]]), 4, 5)
    assert index[0, 0].tolist() == [7, 8, 12, 13]
    assert weight[0, 0].tolist() == pytest.approx([0.375, 0.375, 0.125, 0.125])


def test_cells_that_left_the_view_have_no_label():
    cells = torch.tensor([[[float("nan"), 1.0], [-0.5, 1.0], [3.5, 1.0]]])
    assert not bilinear_targets(cells, 4, 5)[1].any()


def test_descriptor_loss_is_lowest_at_the_truth():
    torch.manual_seed(0)
    descriptors = torch.nn.functional.normalize(torch.randn(1, 256, 6, 6), dim=1)
    cells = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1)
    right = cells.reshape(1, -1, 2)
    wrong = right.flip(1)
    assert descriptor_loss(descriptors, descriptors, right, 0.05) < 0.01
    assert descriptor_loss(descriptors, descriptors, wrong, 0.05) > 1.0


def test_losses_fall_and_the_curve_is_written(tmp_path):
    network = train(TINY, textures, RECIPE, tmp_path)
    assert not network.training
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == RECIPE.steps
    for name in ("descriptor_loss", "detector_loss"):
        values = [float(row[name]) for row in rows]
        assert np.mean(values[-8:]) < np.mean(values[:8])
    assert (tmp_path / "weights.pt").is_file()


def test_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    undisturbed = train(TINY, textures, RECIPE, tmp_path / "whole")
    from lagrangian_ice.superlim.training import train as module

    original = module._step

    def stops(run, batch, recipe):
        if run.step == 25:
            module._save(run, tmp_path / "cut" / "checkpoint.pt")
            raise KeyboardInterrupt
        return original(run, batch, recipe)

    monkeypatch.setattr(module, "_step", stops)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, textures, RECIPE, tmp_path / "cut")
    monkeypatch.setattr(module, "_step", original)
    resumed = train(TINY, textures, RECIPE, tmp_path / "cut")
    for first, second in zip(undisturbed.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(first, second)
