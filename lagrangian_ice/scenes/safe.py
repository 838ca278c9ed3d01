"""Sentinel-1 GRD products in SAFE format: folders, zips, cloud-optimised ones; any unit and mode.

A product is checked whole when it is opened (manifest, the XML of every polarisation, headers of
its images), so that a damaged one is told in one line before any work is done with it; pixels
are read in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from lagrangian_ice.errors import SceneError, reason_of
from lagrangian_ice.grid import Float
from lagrangian_ice.scenes.georeference import footprint, mean_pixel
from lagrangian_ice.scenes.raster import check_size, open_tiff
from lagrangian_ice.scenes.safe_annotation import Annotation, read_annotation
from lagrangian_ice.scenes.safe_border import FIRST_CLEAN, is_border
from lagrangian_ice.scenes.safe_files import BandFiles, SafeProduct, find_product, product_id
from lagrangian_ice.scenes.safe_georeference import SwathGeoreference, swath_georeference
from lagrangian_ice.scenes.safe_noise_scale import (
    Profiles,
    fit_noise_scales,
    sub_swath_of_bins,
)
from lagrangian_ice.scenes.safe_radiometry import (
    Correction,
    Pixels,
    Radiometry,
    read_radiometry,
)
from lagrangian_ice.scenes.scene import Scene, check_times

_DAMAGED = (RasterioError, CPLE_BaseError, UnicodeDecodeError)
_CHECKED_BLOCKS = 32
_NOISE_LINES = 65
_PROFILE_BINS = 240
_CHUNKS = 20
_LEAST_CHUNK_LINES = 64
_SAMPLES = 8
_SAMPLE_LINES = 8
Index = NDArray[np.int64]


def open_safe(path: Path) -> Scene:
    """Metadata of a product; no pixel is read.

    Parameters
    ----------
    path : Path
        ``.SAFE`` folder, its ``manifest.safe``, or zip.

    Raises
    ------
    SceneError
        One line: the file, what is wrong with it, the remedy.
    """
    product = find_product(path)
    annotations = [_checked_band(product, band) for band in product.bands]
    first = annotations[0]
    _check_alike(annotations)
    check_times(path, first.start, first.stop)
    georeference = swath_georeference(first)
    outline = footprint(georeference)
    if outline.is_empty or not outline.area > 0:
        raise SceneError(f"{path}: its geolocation grid does not lie on the north polar map")
    return Scene(
        id=product_id(path),
        path=path,
        kind="safe",
        start=first.start,
        stop=first.stop,
        pass_id=first.pass_id,
        platform=first.platform,
        orbit=first.orbit_number,
        polarisations=tuple(band.polarisation for band in product.bands),
        units="linear",
        shape=first.shape,
        pixel=mean_pixel(georeference),
        footprint=outline,
    )


def safe_georeference(path: Path) -> SwathGeoreference:
    """Positions of a product's pixels at sea level, and their incidence angle."""
    product = find_product(path)
    return swath_georeference(read_annotation(product.xml(product.bands[0].annotation)))


