"""Drift vectors of another tracker as a trajectory file, so that everything here takes them."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError
from lagrangian_ice.files import check_output
from lagrangian_ice.grid import HEMISPHERE, Float, lonlat_to_xy
from lagrangian_ice.output.attributes import Header, identifier_of
from lagrangian_ice.output.trajectories import write_trajectories
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.settings import Settings
from lagrangian_ice.tables import quoted, read_table, refuse_rows, times_of
from lagrangian_ice.times import from_seconds

ROUNDING = 1e-3
"""Share by which a covariance that was written with few digits may be too large."""

_TIMES = (("t0", "t1"), ("time0", "time1"))
_NAN_IF_ABSENT = {
    "mcc": ("mcc", "ccorr", "correlation"),
    "peak_ratio": ("peak_ratio",),
    "rotation": ("rotation",),
    "sigma_x": ("sigma_x",),
    "sigma_y": ("sigma_y",),
    "cov_xy": ("cov_xy",),
}


def import_vectors(source: Path, out: Path) -> int:
    """Make a trajectory file ``_LP.nc`` from a CSV of drift vectors.

    Each vector becomes a parcel of two observations; vectors are not joined. Each distinct
    time becomes an image.

    Parameters
    ----------
    source : Path
        CSV, also compressed (``.gz``), with a header row and the columns ``t0, t1`` (or
        ``time0, time1``; ISO 8601, UTC) and ``x0, y0, x1, y1`` (EPSG:3413 metres) or
        ``lon0, lat0, lon1, lat1`` (degrees). Taken where present: ``mcc`` (or ``ccorr``),
        ``peak_ratio``, ``rotation``, ``sigma_x, sigma_y, cov_xy`` (of the displacement,
        metres), ``status`` (rows that are not ``tracked`` are left out). What ``track``
        writes can be read.
    out : Path
        File to write; appears only when complete.

    Returns
    -------
    int
        Number of vectors.

    Raises
    ------
    ProductError
        If the CSV cannot be read, lacks a column, holds no vector or a wrong value, or the
        file cannot be written or is the CSV itself.
    """
    check_output(out, [source])
    table = _read(source)
    passes = _passes(table)
    parcels, observations = _records(table, passes["time"].to_numpy(np.float64))
    header = Header(Settings(), history=f"lagrangian-ice import vectors {source.name}")
    with whole_file(out) as beside:
        write_trajectories(beside, header, passes, parcels, [observations])
        _tell_origin(beside, out, source)
    return len(table)


def _read(source: Path) -> pd.DataFrame:
    raw = read_table(source)
    if "status" in raw:
        raw = raw[raw["status"] == "tracked"]
    if raw.empty:
        raise ProductError(f"{source}: holds no vector")
    begin, end = _columns_of(source, raw, _TIMES)
    places = _columns_of(source, raw, (("x0", "y0", "x1", "y1"), ("lon0", "lat0", "lon1", "lat1")))
    table = pd.DataFrame(_places(source, raw, places), raw.index, ["x0", "y0", "x1", "y1"])
    table["time0"], table["time1"] = times_of(source, raw, begin), times_of(source, raw, end)
    for name, columns in _NAN_IF_ABSENT.items():
        found = [column for column in columns if column in raw]
        table[name] = _numbers(source, raw, found[0], True) if found else np.nan
    refuse_rows(source, raw, table["time1"] <= table["time0"], f"{end} is not after {begin}")
    for name in ("sigma_x", "sigma_y"):
        refuse_rows(source, raw, table[name] < 0, f"{name} is negative")
    most = table["sigma_x"] * table["sigma_y"] * (1 + ROUNDING)
    refuse_rows(
        source, raw, table["cov_xy"].abs() > most, "cov_xy is more than sigma_x times sigma_y"
    )
    return table.reset_index(drop=True)


def _places(source: Path, raw: pd.DataFrame, names: tuple[str, ...]) -> Float:
    """Project starts and ends (N, 4) to EPSG:3413 metres."""
    values = np.stack([_numbers(source, raw, name) for name in names], axis=1).reshape(-1, 2, 2)
    if names[0] == "lon0":
        wrong = (values[..., 1] <= 0) | (values[..., 1] > 90) | (np.abs(values[..., 0]) > 360)
        told = "longitude and latitude are not of a place in the northern hemisphere"
        refuse_rows(source, raw, wrong.any(axis=1), told)
        values = lonlat_to_xy(values)
    wrong = np.hypot(values[..., 0], values[..., 1]) > HEMISPHERE
    told = "x and y are not EPSG:3413 metres of a place in the northern hemisphere"
    refuse_rows(source, raw, wrong.any(axis=1), told)
    return values.reshape(-1, 4)


def _columns_of(
    source: Path, raw: pd.DataFrame, choices: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    for names in choices:
        if set(names) <= set(raw.columns):
            return names
    wanted = " or ".join(",".join(names) for names in choices)
    raise ProductError(
        f"{source}: columns {','.join(map(str, raw.columns))}; vectors need {wanted}"
    )


def _numbers(source: Path, raw: pd.DataFrame, name: str, may_miss: bool = False) -> Float:
    values = pd.to_numeric(raw[name], errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(values) & (raw[name].notna().to_numpy() | (not may_miss))
    refuse_rows(source, raw, wrong, f"{name} = {quoted(raw[name], wrong)} is not a number")
    return values


def _passes(table: pd.DataFrame) -> pd.DataFrame:
    times = np.unique(table[["time0", "time1"]].to_numpy(np.float64))
    names = [f"image_{from_seconds(time):%Y%m%dT%H%M%S_%f}" for time in times]
    return pd.DataFrame(
        {
            "pass_index": np.arange(len(times)),
            "pass_id": names,
            "time": times,
            "start": times,
            "stop": times,
            "platform": "",
            "orbit": -1,
            "polarisations": "",
            "scene_ids": [()] * len(times),
        }
    )


def _records(table: pd.DataFrame, times: Float) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = np.arange(len(table), dtype=np.int64) + 1
    parcels = pd.DataFrame(
        {
            "parcel_id": ids,
            "stream": 0,
            # not seeded on a grid
            "seed_row": -1,
            "seed_col": -1,
            "birth_time": table["time0"],
            "death_time": np.nan,
            "end_reason": 0,
            "n_obs": 2,
        }
    )
    rows = pd.concat([_observations(table, ids, times, end) for end in (0, 1)])
    return parcels, rows.sort_values(["parcel_id", "time"], ignore_index=True)


def _observations(
    table: pd.DataFrame, ids: NDArray[np.int64], times: Float, end: int
) -> pd.DataFrame:
    index = [np.searchsorted(times, table[f"time{number}"]) for number in (0, 1)]
    later = np.where(end == 1, 1.0, np.nan)
    return pd.DataFrame(
        {
            "parcel_id": ids,
            "pass_index": index[end],
            "time": table[f"time{end}"],
            "x": table[f"x{end}"],
            "y": table[f"y{end}"],
            "var_x": table["sigma_x"] ** 2 if end else 0.0,
            "var_y": table["sigma_y"] ** 2 if end else 0.0,
            "cov_xy": table["cov_xy"] if end else 0.0,
            "mcc": table["mcc"] * later,
            "peak_ratio": table["peak_ratio"] * later,
            "rotation": table["rotation"] * later,
            "q_flag": 0,
            "source_pass_index": index[0] if end else -1,
        }
    )


def _tell_origin(part: Path, out: Path, source: Path) -> None:
    """Correct the attributes that speak of our own tracking."""
    with netCDF4.Dataset(part, "a") as dataset:
        dataset.title = f"Drift vectors imported from {source.name}"
        dataset.summary = "Every trajectory is one drift vector: its start and its end."
        dataset.source = f"drift vectors in {source.name}"
        dataset.comment = (
            "Not tracked by lagrangian_ice. Errors are those of the input, missing where it has "
            "none; q_flag was not evaluated."
        )
        dataset.id = identifier_of(out)
        for name in ("settings", "weights_sha256", "input_scenes", "number_of_input_scenes"):
            if name in dataset.ncattrs():
                dataset.delncattr(name)
        # nobody told it
        dataset["geolocation_standard_error"][:] = np.nan
