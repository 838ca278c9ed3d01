"""Motion fields of pairs of passes, computed once and kept in the cache.

A field depends on no parcel: it can be there before the fold in time comes to its pair.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lagrangian_ice import __version__
from lagrangian_ice.errors import SceneError
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.parcels.kept import load_arrays, save_arrays
from lagrangian_ice.parcels.prepare import Recent, Task, is_current
from lagrangian_ice.settings import FirstGuessSettings

FORMAT = 2
"""Of the files, and of how a field is found; what is kept of an older one is made again."""


@dataclass(frozen=True)
class FieldTask:
    """What a worker must know to find the motion between two passes.

    Attributes
    ----------
    source, target : Task
        Whose images are ready: they have keys.
    settings : FirstGuessSettings
        Search window and consensus.
    """

    source: Task
    target: Task
    settings: FirstGuessSettings


def ensure_field(task: FieldTask, recent: Recent) -> tuple[MotionField, float]:
    """Motion field of a pair, from the cache or found now, and the seconds that it took.

    Raises
    ------
    SceneError
        If an image cannot be had.
    WorkspaceError
        If the cache cannot be written.
    """
    path = _path(task)
    kept = None if path is None else _loaded(path)
    if kept is not None:
        return kept, 0.0
    # Only where it is found: see parcels.pairs.match_images.
    from lagrangian_ice.matching.match import match_field

    begun = time.perf_counter()
    field = match_field(*recent.get(task.source), *recent.get(task.target), task.settings)
    if path is not None:
        _save(path, field)
    return field, time.perf_counter() - begun


def keep_field(task: FieldTask, recent: Recent) -> float:
    """Find the motion field of a pair before it is needed; return the seconds that it took.

    Where an image cannot be had there is none: who needs it will say so.
    """
    path = _path(task)
    if path is None or path.exists():
        return 0.0
    try:
        return ensure_field(task, recent)[1]
    except SceneError:
        return 0.0


def _path(task: FieldTask) -> Path | None:
    """Where a field is kept; None if its images are not those that their keys name."""
    if not (is_current(task.source) and is_current(task.target)):
        return None
    parts = [__version__, FORMAT, task.source.key, task.target.key, task.settings.model_dump()]
    name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return task.target.cache / f"field-{name}.npz"


def _save(path: Path, field: MotionField) -> None:
    save_arrays(path, {one.name: getattr(field, one.name) for one in fields(field)})


def _loaded(path: Path) -> MotionField | None:
    """Read a field; a damaged file counts as none."""
    arrays = load_arrays(path, (one.name for one in fields(MotionField)))
    if arrays is None:
        return None
    values: dict[str, Any] = {name: v if v.ndim else v.item() for name, v in arrays.items()}
    return MotionField(**values)
