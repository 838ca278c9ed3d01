"""Scenes found in files and folders, and those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes.reader import open_scene, scene_kind
from lagrangian_ice.scenes.scene import Scene


@dataclass(frozen=True)
class Unreadable:
    """A path that should be a scene and cannot be read.

    Attributes
    ----------
    path : Path
        File or folder.
    reason : str
        One line that names the path.
    """

    path: Path
    reason: str


def find_scenes(
    paths: Sequence[Path], times: Mapping[str, datetime] | None = None
) -> tuple[list[Scene], list[Unreadable]]:
    """Open all scenes among files and, recursively, in folders.

    Parameters
    ----------
    paths : sequence of Path
        Files, SAFE folders, and folders to search; a folder's other files are passed over.
    times : mapping of str to datetime, optional
        Acquisition times by file name or scene id, for scenes that do not tell their own.

    Returns
    -------
    scenes : list of Scene
        In order of start time, then id; each id once (of several files with one id the first
        by path).
    unreadable : list of Unreadable
        In order of path.
    """
    times = times or {}
    scenes: dict[str, Scene] = {}
    unreadable: list[Unreadable] = []
    for path in _candidates(paths):
        try:
            scene = open_scene(path, times.get(path.name, times.get(path.stem)))
        except SceneError as error:
            unreadable.append(Unreadable(path, str(error)))
            continue
        scenes.setdefault(scene.id, scene)
    return sorted(scenes.values(), key=lambda scene: (scene.start, scene.id)), unreadable


def scene_as_dict(scene: Scene | Unreadable) -> dict[str, object]:
    """One entry of `scenes list --json`; what an unreadable one does not tell is null."""
    if isinstance(scene, Unreadable):
        entry: dict[str, object] = dict.fromkeys(_COLUMNS)
        entry |= {"id": scene.path.stem, "path": str(scene.path)}
        return entry | {"status": "unreadable", "reason": scene.reason}
    return {
        "id": scene.id,
        "path": str(scene.path),
        "start": _iso(scene.start),
        "stop": _iso(scene.stop),
        "pass": scene.pass_id,
        "platform": scene.platform,
        "polarisations": list(scene.polarisations),
        "footprint": scene.footprint.wkt,
        "status": "readable",
        "reason": "",
    }


_COLUMNS = (
    "id",
    "path",
    "start",
    "stop",
    "pass",
    "platform",
    "polarisations",
    "footprint",
    "status",
    "reason",
)


def _candidates(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        searched = path.is_dir() and scene_kind(path) is None
        for candidate in _scenes_below(path) if searched else [path]:
            found.setdefault(candidate.resolve(), candidate)
    return sorted(found.values())


def _scenes_below(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        kind = scene_kind(entry)
        if kind == "safe" or (kind is not None and entry.is_file()):
            yield entry
        elif entry.is_dir():
            yield from _scenes_below(entry)


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
