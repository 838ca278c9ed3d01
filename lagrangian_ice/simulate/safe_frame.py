"""A simulated Sentinel-1 product before it is written: its names and its geolocation grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.orbit import LIGHT, geodetic, ground_point, incidence_angle
from lagrangian_ice.simulate.radar_swath import RadarSwath
from lagrangian_ice.times import from_seconds

Index = NDArray[np.int64]

TIE_COLUMNS = 21
TIE_SPACING = 20e3
"""Between the lines of the geolocation grid, metres; less in short frames."""

LEAST_TIE_LINES = 8

HIGH_PIXEL = 25.0
"""Largest pixel of a product of high resolution, metres."""

_KINDS = {("HH",): "SH", ("HH", "HV"): "DH", ("VV",): "SV", ("VV", "VH"): "DV"}


@dataclass(frozen=True)
class SafeFrame:
    """What names and describes a product.

    Attributes
    ----------
    swath : RadarSwath
        Lines and samples of this product.
    platform : str
        ``S1A`` to ``S1D``.
    orbit_number, datatake : int
        Absolute orbit and number of the datatake.
    slice_number, slices : int
        Which part of the datatake this is.
    polarisations : tuple of str
        HH, HH and HV, VV, or VV and VH.
    noise : NoiseSettings
        Thermal noise.
    tie_heights : (rows, cols) float64, optional
        Terrain height of the tie points, metres, in the shape that :func:`tie_lines_pixels` gives;
        sea level where missing. As in real products such points are where the terrain is.
    """

    swath: RadarSwath
    platform: str
    orbit_number: int
    datatake: int
    slice_number: int = 1
    slices: int = 1
    polarisations: tuple[str, ...] = ("HH", "HV")
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    tie_heights: Float | None = None

    def __post_init__(self) -> None:
        if self.polarisations not in _KINDS:
            allowed = ", ".join("+".join(names) for names in _KINDS)
            raise ValueError(f"polarisations {self.polarisations} are none of {allowed}")
        if self.platform not in {"S1A", "S1B", "S1C", "S1D"}:
            raise ValueError(f"platform {self.platform!r} is not one of S1A, S1B, S1C, S1D")

    def stem(self, polarisation: str) -> str:
        """Name of the files of a polarisation, without extension."""
        number = self.polarisations.index(polarisation) + 1
        start, stop = (text.lower() for text in self._period)
        return (
            f"{self.platform.lower()}-ew-grd-{polarisation.lower()}-{start}-{stop}-"
            f"{self.orbit_number:06d}-{self.datatake:06x}-{number:03d}"
        )

    def folder(self, unique: int) -> str:
        """Name of the product with a number that tells it from others, 0 to 65535."""
        start, stop = self._period
        return (
            f"{self.platform}_EW_GRD{self.resolution}_1S{_KINDS[self.polarisations]}_{start}_{stop}_{self.orbit_number:06d}_"
            f"{self.datatake:06X}_{unique:04X}.SAFE"
        )

    @property
    def resolution(self) -> str:
        """Medium or high, as names tell it: pixels of 40 m are medium, of 25 m high."""
        return "M" if self.swath.pixel > HIGH_PIXEL else "H"

    @property
    def ascending(self) -> bool:
        """Whether the satellite flies northward."""
        middle = 0.5 * (self.swath.start + self.swath.stop)
        return bool(self.swath.orbit.state(middle)[1][2] > 0)

    @property
    def _period(self) -> tuple[str, str]:
        start, stop = (moment(time) for time in (self.swath.start, self.swath.stop))
        return f"{start:%Y%m%dT%H%M%S}", f"{stop:%Y%m%dT%H%M%S}"


@dataclass(frozen=True)
class TiePoints:
    """The geolocation grid: L lines of P pixels.

    Attributes
    ----------
    line, pixel : (L,), (P,) int64
        Counted from the centre of the first pixel.
    time : (L, P) float64
        Zero-Doppler times, seconds since 1970, whole microseconds.
    slant_range_time : (L, P) float64
        Two-way, seconds.
    lon, lat, height, incidence : (L, P) float64
        Degrees, metres, degrees.
    """

    line: Index
    pixel: Index
    time: Float
    slant_range_time: Float
    lon: Float
    lat: Float
    height: Float
    incidence: Float


def tie_lines_pixels(shape: tuple[int, int], pixel: float) -> tuple[Index, Index]:
    """Lines (L,) and pixels (P,) of the geolocation grid of a frame."""
    rows, cols = shape
    step = max(1, min(round(TIE_SPACING / pixel), -(-(rows - 1) // LEAST_TIE_LINES)))
    line = np.unique(np.append(np.arange(0, rows - 1, step), rows - 1))
    across = max(1, -(-cols // (TIE_COLUMNS - 1)))
    col = np.unique(np.append(np.arange(0, cols - 1, across), cols - 1))
    return line, col


def tie_points(frame: SafeFrame) -> TiePoints:
    """Geolocation grid of a frame.

    Positions follow by range-Doppler from the times and ranges as they are written, so that
    nobody has to live with their rounding.
    """
    swath = frame.swath
    line, pixel = tie_lines_pixels(swath.shape, swath.pixel)
    rowcol = np.stack(np.meshgrid(line, pixel, indexing="ij"), axis=-1).astype(np.float64)
    time, distance = swath.time_and_range(rowcol)
    height = np.zeros(time.shape) if frame.tie_heights is None else frame.tie_heights
    if height.shape != time.shape:
        raise ValueError(f"tie heights of {height.shape} are not of {time.shape}")
    time = np.round(time, 6)
    place, velocity = swath.orbit.state(time.ravel())
    point = ground_point(place, velocity, distance.ravel(), height.ravel())
    lon, lat, _ = (value.reshape(time.shape) for value in geodetic(point))
    incidence = incidence_angle(place, point).reshape(time.shape)
    return TiePoints(line, pixel, time, 2 * distance / LIGHT, lon, lat, height, incidence)


def moment(seconds: float) -> datetime:
    """Time rounded to microseconds, as the files have it."""
    return from_seconds(round(seconds, 6))


def iso_micro(seconds: float) -> str:
    """Time as the files have it: ISO 8601 to microseconds, without zone."""
    return f"{moment(seconds):%Y-%m-%dT%H:%M:%S.%f}"
