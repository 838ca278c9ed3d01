"""The training loop of every stage: seeded, resumable, its curve in a CSV file."""

from __future__ import annotations

import csv
import logging
import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.engine import in_order
from lagrangian_ice.errors import WeightsError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.superlim.device import computes_bfloat16, usable_device
from lagrangian_ice.superlim.network import SuperLIM, Topology
from lagrangian_ice.superlim.weights_store import save_network

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]
CHECKPOINT_STEPS = 50
LOG_STEPS = 10
Progress = Callable[[Sequence[int]], Iterable[int]]
"""Shows how far a loop over numbers is."""
AHEAD = 2
"""Batches that are made while the network works."""


@dataclass(frozen=True)
class Recipe:
    """What a training run is made of, beside its stage.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps, images or pairs a step.
    learning_rate : float
        Highest rate of the one-cycle schedule (Smith and Topin 2018).
    seed : int
        Of the tensors and the batches.
    device : {"cpu", "cuda"}
        Where the network is trained, in bfloat16 where the device has it.
    inputs : str
        Tells the data that the stage is given from any other.
    """

    steps: int = 2000
    batch: int = 8
    learning_rate: float = 3e-3
    seed: int = 0
    device: str = "cpu"
    inputs: str = "none"


@dataclass(frozen=True)
class Losses:
    """Of one step.

    Attributes
    ----------
    total : Tensor
        What is minimised.
    parts : dict of str to float
        Columns of the curve.
    """

    total: Tensor
    parts: dict[str, float]


class Stage(Protocol):
    """What a training stage shows the network and asks of it."""

    @property
    def name(self) -> str:
        """What a training of this stage must go on with."""

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """Tensors of one step: the same for the same generator."""

    def losses(self, network: SuperLIM, batch: Batch) -> Losses:
        """Run the network and compare."""


@dataclass
class _Run:
    """What a checkpoint holds."""

    network: SuperLIM
    optimiser: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.OneCycleLR
    step: int


def train(
    topology: Topology,
    stage: Stage,
    recipe: Recipe,
    directory: Path,
    start: SuperLIM | None = None,
    progress: Progress = iter,
) -> SuperLIM:
    """Train a network, going on from the directory's checkpoint where there is one.

    Parameters
    ----------
    topology : Topology
        Of the network.
    stage : Stage
        What is learnt.
    recipe : Recipe
        Steps and rates.
    directory : Path
        Gets ``checkpoint.pt`` (every 50 steps), ``curve.csv`` and, at the end, ``weights.pt``.
    start : SuperLIM, optional
        Network whose tensors a new run starts from.
    progress : callable, optional
        Goes over the steps that are left and shows how far it is.

    Returns
    -------
    SuperLIM
        In evaluation mode, on the CPU.

    Raises
    ------
    WeightsError
        If the directory holds a training with another stage, recipe, network or start, or
        cannot be written.
    SettingsError
        If the device is not there.
    """
    device = usable_device(recipe.device)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{directory}: cannot be written ({reason_of(error)})") from None
    settings = _settings(topology, stage, recipe, start)
    run = _begin(topology, recipe, directory, start, settings)

    def batch(step: int) -> Batch:
        """Tensors of one step: the same for the same seed and step, whatever came before."""
        return stage.batch(np.random.default_rng([recipe.seed, step]), recipe.batch)

    with ThreadPoolExecutor(AHEAD) as pool:
        steps = progress(range(run.step, recipe.steps))
        for tensors in in_order(pool, batch, steps, AHEAD):
            parts = _step(run, stage, {name: t.to(device) for name, t in tensors.items()})
            run.step += 1
            _log(directory / "curve.csv", run.step, parts)
            if run.step % CHECKPOINT_STEPS == 0 or run.step == recipe.steps:
                _save(run, directory, settings)
    run.network.to("cpu")
    save_network(run.network, directory / "weights.pt")
    return run.network.eval().requires_grad_(False)


