"""Names of product files: ``lagrangian_ice_<stream>_<first>_<last>_v<version>_<kind>.nc``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lagrangian_ice.times import ALWAYS, MOMENT, SECONDS_PER_DAY, Window, from_seconds

_NAME = re.compile(
    r"lagrangian_ice_(?P<stream>[a-z]+)_(?P<dates>(\d{8}(T\d{6})?|none)_(\d{8}(T\d{6})?|none))"
    r"_v(?P<version>.+)_(?P<kind>LP|DP|PD)\.nc"
)


def stream_letter(stream: int) -> str:
    """Letter of a stream: 0 is a, 25 z, 26 aa.

    Raises
    ------
    ValueError
        If the stream is negative.
    """
    if stream < 0:
        raise ValueError(f"stream {stream} is negative; the first stream is 0")
    letters = ""
    left = stream + 1
    while left:
        left, digit = divmod(left - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def dates_of(first: float, last: float, window: Window = ALWAYS) -> str:
    """Say in a name which days a product is of.

    Parameters
    ----------
    first, last : float
        Times of the first and last observation, seconds since 1970; NaN where there is none,
        which the name calls ``none``.
    window : Window
        Those that were asked for. Where it begins or ends within a day the name tells the time:
        two parts of a day are two files.
    """
    begins = _date(max(first, window.start), window.start)
    # What is observed at the very end of a window is not in it.
    return f"{begins}_{_date(min(last, window.end - MOMENT), window.end)}"


def product_name(stream: int, dates: str, version: str, kind: str) -> str:
    """File name of a product.

    Parameters
    ----------
    stream : int
        0 is stream a.
    dates : str
        Of :func:`dates_of`.
    version : str
        Of the package.
    kind : str
        ``LP``, ``DP`` or ``PD``.
    """
    return f"lagrangian_ice_{stream_letter(stream)}_{dates}_v{version}_{kind}.nc"


def products_of(directory: Path, stream: int, kind: str) -> Iterator[Path]:
    """Find products of one stream and kind, unfinished ones too, of any dates and version."""
    found = [*directory.glob("lagrangian_ice_*.nc"), *directory.glob(".lagrangian_ice_*.nc.part")]
    for path in sorted(found):
        match = _NAME.fullmatch(path.name.removeprefix(".").removesuffix(".part"))
        if match and match["stream"] == stream_letter(stream) and match["kind"] == kind:
            yield path


def find_products(directory: Path, kinds: Sequence[str]) -> list[Path]:
    """Finished products of some kinds in a folder, of all streams."""
    found = sorted(directory.glob("lagrangian_ice_*.nc"))
    matches = ((path, _NAME.fullmatch(path.name)) for path in found)
    return [path for path, match in matches if match and match["kind"] in kinds]


def _date(seconds: float, asked: float) -> str:
    """Day of a time, or the time that was asked for where that is within a day."""
    if math.isnan(seconds):
        return "none"
    if math.isfinite(asked) and asked % SECONDS_PER_DAY:
        return from_seconds(asked).strftime("%Y%m%dT%H%M%S")
    return from_seconds(seconds).strftime("%Y%m%d")
