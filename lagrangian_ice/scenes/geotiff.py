"""GeoTIFF scenes: what they tell of themselves, and their pixels.

Metadata are found as the interfaces' paragraph on GeoTIFF scenes says; the pixels are read in
blocks of rows, with every kind of no data as NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from lagrangian_ice.errors import SceneError, reason_of
from lagrangian_ice.grid import HEMISPHERE, MAP_CRS, transform
from lagrangian_ice.scenes.georeference import (
    AffineGeoreference,
    GcpGeoreference,
    Georeference,
    footprint,
    mean_pixel,
    quadratic,
    usable_control_points,
)
from lagrangian_ice.scenes.names import (
    NameFacts,
    find_platform,
    find_polarisations,
    is_measurement_name,
    read_name,
)
from lagrangian_ice.scenes.raster import check_size, open_tiff
from lagrangian_ice.scenes.scene import Scene, Units, check_times
from lagrangian_ice.settings import COARSEST_PIXEL
from lagrangian_ice.times import parse_utc

Pixels = NDArray[np.float32]

UNKNOWN_POLARISATION = "unknown"
"""Of a single band that nothing tells the polarisation of; it can still be tracked."""
SUPPORTED_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

_DAMAGED = (RasterioError, CPLE_BaseError, UnicodeDecodeError)
"""What GDAL's answers to damaged keys, tags and blocks become; the second has no public name."""

_MIN_CONTROL_POINTS = 6
_SAMPLE_ROWS = 7
_SAMPLE_BLOCKS = 5
_SAMPLE_SIDE = 64
_SCAN_PIXELS = 2**22
_ORBIT = re.compile(r"[0-9]{1,7}")
_PIXELS = (5.0, COARSEST_PIXEL)
"""Metres; scenes of pixels outside of it are of another instrument, or in other units."""
_MAX_COORDINATE = 1e12
"""No transform has larger numbers: further out than the Sun, in metres."""
_MAX_CONTROL_POINTS = 4096
"""Memory of the fit through them goes with their square; a long product has some 1000."""
_DB_MEDIAN = -1.0
"""A median below this is dB: linear sigma nought less its noise is at most slightly negative."""
_LOWEST_DB = -60.0
"""No sigma nought that an instrument measures has a lower median; stored numbers may."""
_WRONG_BY = 50.0
"""Pixels that a control point may be off from what the others tell of its place."""
_OUTSTANDING = 5.0
"""Times as far off as any of the others is what is a mistake."""
_GREY_LEVEL = 20.0
"""No sigma nought is that large for one pixel in a hundred; display levels are."""


@dataclass(frozen=True)
class _Bands:
    """Bands with backscatter (1-based) and their polarisations."""

    indexes: tuple[int, ...]
    polarisations: tuple[str, ...]


def open_geotiff(path: Path, time: datetime | None = None) -> Scene:
    """Metadata of a GeoTIFF scene; of its pixels only a sample is read.

    Parameters
    ----------
    path : Path
        File.
    time : datetime, optional
        Acquisition time (UTC), used where neither tags nor name tell it.

    Raises
    ------
    SceneError
        If the file cannot be read or lacks what tracking needs.
    """
    facts = read_name(path.name)
    with _opened(path) as dataset:
        _check_pixels(path, dataset)
        georeference = _georeference(path, dataset)
        bands = _find_bands(path, dataset, facts)
        outline = footprint(georeference)
        if outline.is_empty or not outline.area > 0:
            raise SceneError(f"{path}: its georeference does not lie on the north polar map")
        pixel = _checked_pixel(path, georeference)
        start, stop = _times(path, dataset, facts, time)
        check_times(path, start, stop)
        units = _units(path, dataset, bands)
        platform = facts.platform or _platform(dataset)
        orbit = facts.orbit if facts.orbit >= 0 else _orbit(dataset)
        return Scene(
            id=path.stem,
            path=path,
            kind="geotiff",
            start=start,
            stop=stop,
            pass_id=_pass_id(dataset, facts, platform, start),
            platform=platform,
            orbit=orbit,
            polarisations=bands.polarisations,
            units=units,
            shape=(dataset.height, dataset.width),
            pixel=pixel,
            footprint=outline,
        )


