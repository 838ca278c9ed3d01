"""Creating NetCDF files from the declared variables, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.grid import Float, crs_attributes, xy_to_lonlat
from lagrangian_ice.output.variables import Product, Variable
from lagrangian_ice.output.whole import whole_file

CACHE_BYTES = 4 * 2**20
"""Of a variable, in memory while a file is written, or read from its beginning to its end."""
CHUNK_1D = 16384
"""Elements of a chunk along dimensions that grow."""

IMAGE_TEXTS = {
    "image_id": "scene_ids",
    "image_pass": "pass_id",
    "image_platform": "platform",
    "image_polarisation": "polarisations",
}
"""Text variables over ``image`` and the columns of the frame of passes that fill them."""


@contextmanager
def new_file(path: Path) -> Iterator[netCDF4.Dataset]:
    """NetCDF file that appears under its name when it is complete, or not at all.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    with (
        whole_file(path) as beside,
        small_caches(),
        netCDF4.Dataset(beside, "w", format="NETCDF4") as dataset,
    ):
        yield dataset


@contextmanager
def small_caches() -> Iterator[None]:
    """Let files that are created or opened inside keep little of each variable in memory.

    By itself the library keeps 64 MiB of each, 4 GB of a season's deformation, though all is
    written and read once, from the first chunk to the last.
    """
    before = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(CACHE_BYTES, *before[1:])
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(*before)


def define(
    dataset: netCDF4.Dataset,
    product: Product,
    sizes: Mapping[str, int | None],
    chunks: Mapping[str, int],
    compression: int,
) -> None:
    """Create all dimensions and variables of a product.

    Parameters
    ----------
    dataset : netCDF4.Dataset
        Empty, open for writing.
    product : Product
        What to create.
    sizes : mapping
        Length of every dimension; None grows.
    chunks : mapping
        Chunk length along dimensions that are not to be whole.
    compression : int
        zlib level; 0 stores as is.
    """
    for name, size in sizes.items():
        dataset.createDimension(name, size)
    for variable in product.variables:
        _create(dataset, variable, sizes, chunks, compression)
    dataset["crs"].setncatts(crs_attributes())


def _create(
    dataset: netCDF4.Dataset,
    variable: Variable,
    sizes: Mapping[str, int | None],
    chunks: Mapping[str, int],
    compression: int,
) -> None:
    scalar = not variable.dimensions
    shape = [_chunk(name, sizes[name], chunks) for name in variable.dimensions]
    level: Any = compression
    made = dataset.createVariable(
        variable.name,
        variable.dtype,
        variable.dimensions,
        zlib=compression > 0 and not scalar,
        complevel=level,
        shuffle=variable.dtype != "S1",
        chunksizes=None if scalar else shape,
        fill_value=variable.fill,
    )
    made.setncatts(
        {key: _typed(variable, key, value) for key, value in variable.attributes.items()}
    )
    if variable.dtype == "S1":
        made.setncattr("_Encoding", "utf-8")
        made.set_auto_chartostring(False)
    made.set_auto_maskandscale(False)


def _typed(variable: Variable, key: str, value: Any) -> Any:
    """Give flags the type of their variable, as CF wants; other integers are 32-bit."""
    if key in {"flag_values", "flag_masks"}:
        return np.asarray(value, dtype=variable.dtype)
    return np.int32(value) if isinstance(value, int) else value


def _chunk(name: str, size: int | None, chunks: Mapping[str, int]) -> int:
    wanted = chunks.get(name, CHUNK_1D)
    return wanted if not size else min(wanted, size)


def image_sizes(passes: pd.DataFrame) -> dict[str, int | None]:
    """Dimensions that the image variables need."""
    sizes: dict[str, int | None] = {"image": len(passes) or None}
    for name, column in IMAGE_TEXTS.items():
        sizes[f"{name}_length"] = _characters(_texts(passes[column])).shape[1]
    return sizes


def write_images(dataset: netCDF4.Dataset, passes: pd.DataFrame) -> None:
    """Fill the image variables from the frame of passes."""
    for name, column in IMAGE_TEXTS.items():
        dataset[name][:] = _characters(_texts(passes[column]))
    dataset["image_time"][:] = passes["time"].to_numpy(np.float64)
    dataset["image_orbit"][:] = passes["orbit"].to_numpy(np.int32)


def _texts(column: pd.Series) -> list[str]:
    """Texts of a column; what holds several is separated by commas."""
    return [",".join(value) if isinstance(value, tuple) else str(value) for value in column]


def _characters(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """Characters (N, L) of texts, L at least 1."""
    encoded = [text.encode("utf-8") for text in texts]
    length = max([1, *(len(text) for text in encoded)])
    padded = b"".join(text.ljust(length, b"\0") for text in encoded)
    return np.frombuffer(padded, dtype="S1").reshape(-1, length)


def lonlat(xy: Float) -> Float:
    """Longitude, latitude (..., 2); NaN where the position is NaN."""
    known = np.isfinite(xy).all(axis=-1)
    found = np.full(xy.shape, np.nan)
    found[known] = xy_to_lonlat(xy[known])
    return found


def position_of(index: NDArray[np.int64], known: NDArray[np.int64], what: str) -> NDArray[np.int64]:
    """Row of each index among the known ones (in ascending order).

    Raises
    ------
    ValueError
        If an index is not known; ``what`` names it.
    """
    rows = np.searchsorted(known, index)
    inside = np.minimum(rows, len(known) - 1)
    wrong = known[inside] != index if len(known) else np.ones(len(index), bool)
    if np.any(wrong):
        raise ValueError(f"{what} {index[np.argmax(wrong)]} is not in its table")
    return np.asarray(rows, np.int64)


def in_order(passes: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Sort passes by ``pass_index``; also return those indices (P,)."""
    ordered = passes.sort_values("pass_index", kind="stable")
    return ordered, ordered["pass_index"].to_numpy(np.int64)


def scene_ids(passes: pd.DataFrame) -> list[str]:
    """Names of all scenes of the passes."""
    return [name for names in passes["scene_ids"] for name in names]
