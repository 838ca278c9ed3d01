"""The annotation of one polarisation: times, orbit, geolocation grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float
from lagrangian_ice.scenes.raster import MAX_PIXELS, MAX_SIDE
from lagrangian_ice.scenes.safe_orbit import LIGHT_SPEED, Orbit
from lagrangian_ice.scenes.safe_xml import Node

_MODES = re.compile(r"EW|IW|S[1-6]")
_PLATFORM = re.compile(r"S1[A-Z]")
_SPLINE_POINTS = 4
_LINE_TIME_ERROR = 1e-3
_MAX_SWATHS = 8
_BOUNDS = "swathBoundsList/swathBounds"


@dataclass(frozen=True)
class TieGrid:
    """The geolocation grid: one point at every line and pixel of a lattice.

    Attributes
    ----------
    lines, pixels : (h,), (w,) float64
        Rows and columns of the lattice, pixel centres.
    times : (h, w) float64
        Zero-Doppler time, seconds after the first line.
    slant_range : (h, w) float64
        Metres.
    lonlat : (h, w, 2) float64
        Degrees.
    height : (h, w) float64
        Of the terrain above WGS84, metres.
    incidence_angle : (h, w) float64
        Degrees.
    """

    lines: Float
    pixels: Float
    times: Float
    slant_range: Float
    lonlat: Float
    height: Float
    incidence_angle: Float


@dataclass(frozen=True)
class SubSwath:
    """Part of the image that comes from one beam.

    Attributes
    ----------
    name : str
        ``EW1``.
    parts : tuple of (slice, slice)
        Rows and columns: the seams move by some pixels from time to time.
    """

    name: str
    parts: tuple[tuple[slice, slice], ...]


@dataclass(frozen=True)
class Annotation:
    """What the annotation of one polarisation tells.

    Attributes
    ----------
    source : str
        File, for messages.
    polarisation, platform, mode : str
        ``HH``; ``S1A``; ``EW``.
    start, stop : datetime
        UTC of the first and last line.
    line_interval : float
        Seconds between two lines.
    orbit_number, datatake : int
        Absolute orbit; datatake.
    shape : tuple of int
        Rows, columns.
    noise_removed : bool
        Whether the processor has already taken the thermal noise out of the pixels.
    orbit : Orbit
        Times in seconds after the first line.
    grid : TieGrid
        The geolocation grid.
    sub_swaths : tuple of SubSwath
        From near to far range; empty where the annotation does not tell them.
    """

    source: str
    polarisation: str
    platform: str
    mode: str
    start: datetime
    stop: datetime
    line_interval: float
    orbit_number: int
    datatake: int
    shape: tuple[int, int]
    noise_removed: bool
    orbit: Orbit
    grid: TieGrid
    sub_swaths: tuple[SubSwath, ...]

    @property
    def pass_id(self) -> str:
        """Datatake, in the form that a product's name gives too."""
        return f"{self.platform}_{self.orbit_number:06d}_{self.datatake:06X}"


def read_annotation(root: Node) -> Annotation:
    """Annotation from the root of its file.

    Raises
    ------
    SceneError
        If a part is missing, out of range, or does not fit the others.
    """
    image = "imageAnnotation/imageInformation/"
    start = root.time(image + "productFirstLineUtcTime")
    stop = root.time(image + "productLastLineUtcTime")
    shape = (root.integer(image + "numberOfLines"), root.integer(image + "numberOfSamples"))
    interval = root.number(image + "azimuthTimeInterval")
    _check_image(root, start, stop, shape, interval)
    return Annotation(
        source=root.source,
        polarisation=_word(root, "adsHeader/polarisation", re.compile("HH|HV|VV|VH")),
        platform=_word(root, "adsHeader/missionId", _PLATFORM),
        mode=_word(root, "adsHeader/mode", _MODES),
        start=start,
        stop=stop,
        line_interval=interval,
        orbit_number=root.integer("adsHeader/absoluteOrbitNumber"),
        datatake=root.integer("adsHeader/missionDataTakeId"),
        shape=shape,
        noise_removed=_noise_removed(root),
        orbit=_orbit(root, start, stop),
        grid=_tie_grid(root, start, shape),
        sub_swaths=_sub_swaths(root, shape),
    )


def _check_image(
    root: Node, start: datetime, stop: datetime, shape: tuple[int, int], interval: float
) -> None:
    kind = root.text("adsHeader/productType")
    if kind != "GRD":
        raise SceneError(f"{root.source}: a product of type {kind[:20]!r}; only GRD is read")
    if min(shape) < 2 or max(shape) > MAX_SIDE or shape[0] * shape[1] > MAX_PIXELS:
        raise SceneError(f"{root.source}: {shape[0]} x {shape[1]} pixels; get the product again")
    lasts = (stop - start).total_seconds()
    if not (interval > 0 and abs(lasts - (shape[0] - 1) * interval) < _LINE_TIME_ERROR):
        raise SceneError(
            f"{root.source}: {shape[0]} lines of {interval} s do not last from {start.isoformat()} "
            f"to {stop.isoformat()}; get the product again"
        )