def geotiff_georeference(path: Path) -> Georeference:
    """Georeference of a GeoTIFF (SceneError where it has none)."""
    with _opened(path) as dataset:
        return _georeference(path, dataset)


def geotiff_rows(path: Path, polarisation: str, step: int) -> Iterator[tuple[int, Pixels]]:
    """Pixels as stored, in blocks of ``step`` rows from the top; NaN is no data.

    Yields
    ------
    int, (rows, cols) float32
        First row of the block, and the block.
    """
    with _opened(path) as dataset:
        bands = _find_bands(path, dataset, read_name(path.name))
        if polarisation not in bands.polarisations:
            raise ValueError(
                f"polarisation {polarisation!r} is not in {path}; "
                f"it has {', '.join(bands.polarisations)}"
            )
        index = bands.indexes[bands.polarisations.index(polarisation)]
        for row in range(0, dataset.height, step):
            rows = min(step, dataset.height - row)
            yield row, _read(path, dataset, index, Window(0, row, dataset.width, rows))


@contextmanager
def _opened(path: Path) -> Iterator[DatasetReader]:
    try:
        dataset = open_tiff(str(path))
        with dataset:
            check_size(str(path), dataset)
            yield dataset
    except _DAMAGED as error:
        raise SceneError(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"{path}: no such file"
    if path.is_dir():
        return f"{path}: a folder, not a GeoTIFF file"
    return f"{path}: not a readable GeoTIFF ({reason_of(error)}); get or make the file again"


def _check_pixels(path: Path, dataset: DatasetReader) -> None:
    kinds = sorted(set(dataset.dtypes))
    wrong = [kind for kind in kinds if kind not in SUPPORTED_TYPES]
    if wrong:
        raise SceneError(
            f"{path}: pixels of type {wrong[0]}; "
            "give sigma nought (linear or dB, float32) or grey levels (uint8)"
        )
    if is_measurement_name(path.name):
        raise SceneError(
            f"{path}: uncalibrated digital numbers of a SAFE product; "
            "give sigma nought (linear or dB) instead"
        )


def _checked_pixel(path: Path, georeference: Georeference) -> float:
    """Mean pixel, metres."""
    pixel = mean_pixel(georeference)
    if not _PIXELS[0] <= pixel <= _PIXELS[1]:
        raise SceneError(
            f"{path}: pixels of {pixel:.3g} m; {_PIXELS[0]:g} to {_PIXELS[1]:g} m are read, are "
            "its transform and CRS those of the image, and in metres?"
        )
    return pixel


def _find_bands(path: Path, dataset: DatasetReader, facts: NameFacts) -> _Bands:
    indexes = tuple(
        index
        for index, colour in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if colour != ColorInterp.alpha
    )
    if not 1 <= len(indexes) <= 2:
        raise SceneError(f"{path}: {len(indexes)} bands; give one or two (HH, HV, VV, VH)")
    named = tuple(_band_polarisation(dataset, index) for index in indexes)
    found = named if all(named) else _file_polarisations(dataset, facts, len(indexes))
    if not found and len(indexes) == 1:
        return _Bands(indexes, (UNKNOWN_POLARISATION,))
    if not found:
        raise SceneError(
            f"{path}: which band is which is unknown; name both HH, HV, VV or VH, "
            "or put the mode in the file name (for example 1SDH)"
        )
    if len(set(found)) != len(found):
        raise SceneError(f"{path}: both bands are {found[0]}; name them differently")
    return _Bands(indexes, found)


def _band_polarisation(dataset: DatasetReader, index: int) -> str:
    description = dataset.descriptions[index - 1] or ""
    tags = _lower(dataset.tags(index))
    texts = [description, *(tags.get(key, "") for key in ("polarization", "polarisation", "name"))]
    found = (find_polarisations(text) for text in texts)
    return next((words[0] for words in found if len(words) == 1), "")


def _file_polarisations(dataset: DatasetReader, facts: NameFacts, count: int) -> tuple[str, ...]:
    """As many as there are bands, from the first of tags and name that tells so many."""
    tags = _lower(dataset.tags())
    keys = ("polarization", "polarisation", "polarizations", "polarisations")
    told = [find_polarisations(tags.get(key, "")) for key in keys]
    told += [facts.polarisations, facts.product]
    return next((words for words in told if len(words) == count), ())


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


def _georeference(path: Path, dataset: DatasetReader) -> Georeference:
    points, _ = dataset.gcps
    if points and not (dataset.crs and not dataset.transform.is_identity):
        return _from_control_points(path, dataset)
    if dataset.transform.is_identity and not dataset.crs:
        raise SceneError(
            f"{path}: no georeference (neither a transform nor control points); "
            "give a GeoTIFF with its CRS"
        )
    if not dataset.crs:
        raise SceneError(f"{path}: no CRS; set it, for example with `rio edit-info --crs`")
    matrix = _matrix(path, dataset)
    wkt = _known_crs(path, dataset.crs.to_wkt())
    return AffineGeoreference(
        crs=wkt,
        matrix=matrix,
        shape=(dataset.height, dataset.width),
        geographic=bool(dataset.crs.is_geographic),
    )


def _matrix(path: Path, dataset: DatasetReader) -> NDArray[np.float64]:
    a = dataset.transform
    matrix = np.array([[a.a, a.b, a.c], [a.d, a.e, a.f]], dtype=np.float64)
    if not np.all(np.abs(matrix) <= _MAX_COORDINATE):
        raise SceneError(
            f"{path}: its transform has numbers that are not finite or beyond "
            f"{_MAX_COORDINATE:.0e}; set it"
        )
    if a.is_identity or a.is_degenerate:
        raise SceneError(f"{path}: no usable transform from pixels to its CRS; set it")
    return matrix


def _from_control_points(path: Path, dataset: DatasetReader) -> GcpGeoreference:
    points, crs = dataset.gcps
    if not crs:
        raise SceneError(f"{path}: control points without a CRS; set it")
    table = np.array([(p.row, p.col, p.x, p.y, p.z or 0.0) for p in points], dtype=np.float64)
    if not np.all(np.isfinite(table)):
        raise SceneError(f"{path}: control points that are not finite; get the file again")
    table = table[usable_control_points(table[:, 4])]
    shape = (dataset.height, dataset.width)
    # before anything is computed with them
    if np.any(table[:, :2] < -np.array(shape)) or np.any(table[:, :2] > 2 * np.array(shape)):
        raise SceneError(f"{path}: control points far outside of the image; get the file again")
    # a point given twice would leave the fit without a solution
    rowcol, first = np.unique(table[:, :2], axis=0, return_index=True)
    if len(rowcol) < _MIN_CONTROL_POINTS or np.linalg.matrix_rank(quadratic(_scaled(rowcol))) < 6:
        raise SceneError(
            f"{path}: {len(rowcol)} control points that do not span the image; "
            f"at least {_MIN_CONTROL_POINTS} over all of it are needed"
        )
    if len(rowcol) > _MAX_CONTROL_POINTS:
        raise SceneError(
            f"{path}: {len(rowcol)} control points; at most {_MAX_CONTROL_POINTS} are read, thin "
            "them out"
        )
    positions = transform(table[first, 2:4], _known_crs(path, crs.to_wkt()), MAP_CRS)
    if not np.all(np.abs(positions) < HEMISPHERE):
        raise SceneError(f"{path}: control points off the north polar map")
    wrong = _wrong_point(rowcol, positions)
    if wrong is not None:
        row, col = rowcol[wrong]
        raise SceneError(
            f"{path}: its control point at row {row:g}, column {col:g} does not agree with the "
            "others; correct it or leave it out"
        )
    # files count from the corner of the first pixel
    georeference = GcpGeoreference(rowcol - 0.5, positions, shape)
    try:
        georeference.xy([0.0, 0.0])
    except np.linalg.LinAlgError:
        raise SceneError(
            f"{path}: no mapping goes through its control points; get the file again"
        ) from None
    return georeference


def _wrong_point(rowcol: NDArray[np.float64], positions: NDArray[np.float64]) -> int | None:
    """Control point (N, 2) that is far from where the others tell that it is; None if none is.

    The others are those that a quadratic polynomial goes through, up to a quarter left out. A
    swath that bends more than that is off at its ends, but not by so much more than elsewhere.
    """
    terms = quadratic(_scaled(rowcol))
    pixel = np.sqrt(np.ptp(positions, axis=0).prod() / np.ptp(rowcol, axis=0).prod())
    if not pixel > 0:
        # on one line; said elsewhere
        return None
    left, off = np.arange(len(rowcol)), _off(terms, positions) / pixel
    while off.max() > _WRONG_BY:
        left = np.delete(left, off.argmax())
        # as many points as terms tell nothing of one another
        if len(left) < max(2 * terms.shape[1], 0.75 * len(rowcol)):
            return None
        off = _off(terms[left], positions[left]) / pixel
    removed = np.setdiff1d(np.arange(len(rowcol)), left)
    if len(removed) == 0:
        return None
    fit, *_ = np.linalg.lstsq(terms[left], positions[left], rcond=None)
    errors = np.linalg.norm(positions[removed] - terms[removed] @ fit, axis=1) / pixel
    return int(removed[errors.argmax()]) if errors.min() >= _OUTSTANDING * off.max() else None


def _off(terms: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far (N,) positions (N, 2) are from what a fit through the others tells."""
    q, _ = np.linalg.qr(terms)
    residual = positions - q @ (q.T @ positions)
    own = np.sum(q**2, axis=1)
    return np.asarray(np.linalg.norm(residual, axis=1) / np.maximum(1.0 - own, 1e-9))


def _scaled(rowcol: NDArray[np.float64]) -> NDArray[np.float64]:
    """To between 0 and 1, so that the rank of their terms can be told."""
    spread = np.ptp(rowcol, axis=0)
    return np.asarray((rowcol - rowcol.min(axis=0)) / np.where(spread > 0, spread, 1))


def _known_crs(path: Path, wkt: str) -> str:
    try:
        crs = CRS.from_wkt(wkt)
        if not (crs.is_projected or crs.is_geographic):
            raise SceneError(
                f"{path}: its CRS ({crs.name}) is neither a map nor longitude, latitude"
            )
        transform(np.zeros((1, 2)), wkt, MAP_CRS)
    except ProjError as error:
        raise SceneError(
            f"{path}: its CRS is not usable ({reason_of(error)}); set a known one"
        ) from None
    return wkt


def _times(
    path: Path, dataset: DatasetReader, facts: NameFacts, given: datetime | None
) -> tuple[datetime, datetime]:
    tags = _lower(dataset.tags())
    start = _tag_time(tags.get("time_coverage_start", ""))
    if start:
        stop = _tag_time(tags.get("time_coverage_end", ""))
        return start, stop if stop and stop >= start else start
    moment = _tag_time(tags.get("tifftag_datetime", ""))
    if moment:
        return moment, moment
    if facts.start:
        return facts.start, facts.stop or facts.start
    if given:
        moment = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        return moment, moment
    raise SceneError(
        f"{path}: no acquisition time in its tags (time_coverage_start, TIFFTAG_DATETIME) or name; "
        "set TIFFTAG_DATETIME, for example with `rio edit-info --tag`, or give `track` --times"
    )


def _tag_time(text: str) -> datetime | None:
    exif = re.fullmatch(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)\s*", text.strip("\0 "))
    if exif:
        text = f"{exif[1]}-{exif[2]}-{exif[3]}T{exif[4]}"
    try:
        return parse_utc(text)
    except ValueError:
        return None


def _platform(dataset: DatasetReader) -> str:
    tags = _lower(dataset.tags())
    texts = (tags.get(key, "") for key in ("platform", "entry_title", "mission"))
    return next((found for found in map(find_platform, texts) if found), "")


def _orbit(dataset: DatasetReader) -> int:
    text = _lower(dataset.tags()).get("orbit", "")
    return int(text) if _ORBIT.fullmatch(text) else -1


def _pass_id(dataset: DatasetReader, facts: NameFacts, platform: str, start: datetime) -> str:
    if facts.datatake:
        return f"{platform or 'S1'}_{facts.orbit:06d}_{facts.datatake}"
    tagged = _lower(dataset.tags()).get("lagrangian_ice_pass", "").strip()
    return tagged or f"{platform or 'S1'}_{start:%Y%m%dT%H%M%S}"


def _units(path: Path, dataset: DatasetReader, bands: _Bands) -> Units:
    samples = [_sample(path, dataset, index) for index in bands.indexes]
    found = {
        _told_units(dataset, index) or _judge(path, dataset, index, sample)
        for index, sample in zip(bands.indexes, samples, strict=True)
    }
    if len(found) > 1:
        raise SceneError(f"{path}: its bands have different units; give both linear or both in dB")
    return found.pop()


def _told_units(dataset: DatasetReader, index: int) -> Units | None:
    tags = _lower(dataset.tags(index))
    texts = (
        dataset.units[index - 1] or "",
        tags.get("units", ""),
        dataset.descriptions[index - 1] or "",
    )
    words = {word for text in texts for word in re.split(r"[^a-z]+", text.lower())}
    return "db" if words & {"db", "decibel", "decibels"} else None


def _judge(path: Path, dataset: DatasetReader, index: int, sample: Pixels) -> Units:
    low, median, high = np.percentile(sample.astype(np.float64), [1, 50, 99])
    if median < _LOWEST_DB:
        raise SceneError(
            f"{path}: half of band {index} is below {median:.4g}, which is no sigma nought in dB; "
            "set its scale and offset"
        )
    is_integer = np.issubdtype(np.dtype(dataset.dtypes[index - 1]), np.integer)
    if median < _DB_MEDIAN:
        return "db"
    if high > _GREY_LEVEL or (is_integer and dataset.scales[index - 1] == 1.0 and low >= 0):
        return "grey"
    return "linear"


def _sample(path: Path, dataset: DatasetReader, index: int) -> Pixels:
    """Read valid pixels at a few places; the last row is among them, so a cut file is noticed."""
    rows = np.unique(np.linspace(0, dataset.height - 1, _SAMPLE_ROWS).astype(int))
    found = [_sample_row(path, dataset, index, int(row)) for row in rows]
    sample = np.concatenate(found)
    if sample.size == 0:
        sample = _first_valid(path, dataset, index)
    return sample


def _sample_row(path: Path, dataset: DatasetReader, index: int, row: int) -> Pixels:
    side = min(_SAMPLE_SIDE, dataset.width)
    starts = np.unique(np.linspace(0, dataset.width - side, _SAMPLE_BLOCKS).astype(int))
    blocks = [_read(path, dataset, index, Window(int(col), row, side, 1)) for col in starts]
    values = np.concatenate([block.ravel() for block in blocks])
    valid: Pixels = values[np.isfinite(values)]
    return valid


def _first_valid(path: Path, dataset: DatasetReader, index: int) -> Pixels:
    step = max(_SCAN_PIXELS // dataset.width, 1)
    for row in range(0, dataset.height, step):
        rows = min(step, dataset.height - row)
        block = _read(path, dataset, index, Window(0, row, dataset.width, rows))
        values = block[np.isfinite(block)]
        if values.size:
            return values
    raise SceneError(f"{path}: band {index} has no valid pixel (all 0, NaN or nodata)")


def _read(path: Path, dataset: DatasetReader, index: int, window: Window) -> Pixels:
    try:
        stored = dataset.read(index, window=window)
        masked = _masked(dataset, index, window)
    except (RasterioError, CPLE_BaseError) as error:
        reason = reason_of(error.__cause__ or error)
        raise SceneError(
            f"{path}: pixels cannot be read, the file is cut or damaged ({reason}); get it again"
        ) from None
    # 0 is no data whatever the type; testing it before the conversion keeps it exact
    missing = stored == 0
    if masked is not None:
        missing |= masked
    scale, offset = dataset.scales[index - 1], dataset.offsets[index - 1]
    # what float32 cannot hold becomes infinite, and so no data
    with np.errstate(over="ignore", invalid="ignore"):
        pixels: Pixels = stored.astype(np.float32)
        if (scale, offset) != (1.0, 0.0):
            pixels = pixels * np.float32(scale) + np.float32(offset)
    pixels[missing | ~np.isfinite(pixels)] = np.nan
    return pixels


def _masked(dataset: DatasetReader, index: int, window: Window) -> NDArray[np.bool_] | None:
    if MaskFlags.all_valid in dataset.mask_flag_enums[index - 1]:
        return None
    return np.asarray(dataset.read_masks(index, window=window) == 0)
