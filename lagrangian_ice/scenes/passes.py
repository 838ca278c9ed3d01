"""Passes: the frames of one datatake, which are one image on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import shapely
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


def _join(pass_id: str, members: list[Scene]) -> Pass:
    ordered = tuple(sorted(members, key=lambda scene: (scene.start, scene.id)))
    return Pass(
        id=pass_id,
        scenes=ordered,
        start=ordered[0].start,
        stop=max(scene.stop for scene in ordered),
        footprint=shapely.union_all([scene.footprint for scene in ordered]),
    )
