"""Which passes wait, which are done, and which scenes have come too late or twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lagrangian_ice.scenes.passes import Pass, group_passes
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.times import to_seconds

SAME_SECONDS, SAME_SHARE = 2.0, 0.8
"""Frames of a datatake that begin and end so closely, with so much of their outlines in common,
are one frame processed twice."""


@dataclass(frozen=True)
class Queue:
    """Catalogued scenes that no pass holds yet.

    Attributes
    ----------
    waiting : list of Pass
        In order of start, then id: what ``advance`` will take.
    late : list of Scene
        From before the clock: only a rebuild takes them.
    repeated : list of Scene
        Show again, under another id, what an earlier one shows: only a rebuild that is asked
        to replace takes them.
    """

    waiting: list[Pass]
    late: list[Scene]
    repeated: list[Scene]


def queue(
    scenes: Sequence[Scene],
    taken: Sequence[str],
    done: dict[str, float],
    clock: float | None,
    begun: float | None,
    hidden: Sequence[Scene] = (),
) -> Queue:
    """Sort the scenes that are not in processed passes.

    Parameters
    ----------
    scenes : sequence of Scene
        The catalogue.
    taken : sequence of str
        Ids of the scenes in processed passes.
    done : dict of str to float
        Start of each processed pass, seconds since 1970, by its id.
    clock : float or None
        Until when all passes are processed; None before a seed.
    begun : float or None
        Date of the first seed. What is older is neither waiting nor late.
    hidden : sequence of Scene
        Repetitions, which wait for nothing.
    """
    in_passes = set(taken) | {scene.id for scene in hidden}
    left = [scene for scene in scenes if scene.id not in in_passes]
    # A killed advance leaves passes done beyond the clock; none may be slipped in before them.
    frontier = max(((start, pass_id) for pass_id, start in done.items()), default=(-1e300, ""))
    waiting: list[Pass] = []
    late: list[Scene] = []
    for one in group_passes(left):
        start = to_seconds(one.start)
        if begun is not None and start < begun:
            continue
        past = (clock is not None and start < clock) or (start, one.id) < frontier
        if past or one.id in done:
            late += one.scenes
        else:
            waiting.append(one)
    return Queue(waiting, late, list(hidden))


def repetitions(scenes: Sequence[Scene], added: Mapping[str, int]) -> dict[str, Scene]:
    """Scenes that show again what one that was catalogued before them shows.

    Parameters
    ----------
    scenes : sequence of Scene
        The catalogue without those that have been replaced.
    added : mapping of str to int
        Order of cataloguing, by id.

    Returns
    -------
    dict of str to Scene
        The first of its kind, by the id of each that repeats it.
    """
    kept: dict[str, list[Scene]] = {}
    found: dict[str, Scene] = {}
    for scene in sorted(scenes, key=lambda one: (added.get(one.id, 0), one.start, one.id)):
        firsts = kept.setdefault(scene.pass_id, [])
        twin = next((one for one in firsts if _same_view(one, scene)), None)
        if twin is None:
            firsts.append(scene)
        else:
            found[scene.id] = twin
    return found


def _same_view(first: Scene, second: Scene) -> bool:
    """Whether two scenes of one datatake are the same frame, processed twice."""
    apart = max(
        abs((first.start - second.start).total_seconds()),
        abs((first.stop - second.stop).total_seconds()),
    )
    if apart > SAME_SECONDS or first.polarisations != second.polarisations:
        return False
    shared = first.footprint.intersection(second.footprint).area
    return bool(shared >= SAME_SHARE * first.footprint.union(second.footprint).area)


def begin_of_passes(some: Sequence[Scene], scenes: Sequence[Scene]) -> float | None:
    """When the first of the passes of some scenes begins, whole seconds since 1970.

    That is where a rebuild must begin that takes them in; None without one.
    """
    passes = {scene.pass_id for scene in some}
    starts = [to_seconds(scene.start) for scene in scenes if scene.pass_id in passes]
    return float(math.floor(min(starts))) if starts else None
