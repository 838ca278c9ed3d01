"""What was read of scenes before, so that thousands of products are parsed once only.

A side file of the workspace, an SQLite database of its own: it holds nothing that cannot be read
again, and may be removed at any time. An entry holds while the files of the scene have the sizes
and times that they had; what could not be read is remembered with its reason in the same way, but
tried again after a day, for the reason may lie outside of the files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import shapely

from lagrangian_ice import __version__
from lagrangian_ice.scenes.safe_files import MANIFEST
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.times import SECONDS_PER_DAY

CACHE_NAME = "scenes.cache.sqlite"

FORMAT = f"3 {__version__}"
"""Entries of another form, or read by another version of the readers, are not used: the number
goes up when they begin to take or refuse other files."""

WAITING = 200
"""Entries after which they are written, so that little is lost when the process is killed."""

_FOLDERS = ("", "annotation", "annotation/calibration", "measurement")
_TABLE = """CREATE TABLE IF NOT EXISTS scenes (
    path TEXT PRIMARY KEY, format TEXT NOT NULL, signature TEXT NOT NULL, time REAL NOT NULL,
    scene TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID"""
_BUSY_SECONDS = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    signature: str
    time: float
    scene: str
    reason: str


class MetadataCache:
    """Scenes and reasons by path.

    Where the folder is missing or cannot be written, what is read is remembered as long as the
    object lives, and no error is raised.

    Parameters
    ----------
    folder : Path
        The workspace.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / CACHE_NAME
        self._entries = self._read()
        self._waiting: dict[str, _Entry] = {}

    def get(self, path: Path) -> Scene | str | None:
        """Scene at a path, the reason why there is none, or None where that is not known."""
        entry = self._entries.get(_key(path))
        if entry is None or entry.signature != signature(path):
            return None
        if entry.reason:
            return entry.reason if 0 <= time.time() - entry.time < SECONDS_PER_DAY else None
        return dataclasses.replace(_scene(entry.scene), path=path)

    def put(self, path: Path, found: Scene | str, before: str) -> None:
        """Remember a scene or a reason.

        Parameters
        ----------
        path : Path
            Of the scene.
        found : Scene or str
            What was read, or why it could not be.
        before : str
            The signature before it was read: a file that has changed since is read again.
        """
        scene, reason = ("", found) if isinstance(found, str) else (_text(found), "")
        entry = _Entry(before, time.time(), scene, reason)
        self._entries[_key(path)] = self._waiting[_key(path)] = entry
        if len(self._waiting) >= WAITING:
            self.save()

    def save(self) -> None:
        """Write what is new, if the folder is there and can be written."""
        if not (self._waiting and self.path.parent.is_dir()):
            return
        rows = [
            (path, FORMAT, one.signature, one.time, one.scene, one.reason)
            for path, one in self._waiting.items()
        ]
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as db, db:
                db.execute(_TABLE)
                db.executemany("INSERT OR REPLACE INTO scenes VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            log.debug("%s: not written (%s)", self.path, error)
        except sqlite3.DatabaseError as error:
            log.debug("%s: damaged (%s), begun anew next time", self.path, error)
            self.path.unlink(missing_ok=True)
        else:
            self._waiting.clear()

    def _read(self) -> dict[str, _Entry]:
        if not self.path.is_file():
            return {}
        query = "SELECT path, signature, time, scene, reason FROM scenes WHERE format = ?"
        try:
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            ) as db:
                return {path: _Entry(*fields) for path, *fields in db.execute(query, [FORMAT])}
        except sqlite3.Error as error:
            # a damaged cache is none; the next save tells whether it can be written
            log.debug("%s: not read (%s)", self.path, error)
            return {}


def _key(path: Path) -> str:
    return str(path.absolute())


def signature(path: Path) -> str:
    """Digest of the names, sizes and times of the files that are read of a scene.

    Parameters
    ----------
    path : Path
        File, or SAFE folder.
    """
    if path.name == MANIFEST:
        # it stands for its product
        path = path.parent
    try:
        facts = [_facts("", path.stat())] if path.is_file() else sorted(_folder_facts(path))
    except OSError as error:
        return f"error {error.errno}"
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _folder_facts(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for name in _FOLDERS:
        try:
            with os.scandir(folder / name) as entries:
                yield from (
                    _facts(f"{name}/{one.name}", one.stat()) for one in entries if one.is_file()
                )
        except FileNotFoundError:
            continue


def _facts(name: str, status: os.stat_result) -> tuple[str, int, int, int]:
    # the last one changes with the rights to read, too
    return name, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _text(scene: Scene) -> str:
    fields: dict[str, Any] = dataclasses.asdict(scene) | {
        "path": str(scene.path),
        "start": scene.start.isoformat(),
        "stop": scene.stop.isoformat(),
        "footprint": shapely.to_wkb(scene.footprint, hex=True),
    }
    return json.dumps(fields)


def _scene(text: str) -> Scene:
    fields = json.loads(text)
    fields |= {
        "path": Path(fields["path"]),
        "start": datetime.fromisoformat(fields["start"]),
        "stop": datetime.fromisoformat(fields["stop"]),
        "polarisations": tuple(fields["polarisations"]),
        "shape": tuple(fields["shape"]),
        "footprint": shapely.from_wkb(fields["footprint"]),
    }
    return Scene(**fields)
