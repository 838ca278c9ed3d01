"""All products of a workspace, and deformation from any trajectory file of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from lagrangian_ice.deformation.pairs import LONGEST, Patch, deform
from lagrangian_ice.errors import ProductError
from lagrangian_ice.files import check_output
from lagrangian_ice.output.attributes import Extent, Header
from lagrangian_ice.output.deformation import write_deformation
from lagrangian_ice.output.names import dates_of, product_name, products_of
from lagrangian_ice.output.pairs import write_pairs
from lagrangian_ice.output.reading import (
    read_passes,
    read_sightings,
    reading,
    told_of_damage,
)
from lagrangian_ice.output.trajectories import write_trajectories
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.settings import DeformationSettings, recalled
from lagrangian_ice.times import ALWAYS, SECONDS_PER_DAY, Window

SPAN_DAYS = 10.0
"""Days of patches made from observations that are in memory at once."""
KINDS = ("LP", "DP", "PD")

Chunks = Callable[[int], Iterable[pd.DataFrame]]


@dataclass(frozen=True)
class Records:
    """What of the state is written; columns as in :mod:`lagrangian_ice.output`.

    Attributes
    ----------
    passes, parcels : DataFrame
        One row each.
    observations : callable
        Given a stream, the frames of its observations: whole trajectories.
    pairs : DataFrame
        One row each.
    vectors : callable
        Given a stream, the frames of its vectors.
    dates : mapping of int to str
        For each stream what its products' names say, see :func:`dates_of_streams`.
    spacings : mapping of int to float
        Of the seed grid of each stream, metres.
    """

    passes: pd.DataFrame
    parcels: pd.DataFrame
    observations: Chunks
    pairs: pd.DataFrame
    vectors: Chunks
    dates: Mapping[int, str]
    spacings: Mapping[int, float] = field(default_factory=dict)


def write_products(
    directory: Path,
    header: Header,
    records: Records,
    kinds: Sequence[str] = KINDS,
    window: Window = ALWAYS,
) -> list[Path]:
    """Write the products of every stream, replacing those of earlier calls.

    Parameters
    ----------
    directory : Path
        Made if it is missing.
    header : Header
        How the products were made.
    records : Records
        What is written.
    kinds : sequence of str
        Of ``LP``, ``DP``, ``PD``; what is not asked for is not made. The deformation needs the
        trajectories: if they are not asked for, they lie beside it while it is made.
    window : Window
        Patches of the deformation are those that end in it. Who hands in an excerpt of
        observations and vectors has chosen these.

    Returns
    -------
    list of Path
        Those of each stream (of stream a where there is no parcel).

    Raises
    ------
    ProductError
        If a file cannot be written.
    ValueError
        If the frames do not agree with one another.
    """
    written: list[Path] = []
    passes, parcels = records.passes, records.parcels
    streams = sorted({int(stream) for stream in parcels["stream"]}) or [0]
    for stream in streams:
        own = parcels[parcels["stream"] == stream]
        dates = records.dates[stream]
        names = {kind: product_name(stream, dates, header.version, kind) for kind in KINDS}
        own_header = _of_spacing(header, records.spacings.get(stream))
        if {"LP", "DP"} & set(kinds):
            hidden = "" if "LP" in kinds else f".{names['LP']}.part"
            trajectories = directory / (hidden or names["LP"])
            write_trajectories(trajectories, own_header, passes, own, records.observations(stream))
            if "DP" in kinds:
                deformation = directory / names["DP"]
                deform_file(trajectories, deformation, header=own_header, window=window)
            if hidden:
                trajectories.unlink()
        if "PD" in kinds:
            path = directory / names["PD"]
            write_pairs(path, own_header, passes, records.pairs, records.vectors(stream))
        for kind in kinds:
            written.append(directory / names[kind])
            for old in products_of(directory, stream, kind):
                if old.name != names[kind]:
                    old.unlink()
    return written


def _of_spacing(header: Header, spacing: float | None) -> Header:
    """Header whose settings tell a stream's own spacing."""
    if spacing is None:
        return header
    parcels = header.settings.parcels.model_copy(update={"spacing": spacing})
    return replace(header, settings=header.settings.model_copy(update={"parcels": parcels}))


