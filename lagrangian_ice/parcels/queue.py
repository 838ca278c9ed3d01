"""Which passes wait, which are done, and which scenes have come too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lagrangian_ice.scenes.passes import Pass, group_passes
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.times import to_seconds


@dataclass(frozen=True)
class Queue:
    """Catalogued scenes that no pass holds yet.

    Attributes
    ----------
    waiting : list of Pass
        In order of start, then id: what ``advance`` will take.
    late : list of Scene
        From before the clock: only a rebuild takes them.
    """

    waiting: list[Pass]
    late: list[Scene]


def queue(
    scenes: Sequence[Scene],
    taken: Sequence[str],
    done: dict[str, float],
    clock: float | None,
    begun: float | None,
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
    """
    in_passes = set(taken)
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
    return Queue(waiting, late)
