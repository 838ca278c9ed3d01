"""All products of a workspace, and deformation from any trajectory file of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from lagrangian_ice.deformation.pairs import deform
from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.attributes import Extent, Header
from lagrangian_ice.output.deformation import write_deformation
from lagrangian_ice.output.names import product_name, products_of
from lagrangian_ice.output.pairs import write_pairs
from lagrangian_ice.output.reading import open_product, read_passes, read_sightings
from lagrangian_ice.output.trajectories import write_trajectories
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.settings import DeformationSettings, validate

Chunks = Callable[[int], Iterable[pd.DataFrame]]


def write_products(
    directory: Path,
    header: Header,
    passes: pd.DataFrame,
    parcels: pd.DataFrame,
    observations: Chunks,
    pairs: pd.DataFrame,
    vectors: Chunks,
) -> list[Path]:
    """Write the three products of every stream, replacing those of earlier calls.

    Parameters
    ----------
    directory : Path
        Made if it is missing.
    header : Header
        How the products were made.
    passes, parcels, pairs : DataFrame
        Columns as in :mod:`lagrangian_ice.output`.
    observations, vectors : callable
        Given a stream, the frames of its observations and vectors.

    Returns
    -------
    list of Path
        ``_LP.nc``, ``_DP.nc``, ``_PD.nc`` of each stream (of stream a where there is no
        parcel), named by the stream's first birth and the last pass.

    Raises
    ------
    ProductError
        If a file cannot be written.
    ValueError
        If the frames do not agree with one another.
    """
    written: list[Path] = []
    streams = sorted({int(stream) for stream in parcels["stream"]}) or [0]
    for stream in streams:
        own = parcels[parcels["stream"] == stream]
        first, last = float(own["birth_time"].min()), float(passes["time"].max())
        names = {
            kind: product_name(stream, first, last, header.version, kind)
            for kind in ("LP", "DP", "PD")
        }
        trajectories = directory / names["LP"]
        write_trajectories(trajectories, header, passes, own, observations(stream))
        deform_file(trajectories, directory / names["DP"], header.settings.deformation, header)
        write_pairs(directory / names["PD"], header, passes, pairs, vectors(stream))
        for kind, name in names.items():
            written.append(directory / name)
            for old in products_of(directory, stream, kind):
                if old.name != name:
                    old.unlink()
    return written


def deform_file(
    path_in: str | Path,
    path_out: str | Path,
    settings: DeformationSettings | None = None,
    header: Header | None = None,
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

    Returns
    -------
    Extent
        Of the nodes in time and space.

    Raises
    ------
    ProductError
        If the input is not a trajectory product or the output cannot be written.
    ValueError
        If input and output are one file.
    """
    if Path(path_in).resolve() == Path(path_out).resolve():
        raise ValueError(f"{path_out} is the input; give another name for the deformation")
    with open_product(path_in, TRAJECTORIES, decode_times=False) as dataset:
        passes = read_passes(dataset)
        attributes = dict(dataset.attrs)
        streams = [int(stream) for stream in np.unique(dataset["stream"].to_numpy())]
        sightings = [read_sightings(dataset, stream) for stream in streams]
    header = header or _header_of(attributes, Path(path_in))
    settings = settings or header.settings.deformation
    header = replace(header, settings=header.settings.model_copy(update={"deformation": settings}))
    times = passes["time"].to_numpy(np.float64)
    patches = chain.from_iterable(deform(part, times, settings) for part in sightings)
    return write_deformation(Path(path_out), header, passes, patches)


def _header_of(attributes: dict[str, object], path: Path) -> Header:
    """Take what a trajectory file says of its making."""
    text = attributes.get("settings")
    try:
        table = json.loads(str(text)) if text else {}
    except json.JSONDecodeError:
        raise ProductError(f"{path}: the attribute settings is not JSON") from None
    settings = validate(table, f"{path}: attribute settings")
    return Header(
        settings,
        weights_sha256=str(attributes.get("weights_sha256", "")),
        history=f"deformation from {path.name}",
    )
