"""Source pixel positions of every pixel of the map grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.scenes.georeference import AffineGeoreference, Georeference

if TYPE_CHECKING:
    # Slow to load: the first scene that is geocoded does it.
    from scipy.interpolate import RectBivariateSpline

LATTICE_STEP = 16
"""Map pixels between the nodes at which positions are computed exactly."""

_MARGIN = 3
AFFINE = 1e-6
"""Source pixels; positions that are nowhere farther from an affine map are one."""


@dataclass(frozen=True)
class PixelMap:
    """Positions in a scene's pixels of the pixels of a map grid.

    They are computed at every 16th pixel, and interpolated between by a bicubic spline, which
    for maps and satellite swaths is right to better than 0.01 px. Between maps of one projection
    they are affine, and no spline is needed. Longitude and latitude grids are singular at the
    pole: their positions are computed at every pixel.

    Attributes
    ----------
    grid : Grid
        Map grid.
    georeference : Georeference
        Of the scene.
    """

    grid: Grid
    georeference: Georeference

    def rowcol(self, rows: slice, cols: slice) -> tuple[Float, Float]:
        """Source row and col (h, w) of a block of map pixels; not finite where there is none."""
        row, col = _indices(rows), _indices(cols)
        if self._affine is not None:
            first, by_row, by_col = self._affine[:, :, None, None]
            there = first + by_row * row[:, None] + by_col * col
            return there[0], there[1]
        if self._splines is None:
            exact = self._exact(row, col)
            return exact[..., 0], exact[..., 1]
        row_spline, col_spline = self._splines
        return _on_grid(row_spline, row, col), _on_grid(col_spline, row, col)

    def touches(self, rows: slice, cols: slice) -> bool:
        """Whether a block of map pixels may see the scene; False is certain."""
        if self._lattice is None:
            return True
        # the lattice reaches three nodes beyond the grid
        row, col = (
            slice(
                one.start // LATTICE_STEP + _MARGIN,
                -(-(one.stop - 1) // LATTICE_STEP) + _MARGIN + 1,
            )
            for one in (rows, cols)
        )
        for axis, size in enumerate(self.georeference.shape):
            there = self._lattice[row, col, axis]
            # between two nodes a position is at most this far from theirs
            slack = max(np.abs(np.diff(there, axis=along)).max(initial=1.0) for along in (0, 1))
            if there.max() < -0.5 - slack or there.min() > size - 0.5 + slack:
                return False
        return True

    def scale(self) -> tuple[float, float]:
        """Source pixels that one map pixel spans along the source's rows and columns (medians)."""
        size = self.georeference.shape
        row, col = (np.linspace(0, n - 1, 9) for n in size)
        centre = np.stack(np.meshgrid(row, col, indexing="ij"), axis=-1).reshape(-1, 2)
        xy = self.georeference.xy(centre)
        step = 0.5 * self.grid.pixel
        across = [
            self.georeference.rowcol(xy + shift) - self.georeference.rowcol(xy - shift)
            for shift in ([step, 0.0], [0.0, step])
        ]
        spans = np.hypot(across[0], across[1])
        spans = spans[np.all(np.isfinite(spans), axis=1)]
        row_span, col_span = np.median(spans, axis=0)
        return float(row_span), float(col_span)

    @cached_property
    def _lattice(self) -> Float | None:
        """Source row and col (h, w, 2) at the nodes; None where there are poles in the map."""
        if isinstance(self.georeference, AffineGeoreference) and self.georeference.geographic:
            return None
        there = self._exact(*(_nodes(size) for size in self.grid.shape))
        return there if np.all(np.isfinite(there)) else None

    @cached_property
    def _affine(self) -> Float | None:
        """Source row, col (3, 2) of map pixel (0, 0), and per map row and column, if all are so."""
        there = self._lattice
        if there is None:
            return None
        height, width = (LATTICE_STEP * (size - 1) for size in there.shape[:2])
        by_row = (there[-1, 0] - there[0, 0]) / height
        by_col = (there[0, -1] - there[0, 0]) / width
        first = there[0, 0] + LATTICE_STEP * _MARGIN * (by_row + by_col)
        row, col = (_nodes(size) for size in self.grid.shape)
        fitted = first + row[:, None, None] * by_row + col[:, None] * by_col
        if np.abs(there - fitted).max() > AFFINE:
            return None
        return np.stack([first, by_row, by_col])

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, RectBivariateSpline] | None:
        if self._lattice is None:
            return None
        from scipy.interpolate import RectBivariateSpline

        row, col = (_nodes(size) for size in self.grid.shape)
        return (
            RectBivariateSpline(row, col, self._lattice[..., 0]),
            RectBivariateSpline(row, col, self._lattice[..., 1]),
        )

    def _exact(self, row: Float, col: Float) -> Float:
        nodes = np.stack(np.meshgrid(row, col, indexing="ij"), axis=-1)
        return self.georeference.rowcol(self.grid.xy(nodes))


def _nodes(size: int) -> Float:
    count = (size - 1) // LATTICE_STEP + 2 + 2 * _MARGIN
    return np.asarray((np.arange(count) - _MARGIN) * float(LATTICE_STEP))


def _indices(part: slice) -> Float:
    return np.arange(part.start, part.stop, dtype=np.float64)


def _on_grid(spline: RectBivariateSpline, row: Float, col: Float) -> Float:
    """Bicubic spline at all rows and columns: two sparse products, quicker than FITPACK."""
    from scipy.interpolate import BSpline

    row_knots, col_knots = spline.get_knots()
    along_rows = BSpline.design_matrix(row, row_knots, 3)
    along_cols = BSpline.design_matrix(col, col_knots, 3)
    coefficients = spline.get_coeffs().reshape(along_rows.shape[1], along_cols.shape[1])
    return np.asarray((along_cols @ (along_rows @ coefficients).T).T)
