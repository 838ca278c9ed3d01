"""Drifters for neXtSIM: text of ``year month day hour number lat lon``, one header line.

The model reads positions at whole hours only. These two exports alone are interpolated in time
(linearly on the map, between a parcel's two nearest observations), and their header says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float, xy_to_lonlat
from lagrangian_ice.output.exports_table import Chosen
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.times import (
    ALWAYS,
    MOMENT,
    SECONDS_PER_DAY,
    Window,
    from_seconds,
    iso,
    to_datetime64,
)

HOUR = 3600.0
INPUT_STEP = 12 * HOUR
"""neXtSIM reads the IABP file again this often."""
LONGEST_GAP = 4 * SECONDS_PER_DAY
"""Seconds between two observations beyond which nothing is interpolated."""
BLOCK = 14
"""Times written at once."""
SEED_WINDOW = 3 * SECONDS_PER_DAY
HEADER = (
    "year month day hour number lat lon (number: parcel id; lat lon: WGS84 degrees, interpolated "
    "linearly in time between observations at most 4 days apart to whole hours UTC by "
    "lagrangian_ice; no observation has these times)"
)


def write_nextsim_rgps(chosen: Chosen, out: Path, window: Window = ALWAYS) -> list[Path]:
    """Write ``RGPS_<init time>.txt``: where the parcels are at the model's initial time.

    Parameters
    ----------
    chosen : Chosen
        Observations.
    out : Path
        Folder.
    window : Window
        Its start is the initial time, a whole hour. Where it has none: the first midnight three
        days after the first observation (the parcels of a seeding are then born); where the
        record, or the window, ends before it, the whole hour with most parcels.

    Raises
    ------
    ProductError
        If the time is not a whole hour, no parcel is observed both before and after it, an id
        does not fit into 32 bits, or the file cannot be written.
    """
    moment = window.start if math.isfinite(window.start) else _initial_time(chosen, window)
    if moment % HOUR:
        raise ProductError(
            f"initial time {iso(moment)}: neXtSIM takes whole hours only; give --start as one"
        )
    places = positions_at(chosen, np.array([moment]))
    day = from_seconds(moment)
    name = day.strftime("%Y-%m-%d") + (f"_{day.hour:02d}" if day.hour else "")
    path = out / f"RGPS_{name}.txt"
    _write(path, [places], _if_none(chosen, iso(moment)))
    return [path]


def write_nextsim_iabp(chosen: Chosen, out: Path, name: str, window: Window = ALWAYS) -> list[Path]:
    """Write ``IABP_<name>.txt``: positions every 12 hours; parcels appear and vanish as listed.

    Parameters
    ----------
    chosen : Chosen
        Observations, those around the window too.
    out : Path
        Folder.
    name : str
        Of the export.
    window : Window
        Of the times that are interpolated to.

    Raises
    ------
    ProductError
        If no parcel is observed around such a time, an id does not fit into 32 bits, or the
        file cannot be written.
    """
    times = chosen.observations["time"]
    first = math.ceil(times.min() / INPUT_STEP) * INPUT_STEP
    moments = np.arange(first, times.max() + 1e-3, INPUT_STEP)
    moments = moments[window.holds(moments)]
    blocks = (
        positions_at(chosen, moments[begin : begin + BLOCK])
        for begin in range(0, len(moments), BLOCK)
    )
    path = out / f"IABP_{name}.txt"
    _write(path, blocks, _if_none(chosen, "a time of 00 or 12 UTC that is asked for"))
    return [path]


def _if_none(chosen: Chosen, moment: str) -> str:
    """Say that nothing can be interpolated to a moment."""
    first, last = (iso(chosen.observations["time"].agg(end)) for end in ("min", "max"))
    return (
        f"no parcel is observed both before and after {moment}; observations go from {first} to "
        f"{last}"
    )


def _initial_time(chosen: Chosen, window: Window) -> float:
    times = chosen.observations["time"]
    midnight = math.ceil((times.min() + SEED_WINDOW) / SECONDS_PER_DAY) * SECONDS_PER_DAY
    last = min(times.max(), window.end - MOMENT)
    if midnight <= last and len(positions_at(chosen, np.array([midnight]))):
        return float(midnight)
    hours = np.arange(math.ceil(times.min() / HOUR) * HOUR, min(last, midnight) + MOMENT / 2, HOUR)
    found, counts = np.unique(positions_at(chosen, hours)["time"], return_counts=True)
    return float(found[counts.argmax()]) if len(found) else float(midnight)


def positions_at(chosen: Chosen, moments: Float) -> pd.DataFrame:
    """Parcels interpolated to moments, where observations at most 4 days apart embrace them.

    Parameters
    ----------
    chosen : Chosen
        Observations.
    moments : (T,) float64
        Seconds since 1970, ascending.

    Returns
    -------
    DataFrame
        ``time, parcel_id, x, y`` by time and parcel; EPSG:3413 metres.
    """
    table = chosen.observations
    ids, time = table["parcel_id"].to_numpy(), table["time"].to_numpy()
    joined = ids[1:] == ids[:-1]
    joined &= np.diff(time) <= LONGEST_GAP
    left = np.flatnonzero(joined)
    # each segment holds its start; its end belongs to the next one, if there is one
    begin = np.searchsorted(moments, time[left], side="left")
    continued = np.zeros(len(left), bool)
    continued[:-1] = left[1:] == left[:-1] + 1
    after = time[left + 1]
    stop = np.where(
        continued,
        np.searchsorted(moments, after, side="left"),
        np.searchsorted(moments, after, side="right"),
    )
    segment = np.repeat(np.arange(len(left)), stop - begin)
    within = np.arange(len(segment)) - np.repeat(
        np.cumsum(stop - begin) - (stop - begin), stop - begin
    )
    at = moments[begin[segment] + within]
    row = left[segment]
    share = (at - time[row]) / (time[row + 1] - time[row])
    found = {"time": at, "parcel_id": ids[row]}
    for axis in ("x", "y"):
        values = table[axis].to_numpy()
        found[axis] = values[row] + share * (values[row + 1] - values[row])
    return pd.DataFrame(found).sort_values(["time", "parcel_id"], ignore_index=True)


def _write(path: Path, blocks: Iterable[pd.DataFrame], if_none: str) -> None:
    """Write blocks of positions; without any, no file but an error."""
    with whole_file(path) as beside, beside.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"{HEADER}\n")
        rows = 0
        for places in blocks:
            file.writelines(_lines(places))
            rows += len(places)
        if not rows:
            raise ProductError(if_none)


def _lines(places: pd.DataFrame) -> Iterator[str]:
    if places.empty:
        return
    largest = int(places["parcel_id"].max())
    if largest > np.iinfo(np.int32).max:
        raise ProductError(f"parcel {largest} does not fit into neXtSIM's 32-bit numbers")
    lonlat = xy_to_lonlat(places[["x", "y"]].to_numpy(np.float64))
    dates = pd.DatetimeIndex(to_datetime64(places["time"].to_numpy(np.float64)))
    columns = (dates.year, dates.month, dates.day, dates.hour, places["parcel_id"], *lonlat.T[::-1])
    for year, month, day, hour, number, lat, lon in zip(*columns, strict=True):
        yield f"{year} {month} {day} {hour} {number} {lat:.7f} {lon:.7f}\n"
