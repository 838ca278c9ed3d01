"""Reading our own products back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Sightings
from lagrangian_ice.errors import ProductError, reason_of
from lagrangian_ice.grid import Float
from lagrangian_ice.output.netcdf import IMAGE_TEXTS, small_caches
from lagrangian_ice.output.variables import (
    DEFORMATION,
    PAIRS,
    TRAJECTORIES,
    Product,
)
from lagrangian_ice.times import ALWAYS, Window, parse_utc

_OF_PAIR = {
    "x": "x",
    "y": "y",
    "image": "image_index",
    "var_x": "x_standard_error",
    "var_y": "y_standard_error",
    "cov_xy": "xy_error_covariance",
}
BLOCK = 2048
"""Trajectories read at once: those of a chunk of the file."""
_KEYS_OF_TRAJECTORIES = ("trajectory", "stream", "seed_row", "seed_col", "n_obs")


Wanted = Callable[[Float, Float], NDArray[np.bool_]]


def open_trajectories(path: str | Path) -> xr.Dataset:
    """Open a trajectory product, lazily.

    Parameters
    ----------
    path : str or Path
        ``_LP.nc``.

    Returns
    -------
    xarray.Dataset
        Dimensions (trajectory, obs); times as datetime64.

    Raises
    ------
    ProductError
        If the file is missing, not NetCDF, or not a trajectory product of ours.
    """
    return open_product(path, TRAJECTORIES, keep=True)


def open_product(
    path: str | Path, product: Product, decode_times: bool = True, keep: bool = False
) -> xr.Dataset:
    """Open a product of a known kind, lazily.

    Parameters
    ----------
    path : str or Path
        File.
    product : Product
        Kind that it must be.
    decode_times : bool
        Times as datetime64; else as float64 seconds since 1970.
    keep : bool
        Keep in memory what was read, as one at a prompt wants; a season does not fit.

    Raises
    ------
    ProductError
        If the file is missing, not NetCDF, or not of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ProductError(f"{path}: no such file; give a _{product.key}.nc product")
    try:
        dataset = xr.open_dataset(path, engine="netcdf4", decode_times=decode_times, cache=keep)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProductError(f"{path}: not a readable NetCDF file ({reason})") from None
    wanted = [variable.name for variable in product.variables]
    missing = [name for name in wanted if name not in dataset.variables]
    if missing:
        dataset.close()
        raise ProductError(
            f"{path}: not a _{product.key}.nc product of lagrangian_ice "
            f"(it lacks the variable {missing[0]})"
        )
    return dataset


@contextmanager
def reading(path: str | Path, product: Product) -> Iterator[xr.Dataset]:
    """Open a product to be read here and now; times are float64 seconds since 1970.

    Raises
    ------
    ProductError
        As :func:`open_product`, or if it turns out to be damaged while it is read.
    """
    with (
        small_caches(),
        open_product(path, product, decode_times=False) as dataset,
        told_of_damage(path),
    ):
        yield dataset


