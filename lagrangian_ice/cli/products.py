"""Commands that write, import and draw products."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from lagrangian_ice.cli.common import A_PATH, Env, check_folder, check_writable, common, moment
from lagrangian_ice.errors import LagrangianIceError

if TYPE_CHECKING:
    from datetime import datetime

KINDS = {"trajectories": "LP", "deformation": "DP", "pairs": "PD"}


LAYOUTS = ("rgps-csv", "rgps-lp", "pysida", "mojito", "sitrack", "nextsim-rgps", "nextsim-iabp")


@click.command()
@click.option(
    "--format",
    "formats",
    required=True,
    multiple=True,
    help=f"Names separated by commas: {', '.join([*KINDS, *LAYOUTS])}.",
)
@click.option("--out", required=True, type=A_PATH, help="Folder.")
@click.option(
    "--start",
    help="Observations, and vectors and triangles that end, from this time on; nextsim-rgps: its "
    "initial time.",
)
@click.option("--end", help="The same before this time.")
@click.option("--stream", help="One stream alone, by its letter.")
@click.option("--crs", help="Map of rgps-csv, pysida, mojito or sitrack.")
@click.option(
    "--trajectories",
    "files",
    multiple=True,
    type=A_PATH,
    help="Take these _LP.nc files, not the workspace; may be repeated.",
)
@common
def export(
    env: Env,
    formats: tuple[str, ...],
    out: Path,
    start: str | None,
    end: str | None,
    stream: str | None,
    crs: str | None,
    files: tuple[Path, ...],
) -> None:
    """Write products of the workspace, also in the layouts of other tools."""
    check_folder(out)
    names = list(dict.fromkeys(name.strip() for name in ",".join(formats).split(",")))
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
    if chosen["start"] and chosen["end"] and chosen["start"] >= chosen["end"]:
        raise click.UsageError(f"--start {start} is not before --end {end}")
    if layouts:
        from lagrangian_ice.output.exports import check_formats

        check_formats(layouts, crs)
    from lagrangian_ice.output.whole import whole_folder

    # All is made before anything appears; layouts that fail leave no products.
    with whole_folder(out) if kinds and layouts else nullcontext(out) as folder:
        paths = export_kinds(env, kinds, folder, chosen) if kinds else []
        if layouts:
            paths += export_layouts(env.workspace, files, layouts, out, crs, chosen)
    for path in paths:
        click.echo(f"wrote {out / path.name}")


class Chosen(TypedDict):
    """What of the state is exported."""

    start: datetime | None
    end: datetime | None
    stream: int | None


def export_kinds(env: Env, kinds: Sequence[str], out: Path, chosen: Chosen) -> list[Path]:
    """Export our own products."""
    from lagrangian_ice import workflow

    names = [KINDS[name] for name in kinds]
    return workflow.export(env.workspace, names, out, settings=env.given_settings(), **chosen)


def export_layouts(
    workspace: Path,
    files: Sequence[Path],
    layouts: Sequence[str],
    out: Path,
    crs: str | None,
    chosen: Chosen,
) -> list[Path]:
    """Export in the layouts of other tools, from files or from the workspace's state."""
    if not files:
        from lagrangian_ice import workflow

        return workflow.export_layouts(workspace, layouts, out, crs=crs, **chosen)
    from lagrangian_ice.output.exports import export_trajectories

    return export_trajectories(files, layouts, out, crs=crs, **chosen)


def stream_number(letter: str) -> int:
    """Turn a stream's letter into its number: a is 0."""
    if len(letter) != 1 or not "a" <= letter <= "z":
        raise click.UsageError(f"--stream {letter}: give its letter, a to z")
    return ord(letter) - ord("a")


@click.group("import")
def import_group() -> None:
    """Make products of other people's data."""


@import_group.command("vectors")
@click.argument("csv", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="FILE_LP.nc.")
@common
def import_vectors_command(env: Env, csv: Path, out: Path) -> None:
    """Make a trajectory file of a CSV of drift vectors.

    Columns t0,t1 and x0,y0,x1,y1 (EPSG:3413 metres) or lon0,lat0,lon1,lat1; what `track`
    writes is taken too.
    """
    check_writable(out, csv, env.config, suffixes=(".nc",))
    from lagrangian_ice.validation.import_vectors import import_vectors

    count = import_vectors(csv, out)
    click.echo(f"{count} vectors; wrote {out}")


@click.command()
@click.argument("file", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="FILE.nc.")
@click.option("--start", help="Patches that end from this time on.")
@click.option("--end", help="Patches that end before this time.")
@common
def deform(env: Env, file: Path, out: Path, start: str | None, end: str | None) -> None:
    """Compute the deformation of a trajectory FILE of ours."""
    check_writable(out, file, env.config, suffixes=(".nc",))
    from lagrangian_ice.output.products import deform_file
    from lagrangian_ice.output.reading import triangles_in
    from lagrangian_ice.times import Window

    given = env.given_settings()
    settings = None if given is None else given.deformation
    window = Window.between(moment(start), moment(end))
    deform_file(file, out, settings, window=window)
    count = triangles_in(out)
    click.echo(f"{count or 'no'} triangles; wrote {out}")


@click.command()
@click.argument("what", type=click.Choice(["trajectories", "drift", "deformation", "coverage"]))
@click.argument("file", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="FILE.png.")
@common
def plot(env: Env, what: str, file: Path, out: Path) -> None:
    """Draw a map of a product FILE: _LP.nc, _PD.nc for drift, _DP.nc for deformation."""
    check_writable(out, file, env.config)
    from lagrangian_ice.plots.draw import plot as draw

    draw(what, file, out)
    click.echo(f"wrote {out}")


@click.command()
@click.argument("products", nargs=-1, type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="PAGE.html.")
@click.option("--start", help="Show from this time on.")
@click.option("--end", help="Show before this time.")
@common
def view(
    env: Env, products: tuple[Path, ...], out: Path, start: str | None, end: str | None
) -> None:
    """Write one self-contained page to look at: map, time, trajectories, triangles.

    PRODUCTS are _LP.nc and _DP.nc files; without any, those of the workspace.
    """
    products = products or tuple(products_in(env.workspace))
    check_writable(out, *products, env.config, suffixes=(".html", ".htm"))
    from lagrangian_ice.plots.page import write_page
    from lagrangian_ice.times import Window

    written = write_page(products, out, Window.between(moment(start), moment(end)))
    for note in written.notes:
        click.echo(note)
    click.echo(f"{written.parcels} parcels, {written.triangles} triangles; wrote {out}")


def products_in(workspace: Path) -> list[Path]:
    """Trajectories and deformation that `advance` wrote into a workspace."""
    from lagrangian_ice.output.names import find_products

    found = find_products(workspace / "products", ("LP", "DP"))
    if not found:
        raise LagrangianIceError(
            f"{workspace / 'products'}: holds no product; run `advance` first, or name the files"
        )
    return found
