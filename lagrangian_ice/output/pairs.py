"""The pair drift product ``_PD.nc``: every vector of every pair, before any joining."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
from lagrangian_ice.output.variables import PAIRS

_SAME = (
    "time0",
    "time1",
    "x0",
    "y0",
    "x1",
    "y1",
    "first_guess_x",
    "first_guess_y",
    "first_guess_error",
    "mcc",
    "peak_ratio",
    "rotation",
    "strain_xx",
    "strain_yy",
    "strain_xy",
)
"""Variables named as their column."""


def write_pairs(
    path: Path,
    header: Header,
    passes: pd.DataFrame,
    pairs: pd.DataFrame,
    vector_chunks: Iterable[pd.DataFrame],
) -> Extent:
    """Write vectors as they come.

    Parameters
    ----------
    path : Path
        File; appears only when complete.
    header : Header
        How the product was made.
    passes, pairs : DataFrame
        Columns as in :mod:`lagrangian_ice.output`.
    vector_chunks : iterable of DataFrame
        Frames of vectors, in the order of the file.

    Returns
    -------
    Extent
        Of the starts in space, of starts and ends in time.

    Raises
    ------
    ProductError
        If the file cannot be written.
    ValueError
        If a vector is of a pair, or a pair of a pass, that is not in its table.
    """
    passes, pass_index = in_order(passes)
    pairs = pairs.sort_values("pair_index", kind="stable")
    pair_index = pairs["pair_index"].to_numpy(np.int64)
    extent = Extent()
    with new_file(path) as dataset:
        sizes = {"vector": None, "pair": len(pairs) or None, **image_sizes(passes)}
        define(dataset, PAIRS, sizes, {}, header.settings.product.compression)
        write_images(dataset, passes)
        for end in ("source", "target"):
            index = pairs[f"{end}_pass_index"].to_numpy(np.int64)
            dataset[f"pair_{end}_image"][:] = position_of(index, pass_index, "pass_index")
        start = 0
        for frame in vector_chunks:
            columns = _columns(frame, pair_index)
            places = np.stack([columns["lon0"], columns["lat0"]], axis=1)
            times = np.concatenate([columns["time0"], columns["time1"]])
            extent.grow(times, frame[["x0", "y0"]], places)
            for variable, values in columns.items():
                dataset[variable][start : start + len(frame)] = values
            start += len(frame)
        dataset.setncatts(
            global_attributes(PAIRS, header, identifier_of(path), extent, scene_ids(passes))
        )
    return extent


def _columns(frame: pd.DataFrame, pair_index: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    places = lonlat(frame[["x0", "y0"]].to_numpy(np.float64))
    own = frame["pair_index"].to_numpy(np.int64)
    found: dict[str, NDArray[np.generic]] = {
        "pair_index": position_of(own, pair_index, "pair_index"),
        "trajectory": frame["parcel_id"].to_numpy(np.int64),
        "status": frame["status"].to_numpy(np.int8),
        "lat0": places[:, 1],
        "lon0": places[:, 0],
        "displacement_x": (frame["x1"] - frame["x0"]).to_numpy(np.float64),
        "displacement_y": (frame["y1"] - frame["y0"]).to_numpy(np.float64),
        "x_standard_error": np.sqrt(frame["var_x"].to_numpy(np.float64)),
        "y_standard_error": np.sqrt(frame["var_y"].to_numpy(np.float64)),
        "xy_error_covariance": frame["cov_xy"].to_numpy(np.float64),
    }
    found |= {name: frame[name].to_numpy(np.float64) for name in _SAME}
    # Where nothing is known of a guess its error is infinite; in the file both are missing.
    error = frame["first_guess_error"].to_numpy(np.float64)
    found["first_guess_error"] = np.where(np.isfinite(error), error, np.nan)
    return found
