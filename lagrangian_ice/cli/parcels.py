"""Commands that seed and follow parcels."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lagrangian_ice.cli.common import (
    A_NUMBER,
    A_PATH,
    EXIT_ERROR,
    Env,
    FiniteRange,
    changed,
    common,
    moment,
    tell_unreadable,
)

if TYPE_CHECKING:
    from lagrangian_ice.parcels.plan import PlannedPass
    from lagrangian_ice.workflow import Options, Outcome


@click.command()
@click.option("--date", required=True, help="First day (UTC), as 2021-01-01.")
@click.option(
    "--scenes",
    "paths",
    multiple=True,
    type=A_PATH,
    help="Catalogue the scenes under this path first; may be repeated.",
)
@click.argument("more", nargs=-1, type=A_PATH, metavar="[PATH]...")
@click.option(
    "--spacing", type=A_NUMBER, help="Of the grid, metres [default: 10000, or as before]."
)
@click.option(
    "--window-days",
    type=A_NUMBER,
    help="Passes of these days are seeded [default: 3, or as before].",
)
@click.option("--stream", is_flag=True, help="Begin another stream beside those there are.")
@click.option(
    "--ice-concentration",
    metavar="PATH",
    help="CF NetCDF file, folder or pattern: parcels are born and live on ice only.",
)
@common
def seed(
    env: Env,
    date: str,
    paths: tuple[Path, ...],
    more: tuple[Path, ...],
    spacing: float | None,
    window_days: float | None,
    stream: bool,
    ice_concentration: str | None,
) -> int:
    """Put parcels on the grid where the passes of a date's window see the sea.

    PATHs after --scenes are catalogued first too. Beside streams that are there, settings are
    those of the last call where neither --config nor an option gives them.
    """
    if more and not paths:
        raise click.UsageError(f"{more[0]}: scenes are given with --scenes")
    from lagrangian_ice import workflow
    from lagrangian_ice.times import parse_utc

    given: dict[str, object] = {
        "parcels.spacing": spacing,
        "parcels.window_days": window_days,
        "parcels.ice_concentration": ice_concentration,
    }
    count, unreadable = workflow.seed(
        env.workspace,
        parse_utc(date),
        scenes=[*paths, *more],
        settings=env.given_settings(),
        change=lambda settings: changed(settings, given),
        new_stream=stream,
    )
    click.echo(f"{count} parcels seeded in {env.workspace}; go on with `lagrangian-ice advance`")
    return tell_unreadable({str(path): reason for path, reason in unreadable.items()})


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that process passes; the command gets ``how``, a dictionary."""

    @click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Processes that prepare passes and match pairs.",
    )
    @click.option("--threads", is_flag=True, help="Threads instead of processes.")
    @click.option(
        "--scheduler", metavar="ADDRESS", help="Use a running Dask cluster, as tcp://host:8786."
    )
    @click.option(
        "--cache-gb",
        type=FiniteRange(min=0),
        help="Disk that geocoded passes may take [default: 30].",
    )
    @click.option("--products/--no-products", default=True, help="Rewrite the products at the end.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workers: int,
        threads: bool,
        scheduler: str | None,
        cache_gb: float | None,
        products: bool,
        **kwargs: Any,
    ) -> Any:
        if scheduler is not None and (threads or workers > 1):
            raise click.UsageError("give either --scheduler or --workers")
        from lagrangian_ice.engine import Workers

        used = Workers(workers, "threads" if threads else "processes", scheduler)
        # Beside what this process is about to load itself.
        used.load_ahead()
        how = {
            "workers": used,
            "cache_gb": cache_gb,
            "products": products,
        }
        return command(*args, how=how, **kwargs)

    return wrapped


def options_of(env: Env, how: dict[str, Any]) -> Options:
    """Options of the workflow."""
    from lagrangian_ice.parcels.prepare import CACHE_BYTES
    from lagrangian_ice.workflow import Options

    size = how["cache_gb"]
    return Options(
        workers=how["workers"],
        progress=lambda passes: env.progress(passes, "passes"),
        cache_bytes=CACHE_BYTES if size is None else int(size * 2**30),
        products=how["products"],
    )


@click.command()
@click.option("--days", type=A_NUMBER, help="Process the passes of the next N days.")
@click.option("--until", help="Process the passes before this date.")
@click.option("--plan", "planned", is_flag=True, help="List passes and pairs and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: a list of objects.")
@engine_options
@common
def advance(
    env: Env,
    days: float | None,
    until: str | None,
    planned: bool,
    as_json: bool,
    how: dict[str, Any],
) -> int:
    """Follow the parcels through the passes of the next days and rewrite the products."""
    if days is not None and until is not None:
        raise click.UsageError("give either --days N or --until DATE")
    if days is None and until is None and not planned:
        raise click.UsageError("give --days N or --until DATE")
    if as_json and not planned:
        raise click.UsageError("--json belongs to --plan")
    from lagrangian_ice import workflow

    settings = env.given_settings()
    if planned:
        return tell_plan(
            workflow.plan_pairs(env.workspace, days=days, until=moment(until), settings=settings),
            as_json,
        )
    outcome = workflow.advance(
        env.workspace,
        days=days,
        until=moment(until),
        settings=settings,
        options=options_of(env, how),
    )
    return tell_outcome(outcome)


