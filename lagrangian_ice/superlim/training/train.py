"""The training loop: seeded, resumable, its curve in a CSV file."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.superlim.network import SuperLIM, Topology
from lagrangian_ice.superlim.scaling import Pixels
from lagrangian_ice.superlim.training.losses import descriptor_loss, detector_loss
from lagrangian_ice.superlim.training.pairs import TrainingPair, make_pair
from lagrangian_ice.superlim.weights_store import save_network

logger = logging.getLogger(__name__)

TextureSource = Callable[[np.random.Generator], Pixels]
"""Gives a texture (rows, cols) without gaps for each call."""


@dataclass(frozen=True)
class Recipe:
    """What a training run is made of, beside its textures.

    Attributes
    ----------
    steps, batch, size : int
        Optimiser steps, pairs a step, pixels per side of a view.
    learning_rate : float
        Highest rate of the one-cycle schedule (Smith and Topin 2018).
    temperature : float
        Of the descriptor loss.
    detector_weight : float
        Of the detector loss beside the descriptor loss.
    seed : int
        Of the tensors and the pairs.
    """

    steps: int = 2000
    batch: int = 8
    size: int = 256
    learning_rate: float = 3e-3
    temperature: float = 0.05
    detector_weight: float = 0.2
    seed: int = 0


@dataclass
class _Run:
    """What a checkpoint holds."""

    network: SuperLIM
    optimiser: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.OneCycleLR
    step: int


def train(
    topology: Topology,
    textures: TextureSource,
    recipe: Recipe,
    directory: Path,
    start: SuperLIM | None = None,
) -> SuperLIM:
    """Train a network, going on from the directory's checkpoint where there is one.

    Parameters
    ----------
    topology : Topology
        Of the network.
    textures : callable
        Called with a Generator for every pair.
    recipe : Recipe
        Steps and rates.
    directory : Path
        Gets ``checkpoint.pt`` (every 50 steps), ``curve.csv`` and, at the end, ``weights.pt``.
    start : SuperLIM, optional
        Network whose tensors a new run starts from.

    Returns
    -------
    SuperLIM
        In evaluation mode.
    """
    directory.mkdir(parents=True, exist_ok=True)
    run = _begin(topology, recipe, directory / "checkpoint.pt", start)
    with ThreadPoolExecutor(max_workers=1) as executor:
        waiting = executor.submit(_batch, textures, recipe, topology, run.step)
        while run.step < recipe.steps:
            batch = waiting.result()
            waiting = executor.submit(_batch, textures, recipe, topology, run.step + 1)
            losses = _step(run, batch, recipe)
            run.step += 1
            _log(directory / "curve.csv", run.step, losses)
            if run.step % 50 == 0 or run.step == recipe.steps:
                _save(run, directory / "checkpoint.pt")
    save_network(run.network, directory / "weights.pt")
    return run.network.eval()


def _begin(topology: Topology, recipe: Recipe, checkpoint: Path, start: SuperLIM | None) -> _Run:
    torch.manual_seed(recipe.seed)
    network = SuperLIM(topology)
    if start is not None:
        network.load_state_dict(start.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.15
    )
    run = _Run(network, optimiser, schedule, 0)
    if checkpoint.is_file():
        content = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        schedule.load_state_dict(content["schedule"])
        run.step = int(content["step"])
        logger.info("going on from step %d of %s", run.step, checkpoint)
    network.train()
    return run


def _batch(
    textures: TextureSource, recipe: Recipe, topology: Topology, step: int
) -> list[TrainingPair]:
    """Pairs of one step: the same for the same seed and step, whatever came before."""
    rng = np.random.default_rng([recipe.seed, step])
    sigma = topology.scaling.sigma
    return [make_pair(textures(rng), recipe.size, sigma, rng) for _ in range(recipe.batch)]


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _step(run: _Run, batch: list[TrainingPair], recipe: Recipe) -> dict[str, float]:
    images = _stacked([p.source for p in batch] + [p.target for p in batch])[:, None]
    images = images.expand(-1, run.network.topology.inputs, -1, -1)
    labels = _stacked([p.source_keypoints for p in batch] + [p.target_keypoints for p in batch])
    cells = _stacked([p.cells for p in batch])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, descriptors = run.network(images.contiguous(memory_format=torch.channels_last))
    source, target = descriptors.float().chunk(2)
    matching = descriptor_loss(source, target, cells, recipe.temperature)
    detection = detector_loss(logits.float(), labels)
    loss = matching + recipe.detector_weight * detection
    run.optimiser.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.schedule.step()
    return {
        "descriptor_loss": float(matching.detach()),
        "detector_loss": float(detection.detach()),
        "right_share": _right_share(source.detach(), target.detach(), cells),
    }


def _right_share(source: Tensor, target: Tensor, cells: Tensor) -> float:
    """Share of source cells whose most similar target cell is within one cell of the truth."""
    width = target.shape[-1]
    best = (source.flatten(2).transpose(1, 2) @ target.flatten(2)).argmax(dim=2)
    found = torch.stack([best // width, best % width], dim=-1)
    known = torch.isfinite(cells).all(dim=-1)
    right = (found - cells).norm(dim=-1)[known] <= 1.0
    return float(right.float().mean()) if len(right) else float("nan")


def _save(run: _Run, checkpoint: Path) -> None:
    temporary = checkpoint.with_name("checkpoint.part")
    content = {
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "step": run.step,
    }
    torch.save(content, temporary)
    temporary.replace(checkpoint)


def _log(curve: Path, step: int, losses: dict[str, float]) -> None:
    new = not curve.exists()
    with curve.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *losses])
        writer.writerow([step, *(f"{value:.5f}" for value in losses.values())])
    if step % 10 == 0:
        logger.info("step %d: %s", step, ", ".join(f"{k} {v:.3f}" for k, v in losses.items()))
