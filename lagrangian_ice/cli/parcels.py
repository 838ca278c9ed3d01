"""Commands that seed and follow parcels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lagrangian_ice.cli.common import EXIT_ERROR, Env, changed, common, tell_unreadable

if TYPE_CHECKING:
    from lagrangian_ice.workflow import Outcome


@click.command()
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


@click.command()
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


@click.command()
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
