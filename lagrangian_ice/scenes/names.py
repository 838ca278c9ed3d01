"""What the name of a scene tells: platform, times, orbit, datatake, polarisations."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PRODUCT_POLARISATIONS = {
    "SH": ("HH",),
    "SV": ("VV",),
    "DH": ("HH", "HV"),
    "DV": ("VV", "VH"),
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TIME = re.compile(r"(?<!\d)(\d{8})[Tt](\d{6})(?!\d)")
_PLATFORM = re.compile(r"(?<![A-Za-z0-9])(S1[A-D])(?![A-Za-z0-9])", re.IGNORECASE)
_PRODUCT = re.compile(r"_[012][SA](SH|SV|DH|DV)(?=_)")
_DATATAKE = re.compile(r"\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_([0-9A-F]{6})(?=_|\.|$)")
_POLARISATION = re.compile(r"(?<![A-Za-z0-9])(HH|HV|VV|VH)(?![A-Za-z0-9])", re.IGNORECASE)
_SENTINEL1 = re.compile(r"S1[A-D]_[A-Z0-9]{2}_[A-Z]{3}", re.IGNORECASE)
_MEASUREMENT = re.compile(r"s1[a-d]-[a-z0-9]{2}-(grd|slc)-(hh|hv|vv|vh)-\d{8}t", re.IGNORECASE)


@dataclass(frozen=True)
class NameFacts:
    """Facts read from a name; what it does not tell is empty, None or -1.

    Attributes
    ----------
    platform : str
        ``S1A`` to ``S1D``, or ``""``.
    start, stop : datetime or None
        First time in the name and, where two follow one another, the second.
    orbit : int
        Absolute orbit, or -1.
    datatake : str
        Six hexadecimal digits, or ``""``.
    product : tuple of str
        Polarisations of a whole product in the order of its bands (``1SDH``: HH, HV).
    polarisations : tuple of str
        Those of HH, HV, VV, VH that the name holds as words, in its order.
    """

    platform: str
    start: datetime | None
    stop: datetime | None
    orbit: int
    datatake: str
    product: tuple[str, ...]
    polarisations: tuple[str, ...]


def read_name(name: str) -> NameFacts:
    """Facts in a file name without folder (with or without extension)."""
    times = _times(name)
    datatake = _DATATAKE.search(name)
    platform = _PLATFORM.search(name.replace("_", " ").replace("-", " "))
    product = _PRODUCT.search(name)
    return NameFacts(
        platform=platform.group(1).upper() if platform else "",
        start=times[0] if times else None,
        stop=times[1] if len(times) > 1 and times[1] >= times[0] and datatake else None,
        orbit=int(datatake.group(1)) if datatake else -1,
        datatake=datatake.group(2) if datatake else "",
        product=PRODUCT_POLARISATIONS[product.group(1)] if product else (),
        polarisations=find_polarisations(name),
    )


def printable(path: Path) -> Path:
    """Path that can be printed and stored.

    Bytes that are not UTF-8, and characters that would move a terminal's cursor, become escapes.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Path(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text))


def is_sentinel1_name(name: str) -> bool:
    """Whether a name begins as those of Sentinel-1 products do."""
    return _SENTINEL1.match(name) is not None


def is_measurement_name(name: str) -> bool:
    """Whether a name is that of a measurement file inside a SAFE product."""
    return _MEASUREMENT.match(name) is not None


def find_polarisations(text: str) -> tuple[str, ...]:
    """Polarisations that a text (band name, tag) holds as words, each once, in its order."""
    words = _POLARISATION.findall(text.replace("_", " "))
    return tuple(dict.fromkeys(word.upper() for word in words))


def find_platform(text: str) -> str:
    """``S1A`` to ``S1D`` from a text that names the satellite, or ``""``."""
    match = re.search(r"SENTINEL-?1[ _-]?([A-D])(?![A-Z0-9])", text, re.IGNORECASE)
    if match:
        return f"S1{match.group(1).upper()}"
    short = _PLATFORM.search(text.replace("_", " ").replace("-", " "))
    return short.group(1).upper() if short else ""


def _times(name: str) -> list[datetime]:
    times = []
    for day, clock in _TIME.findall(name):
        try:
            times.append(datetime.strptime(day + clock, "%Y%m%d%H%M%S").replace(tzinfo=UTC))
        except ValueError:
            # digits in the shape of a time that are none, such as an orbit range
            continue
    return times
