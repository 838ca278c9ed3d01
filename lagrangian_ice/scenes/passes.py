"""Passes: the frames of one datatake, which are one image on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from lagrangian_ice.scenes.scene import Scene


@dataclass(frozen=True)
class Pass:
    """Frames with one ``pass_id``.

    Attributes
    ----------
    id : str
        The ``pass_id`` of the frames.
    scenes : tuple of Scene
        In time order.
    start, stop : datetime
        Of the first and last frame, UTC.
    footprint : shapely geometry
        Union of the frames' outlines, EPSG:3413 metres.
    """

    id: str
    scenes: tuple[Scene, ...]
    start: datetime
    stop: datetime
    footprint: BaseGeometry


def group_passes(scenes: Sequence[Scene]) -> list[Pass]:
    """Join the frames of each datatake.

    Parameters
    ----------
    scenes : sequence of Scene
        In any order.

    Returns
    -------
    list of Pass
        In order of start time, then id.
    """
    frames: dict[str, list[Scene]] = {}
    for scene in scenes:
        frames.setdefault(scene.pass_id, []).append(scene)
    passes = [_join(pass_id, members) for pass_id, members in frames.items()]
    return sorted(passes, key=lambda one: (one.start, one.id))


def overlapping_pairs(
    passes: Sequence[Pass], min_hours: float, max_hours: float, min_share: float
) -> list[tuple[Pass, Pass]]:
    """Pairs of passes that see the same area at different times.

    Parameters
    ----------
    passes : sequence of Pass
        In any order.
    min_hours, max_hours : float
        Time between the starts, inclusive.
    min_share : float
        Least overlap as a share (0 to 1) of the smaller footprint.

    Returns
    -------
    list of (Pass, Pass)
        Earlier one first, in order of the later one's start.

    Raises
    ------
    ValueError
        If the hours are not ordered or the share is not in 0 to 1.
    """
    if not 0 <= min_hours <= max_hours:
        raise ValueError(f"hours {min_hours} to {max_hours}: allowed is 0 <= min <= max")
    if not 0 <= min_share <= 1:
        raise ValueError(f"min_share {min_share}: allowed is 0 to 1")
    if len(passes) < 2:
        return []
    shapes = np.array([one.footprint for one in passes], dtype=object)
    starts = np.array([one.start.timestamp() for one in passes])
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    hours = (starts[second] - starts[first]) / 3600.0
    timely = (first != second) & (hours >= min_hours) & (hours <= max_hours)
    timely &= (hours > 0) | (first < second)
    first, second = first[timely], second[timely]
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    smaller = np.minimum(shapely.area(shapes[first]), shapely.area(shapes[second]))
    enough = (shared > 0) & (shared >= min_share * smaller)
    pairs = [(passes[i], passes[j]) for i, j in zip(first[enough], second[enough], strict=True)]
    return sorted(pairs, key=lambda pair: (pair[1].start, pair[1].id, pair[0].start, pair[0].id))


def _join(pass_id: str, members: list[Scene]) -> Pass:
    ordered = tuple(sorted(members, key=lambda scene: (scene.start, scene.id)))
    return Pass(
        id=pass_id,
        scenes=ordered,
        start=ordered[0].start,
        stop=max(scene.stop for scene in ordered),
        footprint=shapely.union_all([scene.footprint for scene in ordered]),
    )
