"""The bitmap of land cells: 15 arc seconds a side, kept in tiles of one degree.

Only the tiles that a scene touches are unpacked. The file is made from the GSHHG shorelines
(Wessel and Smith 1996) as the roaring-landmask wheel rasterises them, see
``tests/build_land_bitmap.py``; GSHHG is under the LGPL, as ``land.LICENSE`` tells.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float

CELLS = 240
"""Cells per degree, and per side of a tile; their centres lie on multiples of 1/240 degree."""
ROWS, COLS = 180, 360
"""Tiles from the south pole and from 180 degrees west."""
SEA, LAND, COAST = 0, 1, 2

Mask = NDArray[np.bool_]


def land_cells(longitude: Float, latitude: Float) -> Mask:
    """Whether positions (N,), degrees, lie in a cell that land touches."""
    row, col = _cells(longitude, latitude)
    tile = row // CELLS * COLS + col // CELLS
    kinds = _index()[0][tile]
    land: Mask = np.asarray(kinds == LAND)
    coast = np.flatnonzero(kinds == COAST)
    if len(coast):
        inner = row[coast] % CELLS * CELLS + col[coast] % CELLS
        land[coast] = _bits(tile[coast], inner)
    return land


def open_sea(longitude: Float, latitude: Float) -> Mask:
    """Whether (N,) there is no land in a position's tile nor in the eight around it.

    Up to 87 degrees north a tile is at least 5.8 km wide; the land ends at 84.
    """
    row, col = _cells(longitude, latitude)
    return np.asarray(_open_tiles()[row // CELLS, col // CELLS])


def _cells(longitude: Float, latitude: Float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Row and column (N,) of the cells of positions."""
    row = np.floor(latitude * CELLS + (90 * CELLS + 0.5)).astype(np.int32)
    col = np.floor(longitude * CELLS + (180 * CELLS + 0.5)).astype(np.int32)
    # half a cell around the north pole, which is sea, has no tile; the last column is the first
    np.minimum(row, ROWS * CELLS - 1, out=row)
    col %= COLS * CELLS
    return row, col


def _bits(tile: NDArray[np.int32], inner: NDArray[np.int32]) -> Mask:
    """Bits (N,) at places inside of coast tiles, both counted row by row."""
    wanted = np.zeros(ROWS * COLS, dtype=bool)
    wanted[tile] = True
    numbers = np.flatnonzero(wanted)
    slot = np.zeros(ROWS * COLS, dtype=np.int32)
    slot[numbers] = np.arange(len(numbers))
    packed = np.stack([_unpacked(int(number)) for number in numbers])
    octets = packed[slot[tile], inner >> 3]
    return np.asarray((octets >> (7 - (inner & 7)).astype(np.uint8)) & 1 > 0)


@lru_cache(maxsize=4096)
def _unpacked(tile: int) -> NDArray[np.uint8]:
    """Eight cells an octet."""
    _, first, streams = _index()
    return np.frombuffer(zlib.decompress(streams[first[tile] : first[tile + 1]]), dtype=np.uint8)


@lru_cache(maxsize=1)
def _open_tiles() -> Mask:
    land = _index()[0].reshape(ROWS, COLS) != SEA
    around = np.pad(np.pad(land, ((0, 0), (1, 1)), mode="wrap"), ((1, 1), (0, 0)))
    shifted = (around[i : i + ROWS, j : j + COLS] for i in range(3) for j in range(3))
    return np.asarray(~np.logical_or.reduce(list(shifted)))


@lru_cache(maxsize=1)
def _index() -> tuple[NDArray[np.uint8], NDArray[np.int64], bytes]:
    return read_bitmap(Path(__file__).with_name("land.npz"))


def read_bitmap(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], bytes]:
    """Kind of each tile, where its stream begins (and the end of the last), all streams."""
    with np.load(path) as file:
        first = np.concatenate([[0], np.cumsum(file["sizes"], dtype=np.int64)])
        return file["kinds"], first, file["streams"].tobytes()


def write_bitmap(path: Path, bands: Iterable[Mask]) -> None:
    """Write the file from the cells.

    Parameters
    ----------
    path : Path
        Ends in ``.npz``.
    bands : iterable of (240, 86400) bool
        One degree of latitude each, rows northward; from the south pole and 180 degrees west.
    """
    kinds, streams = [], []
    for band in bands:
        for tile in np.split(band, COLS, axis=1):
            kind = LAND if tile.all() else COAST if tile.any() else SEA
            kinds.append(kind)
            streams.append(zlib.compress(np.packbits(tile).tobytes(), 9) if kind == COAST else b"")
    np.savez(
        path,
        kinds=np.array(kinds, dtype=np.uint8),
        sizes=np.array([len(stream) for stream in streams], dtype=np.uint16),
        streams=np.frombuffer(b"".join(streams), dtype=np.uint8),
    )
