"""Where between cells the similarity of descriptors is highest."""

from __future__ import annotations

import numpy as np

from lagrangian_ice.grid import Float

AROUND = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
"""Row, col (9, 2) of the cells around the best one, which is in the middle."""


def peak_offset(similarity: Float) -> Float:
    """Offset of the peak from the best cell.

    A parabola through three values pulls a peak towards the middle of the cell, two lines of
    equal slope push it away from there; their mean does neither (decision 0023).

    Parameters
    ----------
    similarity : (N, 9) float64
        Of the cells ``AROUND`` the best one; -inf where there is none.

    Returns
    -------
    (N, 2) float64
        Row, col, within half a cell; 0 along an axis of which a neighbour is missing.
    """
    cross = similarity.reshape(-1, 3, 3)
    rows = _between(cross[:, 0, 1], cross[:, 1, 1], cross[:, 2, 1])
    cols = _between(cross[:, 1, 0], cross[:, 1, 1], cross[:, 1, 2])
    return np.stack([rows, cols], axis=1)


def _between(before: Float, at: Float, after: Float) -> Float:
    known = np.isfinite(before) & np.isfinite(at) & np.isfinite(after)
    before, at, after = (np.where(known, values, 0.0) for values in (before, at, after))
    rise = after - before
    parabola = rise / np.maximum(2 * (2 * at - before - after), 1e-9)
    lines = rise / np.maximum(2 * (at - np.minimum(before, after)), 1e-9)
    return np.asarray(np.clip(0.5 * (parabola + lines), -0.5, 0.5))
