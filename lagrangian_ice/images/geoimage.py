"""A pass on the map grid: what feature extraction and matching work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.scenes.scene import Units

TIME_STRIDE = 32
"""Pixels between the nodes at which the time of a pass is kept."""


@dataclass(frozen=True)
class GeoImage:
    """Geocoded image of one pass.

    Attributes
    ----------
    pass_id : str
        The datatake.
    scene_ids : tuple of str
        Frames that it was made from, in time order.
    grid : Grid
        Map grid of the pixels.
    polarisations : tuple of str
        One for each band.
    units : {"db", "grey"}
        Sigma nought in dB with the incidence trend removed, or grey levels (assumed to be
        linear in dB, as display levels are).
    data : (bands, rows, cols) float32
        NaN where there is no data.
    land : (rows, cols) bool
        True on land.
    node_time : (h, w) float64
        Acquisition time at every ``TIME_STRIDE``-th row and column (from row 0, col 0, and
        reaching past the last row and column), seconds since 1970.
    """

    pass_id: str
    scene_ids: tuple[str, ...]
    grid: Grid
    polarisations: tuple[str, ...]
    units: Units
    data: NDArray[np.float32]
    land: NDArray[np.bool_]
    node_time: Float

    def band(self, polarisation: str) -> NDArray[np.float32]:
        """Pixels (rows, cols) of one polarisation.

        Raises
        ------
        ValueError
            If the image does not have it.
        """
        if polarisation not in self.polarisations:
            raise ValueError(
                f"polarisation {polarisation!r} is not in pass {self.pass_id}; "
                f"it has {', '.join(self.polarisations)}"
            )
        pixels: NDArray[np.float32] = self.data[self.polarisations.index(polarisation)]
        return pixels

    @property
    def co_polarised_first(self) -> tuple[str, ...]:
        """Polarisations, those furthest above the noise floor (HH, VV) first."""
        return tuple(sorted(self.polarisations, key=lambda name: name not in ("HH", "VV")))

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels (rows, cols) with data in every band."""
        return np.asarray(np.isfinite(self.data).all(axis=0))

    def time_at(self, xy: ArrayLike) -> Float:
        """Acquisition time (N,) at map positions (N, 2), seconds since 1970."""
        # less the start, for microseconds since 1970 are at the end of a float64
        start = float(self.node_time.min())
        nodes = self.grid.rowcol(xy) / TIME_STRIDE
        seconds = map_coordinates(self.node_time - start, nodes.T, order=1, mode="nearest")
        return np.asarray(seconds, dtype=np.float64) + start


def select_bands(image: GeoImage, polarisations: Sequence[str]) -> GeoImage:
    """Keep the named bands only."""
    if image.polarisations == tuple(polarisations):
        return image
    data = np.stack([image.band(name) for name in polarisations])
    return replace(image, polarisations=tuple(polarisations), data=data)
