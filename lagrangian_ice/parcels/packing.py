"""Vectors of a pair as one value of the database: columns of numbers, one after the other.

A row for each of the season's vectors would be half of the state and of the time to write it, and
they are only ever read a pair at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.parcels.transitions import Ids

FLOATS = (
    *("x0", "y0", "x1", "y1", "var_x", "var_y", "cov_xy"),
    *("first_guess_x", "first_guess_y", "first_guess_error", "mcc", "peak_ratio", "rotation"),
    *("strain_xx", "strain_yy", "strain_xy", "time0", "time1"),
)
COLUMNS = ("parcel_id", "status", *FLOATS)
"""In this order; little-endian int64, int8 and float64."""
_TYPES = ("<i8", "i1", *("<f8",) * len(FLOATS))
BYTES_OF_ROW = sum(np.dtype(kind).itemsize for kind in _TYPES)


def pack_vectors(parcel_id: Ids, vectors: Vectors) -> bytes:
    """Bytes of the vectors (N,) of parcels."""
    c = vectors.covariance
    floats = (
        *(*vectors.xy0.T, *vectors.xy1.T, c[:, 0, 0], c[:, 1, 1], c[:, 0, 1]),
        *(*vectors.first_guess.T, vectors.first_guess_error, vectors.mcc, vectors.peak_ratio),
        *(vectors.rotation, *vectors.strain.T, vectors.time0, vectors.time1),
    )
    return _joined((parcel_id, vectors.status, *floats))


def packed(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Bytes of rows whose values are in the order of ``COLUMNS``; None is missing."""
    table: Float = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
    return _joined(tuple(table.T))


def unpacked(value: bytes, count: int) -> pd.DataFrame:
    """Columns of ``count`` vectors.

    Raises
    ------
    ValueError
        If the value has another length.
    """
    sizes = [count * np.dtype(kind).itemsize for kind in _TYPES]
    if len(value) != sum(sizes):
        raise ValueError(f"vectors of a pair have {len(value)} bytes, not {sum(sizes)}")
    ends = np.cumsum(sizes)
    columns = {
        name: np.frombuffer(value, kind, count, int(end - size))
        for name, kind, size, end in zip(COLUMNS, _TYPES, sizes, ends, strict=True)
    }
    return pd.DataFrame(columns)


def _joined(columns: tuple[np.ndarray[Any, Any], ...]) -> bytes:
    parts = zip(columns, _TYPES, strict=True)
    return b"".join(np.ascontiguousarray(values, dtype=kind).tobytes() for values, kind in parts)
