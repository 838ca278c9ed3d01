"""The deformation product ``_DP.nc``: UGRID-1.0 triangles, a patch for every pair of images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Patch
from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.output.attributes import (
    Extent,
    Header,
    global_attributes,
    identifier_of,
)
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
from lagrangian_ice.output.variables import DEFORMATION

Column = NDArray[np.generic]


def write_deformation(
    path: Path,
    header: Header,
    passes: pd.DataFrame,
    patches: Iterable[Patch],
) -> Extent:
    """Write patches of deformation as they come.

    Parameters
    ----------
    path : Path
        File; appears only when complete.
    header : Header
        How the product was made.
    passes : DataFrame
        Columns as in :mod:`lagrangian_ice.output`.
    patches : iterable of Patch
        From :func:`lagrangian_ice.deformation.pairs.deform`.

    Returns
    -------
    Extent
        Of the nodes in time and space.

    Raises
    ------
    ProductError
        If the file cannot be written.
    ValueError
        If a patch is of a pass that is not in ``passes``.
    """
    passes, pass_index = in_order(passes)
    extent = Extent()
    with new_file(path) as dataset:
        growing = {"node": None, "face": None, "pair": None, "three": 3}
        sizes = {**growing, **image_sizes(passes)}
        define(dataset, DEFORMATION, sizes, {}, header.settings.product.compression)
        write_images(dataset, passes)
        for pair, patch in enumerate(patches):
            _append_nodes(dataset, patch, pair, extent)
            _append_faces(dataset, patch, pair)
            ends = np.array([patch.source_pass, patch.target_pass])
            source, target = position_of(ends, pass_index, "pass_index")
            dataset["pair_source_image"][pair] = source
            dataset["pair_target_image"][pair] = target
        dataset.setncatts(
            global_attributes(DEFORMATION, header, identifier_of(path), extent, scene_ids(passes))
        )
    return extent


def _append_nodes(dataset: netCDF4.Dataset, patch: Patch, pair: int, extent: Extent) -> None:
    places = lonlat(patch.xy0)
    moved = patch.xy1 - patch.xy0
    extent.grow(np.concatenate([patch.time0, patch.time1]), patch.xy0, places)
    columns: dict[str, Column] = {
        "x": patch.xy0[:, 0],
        "y": patch.xy0[:, 1],
        "lon": places[:, 0],
        "lat": places[:, 1],
        "trajectory": patch.parcel_id,
        "node_pair_index": np.full(len(patch.xy0), pair),
        "time_start": patch.time0,
        "time_end": patch.time1,
        "dx": moved[:, 0],
        "dy": moved[:, 1],
        "dx_standard_error": np.sqrt(patch.covariance[:, 0, 0]),
        "dy_standard_error": np.sqrt(patch.covariance[:, 1, 1]),
        "dxdy_error_covariance": patch.covariance[:, 0, 1],
    }
    # the nodes go last: the faces of this patch count from where they begin
    first = len(dataset.dimensions["node"])
    connectivity = dataset["face_nodes"]
    start = len(dataset.dimensions["face"])
    connectivity[start : start + len(patch.vertices), :] = first + patch.vertices
    _append(dataset, first, columns)


def _append_faces(dataset: netCDF4.Dataset, patch: Patch, pair: int) -> None:
    start = len(dataset.dimensions["face"]) - len(patch.vertices)
    centre = lonlat(patch.xy0[patch.vertices].mean(axis=1))
    smooth = invariants(patch.smoothed)
    raw, errors = patch.invariants, patch.errors
    columns: dict[str, Column] = {
        "time": patch.time,
        "face_lon": centre[:, 0],
        "face_lat": centre[:, 1],
        "signal_to_noise": _ratio(raw.total_deformation, errors.total_deformation),
        "divergence_smoothed": smooth.divergence,
        "shear_smoothed": smooth.shear,
        "area": patch.area,
        "area_true": patch.area_true,
        "smallest_angle": patch.smallest_angle,
        "pair_index": np.full(len(patch.vertices), pair),
        "quality_flag": patch.quality_flag,
    }
    for name in raw._fields:
        columns[name] = getattr(raw, name)
        columns[f"{name}_standard_error"] = getattr(errors, name)
    for row, top in enumerate("uv"):
        for col, bottom in enumerate("xy"):
            columns[f"d{top}d{bottom}"] = patch.gradients[:, row, col]
            columns[f"d{top}d{bottom}_standard_error"] = errors.gradients[:, row, col]
    _append(dataset, start, columns)


def _append(dataset: netCDF4.Dataset, start: int, columns: dict[str, Column]) -> None:
    for name, values in columns.items():
        dataset[name][start : start + len(values)] = values


def _ratio(value: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(error > 0, value / np.where(error > 0, error, 1.0), np.nan)
