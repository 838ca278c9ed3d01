"""The command line: parse, load settings, call one workflow function, map errors to exit codes.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lagrangian_ice import __version__
from lagrangian_ice.errors import LagrangianIceError

if TYPE_CHECKING:
    from datetime import datetime

    from lagrangian_ice.matching.vectors import Vectors
    from lagrangian_ice.scenes.scene import Scene
    from lagrangian_ice.settings import Settings

T = TypeVar("T")

WORKSPACE_VARIABLE = "LAGRANGIAN_ICE_WORKSPACE"
EXIT_ERROR, EXIT_UNREADABLE, EXIT_INTERRUPTED = 1, 3, 130


@dataclass(frozen=True)
class Env:
    """What every command is told.

    Attributes
    ----------
    workspace : Path
        Folder of the state.
    config : Path or None
        Settings file.
    verbosity : int
        -1 quiet, 0 normal, 1 with debugging.
    """

    workspace: Path
    config: Path | None
    verbosity: int

    def settings(self) -> Settings:
        """Load the config file, or take the defaults."""
        from lagrangian_ice.settings import Settings, load

        return Settings() if self.config is None else load(self.config)

    def progress(self, items: Sequence[T], what: str) -> Iterable[T]:
        """Iterate with a bar on a terminal."""
        if self.verbosity < 0 or not sys.stderr.isatty():
            return items
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        def bar() -> Iterator[T]:
            with logging_redirect_tqdm():
                yield from tqdm(items, desc=what, unit="")

        return bar()


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command; the command gets them as one ``Env``."""

    @click.option(
        "--workspace",
        type=click.Path(path_type=Path, file_okay=True),
        help=f"Folder of the state [default: ${WORKSPACE_VARIABLE}, else the current folder].",
    )
    @click.option(
        "--config", type=click.Path(path_type=Path), help="Settings file (TOML); see `config`."
    )
    @click.option("-v", "--verbose", is_flag=True, help="Log more.")
    @click.option("-q", "--quiet", is_flag=True, help="Log errors only, no progress bar.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workspace: Path | None,
        config: Path | None,
        verbose: bool,
        quiet: bool,
        **kwargs: Any,
    ) -> Any:
        given = click.get_current_context().find_root().params
        workspace = workspace or given.get("workspace")
        default = os.environ.get(WORKSPACE_VARIABLE) or "."
        env = Env(
            workspace or Path(default),
            config or given.get("config"),
            int(verbose) - int(quiet),
        )
        configure_logging(env.verbosity)
        return command(env, *args, **kwargs)

    return wrapped


def configure_logging(verbosity: int) -> None:
    """Log to stderr: warnings on a terminal (the bar tells the rest), a line a step elsewhere."""
    normal = logging.WARNING if sys.stderr.isatty() else logging.INFO
    level = {-1: logging.ERROR, 0: normal, 1: logging.DEBUG}[verbosity]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("lagrangian_ice")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lagrangian-ice")
@click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the state.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (TOML).")
def cli(workspace: Path | None, config: Path | None) -> None:
    """Lagrangian sea-ice motion and deformation from pairs of Sentinel-1 scenes."""


@cli.command()
@common
def config(env: Env) -> None:
    """Print the settings as commented TOML: the defaults, or those of --config."""
    from lagrangian_ice.settings import as_toml

    click.echo(as_toml(env.settings()))


@cli.group()
def scenes() -> None:
    """Catalogue scenes and list them."""


@scenes.command("list")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of lines.")
@common
def scenes_list(env: Env, paths: tuple[Path, ...], as_json: bool) -> int:
    """List the workspace's scenes, or those under PATHS (files, SAFE folders, zips, folders)."""
    from lagrangian_ice.scenes.catalogue import find_scenes

    found, unreadable = find_scenes(list(paths))
    rows = [scene_row(scene) for scene in found]
    rows += [unreadable_row(item.path, item.reason) for item in unreadable]
    show_scenes(rows, as_json)
    return EXIT_UNREADABLE if unreadable else 0


def scene_row(scene: Scene, status: str = "readable", reason: str = "") -> dict[str, object]:
    """One object of ``scenes list --json``."""
    from lagrangian_ice.times import iso, to_seconds

    return {
        "id": scene.id,
        "path": str(scene.path),
        "start": iso(to_seconds(scene.start)),
        "stop": iso(to_seconds(scene.stop)),
        "pass": scene.pass_id,
        "platform": scene.platform,
        "polarisations": list(scene.polarisations),
        "footprint": scene.footprint.wkt,
        "status": status,
        "reason": reason,
    }


def unreadable_row(path: Path, reason: str) -> dict[str, object]:
    """Object of ``scenes list --json`` for a file that is not a scene or is damaged."""
    known = {"id": path.stem, "path": str(path), "status": "unreadable", "reason": reason}
    unknown = {"start": None, "stop": None, "pass": None, "platform": None}
    return known | unknown | {"polarisations": [], "footprint": None}


