"""Opening of scenes: which kind a path is, and its reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes.georeference import Georeference
from lagrangian_ice.scenes.geotiff import (
    Pixels,
    geotiff_georeference,
    geotiff_rows,
    open_geotiff,
)
from lagrangian_ice.scenes.names import is_sentinel1_name, printable
from lagrangian_ice.scenes.safe import open_safe, safe_band, safe_georeference
from lagrangian_ice.scenes.safe_files import MANIFEST
from lagrangian_ice.scenes.scene import Kind, Scene

TIFF_SUFFIXES = (".tif", ".tiff")
_ROWS = 512


def scene_kind(path: Path) -> Kind | None:
    """Kind of scene that a path is by its name, or None."""
    name = path.name.lower()
    if name.endswith(TIFF_SUFFIXES):
        return "geotiff"
    if name.endswith((".safe", ".safe.zip")):
        return "safe"
    return "safe" if name.endswith(".zip") and is_sentinel1_name(name) else None


def open_scene(path: Path, time: datetime | None = None) -> Scene:
    """Metadata of a scene; its pixels are not read (but for a small sample).

    Parameters
    ----------
    path : Path
        GeoTIFF file, SAFE folder or its ``manifest.safe``, SAFE zip.
    time : datetime, optional
        Acquisition time for a scene that does not tell its own (UTC where it has no zone).

    Returns
    -------
    Scene

    Raises
    ------
    SceneError
        One line: the file, what is wrong with it, the remedy.
    """
    path = Path(path)
    _check_path(path)
    kind = scene_kind(path)
    # what is wrong with a zip the reader of products tells best
    if kind == "safe" or path.suffix.lower() == ".zip" or is_product_folder(path):
        return open_safe(path)
    if kind is None:
        raise SceneError(
            f"{path}: not a scene; known are GeoTIFF files (.tif, .tiff), SAFE folders and zips"
        )
    return open_geotiff(path, time)


def is_product_folder(path: Path) -> bool:
    """Whether a folder is a SAFE product, whatever its name is."""
    try:
        return (path / MANIFEST).is_file()
    except OSError:
        # a closed folder is told when it is opened
        return False


def _check_path(path: Path) -> None:
    if printable(path) != path:
        raise SceneError(
            f"{printable(path)}: a name that is not UTF-8 or holds control characters; rename it"
        )
    if not path.exists():
        if path.is_symlink():
            raise SceneError(f"{path}: a link that leads nowhere; mend or remove it")
        raise SceneError(f"{path}: no such file")
    # a pipe would be waited for without end
    if not (path.is_file() or path.is_dir()):
        raise SceneError(f"{path}: neither a file nor a folder, but a pipe or device; not read")


def read_georeference(scene: Scene) -> Georeference:
    """Positions of the scene's pixels on the map, and back."""
    if scene.kind == "safe":
        return safe_georeference(scene.path)
    return geotiff_georeference(scene.path)


class Band(Protocol):
    """One polarisation of a scene."""

    @property
    def noise_floor(self) -> float | None:
        """Median noise-equivalent sigma nought, linear; None where it is not told."""

    def rows(self, step: int) -> Iterator[tuple[int, Pixels]]:
        """First row and pixels of blocks of ``step`` rows (see :func:`read_rows`)."""


@dataclass(frozen=True)
class _GeotiffBand:
    scene: Scene
    polarisation: str

    @property
    def noise_floor(self) -> None:
        return None

    def rows(self, step: int) -> Iterator[tuple[int, Pixels]]:
        return geotiff_rows(self.scene.path, self.polarisation, step)


def open_band(scene: Scene, polarisation: str, fit_noise: bool = False) -> Band:
    """One polarisation of a scene, its tables read but not its pixels.

    Parameters
    ----------
    scene : Scene
        Opened scene.
    polarisation : str
        One of the scene's.
    fit_noise : bool
        Scale the noise of a SAFE product's HV or VH to what some of its lines show.

    Raises
    ------
    ValueError
        If the scene does not have the polarisation.
    SceneError
        If it is damaged.
    """
    if scene.kind == "safe":
        band = safe_band(scene.path, polarisation)
        return band.with_fitted_noise() if fit_noise else band
    return _GeotiffBand(scene, polarisation)


def read_rows(scene: Scene, polarisation: str, step: int = _ROWS) -> Iterator[tuple[int, Pixels]]:
    """Pixels in blocks of rows, so that a whole scene need not be in memory.

    Parameters
    ----------
    scene : Scene
        Opened scene.
    polarisation : str
        One of the scene's.
    step : int
        Rows of a block (the last one may have fewer).

    Yields
    ------
    int, (rows, cols) float32
        First row, and pixels in the scene's units; NaN is no data.

    Raises
    ------
    ValueError
        If the scene does not have the polarisation.
    SceneError
        If the pixels cannot be read.
    """
    return open_band(scene, polarisation).rows(step)


def read_band(scene: Scene, polarisation: str) -> Pixels:
    """All pixels (rows, cols) float32 of one polarisation, in the scene's units; NaN is no data.

    Raises
    ------
    ValueError
        If the scene does not have the polarisation.
    SceneError
        If the pixels cannot be read.
    """
    pixels = np.empty(scene.shape, dtype=np.float32)
    for row, block in read_rows(scene, polarisation):
        pixels[row : row + len(block)] = block
    return pixels
