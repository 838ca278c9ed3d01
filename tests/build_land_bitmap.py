"""Make ``lagrangian_ice/images/land.npz``: ``python tests/build_land_bitmap.py`` (ten minutes).

Needs the roaring-landmask wheel, whose bitmap of the GSHHG shorelines it reads cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roaring_landmask import LandmaskProvider, RoaringMask

from lagrangian_ice.images import land_bitmap
from lagrangian_ice.images.land_bitmap import CELLS, COLS, ROWS


def bands() -> Iterator[NDArray[np.bool_]]:
    """Cells (240, 86400) of one degree of latitude after the other, from the south."""
    mask = RoaringMask.new(LandmaskProvider.Gshhg)
    longitude = np.arange(COLS * CELLS) / CELLS - 180
    for band in range(ROWS):
        latitudes = np.arange(band * CELLS, (band + 1) * CELLS) / CELLS - 90
        rows = (np.full_like(longitude, latitude) for latitude in latitudes)
        yield np.stack([np.asarray(mask.contains_many(longitude, row)) for row in rows])


if __name__ == "__main__":
    folder = Path(land_bitmap.__file__).parent
    land_bitmap.write_bitmap(folder / "land.npz", bands())
