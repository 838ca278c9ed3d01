"""Points of one pair in, its vectors out: the CSV tables that ``track`` reads and writes."""

from __future__ import annotations

import csv
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError, SceneError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.grid import HEMISPHERE, Float, lonlat_to_xy
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.times import iso

COLUMNS = (
    *("x0", "y0", "x1", "y1", "sigma_x", "sigma_y", "cov_xy"),
    *("mcc", "peak_ratio", "rotation", "status", "time0", "time1"),
)
_OF_EVERY_POINT = ("x0", "y0", "status", "time0")
_POSITION_COLUMNS = (("x", "y"), ("x0", "y0"), ("lon", "lat"))
MOST_POINTS = 10_000_000
LONGEST_LINE = 65_536
"""Characters; more is no table of points."""
FURTHEST = {**dict.fromkeys(("x", "y", "x0", "y0"), HEMISPHERE), "lon": 360.0, "lat": 90.0}
"""Largest value of a column: the equator is 12.4e6 m from the pole on the map."""


def read_points(path: Path) -> Float:
    """Positions (N, 2) in EPSG:3413 metres from a CSV file.

    Parameters
    ----------
    path : Path
        With a header row and columns ``x,y`` (or ``x0,y0``) in EPSG:3413 metres or
        ``lon,lat`` in degrees; other columns are left alone. It may be a pipe.

    Raises
    ------
    ProductError
        If the file cannot be read, lacks the columns, has no rows or more than ten million,
        or a value is not a number on the map (the row is named; the header is row 1).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
                raise ProductError(f"{path}: is a device, not a file; give a CSV of points")
            reader = csv.DictReader(_lines(path, file), skipinitialspace=True)
            names = _position_columns(path, reader.fieldnames or ())
            rows = list(_positions(path, reader, names))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = reason_of(error)
        raise ProductError(f"{path}: cannot be read as CSV ({reason})") from None
    if not rows:
        raise ProductError(f"{path}: holds no points, only the header")
    values = np.array(rows, dtype=np.float64)
    return lonlat_to_xy(values) if names == ("lon", "lat") else values


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """Lines of the file: neither so long nor so many that they fill the memory."""
    for row in range(1, MOST_POINTS + 2):
        line = file.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise ProductError(f"{path}: row {row} is longer than {LONGEST_LINE} characters")
        if not line:
            return
        yield line
    if file.read(1):
        raise ProductError(f"{path}: has more than {MOST_POINTS} rows; give fewer points")


def _position_columns(path: Path, found: object) -> tuple[str, str]:
    columns = [str(name).strip() for name in list(found)] if isinstance(found, list | tuple) else []
    for names in _POSITION_COLUMNS:
        if set(names) <= set(columns):
            return names
    raise ProductError(
        f"{path}: columns {', '.join(columns) or 'none'}; points need x,y (EPSG:3413 metres) "
        "or lon,lat"
    )


def _positions(
    path: Path, reader: csv.DictReader[str], names: tuple[str, str]
) -> Iterator[tuple[float, float]]:
    for row in reader:
        named = {str(key).strip(): value for key, value in row.items()}
        first, second = (_number(path, reader.line_num, name, named[name]) for name in names)
        if names == ("lon", "lat") and second <= 0:
            raise ProductError(f"{path}: row {reader.line_num}: lat {second} is not in the north")
        yield first, second


def _number(path: Path, row: int, name: str, text: object) -> float:
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ProductError(f"{path}: row {row}: {name} = {str(text)[:40]!r} is not a finite number")
    if abs(value) > FURTHEST[name]:
        most = f"{FURTHEST[name]:.0f} {'degrees' if name in ('lon', 'lat') else 'm'}"
        raise ProductError(f"{path}: row {row}: {name} {value} is not between -{most} and {most}")
    return value


def grid_points(bounds: tuple[float, float, float, float], spacing: float) -> Float:
    """Positions (N, 2) at whole multiples of ``spacing`` inside the bounds, row by row.

    Raises
    ------
    ValueError
        If the spacing is not positive or gives more than ten million points.
    SceneError
        If no point lies inside.
    """
    if not spacing > 0:
        raise ValueError(f"spacing {spacing} m is not positive")
    xmin, ymin, xmax, ymax = bounds
    cols = np.arange(math.ceil(xmin / spacing), math.floor(xmax / spacing) + 1)
    rows = np.arange(math.ceil(ymin / spacing), math.floor(ymax / spacing) + 1)
    if len(cols) * len(rows) > MOST_POINTS:
        raise ValueError(f"spacing {spacing} m gives {len(cols) * len(rows)} points; use a wider")
    if not (len(cols) and len(rows)):
        raise SceneError(f"spacing {spacing:g} m: no grid point lies inside both scenes")
    x, y = np.meshgrid(cols * spacing, rows * spacing)
    return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float64)


def write_vectors_csv(path: Path, vectors: Vectors) -> None:
    """Write one row for each vector, in order; what is not known is empty.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    texts = [_texts(name, column) for name, column in columns_of(vectors).items()]
    try:
        with in_place(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(zip(*texts, strict=True))
    except OSError as error:
        raise ProductError(f"{path}: cannot be written ({reason_of(error)})") from None


def columns_of(vectors: Vectors) -> dict[str, NDArray[np.generic]]:
    """Columns (N,) that ``track`` writes of vectors, by name.

    What goes with an end is NaN where nothing is tracked.
    """
    (x0, y0), (x1, y1), covariance = vectors.xy0.T, vectors.xy1.T, vectors.covariance
    values = (
        *(x0, y0, x1, y1, np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])),
        *(covariance[:, 0, 1], vectors.mcc, vectors.peak_ratio, vectors.rotation),
        *(vectors.status, vectors.time0, vectors.time1),
    )
    return {
        name: column if name in _OF_EVERY_POINT else np.where(vectors.tracked, column, np.nan)
        for name, column in zip(COLUMNS, values, strict=True)
    }


def _texts(name: str, column: NDArray[np.generic]) -> list[str]:
    """Values of a column as they stand in the CSV."""
    if name == "status":
        return [Status(value).name.lower() for value in column.tolist()]
    text = iso if name in ("time0", "time1") else repr
    return [text(value) if math.isfinite(value) else "" for value in column.tolist()]
