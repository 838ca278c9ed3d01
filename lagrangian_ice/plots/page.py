"""One self-contained page of trajectories and triangles, for any browser, without a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice import __version__
from lagrangian_ice.deformation.triangles import UNFIT
from lagrangian_ice.errors import ProductError
from lagrangian_ice.files import check_output
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import is_deformation
from lagrangian_ice.output.variables import DEFORMATION, TRAJECTORIES, Variable
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.plots.coastline import Coastline, coastline
from lagrangian_ice.plots.page_data import (
    Block,
    bounds_of_all,
    colour_maps,
    coloured,
    exact,
    image_rows,
    moment,
    steps,
    whole,
)
from lagrangian_ice.plots.page_reading import Lines, Mesh, read_lines, read_mesh
from lagrangian_ice.plots.polar import dates
from lagrangian_ice.times import Window

MOST_OBSERVATIONS = 250_000
MOST_TRIANGLES = 80_000
"""More than these are thinned: a page stays below some 25 MB and quick to move about in."""
NEAR, WIDE = 900, 500
"""Pixels of the land masks: around the data, and of the whole Arctic behind it."""
ARCTIC = (-3.6e6, -3.6e6, 3.6e6, 3.6e6)

_SPEED = Variable("speed", "f4", (), "mean speed since the observation before", "cm s-1")
_OF_PARCELS = ("stream", "n_obs", "death_reason")
_NOT_COLOURED = {"time", "lat", "lon", "x", "y", "image_index", "source_image_index"}
_NOT_OF_FACES = {"time", "face_lon", "face_lat", "pair_index"}


@dataclass(frozen=True)
class Written:
    """What a page shows.

    Attributes
    ----------
    path : Path
        Of the page.
    parcels, triangles : int
        Shown.
    notes : tuple of str
        What was left out.
    """

    path: Path
    parcels: int
    triangles: int
    notes: tuple[str, ...]


def write_page(
    products: Sequence[str | Path], out: str | Path, window: Window | None = None
) -> Written:
    """Write one HTML page of trajectory and deformation products.

    Parameters
    ----------
    products : sequence of path
        ``_LP.nc`` and ``_DP.nc`` files, at least one.
    out : str or Path
        Page to write; appears only when complete.
    window : Window, optional
        Observations and pairs of passes inside it alone.

    Returns
    -------
    Written
        More than 250,000 observations or 80,000 triangles are thinned, and a note on the page
        and here says so.

    Raises
    ------
    ProductError
        If a file is neither, nothing is in the window, or the page cannot be written or would
        replace one of them.
    """
    paths = [Path(path) for path in products]
    check_output(Path(out), paths)
    lines, mesh = _read(paths, window or Window())
    if lines is None and mesh is None:
        names = ", ".join(str(path) for path in products)
        raise ProductError(f"{names}: hold no observation and no triangle in the time asked for")
    block = Block()
    page = _page(block, lines, mesh)
    _write(Path(out), page, block)
    return Written(
        Path(out),
        0 if lines is None else len(lines.parcels),
        0 if mesh is None else len(mesh.faces),
        tuple(note for part in (lines, mesh) if part is not None for note in part.notes),
    )


def _read(products: Sequence[Path], window: Window) -> tuple[Lines | None, Mesh | None]:
    """Sort the files by what they hold and read both kinds."""
    if not products:
        raise ProductError("no product is given; name a _LP.nc or a _DP.nc")
    deformation = [path for path in products if is_deformation(path)]
    trajectories = [path for path in products if path not in deformation]
    lines = read_lines(trajectories, window, MOST_OBSERVATIONS) if trajectories else None
    mesh = read_mesh(deformation, window, MOST_TRIANGLES) if deformation else None
    return lines, mesh


def _page(block: Block, lines: Lines | None, mesh: Mesh | None) -> dict[str, Any]:
    """Everything that the script is told, as JSON, with the columns in the block."""
    parts = [part for part in (lines, mesh) if part is not None]
    first, last = min(part.first for part in parts), max(part.last for part in parts)
    origin = float(np.floor(first / 86400) * 86400)
    bounds = bounds_of_all(part.xy for part in parts)
    width = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    margin = 0.5 * width
    near = (bounds[0] - margin, bounds[1] - margin, bounds[2] + margin, bounds[3] + margin)
    shores = [coastline(ARCTIC, WIDE), coastline(near, NEAR)]
    return {
        "title": parts[0].attributes.get("title") or "Lagrangian sea ice",
        "subtitle": _subtitle(lines, mesh, first, last),
        "first": first,
        "last": last,
        "origin": origin,
        "bounds": bounds,
        "unfit": UNFIT,
        "maps": colour_maps(),
        "land": [_land(block, shore) for shore in shores],
        "notes": _notes(parts),
        "images": [] if lines is None else image_rows(lines.images, _scenes(lines)),
        "half": 0.0 if lines is None else lines.half_pass,
        "observations": [] if lines is None else _observations(block, lines, origin),
        "parcels": [] if lines is None else _parcels(block, lines),
        "nodes": [] if mesh is None else _nodes(block, mesh, origin),
        "faces": [] if mesh is None else _faces(block, mesh, origin),
    }


def _subtitle(lines: Lines | None, mesh: Mesh | None, first: float, last: float) -> str:
    texts = [dates(first, last)]
    if lines is not None:
        texts.append(f"{len(lines.parcels):,} parcels, {len(lines.observations):,} observations")
    if mesh is not None:
        texts.append(f"{len(mesh.faces):,} triangles")
    return "  ·  ".join(texts)


def _notes(parts: Sequence[Lines | Mesh]) -> list[str]:
    notes = [note for part in parts for note in part.notes]
    notes += [f"Drawn from {', '.join(part.names)}." for part in parts]
    if any(isinstance(part, Mesh) for part in parts):
        notes.append(
            "Triangles move on straight lines from their start to their end, and stay for a day "
            "after, the newest on top; their rates are means from start to end."
        )
    if any(isinstance(part, Lines) for part in parts):
        notes.append(
            "Dots are the last observation up to the time shown, crosses parcels that have ended; "
            "the ellipses of a chosen parcel are one standard error of tracking, true to scale."
        )
    shown = ("acknowledgement", "creator_name", "institution", "license")
    texts = {part.attributes.get(name, "") for part in parts for name in shown}
    notes += sorted(text for text in texts if text)
    return [*notes, f"EPSG:3413, made by lagrangian_ice {__version__}."]


def _scenes(lines: Lines) -> list[str]:
    return [str(text)[:500] for text in lines.images["scene_ids"]]


def _land(block: Block, shore: Coastline) -> dict[str, Any]:
    rings = [np.diff(ring, axis=0, prepend=0).ravel() for ring in shore.rings]
    points: NDArray[np.int32] = np.concatenate([np.zeros(0, np.int32), *rings])
    return {
        "bounds": shore.bounds,
        "unit": shore.unit,
        "points": block.add(points, "i4"),
        "sizes": block.add([len(ring) for ring in shore.rings], "i4"),
    }


def _observations(block: Block, lines: Lines, origin: float) -> list[dict[str, Any]]:
    table = lines.observations

    def values(name: str) -> Float:
        return table[name].to_numpy(np.float64)

    time = values("time")
    columns = [
        steps(block, "x", values("x")),
        steps(block, "y", values("y")),
        steps(block, "time", time, origin),
        whole(block, "parcel", table["row"], delta=True),
        whole(block, "image", table["image"]),
        moment(block, "day", "Time of the observation", time, origin),
        coloured(block, _SPEED, _speed(lines)),
    ]
    columns += [
        coloured(block, variable, values(variable.name))
        for variable in TRAJECTORIES.variables
        if variable.dimensions == ("trajectory", "obs") and variable.name not in _NOT_COLOURED
    ]
    row = table["row"].to_numpy()
    for name in _OF_PARCELS:
        whose = lines.parcels[name].to_numpy(np.float64)[row]
        columns.append(coloured(block, TRAJECTORIES.variable(name), whose))
    return columns


def _speed(lines: Lines) -> Float:
    """Speed (N,) between an observation and the one before, cm s-1; NaN at the first."""
    table = lines.observations
    xy, time = table[["x", "y"]].to_numpy(np.float64), table["time"].to_numpy(np.float64)
    row = table["row"].to_numpy()
    speed = np.full(len(table), np.nan)
    same = np.flatnonzero(row[1:] == row[:-1]) + 1
    moved = xy[same] - xy[same - 1]
    speed[same] = 100 * np.hypot(moved[:, 0], moved[:, 1]) / (time[same] - time[same - 1])
    return speed


def _parcels(block: Block, lines: Lines) -> list[dict[str, Any]]:
    exactly = ("trajectory", "birth_time", "death_time")
    columns = [exact(block, name, lines.parcels[name]) for name in exactly]
    columns += [whole(block, name, lines.parcels[name]) for name in ("seed_row", "seed_col")]
    for name in _OF_PARCELS:
        values = lines.parcels[name].to_numpy(np.float64)
        columns.append(coloured(block, TRAJECTORIES.variable(name), values))
    return columns


def _nodes(block: Block, mesh: Mesh, origin: float) -> list[dict[str, Any]]:
    columns = [
        steps(block, name, mesh.nodes[name].to_numpy(np.float64)) for name in ("x", "y", "dx", "dy")
    ]
    columns += [
        steps(block, name, mesh.nodes[name].to_numpy(np.float64), origin)
        for name in ("time_start", "time_end")
    ]
    columns.append(exact(block, "trajectory", mesh.nodes["trajectory"]))
    return columns


def _faces(block: Block, mesh: Mesh, origin: float) -> list[dict[str, Any]]:
    faces = mesh.faces
    columns = [whole(block, name, faces[name], delta=True) for name in ("a", "b", "c", "pair")]
    columns.append(moment(block, "day", "Mean time", faces["time"].to_numpy(np.float64), origin))
    for variable in DEFORMATION.variables:
        if variable.dimensions == ("face",) and variable.name not in _NOT_OF_FACES:
            values = faces[variable.name].to_numpy(np.float64)
            columns.append(coloured(block, variable, values))
    return columns


def _write(path: Path, page: Mapping[str, Any], block: Block) -> None:
    folder = files("lagrangian_ice.plots") / "assets"
    html_text, script, style = (
        (folder / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css")
    )
    parts = {
        "TITLE": html.escape(str(page["title"])),
        "STYLE": style,
        "SCRIPT": script,
        "STYLE_HASH": _digest(style),
        "SCRIPT_HASH": _digest(script),
        "PAGE": _inert(json.dumps(page, allow_nan=False, separators=(",", ":"))),
        "DATA": block.text(),
    }
    # all at once: what is put in is not searched again
    text = re.sub("@([A-Z_]+)@", lambda found: parts[found[1]], html_text)
    with whole_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _digest(text: str) -> str:
    """Hash by which the page's policy lets this script and no other run."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(text: str) -> str:
    """JSON that no parser of HTML can take for markup."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
