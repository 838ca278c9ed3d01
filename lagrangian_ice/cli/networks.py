"""Commands of the network: weights and training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lagrangian_ice.cli.common import (
    A_PATH,
    Env,
    FiniteRange,
    check_writable,
    common,
    tell_unreadable,
)

if TYPE_CHECKING:
    from lagrangian_ice.superlim.network import SuperLIM, Topology
    from lagrangian_ice.superlim.training.drift import DriftPair
    from lagrangian_ice.superlim.training.loop import Stage
    from lagrangian_ice.superlim.training.textures import TextureSource


@click.group()
def weights() -> None:
    """List, import and export the network's weights."""


@weights.command("list")
@common
def weights_list(env: Env) -> int:
    """List the weights that have a name."""
    from lagrangian_ice.superlim.weights_store import list_weights

    entries, damaged = list_weights()
    for entry in entries:
        origin = "built in" if entry.built_in else "imported"
        click.echo(
            f"{entry.name:<16} {origin:<8} {entry.parameters:>9} parameters, "
            f"{_kind(entry.topology)}, sha256 {entry.sha256}  {entry.path}"
        )
    return tell_unreadable(damaged)


def _kind(topology: Topology) -> str:
    kinds = [f"{topology.inputs} band(s)"]
    kinds += ["separable"] if topology.separable else []
    kinds += ["rotation input"] if topology.rotation_input else []
    return ", ".join(kinds)


@weights.command("import")
@click.argument("file", type=A_PATH)
@click.option("--name", help="To use it by [default: the file's own].")
@common
def weights_import(env: Env, file: Path, name: str | None) -> None:
    """Import a published weights FILE, or one made by `train`."""
    from lagrangian_ice.superlim.weights_store import import_weights

    entry = import_weights(file, name)
    click.echo(f"imported {entry.name}: {entry.parameters} parameters, sha256 {entry.sha256}")


@weights.command("export")
@click.argument("name")
@click.argument("file", type=A_PATH)
@common
def weights_export(env: Env, name: str, file: Path) -> None:
    """Write weights NAME as FILE, which ends in .pt or .onnx."""
    from lagrangian_ice.superlim.weights_files import find_weights
    from lagrangian_ice.superlim.weights_store import export_weights

    check_writable(file, find_weights(name))
    export_weights(name, file)
    click.echo(f"wrote {file}")


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``train``, under the names that the command line gives them."""

    stage: str
    steps: int
    batch: int
    size: int
    seed: int
    learning_rate: float
    device: str
    start_weights: str | None
    scenes: tuple[Path, ...]
    simulated: float
    rotation: float
    noise: float
    change: float
    labelled: int
    looks: int
    pairs: tuple[tuple[Path, Path, Path], ...]
    real_share: float
    loss: str
    hardest: int | None
    channels: tuple[int, int, int, int] | None
    separable: bool
    rotation_input: bool


@dataclass(frozen=True)
class Data:
    """What the stages are given.

    Attributes
    ----------
    textures : callable
        Of scenes, or simulated.
    pairs : list of DriftPair
        Of ``--pair``.
    told : str
        Tells both from any other.
    """

    textures: TextureSource
    pairs: list[DriftPair]
    told: str


@click.command()
@click.argument("directory", type=A_PATH)
@click.option(
    "--stage",
    type=click.Choice(["joint", "detector", "adapt", "descriptors"]),
    default="joint",
    show_default=True,
    help="detector: corners of drawn shapes; adapt: keypoints that a detector finds over many "
    "looks; descriptors: from drift; joint: descriptors and corners of moved textures together.",
)
@click.option("--steps", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--size", type=click.IntRange(min=64), default=256, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--learning-rate",
    type=FiniteRange(min=0, min_open=True),
    default=3e-3,
    show_default=True,
    help="Highest rate of the one cycle.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--start", "start_weights", help="Weights to begin from, by name or file.")
@click.option(
    "--scenes",
    type=A_PATH,
    multiple=True,
    help="Scene whose texture is used; repeat for more. Simulated ice without.",
)
@click.option(
    "--simulated",
    type=FiniteRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of simulated textures beside the scenes'.",
)
@click.option(
    "--rotation",
    type=FiniteRange(0, 180),
    default=70.0,
    show_default=True,
    help="Degrees by which half of the views are turned at most.",
)
@click.option(
    "--noise",
    type=FiniteRange(min=0.05),
    default=0.9,
    show_default=True,
    help="Largest speckle, in standard deviations of the texture.",
)
@click.option(
    "--change",
    type=FiniteRange(min=0),
    default=0.6,
    show_default=True,
    help="Largest change of the texture between the looks, in the same.",
)
@click.option(
    "--labelled",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Images that stage adapt labels.",
)
@click.option(
    "--looks",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Looks at each of them.",
)
@click.option(
    "--pair",
    "pairs",
    type=(A_PATH, A_PATH, A_PATH),
    multiple=True,
    metavar="SOURCE TARGET CSV",
    help="Stage descriptors: two scenes and vectors x0,y0,x1,y1 between them; repeat for more.",
)
@click.option(
    "--real-share",
    type=FiniteRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of the steps that see these pairs; the others see moved textures.",
)
@click.option(
    "--loss", type=click.Choice(["infonce", "hinge"]), default="infonce", show_default=True
)
@click.option(
    "--hardest",
    type=click.IntRange(min=1),
    help="Hinge: the most similar wrong cells that count [default: all].",
)
@click.option(
    "--channels",
    type=(click.IntRange(1, 1024),) * 4,
    metavar="N N N N",
    help="Width of a new network at strides 1, 2, 4 and 8 [default: 16 32 64 128].",
)
@click.option("--separable", is_flag=True, help="New network of depthwise convolutions.")
@click.option(
    "--rotation-input",
    is_flag=True,
    help="The network is told by how much the target has turned, to some 15 degrees.",
)
@common
def train(env: Env, directory: Path, **given: Any) -> None:
    """Train the network in stages; DIRECTORY keeps checkpoint, curve and weights.

    An interrupted training goes on from its checkpoint.
    """
    options = TrainOptions(**given)
    if options.size % 8:
        raise click.UsageError(f"--size {options.size}: must be a multiple of 8")
    if options.stage in ("adapt", "descriptors") and options.start_weights is None:
        raise click.UsageError(f"--stage {options.stage} needs --start: its keypoints are taught")
    _refuse_idle(options)
    if options.start_weights and (options.channels or options.separable):
        raise click.UsageError("--channels and --separable are for new networks, without --start")
    from lagrangian_ice.superlim.training.loop import Recipe
    from lagrangian_ice.superlim.training.loop import train as run_training
    from lagrangian_ice.superlim.weights_store import load_network

    start = None if options.start_weights is None else load_network(options.start_weights)
    topology = _topology(options, start)
    data = _data(options, env)
    recipe = Recipe(
        options.steps,
        options.batch,
        options.learning_rate,
        options.seed,
        options.device,
        data.told,
    )
    chosen = _stage(options, data, directory, topology, start)

    def progress(steps: Sequence[int]) -> Iterable[int]:
        return env.progress(steps, "train")

    run_training(topology, chosen, recipe, directory, start, progress)
    click.echo(f"wrote {directory / 'weights.pt'}; `weights import` gives it a name")


def _refuse_idle(options: TrainOptions) -> None:
    """Refuse options that the others leave without an effect."""
    context = click.get_current_context()
    names = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    idle = {
        "pairs": (options.stage == "descriptors", "--stage descriptors"),
        "real_share": (bool(options.pairs), "--pair"),
        "labelled": (options.stage == "adapt", "--stage adapt"),
        "looks": (options.stage == "adapt", "--stage adapt"),
        "scenes": (options.stage != "detector", "the other stages: a detector sees drawn shapes"),
        "simulated": (bool(options.scenes), "--scenes"),
        "hardest": (options.loss == "hinge", "--loss hinge"),
        "loss": (options.stage in ("joint", "descriptors"), "--stage joint or descriptors"),
    }
    for name, (used, of) in idle.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and not used:
            raise click.UsageError(f"{names[name]} belongs to {of}")


def _topology(options: TrainOptions, start: SuperLIM | None) -> Topology:
    """Take the start's, or make a new one; both can get a rotation input."""
    from lagrangian_ice.superlim.network import Topology

    topology = Topology(separable=options.separable) if start is None else start.topology
    changes: dict[str, Any] = {"rotation_input": True} if options.rotation_input else {}
    if options.channels is not None:
        changes["channels"] = options.channels
    return topology.model_copy(update=changes)


