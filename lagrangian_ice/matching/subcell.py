"""Where between cells the similarity of descriptors is highest."""

from __future__ import annotations

import numpy as np

from lagrangian_ice.grid import Float

BESIDE = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
"""Row, col (4, 2) of the cells beside the best one, two along each axis."""


def peak_offset(best: Float, beside: Float) -> Float:
    """Offset of the peak from the best cell.

    A parabola through three values pulls a peak towards the middle of the cell, two lines of
    equal slope push it away from there; their mean does neither (decision 0023).

    Parameters
    ----------
    best : (N,) float64
        Similarity of the best cell.
    beside : (N, 4) float64
        Of the cells ``BESIDE`` it; -inf where there is none.

    Returns
    -------
    (N, 2) float64
        Row, col, within half a cell; 0 along an axis of which a neighbour is missing.
    """
    rows = _between(beside[:, 0], best, beside[:, 1])
    cols = _between(beside[:, 2], best, beside[:, 3])
    return np.stack([rows, cols], axis=1)


def _between(before: Float, at: Float, after: Float) -> Float:
    known = np.isfinite(before) & np.isfinite(at) & np.isfinite(after)
    before, at, after = (np.where(known, values, 0.0) for values in (before, at, after))
    rise = after - before
    parabola = rise / np.maximum(2 * (2 * at - before - after), 1e-9)
    lines = rise / np.maximum(2 * (at - np.minimum(before, after)), 1e-9)
    return np.asarray(np.clip(0.5 * (parabola + lines), -0.5, 0.5))
