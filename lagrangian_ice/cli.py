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
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from lagrangian_ice import __version__
from lagrangian_ice.errors import LagrangianIceError

if TYPE_CHECKING:
    from datetime import datetime

    from lagrangian_ice.matching.vectors import Vectors
    from lagrangian_ice.scenes.scene import Scene
    from lagrangian_ice.settings import Settings
    from lagrangian_ice.simulate.archive import Format
    from lagrangian_ice.workflow import Outcome

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
    from lagrangian_ice.workspace import list_scenes

    rows = list_scenes(env.workspace, paths)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        for row in rows:
            click.echo(scene_line(row))
    return EXIT_UNREADABLE if any(row["status"] == "unreadable" for row in rows) else 0


def scene_line(row: dict[str, object]) -> str:
    """One line of ``scenes list``."""
    if row["status"] == "unreadable":
        return f"unreadable  {row['reason']}"
    bands = row["polarisations"]
    text = "+".join(str(name) for name in bands) if isinstance(bands, list) else ""
    line = f"{row['status']:<10}  {row['start']}  {text:<5}  {row['path']}"
    return f"{line}: {row['reason']}" if row["reason"] else line


@scenes.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@common
def scenes_add(env: Env, paths: tuple[Path, ...]) -> int:
    """Catalogue the scenes under PATHS in the workspace."""
    from lagrangian_ice.workflow import add_scenes

    new, known, unreadable = add_scenes(env.workspace, paths)
    click.echo(f"{new} scenes added, {known} known before, {len(unreadable)} unreadable")
    return tell_unreadable({str(path): reason for path, reason in unreadable.items()})


def tell_unreadable(reasons: dict[str, str]) -> int:
    """Name each input that could not be read; the exit code says whether there are any."""
    for name, reason in reasons.items():
        click.echo(reason if name in reason else f"{name}: {reason}", err=True)
    return EXIT_UNREADABLE if reasons else 0


