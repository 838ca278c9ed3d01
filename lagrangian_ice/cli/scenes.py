"""Commands of the catalogue of scenes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lagrangian_ice.cli.common import A_PATH, EXIT_UNREADABLE, Env, common, moment, tell_unreadable


@click.group()
def scenes() -> None:
    """Catalogue scenes and list them."""


@scenes.command("list")
@click.argument("paths", nargs=-1, type=A_PATH)
@click.option("--area", help="Only scenes that touch this WKT of longitudes and latitudes.")
@click.option("--start", help="Only scenes that end at this time (UTC) or later.")
@click.option("--end", help="Only scenes that begin before this time (UTC).")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of lines.")
@common
def scenes_list(
    env: Env,
    paths: tuple[Path, ...],
    area: str | None,
    start: str | None,
    end: str | None,
    as_json: bool,
) -> int:
    """List the workspace's scenes, or those under PATHS (files, SAFE folders, zips, folders).

    The columns are status, start, pass, polarisations, footprint (longitude and latitude of its
    middle, and its area) and path.
    """
    from lagrangian_ice.scenes.area import map_area
    from lagrangian_ice.workspace import SceneFilter, list_scenes

    wanted = SceneFilter(None if area is None else map_area(area), moment(start), moment(end))
    rows = list_scenes(env.workspace, paths, wanted)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        for row in rows:
            click.echo(scene_line(row))
    return EXIT_UNREADABLE if any(row["status"] == "unreadable" for row in rows) else 0


def scene_line(row: dict[str, object]) -> str:
    """One line of ``scenes list``."""
    from lagrangian_ice.scenes.area import describe_footprint

    if row["status"] == "unreadable":
        return f"unreadable  {row['reason']}"
    bands = row["polarisations"]
    text = "+".join(str(name) for name in bands) if isinstance(bands, list) else ""
    where = describe_footprint(str(row["footprint"]))
    line = (
        f"{row['status']:<10}  {row['start']}  {row['pass']:<17}  {text:<5}  {where}  {row['path']}"
    )
    return f"{line}: {row['reason']}" if row["reason"] else line


@scenes.command("add")
@click.argument("paths", nargs=-1, required=True, type=A_PATH)
@common
def scenes_add(env: Env, paths: tuple[Path, ...]) -> int:
    """Catalogue the scenes under PATHS in the workspace."""
    from lagrangian_ice.workflow import add_scenes

    new, known, moved, unreadable = add_scenes(env.workspace, paths)
    click.echo(f"{new} scenes added, {known} known before, {len(unreadable)} unreadable")
    if moved:
        click.echo(f"{moved} of the known ones have moved and are read from their new place")
    return tell_unreadable({str(path): reason for path, reason in unreadable.items()})


@scenes.command("fetch")
@click.option("--area", required=True, help="WKT of longitudes and latitudes.")
@click.option("--start", required=True, help="First time (UTC).")
@click.option("--end", required=True, help="Last time (UTC).")
@click.option(
    "--out",
    type=A_PATH,
    help="Folder of the zips [default: scenes in the workspace].",
)
@click.option(
    "--dry-run", is_flag=True, help="Only say what would be downloaded; needs no account."
)
@common
def scenes_fetch(env: Env, area: str, start: str, end: str, out: Path | None, dry_run: bool) -> int:
    """Download the EW GRDM products that touch an area, from the Alaska Satellite Facility.

    Needs the extra "fetch" and an account of NASA Earthdata: EARTHDATA_TOKEN, or
    EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or ~/.netrc. What is there is not downloaded again.
    """
    from lagrangian_ice.scenes import fetch
    from lagrangian_ice.times import parse_utc

    session = fetch.new_session()
    products = fetch.search(area, parse_utc(start), parse_utc(end), session)
    total = sum(product.size for product in products) * 1e-9
    click.echo(f"{len(products)} products, {total:.1f} GB")
    if dry_run or not products:
        for product in products:
            click.echo(f"{product.name}  {product.size * 1e-6:6.0f} MB")
        return 0
    fetch.log_in(session)

    def told(product: fetch.Product, outcome: str) -> None:
        click.echo(f"{product.name}  {outcome}")

    folder = out or env.workspace / "scenes"
    failed = fetch.fetch(env.progress(products, "products"), folder, session, told)
    return tell_unreadable(failed)
