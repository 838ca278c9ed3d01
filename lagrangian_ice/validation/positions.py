"""Positions of buoys, from CSV or trajectory NetCDF, and between their fixes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float, lonlat_to_xy
from lagrangian_ice.tables import OUR_AGE, not_of_our_age, read_table, refuse_rows, times_of
from lagrangian_ice.times import SECONDS_PER_DAY

LONGEST_GAP = 3 * 3600.0
"""Seconds between two fixes beyond which nothing is interpolated."""
SUFFIXES = (".nc", ".nc4", ".cdf")

_NAMES = {
    "buoy": ("buoy", "buoy_id", "buoyid", "id", "name", "imei", "platform", "trajectory"),
    "time": ("time", "datetime", "date_time", "timestamp", "date"),
    "lon": ("lon", "longitude", "long"),
    "lat": ("lat", "latitude"),
}


def read_positions(path: Path) -> pd.DataFrame:
    """Read positions of drifting things.

    Parameters
    ----------
    path : Path
        CSV (also compressed) with a header row and columns for the buoy (``buoy``, ``id``,
        ``name``...), the time (``time``, ``datetime``...; ISO 8601, UTC) and ``longitude,
        latitude`` (or ``lon, lat``) in degrees or ``x, y`` in EPSG:3413 metres. Or NetCDF with
        CF trajectories: ``time``, ``lon``, ``lat`` over ``(trajectory, obs)``, over one
        dimension with a count variable (contiguous ragged), or of one buoy alone.

    Returns
    -------
    DataFrame
        ``buoy, time`` (seconds since 1970), ``x, y`` (EPSG:3413 metres), by buoy and time;
        fixes of one buoy at one time are kept once.

    Raises
    ------
    ProductError
        If the file cannot be read, lacks what is needed, holds no position in the north, or a
        time that is not of our age.
    """
    table = _from_netcdf(path) if path.suffix in SUFFIXES else _from_csv(path)
    _check_times(path, table)
    if not {"x", "y"} <= set(table):
        table = table[(table["lat"] > 0) & (table["lat"] <= 90) & table["lon"].notna()]
        xy = lonlat_to_xy(table[["lon", "lat"]].to_numpy(np.float64))
        table = table.assign(x=xy[:, 0], y=xy[:, 1])
    table = table[np.isfinite(table[["time", "x", "y"]].to_numpy(np.float64)).all(axis=1)]
    if table.empty:
        raise ProductError(f"{path}: holds no position in the northern hemisphere")
    table = table[["buoy", "time", "x", "y"]].drop_duplicates(["buoy", "time"])
    ordered: pd.DataFrame = table.sort_values(["buoy", "time"], ignore_index=True)
    return ordered


def _check_times(path: Path, table: pd.DataFrame) -> None:
    """Refuse fixes of years in which nobody measured."""
    wrong = table[not_of_our_age(table["time"].to_numpy(np.float64))]
    if len(wrong):
        when = np.datetime64(int(wrong["time"].iloc[0]), "s")
        raise ProductError(
            f"{path}: buoy {wrong['buoy'].iloc[0]}: time {when} is not {OUR_AGE}; correct it or "
            "leave the row out"
        )


def _from_csv(path: Path) -> pd.DataFrame:
    raw = read_table(path)
    columns = {str(name).strip().lower(): str(name) for name in raw.columns}
    found = {what: _first(names, columns) for what, names in _NAMES.items()}
    on_map = {"x", "y"} <= set(columns)
    needed = ["buoy", "time", *([] if on_map else ["lon", "lat"])]
    missing = [what for what in needed if found[what] is None]
    if missing:
        raise ProductError(
            f"{path}: columns {','.join(columns)}; there is none for {missing[0]} "
            f"(one of {', '.join(_NAMES[missing[0]])})"
        )
    refuse_rows(path, raw, raw[found["buoy"]].isna(), f"{found['buoy']} is empty")
    times = times_of(path, raw, str(found["time"]))
    table = pd.DataFrame({"buoy": raw[found["buoy"]].astype(str), "time": times})
    pairs = (("x", "x"), ("y", "y")) if on_map else (("lon", "lon"), ("lat", "lat"))
    for name, key in pairs:
        column = columns["x" if name == "x" else "y"] if on_map else found[key]
        table[name] = pd.to_numeric(raw[column], errors="coerce").to_numpy(np.float64)
    return table


def _first(names: Sequence[str], columns: dict[str, str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _from_netcdf(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ProductError(f"{path}: no such file")
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            return _tabulate(path, dataset)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProductError(f"{path}: not a readable NetCDF file ({reason})") from None


def _tabulate(path: Path, dataset: xr.Dataset) -> pd.DataFrame:
    found = {what: _variable(path, dataset, what) for what in ("time", "lon", "lat")}
    if _fixes_first(dataset, found["lat"], found["time"]):
        fixes, buoys = found["lat"].dims
        found = {
            what: one.transpose(buoys, fixes, ..., missing_dims="ignore")
            for what, one in found.items()
        }
    shape = found["lat"].shape
    time = found["time"].to_numpy()
    if found["lon"].shape != shape or time.shape not in (shape, shape[-1:]):
        described = ", ".join(f"{value.name} {value.dims}" for value in found.values())
        raise ProductError(
            f"{path}: {described}; buoys must be (trajectory, obs) or contiguous rows"
        )
    if not np.issubdtype(time.dtype, np.datetime64):
        raise ProductError(f"{path}: {found['time'].name} has no units of time")
    time = np.broadcast_to(time, shape) if time.ndim < len(shape) else time
    names = _buoy_of_row(path, dataset, found["lat"])
    seconds = time.astype("datetime64[us]").astype(np.int64) / 1e6
    seconds = np.where(np.isnat(time), np.nan, seconds)
    return pd.DataFrame(
        {
            "buoy": names,
            "time": seconds.ravel(),
            "lon": found["lon"].to_numpy().ravel(),
            "lat": found["lat"].to_numpy().ravel(),
        }
    )


def _fixes_first(dataset: xr.Dataset, latitude: xr.DataArray, time: xr.DataArray) -> bool:
    """Whether the dimension of the fixes stands before that of their buoys, by what is named."""
    if latitude.ndim != 2:
        return False
    first, last = latitude.dims
    of_buoys = [
        one.dims[0]
        for one in dataset.variables.values()
        if one.attrs.get("cf_role") == "trajectory_id" and one.ndim
    ]
    return last in of_buoys or (not of_buoys and time.dims == (first,))


def _variable(path: Path, dataset: xr.Dataset, what: str) -> xr.DataArray:
    standard = {"lon": "longitude", "lat": "latitude", "time": "time"}[what]
    for name in _NAMES[what]:
        if name in dataset.variables:
            return dataset[name]
    for key in dataset.variables:
        if dataset[key].attrs.get("standard_name") == standard:
            return dataset[key]
    raise ProductError(f"{path}: has no variable of {standard}")


def _buoy_of_row(path: Path, dataset: xr.Dataset, latitude: xr.DataArray) -> list[str]:
    if latitude.ndim == 2:
        rows, columns = latitude.shape
        ids = _ids(dataset, str(latitude.dims[0]), rows)
        return list(np.repeat(ids, columns))
    if latitude.ndim != 1:
        raise ProductError(f"{path}: {latitude.name} has {latitude.ndim} dimensions, not 1 or 2")
    for name in dataset.variables:
        if dataset[name].attrs.get("sample_dimension") == latitude.dims[0]:
            counts = dataset[name].to_numpy().astype(np.int64)
            ids = _ids(dataset, str(dataset[name].dims[0]), len(counts))
            return list(np.repeat(ids, counts))
    return [path.stem] * len(latitude)


def _ids(dataset: xr.Dataset, dimension: str, count: int) -> list[str]:
    for name in dataset.variables:
        if dataset[name].attrs.get("cf_role") == "trajectory_id" and dataset[name].shape == (
            count,
        ):
            return [
                value.decode() if isinstance(value, bytes) else str(value)
                for value in dataset[name].to_numpy()
            ]
    return [f"{dimension}_{number}" for number in range(count)]


class Tracks:
    """Buoys that can be asked where they were.

    Parameters
    ----------
    positions : DataFrame
        As :func:`read_positions` gives them.
    longest_gap : float
        Seconds between two fixes beyond which nothing is interpolated.

    Raises
    ------
    ValueError
        If there is no position.
    """

    def __init__(self, positions: pd.DataFrame, longest_gap: float = LONGEST_GAP) -> None:
        if positions.empty:
            raise ValueError("there is no position of a buoy")
        self._gap = longest_gap
        self._fixes = {
            str(name): part[["time", "x", "y"]].to_numpy(np.float64)
            for name, part in positions.groupby("buoy", sort=True)
        }

    @property
    def names(self) -> list[str]:
        """Names of the buoys."""
        return list(self._fixes)

    def at(self, name: str, time: Float) -> Float:
        """Positions (N, 2) of a buoy at times (N,), linear between fixes; NaN in gaps."""
        fixes = self._fixes[name]
        after = np.searchsorted(fixes[:, 0], time, side="left")
        exact = np.isin(time, fixes[:, 0])
        inside = (after > 0) & (after < len(fixes)) | exact
        last = np.clip(after, 0, len(fixes) - 1)
        first = np.where(exact, last, np.maximum(last - 1, 0))
        known = inside & (fixes[last, 0] - fixes[first, 0] <= self._gap)
        found = np.stack([np.interp(time, fixes[:, 0], fixes[:, axis]) for axis in (1, 2)], axis=1)
        return np.where(known[:, None], found, np.nan)


def season_of(time: Float) -> list[str]:
    """Season of times in seconds since 1970: DJF, MAM, JJA or SON."""
    days = np.floor(time / SECONDS_PER_DAY).astype("datetime64[D]")
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return [("DJF", "MAM", "JJA", "SON")[number % 12 // 3] for number in month]
