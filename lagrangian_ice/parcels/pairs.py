"""A pair of passes matched, as a task that any worker can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lagrangian_ice.errors import UnlikeError
from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import select_bands
from lagrangian_ice.matching.motion_field import MotionField
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.parcels.fields import FieldTask, ensure_field, keep_field
from lagrangian_ice.parcels.nearby import around_ends, surroundings
from lagrangian_ice.parcels.prepare import Ready, Recent, Task
from lagrangian_ice.settings import MccSettings, Settings


@dataclass(frozen=True)
class PairTask:
    """What a worker must know to match a pair.

    Attributes
    ----------
    names : tuple of str
        Ids of source and target.
    source, target : Task
        Of processed passes.
    xy : (N, 2) float64
        Points in the source, metres.
    settings : Settings
        Of the matching.
    matcher : callable
        Takes what :func:`lagrangian_ice.matching.match.match_images` takes.
    few : bool
        Whether they are so few that only their surroundings are matched.
    """

    names: tuple[str, str]
    source: Task
    target: Task
    xy: Float = field(compare=False)
    settings: Settings
    matcher: Callable[..., Vectors]
    few: bool = False

    def same_as(self, other: PairTask) -> bool:
        """Whether another asks the very same."""
        return self == other and np.array_equal(self.xy, other.xy)


@dataclass(frozen=True)
class Matched:
    """Vectors, and the seconds that they and their motion field took."""

    vectors: Vectors
    seconds: float
    field_seconds: float = 0.0


_HERE = threading.local()


def match_pair(task: PairTask) -> Matched:
    """Track points from one pass to another; the images used last stay in the worker's memory.

    Raises
    ------
    SceneError
        If an image cannot be had; :class:`UnlikeError` if the two have no polarisation in
        common.
    """
    begun = time.perf_counter()
    recent = _recent()
    target, source = recent.get(task.target), recent.get(task.source)
    names = (source[0].polarisations, target[0].polarisations)
    bands = [name for name in names[0] if name in names[1]]
    if not bands:
        ids = f"{source[0].pass_id} and {target[0].pass_id}"
        raise UnlikeError(f"{ids}: no polarisation in common")
    if task.few:
        source, target, field, seconds = _nearby(task, source, target)
    else:
        pair = FieldTask(task.source, task.target, task.settings.first_guess)
        field, seconds = ensure_field(pair, recent)
    vectors = task.matcher(
        select_bands(source[0], bands),
        source[1],
        select_bands(target[0], bands),
        target[1],
        task.xy,
        task.settings.first_guess,
        mcc_settings(task.settings),
        field,
    )
    return Matched(vectors, time.perf_counter() - begun - seconds, seconds)


def mcc_settings(settings: Settings) -> MccSettings:
    """Ask more of the match of a parcel than of a vector."""
    asked = {
        "faint": min(settings.mcc.faint, settings.parcels.faint),
        "thorough": settings.mcc.thorough and settings.parcels.thorough,
    }
    return settings.mcc.model_copy(update=asked)


def _nearby(
    task: PairTask, source: Ready, target: Ready
) -> tuple[Ready, Ready, MotionField, float]:
    """Cut both passes to what few parcels need; their motion field, and the seconds it took."""
    from lagrangian_ice.matching.match import match_field

    begun = time.perf_counter()
    settings = task.settings.first_guess
    source, reached = surroundings(source, target, task.xy, settings)
    field = match_field(*source, *reached, settings)
    target = around_ends(target, task.xy, field, settings)
    return source, target, field, time.perf_counter() - begun


def match_images(*given: Any) -> Vectors:
    """Call :func:`lagrangian_ice.matching.match.match_images`, loaded where pairs are matched.

    Who only hands them in does not wait for torch.
    """
    from lagrangian_ice.matching import match

    return match.match_images(*given)


def match_ahead(task: FieldTask) -> float:
    """Find the motion field of a pair and keep it; return the seconds that it took."""
    return keep_field(task, _recent())


def _recent() -> Recent:
    """Images that this thread used last."""
    if not hasattr(_HERE, "recent"):
        _HERE.recent = Recent()
    kept: Recent = _HERE.recent
    return kept
