"""The stages of training: what each shows the network and what it asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.superlim.network import Scaling, SuperLIM
from lagrangian_ice.superlim.training.adaptation import (
    Labelled,
    Warp,
    points_to_labels,
    warped_labels,
)
from lagrangian_ice.superlim.training.drift import DriftPair, drift_views
from lagrangian_ice.superlim.training.loop import Batch, Losses, seen
from lagrangian_ice.superlim.training.losses import (
    all_cells,
    detector_loss,
    hinge_loss,
    infonce_loss,
    right_share,
    sampled,
    teacher_loss,
)
from lagrangian_ice.superlim.training.pairs import (
    USUAL,
    Unlikeness,
    disturbed,
    make_pair,
    sample,
    scaled,
)
from lagrangian_ice.superlim.training.shapes import drawn_shape
from lagrangian_ice.superlim.training.textures import TextureSource

WITHOUT_LEADS = Unlikeness(leads=0)
"""Drawn leads would have corners without a label."""
DETECTOR_WEIGHT = 0.2
"""Of the detector loss beside the descriptor loss."""
TOLD_ERROR = 15.0
"""Standard deviation, degrees, by which the rotation that a network is told is wrong."""


@dataclass(frozen=True)
class DescriptorLoss:
    """How descriptors of places in the source are compared with the target's.

    Attributes
    ----------
    kind : {"infonce", "hinge"}
        Softmax over all cells both ways, or the published hinge.
    temperature : float
        Of the softmax.
    hardest : int or None
        Of the hinge: the most similar wrong cells that count; None counts all.
    """

    kind: Literal["infonce", "hinge"] = "infonce"
    temperature: float = 0.05
    hardest: int | None = None

    def __call__(self, source: Tensor, target: Tensor, cells: Tensor) -> Tensor:
        """Loss of descriptors (B, N, D) against a map (B, D, h, w) with the truth (B, N, 2)."""
        if self.kind == "hinge":
            return hinge_loss(source, target, cells, self.hardest)
        return infonce_loss(source, target, cells, self.temperature)


@dataclass(frozen=True)
class BaseDetector:
    """Stage A: corners of drawn shapes."""

    size: int
    scaling: Scaling

    @property
    def name(self) -> str:
        """Stage and what it was told."""
        return f"detector size {self.size}"

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """Disturbed drawings and the cells of their corners."""
        views, labels = [], []
        for _ in range(count):
            image, corners = drawn_shape(self.size, rng)
            views.append(scaled(disturbed(image, rng, WITHOUT_LEADS), self.scaling))
            labels.append(points_to_labels(corners, self.size))
        return {"images": _stacked(views), "labels": _stacked(labels)}

    def losses(self, network: SuperLIM, batch: Batch) -> Losses:
        """Cross-entropy of the corners."""
        return _detector_losses(network, batch)


@dataclass(frozen=True)
class AdaptedDetector:
    """Stage B: keypoints that the base detector found over many looks."""

    labelled: Sequence[Labelled]
    scaling: Scaling
    unlike: Unlikeness = USUAL

    @property
    def name(self) -> str:
        """Stage and what it was told."""
        return f"adapt images {len(self.labelled)} {self.unlike}"

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """Look anew at labelled images."""
        views, labels = [], []
        for _ in range(count):
            one = self.labelled[int(rng.integers(len(self.labelled)))]
            size = len(one.image)
            warp = Warp.random(size, rng, self.unlike.turned)
            look = disturbed(sample(one.image, warp.at(size)), rng, self.unlike)
            views.append(scaled(look, self.scaling))
            labels.append(warped_labels(one, warp))
        return {"images": _stacked(views), "labels": _stacked(labels)}

    def losses(self, network: SuperLIM, batch: Batch) -> Losses:
        """Cross-entropy of the keypoints."""
        return _detector_losses(network, batch)


@dataclass(frozen=True)
class Joint:
    """Descriptors and corners of moved textures together: how the shipped weights were made."""

    textures: TextureSource
    size: int
    scaling: Scaling
    loss: DescriptorLoss = DescriptorLoss()
    unlike: Unlikeness = USUAL

    @property
    def name(self) -> str:
        """Stage and what it was told."""
        return f"joint size {self.size} {self.unlike} {self.loss}"

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """Pairs with dense truth."""
        return moved_textures(self.textures, self.size, self.scaling, self.unlike)(rng, count)

    def losses(self, network: SuperLIM, batch: Batch) -> Losses:
        """Loss of the descriptors and, with a small weight, of the corners."""
        logits, descriptors = seen(network, batch["images"], batch["rotation"])
        source, target = descriptors.chunk(2)
        matching, share = _matching(self.loss, all_cells(source), target, batch["cells"])
        detection = detector_loss(logits, batch["labels"])
        parts = {
            "descriptor_loss": float(matching.detach()),
            "detector_loss": float(detection.detach()),
            "right_share": share,
        }
        return Losses(matching + DETECTOR_WEIGHT * detection, parts)


@dataclass(frozen=True)
class Descriptors:
    """Stage C: descriptors from drift; the detector is held by the network it started from.

    Attributes
    ----------
    teacher : SuperLIM
        In evaluation mode.
    textures : callable or None
        Of moved textures, dense truth.
    pairs : sequence of DriftPair
        Real scenes with vectors.
    size : int
        Pixels per side of a view.
    real_share : float
        Share of the steps that see real pairs; the others see moved textures.
    """

    teacher: SuperLIM
    textures: TextureSource
    size: int
    pairs: Sequence[DriftPair] = ()
    real_share: float = 0.0
    loss: DescriptorLoss = DescriptorLoss()
    unlike: Unlikeness = USUAL

    @property
    def name(self) -> str:
        """Stage and what it was told."""
        return (
            f"descriptors size {self.size} {self.unlike} {self.loss} "
            f"pairs {len(self.pairs)} share {self.real_share:g}"
        )

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """Cut views of real pairs with sparse truth, or move textures with dense truth."""
        scaling = self.teacher.topology.scaling
        if self.pairs and rng.random() < self.real_share:
            return _real_views(self.pairs, self.size, scaling, rng, count)
        return moved_textures(self.textures, self.size, scaling, self.unlike)(rng, count)

    def losses(self, network: SuperLIM, batch: Batch) -> Losses:
        """Loss of the descriptors, and how far the detector is from the teacher's."""
        logits, descriptors = seen(network, batch["images"], batch["rotation"])
        source, target = descriptors.chunk(2)
        places = sampled(source, batch["places"]) if "places" in batch else all_cells(source)
        matching, share = _matching(self.loss, places, target, batch["cells"])
        self.teacher.to(logits.device)
        with torch.no_grad():
            wanted, _ = seen(self.teacher, batch["images"])
        held = teacher_loss(logits, wanted)
        parts = {
            "descriptor_loss": float(matching.detach()),
            "detector_loss": float(held.detach()),
            "right_share": share,
            "real": float("places" in batch),
        }
        return Losses(matching + DETECTOR_WEIGHT * held, parts)


