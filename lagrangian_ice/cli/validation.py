"""Commands that compare products with other data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lagrangian_ice.cli.common import A_PATH, Env, FiniteRange, check_folder, common

if TYPE_CHECKING:
    from lagrangian_ice.validation.triangles import StatisticsOptions

_TIME = "Least time between the two passes."
_AREA = "Least area of a triangle, m2."
_COAST = "Least distance to land, m; model studies take 100000."


def which_triangles(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the triangles that count; the command gets them as ``options``."""

    @click.option("--min-days", type=float, default=0.0, show_default=True, help=_TIME)
    @click.option("--max-days", type=float, default=4.5, show_default=True, help="Most time.")
    @click.option("--min-area", type=float, default=5e6, show_default=True, help=_AREA)
    @click.option("--max-area", type=float, default=400e6, show_default=True, help="Most area, m2.")
    @click.option("--min-coast", type=float, default=0.0, show_default=True, help=_COAST)
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        min_days: float,
        max_days: float,
        min_area: float,
        max_area: float,
        min_coast: float,
        **others: Any,
    ) -> Any:
        from lagrangian_ice.validation.triangles import StatisticsOptions

        options = StatisticsOptions(min_days, max_days, min_area, max_area, min_coast=min_coast)
        return command(*args, options=options, **others)

    return wrapped


def _thinned(scores: dict[str, Any]) -> str:
    every = scores["every_nth_day"]
    return f", those that end on one day in {every}" if every > 1 else ""


@click.group()
def validate() -> None:
    """Compare products with buoys, with neXtSIM, and with what ice deformation is known for."""


@validate.command("buoys")
@click.argument("file", type=A_PATH)
@click.argument("buoys", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="Folder.")
@click.option(
    "--max-distance",
    type=FiniteRange(min=0, min_open=True),
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
    check_folder(out)
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
@click.argument("file", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="Folder.")
@common
@which_triangles
def validate_statistics_command(
    env: Env, file: Path, out: Path, options: StatisticsOptions
) -> None:
    """Compute densities and scaling of the deformation of FILE: _DP.nc, or _LP.nc."""
    check_folder(out)
    from lagrangian_ice.plots.scores import report_statistics

    scores, paths = report_statistics(file, out, options)
    click.echo(
        f"{scores['triangles']} triangles of {scores['pairs']} pairs of passes{_thinned(scores)}"
    )
    for path in paths:
        click.echo(f"wrote {path}")


@validate.command("nextsim")
@click.argument("file", type=A_PATH)
@click.argument("drifters", nargs=-1, required=True, type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="Folder.")
@common
@which_triangles
def validate_nextsim_command(
    env: Env, file: Path, drifters: tuple[Path, ...], out: Path, options: StatisticsOptions
) -> None:
    """Compare a run of neXtSIM (its RGPS_Drifters_*.nc) with a trajectory FILE."""
    check_folder(out)
    from lagrangian_ice.plots.scores import report_nextsim

    scores, paths = report_nextsim(file, drifters, out, options)
    drift = scores["drift_km_per_day"]
    click.echo(
        f"{drift['count']} displacements of {drift['parcels']} parcels: RMSE "
        f"{drift['rmse']:.3f} km per day, bias {drift['bias_x']:.3f}, {drift['bias_y']:.3f}"
    )
    click.echo(f"{scores['deformation']['triangles']} triangles of both{_thinned(scores)}")
    for path in paths:
        click.echo(f"wrote {path}")
