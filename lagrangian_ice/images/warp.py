"""Source pixel positions of every pixel of the map grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.scenes.georeference import AffineGeoreference, Georeference

LATTICE_STEP = 16
"""Map pixels between the nodes at which positions are computed exactly."""

_MARGIN = 3


@dataclass(frozen=True)
class PixelMap:
    """Positions in a scene's pixels of the pixels of a map grid.

    They are computed at every 16th pixel, and interpolated between by a bicubic spline, which
    for maps and satellite swaths is right to better than 0.01 px. Longitude and latitude
    grids are singular at the pole: their positions are computed at every pixel.

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
        if self._coefficients is None:
            exact = self._exact(row, col)
            return exact[..., 0], exact[..., 1]
        (used_rows, along_rows), (used_cols, along_cols) = _weights(row), _weights(col)
        there = self._coefficients[:, used_rows, used_cols]
        source_row, source_col = along_rows @ there @ along_cols.T
        return source_row, source_col

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
    def _coefficients(self) -> Float | None:
        """Of the bicubic B-splines (2, h + 2, w + 2) through the lattice's rows and columns."""
        if self._lattice is None:
            return None
        along_rows = _spline_coefficients(self._lattice)
        return np.ascontiguousarray(_spline_coefficients(along_rows.swapaxes(0, 1)).T)

    def _exact(self, row: Float, col: Float) -> Float:
        nodes = np.stack(np.meshgrid(row, col, indexing="ij"), axis=-1)
        return self.georeference.rowcol(self.grid.xy(nodes))


def _nodes(size: int) -> Float:
    count = (size - 1) // LATTICE_STEP + 2 + 2 * _MARGIN
    return np.asarray((np.arange(count) - _MARGIN) * float(LATTICE_STEP))


def _indices(part: slice) -> Float:
    return np.arange(part.start, part.stop, dtype=np.float64)


def _spline_coefficients(values: Float) -> Float:
    """Of the cubic B-spline (n + 2, ...) through values (n, ...), along the first axis.

    The first and the last two intervals have one polynomial each ("not a knot").
    """
    count = len(values)
    system = np.zeros((count + 2, count + 2))
    for lag, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        system[np.arange(1, count + 1), np.arange(count) + lag] = weight
    system[0, :5] = system[-1, -5:] = (1, -4, 6, -4, 1)
    right = np.zeros((count + 2, *values.shape[1:]))
    right[1:-1] = values
    solved = np.linalg.solve(system, right.reshape(count + 2, -1))
    return np.asarray(solved.reshape(right.shape), dtype=np.float64)


def _weights(index: Float) -> tuple[slice, Float]:
    """Coefficients that pixels (N,) of the map depend on, and their weights (N, used)."""
    at = index / LATTICE_STEP + _MARGIN
    node = np.floor(at).astype(np.intp)
    t = at - node
    cubics = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    used = slice(int(node[0]), int(node[-1]) + 4)
    weights = np.zeros((len(index), used.stop - used.start))
    for lag, cubic in enumerate(cubics):
        weights[np.arange(len(index)), node - node[0] + lag] = cubic / 6
    return used, weights