def moved_textures(
    textures: TextureSource, size: int, scaling: Scaling, unlike: Unlikeness
) -> Callable[[np.random.Generator, int], Batch]:
    """Batches of one texture seen twice."""

    def batch(rng: np.random.Generator, count: int) -> Batch:
        pairs = [make_pair(textures(rng), size, scaling, rng, unlike) for _ in range(count)]
        return {
            "images": _stacked([p.source for p in pairs] + [p.target for p in pairs]),
            "labels": _stacked(
                [p.source_keypoints for p in pairs] + [p.target_keypoints for p in pairs]
            ),
            "cells": _stacked([p.cells for p in pairs]),
            "rotation": _told([p.rotation for p in pairs], rng),
        }

    return batch


def _real_views(
    pairs: Sequence[DriftPair], size: int, scaling: Scaling, rng: np.random.Generator, count: int
) -> Batch:
    views = [drift_views(pairs, size, rng) for _ in range(count)]
    most = max(len(view.source_cells) for view in views)
    images = [scaled(v.source, scaling) for v in views] + [scaled(v.target, scaling) for v in views]
    return {
        "images": _stacked(images),
        "places": _stacked([_filled(view.source_cells, most) for view in views]),
        "cells": _stacked([_filled(view.target_cells, most) for view in views]),
        "rotation": _told([view.rotation for view in views], rng),
    }


def _told(rotations: Sequence[float], rng: np.random.Generator) -> Tensor:
    """Rotations that the network is told of sources, nought, and of targets, not exactly."""
    targets = np.array(rotations) + rng.normal(0, TOLD_ERROR, len(rotations))
    return torch.from_numpy(np.concatenate([np.zeros_like(targets), targets]).astype(np.float32))


def _filled(cells: np.ndarray, count: int) -> np.ndarray:
    """Rows of NaN behind the places."""
    filled = np.full((count, 2), np.nan, np.float32)
    filled[: len(cells)] = cells
    return filled


def _matching(
    loss: DescriptorLoss, places: Tensor, target: Tensor, cells: Tensor
) -> tuple[Tensor, float]:
    return loss(places, target, cells), right_share(places.detach(), target.detach(), cells)


def _detector_losses(network: SuperLIM, batch: Batch) -> Losses:
    logits, _ = seen(network, batch["images"])
    loss = detector_loss(logits, batch["labels"])
    return Losses(loss, {"detector_loss": float(loss.detach())})


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