def dates_of_streams(
    passes: pd.DataFrame, parcels: pd.DataFrame, window: Window = ALWAYS
) -> dict[int, str]:
    """For each stream, and stream a, what the names of its products say of their dates.

    Those of its first birth, or the window's start where that is later, and of the last pass
    that begins in the window.

    Parameters
    ----------
    passes, parcels : DataFrame
        All of them, so that all kinds of products of a window are named alike.
    window : Window
        That is written.
    """
    births = parcels.groupby("stream")["birth_time"].min()
    last = float(passes.loc[passes["start"] < window.end, "time"].max())
    return {
        stream: dates_of(float(births.get(stream, np.nan)), last, window)
        for stream in {0, *births.index.tolist()}
    }


def deform_file(
    path_in: str | Path,
    path_out: str | Path,
    settings: DeformationSettings | None = None,
    header: Header | None = None,
    window: Window = ALWAYS,
) -> Extent:
    """Deformation from a trajectory file.

    Parameters
    ----------
    path_in : str or Path
        ``_LP.nc``.
    path_out : str or Path
        ``_DP.nc``; appears only when complete.
    settings : DeformationSettings, optional
        Those that the trajectory file was made with, if not given.
    header : Header, optional
        Else the settings and weights are those of the trajectory file.
    window : Window
        Of the mean times of the passes at which patches end.

    Returns
    -------
    Extent
        Of the nodes in time and space.

    Raises
    ------
    ProductError
        If the input is not a trajectory product, is the output too, or the output cannot be
        written.
    """
    check_output(Path(path_out), [Path(path_in)])
    with reading(path_in, TRAJECTORIES) as dataset:
        header = header or header_of(dict(dataset.attrs), Path(path_in))
        settings = settings or header.settings.deformation
        stages = header.settings.model_copy(update={"deformation": settings})
        passes = read_passes(dataset)
        patches = _patches(dataset, settings, window, Path(path_in))
        return write_deformation(Path(path_out), replace(header, settings=stages), passes, patches)


def lead_of(settings: DeformationSettings) -> float:
    """How long before its end a patch may begin, seconds."""
    return LONGEST * settings.nominal_days * SECONDS_PER_DAY


def _patches(
    dataset: xr.Dataset, settings: DeformationSettings, window: Window, path: Path
) -> Iterator[Patch]:
    """Patches of every stream; some days of observations in memory at once."""
    times = dataset["image_time"].to_numpy().astype(np.float64)
    times_of_ends = times[window.holds(times)]
    if len(times_of_ends) == 0:
        return
    lead = lead_of(settings)
    span = SPAN_DAYS * SECONDS_PER_DAY
    first = float(times_of_ends.min())
    count = int((times_of_ends.max() - first) // span) + 1
    spans = first + span * np.arange(count + 1)
    for stream in np.unique(dataset["stream"].to_numpy()).tolist():
        for begin, end in pairwise(spans.tolist()):
            inside = Window(begin - lead, min(end, window.end))
            # said here: while patches are written all other faults are of the output
            with told_of_damage(path):
                part = read_sightings(dataset, int(stream), inside)
            yield from deform(part, times, settings, times >= begin)


def header_of(attributes: dict[str, object], path: Path) -> Header:
    """Take what the attributes of a trajectory file say of its making.

    Raises
    ------
    ProductError
        If its settings are not JSON.
    SettingsError
        If they are not those of this version.
    """
    text = attributes.get("settings")
    try:
        table = json.loads(str(text)) if text else {}
    except json.JSONDecodeError:
        raise ProductError(f"{path}: the attribute settings is not JSON") from None
    settings = recalled(table, f"{path}: attribute settings")
    return Header(
        settings,
        weights_sha256=str(attributes.get("weights_sha256", "")),
        history=f"deformation from {path.name}",
    )
