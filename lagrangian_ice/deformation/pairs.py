"""From trajectories to patches of deformation: one patch for every chosen pair of passes.

The rule of choice. For a target pass, the sources are the passes 0.5 to 1.5 times the nominal
interval earlier. Each scores the number of parcels seen in both, if these are three or more, times
``1 - |time apart - nominal| / nominal``; the highest wins (the earlier of equals), its parcels
are taken, and the rest of the target's parcels choose again until none has three.
So every parcel of a target pass is in at most one patch of it, and passes of neighbouring days
give patches that overlap in time: a sample of every day's last three, not independent of one
another.

Errors. Each observation carries the tracking error accumulated since the parcel's birth; the
error of the displacement between two observations is the difference of the two. What a scene's
parcels share, its geolocation error, moves all vertices alike: it cancels in a triangle and is
not part of the strain rates' errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.deformation.smoothing import smooth_gradients
from lagrangian_ice.deformation.strain import (
    Invariants,
    StrainErrors,
    invariants,
    signed_area,
    strain_rate_errors,
    strain_rates,
)
from lagrangian_ice.deformation.triangles import (
    UNFIT,
    Index,
    quality_flags,
    smallest_angle,
    triangulate,
    true_area,
)
from lagrangian_ice.grid import Float
from lagrangian_ice.settings import DeformationSettings
from lagrangian_ice.times import SECONDS_PER_DAY

SHORTEST, LONGEST = 0.5, 1.5
"""Times the nominal interval."""
LEAST = 3
"""Parcels that two passes must share: fewer make no triangle."""


@dataclass(frozen=True)
class Sightings:
    """N observations of parcels of one stream.

    Attributes
    ----------
    parcel_id : (N,) int64
        Joins the observations of a parcel; at most one in a pass.
    pass_index : (N,) int64
        Index into the times of the passes.
    seed_rowcol : (N, 2) int64
        Of the parcel, on the seed grid.
    xy : (N, 2) float64
        Metres.
    time : (N,) float64
        The parcel's own, seconds since 1970.
    covariance : (N, 2, 2) float64
        Tracking error accumulated since birth, m2.
    """

    parcel_id: NDArray[np.int64]
    pass_index: NDArray[np.int64]
    seed_rowcol: Index
    xy: Float
    time: Float
    covariance: Float

    def __len__(self) -> int:
        return len(self.parcel_id)

    def __getitem__(self, rows: Index | NDArray[np.bool_]) -> Sightings:
        """Sightings of chosen rows."""
        names = self.__dataclass_fields__
        return Sightings(*(getattr(self, name)[rows] for name in names))


@dataclass(frozen=True)
class Patch:
    """Deformation between two passes: N parcels (nodes), F triangles (faces).

    Attributes
    ----------
    source_pass, target_pass : int
        Pass indices.
    parcel_id : (N,) int64
        Of the nodes.
    xy0, xy1 : (N, 2) float64
        Start and end, metres.
    time0, time1 : (N,) float64
        Seconds since 1970.
    covariance : (N, 2, 2) float64
        Error of the displacement without geolocation, m2; NaN where it cannot be told.
    vertices : (F, 3) int64
        Rows of the nodes, counter-clockwise at the start.
    gradients, smoothed : (F, 2, 2) float64
        Velocity gradients, s-1, raw and smoothed.
    area : (F,) float64
        At the start, on the map, m2.
    smallest_angle : (F,) float64
        Degrees.
    quality_flag : (F,) uint8
        Sum of :class:`~lagrangian_ice.deformation.triangles.QualityFlag`.
    """

    source_pass: int
    target_pass: int
    parcel_id: NDArray[np.int64]
    xy0: Float
    xy1: Float
    time0: Float
    time1: Float
    covariance: Float
    vertices: Index
    gradients: Float
    smoothed: Float
    area: Float
    smallest_angle: Float
    quality_flag: NDArray[np.uint8]

    @cached_property
    def errors(self) -> StrainErrors:
        """Of the raw gradients; the dearest part, and not always asked for."""
        corners, ends = self.xy0[self.vertices], self.xy1[self.vertices]
        dt = (self.time1 - self.time0)[self.vertices]
        return strain_rate_errors(corners, ends, dt, self.covariance[self.vertices])

    @cached_property
    def area_true(self) -> Float:
        """Area (F,) at the start, on the ellipsoid, m2."""
        return true_area(self.xy0[self.vertices])

    @property
    def invariants(self) -> Invariants:
        """Of the raw gradients."""
        return invariants(self.gradients)

    @property
    def time(self) -> Float:
        """Mean (F,) of the vertices' times at start and end, seconds since 1970."""
        middle = 0.5 * (self.time0 + self.time1)
        return np.asarray(middle[self.vertices].mean(axis=1))


