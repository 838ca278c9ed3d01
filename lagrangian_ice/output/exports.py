"""Trajectories in the layouts that today's users read.

Each takes its observations from trajectory files (``_LP.nc``); ids are the parcels' own in all
of them. What each layout wants, and its traps, is in the module that writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from lagrangian_ice.files import check_output
from lagrangian_ice.grid import MAP_CRS
from lagrangian_ice.output.exports_models import write_mojito, write_pysida, write_sitrack
from lagrangian_ice.output.exports_nextsim import (
    LONGEST_GAP,
    write_nextsim_iabp,
    write_nextsim_rgps,
)
from lagrangian_ice.output.exports_rgps import write_rgps_csv, write_rgps_lp
from lagrangian_ice.output.exports_table import NEXTSIM_CRS, RGPS_CRS, Chosen, choose
from lagrangian_ice.output.names import dates_of, stream_letter
from lagrangian_ice.output.whole import whole_folder
from lagrangian_ice.times import Window


class Request(NamedTuple):
    """What a writer is told: observations, folder, name of the export, CRS, times asked for."""

    chosen: Chosen
    out: Path
    name: str
    crs: str
    window: Window


class Format(NamedTuple):
    """A layout: the map it is on unless asked otherwise, whether one may ask, its writer.

    ``beyond``: seconds outside the times asked for, of which observations are wanted too.
    """

    crs: str
    free_crs: bool
    write: Callable[[Request], list[Path]]
    beyond: float = 0.0


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "rgps-csv": Format(RGPS_CRS, True, lambda r: write_rgps_csv(r.chosen, r.out, r.crs)),
        "rgps-lp": Format(RGPS_CRS, False, lambda r: write_rgps_lp(r.chosen, r.out)),
        "pysida": Format(NEXTSIM_CRS, True, lambda r: write_pysida(r.chosen, r.out, r.name, r.crs)),
        "mojito": Format(MAP_CRS, True, lambda r: write_mojito(r.chosen, r.out, r.name, r.crs)),
        "sitrack": Format(MAP_CRS, True, lambda r: write_sitrack(r.chosen, r.out, r.name, r.crs)),
        "nextsim-rgps": Format(
            "EPSG:4326", False, lambda r: write_nextsim_rgps(r.chosen, r.out, r.window), np.inf
        ),
        "nextsim-iabp": Format(
            "EPSG:4326",
            False,
            lambda r: write_nextsim_iabp(r.chosen, r.out, r.name, r.window),
            LONGEST_GAP,
        ),
    }
)


def export_trajectories(
    paths: Sequence[str | Path],
    formats: Sequence[str],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    stream: int | None = None,
    crs: str | None = None,
) -> list[Path]:
    """Write observations of trajectory files in other layouts.

    Parameters
    ----------
    paths : sequence of path
        ``_LP.nc`` of one workspace, at most one a stream.
    formats : sequence of str
        Names in :data:`FORMATS`.
    out : Path
        Folder, made if it is missing.
    start, end : datetime, optional
        Observations from ``start`` on and before ``end``. What is interpolated for neXtSIM has
        times from ``start`` on and before ``end``, whenever the observations around them were;
        for ``nextsim-rgps`` ``start`` is the model's initial time (a whole hour).
    stream : int, optional
        One alone, 0 is stream a; all otherwise.
    crs : str, optional
        Map of the layouts that have no fixed one (``rgps-csv``, ``pysida``, ``mojito``,
        ``sitrack``).

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If a format or CRS is unknown, or a CRS is asked of a layout that has a fixed one.
    ProductError
        If a file cannot be read or written, or no observation is left.
    """
    check_formats(formats, crs)
    window = Window.between(start, end)
    with whole_folder(out) as folder:
        made: list[Path] = []
        for name in formats:
            layout = FORMATS[name]
            chosen = choose(paths, window.widened(layout.beyond), stream)
            named = _name(chosen, window, stream)
            made += layout.write(Request(chosen, folder, named, crs or layout.crs, window))
        written = [out / path.name for path in made]
        for path in written:
            check_output(path, map(Path, paths))
    return written


def check_formats(formats: Sequence[str], crs: str | None = None) -> None:
    """Refuse unknown formats, and a CRS for those that have a fixed one.

    Raises
    ------
    ValueError
        Naming what is allowed.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"format {name!r} is unknown; choose from {', '.join(FORMATS)}")
        if crs is not None and not FORMATS[name].free_crs:
            free = ", ".join(key for key, layout in FORMATS.items() if layout.free_crs)
            raise ValueError(
                f"format {name} is always in {FORMATS[name].crs}; a CRS can be asked of {free}"
            )


def _name(chosen: Chosen, window: Window, stream: int | None) -> str:
    """``lagrangian_ice_<first day>_<last day>``, with the letter of a stream that is alone."""
    times = chosen.observations["time"]
    alone = "" if stream is None else f"{stream_letter(stream)}_"
    return f"lagrangian_ice_{alone}{dates_of(times.min(), times.max(), window)}"
