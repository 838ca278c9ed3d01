"""Commands of the network: weights and training."""

from __future__ import annotations

from pathlib import Path

import click

from lagrangian_ice.cli.common import Env, common


@click.group()
def weights() -> None:
    """List and import the network's weights."""


@weights.command("list")
@common
def weights_list(env: Env) -> None:
    """List the weights that have a name."""
    from lagrangian_ice.superlim.weights_store import list_weights

    for entry in list_weights():
        inputs = entry.topology.inputs
        click.echo(
            f"{entry.name:<16} {entry.parameters:>9} parameters, {inputs} band(s), "
            f"sha256 {entry.sha256}  {entry.path}"
        )


@weights.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="To use it by [default: the file's own].")
@common
def weights_import(env: Env, file: Path, name: str | None) -> None:
    """Import a published weights FILE, or one made by `train`."""
    from lagrangian_ice.superlim.weights_store import import_weights

    entry = import_weights(file, name)
    click.echo(f"imported {entry.name}: {entry.parameters} parameters, sha256 {entry.sha256}")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--size", type=click.IntRange(min=64), default=256, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--start", "start_weights", help="Weights to begin from, by name or file.")
@click.option(
    "--scenes",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Scene whose texture is used; repeat for more. Simulated ice without.",
)
@click.option(
    "--simulated",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of simulated textures beside the scenes'.",
)
@common
def train(
    env: Env,
    directory: Path,
    scenes: tuple[Path, ...],
    simulated: float,
    steps: int,
    batch: int,
    size: int,
    seed: int,
    start_weights: str | None,
) -> None:
    """Train the network on moved textures; DIRECTORY keeps checkpoint, curve and weights.

    An interrupted training goes on from its checkpoint.
    """
    from lagrangian_ice.superlim.network import Topology
    from lagrangian_ice.superlim.training import textures
    from lagrangian_ice.superlim.training.train import Recipe
    from lagrangian_ice.superlim.training.train import train as run_training
    from lagrangian_ice.superlim.weights_store import load_network

    if size % 8:
        raise click.UsageError(f"--size {size}: must be a multiple of 8")
    start = None if start_weights is None else load_network(start_weights)
    run_training(
        Topology() if start is None else start.topology,
        textures.from_scenes(scenes, 2 * size, simulated)
        if scenes
        else textures.simulated(2 * size),
        Recipe(steps=steps, batch=batch, size=size, seed=seed),
        directory,
        start,
    )
    click.echo(f"wrote {directory / 'weights.pt'}; `weights import` gives it a name")
