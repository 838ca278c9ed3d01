"""Trajectories in the two layouts of RGPS: the CSV in circulation and the binary ``.LP``.

Days are 1-based: day 1.0 is 1 January 00:00, day 305.0 is 1 November of a common year.
Positions are on EPSG:3411, the map of RGPS, in kilometres (binary) or metres (CSV).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice import __version__
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float, transform
from lagrangian_ice.output.exports_table import RGPS_CRS, Chosen
from lagrangian_ice.output.names import stream_letter
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.times import SECONDS_PER_DAY, from_seconds, to_seconds

CSV_COLUMNS = (
    *("IMAGE_ID", "STREAM", "IMAGE_YEAR", "IMAGE_TIME", "MAP_X", "MAP_Y", "GPID"),
    *("BIRTH_YEAR", "BIRTH_TIME", "DEATH_YEAR", "DEATH_TIME", "N_OBS", "OBS_YEAR"),
    *("OBS_TIME", "X_MAP", "Y_MAP", "LAT", "LON", "Q_FLAG"),
)

DESCRIPTION = "Lagrangian Ice Motion"
"""Readers tell the kind of product by it."""
SLOT = 0.003 * SECONDS_PER_DAY
"""Seconds that one image of the binary form may cover: readers find the image of an
observation by its time, to 0.002 days."""

BLOCK = 200_000
"""Rows of the CSV made at once."""

_DATE = [("year", ">i2"), ("time", ">f8")]
_HEADER = np.dtype(
    [
        ("product_id", "S24"),
        ("description", "S40"),
        ("n_images", ">i2"),
        ("n_trajectories", ">i4"),
        ("product_type", "S8"),
        *((f"{what}_{name}", kind) for what in ("create", "start", "end") for name, kind in _DATE),
        ("software_version", "S12"),
        ("corners", ">f4", (4, 2)),
    ]
)
_IMAGE = np.dtype([("id", "S16"), *_DATE, ("map_x", ">f8"), ("map_y", ">f8")])
_TRAJECTORY = np.dtype(
    [
        ("gpid", ">i4"),
        *((f"{what}_{name}", kind) for what in ("birth", "death") for name, kind in _DATE),
        ("n_obs", ">i4"),
    ]
)
_OBSERVATION = np.dtype([*_DATE, ("x", ">f8"), ("y", ">f8"), ("q_flag", ">i2")])


def year_and_day(seconds: ArrayLike) -> tuple[NDArray[np.int64], Float]:
    """Year and 1-based decimal day of year; -1 and -1.0 where the time is NaN.

    Parameters
    ----------
    seconds : (N,) array_like
        Seconds since 1970.
    """
    times = np.asarray(seconds, np.float64)
    known = np.isfinite(times)
    whole = np.floor(np.where(known, times, 0)).astype("int64").astype("datetime64[s]")
    year = whole.astype("datetime64[Y]")
    begin = year.astype("datetime64[s]").astype(np.int64)
    day = 1.0 + (np.where(known, times, 0) - begin) / SECONDS_PER_DAY
    return (
        np.where(known, year.astype(np.int64) + 1970, -1),
        np.where(known, day, -1.0),
    )


def write_rgps_csv(chosen: Chosen, out: Path, crs: str = RGPS_CRS) -> list[Path]:
    """Write one CSV a stream, ``<name>_LP.csv``, metres.

    ``IMAGE_ID`` is the pass; ``MAP_X, MAP_Y`` the mean of its observations.

    Raises
    ------
    ProductError
        If a file cannot be written.
    """
    written = []
    table, map_xy = chosen.observations, chosen.xy(crs)
    lonlat = chosen.lonlat()
    centre = _image_centres(table["image"].to_numpy(), map_xy, len(chosen.images))
    for stream in np.unique(table["stream"]):
        rows = np.flatnonzero(table["stream"].to_numpy() == stream)
        path = out / f"{rgps_name(chosen, int(stream))}_LP.csv"
        blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
        _write_csv(path, (_csv_lines(chosen, block, map_xy, lonlat, centre) for block in blocks))
        written.append(path)
    return written


def _csv_lines(
    chosen: Chosen, rows: NDArray[np.int64], map_xy: Float, lonlat: Float, centre: Float
) -> pd.DataFrame:
    table = chosen.observations.iloc[rows]
    parcels = chosen.parcels.loc[table["parcel_id"]]
    image = table["image"].to_numpy()
    image_year, image_day = year_and_day(chosen.images["time"].to_numpy()[image])
    birth_year, birth_day = year_and_day(parcels["birth_time"])
    death_year, death_day = year_and_day(parcels["death_time"])
    year, day = year_and_day(table["time"])
    letters = {int(s): stream_letter(int(s)) for s in table["stream"].unique()}
    columns = (
        chosen.images["pass_id"].str.replace(",", "_").to_numpy()[image],
        table["stream"].map(letters).to_numpy(),
        image_year,
        _day(image_day),
        _fixed(centre[image, 0], 4),
        _fixed(centre[image, 1], 4),
        table["parcel_id"].to_numpy(),
        birth_year,
        _day(birth_day),
        death_year,
        _day(death_day),
        parcels["exported"].to_numpy(),
        year,
        _day(day),
        _fixed(map_xy[rows, 0], 4),
        _fixed(map_xy[rows, 1], 4),
        _fixed(lonlat[rows, 1], 5),
        _fixed(lonlat[rows, 0], 5),
        table["q_flag"].to_numpy(),
    )
    return pd.DataFrame(dict(zip(CSV_COLUMNS, columns, strict=True)))


def _fixed(values: Float, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _day(values: Float) -> list[str]:
    """Days of the year to a tenth of a second, never one after the last: that is rounded down."""
    return _fixed(np.where(values > 0, np.floor(np.round(values * 1e9) / 1e3) / 1e6, values), 6)


def _write_csv(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(CSV_COLUMNS) + "\n")
        for block in blocks:
            block.to_csv(
                file, index=False, header=False, lineterminator="\n", quoting=csv.QUOTE_NONE
            )


def rgps_name(chosen: Chosen, stream: int) -> str:
    """Name ``R1001<stream><yy><ddd>001``: stream, year and day of its first observation.

    Raises
    ------
    ProductError
        If the stream has no single letter.
    """
    letter = stream_letter(stream)
    if len(letter) > 1:
        raise ProductError(f"stream {letter}: RGPS names streams by one letter, a to z")
    times = chosen.observations.loc[chosen.observations["stream"] == stream, "time"]
    year, day = year_and_day([times.min()])
    return f"R1001{letter}{year[0] % 100:02d}{int(day[0]):03d}001"


def _image_centres(image: NDArray[np.int64], xy: Float, count: int) -> Float:
    number = np.maximum(np.bincount(image, minlength=count), 1)
    means = [np.bincount(image, xy[:, axis], count) / number for axis in (0, 1)]
    return np.stack(means, axis=1)


def write_rgps_lp(chosen: Chosen, out: Path) -> list[Path]:
    """Write one binary ``.LP`` a stream: big-endian, unpadded, kilometres on EPSG:3411.

    A pass whose frames span more than :data:`SLOT` is more than one image here, each with its
    own time, because readers find an observation's image by its time.

    Raises
    ------
    ProductError
        If a file cannot be written or the layout's integers are too small for it.
    """
    written = []
    for stream in np.unique(chosen.observations["stream"]):
        rows = np.flatnonzero(chosen.observations["stream"].to_numpy() == stream)
        path = out / f"{rgps_name(chosen, int(stream))}.LP"
        with whole_file(path) as beside, beside.open("wb") as file:
            _write_lp(file, chosen, rows, path.stem)
        written.append(path)
    return written


def _write_lp(file: BinaryIO, chosen: Chosen, rows: NDArray[np.int64], name: str) -> None:
    table = chosen.observations.iloc[rows]
    km = chosen.xy(RGPS_CRS)[rows] / 1000.0
    images = _lp_images(chosen, table, km)
    parcel, first, counts = np.unique(
        table["parcel_id"].to_numpy(), return_index=True, return_counts=True
    )
    _check_fits(name, len(images), int(parcel.max()))
    file.write(_lp_header(table, km, name, len(images), len(parcel)).tobytes())
    file.write(images.tobytes())
    observations = np.zeros(len(table), _OBSERVATION)
    observations["year"], observations["time"] = year_and_day(table["time"])
    observations["x"], observations["y"] = km.T
    observations["q_flag"] = table["q_flag"]
    heads = np.zeros(len(parcel), _TRAJECTORY)
    lives = chosen.parcels.loc[parcel]
    heads["gpid"], heads["n_obs"] = parcel, counts
    for what in ("birth", "death"):
        heads[f"{what}_year"], heads[f"{what}_time"] = year_and_day(lives[f"{what}_time"])
    for head, begin, count in zip(heads, first, counts, strict=True):
        file.write(head.tobytes())
        file.write(observations[begin : begin + count].tobytes())


def _check_fits(name: str, images: int, largest: int) -> None:
    if images > np.iinfo(np.int16).max:
        raise ProductError(
            f"{name}.LP: {images} images, the layout holds 32767; export a shorter time"
        )
    if largest > np.iinfo(np.int32).max:
        raise ProductError(f"{name}.LP: parcel {largest} does not fit into the layout's 32 bits")


def _lp_images(chosen: Chosen, table: pd.DataFrame, km: Float) -> NDArray[np.void]:
    """One image for every slot of time of every pass."""
    time, image = table["time"].to_numpy(), table["image"].to_numpy()
    begin = table.groupby("image")["time"].transform("min").to_numpy()
    slot = ((time - begin) // SLOT).astype(np.int64)
    # one number for both: far quicker to sort than rows of two
    slots = int(slot.max()) + 1
    key, index = np.unique(image * slots + slot, return_inverse=True)
    index = index.reshape(-1)
    centre = _image_centres(index, km, len(key))
    low, high = np.full(len(key), np.inf), np.full(len(key), -np.inf)
    np.minimum.at(low, index, time)
    np.maximum.at(high, index, time)
    found = np.zeros(len(key), _IMAGE)
    names = _short_names(chosen.images["pass_id"].tolist())
    found["id"] = np.array([names[number].encode("ascii", "replace") for number in key // slots])
    found["year"], found["time"] = year_and_day((low + high) / 2)
    found["map_x"], found["map_y"] = centre.T
    return found


def _short_names(names: list[str]) -> list[str]:
    """Use the names if all fit into 16 characters, else their numbers."""
    if all(len(name) <= 16 for name in names):
        return names
    return [f"PASS{number:012d}" for number in range(len(names))]


def _lp_header(
    table: pd.DataFrame, km: Float, name: str, images: int, trajectories: int
) -> NDArray[np.void]:
    header = np.zeros(1, _HEADER)
    first, last = float(table["time"].min()), float(table["time"].max())
    values: dict[str, object] = {
        "product_id": name.encode(),
        "description": DESCRIPTION.encode(),
        "n_images": images,
        "n_trajectories": trajectories,
        "product_type": _season(first).encode(),
        "software_version": __version__.encode()[:12],
    }
    for what, seconds in {
        "create": to_seconds(datetime.now(UTC)),
        "start": first,
        "end": last,
    }.items():
        year, day = year_and_day([seconds])
        values |= {f"{what}_year": year[0], f"{what}_time": day[0]}
    (left, bottom), (right, top) = km.min(axis=0) * 1e3, km.max(axis=0) * 1e3
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
    values["corners"] = transform(corners, RGPS_CRS, "EPSG:4326")[:, ::-1]
    for key, value in values.items():
        header[key] = value
    return header


def _season(seconds: float) -> str:
    return "summer" if 5 <= from_seconds(seconds).month <= 9 else "winter"
