"""Reading for the page: parts of products that are small enough, variable by variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import check_corners, read_passes, reading
from lagrangian_ice.output.variables import DEFORMATION, TRAJECTORIES
from lagrangian_ice.times import Window

_PARCELS = (
    "trajectory",
    "stream",
    "seed_row",
    "seed_col",
    "n_obs",
    "birth_time",
    "death_time",
    "death_reason",
)
_NODES = ("x", "y", "dx", "dy", "time_start", "time_end", "trajectory")


@dataclass
class Part:
    """What the page shows of some files of a kind.

    Attributes
    ----------
    names : list of str
        Files.
    attributes : dict
        Global attributes of the first file.
    notes : list of str
        What was left out.
    """

    names: list[str]
    attributes: dict[str, str]
    notes: list[str] = field(default_factory=list, kw_only=True)


@dataclass
class Lines(Part):
    """Observations of parcels.

    Attributes
    ----------
    observations : DataFrame
        ``row`` (of ``parcels``), ``image`` (row of ``images``), ``time`` and every other
        (trajectory, obs) variable; by parcel and time.
    parcels, images : DataFrame
        One row each.
    """

    observations: pd.DataFrame
    parcels: pd.DataFrame
    images: pd.DataFrame

    @property
    def xy(self) -> Float:
        """Positions (N, 2), metres."""
        return self.observations[["x", "y"]].to_numpy(np.float64)

    @property
    def first(self) -> float:
        """Time of the first observation."""
        return float(self.observations["time"].min())

    @property
    def last(self) -> float:
        """Time of the last observation."""
        return float(self.observations["time"].max())

    @property
    def half_pass(self) -> float:
        """Seconds between the mean of a pass and its last observation, at most."""
        mean = self.images["time"].to_numpy()[self.observations["image"].to_numpy()]
        return float(np.abs(self.observations["time"] - mean).max()) + 1.0


@dataclass
class Mesh(Part):
    """Triangles of pairs of passes.

    Attributes
    ----------
    nodes : DataFrame
        ``x, y, dx, dy, time_start, time_end, trajectory``.
    faces : DataFrame
        ``a, b, c`` (rows of ``nodes``), ``pair``, and every face variable.
    """

    nodes: pd.DataFrame
    faces: pd.DataFrame

    @property
    def xy(self) -> Float:
        """Positions (N, 2) of the nodes at start and end, metres."""
        start = self.nodes[["x", "y"]].to_numpy(np.float64)
        moved = self.nodes[["dx", "dy"]].to_numpy(np.float64)
        return np.concatenate([start, start + moved])

    @property
    def first(self) -> float:
        """Time of the first start."""
        return float(self.nodes["time_start"].min())

    @property
    def last(self) -> float:
        """Time of the last end."""
        return float(self.nodes["time_end"].max())


def read_lines(paths: Sequence[Path], window: Window, most: int) -> Lines | None:
    """Read observations of trajectory files, of every n-th parcel where there are too many.

    Parameters
    ----------
    paths : sequence of Path
        ``_LP.nc``.
    window : Window
        Times.
    most : int
        Observations.

    Returns
    -------
    Lines or None
        None where no observation is in the window.

    Raises
    ------
    ProductError
        If a file is not a trajectory product.
    """
    total = sum(_count(path, window) for path in paths)
    if total == 0:
        return None
    step = -(-total // most)
    parts = [_lines_of(path, window, step) for path in paths]
    images = pd.concat([part.images for part in parts], ignore_index=True)
    before = np.cumsum([0, *(len(part.images) for part in parts)])
    rows = np.cumsum([0, *(len(part.parcels) for part in parts)])
    observations = [
        part.observations.assign(
            image=part.observations["image"] + before[number],
            row=part.observations["row"] + rows[number],
        )
        for number, part in enumerate(parts)
    ]
    found = Lines(
        [path.name for path in paths],
        parts[0].attributes,
        pd.concat(observations, ignore_index=True),
        pd.concat([part.parcels for part in parts], ignore_index=True),
        images,
    )
    if step > 1:
        found.notes.append(
            f"One parcel in {step} is shown: the files hold {total:,} observations in this time, "
            f"the page at most {most:,}. A shorter time (--start, --end) shows more of them."
        )
    return found


def _count(path: Path, window: Window) -> int:
    with reading(path, TRAJECTORIES) as dataset:
        return int(np.count_nonzero(_known(dataset, window)))


def _known(dataset: xr.Dataset, window: Window) -> NDArray[np.bool_]:
    """Observations (trajectory, obs) that have a time in the window and a place."""
    known = window.holds(dataset["time"].to_numpy())
    return np.asarray(known & np.isfinite(dataset["x"].to_numpy()))


def _lines_of(path: Path, window: Window, step: int) -> Lines:
    with reading(path, TRAJECTORIES) as dataset:
        known = _known(dataset, window)[::step]
        kept = known.any(axis=1)
        row, col = np.nonzero(known[kept])
        columns: dict[str, np.ndarray] = {"row": row}
        for variable in TRAJECTORIES.variables:
            if variable.dimensions == ("trajectory", "obs"):
                values = dataset[variable.name].to_numpy()[::step][kept]
                columns[variable.name] = values[row, col]
        parcels = {name: dataset[name].to_numpy()[::step][kept] for name in _PARCELS}
        images = read_passes(dataset)
        attributes = {key: str(value) for key, value in dataset.attrs.items()}
    frame = pd.DataFrame(columns)
    frame["image"] = frame["image_index"].to_numpy().astype(np.int64)
    return Lines([path.name], attributes, frame, pd.DataFrame(parcels), images)


def read_mesh(paths: Sequence[Path], window: Window, most: int) -> Mesh | None:
    """Read triangles of deformation files, of every n-th pair of passes where they are too many.

    Parameters
    ----------
    paths : sequence of Path
        ``_DP.nc``.
    window : Window
        A pair counts if any of its time is inside.
    most : int
        Triangles.

    Returns
    -------
    Mesh or None
        None where no pair is in the window.

    Raises
    ------
    ProductError
        If a file is not a deformation product.
    """
    counts = [_faces_of_pairs(path, window) for path in paths]
    total = int(sum(count.sum() for count in counts))
    if total == 0:
        return None
    step = -(-total // most)
    nodes: list[pd.DataFrame] = []
    faces: list[pd.DataFrame] = []
    attributes: dict[str, str] = {}
    pairs_before = 0
    for path, count in zip(paths, counts, strict=True):
        pairs = np.flatnonzero(count)[::step]
        if len(pairs) == 0:
            continue
        with reading(path, DEFORMATION) as dataset:
            own_nodes, own_faces = _mesh_of(dataset, pairs, path)
            attributes = attributes or {key: str(value) for key, value in dataset.attrs.items()}
        before = sum(len(part) for part in nodes)
        own_faces[["a", "b", "c"]] += before
        own_faces["pair"] += pairs_before
        pairs_before += len(pairs)
        nodes.append(own_nodes)
        faces.append(own_faces)
    found = Mesh(
        [path.name for path in paths],
        attributes,
        pd.concat(nodes, ignore_index=True),
        pd.concat(faces, ignore_index=True),
    )
    if step > 1:
        found.notes.append(
            f"One pair of passes in {step} is shown: the files hold {total:,} triangles in this "
            f"time, the page about {most:,}. A shorter time (--start, --end) shows more of them."
        )
    return found


def _faces_of_pairs(path: Path, window: Window) -> NDArray[np.int64]:
    """Triangles of every pair of passes; 0 where the pair is not in the window."""
    with reading(path, DEFORMATION) as dataset:
        pairs = dataset.sizes["pair"]
        owner = dataset["node_pair_index"].to_numpy().astype(np.int64)
        begin, end = np.full(pairs, np.inf), np.full(pairs, -np.inf)
        np.minimum.at(begin, owner, dataset["time_start"].to_numpy())
        np.maximum.at(end, owner, dataset["time_end"].to_numpy())
        face_owner = dataset["pair_index"].to_numpy().astype(np.int64)
        count = np.bincount(face_owner, minlength=pairs)
    return np.where((end >= window.start) & (begin < window.end), count, 0)


def _mesh_of(
    dataset: xr.Dataset, pairs: NDArray[np.int64], path: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    node_kept = np.isin(dataset["node_pair_index"].to_numpy().astype(np.int64), pairs)
    owner = dataset["pair_index"].to_numpy().astype(np.int64)
    runs_of_nodes, runs = _runs(node_kept), _runs(np.isin(owner, pairs))
    nodes = pd.DataFrame({name: _read(dataset, name, runs_of_nodes) for name in _NODES})
    corners = _read(dataset, "face_nodes", runs).astype(np.int64)
    check_corners(corners, len(node_kept), path)
    place = np.cumsum(node_kept) - 1
    columns = {
        "a": place[corners[:, 0]],
        "b": place[corners[:, 1]],
        "c": place[corners[:, 2]],
        "pair": np.searchsorted(pairs, _read(dataset, "pair_index", runs).astype(np.int64)),
    }
    for variable in DEFORMATION.variables:
        if variable.dimensions == ("face",):
            columns[variable.name] = _read(dataset, variable.name, runs)
    return nodes, pd.DataFrame(columns)


def _runs(kept: NDArray[np.bool_]) -> list[slice]:
    """Slices of successive chosen rows: a pair's rows lie together in the file."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _read(dataset: xr.Dataset, name: str, runs: Sequence[slice]) -> np.ndarray:
    dimension = dataset[name].dims[0]
    return np.concatenate([dataset[name].isel({dimension: run}).to_numpy() for run in runs])
