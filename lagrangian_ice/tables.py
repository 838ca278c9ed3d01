"""CSV tables of others: read, and their times, with the row named that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.errors import ProductError, reason_of, shortened

YEARS = (1900, 2100)
"""Data of other times are mistakes, and no date can be written of some of them."""
OUR_AGE = f"between {YEARS[0]}-01-01 and {YEARS[1]}-01-01"


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV with a header row, also compressed; rows are numbered from 0.

    Raises
    ------
    ProductError
        If the file cannot be read.
    """
    try:
        return pd.read_csv(path, skipinitialspace=True)
    except (OSError, ValueError, EOFError) as error:
        raise ProductError(f"{path}: cannot be read as CSV ({reason_of(error)})") from None


def refuse_rows(path: Path, table: pd.DataFrame, wrong: ArrayLike, told: str) -> None:
    """Refuse a file for the first row that is wrong (N,), if one is.

    Parameters
    ----------
    path : Path
        The file.
    table : DataFrame
        Rows (N,) as :func:`read_table` numbers them.
    wrong : (N,) array_like of bool
        Which are wrong.
    told : str
        What is wrong with them.

    Raises
    ------
    ProductError
        With the row as an editor counts it: the header is row 1.
    """
    rows = table.index.to_numpy(np.int64)[np.asarray(wrong, bool)]
    if len(rows):
        raise ProductError(f"{path}: row {rows[0] + 2}: {told}; correct it or leave the row out")


def times_of(path: Path, table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Seconds since 1970 (N,) of a column of ISO 8601 times; those without zone are UTC.

    Raises
    ------
    ProductError
        If one is none, or not of our age.
    """
    times = pd.to_datetime(table[name], utc=True, errors="coerce", format="ISO8601")
    wrong = times.isna().to_numpy()
    refuse_rows(
        path, table, wrong, f"{name} = {quoted(table[name], wrong)} is not an ISO 8601 time"
    )
    naive = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    seconds = np.asarray(naive.astype(np.int64) / 1e6, np.float64)
    wrong = not_of_our_age(seconds)
    refuse_rows(path, table, wrong, f"{name} = {quoted(table[name], wrong)} is not {OUR_AGE}")
    return seconds


def not_of_our_age(seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether times, seconds since 1970, are of years in which nobody measured; NaN is not."""
    begin, end = np.array([f"{year}-01-01" for year in YEARS], "datetime64[s]").astype(np.int64)
    return np.asarray((seconds < begin) | (seconds >= end))


def quoted(values: pd.Series, wrong: NDArray[np.bool_]) -> str:
    """Quote the first value that is wrong; nothing if none is."""
    return "".join(shortened(repr(str(value))) for value in values[wrong].iloc[:1])
