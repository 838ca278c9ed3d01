"""Sea-ice concentration from CF NetCDF files: where there is ice that parcels can be on.

One file or many, of a day each or of many days: OSI SAF and the NSIDC climate data record are like
that. The variable is the first whose ``standard_name`` is ``sea_ice_area_fraction``. Its cells are
found from projected coordinates and their grid mapping, else from latitudes and longitudes. What
no cell tells (land, the pole's hole, flags) is unknown, not without ice.
"""

from __future__ import annotations

import glob
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import netCDF4
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from scipy.spatial import cKDTree

from lagrangian_ice.errors import SettingsError
from lagrangian_ice.grid import MAP_CRS, Float, lonlat_to_xy, transform
from lagrangian_ice.times import SECONDS_PER_DAY, TIME_UNITS

STANDARD_NAME = "sea_ice_area_fraction"
SOUTHERNMOST = 30.0
"""Degrees; cells further south are of no use here."""
_UNITS = {"1": 1.0, "": 1.0, "%": 0.01, "percent": 0.01}
_METRES = {"m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0}
_METRES |= {"km": 1e3, "kilometer": 1e3, "kilometre": 1e3, "kilometers": 1e3, "1000 meter": 1e3}

log = logging.getLogger(__name__)

Index = NDArray[np.int64]
Variable: TypeAlias = "netCDF4.Variable[Any]"


class Cells(Protocol):
    """Cells of a field."""

    def index(self, xy: Float) -> Index:
        """Cell (N,) that each map position (N, 2) is in, counted row by row; -1 outside."""


@dataclass(frozen=True)
class RegularCells:
    """Cells at regular projected coordinates: first centre, step and number along x and y."""

    crs: str
    first: tuple[float, float]
    step: tuple[float, float]
    size: tuple[int, int]

    def index(self, xy: Float) -> Index:
        """Cell (N,) that each map position (N, 2) is in, counted row by row; -1 outside."""
        there = transform(xy, MAP_CRS, self.crs)
        col, row = np.rint((there - self.first) / self.step).T
        inside = (col >= 0) & (row >= 0) & (col < self.size[0]) & (row < self.size[1])
        cell = np.full(len(xy), -1, dtype=np.int64)
        cell[inside] = (row * self.size[0] + col)[inside].astype(np.int64)
        return cell


class PlacedCells:
    """Cells of which only longitudes and latitudes are known.

    Parameters
    ----------
    lonlat : (M, 2) float64
        Centres, degrees.
    """

    def __init__(self, lonlat: Float) -> None:
        known = np.isfinite(lonlat).all(axis=1) & (lonlat[:, 1] > SOUTHERNMOST)
        self._cell = np.flatnonzero(known)
        self._tree = cKDTree(lonlat_to_xy(lonlat[known]))
        self._reach = 0.0
        if len(self._cell) > 1:
            # A corner of a square cell is 0.71 of its side from the centre.
            apart = np.asarray(self._tree.query(self._tree.data, k=2)[0])
            self._reach = float(np.median(apart[:, 1]))

    def index(self, xy: Float) -> Index:
        """Cell (N,) that each map position (N, 2) is in, counted row by row; -1 outside."""
        distance, place = self._tree.query(xy, distance_upper_bound=self._reach)
        cell = np.full(len(xy), -1, dtype=np.int64)
        near = np.isfinite(distance)
        cell[near] = self._cell[np.asarray(place)[near]]
        return cell


@dataclass(frozen=True)
class IceField:
    """Concentration at one time.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    cells : Cells
        Where the values are.
    values : (M,) float64
        0 to 1 for each cell; NaN where it is unknown.
    """

    time: float
    cells: Cells
    values: Float

    def at(self, xy: ArrayLike) -> Float:
        """Concentration (N,) at map positions (N, 2), of the cell; NaN where it is unknown."""
        cell = self.cells.index(np.asarray(xy, dtype=np.float64).reshape(-1, 2))
        return np.where(cell >= 0, self.values[np.maximum(cell, 0)], np.nan)


@dataclass(frozen=True)
class _Entry:
    """A field in a file: its time, and its place on the time axis."""

    time: float
    path: Path
    position: int


class Concentration:
    """Fields of many times; the one nearest to a moment is read when it is asked for.

    Parameters
    ----------
    source : str
        A file, a folder (searched for ``*.nc``), or a pattern such as ``/data/ice_*.nc``.
    limit_days : float
        A field further in time from what is asked for tells nothing.

    Attributes
    ----------
    failed : dict of str to str
        Files that could not be read, and why.

    Raises
    ------
    SettingsError
        If there is no file, or none that can be read.
    """

    def __init__(self, source: str, limit_days: float) -> None:
        self.failed: dict[str, str] = {}
        self._limit = limit_days * SECONDS_PER_DAY
        self._entries: list[_Entry] = []
        self._cells: dict[tuple[object, ...], Cells] = {}
        self._last: tuple[_Entry, IceField] | None = None
        for path in _files(source):
            try:
                self._entries += _entries(path)
            except (OSError, ValueError, RuntimeError) as error:
                self._give_up(path, error)
        if not self._entries:
            reason = next(iter(self.failed.values()), "no NetCDF file is there")
            raise SettingsError(
                f"parcels.ice_concentration = {source}: {reason}; "
                f"give CF NetCDF files with {STANDARD_NAME}"
            )
        self._entries.sort(key=lambda one: (one.time, str(one.path), one.position))

    def at(self, moment: float) -> IceField | None:
        """Field nearest to a moment (seconds since 1970; of two the earlier); None if none is."""
        near = [one for one in self._entries if abs(one.time - moment) <= self._limit]
        for entry in sorted(near, key=lambda one: abs(one.time - moment)):
            if str(entry.path) in self.failed:
                continue
            try:
                return self._read(entry)
            except (OSError, ValueError, RuntimeError) as error:
                self._give_up(entry.path, error)
        return None

    def _read(self, entry: _Entry) -> IceField:
        if self._last is None or self._last[0] != entry:
            with netCDF4.Dataset(entry.path) as dataset:
                variable = _variable(dataset)
                whole = variable[entry.position] if variable.ndim == 3 else variable[:]
                cells = self._cells_of(dataset, variable)
                values = _fractions(whole, variable)
            self._last = entry, IceField(entry.time, cells, values)
        return self._last[1]

    def _cells_of(self, dataset: netCDF4.Dataset, variable: Variable) -> Cells:
        """Cells of a file; those of files with the same grid are made once."""
        regular = _regular(dataset, variable)
        if regular is not None:
            return regular
        lonlat = _lonlat(dataset, variable)
        name = (lonlat.shape, hash(lonlat.tobytes()))
        if name not in self._cells:
            self._cells[name] = PlacedCells(lonlat)
        return self._cells[name]

    def _give_up(self, path: Path, error: Exception) -> None:
        reason = f"{path}: {' '.join(str(error).split())}"
        log.warning("concentration left out: %s", reason)
        self.failed[str(path)] = reason


def _files(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        return sorted(path.rglob("*.nc"))
    if path.is_file():
        return [path]
    return sorted(Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207


def _entries(path: Path) -> list[_Entry]:
    """List the fields of a file.

    Raises
    ------
    ValueError
        If it holds no concentration with a time.
    """
    with netCDF4.Dataset(path) as dataset:
        variable = _variable(dataset)
        times = _times(dataset, variable)
    return [_Entry(time, path, position) for position, time in enumerate(times)]


def _variable(dataset: netCDF4.Dataset) -> Variable:
    for variable in dataset.variables.values():
        if getattr(variable, "standard_name", "") == STANDARD_NAME:
            if variable.ndim not in (2, 3):
                raise ValueError(f"{variable.name} has {variable.ndim} dimensions; 2 or 3 are read")
            return variable
    raise ValueError(f"no variable has the standard_name {STANDARD_NAME}")


def _times(dataset: netCDF4.Dataset, variable: Variable) -> list[float]:
    names = [*variable.dimensions[:-2], *getattr(variable, "coordinates", "").split(), "time"]
    for name in names:
        axis = dataset.variables.get(name)
        if axis is None or " since " not in getattr(axis, "units", ""):
            continue
        values = np.ma.filled(np.ma.asarray(axis[:], dtype=np.float64), np.nan).reshape(-1)
        if len(values) != (variable.shape[0] if variable.ndim == 3 else 1):
            continue
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has missing values")
        dates = netCDF4.num2date(values, axis.units, getattr(axis, "calendar", "standard"))
        seconds = netCDF4.date2num(dates, TIME_UNITS, calendar="standard")
        return [float(one) for one in np.atleast_1d(seconds)]
    raise ValueError(f"{variable.name} has no time")


def _fractions(whole: ArrayLike, variable: Variable) -> Float:
    units = str(getattr(variable, "units", "")).strip()
    if units not in _UNITS:
        raise ValueError(f"units {units!r} of {variable.name} are neither 1 nor %")
    values = np.ma.filled(np.ma.asarray(whole, dtype=np.float64), np.nan).reshape(-1)
    values = values * _UNITS[units]
    # Flags for land and the like lie outside.
    return np.where((values >= 0) & (values <= 1.005), values, np.nan)


def _regular(dataset: netCDF4.Dataset, variable: Variable) -> RegularCells | None:
    """Cells of projected coordinates; None where they or their projection are not told."""
    mapping = str(getattr(variable, "grid_mapping", "")).split(":")[0].strip()
    holder = dataset.variables.get(mapping)
    axes = [
        _coordinate(dataset, dimension, axis)
        for dimension, axis in zip(variable.dimensions[:-3:-1], "xy", strict=True)
    ]
    if holder is None or None in axes:
        return None
    try:
        crs = CRS.from_cf({name: holder.getncattr(name) for name in holder.ncattrs()})
    except (CRSError, KeyError, ValueError):
        return None
    if not crs.is_projected:
        return None
    x, y = (_axis(axis) for axis in axes if axis is not None)
    return RegularCells(crs.to_wkt(), (x[0], y[0]), (x[1], y[1]), (int(x[2]), int(y[2])))


def _coordinate(dataset: netCDF4.Dataset, dimension: str, axis: str) -> Variable | None:
    """Projected coordinate of a dimension: of its name, or as the NSIDC names it (``xgrid(x)``)."""
    named = dataset.variables.get(dimension)
    if named is not None:
        return named
    standard = f"projection_{axis}_coordinate"
    for variable in dataset.variables.values():
        same = variable.dimensions == (dimension,)
        if same and getattr(variable, "standard_name", "") == standard:
            return variable
    return None


def _axis(axis: Variable) -> tuple[float, float, int]:
    """First value and step, metres, and length of a coordinate."""
    units = str(getattr(axis, "units", "")).strip()
    if units not in _METRES:
        raise ValueError(f"units {units!r} of {axis.name} are neither m nor km")
    values = np.ma.filled(np.ma.asarray(axis[:], dtype=np.float64), np.nan) * _METRES[units]
    steps = np.diff(values)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-3, atol=0):
        raise ValueError(f"{axis.name} is not regular")
    return float(values[0]), float((values[-1] - values[0]) / len(steps)), len(values)


def _lonlat(dataset: netCDF4.Dataset, variable: Variable) -> Float:
    """Longitudes and latitudes (M, 2) of the cells, row by row."""
    lon, lat = (_degrees(dataset, name) for name in ("longitude", "latitude"))
    if lon is None or lat is None:
        raise ValueError(
            f"{variable.name} has neither projected coordinates with a grid mapping nor "
            "latitudes and longitudes"
        )
    if lon.ndim == lat.ndim == 1:
        lon, lat = np.meshgrid(lon, lat)
    if lon.shape != variable.shape[-2:] or lat.shape != variable.shape[-2:]:
        raise ValueError(f"latitudes and longitudes are not those of {variable.name}")
    return np.stack([lon.reshape(-1), lat.reshape(-1)], axis=-1)


def _degrees(dataset: netCDF4.Dataset, name: str) -> Float | None:
    for variable in dataset.variables.values():
        if getattr(variable, "standard_name", "") == name or variable.name == name:
            return np.ma.filled(np.ma.asarray(variable[:], dtype=np.float64), np.nan)
    return None
