"""Range-Doppler: where on the ellipsoid a radar sees a point of given time and range.

A target P seen at zero Doppler from S with velocity V at range R and height h obeys
``|P - S| = R``, ``(P - S) . V = 0`` and
``(Px^2 + Py^2) / (a + h)^2 + Pz^2 / (b + h)^2 = 1`` (Curlander and McDonough 1991). Newton's
iteration from any nearby point solves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lagrangian_ice.grid import Float, transformer

if TYPE_CHECKING:
    # Slow to load, and only SAFE products need it.
    from scipy.interpolate import CubicHermiteSpline

LIGHT_SPEED = 299_792_458.0
SEMI_MAJOR, SEMI_MINOR = 6378137.0, 6356752.314245

_ECEF, _GEODETIC = "EPSG:4978", "EPSG:4979"
_AXES = (SEMI_MAJOR, SEMI_MAJOR, SEMI_MINOR)
_STEPS = 12
_DONE = 1e-5


@dataclass(frozen=True)
class Orbit:
    """State vectors in the Earth-fixed frame.

    Between vectors 10 s apart cubic Hermite interpolation is right to 0.3 mm.

    Attributes
    ----------
    times : (N,) float64
        Seconds, increasing.
    positions, velocities : (N, 3) float64
        Metres and metres a second.
    """

    times: Float
    positions: Float
    velocities: Float

    def at(self, times: Float) -> tuple[Float, Float]:
        """Position and velocity (..., 3) at times (...)."""
        return self._spline(times), self._spline(times, 1)

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        from scipy.interpolate import CubicHermiteSpline

        return CubicHermiteSpline(self.times, self.positions, self.velocities)


def locate(
    position: Float, velocity: Float, slant_range: Float, height: Float | float, near: Float
) -> Float:
    """Targets (N, 3) at a height above WGS84, Earth-fixed metres; NaN where there is none.

    Parameters
    ----------
    position, velocity : (N, 3) float64
        Of the satellite when it sees the target at zero Doppler.
    slant_range : (N,) float64
        Metres.
    height : (N,) float64 or float
        Above the ellipsoid, metres.
    near : (N, 3) float64
        A point within some hundreds of kilometres, on the side that the radar looks to.
    """
    squares = np.stack(
        [np.broadcast_to(axis + height, slant_range.shape) ** -2.0 for axis in _AXES], axis=-1
    )
    target = near.copy()
    # what diverges ends as NaN, which is told at the end
    with np.errstate(all="ignore"):
        along = velocity / np.linalg.norm(velocity, axis=-1, keepdims=True)
        for _ in range(_STEPS):
            step = _newton_step(target, position, along, slant_range, squares)
            target -= step
            if np.abs(step).max(initial=0.0) < _DONE:
                break
        target[~(np.abs(step).max(axis=-1) < _DONE)] = np.nan
    return target


def _newton_step(
    target: Float, position: Float, along: Float, slant_range: Float, squares: Float
) -> Float:
    away = target - position
    distance = np.linalg.norm(away, axis=-1)
    outside = 0.5 * SEMI_MAJOR * (np.sum(target**2 * squares, axis=-1) - 1.0)
    residual = np.stack([distance - slant_range, np.sum(away * along, axis=-1), outside], axis=-1)
    jacobian = np.stack([away / distance[:, None], along, SEMI_MAJOR * target * squares], axis=-2)
    try:
        return np.asarray(np.linalg.solve(jacobian, residual[..., None])[..., 0])
    except np.linalg.LinAlgError:
        return np.full_like(target, np.nan)


def to_earth_fixed(lonlat: Float, height: Float) -> Float:
    """Earth-fixed positions (N, 3) of longitude, latitude (N, 2), degrees, and height, metres."""
    there = transformer(_GEODETIC, _ECEF).transform(lonlat[:, 0], lonlat[:, 1], height)
    return np.stack(there, axis=-1)


def to_lonlat(target: Float) -> Float:
    """Longitude, latitude (N, 2) in degrees of Earth-fixed positions (N, 3)."""
    x, y, z = target.T
    there = np.stack(transformer(_ECEF, _GEODETIC).transform(x, y, z), axis=-1)
    return np.asarray(there[:, :2])
