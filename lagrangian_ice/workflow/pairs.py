"""A pair of passes matched, as a task that any worker can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.pair import select_bands
from lagrangian_ice.parcels.fields import FieldTask, ensure_field, keep_field
from lagrangian_ice.parcels.prepare import (
    Recent,
    Task,
)
from lagrangian_ice.settings import Settings


@dataclass(frozen=True)
class PairTask:
    """What a worker must know to match a pair.

    Attributes
    ----------
    source, target : Task
        Of processed passes.
    xy : (N, 2) float64
        Points in the source, metres.
    settings : Settings
        Of the matching.
    matcher : callable
        Takes what :func:`lagrangian_ice.matching.match.match_images` takes.
    """

    source: Task
    target: Task
    xy: Float
    settings: Settings
    matcher: Callable[..., Vectors]


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
        If an image cannot be had, or the two have no polarisation in common.
    """
    begun = time.perf_counter()
    recent = _recent()
    second, second_features = recent.get(task.target)
    first, first_features = recent.get(task.source)
    bands = [name for name in first.polarisations if name in second.polarisations]
    if not bands:
        raise SceneError(f"{first.pass_id} and {second.pass_id}: no polarisation in common")
    pair = FieldTask(task.source, task.target, task.settings.first_guess)
    field, seconds = ensure_field(pair, recent)
    vectors = task.matcher(
        select_bands(first, bands),
        first_features,
        select_bands(second, bands),
        second_features,
        task.xy,
        task.settings.first_guess,
        task.settings.mcc,
        field,
    )
    return Matched(vectors, time.perf_counter() - begun - seconds, seconds)


def match_ahead(task: FieldTask) -> float:
    """Find the motion field of a pair and keep it; return the seconds that it took."""
    return keep_field(task, _recent())


def _recent() -> Recent:
    """Images that this thread used last."""
    if not hasattr(_HERE, "recent"):
        _HERE.recent = Recent()
    kept: Recent = _HERE.recent
    return kept


def nothing_seen(xy: Float) -> Vectors:
    """Vectors of points that the target does not show."""
    count = len(xy)
    none, pair = np.full(count, np.nan), np.full((count, 2), np.nan)
    return Vectors(
        xy0=xy,
        xy1=pair,
        covariance=np.full((count, 2, 2), np.nan),
        first_guess=pair,
        first_guess_error=none,
        mcc=none,
        peak_ratio=none,
        rotation=none,
        strain=np.full((count, 3), np.nan),
        status=np.full(count, Status.OUT_OF_IMAGE, dtype=np.int8),
        time0=none,
        time1=none,
    )