@contextmanager
def told_of_damage(path: str | Path) -> Iterator[None]:
    """Name the file that is read where its values cannot be."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ProductError(
            f"{path}: damaged, cannot be read ({reason_of(error)}); make or fetch it again"
        ) from error


def is_deformation(path: str | Path) -> bool:
    """Whether a NetCDF file holds triangles.

    Raises
    ------
    ProductError
        If the file is missing or not NetCDF.
    """
    path = Path(path)
    if not path.is_file():
        raise ProductError(f"{path}: no such file; give a _LP.nc or a _DP.nc product")
    try:
        with netCDF4.Dataset(path) as dataset:
            return "face_nodes" in dataset.variables
    except (OSError, RuntimeError) as error:
        reason = reason_of(error)
        raise ProductError(f"{path}: not a readable NetCDF file ({reason})") from None


def read_passes(dataset: xr.Dataset) -> pd.DataFrame:
    """Frame of passes, as the writers take it, from an opened product."""
    columns = {column: dataset[name].to_numpy().astype(str) for name, column in IMAGE_TEXTS.items()}
    time = _seconds(dataset["image_time"])
    orbit = dataset["image_orbit"].to_numpy()
    frame = pd.DataFrame(
        {
            "pass_index": np.arange(len(time), dtype=np.int64),
            "time": time,
            "orbit": np.where(np.isfinite(orbit), orbit, -1).astype(np.int64),
        }
    )
    # As one text in the file; no more of it is needed than whose scenes they are.
    texts = columns.pop("scene_ids")
    names = [tuple(name for name in text.split(",") if name) for text in texts]
    return frame.assign(scene_ids=pd.Series(names, dtype=object), **columns)


def read_trajectories(path: str | Path, wanted: Wanted | None = None) -> pd.DataFrame:
    """Observations of a trajectory product, one row each, by parcel and time.

    Parameters
    ----------
    path : str or Path
        ``_LP.nc``.
    wanted : callable, optional
        From x, y (R, obs; NaN where nothing is) of some trajectories to those (R,) that are
        wanted; a season's file is read block by block. None: all.

    Returns
    -------
    DataFrame
        ``parcel_id, stream, seed_row, seed_col, n_obs``, then every ``(trajectory, obs)``
        variable; ``time`` in seconds since 1970.

    Raises
    ------
    ProductError
        As :func:`open_trajectories`.
    """
    with reading(path, TRAJECTORIES) as dataset:
        count = max(dataset.sizes["trajectory"], 1)
        blocks = [slice(row, row + BLOCK) for row in range(0, count, BLOCK)]
        parts = [_observations_of(dataset.isel(trajectory=rows), wanted) for rows in blocks]
    # a frame without rows would change the types of the others
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return frame.astype({"image_index": np.int64, "q_flag": np.int8})


def _observations_of(block: xr.Dataset, wanted: Wanted | None) -> pd.DataFrame:
    x, y = block["x"].to_numpy(), block["y"].to_numpy()
    known = np.isfinite(block["time"].to_numpy()) & np.isfinite(x)
    if wanted is not None:
        known &= wanted(x, y)[:, None]
    row, col = np.nonzero(known)
    found = {name: block[name].to_numpy()[row] for name in _KEYS_OF_TRAJECTORIES}
    for variable in TRAJECTORIES.variables:
        if variable.dimensions == ("trajectory", "obs"):
            # where nothing is wanted nothing need be read
            found[variable.name] = (
                block[variable.name].to_numpy()[row, col] if len(row) else np.zeros(0)
            )
    return pd.DataFrame(found).rename(columns={"trajectory": "parcel_id"})


def read_sightings(dataset: xr.Dataset, stream: int, window: Window = ALWAYS) -> Sightings:
    """Observations of one stream, for the deformation.

    Parameters
    ----------
    dataset : xarray.Dataset
        Trajectory product opened without decoded times.
    stream : int
        0 is stream a.
    window : Window
        Of the mean times of the passes whose observations are wanted.
    """
    wanted = window.holds(dataset["image_time"].to_numpy())
    own = np.flatnonzero(dataset["stream"].to_numpy() == stream)
    parts = [_sightings_of(dataset, rows, wanted) for rows in _blocks(own)]
    columns = {
        name: [getattr(part, name) for part in parts] for name in Sightings.__dataclass_fields__
    }
    # a season is long: the blocks of a column go as soon as it is whole
    del parts
    return Sightings(**{name: np.concatenate(columns.pop(name)) for name in list(columns)})


def _blocks(rows: NDArray[np.int64]) -> list[slice]:
    """Slices of the file's own blocks that hold the rows; one empty slice for none."""
    blocks = np.unique(rows // BLOCK).tolist()
    return [slice(block * BLOCK, (block + 1) * BLOCK) for block in blocks] or [slice(0, 0)]


def _sightings_of(dataset: xr.Dataset, rows: slice, wanted: NDArray[np.bool_]) -> Sightings:
    """Sightings of the trajectories of some rows, of one block at a time."""
    part = dataset.isel(trajectory=rows)
    values = {name: part[name].to_numpy() for name in ("image_index", "time", "x", "y")}
    image = values["image_index"]
    known = np.isfinite(image) & np.isfinite(values["time"]) & np.isfinite(values["x"])
    known[known] = wanted[image[known].astype(np.int64)]
    row, col = np.nonzero(known)

    def chosen(name: str) -> np.ndarray:
        whole = values[name] if name in values else part[name].to_numpy()
        return np.asarray(whole[row, col], np.float64)

    covariance = np.empty((len(row), 2, 2))
    covariance[:, 0, 0] = chosen("x_standard_error") ** 2
    covariance[:, 1, 1] = chosen("y_standard_error") ** 2
    covariance[:, 0, 1] = covariance[:, 1, 0] = chosen("xy_error_covariance")
    seed = np.stack([part["seed_row"].to_numpy(), part["seed_col"].to_numpy()], axis=1)
    return Sightings(
        parcel_id=part["trajectory"].to_numpy()[row].astype(np.int64),
        pass_index=image[row, col].astype(np.int64),
        seed_rowcol=seed[row].astype(np.int64),
        xy=np.stack([chosen("x"), chosen("y")], axis=1),
        time=chosen("time"),
        covariance=covariance,
    )


def pair_of_dates(
    trajectories: xr.Dataset | str | Path,
    first: str | np.datetime64,
    second: str | np.datetime64,
    tolerance_hours: float = 12.0,
) -> pd.DataFrame:
    """Parcels seen near both of two moments, block by block: a season's file need not fit.

    Parameters
    ----------
    trajectories : xarray.Dataset, str or Path
        Opened with :func:`open_trajectories`, or the file.
    first, second : str or numpy.datetime64
        UTC, ISO 8601.
    tolerance_hours : float
        An observation counts up to so long before or after the moment; of several the nearest
        (of two as near, the earlier).

    Returns
    -------
    DataFrame
        ``parcel_id``, then for both (0, 1) ``time`` (the exact one), ``x, y`` (metres),
        ``image`` (index), ``var_x, var_y, cov_xy`` (tracking error since birth, m2).

    Raises
    ------
    ProductError
        If the file is not a trajectory product, or the dataset's times are not decoded.
    ValueError
        If the tolerance is not positive, the moments are the same, or one is not ISO 8601.
    """
    moments = np.array([_moment(first), _moment(second)], "datetime64[ns]")
    if not tolerance_hours > 0 or moments[0] == moments[1]:
        raise ValueError(
            f"moments {first} and {second}, tolerance {tolerance_hours} h: allowed are two "
            "different moments and a positive tolerance"
        )
    if not isinstance(trajectories, xr.Dataset):
        with open_trajectories(trajectories) as dataset:
            return pair_of_dates(dataset, first, second, tolerance_hours)
    if not np.issubdtype(trajectories["time"].dtype, np.datetime64):
        raise ProductError("times of the dataset are not decoded; open it with open_trajectories")
    count = trajectories.sizes["trajectory"]
    reach = np.timedelta64(round(tolerance_hours * 3.6e12), "ns")
    parts = [
        _pair_of_block(trajectories.isel(trajectory=slice(row, row + BLOCK)), moments, reach)
        for row in range(0, max(count, 1), BLOCK)
    ]
    return pd.concat(parts, ignore_index=True)


def _moment(time: str | np.datetime64) -> np.datetime64:
    """UTC; numpy warns of a text with a zone."""
    if isinstance(time, str):
        return np.datetime64(parse_utc(time).replace(tzinfo=None), "ns")
    return time


def _pair_of_block(
    block: xr.Dataset, moments: NDArray[np.datetime64], reach: np.timedelta64
) -> pd.DataFrame:
    time = block["time"].to_numpy().astype("datetime64[ns]")
    shape = (len(time), 2)
    col, near = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for number, moment in enumerate(moments):
        apart = np.abs(time - moment)
        apart[np.isnat(time)] = np.timedelta64(np.iinfo(np.int64).max, "ns")
        if apart.shape[1]:
            col[:, number] = apart.argmin(axis=1)
            near[:, number] = apart.min(axis=1) <= reach
    # one observation cannot be both ends
    row = np.flatnonzero(near.all(axis=1) & (col[:, 0] != col[:, 1]))
    found = {"parcel_id": block["trajectory"].to_numpy()[row].astype(np.int64)}
    values = {name: block[name].to_numpy() for name in _OF_PAIR.values()}
    for number in (0, 1):
        found[f"time{number}"] = time[row, col[row, number]]
        for name, variable in _OF_PAIR.items():
            value = values[variable][row, col[row, number]].astype(np.float64)
            found[f"{name}{number}"] = value**2 if name in {"var_x", "var_y"} else value
        found[f"image{number}"] = found[f"image{number}"].astype(np.int64)
    return pd.DataFrame(found)


def read_deformation(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and faces of a deformation product.

    Returns
    -------
    nodes, faces : DataFrame
        One column a variable; times in seconds since 1970. Faces have their nodes in
        ``node_1, node_2, node_3``, rows of the first frame.

    Raises
    ------
    ProductError
        If the file is not a readable deformation product.
    """
    with reading(path, DEFORMATION) as dataset:
        frames = {
            dimension: pd.DataFrame(
                {
                    variable.name: dataset[variable.name].to_numpy()
                    for variable in DEFORMATION.variables
                    if variable.dimensions == (dimension,)
                }
            )
            for dimension in ("node", "face")
        }
        corners = dataset["face_nodes"].to_numpy().astype(np.int64).reshape(-1, 3)
    check_corners(corners, len(frames["node"]), path)
    faces = frames["face"].assign(
        **{f"node_{corner + 1}": corners[:, corner] for corner in range(3)}
    )
    return frames["node"], faces


def check_corners(corners: NDArray[np.int64], nodes: int, path: str | Path) -> None:
    """Refuse triangles (F, 3) of nodes that a file does not have.

    Raises
    ------
    ProductError
        Naming the file.
    """
    if len(corners) and not 0 <= corners.min() <= corners.max() < nodes:
        raise ProductError(
            f"{path}: face_nodes has {corners.min()} to {corners.max()}, the file has {nodes} "
            "nodes; it is damaged"
        )


def triangles_in(path: str | Path) -> int:
    """Count the triangles of a deformation product.

    Raises
    ------
    ProductError
        If the file is not a readable deformation product.
    """
    with reading(path, DEFORMATION) as dataset:
        return int(dataset.sizes["face"])


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Vectors of a pair drift product; times in seconds since 1970.

    Returns
    -------
    DataFrame
        One column a variable, ``pair_source_image`` and ``pair_target_image`` joined.

    Raises
    ------
    ProductError
        If the file is not a readable pair drift product.
    """
    with reading(path, PAIRS) as dataset:
        frame = pd.DataFrame(
            {
                variable.name: dataset[variable.name].to_numpy()
                for variable in PAIRS.variables
                if variable.dimensions == ("vector",)
            }
        )
        pair = frame["pair_index"].to_numpy(np.int64)
        for end in ("source", "target"):
            frame[f"pair_{end}_image"] = dataset[f"pair_{end}_image"].to_numpy()[pair]
    return frame


def _seconds(times: xr.DataArray) -> np.ndarray:
    values = times.to_numpy()
    if np.issubdtype(values.dtype, np.datetime64):
        return np.asarray(values.astype("datetime64[ns]").astype(np.int64) / 1e9)
    return np.asarray(values, np.float64)
