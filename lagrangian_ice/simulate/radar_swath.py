"""The swath of a radar on an orbit: pixels follow from range, zero Doppler and ground range.

As in Sentinel-1 GRD products, columns are equally spaced in ground range, which polynomials that
change from second to second turn into slant range, and the time of a line holds for the middle of
the swath: the echo of near ice comes a little earlier.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from lagrangian_ice.grid import MAP_CRS, Float, transform
from lagrangian_ice.simulate.orbit import (
    LIGHT,
    RADIUS,
    Orbit,
    cartesian,
    geodetic,
    ground_point,
    incidence_angle,
    orbit_over,
)
from lagrangian_ice.simulate.swath import SwathGeometry

LINE_SECONDS = 6.004712143413705e-3 / 40.0
"""Time between lines for each metre of pixel, s m-1: that of EW GRDM."""

DEGREE = 8
"""Of the polynomials between slant and ground range."""

INCIDENCE_STEP = 40
"""Columns between the nodes of the incidence angle."""


@dataclass(frozen=True)
class RadarSwath(SwathGeometry):
    """Image lines of a radar that looks to the right of its orbit.

    Attributes
    ----------
    orbit : Orbit
        Of the satellite.
    pixel : float
        Spacing in ground range and, nominally, along the track, metres.
    shape : tuple of int
        Rows, columns.
    start : float
        Time of the first line, seconds since 1970.
    near_range, mid_range : float
        Slant range of the first column, and that for which the times of the lines hold, metres.
    """

    orbit: Orbit
    pixel: float
    shape: tuple[int, int]
    start: float
    near_range: float
    mid_range: float

    def __post_init__(self) -> None:
        self._check_size()

    @property
    def line_interval(self) -> float:
        """Seconds from one line to the next."""
        return self.pixel * LINE_SECONDS

    @property
    def width(self) -> float:
        """Ground range from the first to the last column, metres."""
        return self.pixel * (self.shape[1] - 1)

    @property
    def incidence(self) -> Float:
        """Incidence angle (cols,) of all columns at the middle line, degrees."""
        col = np.linspace(0, self.shape[1] - 1, max(4, self.shape[1] // INCIDENCE_STEP + 2))
        row = np.full(col.shape, 0.5 * (self.shape[0] - 1))
        angle = self.incidence_at(np.stack([row, col], axis=-1))
        return np.asarray(CubicSpline(col, angle)(np.arange(self.shape[1])))

    def incidence_at(self, rowcol: ArrayLike) -> Float:
        """Incidence angle (...) at pixel positions (..., 2), degrees."""
        rowcol = np.asarray(rowcol, dtype=np.float64)
        time, distance = self.time_and_range(rowcol)
        place, velocity = self.orbit.state(time.ravel())
        point = ground_point(place, velocity, distance.ravel())
        return incidence_angle(place, point).reshape(distance.shape)

    def time_and_range(self, rowcol: ArrayLike) -> tuple[Float, Float]:
        """Zero-Doppler times (...) and slant ranges (...) of pixel positions (..., 2)."""
        rowcol = np.asarray(rowcol, dtype=np.float64)
        line_time = self.line_time(rowcol[..., 0])
        distance = self._slant_range(line_time, rowcol[..., 1] * self.pixel)[0]
        return line_time + self._echo_lag(distance), distance

    def _echo_lag(self, distance: Float) -> Float:
        return (distance - self.mid_range) / LIGHT

    def lonlat(self, rowcol: ArrayLike, height: ArrayLike = 0.0) -> Float:
        """Longitude, latitude (..., 2) of pixel positions (..., 2) at a height, degrees."""
        time, distance = self.time_and_range(rowcol)
        place, velocity = self.orbit.state(time.ravel())
        height = np.broadcast_to(np.asarray(height, dtype=np.float64), time.shape).ravel()
        lon, lat, _ = geodetic(ground_point(place, velocity, distance.ravel(), height))
        return np.stack([lon, lat], axis=-1).reshape(*time.shape, 2)

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2) at sea level, metres."""
        return transform(self.lonlat(rowcol), "EPSG:4326", MAP_CRS)

    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2) at sea level; NaN stays."""
        lonlat = transform(xy, MAP_CRS, "EPSG:4326")
        known = np.isfinite(lonlat).all(axis=-1)
        point = cartesian(lonlat[known])
        time = self.orbit.zero_doppler_time(point, 0.5 * (self.start + self.stop))
        distance = np.linalg.norm(point - self.orbit.state(time)[0], axis=-1)
        line_time = time - self._echo_lag(distance)
        row = (line_time - self.start) / self.line_interval
        rowcol = np.full(lonlat.shape, np.nan)
        rowcol[known] = np.stack([row, self._ground_range(line_time, distance) / self.pixel], -1)
        return rowcol

    def frame(self, first: int, rows: int) -> RadarSwath:
        """Part of the swath: ``rows`` lines from line ``first`` on, of the same geometry."""
        self._check_frame(first, rows)
        return dataclasses.replace(
            self, shape=(rows, self.shape[1]), start=float(self.line_time(first))
        )

    def conversion(self, second: int) -> tuple[Float, Float]:
        """Polynomials between ranges at a whole second since 1970.

        Returns
        -------
        slant, ground : (9,) float64
            Slant range in powers of ground range; ground range in powers of slant range less
            that of the first column. Metres.
        """
        return _conversion(self.orbit, self.near_range, self.width, second)

    def _slant_range(self, line_time: Float, ground: Float) -> tuple[Float, Float]:
        """Slant range and its derivative; straight lines beyond the first and last column."""
        whole = np.floor(line_time)
        first = int(whole.min()) if whole.size else 0
        count = int(whole.max()) - first + 2 if whole.size else 2
        table = np.stack([self.conversion(first + k)[0] for k in range(count)])
        index = (whole - first).astype(np.intp)
        weight = (line_time - whole)[..., None]
        coefficient = table[index] * (1 - weight) + table[index + 1] * weight
        inside = np.clip(ground, 0.0, self.width)
        value, slope = np.zeros(ground.shape), np.zeros(ground.shape)
        for power in range(DEGREE, -1, -1):
            slope = slope * inside + value
            value = value * inside + coefficient[..., power]
        return value + slope * (ground - inside), slope

    def _ground_range(self, line_time: Float, distance: Float) -> Float:
        # Ice far ahead of the lines or behind has a range that only has to be out of the swath.
        line_time = np.clip(line_time, self.start - 3.0, self.stop + 3.0)
        ground = np.full(distance.shape, 0.5 * self.width)
        for _ in range(12):
            value, slope = self._slant_range(line_time, ground)
            ground = ground - (value - distance) / slope
        return ground


@lru_cache(maxsize=4096)
def _conversion(orbit: Orbit, near_range: float, width: float, second: int) -> tuple[Float, Float]:
    """Fit both polynomials along the line that is at right angles to the orbit."""
    reach = width * 1.02
    distance = near_range + np.linspace(0.0, reach, 301)
    place, velocity = (np.repeat(s, len(distance), 0) for s in orbit.state([float(second)]))
    point = ground_point(place, velocity, distance)
    steps = np.linalg.norm(np.diff(point, axis=0), axis=-1)
    ground = np.concatenate([[0.0], np.cumsum(steps)])
    use = ground <= reach
    slant = _powers(ground[use], distance[use] - near_range)
    back = _powers(distance[use] - near_range, ground[use])
    # The first column keeps its range in all lines, as in the real products.
    slant[0] = near_range
    return slant, back


def _powers(x: Float, y: Float) -> Float:
    return np.asarray(Polynomial.fit(x, y, DEGREE).convert().coef, dtype=np.float64)


def plan_radar_swath(
    lonlat: ArrayLike,
    time: float,
    ascending: bool,
    near_incidence: float,
    size: tuple[float, float],
    pixel: float,
) -> RadarSwath:
    """Swath about a place.

    Parameters
    ----------
    lonlat : (2,) array_like
        Of the middle, degrees.
    time : float
        When the middle is seen, seconds since 1970; rounded to microseconds.
    ascending : bool
        Whether the satellite flies northward.
    near_incidence : float
        Of the first column, to about 0.1 degrees.
    size : tuple of float
        Along the track and across, metres.
    pixel : float
        Metres.

    Raises
    ------
    ValueError
        If the orbit does not reach that latitude.
    """
    earth = float(np.linalg.norm(cartesian(lonlat)))
    near = _sphere_range(earth, _sphere_arc(earth, near_incidence))
    middle = _sphere_range(earth, _sphere_arc(earth, near_incidence) + 0.5 * size[1] / earth)
    orbit = orbit_over(lonlat, time, middle, ascending)
    rows, cols = round(size[0] / pixel), round(size[1] / pixel)
    start = round(time - 0.5 * (rows - 1) * pixel * LINE_SECONDS, 6)
    swath = RadarSwath(orbit, pixel, (rows, cols), start, near, middle)
    far = float(swath._slant_range(np.array([time]), np.array([swath.width]))[0][0])
    return dataclasses.replace(swath, mid_range=0.5 * (near + far))


def ground_between(lonlat: ArrayLike, near_incidence: float, far_incidence: float) -> float:
    """Ground range between two incidence angles (degrees) at a place, metres."""
    earth = float(np.linalg.norm(cartesian(lonlat)))
    return earth * (_sphere_arc(earth, far_incidence) - _sphere_arc(earth, near_incidence))


def incidence_beyond(lonlat: ArrayLike, incidence: float, ground: float) -> float:
    """Incidence angle (degrees) at a ground range (metres) beyond that of another angle."""
    earth = float(np.linalg.norm(cartesian(lonlat)))
    arc = _sphere_arc(earth, incidence) + ground / earth
    distance = _sphere_range(earth, arc)
    return math.degrees(math.asin(RADIUS * math.sin(arc) / distance))


def _sphere_arc(earth: float, incidence: float) -> float:
    """Angle at the Earth's centre from nadir to where the incidence angle is met."""
    angle = math.radians(incidence)
    return angle - math.asin(earth / RADIUS * math.sin(angle))


def _sphere_range(earth: float, arc: float) -> float:
    return math.sqrt(earth**2 + RADIUS**2 - 2 * earth * RADIUS * math.cos(arc))
