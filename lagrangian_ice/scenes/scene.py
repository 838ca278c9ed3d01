"""What is known of a scene before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from shapely import Polygon

Kind = Literal["geotiff", "safe"]
Units = Literal["linear", "db", "grey"]


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
