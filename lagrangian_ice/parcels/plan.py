"""Which pairs of passes an ``advance`` would match, told beforehand.

The rule of :mod:`lagrangian_ice.parcels.fold` is played through on the footprints: ice lies still,
and every parcel that a pass covers is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from lagrangian_ice.grid import Float
from lagrangian_ice.images.land import is_land
from lagrangian_ice.parcels import transitions
from lagrangian_ice.parcels.concentration import Concentration, IceField
from lagrangian_ice.parcels.fold import LARGEST_MARGIN, lost_until, open_water
from lagrangian_ice.parcels.population import Parcels, State
from lagrangian_ice.parcels.transitions import Bool, Index
from lagrangian_ice.parcels.view import DAY, HOUR, Stream
from lagrangian_ice.scenes.passes import Pass
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.times import to_seconds


@dataclass(frozen=True)
class Outline:
    """A pass as the plan sees it: id, start and mean time (seconds since 1970), footprint."""

    id: str
    start: float
    time: float
    footprint: BaseGeometry

    @classmethod
    def of(cls, pass_id: str, scenes: Sequence[Scene]) -> Outline:
        """Outline of a pass of these frames."""
        start = min(to_seconds(scene.start) for scene in scenes)
        stop = max(to_seconds(scene.stop) for scene in scenes)
        area = shapely.union_all([scene.footprint for scene in scenes])
        return cls(pass_id, start, 0.5 * (start + stop), area)


@dataclass(frozen=True)
class PlannedPair:
    """A pair that is to be matched.

    Attributes
    ----------
    source, target : str
        Ids of the passes.
    purpose : {"follow", "check"}
        From the last sighting, or from an earlier one to see how far the templates drift.
    hours : float
        Time apart.
    overlap : float
        Of the footprints, m2.
    parcels : int
        Expected in the pair.
    xy : (M, 2) float64
        Where all that will be looked for are in the source, metres: also those beside the
        target, which may have drifted in.
    """

    source: str
    target: str
    purpose: Literal["follow", "check"]
    hours: float
    overlap: float
    parcels: int
    xy: Float = field(repr=False, compare=False)


@dataclass(frozen=True)
class PlannedPass:
    """A pass that waits, what is expected of it, and its pairs."""

    id: str
    start: float
    scenes: tuple[str, ...]
    born: int
    pairs: tuple[PlannedPair, ...]


def plan(
    parcels: Parcels,
    waiting: Sequence[Pass],
    done: Mapping[int, Outline],
    streams: list[Stream],
    settings: ParcelSettings,
    margin: float = 0.0,
    concentration: Concentration | None = None,
) -> Iterator[PlannedPass]:
    """Play the rule through.

    Parameters
    ----------
    parcels : Parcels
        The living.
    waiting : sequence of Pass
        In the order in which they will be processed.
    done : mapping of int to Outline
        Processed passes by index.
    streams : list of Stream
        All seedings.
    settings : ParcelSettings
        Intervals.
    margin : float
        From the edge of a pass, inside of which nobody is born, metres.
    concentration : Concentration, optional
        Of sea ice; nobody is born where there is none.

    Yields
    ------
    PlannedPass
        For each that waits.
    """
    outlines = dict(done)
    for index, one in enumerate(waiting, start=max(outlines, default=-1) + 1):
        start, stop = to_seconds(one.start), to_seconds(one.stop)
        outlines[index] = Outline(one.id, start, 0.5 * (start + stop), one.footprint)
        ice = None if concentration is None else concentration.at(start)
        born_in = _Birthplace(outlines[index], margin, ice)
        parcels, born = _births(parcels, index, born_in, streams, settings)
        parcels, pairs = _pairs(parcels, index, outlines, settings)
        names = tuple(scene.id for scene in one.scenes)
        yield PlannedPass(one.id, outlines[index].start, names, born, tuple(pairs))


@dataclass(frozen=True)
class _Birthplace:
    """A pass, how far from its edge nobody is born, and the ice."""

    outline: Outline
    margin: float
    ice: IceField | None

    @property
    def area(self) -> BaseGeometry:
        """Where parcels can be born."""
        footprint = self.outline.footprint
        return footprint.buffer(-self.margin) if self.margin else footprint

    def fits(self, xy: Float, settings: ParcelSettings) -> Bool:
        """Whether a parcel can be born at positions (N, 2)."""
        fit = np.asarray(shapely.contains_xy(self.area, xy[:, 0], xy[:, 1]))
        fit[fit] = ~open_water(self.ice, xy[fit], settings)
        return fit


def _births(
    parcels: Parcels,
    index: int,
    here: _Birthplace,
    streams: list[Stream],
    settings: ParcelSettings,
) -> tuple[Parcels, int]:
    start, time = here.outline.start, here.outline.time
    parcels, _ = lost_until(parcels, start, settings, streams)
    parcels = parcels.take(transitions.living(parcels))
    begun = [one for one in streams if one.date <= start]
    open_streams = [one.stream for one in begun if start < one.window_end]
    waiting = (parcels.state == State.PENDING) & np.isin(parcels.stream, open_streams)
    waiting[waiting] = here.fits(parcels.xy[waiting], settings)
    ids = parcels.parcel_id[waiting]
    parcels = transitions.born(parcels, ids, np.full(len(ids), time), index)
    seeds = transitions.no_parcels()
    if settings.reseed and begun:
        latest = max(begun, key=lambda one: (one.date, one.stream))
        seeds = _seeds(parcels, index, here, latest, settings)
    return transitions.joined(parcels, seeds), len(ids) + len(seeds)


def _seeds(
    parcels: Parcels, index: int, here: _Birthplace, stream: Stream, settings: ParcelSettings
) -> Parcels:
    if here.area.is_empty:
        return transitions.no_parcels()
    row, col = transitions.nodes_within(here.area.bounds, stream.spacing)
    nodes = np.stack([col, row], axis=-1).astype(np.float64) * stream.spacing
    free = here.fits(nodes, settings) & transitions.vacant(parcels, row, col, stream.spacing)
    free[free] = ~is_land(nodes[free])
    first = int(parcels.parcel_id.max(initial=0)) + 1
    ids = first + np.arange(int(free.sum()))
    new = transitions.planted(ids, stream.stream, row[free], col[free], stream.spacing)
    return transitions.born(new, ids, np.full(len(ids), here.outline.time), index)


def _pairs(
    parcels: Parcels, index: int, outlines: Mapping[int, Outline], settings: ParcelSettings
) -> tuple[Parcels, list[PlannedPair]]:
    here = outlines[index]
    limits = (settings.min_interval_hours * HOUR, settings.max_gap_days * DAY)
    wanted = transitions.due(parcels, here.start, *limits) & (parcels.pass_index != index)
    found = wanted & covered(here, parcels.xy)
    wanted &= _in_reach(here, parcels.xy)
    due = found & (here.start - parcels.reference_time >= settings.closure_days * DAY)
    due &= (parcels.reference_pass != parcels.pass_index) & (settings.closure_days > 0)
    pairs: list[PlannedPair] = []
    purposes: tuple[tuple[Literal["follow", "check"], Bool, Bool, Index, Float], ...] = (
        ("follow", found, wanted, parcels.pass_index, parcels.xy),
        ("check", due, due, parcels.reference_pass, parcels.reference_xy),
    )
    for purpose, rows, asked, sources, starts in purposes:
        numbers, counts = np.unique(sources[rows], return_counts=True)
        for source, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            then = outlines[int(source)]
            hours = (here.start - then.start) / HOUR
            overlap = then.footprint.intersection(here.footprint).area
            xy = starts[asked & (sources == source)]
            pairs.append(PlannedPair(then.id, here.id, purpose, hours, overlap, count, xy))
    ids = parcels.parcel_id[found]
    still = (parcels.xy[found], np.full(len(ids), here.time), np.zeros((len(ids), 2, 2)))
    parcels = transitions.observed(parcels, ids, *still, index)
    return transitions.referred(parcels, parcels.parcel_id[due]), pairs


def _in_reach(here: Outline, xy: Float) -> Bool:
    """Whether parcels may have drifted onto the pass."""
    xmin, ymin, xmax, ymax = here.footprint.buffer(LARGEST_MARGIN).bounds
    x, y = xy[:, 0], xy[:, 1]
    return np.asarray((x >= xmin) & (x <= xmax) & (y >= ymin) & (y <= ymax))


def covered(here: Outline, xy: Float) -> Bool:
    """Which positions (N, 2) are inside the footprint."""
    return np.asarray(shapely.contains_xy(here.footprint, xy[:, 0], xy[:, 1]))
