"""Opening of TIFFs, from any thread."""

from __future__ import annotations

import threading
import warnings

import rasterio
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from lagrangian_ice.errors import SceneError

MAX_SIDE, MAX_PIXELS = 65_500, 10**9
"""More rows or columns, and more pixels, than any Sentinel-1 GRD image has."""

MAX_BLOCK_PIXELS = 2**27
"""A block is decompressed whole, whatever is read of it, and all bands of it that it holds."""

# Python's list of warning filters is one for all threads
_FILTERS = threading.Lock()


def open_tiff(path: str) -> DatasetReader:
    """Open a TIFF, without looking at the files beside it and without a warning.

    A scene with control points has no transform, of which rasterio would warn; a folder of
    thousands of scenes would be listed for each of them.

    Raises
    ------
    rasterio.errors.RasterioError
        If it cannot be opened.
    """
    with (
        _FILTERS,
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver="GTiff")


def check_size(name: str, dataset: DatasetReader) -> None:
    """Refuse an image that would take all memory; a few bytes can tell of terabytes.

    Parameters
    ----------
    name : str
        File, for the message.
    dataset : DatasetReader
        Of which no pixel has been read yet.

    Raises
    ------
    SceneError
        If it has too many pixels, or stores too many of them in one block.
    """
    rows, cols = dataset.shape
    if max(rows, cols) > MAX_SIDE or rows * cols > MAX_PIXELS:
        raise SceneError(
            f"{name}: {rows} x {cols} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS:.0e} in "
            "all are read, cut it into frames"
        )
    height, width = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    if height * width * bands > MAX_BLOCK_PIXELS:
        raise SceneError(
            f"{name}: stored in blocks of {height} x {width} pixels, too large to read; "
            "store it in tiles of 512"
        )
