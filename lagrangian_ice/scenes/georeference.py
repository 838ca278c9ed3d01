"""Where the pixels of a stored scene lie on the map, and back.

Two kinds: an affine transform in any CRS, or ground control points. Both count pixels as the
rest of the package does (the centre of the first pixel is row 0, col 0); files count from
the corner of the first pixel, half a pixel away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely import Polygon, make_valid

from lagrangian_ice.grid import HEMISPHERE, MAP_CRS, Float, transform

if TYPE_CHECKING:
    # Slow to load, and only scenes with control points need it.
    from scipy.interpolate import RBFInterpolator, RectBivariateSpline

HALF = 0.5
MAX_GCP_HEIGHT = 1.0
"""Metres; higher control points are displaced by the slant view and are left out."""


_NODES = 97
_EDGE_POINTS = 48
_NEWTON_STEPS = 8
_LAST_STEP = 1e-3
_ROUGH_NODES = 9


class Georeference(Protocol):
    """Positions of a scene's pixels."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2)."""

    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2)."""

    @property
    def is_swath(self) -> bool:
        """Whether rows are lines of the sensor and columns its range."""


@dataclass(frozen=True)
class AffineGeoreference:
    """Affine transform of pixels to coordinates of a CRS.

    Attributes
    ----------
    crs : str
        WKT or authority code.
    matrix : (2, 3) float64
        Coordinates x, y of (col, row, 1), from the corner of the first pixel.
    shape : tuple of int
        Rows, columns.
    geographic : bool
        Whether the coordinates are degrees.
    """

    crs: str
    matrix: Float
    shape: tuple[int, int]
    geographic: bool = False

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2)."""
        corner = np.asarray(rowcol, dtype=np.float64)[..., ::-1] + HALF
        native = corner @ self.matrix[:, :2].T + self.matrix[:, 2]
        return transform(native, self.crs, MAP_CRS)

    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2)."""
        native = transform(xy, MAP_CRS, self.crs)
        if self.geographic:
            native[..., 0] = self._nearest_turn(native[..., 0])
        inverse = np.linalg.inv(self.matrix[:, :2])
        corner = (native - self.matrix[:, 2]) @ inverse.T
        return np.asarray((corner - HALF)[..., ::-1])

    @property
    def is_swath(self) -> bool:
        """A rotated transform is that of an image in the geometry of its acquisition."""
        (a, b), (d, e) = self.matrix[:, :2]
        return bool(min(abs(b), abs(d)) > 1e-3 * max(abs(a), abs(e)))

    def _nearest_turn(self, longitude: Float) -> Float:
        rows, cols = self.shape
        middle = self.matrix[0] @ np.array([HALF * cols, HALF * rows, 1.0])
        return np.asarray(longitude - 360.0 * np.round((longitude - middle) / 360.0))


@dataclass(frozen=True)
class GcpGeoreference:
    """Ground control points, all of which the mapping goes through.

    A quintic polyharmonic spline with a quadratic trend, in EPSG:3413 (in longitude and latitude a
    smooth swath bends sharply near the pole), is evaluated once at nodes over the scene;
    a bicubic spline through the nodes then gives positions, and Newton's iteration with
    its derivatives the inverse. Outside of the scene both go on linearly.

    Attributes
    ----------
    points : (N, 2) float64
        Row and col of the control points; pixel centres are whole numbers.
    positions : (N, 2) float64
        Their positions in EPSG:3413, metres.
    shape : tuple of int
        Rows, columns.
    """

    points: Float
    positions: Float
    shape: tuple[int, int]

    def xy(self, rowcol: ArrayLike) -> Float:
        """Map positions (..., 2) of pixel positions (..., 2)."""
        return self._forward(np.asarray(rowcol, dtype=np.float64))[0]

    def rowcol(self, xy: ArrayLike) -> Float:
        """Pixel positions (..., 2) of map positions (..., 2)."""
        xy = np.asarray(xy, dtype=np.float64)
        rowcol = self._first_guess(xy)
        for _ in range(_NEWTON_STEPS):
            there, jacobian = self._forward(rowcol)
            step = _solved(jacobian, xy - there)
            rowcol += step
            # the error goes with the square of the step, by the curvature of some 1e-7 per px
            if np.abs(step).max(initial=0.0) < _LAST_STEP:
                break
        return rowcol

    @property
    def is_swath(self) -> bool:
        """Control points come with images that were never put on a map."""
        return True

    @property
    def _limits(self) -> tuple[Float, Float]:
        """First and last row and col that the splines reach."""
        return np.array([-HALF, -HALF]), np.asarray(self.shape) - HALF

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, RectBivariateSpline]:
        from scipy.interpolate import RectBivariateSpline

        fit = fit_control_points(self.points, self.positions)
        rows, cols = (np.linspace(-HALF, size - HALF, _NODES) for size in self.shape)
        nodes = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1)
        there = fit(nodes.reshape(-1, 2)).reshape(_NODES, _NODES, 2)
        return (
            RectBivariateSpline(rows, cols, there[..., 0]),
            RectBivariateSpline(rows, cols, there[..., 1]),
        )

    def _forward(self, rowcol: Float) -> tuple[Float, Float]:
        inside = np.clip(rowcol, *self._limits)
        row, col = inside[..., 0], inside[..., 1]
        at, jacobian = np.empty(rowcol.shape), np.empty((*rowcol.shape, 2))
        for i, spline in enumerate(self._splines):
            at[..., i] = spline.ev(row, col)
            jacobian[..., i, 0] = spline.ev(row, col, dx=1)
            jacobian[..., i, 1] = spline.ev(row, col, dy=1)
        beyond = (jacobian @ (rowcol - inside)[..., None])[..., 0]
        return at + beyond, jacobian

    def _first_guess(self, xy: Float) -> Float:
        centre, spread, coefficients = self._rough_inverse
        return np.asarray(quadratic((xy - centre) / spread) @ coefficients)

    @cached_property
    def _rough_inverse(self) -> tuple[Float, Float, Float]:
        """Quadratic mapping of scaled map positions to row and col, right to some pixels."""
        sides = [np.linspace(0, size - 1, _ROUGH_NODES) for size in self.shape]
        rowcol = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        xy = self._forward(rowcol)[0]
        centre, spread = xy.mean(axis=0), np.abs(xy - xy.mean(axis=0)).max(axis=0)
        design = quadratic((xy - centre) / spread)
        return (
            centre,
            spread,
            np.asarray(np.linalg.lstsq(design, rowcol, rcond=None)[0], np.float64),
        )


def quadratic(xy: Float) -> Float:
    """Terms (..., 6) of a quadratic polynomial in x and y."""
    x, y = xy[..., 0], xy[..., 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _solved(matrix: Float, right: Float) -> Float:
    """Solutions (..., 2) of 2 x 2 systems, quicker than the general way; not finite if singular."""
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    x, y = right[..., 0], right[..., 1]
    with np.errstate(all="ignore"):
        determinant = a * d - b * c
        return np.asarray(
            np.stack([d * x - b * y, a * y - c * x], axis=-1) / determinant[..., None]
        )


def fit_control_points(points: Float, positions: Float) -> RBFInterpolator:
    """Smooth mapping of (row, col) to map positions that goes through all points.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the points are too few or lie on a curve.
    """
    from scipy.interpolate import RBFInterpolator

    return RBFInterpolator(points, positions, kernel="quintic", degree=2)


def usable_control_points(heights: Float) -> NDArray[np.bool_]:
    """Control points at sea level, where the ice is.

    A point at height h is seen h / tan(incidence angle) too near the satellite: up to a kilometre
    on a mountain. The file does not tell the incidence angle, so such points are left out; they lie
    on land. Where hardly any would remain the heights cannot be those of terrain, and all are used.
    """
    low = np.abs(heights) <= MAX_GCP_HEIGHT
    return low if low.sum() >= 10 else np.ones(len(heights), dtype=bool)


def footprint(georeference: Georeference) -> Polygon:
    """Outline of the outer pixel edges in EPSG:3413; empty where it leaves the hemisphere."""
    outline = georeference.xy(_edge(georeference.shape))
    if not np.all(np.abs(outline) < HEMISPHERE):
        return Polygon()
    polygon = Polygon(outline)
    if polygon.is_valid:
        return polygon
    parts = [part for part in _polygons(make_valid(polygon)) if part.area > 0]
    return max(parts, key=lambda part: part.area, default=Polygon())


def mean_pixel(georeference: Georeference) -> float:
    """Mean distance of neighbouring pixel centres on the map, metres (of a 9 x 9 lattice)."""
    rows, cols = (np.linspace(0, size - 1, 9) for size in georeference.shape)
    centre = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    step = 0.5 * np.array([[1.0, 0.0], [0.0, 1.0]])
    sides = [georeference.xy(centre + s) - georeference.xy(centre - s) for s in step]
    area = np.abs(sides[0][:, 0] * sides[1][:, 1] - sides[0][:, 1] * sides[1][:, 0])
    return float(np.sqrt(np.mean(area)))


def _edge(shape: tuple[int, int]) -> Float:
    rows, cols = shape
    corners = np.array([[0, 0], [0, cols], [rows, cols], [rows, 0]], dtype=np.float64) - HALF
    share = np.linspace(0, 1, _EDGE_POINTS, endpoint=False)[:, None]
    sides = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    return np.concatenate(sides)


def _polygons(geometry: object) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [geometry]
    return [part for part in getattr(geometry, "geoms", ()) if isinstance(part, Polygon)]
