"""Scenes found in files and folders, and those that cannot be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lagrangian_ice.errors import SceneError, reason_of
from lagrangian_ice.scenes.metadata_cache import MetadataCache, signature
from lagrangian_ice.scenes.names import printable
from lagrangian_ice.scenes.reader import is_product_folder, open_scene, scene_kind
from lagrangian_ice.scenes.safe_files import is_product_zip
from lagrangian_ice.scenes.scene import Scene

_UNFORESEEN = (ValueError, ArithmeticError, RuntimeError, OSError)
"""What damage that no reader foresaw, and a closed folder, become."""

SAME_SECONDS = 1.0
"""Scenes of one id that begin so closely are one: tags may be rounded."""

log = logging.getLogger(__name__)


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
    paths: Sequence[Path], cache: MetadataCache | None = None
) -> tuple[list[Scene], list[Unreadable]]:
    """Open all scenes among files and, recursively, in folders.

    Parameters
    ----------
    paths : sequence of Path
        Files, SAFE folders, and folders to search; a folder's other files are passed over.
    cache : MetadataCache, optional
        What was read before; gets what is read now, and is saved.

    Returns
    -------
    scenes : list of Scene
        In order of start time, then id; each id once (of several files with one id the first
        by path).
    unreadable : list of Unreadable
        In order of path; also files that have an earlier one's id, but another time.
    """
    scenes: dict[str, Scene] = {}
    candidates, unreadable = _candidates(paths)
    for path in candidates:
        # a name that cannot be stored is not remembered
        if cache is None or printable(path) != path:
            found = _opened(path)
        else:
            found = _looked_up(path, cache)
        if isinstance(found, str):
            unreadable.append(Unreadable(printable(path), found))
        else:
            reason = clash(found, scenes.setdefault(found.id, found))
            if reason:
                unreadable.append(Unreadable(path, reason))
    if cache is not None:
        cache.save()
    in_time = sorted(scenes.values(), key=lambda scene: (scene.start, scene.id))
    return in_time, sorted(unreadable, key=lambda one: one.path)


def clash(scene: Scene, other: Scene) -> str:
    """Why a scene cannot stand beside another of its id; empty where both are the same scene."""
    if abs((scene.start - other.start).total_seconds()) < SAME_SECONDS:
        return ""
    return (
        f"{scene.path}: has the name of {other.path}, but another time ({_iso(scene.start)}, "
        f"not {_iso(other.start)}); rename it"
    )


def _looked_up(path: Path, cache: MetadataCache) -> Scene | str:
    """Scene or reason, read only where the cache does not hold it."""
    known = cache.get(path)
    if known is not None:
        return known
    before = signature(path)
    found = _opened(path)
    cache.put(path, found, before)
    return found


def _opened(path: Path) -> Scene | str:
    """Scene at a path, or the reason why there is none: one bad file does not stop the others."""
    try:
        return open_scene(path)
    except SceneError as error:
        return str(error)
    except _UNFORESEEN as error:
        log.debug("%s: cannot be read", printable(path), exc_info=True)
        return (
            f"{printable(path)}: cannot be read ({reason_of(error)}); get it again, or check its "
            "permissions"
        )


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


def _candidates(paths: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """Scenes by their names, each place once, and folders that cannot be searched."""
    found: dict[str, Path] = {}
    closed: list[OSError] = []
    for path in map(Path, paths):
        for candidate in _scenes_below(path, closed) if _is_searched(path) else [path]:
            # unlike Path.resolve it takes links in a circle
            found.setdefault(os.path.realpath(candidate), candidate)
    folders = {printable(Path(error.filename)): reason_of(error) for error in closed}
    return sorted(found.values()), [
        Unreadable(folder, f"{folder}: cannot be searched ({reason}); check its permissions")
        for folder, reason in sorted(folders.items())
    ]


def _is_searched(path: Path) -> bool:
    """Whether a path is a folder of scenes, not a scene."""
    try:
        if not path.is_dir() or is_product_folder(path):
            return False
        if scene_kind(path) != "safe":
            return True
        # `unzip -d X.SAFE` makes such, and some name an archive so
        return any(scene_kind(one) == "safe" for one in path.iterdir())
    except OSError:
        # in a closed folder: told when it is opened
        return scene_kind(path) != "safe"


def _scenes_below(folder: Path, closed: list[OSError]) -> Iterator[Path]:
    """Scenes in a folder and where it leads to, by links too, but not in those around it."""
    root = Path(os.path.realpath(folder))
    seen = {str(one) for one in (root, *root.parents)}
    for parent, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        places = {name: os.path.realpath(Path(parent, name)) for name in folders}
        new = [name for name in folders if places[name] not in seen]
        seen.update(places.values())
        products = [name for name in new if not _is_searched(Path(parent, name))]
        # what is inside of a product is not a scene by itself
        folders[:] = [name for name in new if name not in products]
        scenes = [name for name in files if _is_scene(Path(parent, name))]
        yield from (Path(parent, name) for name in products + scenes)


def _is_scene(path: Path) -> bool:
    """Whether a file should be a scene: by its name, or as a zip that holds a product."""
    return scene_kind(path) is not None or is_product_zip(path)


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
