"""Opening of TIFFs, from any thread."""

from __future__ import annotations

import threading
import warnings

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

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
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver="GTiff")
