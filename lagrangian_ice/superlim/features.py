"""Keypoint scores and descriptors of an image, one for every 8 x 8 pixel cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float, Grid

STRIDE = 8
"""Pixels per cell side: three poolings by two."""
CELL_CENTRE = (STRIDE - 1) / 2
"""Row and column of the centre of cell (0, 0): 3.5, not 4."""
DESCRIPTOR_SIZE = 256


@dataclass(frozen=True)
class Features:
    """What SuperLIM sees in one image.

    Attributes
    ----------
    grid : Grid
        Pixel grid of the image that the features were computed from (not of the cells).
    scores : (h, w) float32
        Largest keypoint probability inside each cell.
    descriptors : (h, w, 256) float16
        L2-normalised; zero where the cell is not valid.
    valid : (h, w) bool
        Cells with data.
    weights_sha256 : str
        Of the weights file that computed them.
    """

    grid: Grid
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float16]
    valid: NDArray[np.bool_]
    weights_sha256: str


def cell_to_rowcol(cells: Float) -> Float:
    """Pixel positions (..., 2) of fractional cell positions (..., 2)."""
    return np.asarray(cells, dtype=np.float64) * STRIDE + CELL_CENTRE


def rowcol_to_cell(rowcol: Float) -> Float:
    """Fractional cell positions (..., 2) of pixel positions (..., 2)."""
    return (np.asarray(rowcol, dtype=np.float64) - CELL_CENTRE) / STRIDE
