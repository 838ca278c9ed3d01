"""What the page holds: chosen rows of the products as columns of one compressed block.

Columns are little-endian typed arrays one after another, deflated together and written as
base64. Whole numbers that grow slowly (positions to 0.1 m, times to 0.1 s) are stored as
differences; the other values keep 12 bits of their mantissa (four digits): a page is to look at,
the file is to compute with.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.output.variables import Variable
from lagrangian_ice.times import SECONDS_PER_DAY

QUANTUM = 0.1
"""Metres and seconds: the page's own precision of positions and times."""
KEPT_BITS = 12
COLOURS = 64
MAPS = {
    "sequence": "viridis",
    "rate": "magma_r",
    "both": "RdBu_r",
    "time": "cividis",
}
MISSING_FLAG = -127
_KINDS = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "i1": "<i1"}


@dataclass
class Block:
    """Bytes of all columns, each at a multiple of eight."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, values: ArrayLike, kind: str) -> dict[str, Any]:
        """Append an array and say where it is."""
        array = np.ascontiguousarray(values, dtype=_KINDS[kind])
        found = {"type": kind, "offset": self.size, "count": array.size}
        data = array.tobytes()
        data += b"\0" * (-len(data) % 8)
        self.parts.append(data)
        self.size += len(data)
        return found

    def text(self) -> str:
        """All of it, deflated, as base64."""
        return base64.b64encode(zlib.compress(b"".join(self.parts), 9)).decode("ascii")


def steps(block: Block, name: str, values: Float, origin: float = 0.0) -> dict[str, Any]:
    """Column of positions or times as differences of whole quanta; nothing may be missing."""
    whole = np.rint((values - origin) / QUANTUM).astype(np.int64)
    differences = np.diff(whole, prepend=0)
    if np.abs(differences).max(initial=0) > np.iinfo(np.int32).max:
        # years between two of them
        return exact(block, name, values)
    return {
        "name": name,
        "delta": True,
        "factor": QUANTUM,
        "add": origin,
        **block.add(differences, "i4"),
    }


def whole(block: Block, name: str, values: ArrayLike, delta: bool = False) -> dict[str, Any]:
    """Column of whole numbers, such as an index."""
    numbers = np.asarray(values, np.int64)
    numbers = np.diff(numbers, prepend=0) if delta else numbers
    return {"name": name, "delta": delta, **block.add(numbers, "i4")}


def exact(block: Block, name: str, values: ArrayLike) -> dict[str, Any]:
    """Column of float64 as it is, for ids and for times that may be missing."""
    return {"name": name, **block.add(values, "f8")}


def coloured(block: Block, variable: Variable, values: Float) -> dict[str, Any]:
    """Column that the map can be coloured by, with its label, unit and scale.

    Parameters
    ----------
    block : Block
        Takes the values.
    variable : Variable
        As declared for the product.
    values : (N,) float64
        NaN (or the variable's fill) is missing; rates are turned to per day.
    """
    found: dict[str, Any] = {
        "name": variable.name,
        "label": variable.long_name[0].upper() + variable.long_name[1:],
        "unit": {"1": "", "s-1": "per day"}.get(variable.units, variable.units),
        "comment": variable.comment,
        "colour": True,
    }
    if variable.flags is not None:
        flags = [[int(flag), str(flag.name).lower()] for flag in variable.flags]
        masks = "flag_masks" in variable.attributes
        known = np.where(np.isfinite(values), values, MISSING_FLAG)
        found |= {"flags": flags, "mask": masks, "missing": MISSING_FLAG}
        return found | block.add(known, "i1")
    rates = values * SECONDS_PER_DAY if variable.units == "s-1" else values
    found |= _scale(variable, rates)
    return found | block.add(rounded(rates), "f4")


def moment(block: Block, name: str, label: str, seconds: Float, origin: float) -> dict[str, Any]:
    """Column of times that the map can be coloured by, days since the page's first moment."""
    days = (seconds - origin) / SECONDS_PER_DAY
    low, high = _ends(days, 0, 100)
    return {
        "name": name,
        "label": label,
        "unit": "",
        "comment": "",
        "colour": True,
        "time": True,
        "low": low,
        "high": high,
        "map": "time",
        **block.add(rounded(days), "f4"),
    }


def rounded(values: Float) -> NDArray[np.float32]:
    """Round float32 to 12 bits of mantissa, which compress far better; NaN stays."""
    spare = 23 - KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (spare - 1))
    found = ((bits + half) & np.uint32(0xFFFFFFFF ^ ((1 << spare) - 1))).view(np.float32)
    return np.where(np.isfinite(values), found, np.float32(np.nan))


def _scale(variable: Variable, values: Float) -> dict[str, Any]:
    low, high = _ends(values, 2, 98)
    rate = variable.units == "s-1"
    if low < 0 < high and (rate or variable.name == "rotation"):
        top = max(-low, high)
        return {"low": -top, "high": top, "map": "both"}
    if rate or variable.name == "signal_to_noise":
        # deformation spans decades: a hundredth of the top is where its colours begin
        return {"low": high / 100 if high > 0 else 0.0, "high": high, "map": "rate", "log": True}
    return {"low": low, "high": high, "map": "sequence"}


def _ends(values: Float, low: float, high: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    ends = [float(f"{end:.4g}") for end in np.percentile(known, [low, high])]
    return (ends[0], ends[1]) if ends[1] > ends[0] else (ends[0], ends[0] + (abs(ends[0]) or 1.0))


def colour_maps() -> dict[str, str]:
    """64 colours of every map, six hexadecimal digits each."""
    places = np.linspace(0.02, 0.98, COLOURS)
    return {
        key: "".join(to_hex(colour)[1:] for colour in colormaps[name](places))
        for key, name in MAPS.items()
    }


def bounds_of_all(points: Iterable[Float]) -> tuple[float, float, float, float]:
    """Box around positions (N, 2), with a margin; at least 40 km wide."""
    xy = np.concatenate(list(points))
    low, high = xy.min(axis=0), xy.max(axis=0)
    middle, side = (low + high) / 2, np.maximum((high - low) * 0.54, 20e3)
    (left, bottom), (right, top) = middle - side, middle + side
    return float(left), float(bottom), float(right), float(top)


def image_rows(images: pd.DataFrame, scenes: Sequence[str]) -> list[dict[str, Any]]:
    """Name, time and scenes of images, for the page."""
    rows = zip(images["pass_id"], images["time"], scenes, strict=True)
    return [{"name": str(name), "time": float(time), "title": text} for name, time, text in rows]
