"""Map coordinates and pixels: the only place where one becomes the other.

The centre of pixel (0, 0) is row 0.0, col 0.0. Map positions ``xy`` are (N, 2) float64
metres in EPSG:3413, pixel positions ``rowcol`` are (N, 2) float64. Rows grow southward
(towards smaller y) on the map grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer

Float = NDArray[np.float64]

MAP_EPSG = 3413
MAP_CRS = f"EPSG:{MAP_EPSG}"
HEMISPHERE = 1.3e7
"""Metres from the pole to beyond the equator in EPSG:3413."""


@dataclass(frozen=True)
class Grid:
    """North-up grid of square pixels in EPSG:3413.

    Attributes
    ----------
    x0, y0 : float
        Map position of the centre of pixel (0, 0), metres.
    pixel : float
        Side of a pixel, metres.
    shape : tuple of int
        Rows, columns.
    """

    x0: float
    y0: float
    pixel: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if not self.pixel > 0:
            raise ValueError(f"pixel {self.pixel} m is not positive")
        if min(self.shape) < 1:
            raise ValueError(f"grid of {self.shape} pixels is empty")

    @classmethod
    def covering(cls, bounds: tuple[float, float, float, float], pixel: float) -> Grid:
        """Smallest grid whose pixel edges lie on multiples of ``pixel`` and that covers bounds.

        Grids of one pixel size are therefore always shifted by whole pixels.

        Parameters
        ----------
        bounds : tuple of float
            xmin, ymin, xmax, ymax in metres.
        pixel : float
            Metres.
        """
        if not pixel > 0:
            raise ValueError(f"pixel {pixel} m is not positive")
        xmin, ymin, xmax, ymax = bounds
        if not (np.all(np.isfinite(bounds)) and xmax > xmin and ymax > ymin):
            raise ValueError(f"bounds {bounds} are empty or not finite")
        left, bottom = np.floor(xmin / pixel), np.floor(ymin / pixel)
        right, top = np.ceil(xmax / pixel), np.ceil(ymax / pixel)
        shape = (int(top - bottom), int(right - left))
        return cls((left + 0.5) * pixel, (top - 0.5) * pixel, float(pixel), shape)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges of the grid: xmin, ymin, xmax, ymax in metres."""
        rows, cols = self.shape
        half = 0.5 * self.pixel
        return (
            self.x0 - half,
            self.y0 - (rows - 0.5) * self.pixel,
            self.x0 + (cols - 0.5) * self.pixel,
            self.y0 + half,
        )

    def rowcol(self, xy: ArrayLike) -> Float:
        """Fractional pixel positions (..., 2) of map positions (..., 2)."""
        xy = np.asarray(xy, dtype=np.float64)
        row = (self.y0 - xy[..., 1]) / self.pixel
        col = (xy[..., 0] - self.x0) / self.pixel
        return np.stack([row, col], axis=-1)

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of fractional pixel positions (..., 2)."""
        rowcol = np.asarray(rowcol, dtype=np.float64)
        x = self.x0 + rowcol[..., 1] * self.pixel
        y = self.y0 - rowcol[..., 0] * self.pixel
        return np.stack([x, y], axis=-1)

    def contains(self, xy: ArrayLike) -> NDArray[np.bool_]:
        """Whether map positions lie between the centres of the outermost pixels."""
        rowcol = self.rowcol(xy)
        last = np.asarray(self.shape, dtype=np.float64) - 1
        inside: NDArray[np.bool_] = np.all((rowcol >= 0) & (rowcol <= last), axis=-1)
        return inside


@lru_cache(maxsize=32)
def transformer(source_crs: str, target_crs: str) -> Transformer:
    """Return the cached transformer between two CRS; always x (lon), y (lat) order."""
    return Transformer.from_crs(CRS.from_user_input(source_crs), target_crs, always_xy=True)


def transform(points: ArrayLike, source_crs: str, target_crs: str) -> Float:
    """Transform (..., 2) points (x or lon first) from one CRS to another."""
    points = np.asarray(points, dtype=np.float64)
    x, y = transformer(source_crs, target_crs).transform(points[..., 0], points[..., 1])
    return np.stack([x, y], axis=-1)


def lonlat_to_xy(lonlat: ArrayLike) -> Float:
    """Longitude, latitude (..., 2) in degrees to map positions (..., 2) in metres."""
    return transform(lonlat, "EPSG:4326", MAP_CRS)


def xy_to_lonlat(xy: ArrayLike) -> Float:
    """Map positions (..., 2) in metres to longitude, latitude (..., 2) in degrees."""
    return transform(xy, MAP_CRS, "EPSG:4326")


def crs_attributes() -> dict[str, str | float | int]:
    """Grid mapping attributes of EPSG:3413, with ``crs_wkt``."""
    found = dict(CRS.from_user_input(MAP_CRS).to_cf())
    # CF wants both for the two-parameter form of the projection
    found["latitude_of_projection_origin"] = 90.0
    return found
