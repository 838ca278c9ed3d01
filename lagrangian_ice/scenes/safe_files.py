"""Files of a SAFE product, in a folder or in a zip that is never unpacked.

The manifest tells them. Names in it and in a zip stay inside of the product; sizes are limited
before anything is read. Copies of products with shortened names (``annotation/ew-hh.xml``) keep the
archive's long names in the manifest: where such a file is not there, the one file of the same
folder, kind and polarisation is taken.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from lagrangian_ice.errors import SceneError, reason_of, shortened
from lagrangian_ice.scenes.safe_xml import MAX_XML_BYTES, Node, parse_xml

MANIFEST = "manifest.safe"
MAX_MEMBERS = 10_000

_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    # what the standard library answers to passwords and unknown compressions
    RuntimeError,
    NotImplementedError,
    # offsets and names that are none
    ValueError,
    OverflowError,
)
_CLEAN = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_POLARISATION = re.compile(r"(?:^|[-_])(hh|hv|vv|vh)(?=[-_.])", re.IGNORECASE)
_SCHEMAS = {
    "s1Level1ProductSchema": "annotation",
    "s1Level1CalibrationSchema": "calibration",
    "s1Level1NoiseSchema": "noise",
    "s1Level1MeasurementSchema": "measurement",
}
_ROLES = tuple(_SCHEMAS.values())
_VERSION = re.compile(r"[0-9]{1,7}")
_PROCESSOR = "Sentinel-1 IPF"
_ORDER = ("HH", "VV", "HV", "VH")


class ProductFiles(Protocol):
    """Where the files of a product are."""

    @property
    def path(self) -> Path:
        """Folder or zip."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Files of a folder of the product: name inside of the product, and bytes."""

    def read(self, name: str) -> bytes:
        """Content of a small file."""

    def gdal_path(self, name: str) -> str:
        """Path that GDAL opens."""


@dataclass(frozen=True)
class FolderFiles:
    """A product as a folder.

    Attributes
    ----------
    path : Path
        The ``.SAFE`` folder.
    """

    path: Path

    def sizes(self, folder: str) -> dict[str, int]:
        """Files of a folder of the product: name inside of the product, and bytes."""
        place = self.path / folder
        try:
            files = [one for one in place.iterdir() if one.is_file()] if place.is_dir() else []
            return {str(PurePosixPath(folder, one.name)): one.stat().st_size for one in files}
        except OSError as error:
            raise SceneError(f"{place}: cannot be read ({reason_of(error)})") from None

    def read(self, name: str) -> bytes:
        """Content of a small file."""
        place = self.path / name
        try:
            with place.open("rb") as file:
                return file.read(MAX_XML_BYTES + 1)
        except OSError as error:
            raise SceneError(f"{place}: cannot be read ({reason_of(error)})") from None

    def gdal_path(self, name: str) -> str:
        """Path that GDAL opens."""
        return str(self.path / name)