def show_scenes(rows: Sequence[dict[str, object]], as_json: bool) -> None:
    """Print scenes as JSON or one line each."""
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        if row["status"] == "unreadable":
            click.echo(f"unreadable  {row['path']}: {row['reason']}")
        else:
            bands = "+".join(str(name) for name in _as_list(row["polarisations"]))
            click.echo(f"{row['status']:<10}  {row['start']}  {bands:<5}  {row['path']}")


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--points",
    type=click.Path(path_type=Path),
    help="CSV with columns x,y (EPSG:3413 metres) or lon,lat.",
)
@click.option("--spacing", type=float, help="Track a grid of points this many metres apart.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.csv or FILE.nc.")
@click.option("--pixel", type=float, help="Working grid, metres.")
@click.option("--polarisation", help="Track this band alone.")
@click.option("--max-speed", type=float, help="Fastest ice, m/s.")
@click.option("--weights", help="Name from `weights list`, or a file.")
@click.option("--no-refine", is_flag=True, help="The network's first guess alone.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where the network runs.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the numeric libraries.")
@click.option("--timings", type=click.Path(path_type=Path), help="Seconds of each stage, as JSON.")
@click.option("--times", help="UTC times of source and target, T0,T1, where files have none.")
@common
def track(
    env: Env,
    source: Path,
    target: Path,
    points: Path | None,
    spacing: float | None,
    out: Path,
    pixel: float | None,
    polarisation: str | None,
    max_speed: float | None,
    weights: str | None,
    no_refine: bool,
    device: str | None,
    threads: int | None,
    timings: Path | None,
    times: str | None,
) -> None:
    """Track points from SOURCE to TARGET, any two scenes."""
    if (points is None) == (spacing is None):
        raise click.UsageError("give either --points FILE.csv or --spacing METRES")
    if out.suffix.lower() not in (".csv", ".nc"):
        raise click.UsageError(f"--out {out}: the name must end in .csv or .nc")
    from lagrangian_ice.engine import Stopwatch, limit_threads

    if threads is not None:
        limit_threads(threads)
    settings = changed(
        env.settings(),
        {
            "images.pixel": pixel,
            "first_guess.max_speed": max_speed,
            "features.weights": weights,
            "features.device": device,
        },
    )
    check_writable(out)
    from lagrangian_ice.points import read_points

    given = None if points is None else read_points(points)
    from lagrangian_ice import workflow

    watch = Stopwatch()
    start, stop = pair_times(times)
    with watch.stage("open"):
        pair = (workflow.as_scene(source, start), workflow.as_scene(target, stop))
    xy = workflow.shared_points(*pair, spacing or 0) if given is None else given
    vectors = workflow.track_pair(
        *pair,
        xy,
        settings,
        polarisation=polarisation,
        refine=not no_refine,
        stopwatch=watch,
        own_pixel=pixel is None,
    )
    with watch.stage("write"):
        write_vectors(out, vectors, settings, pair)
    if timings is not None:
        write_text(timings, json.dumps(watch.report(), indent=1) + "\n")
    click.echo(f"{int(vectors.tracked.sum())} of {len(vectors)} points tracked; wrote {out}")


def pair_times(text: str | None) -> tuple[datetime | None, datetime | None]:
    """Two times from ``T0,T1``."""
    from lagrangian_ice.times import parse_utc

    if text is None:
        return None, None
    parts = text.split(",")
    if len(parts) != 2:
        raise click.UsageError(f"--times {text}: give two times, T0,T1")
    return parse_utc(parts[0]), parse_utc(parts[1])


def write_vectors(
    out: Path, vectors: Vectors, settings: Settings, pair: tuple[Scene, Scene]
) -> None:
    """Write the vectors of one pair in the format that the name asks for."""
    from lagrangian_ice.points import write_vectors_csv, write_vectors_nc

    if out.suffix.lower() == ".csv":
        write_vectors_csv(out, vectors)
    else:
        write_vectors_nc(out, vectors, settings, [scene.id for scene in pair])


def changed(settings: Settings, options: dict[str, object]) -> Settings:
    """Change settings by the options that were given, checked like those of a file."""
    from lagrangian_ice.settings import validate

    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return settings
    table = settings.model_dump()
    for name, value in given.items():
        stage, key = name.split(".")
        table[stage][key] = value
    return validate(table, "command line")


def check_writable(path: Path) -> None:
    """Refuse an output that cannot be written, before the work is done."""
    from lagrangian_ice.errors import ProductError

    folder = path.parent
    if not folder.is_dir():
        raise ProductError(f"{path}: folder {folder} does not exist")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ProductError(f"{path}: cannot be written")


def write_text(path: Path, text: str) -> None:
    """Write a small text file in one go."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 done, 1 one-line error, 2 usage, 3 some inputs unreadable."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="lagrangian-ice",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the next call goes on from here", err=True)
        return EXIT_INTERRUPTED
    except (LagrangianIceError, ValueError, OSError) as error:
        click.echo(f"error: {' '.join(str(error).split())}", err=True)
        return EXIT_ERROR
    return int(code or 0)


if __name__ == "__main__":
    main()
