"""Reading our own products back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from lagrangian_ice.deformation.pairs import Sightings
from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.netcdf import IMAGE_TEXTS
from lagrangian_ice.output.variables import (
    DEFORMATION,
    PAIRS,
    TRAJECTORIES,
    Product,
)

_KEYS_OF_TRAJECTORIES = ("trajectory", "stream", "seed_row", "seed_col", "n_obs")


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
    return open_product(path, TRAJECTORIES)


def open_product(path: str | Path, product: Product, decode_times: bool = True) -> xr.Dataset:
    """Open a product of a known kind, lazily.

    Parameters
    ----------
    path : str or Path
        File.
    product : Product
        Kind that it must be.
    decode_times : bool
        Times as datetime64; else as float64 seconds since 1970.

    Raises
    ------
    ProductError
        If the file is missing, not NetCDF, or not of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ProductError(f"{path}: no such file; give a _{product.key}.nc product")
    try:
        dataset = xr.open_dataset(path, engine="netcdf4", decode_times=decode_times)
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
    return frame.assign(**columns)


def read_trajectories(path: str | Path) -> pd.DataFrame:
    """Observations of a trajectory product, one row each, by parcel and time.

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
    with open_product(path, TRAJECTORIES, decode_times=False) as dataset:
        time = dataset["time"].to_numpy()
        row, col = np.nonzero(np.isfinite(time))
        found = {name: dataset[name].to_numpy()[row] for name in _KEYS_OF_TRAJECTORIES}
        for variable in TRAJECTORIES.variables:
            if variable.dimensions == ("trajectory", "obs"):
                found[variable.name] = dataset[variable.name].to_numpy()[row, col]
    frame = pd.DataFrame(found).rename(columns={"trajectory": "parcel_id"})
    return frame.astype({"image_index": np.int64, "q_flag": np.int8})


def read_sightings(dataset: xr.Dataset, stream: int) -> Sightings:
    """Observations of one stream, for the deformation.

    Parameters
    ----------
    dataset : xarray.Dataset
        Trajectory product opened without decoded times.
    stream : int
        0 is stream a.
    """
    time = dataset["time"].to_numpy()
    own = dataset["stream"].to_numpy() == stream
    row, col = np.nonzero(np.isfinite(time) & own[:, None])

    def chosen(name: str) -> np.ndarray:
        return np.asarray(dataset[name].to_numpy()[row, col], np.float64)

    covariance = np.empty((len(row), 2, 2))
    covariance[:, 0, 0] = chosen("x_standard_error") ** 2
    covariance[:, 1, 1] = chosen("y_standard_error") ** 2
    covariance[:, 0, 1] = covariance[:, 1, 0] = chosen("xy_error_covariance")
    seed = np.stack([dataset["seed_row"].to_numpy(), dataset["seed_col"].to_numpy()], axis=1)
    return Sightings(
        parcel_id=dataset["trajectory"].to_numpy()[row].astype(np.int64),
        pass_index=chosen("image_index").astype(np.int64),
        seed_rowcol=seed[row].astype(np.int64),
        xy=np.stack([chosen("x"), chosen("y")], axis=1),
        time=time[row, col],
        covariance=covariance,
    )


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
    with open_product(path, DEFORMATION, decode_times=False) as dataset:
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
    faces = frames["face"].assign(
        **{f"node_{corner + 1}": corners[:, corner] for corner in range(3)}
    )
    return frames["node"], faces


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
    with open_product(path, PAIRS, decode_times=False) as dataset:
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