@dataclass(frozen=True)
class ZipFiles:
    """A product as a zip, with its files at the top or in one folder.

    Attributes
    ----------
    path : Path
        The zip.
    """

    path: Path

    def sizes(self, folder: str) -> dict[str, int]:
        """Files of a folder of the product: name inside of the product, and bytes."""
        return {
            name: size
            for name, size in self._members.items()
            if str(PurePosixPath(name).parent) == str(PurePosixPath(folder))
        }

    def read(self, name: str) -> bytes:
        """Content of a small file."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._root + name) as file:
                # the size that the directory tells may be a lie
                return file.read(MAX_XML_BYTES + 1)
        except KeyError:
            raise SceneError(f"{self.path}: no {name} in it; get the product again") from None
        except _BROKEN_ZIP as error:
            raise SceneError(self._broken(name, error)) from None

    def gdal_path(self, name: str) -> str:
        """Path that GDAL opens."""
        # braces keep GDAL from looking for the end of the zip's name, and must not be in it
        path = str(self.path)
        archive = path if {"{", "}"} & set(path) else f"{{{path}}}"
        return f"/vsizip/{archive}/{self._root}{name}"

    @cached_property
    def _all_members(self) -> dict[str, int]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                found = archive.infolist()
        except _BROKEN_ZIP as error:
            raise SceneError(self._broken("", error)) from None
        if len(found) > MAX_MEMBERS:
            raise SceneError(
                f"{self.path}: {len(found)} files; a product has fewer than 100; "
                "get the product again"
            )
        names = [one.filename for one in found]
        if len(set(names)) < len(names):
            raise SceneError(f"{self.path}: holds the same name twice; get the product again")
        for name in names:
            if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
                raise SceneError(f"{self.path}: member {name[:80]!r} leaves the product; not read")
        return {one.filename: one.file_size for one in found if not one.is_dir()}

    @cached_property
    def _root(self) -> str:
        manifests = [
            name
            for name in self._all_members
            if PurePosixPath(name).name == MANIFEST and name.count("/") <= 1
        ]
        if len(manifests) != 1:
            raise SceneError(
                f"{self.path}: {len(manifests)} manifests ({MANIFEST}) in it, not one; "
                "get the product again"
            )
        return manifests[0].removesuffix(MANIFEST)

    @cached_property
    def _members(self) -> dict[str, int]:
        members = self._all_members.items()
        start = len(self._root)
        return {name[start:]: size for name, size in members if name.startswith(self._root)}

    def _broken(self, name: str, error: Exception) -> str:
        member = f" ({name})" if name else ""
        return (
            f"{self.path}{member}: not a readable zip ({reason_of(error)}); get the product again"
        )


@dataclass(frozen=True)
class BandFiles:
    """Files of one polarisation, by their names inside of the product.

    Attributes
    ----------
    polarisation : str
        HH, HV, VV or VH.
    annotation, calibration, noise, measurement : str
        Names.
    """

    polarisation: str
    annotation: str
    calibration: str
    noise: str
    measurement: str


@dataclass(frozen=True)
class SafeProduct:
    """A product whose manifest has been read and whose files are there.

    Attributes
    ----------
    files : ProductFiles
        Folder or zip.
    bands : tuple of BandFiles
        HH or VV first.
    processor : tuple of int
        Version of ESA's processor (IPF), for example ``(3, 52)``; empty where it is not told.
    """

    files: ProductFiles
    bands: tuple[BandFiles, ...]
    processor: tuple[int, ...] = ()

    def band(self, polarisation: str) -> BandFiles:
        """Files of one polarisation (ValueError where the product does not have it)."""
        for band in self.bands:
            if band.polarisation == polarisation:
                return band
        has = ", ".join(band.polarisation for band in self.bands)
        raise ValueError(f"polarisation {polarisation!r} is not in {self.files.path}; it has {has}")

    def xml(self, name: str) -> Node:
        """Root of one of the product's XML files."""
        return parse_xml(self.files.read(name), f"{self.files.path}/{name}")


def is_product_zip(path: Path) -> bool:
    """Whether a file is a readable zip with a manifest, at its top or in one folder."""
    try:
        # a pipe would be waited for without end
        if path.suffix.lower() != ".zip" or not path.is_file():
            return False
        ZipFiles(path).sizes(".")
    except (SceneError, OSError):
        return False
    return True


def product_id(path: Path) -> str:
    """Name of a product without ``.SAFE`` and ``.zip``; of a manifest, that of its folder."""
    name = path.resolve().parent.name if path.name == MANIFEST else path.name
    return re.sub(r"(\.SAFE)?(\.zip)?$", "", name, flags=re.IGNORECASE)


def find_product(path: Path) -> SafeProduct:
    """Files of a product.

    Parameters
    ----------
    path : Path
        ``.SAFE`` folder, its ``manifest.safe``, or zip.

    Raises
    ------
    SceneError
        If the manifest is missing or damaged, or a file of a polarisation is missing.
    """
    files = _files(path)
    if MANIFEST not in files.sizes("."):
        raise SceneError(f"{files.path}: no {MANIFEST} in it; get the product again")
    manifest = parse_xml(files.read(MANIFEST), f"{files.path}/{MANIFEST}")
    kind = manifest.element.findtext(".//{*}productType") or "GRD"
    if kind.strip() != "GRD":
        raise SceneError(f"{files.path}: a product of type {kind.strip()[:20]!r}; only GRD is read")
    named = _named_files(files, manifest)
    expected = _polarisations(manifest) | {polarisation for _, polarisation in named}
    if not expected:
        raise SceneError(
            f"{files.path}: its manifest names no annotation of HH, HV, VV or VH; "
            "get the product again"
        )
    bands = [_band(files, named, one) for one in sorted(expected, key=_ORDER.index)]
    return SafeProduct(files, tuple(bands), _processor(manifest))


