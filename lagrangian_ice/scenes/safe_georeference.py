"""Where the pixels of a SAFE product lie on the map, at sea level.

The points of the geolocation grid carry the height of the terrain, and with it the slant view's
displacement of up to a kilometre. Each is computed again by range-Doppler at height 0, where the
ice is (less the geoid, whose 15 m make 23 m); a bicubic spline of the map's x and y goes through
the grid. The annotation counts pixel centres, as the rest of the package does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float, lonlat_to_xy
from lagrangian_ice.scenes.georeference import GcpGeoreference
from lagrangian_ice.scenes.safe_annotation import Annotation
from lagrangian_ice.scenes.safe_orbit import locate, to_earth_fixed, to_lonlat

if TYPE_CHECKING:
    # Slow to load, and only SAFE products need it.
    from scipy.interpolate import RectBivariateSpline

MAX_MISFIT = 100.0
"""Metres between a grid point and range-Doppler with its own height; 0.014 m is usual."""


@dataclass(frozen=True)
class SwathGeoreference(GcpGeoreference):
    """Points at every line and pixel of a lattice, with a bicubic spline through them.

    Attributes
    ----------
    lines, pixels : (h,), (w,) float64
        Rows and columns of the lattice; ``points`` and ``positions`` are in its order.
    incidence : (h, w) float64
        Incidence angle, degrees.
    """

    lines: Float
    pixels: Float
    incidence: Float

    def incidence_angle(self, rowcol: Float) -> Float:
        """Incidence angle (...) in degrees at pixel positions (..., 2); linear beyond the image."""
        inside = np.clip(rowcol, *self._limits)
        row, col = inside[..., 0], inside[..., 1]
        spline = self._incidence_spline
        slope = np.stack([spline.ev(row, col, dx=1), spline.ev(row, col, dy=1)], axis=-1)
        beyond = np.sum(slope * (rowcol - inside), axis=-1)
        return np.asarray(spline.ev(row, col) + beyond)

    @property
    def _limits(self) -> tuple[Float, Float]:
        return (
            np.array([self.lines[0], self.pixels[0]]),
            np.array([self.lines[-1], self.pixels[-1]]),
        )

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, RectBivariateSpline]:
        from scipy.interpolate import RectBivariateSpline

        there = self.positions.reshape(len(self.lines), len(self.pixels), 2)
        return (
            RectBivariateSpline(self.lines, self.pixels, there[..., 0]),
            RectBivariateSpline(self.lines, self.pixels, there[..., 1]),
        )

    @cached_property
    def _incidence_spline(self) -> RectBivariateSpline:
        from scipy.interpolate import RectBivariateSpline

        return RectBivariateSpline(self.lines, self.pixels, self.incidence)


def swath_georeference(annotation: Annotation) -> SwathGeoreference:
    """Georeference at sea level of an annotated image.

    Raises
    ------
    SceneError
        If orbit and geolocation grid do not fit.
    """
    grid = annotation.grid
    _, misfit = _located(annotation, grid.height.ravel())
    if not np.all(misfit <= MAX_MISFIT):
        raise SceneError(
            f"{annotation.source}: its orbit does not give its geolocation grid again "
            f"to {MAX_MISFIT:.0f} m; get the product again"
        )
    level, _ = _located(annotation, np.zeros(grid.height.size))
    lattice = np.stack(np.meshgrid(grid.lines, grid.pixels, indexing="ij"), axis=-1)
    return SwathGeoreference(
        points=lattice.reshape(-1, 2),
        positions=lonlat_to_xy(to_lonlat(level)),
        shape=annotation.shape,
        lines=grid.lines,
        pixels=grid.pixels,
        incidence=grid.incidence_angle,
    )


def _located(annotation: Annotation, height: Float) -> tuple[Float, Float]:
    """Earth-fixed positions (N, 3) of the grid's points at a height, and metres from the grid's."""
    grid = annotation.grid
    stated = to_earth_fixed(grid.lonlat.reshape(-1, 2), grid.height.ravel())
    position, velocity = annotation.orbit.at(grid.times.ravel())
    found = locate(position, velocity, grid.slant_range.ravel(), height, stated)
    return found, np.linalg.norm(found - stated, axis=-1)
