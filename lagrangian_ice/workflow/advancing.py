"""What users ask of the passes that wait: to be processed, processed anew, or listed."""

from __future__ import annotations

import logging
import time
from collections.abc import Container
from datetime import datetime
from pathlib import Path

import numpy as np

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels.plan import Outline, PlannedPass, plan
from lagrangian_ice.parcels.queue import repetitions
from lagrangian_ice.parcels.schema import locked
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import SECONDS_PER_DAY, iso, to_seconds
from lagrangian_ice.workflow.run import (
    Options,
    Outcome,
    Run,
    chosen_settings,
    concentration_of,
    horizon,
)
from lagrangian_ice.workspace import queue_of

log = logging.getLogger(__name__)


def advance(
    workspace: Path,
    *,
    days: float | None = None,
    until: datetime | None = None,
    settings: Settings | None = None,
    options: Options | None = None,
) -> Outcome:
    """Process all passes of the next days, then rewrite the products.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    days : float, optional
        From the clock on.
    until : datetime, optional
        Instead of days.
    settings : Settings, optional
        Those of the last call where left out; the working pixel stays as it was seeded.
    options : Options, optional
        How it is done; the records do not depend on it.

    Returns
    -------
    Outcome

    Raises
    ------
    WorkspaceError
        If the workspace is missing, not seeded, held by another process or not writable.
    ValueError
        If not exactly one of ``days`` and ``until`` is given, or it lies before the clock.
    """
    if (days is None) == (until is None):
        raise ValueError("give either days or until")
    with locked(workspace), Store(workspace, writable=True) as store:
        clock = _clock(store, workspace)
        goal = to_seconds(until) if until is not None else _days_on(store, clock, days)
        if goal < clock:
            raise ValueError(
                f"until {_said(goal)} is before the clock, {iso(clock)}; "
                "`rebuild --from DATE --until DATE` takes it back"
            )
        chosen = chosen_settings(store, settings)
        _check_goal(store, goal, chosen)
        run = Run(workspace, store, chosen, options or Options())
        return run.advance(goal)


def rebuild(
    workspace: Path,
    start: datetime,
    *,
    until: datetime | None = None,
    settings: Settings | None = None,
    options: Options | None = None,
    replace: bool = False,
) -> Outcome:
    """Take the state back to a date and advance again, with the scenes that have come since.

    Parcels seeded before keep their ids; those that passes after the date had seeded in
    empty cells are seeded anew. Killed half-way, :func:`advance` goes on from there; the same
    call begins once more. Other parameters and errors as for :func:`advance`.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    start : datetime
        Passes that start at or after it are processed again.
    until : datetime, optional
        To when; as far as the clock had come by default. Earlier, it takes back what was
        processed too far.
    replace : bool
        Where a scene has been catalogued again under another id, take the latest that can be
        read; one that was replaced by what can be read no more counts again.

    Raises
    ------
    ValueError
        If the date is after the clock, or after ``until``.
    WorkspaceError
        If a scene of a pass that is to be made again is no longer there. Nothing is changed then.
    """
    with locked(workspace), Store(workspace, writable=True) as store:
        clock = _clock(store, workspace)
        goal = _aim(store, clock) if until is None else to_seconds(until)
        moment = max(to_seconds(start), min(one.date for one in store.streams()))
        if moment > clock:
            raise ValueError(
                f"rebuild from {_said(moment)} is after the clock, {iso(clock)}; give an earlier "
                "date, or let `advance` come so far first"
            )
        if goal < moment:
            raise ValueError(f"rebuild until {_said(goal)} is before its start, {iso(moment)}")
        chosen = chosen_settings(store, settings)
        _check_goal(store, goal, chosen)
        run = Run(workspace, store, chosen, options or Options())
        _check_scenes(store, moment)
        unfit = _unfit(store) if replace else set()
        store.take_back(moment, goal)
        if replace:
            store.replace_scenes(_successors(store, unfit))
        return run.advance(goal)


def _check_scenes(store: Store, moment: float) -> None:
    """Refuse to take back passes whose scenes are gone: they could not be made again."""
    passes = store.passes()
    # A frame may begin after the moment and its pass before it, which stays then.
    again = {name for names in passes.loc[passes["start"] >= moment, "scene_ids"] for name in names}
    gone = [scene for scene in store.scenes() if scene.id in again and not scene.path.exists()]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise WorkspaceError(
            f"{gone[0].path}{more}: gone, but needed to make the passes again; bring the scenes "
            "back, or `scenes add` the place where they are now"
        )