@cli.command()
@click.option("--date", required=True, help="First day (UTC), as 2021-01-01.")
@click.option(
    "--scenes",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Catalogue the scenes under this path first; may be repeated.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--spacing", type=float, help="Of the grid, metres [default: 10000].")
@click.option("--window-days", type=float, help="Passes of these days are seeded [default: 3].")
@click.option("--stream", is_flag=True, help="Begin another stream beside those there are.")
@common
def seed(
    env: Env,
    date: str,
    paths: tuple[Path, ...],
    more: tuple[Path, ...],
    spacing: float | None,
    window_days: float | None,
    stream: bool,
) -> int:
    """Put parcels on the grid where the passes of a date's window see the sea.

    PATHs after --scenes are catalogued first too.
    """
    if more and not paths:
        raise click.UsageError(f"{more[0]}: scenes are given with --scenes")
    from lagrangian_ice import workflow
    from lagrangian_ice.times import parse_utc

    settings = changed(
        env.settings(), {"parcels.spacing": spacing, "parcels.window_days": window_days}
    )
    count, unreadable = workflow.seed(
        env.workspace,
        parse_utc(date),
        scenes=[*paths, *more],
        settings=settings,
        new_stream=stream,
    )
    click.echo(f"{count} parcels seeded in {env.workspace}; go on with `lagrangian-ice advance`")
    return tell_unreadable({str(path): reason for path, reason in unreadable.items()})


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that process passes."""
    workers = click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Processes that prepare passes.",
    )
    cache = click.option(
        "--cache-gb",
        type=click.FloatRange(min=0),
        help="Disk that geocoded passes may take [default: 30].",
    )
    return workers(cache(command))


@cli.command()
@click.option("--days", type=float, help="Process the passes of the next N days.")
@click.option("--until", help="Process the passes before this date.")
@engine_options
@common
def advance(
    env: Env, days: float | None, until: str | None, workers: int, cache_gb: float | None
) -> int:
    """Follow the parcels through the passes of the next days and rewrite the products."""
    if (days is None) == (until is None):
        raise click.UsageError("give either --days N or --until DATE")
    from lagrangian_ice import workflow
    from lagrangian_ice.times import parse_utc

    outcome = workflow.advance(
        env.workspace,
        days=days,
        until=None if until is None else parse_utc(until),
        settings=None if env.config is None else env.settings(),
        workers=workers,
        progress=lambda passes: env.progress(passes, "passes"),
        cache_bytes=cache_bytes(cache_gb),
    )
    return tell_outcome(outcome)


@cli.command()
@click.option("--from", "start", required=True, help="Date to go back to.")
@engine_options
@common
def rebuild(env: Env, start: str, workers: int, cache_gb: float | None) -> int:
    """Take the state back to a date and advance again, with the scenes that came since."""
    from lagrangian_ice import workflow
    from lagrangian_ice.times import parse_utc

    outcome = workflow.rebuild(
        env.workspace,
        parse_utc(start),
        settings=None if env.config is None else env.settings(),
        workers=workers,
        progress=lambda passes: env.progress(passes, "passes"),
        cache_bytes=cache_bytes(cache_gb),
    )
    return tell_outcome(outcome)


def cache_bytes(gigabytes: float | None) -> int:
    """Bytes of the cache's limit."""
    from lagrangian_ice.parcels.prepare import CACHE_BYTES

    return CACHE_BYTES if gigabytes is None else int(gigabytes * 2**30)


def tell_outcome(outcome: Outcome) -> int:
    """Print what advance did."""
    click.echo(f"{outcome.passes} passes processed, until {outcome.until}")
    for path in outcome.products:
        click.echo(f"wrote {path}")
    if outcome.late:
        click.echo(
            f"{len(outcome.late)} scenes came after their time; "
            "`lagrangian-ice rebuild --from DATE` takes them in",
            err=True,
        )
    return tell_unreadable(outcome.failed)


@cli.command()
@click.option("--passes", is_flag=True, help="A line for each pass.")
@click.option("--json", "as_json", is_flag=True, help="One object instead of lines.")
@click.option("--check", is_flag=True, help="Check the database for damage too.")
@common
def status(env: Env, passes: bool, as_json: bool, check: bool) -> int:
    """Tell how things stand: parcels, passes, scenes."""
    from lagrangian_ice import workspace

    found = workspace.status(env.workspace)
    if check:
        found["damage"] = workspace.damage(env.workspace)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in status_lines(found, passes):
            click.echo(line)
    return EXIT_ERROR if found.get("damage") else 0


def status_lines(found: dict[str, Any], passes: bool) -> Iterator[str]:
    """Write the lines of ``status``."""
    parcels = found["parcels"]
    ends = ", ".join(f"{count} {reason}" for reason, count in parcels["ended"].items())
    yield f"workspace        {found['workspace']}"
    for stream in found["streams"]:
        yield f"stream {stream['stream']}         {stream['date']}, {stream['spacing']:g} m"
    yield f"processed until  {found['processed_until'] or 'not seeded'}"
    if found["rebuilding_until"]:
        yield f"rebuild          interrupted, goes on until {found['rebuilding_until']}"
    yield f"last pass        {found['last_pass'] or 'none'}"
    yield (
        f"parcels          {parcels['alive']} alive, {parcels['dormant']} dormant, "
        f"{parcels['pending']} not yet born, ended: {ends or 'none'}"
    )
    yield (
        f"passes           {found['passes_done']} done, {found['passes_waiting']} waiting, "
        f"{found['passes_failed']} failed"
    )
    for name in found["late_scenes"]:
        yield f"late scene       {name}; `lagrangian-ice rebuild --from DATE` takes it in"
    for name, reason in (found["failed_scenes"] | found["unreadable"]).items():
        yield f"unreadable       {reason if name in reason else f'{name}: {reason}'}"
    for line in found.get("damage", []):
        yield f"damage           {line}"
    for entry in found["passes"] if passes else []:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        yield f"{entry['status']:<8} {entry['start']}  {entry['pass']}{reason}"


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
    from lagrangian_ice import pair as pairs

    watch = Stopwatch()
    start, stop = pair_times(times)
    with watch.stage("open"):
        pair = (pairs.as_scene(source, start), pairs.as_scene(target, stop))
    xy = pairs.shared_points(*pair, spacing or 0) if given is None else given
    vectors = pairs.track_pair(
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


@cli.command()
@click.argument("directory", default="demo", type=click.Path(path_type=Path))
@click.option("--days", type=float, default=3.0, show_default=True, help="Length of the record.")
@click.option("--area", type=float, default=120.0, show_default=True, help="Its side, km.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated ice.")
@click.option("--spacing", type=float, default=5000.0, show_default=True, help="Of parcels, m.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [default: 2 at most].")
@common
def demo(
    env: Env,
    directory: Path,
    days: float,
    area: float,
    seed: int,
    spacing: float,
    workers: int | None,
) -> None:
    """Do the whole job on simulated scenes of known motion, in DIRECTORY."""
    from lagrangian_ice.demo import run_demo, score_lines

    found = run_demo(
        directory,
        changed(env.settings(), {"parcels.spacing": spacing}),
        days=days,
        seed=seed,
        area_km=area,
        workers=workers or min(2, os.cpu_count() or 1),
        told=click.echo,
        progress=lambda passes: env.progress(passes, "passes"),
    )
    for path in (*found.products, *found.plots):
        click.echo(f"wrote {path}")
    for line in score_lines(found.score):
        click.echo(line)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--days", type=float, required=True, help="Length of the record.")
@click.option("--seed", type=int, required=True, help="The same seed gives the same pixels.")
@click.option("--start", default="2021-01-01", show_default=True, help="First day (UTC).")
@click.option("--area", type=float, default=200.0, show_default=True, help="Side, km.")
@click.option("--pixel", type=float, default=80.0, show_default=True, help="Of the scenes, m.")
@click.option("--zip", "form", flag_value="safe-zip", help="SAFE products as zips.")
@click.option("--geotiff", "form", flag_value="geotiff", help="GeoTIFFs with GCPs instead.")
@click.option(
    "--texture",
    type=click.Path(path_type=Path),
    help="Picture whose grey levels are the ice's texture.",
)
@common
def simulate(
    env: Env,
    directory: Path,
    days: float,
    seed: int,
    start: str,
    area: float,
    pixel: float,
    form: Format | None,
    texture: Path | None,
) -> None:
    """Write Sentinel-1 SAFE products of drifting ice, and the truth, into DIRECTORY."""
    from lagrangian_ice.simulate.archive import simulate_archive
    from lagrangian_ice.times import parse_utc

    paths = simulate_archive(
        directory,
        days,
        seed,
        parse_utc(start),
        area,
        pixel,
        format="safe" if form is None else form,
        texture=texture,
    )
    click.echo(f"wrote {len(paths)} scenes and truth.nc in {directory}")


KINDS = {"trajectories": "LP", "deformation": "DP", "pairs": "PD"}
LAYOUTS = ("rgps-csv", "rgps-lp", "pysida", "mojito", "sitrack", "nextsim-rgps", "nextsim-iabp")


@cli.command()
@click.option(
    "--format",
    "formats",
    required=True,
    help=f"Names separated by commas: {', '.join([*KINDS, *LAYOUTS])}.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--start", help="Observations from this time on; nextsim-rgps: its initial time.")
@click.option("--end", help="Observations before this time.")
@click.option("--stream", help="One stream alone, by its letter.")
@click.option("--crs", help="Map of rgps-csv, pysida, mojito or sitrack.")
@click.option(
    "--trajectories",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take these _LP.nc files, not the workspace; may be repeated.",
)
@common
def export(
    env: Env,
    formats: str,
    out: Path,
    start: str | None,
    end: str | None,
    stream: str | None,
    crs: str | None,
    files: tuple[Path, ...],
) -> None:
    """Write products of the workspace, also in the layouts of other tools."""
    names = [name.strip() for name in formats.split(",")]
    kinds, layouts = [name for name in names if name in KINDS], []
    for name in names:
        if name in LAYOUTS:
            layouts.append(name)
        elif name not in KINDS:
            raise click.UsageError(f"--format {name}: choose from {', '.join([*KINDS, *LAYOUTS])}")
    if crs is not None and kinds:
        raise LagrangianIceError(f"--crs {crs}: {', '.join(kinds)} are always in EPSG:3413")
    if files and kinds:
        raise click.UsageError(f"--trajectories: {', '.join(kinds)} come from the workspace")
    chosen: Chosen = {
        "start": moment(start),
        "end": moment(end),
        "stream": None if stream is None else stream_number(stream),
    }
    if layouts:
        from lagrangian_ice.output.exports import check_formats

        check_formats(layouts, crs)
    paths = export_layouts(env.workspace, files, layouts, out, crs, chosen) if layouts else []
    if kinds:
        paths = export_kinds(env.workspace, kinds, out, chosen) + paths
    for path in paths:
        click.echo(f"wrote {path}")


class Chosen(TypedDict):
    """What of the state is exported."""

    start: datetime | None
    end: datetime | None
    stream: int | None


def moment(text: str | None) -> datetime | None:
    """Time of an option, if it was given."""
    from lagrangian_ice.times import parse_utc

    return None if text is None else parse_utc(text)


def export_kinds(workspace: Path, kinds: Sequence[str], out: Path, chosen: Chosen) -> list[Path]:
    """Export our own products."""
    from lagrangian_ice import workflow

    return workflow.export(workspace, [KINDS[name] for name in kinds], out, **chosen)


def export_layouts(
    workspace: Path,
    files: Sequence[Path],
    layouts: Sequence[str],
    out: Path,
    crs: str | None,
    chosen: Chosen,
) -> list[Path]:
    """Export in the layouts of other tools, from files or from the workspace's state."""
    from tempfile import TemporaryDirectory

    from lagrangian_ice.output.exports import export_trajectories

    if files:
        return export_trajectories(files, layouts, out, crs=crs, **chosen)
    from lagrangian_ice import workflow

    with TemporaryDirectory(prefix="lagrangian-ice-") as folder:
        whole = workflow.export(workspace, ["LP"], Path(folder), stream=chosen["stream"])
        return export_trajectories(whole, layouts, out, crs=crs, **chosen)


@cli.group("import")
def import_group() -> None:
    """Make products of other people's data."""


@import_group.command("vectors")
@click.argument("csv", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE_LP.nc.")
@common
def import_vectors_command(env: Env, csv: Path, out: Path) -> None:
    """Make a trajectory file of a CSV of drift vectors.

    Columns t0,t1 and x0,y0,x1,y1 (EPSG:3413 metres) or lon0,lat0,lon1,lat1; what `track`
    writes is taken too.
    """
    check_writable(out)
    from lagrangian_ice.validation.import_vectors import import_vectors

    count = import_vectors(csv, out)
    click.echo(f"{count} vectors; wrote {out}")


@cli.group()
def validate() -> None:
    """Compare products with buoys, with neXtSIM, and with what ice deformation is known for."""


@validate.command("buoys")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("buoys", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option(
    "--max-distance",
    type=click.FloatRange(min=0, min_open=True),
    default=4000.0,
    show_default=True,
    help="Between parcel and buoy at the start, m.",
)
@click.option("--min-hours", type=float, default=6.0, show_default=True, help="Least time apart.")
@click.option("--max-hours", type=float, default=96.0, show_default=True, help="Most time apart.")
@common
def validate_buoys_command(
    env: Env,
    file: Path,
    buoys: Path,
    out: Path,
    max_distance: float,
    min_hours: float,
    max_hours: float,
) -> None:
    """Compare a trajectory FILE with BUOYS (CSV or trajectory NetCDF of positions)."""
    from lagrangian_ice.plots.scores import report_buoys
    from lagrangian_ice.validation.buoys import BuoyOptions

    scores, paths = report_buoys(file, buoys, out, BuoyOptions(max_distance, min_hours, max_hours))
    found = scores["all"]
    click.echo(
        f"{found['count']} displacements, {found['buoys']} buoys: median difference "
        f"{found['median_distance']:.0f} m, 90th percentile "
        f"{found['distance_percentiles']['p90']:.0f} m"
    )
    for path in paths:
        click.echo(f"wrote {path}")


@validate.command("statistics")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder.")
@common
def validate_statistics_command(env: Env, file: Path, out: Path) -> None:
    """Compute densities and scaling of the deformation of FILE: _DP.nc, or _LP.nc."""
    from lagrangian_ice.plots.scores import report_statistics

    scores, paths = report_statistics(file, out)
    click.echo(f"{scores['triangles']} triangles of {scores['pairs']} pairs of passes")
    for path in paths:
        click.echo(f"wrote {path}")


@validate.command("nextsim")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("drifters", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder.")
@common
def validate_nextsim_command(env: Env, file: Path, drifters: tuple[Path, ...], out: Path) -> None:
    """Compare a run of neXtSIM (its RGPS_Drifters_*.nc) with a trajectory FILE."""
    from lagrangian_ice.plots.scores import report_nextsim

    scores, paths = report_nextsim(file, drifters, out)
    drift = scores["drift_km_per_day"]
    click.echo(
        f"{drift['count']} displacements of {drift['parcels']} parcels: RMSE "
        f"{drift['rmse']:.3f} km per day, bias {drift['bias_x']:.3f}, {drift['bias_y']:.3f}"
    )
    for path in paths:
        click.echo(f"wrote {path}")


def stream_number(letter: str) -> int:
    """Turn a stream's letter into its number: a is 0."""
    if len(letter) != 1 or not "a" <= letter <= "z":
        raise click.UsageError(f"--stream {letter}: give its letter, a to z")
    return ord(letter) - ord("a")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.nc.")
@common
def deform(env: Env, file: Path, out: Path) -> None:
    """Compute the deformation of a trajectory FILE of ours."""
    check_writable(out)
    from lagrangian_ice.output.products import deform_file

    deform_file(file, out, None if env.config is None else env.settings().deformation)
    click.echo(f"wrote {out}")


@cli.command()
@click.argument("what", type=click.Choice(["trajectories", "drift", "deformation", "coverage"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.png.")
@common
def plot(env: Env, what: str, file: Path, out: Path) -> None:
    """Draw a map of a product FILE: _LP.nc, _PD.nc for drift, _DP.nc for deformation."""
    check_writable(out)
    from lagrangian_ice.plots import figures

    draw = {
        "trajectories": figures.plot_trajectories,
        "drift": figures.plot_drift,
        "deformation": figures.plot_deformation,
        "coverage": figures.plot_coverage,
    }[what]
    draw(file, out)
    click.echo(f"wrote {out}")


@cli.group()
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


@cli.command()
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 done, 1 one-line error, 2 usage, 3 some inputs unreadable."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with cli.make_context("lagrangian-ice", words) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
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
