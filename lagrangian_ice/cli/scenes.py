"""Commands of the catalogue of scenes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lagrangian_ice.cli.common import EXIT_UNREADABLE, Env, common, tell_unreadable


@click.group()
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