@dataclass(frozen=True)
class SafeBand:
    """One polarisation of a product, its tables read.

    Attributes
    ----------
    product : SafeProduct
        Where its files are.
    files : BandFiles
        Which of them are its own.
    annotation : Annotation
        Its size, for one.
    radiometry : Radiometry
        Calibration and noise.
    """

    product: SafeProduct
    files: BandFiles
    annotation: Annotation
    radiometry: Radiometry

    @property
    def noise_floor(self) -> float:
        """Median noise-equivalent sigma nought, linear."""
        lines = np.unique(np.linspace(0, self.annotation.shape[0] - 1, _NOISE_LINES).astype(int))
        rows = [self.radiometry.noise_equivalent_sigma0(int(line), 1) for line in lines]
        return float(np.median(np.concatenate(rows)))

    def rows(self, step: int) -> Iterator[tuple[int, Pixels]]:
        """Sigma nought (linear, noise removed) in blocks of ``step`` rows from the top.

        Yields
        ------
        int, (rows, cols) float32
            First row of the block, and the block; NaN is no data.
        """
        with _image(self.product, self.files, self.annotation) as dataset:
            rows, cols = self.annotation.shape
            for row in range(0, rows, step):
                window = Window(0, row, cols, min(step, rows - row))
                numbers = _numbers(self.product, self.files, dataset, window)
                sigma0 = self.radiometry.sigma0(row, numbers)
                if self._has_border_noise:
                    sigma0[is_border(numbers, self.radiometry, row, rows)] = np.nan
                yield row, sigma0

    @property
    def _has_border_noise(self) -> bool:
        version = self.product.processor
        return bool(version) and version < FIRST_CLEAN and not self.radiometry.noise_removed

    def with_fitted_noise(self) -> SafeBand:
        """Return the band with its noise scaled in each sub-swath to what its pixels show.

        Co-polarised bands are far above the noise, and come back as they are; so do those that
        tell no sub-swaths or come without noise.
        """
        swaths = self.annotation.sub_swaths
        cross = self.files.polarisation in ("HV", "VH")
        if not (cross and swaths) or self.radiometry.noise_removed:
            return self
        scales = fit_noise_scales(self._profiles())
        corrections = tuple(
            Correction(rows, cols, scale.factor, scale.offset)
            for swath, scale in zip(swaths, scales, strict=True)
            for rows, cols in swath.parts
        )
        return replace(self, radiometry=replace(self.radiometry, corrections=corrections))

    def _profiles(self) -> Profiles:
        """Mean power and noise of chunks of lines, a few lines of each read."""
        rows, cols = self.annotation.shape
        bin_width = max(1, cols // _PROFILE_BINS)
        edges = np.arange(0, cols + 1, bin_width)
        chunks = max(1, min(_CHUNKS, rows // _LEAST_CHUNK_LINES))
        starts = np.linspace(0, rows, chunks + 1).astype(int)
        bounds = [swath.parts for swath in self.annotation.sub_swaths]
        power, noise, swath = [], [], []
        with _image(self.product, self.files, self.annotation) as dataset:
            for first, stop in pairwise(starts):
                lines = np.linspace(first, stop - _SAMPLE_LINES, _SAMPLES).astype(int)
                parts = [self._sample(dataset, int(line), edges) for line in np.unique(lines)]
                power.append(_mean([part[0] for part in parts]))
                noise.append(_mean([part[1] for part in parts]))
                at_ends = [sub_swath_of_bins(bounds, line, edges) for line in (first, stop - 1)]
                swath.append(np.where(at_ends[0] == at_ends[1], at_ends[0], -1))
        middle = 0.5 * (edges[:-1] + edges[1:])
        return Profiles(
            power=np.array(power),
            noise=np.array(noise),
            position=2.0 * middle / cols - 1.0,
            swath=np.array(swath),
            count=len(bounds),
        )

    def _sample(self, dataset: DatasetReader, line: int, edges: Index) -> tuple[Float, Float]:
        """Mean power and noise (bins,) of some lines, as sigma nought."""
        cols = int(edges[-1])
        window = Window(0, line, cols, _SAMPLE_LINES)
        numbers = _numbers(self.product, self.files, dataset, window).astype(np.float64)
        gain = self.radiometry.gain.rows(line, len(numbers))[:, :cols].astype(np.float64)
        noise = self.radiometry.noise(line, len(numbers))[:, :cols]
        power = np.where(numbers > 0, numbers**2, np.nan) / gain**2
        shape = (len(numbers), len(edges) - 1, -1)
        return power.reshape(shape).mean(axis=(0, 2)), (noise / gain**2).reshape(shape).mean(
            axis=(0, 2)
        )


def _mean(parts: list[Float]) -> Float:
    """Mean (bins,) of those that are known."""
    known = np.isfinite(parts)
    total = np.where(known, parts, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def safe_band(path: Path, polarisation: str) -> SafeBand:
    """One polarisation of a product (ValueError where the product does not have it)."""
    product = find_product(path)
    files = product.band(polarisation)
    annotation = read_annotation(product.xml(files.annotation))
    return SafeBand(product, files, annotation, _radiometry(product, files, annotation))


def _checked_band(product: SafeProduct, band: BandFiles) -> Annotation:
    annotation = read_annotation(product.xml(band.annotation))
    if annotation.polarisation != band.polarisation:
        raise SceneError(
            f"{annotation.source}: annotates {annotation.polarisation}, not {band.polarisation}"
        )
    _radiometry(product, band, annotation)
    with _image(product, band, annotation):
        return annotation


def _check_alike(annotations: list[Annotation]) -> None:
    first = annotations[0]
    for other in annotations[1:]:
        # the files of two products mixed in one
        if (other.shape, other.start, other.pass_id) != (first.shape, first.start, first.pass_id):
            raise SceneError(
                f"{other.source}: its size, time or datatake is not that of {first.polarisation}; "
                "get the product again"
            )


def _radiometry(product: SafeProduct, band: BandFiles, annotation: Annotation) -> Radiometry:
    return read_radiometry(annotation, product.xml(band.calibration), product.xml(band.noise))


@contextmanager
def _image(
    product: SafeProduct, band: BandFiles, annotation: Annotation
) -> Iterator[DatasetReader]:
    name = f"{product.files.path}/{band.measurement}"
    try:
        dataset = open_tiff(product.files.gdal_path(band.measurement))
    except _DAMAGED as error:
        raise SceneError(
            f"{name}: not a readable TIFF ({reason_of(error)}); get the product again"
        ) from None
    with dataset:
        _check_image(name, dataset, annotation)
        _check_whole(name, dataset, _size(product, band.measurement))
        yield dataset


def _size(product: SafeProduct, name: str) -> int:
    return product.files.sizes(str(PurePosixPath(name).parent))[name]


def _check_image(name: str, dataset: DatasetReader, annotation: Annotation) -> None:
    if (dataset.count, dataset.dtypes[0]) != (1, "uint16"):
        raise SceneError(
            f"{name}: {dataset.count} bands of {dataset.dtypes[0]}, not one of uint16; "
            "get the product again"
        )
    if (dataset.height, dataset.width) != annotation.shape:
        rows, cols = annotation.shape
        raise SceneError(
            f"{name}: {dataset.height} x {dataset.width} pixels, annotated are {rows} x {cols}; "
            "get the product again"
        )
    check_size(name, dataset)


def _check_whole(name: str, dataset: DatasetReader, size: int) -> None:
    """Whether the blocks that the header tells end inside of the file (a cut one is told here)."""
    height, width = dataset.block_shapes[0]
    down, across = -(-dataset.height // height), -(-dataset.width // width)
    for row in np.unique(np.linspace(0, down - 1, _CHECKED_BLOCKS).astype(int)):
        key = f"{across - 1}_{row}"
        start = dataset.get_tag_item(f"BLOCK_OFFSET_{key}", "TIFF", bidx=1)
        length = dataset.get_tag_item(f"BLOCK_SIZE_{key}", "TIFF", bidx=1)
        if start and length and int(start) + int(length) > size:
            raise SceneError(f"{name}: cut after {size} bytes; get the product again")


def _numbers(
    product: SafeProduct, band: BandFiles, dataset: DatasetReader, window: Window
) -> NDArray[np.uint16]:
    try:
        return np.asarray(dataset.read(1, window=window))
    except _DAMAGED as error:
        cause = error.__cause__
        reason = reason_of(cause if isinstance(cause, Exception) else error)
        raise SceneError(
            f"{product.files.path}/{band.measurement}: pixels cannot be read, the file is cut or "
            f"damaged ({reason}); get the product again"
        ) from None
