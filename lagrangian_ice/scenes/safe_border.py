"""Border noise of old products: small numbers where nothing was received.

Products of ESA's processor before version 2.90 hold artefacts at the edges of the image in place of
zeros. What the radar has received holds its thermal noise at least: cells whose mean power is far
below the noise of the tables hold no data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.scenes.safe_radiometry import Pixels, Radiometry

FIRST_CLEAN = (2, 90)
"""Version from which the processor cleans the borders itself."""

MARGIN = 600
"""Pixels and lines from the edges of the image that are looked at."""

CELL = 16
"""Side of the cells, pixels."""

SHARE = 0.5
"""Of the noise: less was not received."""


def is_border(
    numbers: NDArray[np.uint16], radiometry: Radiometry, first: int, rows: int
) -> NDArray[np.bool_]:
    """Pixels (count, cols) at the borders of the image where nothing was received.

    Parameters
    ----------
    numbers : (count, cols) uint16
        Digital numbers of rows from ``first`` on.
    radiometry : Radiometry
        Of the band.
    first : int
        Row in the image.
    rows : int
        Of the whole image.
    """
    count, cols = numbers.shape
    border = np.zeros(numbers.shape, dtype=bool)
    for top in range(0, count, CELL):
        part = slice(top, min(top + CELL, count))
        line = first + top
        whole = line < MARGIN or line + CELL > rows - MARGIN
        sides = (
            [slice(0, cols)] if whole else [slice(0, MARGIN), slice(max(cols - MARGIN, 0), cols)]
        )
        noise = radiometry.noise(line, part.stop - part.start)
        for side in sides:
            power = _cell_means(np.square(numbers[part, side], dtype=np.float32))
            low = power < SHARE * _cell_means(noise[:, side])
            border[part, side] |= np.repeat(low, CELL)[: border[part, side].shape[1]]
    return border


def _cell_means(values: Pixels) -> Pixels:
    """Means (cells,) of columns side by side, the last cell of what is left."""
    columns = values.mean(axis=0)
    starts = np.arange(0, columns.size, CELL)
    counts = np.diff(np.append(starts, columns.size))
    return np.asarray(np.add.reduceat(columns, starts) / counts, dtype=np.float32)
