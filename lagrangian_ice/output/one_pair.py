"""The vectors of one pair as CF NetCDF: what ``track`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import time

from lagrangian_ice import __version__
from lagrangian_ice.grid import xy_to_lonlat
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.output.netcdf import define, new_file
from lagrangian_ice.output.variables import PAIRS, Product, Variable
from lagrangian_ice.points import COLUMNS, columns_of
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import iso

_TOLD_AS = {
    "sigma_x": ("x_standard_error", "standard error of the displacement along x"),
    "sigma_y": ("y_standard_error", "standard error of the displacement along y"),
    "cov_xy": ("xy_error_covariance", "covariance of the errors of the displacement"),
}
"""Columns of ``track`` that have another name in the product of all pairs, and what they are."""


def _column(name: str) -> Variable:
    """Declare a column as it is declared for all pairs, in full precision."""
    if name in _TOLD_AS:
        told, long_name = _TOLD_AS[name]
        known = replace(PAIRS.variable(told), long_name=long_name)
    else:
        known = PAIRS.variable(name)
    if name == "status":
        # Of what is not tracked nothing is written here, also where a match was rejected.
        comment = "Only a tracked vector has an end and what goes with it."
        return replace(known, dimensions=("point",), comment=comment)
    return replace(known, name=name, dtype="f8", dimensions=("point",))


_ONE_PAIR = Product(
    "",
    "Sea-ice displacement between two scenes",
    "",
    "",
    "CF-1.11",
    "",
    (
        *map(_column, (*COLUMNS, "lon0", "lat0")),
        PAIRS.variable("crs"),
    ),
)


def write_vectors_nc(
    path: Path, vectors: Vectors, settings: Settings, made_of: Mapping[str, str]
) -> None:
    """Write the columns of the CSV, and where the starts are in longitude and latitude.

    The settings are an attribute, as is what else the vectors are made of.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    with new_file(path) as dataset:
        dataset.setncatts(
            {
                "Conventions": _ONE_PAIR.conventions,
                "title": _ONE_PAIR.title,
                **made_of,
                "settings": settings.as_json(),
                "software_version": __version__,
                "history": f"{iso(time())} lagrangian-ice track (lagrangian_ice {__version__})",
            }
        )
        define(dataset, _ONE_PAIR, {"point": len(vectors)}, {}, compression=0)
        for name, values in columns_of(vectors).items():
            dataset[name][:] = values
        dataset["lon0"][:], dataset["lat0"][:] = xy_to_lonlat(vectors.xy0).T
