"""How things stand in a workspace, for people and programs that read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from shapely.geometry.base import BaseGeometry

from lagrangian_ice.output.names import stream_letter
from lagrangian_ice.parcels.population import EndReason, State
from lagrangian_ice.parcels.queue import Queue, begin_of_passes, queue, repetitions
from lagrangian_ice.parcels.schema import DATABASE
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.parcels.view import Stream
from lagrangian_ice.scenes.catalogue import Unreadable, find_scenes, scene_as_dict
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.passes import Pass
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.times import iso, to_seconds


class Workspace:
    """Read-only view of a workspace's state.

    Parameters
    ----------
    path : Path
        Its folder.

    Raises
    ------
    WorkspaceError
        If there is none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with Store(self.path):
            pass

    @property
    def parcels(self) -> pd.DataFrame:
        """All parcels ever, one row each (see ``Store.parcels``)."""
        with Store(self.path) as store:
            return store.parcels()

    def observations(self, stream: int | None = None) -> pd.DataFrame:
        """All observations in order of parcel and time, of one stream or of all."""
        with Store(self.path) as store:
            return _stacked(list(store.observation_chunks(stream)))

    def vectors(self, stream: int | None = None) -> pd.DataFrame:
        """All vectors in order of pair and parcel, of one stream or of all."""
        with Store(self.path) as store:
            return _stacked(list(store.vector_chunks(stream)))

    def passes(self) -> pd.DataFrame:
        """All processed passes."""
        with Store(self.path) as store:
            return store.passes()

    def scenes(self) -> list[dict[str, object]]:
        """Catalogue as in ``scenes list --json``."""
        with Store(self.path) as store:
            return _catalogue(store)

    def status(self) -> dict[str, object]:
        """How things stand (see :func:`status`)."""
        return status(self.path)


def open_workspace(path: str | Path) -> Workspace:
    """Open a workspace for reading.

    Raises
    ------
    WorkspaceError
        If there is none.
    """
    return Workspace(path)


def status(workspace: Path) -> dict[str, object]:
    """How things stand in a workspace.

    Returns
    -------
    dict
        Clock, parcels by state and by reason of their end, passes done, waiting and failed,
        scenes that are late or unreadable, and ``passes``: one entry for each pass.

    Raises
    ------
    WorkspaceError
        If there is none.
    """
    with Store(workspace) as store:
        living = store.living()
        passes = store.passes()
        scenes = store.scenes()
        found = queue_of(store, scenes)
        reasons, never_seen = store.end_reasons()
        late_from = begin_of_passes(found.late, scenes)
        failed = {name: why for name, why in store.pass_scenes().items() if why}
        clock = store.clock
        seen = passes.loc[passes["reason"] == "", "stop"]
        return {
            "workspace": str(workspace),
            "processed_until": None if clock is None else iso(clock),
            "rebuilding_until": None if store.goal is None else iso(store.goal),
            "last_pass": iso(float(seen.max())) if len(seen) else None,
            "streams": [_stream_entry(one) for one in store.streams()],
            "parcels": {
                "alive": int((living.state == State.ALIVE).sum()),
                "dormant": int((living.state == State.DORMANT).sum()),
                "pending": int((living.state == State.PENDING).sum()),
                "ended": {EndReason(reason).name.lower(): count for reason, count in reasons},
                "never_seen": never_seen,
            },
            "passes_done": len(seen),
            "passes_failed": int((passes["reason"] != "").sum()),
            "passes_waiting": len(found.waiting),
            "late_scenes": [scene.id for scene in found.late],
            "late_from": None if late_from is None else iso(late_from),
            "repeated_scenes": [scene.id for scene in found.repeated],
            "replaced_scenes": sorted(store.replaced()),
            "failed_scenes": failed,
            "ice_concentration": _ice_entry(store, passes),
            "unreadable": {str(path): why for path, why in store.unreadable().items()},
            "passes": [_pass_entry(row) for row in passes.to_dict("records")]
            + [_waiting_entry(one) for one in found.waiting],
        }


def damage(workspace: Path) -> list[str]:
    """List what SQLite finds damaged in the state; empty when all is well."""
    with Store(workspace) as store:
        return store.damage()


def _stream_entry(stream: Stream) -> dict[str, object]:
    return {
        "stream": stream_letter(stream.stream),
        "date": iso(stream.date),
        "spacing": stream.spacing,
    }