def deform(
    sightings: Sightings,
    pass_time: Float,
    settings: DeformationSettings,
    ends: NDArray[np.bool_] | None = None,
) -> Iterator[Patch]:
    """Patches of deformation, in the time order of their target passes.

    Parameters
    ----------
    sightings : Sightings
        Of one stream, in any order.
    pass_time : (P,) float64
        Mean times of the passes, seconds since 1970; indexed by ``pass_index``.
    settings : DeformationSettings
        Interval, sides, angles, smoothing.
    ends : (P,) bool, optional
        Passes at which patches may end (None: any); their sources, up to 1.5 times the nominal
        interval before, must be among the sightings.

    Yields
    ------
    Patch
        Pairs of passes whose parcels form no triangle are left out.
    """
    nominal = settings.nominal_days * SECONDS_PER_DAY
    for source, target in choose_pairs(sightings, pass_time, nominal, ends):
        patch = make_patch(sightings[source], sightings[target], settings)
        if len(patch.vertices):
            yield patch


def choose_pairs(
    sightings: Sightings,
    pass_time: Float,
    nominal: float,
    ends: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[Index, Index]]:
    """Choose pairs of passes by the rule of this module.

    Parameters
    ----------
    sightings : Sightings
        Of one stream.
    pass_time : (P,) float64
        Seconds since 1970.
    nominal : float
        Seconds between source and target aimed at.
    ends : (P,) bool, optional
        Passes that may be targets; None: any.

    Yields
    ------
    source, target : (K,) int64
        Rows of ``sightings``, of the same parcels in the same order; K >= 3.
    """
    if len(sightings) == 0:
        return
    parcels, code = np.unique(sightings.parcel_id, return_inverse=True)
    by_time = np.argsort(pass_time, kind="stable")
    rank_of = np.argsort(by_time, kind="stable")
    rank = rank_of[sightings.pass_index]
    order = np.lexsort((code, rank))
    code, rank = code[order], rank[order]
    times = np.sort(pass_time, kind="stable")
    first = np.searchsorted(rank, np.arange(len(times) + 1))
    targets = np.unique(rank)
    if ends is not None:
        targets = targets[ends[by_time][targets]]
    for target in targets:
        own = slice(first[target], first[target + 1])
        waiting = np.zeros(len(parcels), bool)
        waiting[code[own]] = True
        early = np.searchsorted(times, times[target] - LONGEST * nominal)
        late = np.searchsorted(times, times[target] - SHORTEST * nominal, side="right")
        window = slice(first[early], first[late])
        closeness = 1 - np.abs(times[target] - times[early:late] - nominal) / nominal
        while window.stop > window.start:
            shared = waiting[code[window]]
            counts = np.bincount(rank[window][shared] - early, minlength=late - early)
            counts[counts < LEAST] = 0
            if not counts.any():
                break
            source = early + int(np.argmax(counts * closeness))
            candidates = np.arange(first[source], first[source + 1])
            chosen = candidates[waiting[code[candidates]]]
            mates = own.start + np.searchsorted(code[own], code[chosen])
            waiting[code[chosen]] = False
            yield order[chosen], order[mates]


def make_patch(source: Sightings, target: Sightings, settings: DeformationSettings) -> Patch:
    """Triangles and strain rates between two sightings of the same parcels.

    Parameters
    ----------
    source, target : Sightings
        Row for row of the same parcel, one pass each.
    settings : DeformationSettings
        Sides, angles, smoothing.

    Raises
    ------
    ValueError
        If the parcels differ or a parcel's two times are equal.
    """
    if not np.array_equal(source.parcel_id, target.parcel_id):
        raise ValueError("source and target sightings are not of the same parcels in one order")
    vertices = triangulate(source.xy, source.seed_rowcol, settings.max_side)
    covariance = displacement_covariance(source.covariance, target.covariance)
    corners, ends = source.xy[vertices], target.xy[vertices]
    dt = (target.time - source.time)[vertices]
    gradients = strain_rates(corners, ends, dt)
    flags = quality_flags(
        source.xy,
        target.xy,
        source.time,
        target.time,
        vertices,
        settings.min_angle,
        settings.max_side,
    )
    area = signed_area(corners)
    smoothed = smooth_gradients(
        gradients,
        area,
        vertices,
        (flags & np.uint8(UNFIT)) == 0,
        settings.smoothing_steps,
        settings.smoothing_threshold / SECONDS_PER_DAY,
    )
    return Patch(
        source_pass=int(source.pass_index[0]) if len(source) else -1,
        target_pass=int(target.pass_index[0]) if len(target) else -1,
        parcel_id=source.parcel_id,
        xy0=source.xy,
        xy1=target.xy,
        time0=source.time,
        time1=target.time,
        covariance=covariance,
        vertices=vertices,
        gradients=gradients,
        smoothed=smoothed,
        area=area,
        smallest_angle=smallest_angle(corners),
        quality_flag=flags,
    )


def displacement_covariance(source: Float, target: Float) -> Float:
    """Error (N, 2, 2) of displacements from the errors accumulated at both ends, m2.

    NaN where the difference is not positive definite: then it says nothing about the
    displacement (a stated error of zero or less would be false).
    """
    difference = np.asarray(target - source)
    known = np.isfinite(difference).all(axis=(1, 2))
    smallest = np.full(len(difference), -np.inf)
    smallest[known] = np.linalg.eigvalsh(difference[known])[:, 0]
    return np.where((smallest > 0)[:, None, None], difference, np.nan)
