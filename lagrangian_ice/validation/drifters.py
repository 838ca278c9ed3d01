"""Drifters of neXtSIM, read from ``RGPS_Drifters_*.nc`` and asked where they were.

Faults of these files that are put right here: the units of longitude (degrees_north), times as
float32 days since 1900 (good to six minutes: taken to the nearest quarter of an hour, on which
the model writes), drifters that come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError, reason_of
from lagrangian_ice.grid import Float, lonlat_to_xy
from lagrangian_ice.times import SECONDS_PER_DAY

QUARTER = 900.0
"""Seconds."""
LONGEST_GAP = 1.01 * SECONDS_PER_DAY
"""Seconds between two outputs of the model beyond which nothing is interpolated."""
NEEDED = ("time", "longitude", "latitude", "index")


def read_drifters(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the model's drifters.

    Parameters
    ----------
    paths : sequence of Path
        ``RGPS_Drifters_*.nc`` of one run.

    Returns
    -------
    DataFrame
        ``parcel_id, time`` (seconds since 1970), ``x, y`` (EPSG:3413 metres), ``sic`` (NaN
        unknown), by parcel and time; equal rows of several files once.

    Raises
    ------
    ProductError
        If a file cannot be read, is not of this kind, or none holds a position.
    """
    parts = [_read_one(path) for path in paths]
    if not parts:
        raise ProductError("no model file is given; name at least one RGPS_Drifters_*.nc")
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise ProductError(f"{', '.join(map(str, paths))}: holds no drifter's position")
    table = table.drop_duplicates(["parcel_id", "time"])
    ordered: pd.DataFrame = table.sort_values(["parcel_id", "time"], ignore_index=True)
    return ordered


def _read_one(path: Path) -> pd.DataFrame:
    try:
        with netCDF4.Dataset(path) as dataset:
            missing = [name for name in NEEDED if name not in dataset.variables]
            if missing:
                raise ProductError(
                    f"{path}: not an RGPS_Drifters file of neXtSIM (it lacks {missing[0]})"
                )
            seconds = _times(path, dataset["time"])
            shape = dataset["longitude"].shape
            columns = {
                name: _plain(path, dataset[name], shape, len(seconds)) for name in NEEDED[1:]
            }
            columns["sic"] = (
                _plain(path, dataset["sic"], shape, len(seconds))
                if "sic" in dataset.variables
                else np.full_like(columns["index"], np.nan)
            )
    except OSError as error:
        raise ProductError(f"{path}: cannot be read ({reason_of(error)})") from None
    lon, lat, index = (columns[name] for name in NEEDED[1:])
    good = np.isfinite(lon) & np.isfinite(lat) & np.isfinite(index)
    good &= (lat > 0) & (lat <= 90) & (np.abs(lon) <= 360)
    # a record whose time was never written says nothing
    good &= np.isfinite(seconds)[:, None]
    record = np.broadcast_to(np.arange(len(seconds))[:, None], good.shape)[good]
    xy = lonlat_to_xy(np.stack([lon[good], lat[good]], axis=1))
    return pd.DataFrame(
        {
            "parcel_id": np.rint(index[good]).astype(np.int64),
            "time": seconds[record],
            "x": xy[:, 0],
            "y": xy[:, 1],
            "sic": columns["sic"][good],
        }
    )


def _plain(path: Path, variable: Any, shape: tuple[int, ...], records: int) -> Float:
    """Values (time, drifters), NaN where missing."""
    if variable.shape != shape or shape[:1] != (records,):
        raise ProductError(
            f"{path}: {variable.name} has the shape {variable.shape}, longitude {shape}, time "
            f"{(records,)}; RGPS_Drifters files of neXtSIM have a value a time and drifter"
        )
    values = np.ma.asarray(variable[:], dtype=np.float64).filled(np.nan)
    return np.asarray(values.reshape(records, -1) if records else values.reshape(0, 0))


def _times(path: Path, variable: Any) -> Float:
    units = str(getattr(variable, "units", ""))
    values = np.ma.asarray(variable[:], dtype=np.float64).filled(np.nan)
    try:
        moments = netCDF4.num2date(np.array([0.0, 1.0]), units, "standard")
    except ValueError:
        raise ProductError(f"{path}: time has the units {units!r}, not a time since") from None
    start, later = (
        np.datetime64(str(moment), "s").astype(np.int64) for moment in np.asarray(moments)
    )
    seconds = start + values * (later - start)
    coarse = variable.dtype == np.float32
    return np.asarray(np.rint(seconds / QUARTER) * QUARTER if coarse else seconds)


class ModelTracks:
    """The model's drifters, asked for many parcels and times at once.

    Parameters
    ----------
    drifters : DataFrame
        As :func:`read_drifters` gives them.
    """

    def __init__(self, drifters: pd.DataFrame) -> None:
        self._ids = np.unique(drifters["parcel_id"].to_numpy(np.int64))
        self._time = drifters["time"].to_numpy(np.float64)
        self._xy = drifters[["x", "y"]].to_numpy(np.float64)
        self.start, self.end = float(self._time.min()), float(self._time.max())
        # one ascending key of parcel and time; the span keeps parcels apart
        self._span = 4.0 * (self.end - self.start) + 4.0
        code = np.searchsorted(self._ids, drifters["parcel_id"].to_numpy(np.int64))
        self._code = code
        self._key = code * self._span + (self._time - self.start)

    def has(self, parcel_id: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether parcels (N,) are among the drifters."""
        return np.isin(parcel_id, self._ids)

    def at(self, parcel_id: NDArray[np.int64], time: Float) -> Float:
        """Positions (N, 2) of parcels at times (N,); NaN where the model has none."""
        code = np.minimum(np.searchsorted(self._ids, parcel_id), len(self._ids) - 1)
        inside = (time >= self.start) & (time <= self.end) & (self._ids[code] == parcel_id)
        key = code * self._span + np.where(inside, time - self.start, 0.0)
        after = np.minimum(np.searchsorted(self._key, key, side="left"), len(self._key) - 1)
        exact = (self._time[after] == time) & (self._code[after] == code)
        before = np.where(exact, after, np.maximum(after - 1, 0))
        inside &= (self._code[before] == code) & (self._code[after] == code)
        inside &= (self._time[before] <= time) & (time <= self._time[after])
        step = self._time[after] - self._time[before]
        inside &= step <= LONGEST_GAP
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(step > 0, (time - self._time[before]) / step, 0.0)
        moved = self._xy[after] - self._xy[before]
        found = self._xy[before] + share[:, None] * moved
        return np.where(inside[:, None], found, np.nan)
