"""Sentinel-1 EW GRDM products in SAFE folders and zips, as the archives give them out.

Left out are the schemas that ESA puts into ``support`` and the RFI reports.
"""

from __future__ import annotations

import binascii
import hashlib
import shutil
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.files import in_place
from lagrangian_ice.grid import Float
from lagrangian_ice.simulate.annotation import calibration_xml, noise_xml, product_xml
from lagrangian_ice.simulate.instrument import (
    Calibration,
    Noise,
    digital_numbers,
    make_calibration,
    make_noise,
)
from lagrangian_ice.simulate.manifest import DataObject, manifest_text, overlay_text
from lagrangian_ice.simulate.safe_frame import SafeFrame, TiePoints, iso_micro, moment, tie_points

Image = NDArray[np.float32]


BLOCK_LINES = 512
"""Lines whose digital numbers are found at once."""

QUICK_LOOK = 600
"""Largest side of the quick look, pixels."""

SOFTWARE = "lagrangian_ice (simulated Sentinel-1)"


def write_safe(
    directory: Path, frame: SafeFrame, sigma0: Image, speckle: Image, *, zipped: bool = False
) -> Path:
    """Write a product; it appears when it is complete.

    Parameters
    ----------
    directory : Path
        Holds the product afterwards.
    frame : SafeFrame
        Geometry, names and noise.
    sigma0 : (bands, rows, cols) float32
        True backscatter, linear; NaN where nothing is known.
    speckle : (bands, rows, cols) float32
        Factors of mean 1.
    zipped : bool
        A zip that holds the folder, in place of the folder.

    Returns
    -------
    Path
        Of the folder or zip.

    Raises
    ------
    ValueError
        If the images are not of the frame's shape.
    WorkspaceError
        If the product cannot be written.
    """
    shape = (len(frame.polarisations), *frame.swath.shape)
    if sigma0.shape != shape or speckle.shape != shape:
        raise ValueError(f"images of {sigma0.shape} and {speckle.shape} are not of {shape}")
    partial = directory / f"{frame.stem(frame.polarisations[0])}.{uuid.uuid4().hex[:8]}.part"
    try:
        unique = _write_files(partial, frame, sigma0, speckle)
        path = directory / frame.folder(unique)
        if zipped:
            path = path.with_suffix(".SAFE.zip")
            _pack(partial, path)
        else:
            partial.replace(path)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise WorkspaceError(
            f"{directory}: product cannot be written ({error}); is the disk full?"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def _write_files(folder: Path, frame: SafeFrame, sigma0: Image, speckle: Image) -> int:
    """Write all files and return the check sum of the manifest, which goes into the name."""
    for name in ("annotation/calibration", "measurement", "preview"):
        (folder / name).mkdir(parents=True)
    ties = tie_points(frame)
    calibration = make_calibration(frame.swath)
    objects, looks = [], []
    for index, polarisation in enumerate(frame.polarisations):
        stem = frame.stem(polarisation)
        noise = make_noise(frame.swath, calibration, polarisation, frame.noise)
        numbers = _numbers(frame, calibration, noise, sigma0[index], speckle[index])
        looks.append(_small(numbers))
        files = {
            "product": (f"{stem}.xml", product_xml(frame, polarisation, ties, noise, numbers)),
            "noise": (f"calibration/noise-{stem}.xml", noise_xml(frame, polarisation, noise)),
            "calibration": (
                f"calibration/calibration-{stem}.xml",
                calibration_xml(frame, polarisation, calibration),
            ),
        }
        for kind, (name, content) in files.items():
            (folder / "annotation" / name).write_bytes(content)
            objects.append(_data_object(folder, kind, stem, f"annotation/{name}"))
        _write_tiff(folder / f"measurement/{stem}.tiff", numbers, ties, frame)
        objects.append(_data_object(folder, "measurement", stem, f"measurement/{stem}.tiff"))
    _write_quick_look(folder / "preview/quick-look.png", looks)
    corners = _corners(ties)
    (folder / "preview/map-overlay.kml").write_text(overlay_text(corners), encoding="utf-8")
    objects.append(_data_object(folder, "mapoverlay", "", "preview/map-overlay.kml"))
    objects.append(_data_object(folder, "quicklook", "", "preview/quick-look.png"))
    manifest = manifest_text(_facts(frame, corners), objects).encode()
    (folder / "manifest.safe").write_bytes(manifest)
    return binascii.crc_hqx(manifest, 0xFFFF)


def _numbers(
    frame: SafeFrame, calibration: Calibration, noise: Noise, sigma0: Image, speckle: Image
) -> NDArray[np.uint16]:
    """Digital numbers of a band, in blocks of lines: a whole scene is large."""
    rows, cols = frame.swath.shape
    numbers = np.empty((rows, cols), dtype=np.uint16)
    for first in range(0, rows, BLOCK_LINES):
        lines = slice(first, min(first + BLOCK_LINES, rows))
        power = noise.power(lines.start, lines.stop, cols, frame.noise.error)
        numbers[lines] = digital_numbers(sigma0[lines], speckle[lines], calibration, power)
    return numbers


def _data_object(folder: Path, kind: str, stem: str, name: str) -> DataObject:
    content = (folder / name).read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return DataObject(kind, stem, name, len(content), md5)


def _pack(folder: Path, path: Path) -> None:
    """Zip a folder below the product's name, in a fixed order and with fixed dates."""
    root = path.name.removesuffix(".zip")
    with (
        in_place(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for file in sorted(folder.rglob("*")):
            name = f"{root}/{file.relative_to(folder).as_posix()}"
            if file.is_dir():
                archive.writestr(zipfile.ZipInfo(name + "/"), b"")
                continue
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, file.read_bytes())


def _write_tiff(path: Path, numbers: NDArray[np.uint16], ties: TiePoints, frame: SafeFrame) -> None:
    rows, cols = numbers.shape
    # As in the real files the points are counted from pixel centres, though GDAL takes them to
    # be counted from corners.
    points = [
        GroundControlPoint(
            row=float(ties.line[i]),
            col=float(ties.pixel[j]),
            x=float(ties.lon[i, j]),
            y=float(ties.lat[i, j]),
            z=float(ties.height[i, j]),
            id=str(i * len(ties.pixel) + j + 1),
        )
        for i in range(len(ties.line))
        for j in range(len(ties.pixel))
    ]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=rows,
        width=cols,
        dtype="uint16",
        gcps=points,
        crs=CRS.from_epsg(4326),
    ) as dataset:
        dataset.write(numbers, 1)
        dataset.update_tags(
            TIFFTAG_DATETIME=f"{moment(frame.swath.start):%Y:%m:%d %H:%M:%S}",
            TIFFTAG_IMAGEDESCRIPTION=f"Sentinel-{frame.platform[1:]} EW GRD {frame.resolution}R L1",
            TIFFTAG_SOFTWARE=SOFTWARE,
        )


def _small(numbers: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Quick look of a band."""
    scale = min(1.0, QUICK_LOOK / max(numbers.shape))
    size = (max(1, round(numbers.shape[1] * scale)), max(1, round(numbers.shape[0] * scale)))
    small = cv2.resize(numbers, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    top = max(float(np.percentile(small, 99)), 1.0)
    return np.asarray(np.clip(small * (255 / top), 0, 255), dtype=np.uint8)


def _write_quick_look(path: Path, looks: Sequence[NDArray[np.uint8]]) -> None:
    hh, hv = looks[0], looks[-1]
    if not cv2.imwrite(str(path), np.stack([hh, hv, hh], axis=-1)):
        raise OSError(f"{path}: quick look cannot be written")


def _corners(ties: TiePoints) -> Float:
    """Latitude, longitude (4, 2) of the corners, in the order of the real manifests."""
    at = [(-1, 0), (-1, -1), (0, -1), (0, 0)]
    return np.array([[ties.lat[i, j], ties.lon[i, j]] for i, j in at])


def _facts(frame: SafeFrame, corners: Float) -> dict[str, str]:
    """Collect what the manifest says besides the files."""
    swath = frame.swath
    first = 73 if frame.platform == "S1A" else 27
    node = swath.orbit.node_time
    return {
        "version": "003.52" if frame.noise.azimuth else "002.84",
        "nssdc": {"S1A": "2014-016A", "S1B": "2016-025A"}.get(frame.platform, "0000-000A"),
        "number": frame.platform[-1],
        "orbit": str(frame.orbit_number),
        "relative": str((frame.orbit_number - first) % 175 + 1),
        "cycle": str(max(1, (frame.orbit_number - first) // 175 + 1)),
        "pass": "ASCENDING" if frame.ascending else "DESCENDING",
        "node_time": iso_micro(node),
        "datatake": str(frame.datatake),
        "polarisations": " ".join(frame.polarisations),
        "slice": str(frame.slice_number),
        "slices": str(frame.slices),
        "start": iso_micro(swath.start),
        "stop": iso_micro(swath.stop),
        "start_anx": f"{1e3 * (swath.start - node):.6e}",
        "stop_anx": f"{1e3 * (swath.stop - node):.6e}",
        "footprint": " ".join(f"{lat:.6f},{lon:.6f}" for lat, lon in corners),
        "package": "ewdp" if len(frame.polarisations) == 2 else "ewsp",
    }