def _data(options: TrainOptions, env: Env) -> Data:
    """Read the scenes and pairs; what is no scene is refused before all of it is read."""
    from lagrangian_ice.superlim.training import textures
    from lagrangian_ice.superlim.training.inputs import digest_of

    side = 2 * options.size
    source = (
        textures.from_scenes(options.scenes, side, options.simulated, options.size)
        if options.scenes
        else textures.simulated(side)
    )
    pairs = _drift_pairs(options, env)
    told = f"simulated {options.simulated:g} looks {options.looks}"
    if options.scenes:
        told += f" scenes {digest_of(options.scenes)}"
    if pairs:
        files = [path for pair in options.pairs for path in pair]
        told += f" pairs {digest_of(files)} {env.settings().images}"
    return Data(source, pairs, told)


def _stage(
    options: TrainOptions,
    data: Data,
    directory: Path,
    topology: Topology,
    start: SuperLIM | None,
) -> Stage:
    from lagrangian_ice.superlim.training import stages
    from lagrangian_ice.superlim.training.adaptation import LabelRecipe, label_images
    from lagrangian_ice.superlim.training.pairs import Unlikeness

    if options.stage == "detector":
        return stages.BaseDetector(options.size, topology.scaling)
    unlike = Unlikeness(options.rotation, options.noise, options.change)
    if options.stage == "adapt" and start is not None:
        directory.mkdir(parents=True, exist_ok=True)
        labels = label_images(
            start,
            data.textures,
            LabelRecipe(options.size, options.labelled, options.looks, options.seed, data.told),
            directory / "labels.npz",
        )
        return stages.AdaptedDetector(labels, topology.scaling, unlike)
    loss = stages.DescriptorLoss(
        kind="hinge" if options.loss == "hinge" else "infonce", hardest=options.hardest
    )
    if options.stage == "descriptors" and start is not None:
        return stages.Descriptors(
            teacher=start,
            textures=data.textures,
            size=options.size,
            pairs=data.pairs,
            real_share=options.real_share,
            loss=loss,
            unlike=unlike,
        )
    return stages.Joint(data.textures, options.size, topology.scaling, loss, unlike)


def _drift_pairs(options: TrainOptions, env: Env) -> list[DriftPair]:
    from lagrangian_ice.pair import as_scene, working_pixel
    from lagrangian_ice.superlim.training.drift import read_drift_pair

    settings = env.settings().images
    return [
        read_drift_pair(
            (source, target),
            vectors,
            working_pixel([as_scene(source), as_scene(target)], settings.pixel),
            settings,
        )
        for source, target, vectors in options.pairs
    ]