def _ice_entry(store: Store, passes: pd.DataFrame) -> dict[str, object] | None:
    """How many passes were folded with a concentration of sea ice; None where none is given."""
    settings = store.recalled_settings()
    known = int(passes["ice_time"].notna().sum())
    if not (settings.parcels.ice_concentration or known):
        return None
    unknown = int((passes["reason"] == "").sum()) - known
    source = settings.parcels.ice_concentration
    return {"source": source, "passes_with": known, "passes_without": unknown}


def _pass_entry(row: dict[Hashable, Any]) -> dict[str, object]:
    return {
        "pass": row["pass_id"],
        "start": iso(row["start"]),
        "stop": iso(row["stop"]),
        "scenes": list(row["scene_ids"]),
        "status": "failed" if row["reason"] else "done",
        "reason": row["reason"],
    }


def _waiting_entry(one: Pass) -> dict[str, object]:
    return {
        "pass": one.id,
        "start": iso(to_seconds(one.start)),
        "stop": iso(to_seconds(one.stop)),
        "scenes": [scene.id for scene in one.scenes],
        "status": "waiting",
        "reason": "",
    }


@dataclass(frozen=True)
class SceneFilter:
    """Which scenes are listed; what is None does not matter.

    Attributes
    ----------
    area : shapely geometry, optional
        In EPSG:3413; scenes that touch it.
    start, end : datetime, optional
        Scenes that end at or after ``start`` and begin before ``end``.
    """

    area: BaseGeometry | None = None
    start: datetime | None = None
    end: datetime | None = None

    def takes(self, scene: Scene) -> bool:
        """Whether a scene is listed."""
        if self.start is not None and scene.stop < self.start:
            return False
        if self.end is not None and scene.start >= self.end:
            return False
        return self.area is None or bool(scene.footprint.intersects(self.area))


def list_scenes(
    workspace: Path, paths: Sequence[Path] = (), wanted: SceneFilter = SceneFilter()
) -> list[dict[str, object]]:
    """Scenes under paths, or without paths those that the workspace knows.

    What was read of them before is taken from the workspace's cache, where there is one.

    Parameters
    ----------
    workspace : Path
        Its folder; need not exist where paths are given.
    paths : sequence of Path
        Files and folders.
    wanted : SceneFilter
        Those that are listed. What is unreadable has neither time nor place: it is listed all the
        same.

    Returns
    -------
    list of dict
        As ``scenes list --json`` prints them; ``status`` is ``readable``, ``unreadable``,
        or in a workspace ``waiting``, ``done``, ``failed``, ``late``, ``repeated`` (another
        processing of a scene that is there) or ``replaced``.

    Raises
    ------
    WorkspaceError
        If there are no paths and no workspace.
    """
    if not paths:
        with Store(workspace) as store:
            return _catalogue(store, wanted)
    cache = MetadataCache(workspace) if (workspace / DATABASE).is_file() else None
    found, unreadable = find_scenes(list(paths), cache=cache)
    rows: list[Scene | Unreadable] = [*filter(wanted.takes, found), *unreadable]
    return [scene_as_dict(row) for row in rows]


def _catalogue(store: Store, wanted: SceneFilter = SceneFilter()) -> list[dict[str, object]]:
    scenes = store.scenes()
    found = queue_of(store, scenes)
    states = dict.fromkeys(store.replaced(), "replaced")
    states |= {scene.id: "late" for scene in found.late}
    states |= {scene.id: "repeated" for scene in found.repeated}
    taken = store.pass_scenes()
    entries = []
    for scene in filter(wanted.takes, scenes):
        state = states.get(scene.id, "waiting")
        reason = taken.get(scene.id, "")
        if scene.id in taken:
            state = "failed" if reason else "done"
        entries.append(scene_as_dict(scene) | {"status": state, "reason": reason})
    unreadable = store.unreadable().items()
    return entries + [scene_as_dict(Unreadable(path, reason)) for path, reason in unreadable]


def queue_of(store: Store, scenes: Sequence[Scene]) -> Queue:
    """Which scenes of a store wait, and which are late."""
    frame = store.passes()
    done = dict(zip(frame["pass_id"], frame["start"], strict=True))
    begun = min((one.date for one in store.streams()), default=None)
    replaced = store.replaced()
    current = [scene for scene in scenes if scene.id not in replaced]
    again = repetitions(current, store.order_added())
    hidden = [scene for scene in current if scene.id in again]
    return queue(current, list(store.pass_scenes()), done, store.clock, begun, hidden)


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