def seen(
    network: SuperLIM, images: Tensor, rotation: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logits and descriptors in float32, computed in bfloat16 where the device has it.

    Parameters
    ----------
    network : SuperLIM
        Any.
    images : Tensor
        (B, rows, cols); a network with two inputs sees the same twice.
    rotation : Tensor, optional
        (B,) degrees; not told to a network that has no input for it.
    """
    inputs = images[:, None].expand(-1, network.topology.inputs, -1, -1)
    told = rotation if network.topology.rotation_input else None
    mixed = computes_bfloat16(images.device)
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=mixed):
        logits, descriptors = network(inputs.contiguous(memory_format=torch.channels_last), told)
    return logits.float(), descriptors.float()


def _settings(topology: Topology, stage: Stage, recipe: Recipe, start: SuperLIM | None) -> str:
    """Everything that a training must go on with."""
    told = ", ".join(f"{name} {value}" for name, value in asdict(recipe).items())
    begun = "none" if start is None else f"sha256 {start.sha256}"
    return f"stage {stage.name}, {told}, start {begun}, network {topology.model_dump_json()}"


def _begin(
    topology: Topology, recipe: Recipe, directory: Path, start: SuperLIM | None, settings: str
) -> _Run:
    torch.manual_seed(recipe.seed)
    network = SuperLIM(topology)
    if start is not None:
        # A start that was never told a rotation may be told one now: at 0 degrees nothing changes.
        network.load_state_dict(network.state_dict() | start.state_dict())
    # torch's own annotations leave this documented form out.
    network.to(recipe.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.15
    )
    run = _Run(network, optimiser, schedule, 0)
    checkpoint = directory / "checkpoint.pt"
    if checkpoint.is_file():
        content = _read_checkpoint(checkpoint, settings)
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        schedule.load_state_dict(content["schedule"])
        run.step = int(content["step"])
        logger.info("going on from step %d of %s", run.step, checkpoint)
    _cut_curve(directory / "curve.csv", run.step)
    network.train()
    return run


def _read_checkpoint(checkpoint: Path, settings: str) -> dict:  # type: ignore[type-arg]
    try:
        content = torch.load(checkpoint, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(f"{checkpoint}: not a checkpoint ({type(error).__name__})") from None
    if content.get("settings") != settings:
        raise WeightsError(
            f"{checkpoint}: holds a training with {content.get('settings', 'other settings')}; "
            f"go on with these, or give another directory for {settings} (what an earlier version "
            "began without telling inputs and start cannot be gone on with)"
        )
    return dict(content)


def _step(run: _Run, stage: Stage, batch: Batch) -> dict[str, float]:
    losses = stage.losses(run.network, batch)
    run.optimiser.zero_grad()
    torch.autograd.backward(losses.total)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.schedule.step()
    return losses.parts


def _save(run: _Run, directory: Path, settings: str) -> None:
    content = {
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "step": run.step,
        "settings": settings,
    }
    with in_place(directory / "checkpoint.pt") as beside:
        torch.save(content, beside)


def _cut_curve(curve: Path, step: int) -> None:
    """Remove rows that an interrupted run wrote after its last checkpoint, all of a first one."""
    if step == 0:
        curve.unlink(missing_ok=True)
    if not curve.exists():
        return
    with curve.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with in_place(curve) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        kept = [row for row in rows[1:] if row and int(row[0]) <= step]
        csv.writer(file).writerows(rows[:1] + kept)


def _log(curve: Path, step: int, parts: dict[str, float]) -> None:
    new = not curve.exists() or curve.stat().st_size == 0
    with curve.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *parts])
        writer.writerow([step, *(f"{value:.5f}" for value in parts.values())])
    if step % LOG_STEPS == 0:
        logger.info("step %d: %s", step, ", ".join(f"{k} {v:.3f}" for k, v in parts.items()))
