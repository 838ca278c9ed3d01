"""Who will be looked for in passes that come, whatever the passes before them show.

A parcel that no pass before is going to look for is where it was last seen until its turn comes.
What is asked of its pair is known beforehand then, and can be answered ahead of the fold in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lagrangian_ice.grid import Grid
from lagrangian_ice.parcels.fold import from_last_sightings, looked_for
from lagrangian_ice.parcels.plan import Outline, covered
from lagrangian_ice.parcels.population import Parcels
from lagrangian_ice.parcels.view import Wanted
from lagrangian_ice.settings import ParcelSettings


@dataclass(frozen=True)
class Coming:
    """A pass that comes, and the grid of its image."""

    outline: Outline
    grid: Grid


def settled(
    parcels: Parcels, coming: Sequence[Coming], settings: ParcelSettings, max_speed: float
) -> Iterator[tuple[str, Wanted]]:
    """Tell the requests that are settled already.

    As :func:`lagrangian_ice.parcels.fold.fold_pass` makes them: of all parcels of a source that
    are due and in reach. A source is left out if one of these is looked for before. Which sources
    have parcels on the pass is told by its outline; the fold, which sees the image, may ask for
    others.

    Parameters
    ----------
    parcels : Parcels
        The living, in order of id.
    coming : sequence of Coming
        In the order of the fold; the first is the one that is folded next.
    settings : ParcelSettings
        Intervals.
    max_speed : float
        Fastest ice, m s-1.

    Yields
    ------
    target : str
        Id of a pass after the first.
    wanted : Wanted
        What it will ask for.
    """
    wanted = [
        looked_for(parcels, one.grid, one.outline.start, settings, max_speed) for one in coming
    ]
    befores = np.logical_or.accumulate(wanted)
    for one, here, before in zip(coming[1:], wanted[1:], befores, strict=False):
        shown = here.copy()
        shown[here] = covered(one.outline, parcels.xy[here])
        open_ = parcels.pass_index[here & before]
        sources = np.setdiff1d(parcels.pass_index[shown], open_).tolist()
        for _, request in from_last_sightings(parcels, here, sources, max_speed):
            yield one.outline.id, request
