"""Homographic adaptation: a detector's own answers over many looks, as labels.

Each image is seen turned, slightly stretched and disturbed many times over; what the detector
finds is turned back and averaged (DeTone et al. 2018, section 5). The warps are those of ice
seen twice on one map grid, never a strong perspective.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lagrangian_ice.errors import WeightsError
from lagrangian_ice.files import in_place
from lagrangian_ice.superlim.features import STRIDE
from lagrangian_ice.superlim.network import SuperLIM
from lagrangian_ice.superlim.scaling import Pixels
from lagrangian_ice.superlim.training.loop import seen
from lagrangian_ice.superlim.training.pairs import (
    NO_KEYPOINT,
    UNKNOWN,
    disturbed,
    random_linear,
    sample,
    scaled,
)
from lagrangian_ice.superlim.training.textures import TextureSource

logger = logging.getLogger(__name__)

Points = NDArray[np.float64]

LEAST_SCORE = 1 / 65
"""Mean probability of a keypoint's pixel: more than a detector that knows nothing."""
APART = 4
"""Pixels within which a keypoint has the highest score."""
MOST_TURNED = 45.0
"""Degrees that a look may be turned by."""
AT_ONCE = 8


@dataclass(frozen=True)
class Labelled:
    """An image and its keypoints.

    Attributes
    ----------
    image : (size, size) float32
        Undisturbed, unit spread.
    points : (N, 2) float64
        Row, column.
    """

    image: Pixels
    points: Points


@dataclass(frozen=True)
class Warp:
    """A look at an image: each of its pixels shows the image at ``linear`` times its offset.

    Attributes
    ----------
    linear : (2, 2) float64
        In x, y, from the look to the image.
    shift : (2,) float64
        Pixels x, y.
    """

    linear: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def random(cls, size: int, rng: np.random.Generator, most_turned: float) -> Warp:
        """Rotation, a small affine part and a shift."""
        return cls(random_linear(rng, most_turned), rng.uniform(-0.1, 0.1, 2) * size)

    def at(self, size: int) -> Pixels:
        """Image position (size, size, 2; x then y) of every pixel of the look."""
        return self._applied(size, self.linear, self.shift)

    def back(self, size: int) -> Pixels:
        """Position in the look of every pixel of the image."""
        inverse = np.linalg.inv(self.linear).astype(np.float64)
        return self._applied(size, inverse, -inverse @ self.shift)

    def points(self, rowcol: Points, size: int) -> Points:
        """Row, col in the look of points (N, 2) of the image."""
        middle = (size - 1) / 2
        offsets = rowcol[:, ::-1] - middle - self.shift
        moved = offsets @ np.linalg.inv(self.linear).T + middle
        return np.asarray(moved[:, ::-1])

    @staticmethod
    def _applied(size: int, linear: NDArray[np.float64], shift: NDArray[np.float64]) -> Pixels:
        row, col = np.mgrid[:size, :size].astype(np.float64) - (size - 1) / 2
        moved = np.stack([col, row], axis=-1) @ linear.T + shift + (size - 1) / 2
        return moved.astype(np.float32)


