"""What is known of a scene before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from shapely import Polygon

from lagrangian_ice.errors import SceneError

Kind = Literal["geotiff", "safe"]
Units = Literal["linear", "db", "grey"]

MAX_DURATION = timedelta(hours=1)
"""No datatake lasts longer, and the ice of a longer one has no common time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Scene:
    """One acquired frame.

    Attributes
    ----------
    id : str
        Name of the product without folder and extension; unique in a workspace.
    path : Path
        File or folder.
    kind : {"geotiff", "safe"}
        Which reader opens it.
    start, stop : datetime
        UTC times of the first and last line (equal where only one is known).
    pass_id : str
        Datatake that the frame belongs to; frames with the same ``pass_id`` are one image.
    platform : str
        ``S1A`` to ``S1D``, or ``""`` where unknown.
    orbit : int
        Absolute orbit number, or -1 where unknown.
    polarisations : tuple of str
        In the order of the bands, for example ``("HH", "HV")``.
    units : {"linear", "db", "grey"}
        Of the pixels as stored.
    shape : tuple of int
        Rows, columns as stored.
    pixel : float
        Mean distance of neighbouring pixel centres on the map, metres.
    footprint : Polygon
        Outline in EPSG:3413 metres.
    """

    id: str
    path: Path
    kind: Kind
    start: datetime
    stop: datetime
    pass_id: str
    platform: str
    orbit: int
    polarisations: tuple[str, ...]
    units: Units
    shape: tuple[int, int]
    pixel: float
    footprint: Polygon


def check_times(path: Path, start: datetime, stop: datetime) -> None:
    """Refuse times that no acquisition has: a state that had taken one could not go on.

    Parameters
    ----------
    path : Path
        Scene, for the message.
    start, stop : datetime
        UTC of its first and last line.

    Raises
    ------
    SceneError
        If it begins before 1970 or in the future, or lasts longer than ``MAX_DURATION``.
    """
    if start < _EPOCH:
        raise SceneError(f"{path}: acquired before 1970, at {start.isoformat()}; correct its time")
    if start > datetime.now(UTC) + _CLOCK_SLACK:
        raise SceneError(
            f"{path}: acquired in the future, at {start.isoformat()}; correct its time"
        )
    if not timedelta(0) <= stop - start <= MAX_DURATION:
        raise SceneError(
            f"{path}: acquired from {start.isoformat()} to {stop.isoformat()}; "
            f"a scene lasts {MAX_DURATION.seconds // 60} minutes at most, correct its times"
        )