def _word(root: Node, path: str, allowed: re.Pattern[str]) -> str:
    word = root.text(path)
    if not allowed.fullmatch(word):
        raise SceneError(
            f"{root.source}: <{path}> is {word[:20]!r}; known is {allowed.pattern}; "
            "get the product again"
        )
    return word


def _noise_removed(root: Node) -> bool:
    path = "imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed"
    # the first products have no such field, and their noise
    return root.has(path) and root.text(path).lower() == "true"


def _orbit(root: Node, start: datetime, stop: datetime) -> Orbit:
    vectors = root.nodes("generalAnnotation/orbitList/orbit")
    if len(vectors) < 2:
        raise SceneError(
            f"{root.source}: {len(vectors)} orbit vectors; at least 2 are needed; "
            "get the product again"
        )
    times = np.array([(one.time("time") - start).total_seconds() for one in vectors])
    positions = _vectors(vectors, "position")
    velocities = _vectors(vectors, "velocity")
    if np.any(np.diff(times) <= 0):
        raise SceneError(
            f"{root.source}: its orbit vectors are not in time order; get the product again"
        )
    if times[0] > 1.0 or times[-1] < (stop - start).total_seconds() - 1.0:
        raise SceneError(
            f"{root.source}: its orbit vectors do not cover the image's time; get the product again"
        )
    return Orbit(times, positions, velocities)


def _vectors(nodes: list[Node], name: str) -> Float:
    return np.array([[one.number(f"{name}/{axis}") for axis in "xyz"] for one in nodes])


def _tie_grid(root: Node, start: datetime, shape: tuple[int, int]) -> TieGrid:
    points = root.nodes("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    if not points:
        raise SceneError(f"{root.source}: no geolocation grid; get the product again")
    line, pixel = (np.array([one.number(tag) for one in points]) for tag in ("line", "pixel"))
    lines, pixels = np.unique(line), np.unique(pixel)
    size = (len(lines), len(pixels))
    order = np.lexsort((pixel, line))
    lattice = np.stack(np.meshgrid(lines, pixels, indexing="ij"), axis=-1).reshape(-1, 2)
    given = np.stack([line, pixel], axis=-1)[order]
    if min(size) < _SPLINE_POINTS or not np.array_equal(given, lattice):
        raise SceneError(
            f"{root.source}: its {len(points)} tie points are not a full grid; "
            "get the product again"
        )
    ends = (lines[-1] - shape[0] + 1, pixels[-1] - shape[1] + 1)
    if max(lines[0], pixels[0]) > 1.0 or min(ends) < -1.0:
        raise SceneError(
            f"{root.source}: its geolocation grid does not cover the image; get the product again"
        )
    times = np.array([_after(one.time("azimuthTime"), start) for one in points])
    fields = {
        tag: np.array([one.number(tag) for one in points])[order].reshape(size)
        for tag in ("slantRangeTime", "longitude", "latitude", "height", "incidenceAngle")
    }
    return TieGrid(
        lines=lines,
        pixels=pixels,
        times=times[order].reshape(size),
        slant_range=0.5 * LIGHT_SPEED * fields["slantRangeTime"],
        lonlat=np.stack([fields["longitude"], fields["latitude"]], axis=-1),
        height=fields["height"],
        incidence_angle=fields["incidenceAngle"],
    )


def _sub_swaths(root: Node, shape: tuple[int, int]) -> tuple[SubSwath, ...]:
    merges = root.nodes("swathMerging/swathMergeList/swathMerge")
    found = [
        SubSwath(one.text("swath"), tuple(_part(node, shape) for node in one.nodes(_BOUNDS)))
        for one in merges[:_MAX_SWATHS]
    ]
    whole = [one for one in found if one.parts]
    return tuple(sorted(whole, key=lambda one: one.parts[0][1].start))


def _part(node: Node, shape: tuple[int, int]) -> tuple[slice, slice]:
    first = node.integer("firstAzimuthLine"), node.integer("firstRangeSample")
    last = node.integer("lastAzimuthLine"), node.integer("lastRangeSample")
    rows, cols = (
        slice(min(max(a, 0), size), min(max(b + 1, 0), size))
        for a, b, size in zip(first, last, shape, strict=True)
    )
    return rows, cols


def _after(moment: datetime, start: datetime) -> float:
    return (moment - start) / timedelta(seconds=1)