def points_to_labels(points: Points, size: int) -> NDArray[np.int64]:
    """Pixel of each cell with a point (h, w), row by row, or 64; of several the first."""
    cells = size // STRIDE
    labels = np.full((cells, cells), NO_KEYPOINT, dtype=np.int64)
    pixels = np.floor(points + 0.5).astype(np.intp)
    inside = ((pixels >= 0) & (pixels < cells * STRIDE)).all(axis=1)
    for row, col in pixels[inside][::-1]:
        labels[row // STRIDE, col // STRIDE] = row % STRIDE * STRIDE + col % STRIDE
    return labels


def adapted_points(
    network: SuperLIM, image: Pixels, rng: np.random.Generator, looks: int
) -> Points:
    """Keypoints that a detector finds in most looks at an image.

    Parameters
    ----------
    network : SuperLIM
        In evaluation mode.
    image : (size, size) float32
        Unit spread; size a multiple of 8.
    rng : Generator
        Of the looks.
    looks : int
        The first is not turned.

    Returns
    -------
    (N, 2) float64
        Row, column, the highest mean score first.
    """
    size = len(image)
    total, count = (np.zeros((size, size), np.float32) for _ in range(2))
    still = Warp(np.eye(2), np.zeros(2))
    warps = [still, *(Warp.random(size, rng, MOST_TURNED) for _ in range(looks - 1))]
    for first in range(0, len(warps), AT_ONCE):
        group = warps[first : first + AT_ONCE]
        views = [disturbed(sample(image, warp.at(size)), rng) for warp in group]
        for warp, scores in zip(group, pixel_scores(network, views), strict=True):
            back = warp.back(size)
            inside = ((back >= 0) & (back <= size - 1)).all(axis=-1)
            turned = cv2.remap(scores, back[..., 0], back[..., 1], cv2.INTER_LINEAR)
            total += np.where(inside, turned, 0)
            count += inside
    return _peaks((total / np.maximum(count, 1)).astype(np.float32))


def pixel_scores(network: SuperLIM, views: Sequence[Pixels]) -> NDArray[np.float32]:
    """Keypoint probability (B, size, size) of every pixel of views of the same size."""
    inputs = np.stack([scaled(view, network.topology.scaling) for view in views])
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits, _ = seen(network, torch.from_numpy(inputs).to(device))
        cells = torch.softmax(logits, dim=1)[:, :NO_KEYPOINT]
        scores: NDArray[np.float32] = functional.pixel_shuffle(cells, STRIDE)[:, 0].cpu().numpy()
    return scores


def _peaks(scores: Pixels) -> Points:
    side = 2 * APART + 1
    highest = cv2.dilate(scores, np.ones((side, side), np.uint8))
    peak = (scores >= highest) & (scores > LEAST_SCORE)
    points = np.argwhere(peak)
    order = np.argsort(-scores[peak], kind="stable")
    return points[order].astype(np.float64)


@dataclass(frozen=True)
class LabelRecipe:
    """How images are labelled.

    Attributes
    ----------
    size, count, looks : int
        Pixels per side, images, looks at each.
    seed : int
        Of the images and the looks.
    inputs : str
        Tells the textures from any other.
    """

    size: int
    count: int
    looks: int
    seed: int
    inputs: str = "none"


def label_images(
    network: SuperLIM, textures: TextureSource, recipe: LabelRecipe, keep: Path
) -> list[Labelled]:
    """Label images with a detector, or read the labels that an earlier call has kept.

    Parameters
    ----------
    network : SuperLIM
        Base detector, in evaluation mode.
    textures : callable
        Called with a Generator for every image; the middle of what it gives is used.
    recipe : LabelRecipe
        Sizes and numbers.
    keep : Path
        ``.npz`` file for the labels.

    Raises
    ------
    WeightsError
        If the kept labels were made in another way.
    """
    size = recipe.size
    made_by = f"weights {network.sha256}, {recipe}"
    if keep.is_file():
        return _read_labels(keep, made_by)
    labelled = []
    for number in range(recipe.count):
        rng = np.random.default_rng([recipe.seed, 7, number])
        texture = textures(rng)
        top, left = ((n - size) // 2 for n in texture.shape)
        cut = texture[top : top + size, left : left + size]
        image = ((cut - cut.mean()) / max(float(cut.std()), 1e-3)).astype(np.float32)
        labelled.append(Labelled(image, adapted_points(network, image, rng, recipe.looks)))
        if (number + 1) % 10 == 0:
            logger.info("%d of %d images labelled", number + 1, recipe.count)
    with in_place(keep) as beside, beside.open("wb") as file:
        np.savez(
            file,
            made_by=made_by,
            images=np.stack([one.image for one in labelled]),
            counts=np.array([len(one.points) for one in labelled]),
            points=np.concatenate([one.points for one in labelled]),
        )
    return labelled


def _read_labels(keep: Path, made_by: str) -> list[Labelled]:
    with np.load(keep) as content:
        if str(content["made_by"]) != made_by:
            raise WeightsError(
                f"{keep}: labels made with {content['made_by']}; remove the file or give "
                f"another directory for {made_by}"
            )
        points = np.split(content["points"], np.cumsum(content["counts"])[:-1])
        return [Labelled(*both) for both in zip(content["images"], points, strict=True)]


def warped_labels(labelled: Labelled, warp: Warp) -> NDArray[np.int64]:
    """Labels of a look at a labelled image; what lies outside the image is unknown."""
    size = len(labelled.image)
    labels = points_to_labels(warp.points(labelled.points, size), size)
    at = warp.at(size)
    inside = ((at >= 0) & (at <= size - 1)).all(axis=-1)
    cells = size // STRIDE
    whole = inside.reshape(cells, STRIDE, cells, STRIDE).all(axis=(1, 3))
    return np.where(whole, labels, UNKNOWN)
