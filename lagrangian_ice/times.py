"""UTC times: ``datetime`` at the edges, float64 seconds since 1970-01-01 in arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.errors import shortened

SECONDS_PER_DAY = 86400.0
MOMENT = 0.001
"""Seconds; what is before a time is at least so much before it."""
TIME_UNITS = "seconds since 1970-01-01 00:00:00"
"""Of times in files, as CF says it."""


@dataclass(frozen=True)
class Window:
    """Times that are chosen, seconds since 1970: from ``start`` on and before ``end``."""

    start: float = -np.inf
    end: float = np.inf

    @classmethod
    def between(cls, start: datetime | None, end: datetime | None) -> Window:
        """Window that is open where no time is given."""
        low = -np.inf if start is None else to_seconds(start)
        return cls(low, np.inf if end is None else to_seconds(end))

    def widened(self, seconds: float) -> Window:
        """Window with so much more at both ends."""
        return Window(self.start - seconds, self.end + seconds)

    def holds(self, time: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether times are inside; NaN is not."""
        return np.asarray((time >= self.start) & (time < self.end))


ALWAYS = Window()


def parse_utc(text: str) -> datetime:
    """Parse an ISO 8601 date or time; a time without zone is UTC.

    Parameters
    ----------
    text : str
        For example ``2021-01-01``, ``2021-01-01T12:30:00Z`` or ``20210101T123000``.

    Returns
    -------
    datetime
        Timezone-aware, in UTC.

    Raises
    ------
    ValueError
        If the text is not an ISO 8601 date or time, or not within the years 1 to 9999 of UTC.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        # a zone can move the first and the last hours of the calendar out of it
        raise ValueError(
            f"time {shortened(text)!r} is not ISO 8601; write for example 2021-01-01T12:00:00"
        ) from None


def to_seconds(moment: datetime) -> float:
    """Seconds since 1970-01-01T00:00:00 UTC."""
    return moment.timestamp()


def from_seconds(seconds: float) -> datetime:
    """Inverse of :func:`to_seconds`."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def iso(seconds: float) -> str:
    """ISO 8601 with milliseconds and a final Z, for files that people read."""
    text = from_seconds(round(seconds, 3)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def to_datetime64(seconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Array of seconds to ``datetime64[ns]``; NaN becomes NaT."""
    milliseconds = np.where(np.isfinite(seconds), np.rint(seconds * 1e3), 0).astype("int64")
    moments = milliseconds.astype("datetime64[ms]").astype("datetime64[ns]")
    return np.where(np.isfinite(seconds), moments, np.datetime64("NaT", "ns"))
