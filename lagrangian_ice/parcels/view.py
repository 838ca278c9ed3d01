"""What the fold of a pass is given, and the records that come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.rows import Rows, Which
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.parcels.concentration import IceField
from lagrangian_ice.parcels.transitions import Ids
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.times import SECONDS_PER_DAY

HOUR, DAY = 3600.0, SECONDS_PER_DAY
PARTING_PIXELS = 8.0
"""Pixels that parcels may part however short the time, beside ``max_parting``."""


@dataclass(frozen=True)
class Wanted:
    """Points to be tracked to the pass being folded.

    Attributes
    ----------
    source_pass : int
        Index of the pass that they are in.
    xy : (N, 2) float64
        Metres.
    max_speed : float
        Fastest that they may have gone, m s-1.
    correlation : float
        Times the least that is asked for otherwise.
    """

    source_pass: int
    xy: Float
    max_speed: float
    correlation: float = 1.0


Match = Callable[[Sequence[Wanted]], list[Vectors]]
"""Displacements for each request, side by side where there are workers."""
Expect = Callable[[Sequence[Wanted]], None]
"""Hears what will probably be asked."""


@dataclass(frozen=True)
class Stream:
    """One seeding.

    Attributes
    ----------
    stream : int
        0 is stream a.
    date, window_end : float
        Its parcels are born in passes that start within these, seconds since 1970.
    spacing : float
        Of its grid, metres.
    """

    stream: int
    date: float
    window_end: float
    spacing: float


@dataclass(frozen=True)
class Ends(Rows):
    """Parcels (N,) that end, why, and when (seconds since 1970)."""

    parcel_id: Ids
    reason: NDArray[np.int8]
    time: Float


@dataclass(frozen=True)
class Observations(Rows):
    """Sightings (N,) in one pass; a birth has no correlation and no source.

    ``covariance`` (N, 2, 2) is what has accumulated since birth, m2; ``source_pass`` is that of
    the match that holds, -1 at a birth. ``reference_pass`` is the earlier pass that the sighting
    was compared with, or -1; ``closure`` how far apart the two ends are, metres, NaN where none
    was found.
    """

    parcel_id: Ids
    time: Float
    xy: Float
    covariance: Float
    mcc: Float
    peak_ratio: Float
    rotation: Float
    q_flag: NDArray[np.int8]
    source_pass: NDArray[np.int32]
    reference_pass: NDArray[np.int32]
    closure: Float


@dataclass(frozen=True)
class Pair:
    """Vectors of the parcels ``parcel_id`` (N,) from one source pass."""

    source_pass: int
    parcel_id: Ids
    vectors: Vectors

    def take(self, which: Which) -> Pair:
        """Take some of the parcels."""
        return Pair(self.source_pass, self.parcel_id[which], self.vectors.take(which))


@dataclass(frozen=True)
class View:
    """The pass being folded, and the rules.

    Attributes
    ----------
    image : GeoImage
        What it shows.
    pass_index : int
        Its index.
    start : float
        When it begins, seconds since 1970: the clock of all rules.
    streams : sequence of Stream
        All seedings.
    settings : ParcelSettings
        Intervals and distances.
    max_speed : float
        Fastest ice, m s-1.
    ice : IceField, optional
        Concentration at the time of the pass, where it is known.
    """

    image: GeoImage
    pass_index: int
    start: float
    streams: Sequence[Stream]
    settings: ParcelSettings
    max_speed: float
    ice: IceField | None = None

    def farthest_parting(self, seconds: Float | float) -> Float:
        """Metres that a parcel may part in such times from those around it."""
        pixel = self.image.grid.pixel
        return np.asarray(self.settings.max_parting * np.abs(seconds) + PARTING_PIXELS * pixel)

    @property
    def finest(self) -> float:
        """Spacing of the finest stream so far, metres: streams of several are one mesh."""
        return min((one.spacing for one in self.begun), default=self.settings.spacing)

    @property
    def begun(self) -> list[Stream]:
        """Streams that have begun."""
        return [one for one in self.streams if one.date <= self.start]
