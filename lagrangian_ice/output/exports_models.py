"""Trajectories for the Python tools of modellers: pysida, mojito, sitrack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import MAP_CRS, Float
from lagrangian_ice.output.exports_table import NEXTSIM_CRS, Chosen
from lagrangian_ice.output.netcdf import new_file
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.times import TIME_UNITS, to_datetime64

FILL = -9999.0
"""What sitrack takes for missing."""


def write_pysida(chosen: Chosen, out: Path, name: str, crs: str = NEXTSIM_CRS) -> list[Path]:
    """Write the data frame that pysida reads, ``<name>_LP.df`` (a pickle).

    Columns: ``i`` number of the pass (pysida wants many common points of two ``i``, so it is
    the pass and not the frame), ``g`` parcel id, ``d`` true date of the pass (one for each
    ``i``), ``x, y`` metres on the model's map, ``q`` quality flag.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    table, xy = chosen.observations, chosen.xy(crs)
    dates = to_datetime64(chosen.images["time"].to_numpy(np.float64))
    image = table["image"].to_numpy(np.int64)
    frame = pd.DataFrame(
        {
            "i": image,
            "g": table["parcel_id"].to_numpy(np.int64),
            "d": dates[image],
            "x": xy[:, 0],
            "y": xy[:, 1],
            "q": table["q_flag"].to_numpy(np.int64),
        }
    ).sort_values(["i", "g"], ignore_index=True)
    path = out / f"{name}_LP.df"
    with whole_file(path) as beside:
        frame.to_pickle(beside, compression=None)
    return [path]


def write_mojito(chosen: Chosen, out: Path, name: str, crs: str = MAP_CRS) -> list[Path]:
    """Write the points that mojito reads, ``<name>_mojito.nc``; kilometres, all streams.

    mojito maps longitude and latitude with a WGS84 ellipsoid, standard parallel 70 N, 45 W
    down: EPSG:3413, the default here.

    Raises
    ------
    ProductError
        If the file cannot be written or there are too many streams for the layout.
    """
    table = chosen.observations
    stream = table["stream"].to_numpy(np.int64) + 1
    if stream.max() > np.iinfo(np.int8).max:
        raise ProductError(f"stream {stream.max() - 1}: mojito's layout holds 127 streams")
    km, lonlat = chosen.xy(crs) / 1e3, chosen.lonlat()
    columns = (
        ("time", "f8", table["time"].to_numpy(), TIME_UNITS, "time of the observation"),
        ("x", "f8", km[:, 0], "km", "x on the map of the attribute crs"),
        ("y", "f8", km[:, 1], "km", "y on the map of the attribute crs"),
        ("lon", "f8", lonlat[:, 0], "degrees_east", "longitude"),
        ("lat", "f8", lonlat[:, 1], "degrees_north", "latitude"),
        ("index", "i8", table["parcel_id"].to_numpy(), "", "identifier, unique over all streams"),
        ("idstream", "i1", stream, "", "stream; 1 is stream a"),
        ("q_flag", "i1", table["q_flag"].to_numpy(), "", "quality flag, lower is better"),
    )
    path = out / f"{name}_mojito.nc"
    with new_file(path) as dataset:
        dataset.createDimension("points", len(table))
        dataset.createDimension("streams", int(stream.max()))
        for key, kind, values, units, long_name in columns:
            _add(dataset, key, kind, ("points",), units, long_name)[:] = values
        _add(dataset, "streams", "i1", ("streams",), "", "existing streams")[:] = np.arange(
            1, stream.max() + 1
        )
        dataset["time"].calendar = "standard"
        dataset.setncatts({"title": "Lagrangian sea-ice trajectories", "crs": crs})
    return [path]


def write_sitrack(chosen: Chosen, out: Path, name: str, crs: str = MAP_CRS) -> list[Path]:
    """Write the cloud of buoys that sitrack seeds from, ``<name>_sitrack.nc``.

    One record a pass, in time order; where a parcel is not seen in it, ``mask`` is 0 and the
    positions are missing. ``time`` is the pass's mean, ``time_pos`` the parcel's own, both in
    whole seconds as the layout wants. sitrack maps the model's grid as mojito does, so the
    default is EPSG:3413.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    table = chosen.observations
    ids, column = np.unique(table["parcel_id"].to_numpy(np.int64), return_inverse=True)
    km, lonlat = chosen.xy(crs) / 1e3, chosen.lonlat()
    path = out / f"{name}_sitrack.nc"
    with new_file(path) as dataset:
        _define_sitrack(dataset, len(ids))
        dataset["buoy"][:] = np.arange(len(ids))
        dataset["id_buoy"][:] = ids
        values = {
            "latitude": lonlat[:, 1],
            # in single precision, as the file has it: what rounds up to 360 is 0
            "longitude": np.float32(lonlat[:, 0] % 360.0) % 360.0,
            "y_pos": km[:, 1],
            "x_pos": km[:, 0],
            "time_pos": np.rint(table["time"].to_numpy()),
            "mask": np.ones(len(table)),
        }
        order = np.argsort(table["image"].to_numpy(), kind="stable")
        bounds = np.searchsorted(table["image"].to_numpy()[order], np.arange(len(chosen.images)))
        for record, rows in enumerate(np.split(order, bounds[1:])):
            dataset["time"][record] = round(float(chosen.images["time"].iloc[record]))
            _write_record(dataset, record, column[rows], rows, values)
        dataset.setncatts(
            {"Origin": "lagrangian_ice", "About": "Lagrangian sea-ice drift", "crs": crs}
        )
    return [path]


def _define_sitrack(dataset: netCDF4.Dataset, buoys: int) -> None:
    dataset.createDimension("time", None)
    dataset.createDimension("buoy", buoys)
    both = ("time", "buoy")
    _add(dataset, "time", "i4", ("time",), TIME_UNITS, "mean time of the pass")
    _add(dataset, "buoy", "i4", ("buoy",), "", "number of the buoy in this file")
    _add(dataset, "id_buoy", "i8", ("buoy",), "", "identifier, unique over all streams")
    _add(dataset, "latitude", "f4", both, "degrees north", "latitude", FILL)
    _add(dataset, "longitude", "f4", both, "degrees east", "longitude, 0 to 360", FILL)
    _add(dataset, "y_pos", "f4", both, "km", "y on the map of the attribute crs", FILL)
    _add(dataset, "x_pos", "f4", both, "km", "x on the map of the attribute crs", FILL)
    _add(dataset, "time_pos", "i4", both, TIME_UNITS, "time of the position", FILL)
    _add(dataset, "mask", "i1", both, "", "1 where the buoy was seen, else 0")


def _write_record(
    dataset: netCDF4.Dataset,
    record: int,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: dict[str, Float],
) -> None:
    count = len(dataset.dimensions["buoy"])
    for key, all_values in values.items():
        row = np.full(count, 0.0 if key == "mask" else FILL)
        row[columns] = all_values[rows]
        dataset[key][record, :] = row


def _add(
    dataset: netCDF4.Dataset,
    name: str,
    kind: str,
    dimensions: tuple[str, ...],
    units: str,
    long_name: str,
    fill: float | None = None,
) -> Any:
    made = dataset.createVariable(name, kind, dimensions, zlib=True, complevel=4, fill_value=fill)
    if units:
        made.units = units
    made.long_name = long_name
    return made