def _processor(manifest: Node) -> tuple[int, ...]:
    for one in manifest.nodes(".//{*}software"):
        if one.attribute("name") == _PROCESSOR:
            parts = one.attribute("version").split(".")
            # str.isdigit also takes what int does not, such as a superscript
            return tuple(int(part) for part in parts) if all(map(_VERSION.fullmatch, parts)) else ()
    return ()


def _files(path: Path) -> ProductFiles:
    if not path.exists():
        raise SceneError(f"{path}: no such file or folder; bring it back or get the product again")
    if path.name == MANIFEST and path.is_file():
        return FolderFiles(path.parent)
    if path.is_dir():
        return FolderFiles(path)
    if path.suffix.lower() == ".zip":
        return ZipFiles(path)
    raise SceneError(f"{path}: neither a .SAFE folder nor a zip")


def _named_files(files: ProductFiles, manifest: Node) -> dict[tuple[str, str], str]:
    """Names by role and polarisation, as the manifest tells them."""
    named: dict[tuple[str, str], str] = {}
    for one in manifest.nodes(".//{*}dataObject"):
        role = _SCHEMAS.get(one.attribute("repID"))
        location = one.element.find(".//{*}fileLocation")
        if role is None or location is None:
            continue
        name = _inside(files.path, location.get("href", ""))
        polarisation = _POLARISATION.search(PurePosixPath(name).name)
        if polarisation is None:
            raise SceneError(
                f"{files.path}: {shortened(name)!r} tells no polarisation (HH, HV, VV or VH); get "
                "the product again"
            )
        key = (role, polarisation.group(1).upper())
        if key in named:
            raise SceneError(f"{files.path}: two {role} files of {key[1]}; only GRD is read")
        named[key] = name
    return named


def _inside(path: Path, href: str) -> str:
    name = href.removeprefix("./")
    if not _CLEAN.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise SceneError(
            f"{path}: its manifest names {href[:80]!r}, not a file of the product; "
            "get the product again"
        )
    return name


def _polarisations(manifest: Node) -> set[str]:
    told = manifest.nodes(".//{*}transmitterReceiverPolarisation")
    return {(one.element.text or "").strip().upper() for one in told} & set(_ORDER)


def _band(files: ProductFiles, named: dict[tuple[str, str], str], polarisation: str) -> BandFiles:
    found = {}
    for role in _ROLES:
        name = named.get((role, polarisation))
        if name is None:
            raise SceneError(
                f"{files.path}: its manifest names no {role} file of {polarisation}; "
                "get the product again"
            )
        found[role] = _present(files, role, name)
    return BandFiles(polarisation, **found)


def _present(files: ProductFiles, role: str, name: str) -> str:
    """Return the name, or that of the one file that stands in for it under a shortened name."""
    sizes = files.sizes(str(PurePosixPath(name).parent))
    if name not in sizes:
        alike = [
            one for one in sizes if _CLEAN.fullmatch(one) and _likeness(one) == _likeness(name)
        ]
        if len(alike) != 1:
            raise SceneError(f"{files.path}: {role} file {name} is missing; get the product again")
        name = alike[0]
    if sizes[name] == 0:
        raise SceneError(f"{files.path}: {role} file {name} is empty; get the product again")
    if role != "measurement" and sizes[name] > MAX_XML_BYTES:
        raise SceneError(
            f"{files.path}: {name} has {sizes[name]} bytes; at most {MAX_XML_BYTES} are read"
        )
    return name


def _likeness(name: str) -> tuple[str, str, str]:
    """Kind, polarisation and format, which a shortened name keeps."""
    base = PurePosixPath(name).name.lower()
    kind = next((one for one in ("calibration", "noise", "rfi") if base.startswith(one)), "")
    polarisation = _POLARISATION.search(base)
    return kind, polarisation.group(1) if polarisation else "", base.rsplit(".", 1)[-1][:3]
