"""Labels from many looks."""

import numpy as np
import pytest
import torch

from lagrangian_ice.errors import WeightsError
from lagrangian_ice.superlim.network import SuperLIM, Topology
from lagrangian_ice.superlim.training import adaptation
from lagrangian_ice.superlim.training.adaptation import (
    Labelled,
    LabelRecipe,
    Warp,
    adapted_points,
    label_images,
    points_to_labels,
    warped_labels,
)
from lagrangian_ice.superlim.training.pairs import NO_KEYPOINT, UNKNOWN, sample

SMALL = Topology(channels=(4, 4, 8, 8), detector_width=8, descriptor_width=16)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SuperLIM(SMALL, "abc").eval()


def blob(at, size=64):
    row, col = np.mgrid[:size, :size]
    return np.exp(-((row - at[0]) ** 2 + (col - at[1]) ** 2) / 8).astype(np.float32)


def test_point_of_a_warp_is_where_the_look_shows_it():
    rng = np.random.default_rng(3)
    for _ in range(5):
        warp = Warp.random(64, rng, 60.0)
        point = np.array([[30.0, 36.0]])
        look = sample(blob(point[0]), warp.at(64))
        seen = np.unravel_index(look.argmax(), look.shape)
        np.testing.assert_allclose(warp.points(point, 64)[0], seen, atol=0.8)


def test_warp_back_undoes_the_look():
    warp = Warp.random(64, np.random.default_rng(1), 45.0)
    image = blob((30, 36))
    back = sample(sample(image, warp.at(64)), warp.back(64))
    np.testing.assert_allclose(back, image, atol=0.05)


def test_label_is_the_pixel_inside_its_cell():
    labels = points_to_labels(np.array([[10.2, 20.9], [63.7, 5.0], [11.0, 21.0]]), 64)
    assert labels[1, 2] == 2 * 8 + 5
    assert (labels != NO_KEYPOINT).sum() == 1


def test_cells_outside_the_image_are_unknown():
    labels = warped_labels(
        Labelled(blob((30, 36)), np.array([[30.0, 36.0]])), Warp(np.eye(2), np.array([20.0, 0.0]))
    )
    assert labels[3, 2] == 30 % 8 * 8 + 16 % 8
    assert (labels[:, 6:] == UNKNOWN).all()
    assert (labels[:, :5] != UNKNOWN).all()


def test_keypoints_of_many_looks_are_the_corners_that_every_look_shows(network, monkeypatch):
    """A detector that answers with the brightness finds the brightest places, turned back."""
    monkeypatch.setattr(adaptation, "pixel_scores", lambda network, views: np.stack(views))
    monkeypatch.setattr(adaptation, "disturbed", lambda clean, rng, unlike=None: clean)
    image = blob((20, 30)) + 0.6 * blob((44, 26))
    points = adapted_points(network, image, np.random.default_rng(0), 12)
    np.testing.assert_allclose(points[0], [20, 30], atol=1)
    np.testing.assert_allclose(points[1], [44, 26], atol=1)


def test_pixel_scores_put_a_cells_pixels_in_their_places(network, monkeypatch):
    logits = torch.full((1, 65, 8, 8), -9.0)
    logits[:, -1] = 9.0
    logits[0, 2 * 8 + 5, 1, 3] = 30.0
    monkeypatch.setattr(adaptation, "seen", lambda network, images: (logits, None))
    scores = adaptation.pixel_scores(network, [np.zeros((64, 64), np.float32)])
    assert np.unravel_index(scores[0].argmax(), (64, 64)) == (8 + 2, 24 + 5)


def test_labels_are_kept_and_read_again(network, tmp_path):
    def textures(rng):
        return rng.normal(size=(80, 72)).astype(np.float32)

    recipe = LabelRecipe(size=64, count=3, looks=2, seed=0)
    made = label_images(network, textures, recipe, tmp_path / "labels.npz")
    read = label_images(network, None, recipe, tmp_path / "labels.npz")
    assert len(read) == 3
    for one, other in zip(made, read, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.points, other.points)
    with pytest.raises(WeightsError, match="another directory"):
        label_images(network, textures, LabelRecipe(64, 3, 4, 0), tmp_path / "labels.npz")
