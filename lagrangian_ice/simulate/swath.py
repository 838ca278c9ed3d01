"""Where and when a simulated pass sees: an image in its own geometry, on the map."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.control import GroundControlPoint
from scipy.interpolate import RectBivariateSpline

from lagrangian_ice.grid import MAP_CRS, Float, transform

GROUND_SPEED = 6800.0
"""Of the beam's footprint along the track, m s-1."""

NODE_STEP = 64
"""Pixels between the nodes of the spline that gives map positions of all pixels."""


class SwathGeometry(ABC):
    """What all swaths have: lines in time, columns in incidence, both on the map.

    Attributes
    ----------
    pixel : float
        Nominal metres on the ground.
    shape : tuple of int
        Rows, columns.
    start : float
        Time of the centre of the first line, seconds since 1970.
    """

    pixel: float
    shape: tuple[int, int]
    start: float

    @property
    @abstractmethod
    def line_interval(self) -> float:
        """Seconds from one line to the next."""

    @property
    @abstractmethod
    def incidence(self) -> Float:
        """Incidence angle (cols,) of all columns, degrees."""

    @abstractmethod
    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2), metres."""

    @abstractmethod
    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2)."""

    @abstractmethod
    def frame(self, first: int, rows: int) -> Self:
        """Part of the swath: ``rows`` lines from line ``first`` on, of the same geometry."""

    @property
    def stop(self) -> float:
        """Time of the centre of the last line, seconds since 1970."""
        return float(self.line_time(self.shape[0] - 1))

    def line_time(self, row: ArrayLike) -> Float:
        """Acquisition times (...) of rows (...), seconds since 1970."""
        return np.asarray(self.start + self.line_interval * np.asarray(row, dtype=np.float64))

    @property
    def line_times(self) -> Float:
        """Times (rows,) of all lines."""
        return self.line_time(np.arange(self.shape[0]))

    def contains(self, xy: ArrayLike, inset: float = 0.0) -> NDArray[np.bool_]:
        """Whether map positions (..., 2) lie inside the outermost pixels' centres.

        Parameters
        ----------
        xy : (..., 2) array_like
            Metres.
        inset : float
            By at least this much, metres.
        """
        rowcol = self.rowcol(xy)
        edge = inset / self.pixel
        last = np.asarray(self.shape, dtype=np.float64) - 1 - edge
        return np.asarray(np.all((rowcol >= edge) & (rowcol <= last), axis=-1))

    def all_xy(self) -> Float:
        """Map positions (rows, cols, 2) of all pixels, to a centimetre."""
        rows, cols = self.shape
        row = np.linspace(0, rows - 1, max(4, rows // NODE_STEP + 2))
        col = np.linspace(0, cols - 1, max(4, cols // NODE_STEP + 2))
        nodes = self.xy(np.stack(np.meshgrid(row, col, indexing="ij"), -1))
        grids = [
            RectBivariateSpline(row, col, nodes[..., axis])(np.arange(rows), np.arange(cols))
            for axis in range(2)
        ]
        return np.stack(grids, axis=-1)

    def _check_frame(self, first: int, rows: int) -> None:
        if first < 0 or rows < 2 or first + rows > self.shape[0]:
            raise ValueError(f"lines {first} to {first + rows} are not in {self.shape[0]} lines")

    def _check_size(self) -> None:
        if min(self.shape) < 2:
            raise ValueError(f"swath of {self.shape} pixels is too small")
        if not self.pixel > 0:
            raise ValueError(f"pixel {self.pixel} m is not positive")


@dataclass(frozen=True)
class Swath(SwathGeometry):
    """Image lines across the track of a satellite that looks to the right.

    Rows follow each other along the track, columns go away from it. The lines are straight in an
    oblique stereographic plane about the middle of the swath, so on the map they bend a little.

    Attributes
    ----------
    longitude, latitude : float
        Of the middle of the swath, degrees.
    heading : float
        Direction of flight there, degrees clockwise from north.
    pixel : float
        Metres on the ground.
    shape : tuple of int
        Rows, columns.
    start : float
        Time of the centre of the first line, seconds since 1970.
    near_incidence, far_incidence : float
        Incidence angle at the first and last column, degrees.
    first_line : int
        Lines of the pass before this frame of it: its plane is that of the whole pass.
    pass_lines : int
        Lines of the whole pass; 0 where this is it.
    """

    longitude: float
    latitude: float
    heading: float
    pixel: float
    shape: tuple[int, int]
    start: float
    near_incidence: float
    far_incidence: float
    first_line: int = 0
    pass_lines: int = 0

    def __post_init__(self) -> None:
        self._check_size()

    @property
    def line_interval(self) -> float:
        """Seconds from one line to the next."""
        return self.pixel / GROUND_SPEED

    @property
    def incidence(self) -> Float:
        """Incidence angle (cols,) of all columns, degrees."""
        return np.linspace(self.near_incidence, self.far_incidence, self.shape[1])

    @property
    def _crs(self) -> str:
        return (
            f"+proj=stere +lat_0={self.latitude!r} +lon_0={self.longitude!r} "
            "+k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m +no_defs"
        )

    @property
    def _axes(self) -> tuple[Float, Float]:
        """Unit vectors (east, north) along the track and to its right."""
        turn = np.deg2rad(self.heading)
        along = np.array([np.sin(turn), np.cos(turn)])
        return along, np.array([along[1], -along[0]])

    @property
    def _middle(self) -> Float:
        """Row and column of the plane's origin."""
        lines = self.pass_lines or self.shape[0]
        return np.array([0.5 * (lines - 1) - self.first_line, 0.5 * (self.shape[1] - 1)])

    def _projected(self, rowcol: ArrayLike, crs: str) -> Float:
        along, right = self._axes
        offset = (np.asarray(rowcol, dtype=np.float64) - self._middle) * self.pixel
        plane = offset[..., :1] * along + offset[..., 1:] * right
        return transform(plane, self._crs, crs)

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2), metres."""
        return self._projected(rowcol, MAP_CRS)

    def lonlat(self, rowcol: ArrayLike) -> Float:
        """Longitude, latitude (..., 2) of pixel positions (..., 2), degrees."""
        return self._projected(rowcol, "EPSG:4326")

    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2)."""
        plane = transform(xy, MAP_CRS, self._crs)
        return np.stack([plane @ axis for axis in self._axes], axis=-1) / self.pixel + self._middle

    def frame(self, first: int, rows: int) -> Swath:
        """Part of the swath: ``rows`` lines from line ``first`` on, of the same geometry."""
        self._check_frame(first, rows)
        return dataclasses.replace(
            self,
            shape=(rows, self.shape[1]),
            start=float(self.line_time(first)),
            first_line=self.first_line + first,
            pass_lines=self.pass_lines or self.shape[0],
        )

    def control_points(self, count: tuple[int, int] = (10, 10)) -> list[GroundControlPoint]:
        """Regular net of ground control points in EPSG:4326, counted from pixel corners.

        Parameters
        ----------
        count : tuple of int
            Points along the track and across; the outermost lie on the outermost pixels' centres.
        """
        row = np.linspace(0, self.shape[0] - 1, count[0])
        col = np.linspace(0, self.shape[1] - 1, count[1])
        rowcol = np.stack(np.meshgrid(row, col, indexing="ij"), -1).reshape(-1, 2)
        lonlat = self.lonlat(rowcol)
        # GDAL counts from the corner of the first pixel, where this project counts from its centre.
        return [
            GroundControlPoint(
                row=float(r) + 0.5, col=float(c) + 0.5, x=float(lon), y=float(lat), z=0.0, id=str(i)
            )
            for i, ((r, c), (lon, lat)) in enumerate(zip(rowcol, lonlat, strict=True), start=1)
        ]