def _unfit(store: Store) -> set[str]:
    """Scenes that came again, or were taken for another, and cannot be read now."""
    scenes, replacements = store.scenes(), store.replacements()
    current = [scene for scene in scenes if scene.id not in replacements]
    asked = {*repetitions(current, store.order_added()), *replacements.values()}
    found, unreadable = find_scenes([scene.path for scene in scenes if scene.id in asked])
    for one in unreadable:
        log.warning("%s is not taken in place of another: %s", one.path, one.reason)
    return asked - {scene.id for scene in found}


def _successors(store: Store, unfit: Container[str]) -> dict[str, str | None]:
    """For each scene that no pass holds and that came again, its latest repetition.

    None for one that was replaced by an unfit one: it counts again.
    """
    added, taken, replaced = store.order_added(), store.pass_scenes(), store.replacements()
    back = [old for old, new in replaced.items() if new in unfit and new not in taken]
    current = [
        scene
        for scene in store.scenes()
        if scene.id not in unfit and (scene.id not in replaced or scene.id in back)
    ]
    again = repetitions(current, added)
    latest: dict[str, str] = {}
    for name in sorted(again, key=lambda one: added[one]):
        latest[again[name].id] = name
    found = {first: last for first, last in latest.items() if first not in taken}
    middle = {name: found.get(again[name].id, name) for name in again}
    chosen = found | {name: last for name, last in middle.items() if name != last}
    return dict.fromkeys(back) | chosen


def plan_pairs(
    workspace: Path,
    *,
    days: float | None = None,
    until: datetime | None = None,
    settings: Settings | None = None,
) -> list[PlannedPass]:
    """List the passes that wait and the pairs that ``advance`` would match, nothing done.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    days, until : float, datetime, optional
        As for :func:`advance`; without both, all that wait.
    settings : Settings, optional
        As for :func:`advance`.

    Raises
    ------
    WorkspaceError
        If the workspace is missing or not seeded.
    """
    with Store(workspace) as store:
        clock = _clock(store, workspace)
        goal = np.inf
        if until is not None:
            goal = to_seconds(until)
        elif days is not None:
            goal = _days_on(store, clock, days)
        whole = chosen_settings(store, settings)
        rules, margin = whole.parcels, whole.parcels.birth_margin * whole.images.pixel
        scenes = {scene.id: scene for scene in store.scenes()}
        found = queue_of(store, list(scenes.values()))
        waiting = [one for one in found.waiting if to_seconds(one.start) < goal]
        done = {
            row["pass_index"]: Outline.of(row["pass_id"], [scenes[one] for one in row["scene_ids"]])
            for row in store.passes().to_dict("records")
            if row["scene_ids"]
        }
        parcels = store.living(horizon(rules))
        ice = concentration_of(whole)
        return list(plan(parcels, waiting, done, store.streams(), rules, margin, ice))


def _clock(store: Store, workspace: Path) -> float:
    clock = store.clock
    if clock is None:
        raise WorkspaceError(f"{workspace}: is not seeded; begin with `lagrangian-ice seed`")
    return clock


def _aim(store: Store, clock: float) -> float:
    """Where the clock stands, or stood before a rebuild that is not at its end."""
    return max(clock, store.goal or clock)


def _days_on(store: Store, clock: float, days: float | None) -> float:
    if days is None or not 0 < days <= 3660:
        raise ValueError(f"days {days} is not allowed; use more than 0, at most 3660")
    return _aim(store, clock) + days * SECONDS_PER_DAY


def _check_goal(store: Store, goal: float, settings: Settings) -> None:
    """Refuse a time from which no scene can be: all parcels would end on the way."""
    last = max(time.time(), store.latest_stop())
    if goal > last + settings.parcels.max_gap_days * SECONDS_PER_DAY:
        raise ValueError(
            f"until {_said(goal)} is more than {settings.parcels.max_gap_days:g} days "
            f"(max_gap_days) after {iso(last)}, now or the last scene: every parcel would end; "
            "give an earlier date"
        )


def _said(seconds: float) -> str:
    """Say a time, also one that no calendar has."""
    try:
        return iso(seconds)
    except (ValueError, OverflowError):
        return f"{seconds:.6g} s after 1970"
