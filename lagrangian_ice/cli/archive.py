"""Commands that simulate scenes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lagrangian_ice.cli.common import A_NUMBER, A_PATH, Env, changed, common

if TYPE_CHECKING:
    from lagrangian_ice.simulate.archive import Format


@click.command()
@click.argument("directory", required=False, type=A_PATH)
@click.option("--days", type=A_NUMBER, default=3.0, show_default=True, help="Length of the record.")
@click.option("--area", type=A_NUMBER, default=120.0, show_default=True, help="Its side, km.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated ice.")
@click.option("--spacing", type=A_NUMBER, default=5000.0, show_default=True, help="Of parcels, m.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [default: 2 at most].")
@common
def demo(
    env: Env,
    directory: Path | None,
    days: float,
    area: float,
    seed: int,
    spacing: float,
    workers: int | None,
) -> None:
    """Do the whole job on simulated scenes of known motion, in DIRECTORY [default: demo].

    DIRECTORY is the workspace, too; `--workspace` names it as well.
    """
    from lagrangian_ice.demo import run_demo, score_lines

    if directory is not None and env.named is not None:
        raise click.UsageError(f"give DIRECTORY {directory} or --workspace {env.named}, not both")
    found = run_demo(
        directory or env.named or Path("demo"),
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


@click.command()
@click.argument("directory", type=A_PATH)
@click.option("--days", type=A_NUMBER, required=True, help="Length of the record.")
@click.option("--seed", type=int, required=True, help="The same seed gives the same pixels.")
@click.option("--start", default="2021-01-01", show_default=True, help="First day (UTC).")
@click.option("--area", type=A_NUMBER, default=200.0, show_default=True, help="Side, km.")
@click.option("--pixel", type=A_NUMBER, default=80.0, show_default=True, help="Of the scenes, m.")
@click.option("--zip", "form", flag_value="safe-zip", help="SAFE products as zips.")
@click.option("--geotiff", "form", flag_value="geotiff", help="GeoTIFFs with GCPs instead.")
@click.option(
    "--texture",
    type=A_PATH,
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
