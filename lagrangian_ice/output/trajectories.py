"""The trajectory product ``_LP.nc``: CF-1.11 layout H.4.1, ``(trajectory, obs)``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.output.attributes import (
    Extent,
    Header,
    global_attributes,
    identifier_of,
)
from lagrangian_ice.output.coast import distance_to_coast
from lagrangian_ice.output.netcdf import (
    define,
    image_sizes,
    in_order,
    lonlat,
    new_file,
    position_of,
    scene_ids,
    write_images,
)
from lagrangian_ice.output.variables import TRAJECTORIES

BLOCK = 2048
"""Trajectories held in memory and written at once; also the chunk of the file."""
OBS_CHUNK = 64

_TWO_DIMENSIONAL = tuple(
    variable for variable in TRAJECTORIES.variables if variable.dimensions == ("trajectory", "obs")
)


def write_trajectories(
    path: Path,
    header: Header,
    passes: pd.DataFrame,
    parcels: pd.DataFrame,
    observation_chunks: Iterable[pd.DataFrame],
) -> Extent:
    """Write trajectories without holding the season in memory.

    Parameters
    ----------
    path : Path
        File; appears only when complete.
    header : Header
        How the product was made.
    passes, parcels : DataFrame
        Columns as in :mod:`lagrangian_ice.output`. Parcels without observations are left out.
    observation_chunks : iterable of DataFrame
        Frames that hold whole trajectories, in ascending order of ``parcel_id``.

    Returns
    -------
    Extent
        Of the observations in time and space.

    Raises
    ------
    ProductError
        If the file cannot be written.
    ValueError
        If the frames do not agree with one another.
    """
    passes, pass_index = in_order(passes)
    parcels = parcels[parcels["n_obs"] > 0].sort_values("parcel_id", kind="stable")
    extent = Extent()
    with new_file(path) as dataset:
        longest = int(parcels["n_obs"].max()) if len(parcels) else 0
        sizes = {
            "trajectory": len(parcels) or None,
            "obs": longest or None,
            **image_sizes(passes),
        }
        chunks = {"trajectory": BLOCK, "obs": OBS_CHUNK}
        define(dataset, TRAJECTORIES, sizes, chunks, header.settings.product.compression)
        write_images(dataset, passes)
        _write_parcels(dataset, parcels)
        geolocation = header.settings.deformation.geolocation_error
        counts = parcels["n_obs"].to_numpy(np.int64)
        table = _Table(dataset, parcels["parcel_id"].to_numpy(np.int64), counts, extent)
        for frame in observation_chunks:
            table.add(frame, pass_index, geolocation)
        table.finish()
        dataset.setncatts(
            global_attributes(TRAJECTORIES, header, identifier_of(path), extent, scene_ids(passes))
        )
    return extent


def _write_parcels(dataset: netCDF4.Dataset, parcels: pd.DataFrame) -> None:
    columns = {
        "trajectory": "parcel_id",
        "gpid": "parcel_id",
        "stream": "stream",
        "seed_row": "seed_row",
        "seed_col": "seed_col",
        "n_obs": "n_obs",
        "birth_time": "birth_time",
        "death_time": "death_time",
        "death_reason": "end_reason",
    }
    for name, column in columns.items():
        dataset[name][:] = parcels[column].to_numpy(dataset[name].dtype)


class _Table:
    """The ``(trajectory, obs)`` variables, filled block by block in order."""

    def __init__(
        self,
        dataset: netCDF4.Dataset,
        parcel_id: NDArray[np.int64],
        n_obs: NDArray[np.int64],
        extent: Extent,
    ) -> None:
        self._dataset = dataset
        self._parcel_id = parcel_id
        self._n_obs = n_obs
        self._extent = extent
        self._seen = np.zeros(len(parcel_id), np.int64)
        self._block = -1
        self._values: dict[str, NDArray[np.generic]] = {}

    def add(self, frame: pd.DataFrame, pass_index: NDArray[np.int64], geolocation: float) -> None:
        """Take in whole trajectories; blocks that are complete go to the file."""
        frame = frame.sort_values(["parcel_id", "time"], kind="stable")
        ids = frame["parcel_id"].to_numpy(np.int64)
        rows = position_of(ids, self._parcel_id, "parcel_id")
        order = np.arange(len(ids)) - np.searchsorted(ids, ids)
        self._count(rows)
        values = _columns(frame, pass_index, geolocation)
        places = np.stack([values["lon"], values["lat"]], axis=1)
        self._extent.grow(values["time"], frame[["x", "y"]], places)
        blocks = rows // BLOCK
        for block in np.unique(blocks):
            self._open(int(block))
            chosen = blocks == block
            for name, column in values.items():
                self._values[name][rows[chosen] % BLOCK, order[chosen]] = column[chosen]

    def finish(self) -> None:
        """Write the last block and check that nothing is missing."""
        self._flush()
        short = self._seen != self._n_obs
        if np.any(short):
            row = int(np.argmax(short))
            raise ValueError(
                f"parcel {self._parcel_id[row]} has {self._seen[row]} observations, "
                f"its n_obs is {self._n_obs[row]}"
            )

    def _count(self, rows: NDArray[np.int64]) -> None:
        repeated = self._seen[np.unique(rows)] > 0
        if np.any(repeated):
            parcel = self._parcel_id[np.unique(rows)[np.argmax(repeated)]]
            raise ValueError(f"parcel {parcel} is in two chunks; each must hold whole trajectories")
        self._seen += np.bincount(rows, minlength=len(self._seen))
        if np.any(self._seen > self._n_obs):
            self.finish()

    def _open(self, block: int) -> None:
        if block == self._block:
            return
        if block < self._block:
            raise ValueError("chunks of observations are not in ascending order of parcel_id")
        self._flush()
        self._block = block
        size = min(BLOCK, len(self._parcel_id) - block * BLOCK)
        shape = (size, int(self._n_obs.max()))
        self._values = {
            variable.name: np.full(shape, variable.fill, dtype=variable.dtype)
            for variable in _TWO_DIMENSIONAL
        }

    def _flush(self) -> None:
        start = self._block * BLOCK
        for name, values in self._values.items():
            self._dataset[name][start : start + len(values), :] = values
        self._values = {}


def _columns(
    frame: pd.DataFrame, pass_index: NDArray[np.int64], geolocation: float
) -> dict[str, NDArray[np.generic]]:
    """Values (N,) of every two-dimensional variable."""
    xy: Float = frame[["x", "y"]].to_numpy(np.float64)
    places = lonlat(xy)
    source = frame["source_pass_index"].to_numpy(np.float64, na_value=np.nan)
    born = ~(source >= 0)
    known = np.where(born, pass_index[0] if len(pass_index) else 0, source).astype(np.int64)
    found: dict[str, NDArray[np.generic]] = {
        "time": frame["time"].to_numpy(np.float64),
        "lat": places[:, 1],
        "lon": places[:, 0],
        "x": xy[:, 0],
        "y": xy[:, 1],
        "x_standard_error": np.sqrt(frame["var_x"].to_numpy(np.float64)),
        "y_standard_error": np.sqrt(frame["var_y"].to_numpy(np.float64)),
        "xy_error_covariance": frame["cov_xy"].to_numpy(np.float64),
        "geolocation_standard_error": np.full(len(frame), geolocation),
        "correlation": frame["mcc"].to_numpy(np.float64),
        "peak_ratio": frame["peak_ratio"].to_numpy(np.float64),
        "rotation": frame["rotation"].to_numpy(np.float64),
        "q_flag": frame["q_flag"].to_numpy(np.int8),
        "image_index": position_of(
            frame["pass_index"].to_numpy(np.int64), pass_index, "pass_index"
        ),
        "source_image_index": np.where(
            born, -1, position_of(known, pass_index, "source_pass_index")
        ),
        "distance_to_coast": distance_to_coast(xy),
    }
    return found
