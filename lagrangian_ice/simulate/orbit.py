"""Where a satellite on a circular orbit is, and what it sees at a range and at right angles.

Everything is in the Earth-fixed frame of WGS84, metres and seconds since 1970.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from lagrangian_ice.grid import Float

LIGHT = 299792458.0
"""m s-1."""

MAJOR, MINOR = 6378137.0, 6356752.314245
"""Half axes of the ellipsoid, metres."""

GRAVITATION = 3.986004418e14
"""Of the Earth, m3 s-2."""

RADIUS = MAJOR + 693e3
"""Of the orbit, metres."""

INCLINATION = math.radians(98.18)

NODE_RATE = 2 * math.pi / 86400.0
"""Westward drift of the node on the Earth: a sun-synchronous plane turns once a day, rad s-1."""

_ECCENTRICITY2 = 1 - (MINOR / MAJOR) ** 2


@dataclass(frozen=True)
class Orbit:
    """One revolution of Sentinel-1 as a circle.

    Attributes
    ----------
    node_time : float
        When it crosses the equator northward.
    node_longitude : float
        Where it does, degrees.
    """

    node_time: float
    node_longitude: float

    @property
    def rate(self) -> float:
        """Angle that the satellite turns in a second, rad s-1."""
        return math.sqrt(GRAVITATION / RADIUS**3)

    def state(self, time: ArrayLike) -> tuple[Float, Float]:
        """Positions (..., 3) and velocities (..., 3) at times (...), metres and m s-1."""
        since = np.asarray(time, dtype=np.float64) - self.node_time
        angle = self.rate * since
        node = math.radians(self.node_longitude) - NODE_RATE * since
        flat, tilt = math.cos(INCLINATION), math.sin(INCLINATION)
        cos, sin, east, north = np.cos(angle), np.sin(angle), np.sin(node), np.cos(node)
        place = np.stack(
            [north * cos - east * sin * flat, east * cos + north * sin * flat, sin * tilt], axis=-1
        )
        turned = np.stack(
            [-north * sin - east * cos * flat, -east * sin + north * cos * flat, cos * tilt],
            axis=-1,
        )
        carried = np.stack([place[..., 1], -place[..., 0], np.zeros_like(sin)], axis=-1)
        return RADIUS * place, RADIUS * (self.rate * turned + NODE_RATE * carried)

    def zero_doppler_time(self, point: Float, guess: float) -> Float:
        """Find when points (..., 3) lie at right angles to the velocity.

        Parameters
        ----------
        point : (..., 3) float64
            Metres.
        guess : float
            Less than some minutes from the answer.

        Returns
        -------
        (...) float64
            Seconds since 1970.
        """
        time = np.full(point.shape[:-1], guess)
        for _ in range(8):
            place, velocity = self.state(time)
            sight = point - place
            doppler = np.sum(sight * velocity, axis=-1)
            slope = -np.sum(velocity**2, axis=-1) - self.rate**2 * np.sum(sight * place, axis=-1)
            time = time - doppler / slope
        return time


def geodetic(point: Float) -> tuple[Float, Float, Float]:
    """Longitude, latitude (degrees) and height (metres), each (...), of points (..., 3)."""
    x, y, z = np.moveaxis(point, -1, 0)
    across = np.hypot(x, y)
    reduced = np.arctan2(z * MAJOR, across * MINOR)
    rise = _ECCENTRICITY2 / (1 - _ECCENTRICITY2) * MINOR * np.sin(reduced) ** 3
    latitude = np.arctan2(z + rise, across - _ECCENTRICITY2 * MAJOR * np.cos(reduced) ** 3)
    sin = np.sin(latitude)
    surface = MAJOR * np.sqrt(1 - _ECCENTRICITY2 * sin**2)
    height = across * np.cos(latitude) + z * sin - surface
    return np.degrees(np.arctan2(y, x)), np.degrees(latitude), height


def cartesian(lonlat: ArrayLike, height: ArrayLike = 0.0) -> Float:
    """Points (..., 3) of longitude, latitude (..., 2) in degrees and height (...) in metres."""
    lon, lat = np.moveaxis(np.radians(np.asarray(lonlat, dtype=np.float64)), -1, 0)
    normal = MAJOR / np.sqrt(1 - _ECCENTRICITY2 * np.sin(lat) ** 2)
    out = normal + np.asarray(height, dtype=np.float64)
    z = (normal * (1 - _ECCENTRICITY2) + height) * np.sin(lat)
    return np.stack([out * np.cos(lat) * np.cos(lon), out * np.cos(lat) * np.sin(lon), z], axis=-1)


def upward(point: Float) -> Float:
    """Give unit vectors (..., 3) normal to the ellipsoid at points (..., 3)."""
    lon, lat, _ = geodetic(point)
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def ground_point(place: Float, velocity: Float, distance: Float, height: ArrayLike = 0.0) -> Float:
    """Points (N, 3) to the right of the satellite, at a range and at zero Doppler.

    Parameters
    ----------
    place, velocity : (N, 3) float64
        Of the satellite, metres and m s-1.
    distance : (N,) float64
        Slant range, metres.
    height : float or (N,) array_like
        Above the ellipsoid, metres.
    """
    height = np.broadcast_to(np.asarray(height, dtype=np.float64), distance.shape)
    point = _on_sphere(place, velocity, distance)
    for _ in range(6):
        sight = point - place
        residual = np.stack(
            [
                0.5 * (np.sum(sight**2, axis=-1) - distance**2),
                np.sum(sight * velocity, axis=-1),
                geodetic(point)[2] - height,
            ],
            axis=-1,
        )
        matrix = np.stack([sight, velocity, upward(point)], axis=-2)
        point = point - np.linalg.solve(matrix, residual[..., None])[..., 0]
    return point


def _on_sphere(place: Float, velocity: Float, distance: Float) -> Float:
    radius = np.linalg.norm(place, axis=-1)
    up = place / radius[..., None]
    right = np.cross(velocity, up)
    right /= np.linalg.norm(right, axis=-1)[..., None]
    earth = 6.37e6
    cos = (radius**2 + earth**2 - distance**2) / (2 * radius * earth)
    sin = np.sqrt(np.maximum(1 - cos**2, 0.0))
    return np.asarray(earth * (cos[..., None] * up + sin[..., None] * right))


def incidence_angle(place: Float, point: Float) -> Float:
    """Angles (...) between the vertical at points and the satellite, degrees."""
    sight = place - point
    cos = np.sum(sight * upward(point), axis=-1) / np.linalg.norm(sight, axis=-1)
    return np.asarray(np.degrees(np.arccos(cos)))


def orbit_over(lonlat: ArrayLike, time: float, distance: float, ascending: bool) -> Orbit:
    """Orbit that sees a place at a time and range.

    Parameters
    ----------
    lonlat : (2,) array_like
        Longitude, latitude, degrees.
    time : float
        Seconds since 1970.
    distance : float
        Slant range, metres.
    ascending : bool
        Whether the satellite flies northward then.

    Raises
    ------
    ValueError
        If the orbit does not reach that latitude.
    """
    lon, lat = np.asarray(lonlat, dtype=np.float64)
    rate = Orbit(0.0, 0.0).rate

    def seen(angle: float) -> tuple[float, float]:
        place, velocity = Orbit(0.0, 0.0).state([angle / rate])
        found = geodetic(ground_point(place, velocity, np.array([distance])))
        return float(found[0][0]), float(found[1][0])

    top, bottom = 0.5 * math.pi, -0.5 * math.pi if ascending else 1.5 * math.pi
    if not seen(bottom)[1] < lat < seen(top)[1]:
        raise ValueError(f"latitude {lat} is not seen at a range of {distance:.0f} m")
    angle = float(brentq(lambda a: seen(a)[1] - lat, bottom, top, xtol=1e-12))
    return Orbit(time - angle / rate, float((lon - seen(angle)[0] + 180) % 360 - 180))