@click.command()
@click.option("--from", "start", required=True, help="Date to go back to.")
@click.option("--until", help="Date to come to again [default: as far as it had come].")
@click.option(
    "--replace", is_flag=True, help="Take the latest of scenes that came again under another id."
)
@engine_options
@common
def rebuild(env: Env, start: str, until: str | None, replace: bool, how: dict[str, Any]) -> int:
    """Take the state back to a date and advance again, with the scenes that came since."""
    from lagrangian_ice import workflow
    from lagrangian_ice.times import parse_utc

    outcome = workflow.rebuild(
        env.workspace,
        parse_utc(start),
        until=moment(until),
        settings=env.given_settings(),
        options=options_of(env, how),
        replace=replace,
    )
    return tell_outcome(outcome)


def tell_plan(passes: Sequence[PlannedPass], as_json: bool) -> int:
    """Print a plan."""
    if as_json:
        click.echo(json.dumps([plan_entry(one) for one in passes], indent=1))
        return 0
    for one in passes:
        entry = plan_entry(one)
        click.echo(f"{entry['start']}  {one.id}  {len(one.scenes)} scenes, {one.born} births")
        for pair in entry["pairs"]:
            click.echo(
                f"  {pair['purpose']:<6} from {pair['source']}: {pair['hours']:.1f} h apart, "
                f"{pair['overlap_km2']:.0f} km2 in common, {pair['parcels']} parcels"
            )
    pairs = sum(len(one.pairs) for one in passes)
    click.echo(f"{len(passes)} passes, {pairs} pairs")
    return 0


def plan_entry(one: PlannedPass) -> dict[str, Any]:
    """One entry of ``advance --plan --json``."""
    from lagrangian_ice.times import iso

    return {
        "pass": one.id,
        "start": iso(one.start),
        "scenes": list(one.scenes),
        "born": one.born,
        "pairs": [
            {
                "source": pair.source,
                "target": pair.target,
                "purpose": pair.purpose,
                "hours": round(pair.hours, 3),
                "overlap_km2": round(pair.overlap / 1e6, 1),
                "parcels": pair.parcels,
            }
            for pair in one.pairs
        ],
    }


def tell_outcome(outcome: Outcome) -> int:
    """Print what advance did."""
    click.echo(f"{outcome.passes} passes processed, until {outcome.until}")
    for path in outcome.products:
        click.echo(f"wrote {path}")
    if outcome.report is not None:
        click.echo(f"report {outcome.report.with_suffix('.txt')}")
    if outcome.late:
        click.echo(
            f"{len(outcome.late)} scenes came after their time; "
            f"`lagrangian-ice rebuild --from {outcome.late_from}` takes them in",
            err=True,
        )
    if outcome.repeated:
        click.echo(
            f"{len(outcome.repeated)} scenes show again what others show and are left out; "
            "`lagrangian-ice rebuild --from DATE --replace` takes them instead",
            err=True,
        )
    return tell_unreadable(outcome.failed)


@click.command()
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
        f"{parcels['pending']} not yet born, ended: {ends or 'none'}, "
        f"{parcels['never_seen']} never seen"
    )
    yield (
        f"passes           {found['passes_done']} done, {found['passes_waiting']} waiting, "
        f"{found['passes_failed']} failed"
    )
    ice = found["ice_concentration"]
    if ice is not None:
        from lagrangian_ice.report import ice_line

        yield f"ice              {ice_line(ice['passes_with'], ice['passes_without'])}"
    for name in found["late_scenes"]:
        rebuild = f"rebuild --from {found['late_from']}"
        yield f"late scene       {name}; `lagrangian-ice {rebuild}` takes it in"
    for name in found["repeated_scenes"]:
        yield f"repeated scene   {name}; `rebuild --from DATE --replace` takes it instead"
    for name, reason in (found["failed_scenes"] | found["unreadable"]).items():
        yield f"unreadable       {reason if name in reason else f'{name}: {reason}'}"
    if "damage" in found:
        for line in found["damage"] or ["none"]:
            yield f"damage           {line}"
    for entry in found["passes"] if passes else []:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        yield f"{entry['status']:<8} {entry['start']}  {entry['pass']}{reason}"
