"""Displacement vectors of parcels between two images, with every measure of quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.rows import Rows, Which


class Status(IntEnum):
    """Why a vector is there or is not. Only ``TRACKED`` has an end position."""

    TRACKED = 0
    OUT_OF_IMAGE = 1
    LAND = 2
    TOO_LITTLE_DATA = 3
    NO_TEXTURE = 4
    NO_FIRST_GUESS = 5
    LOW_CORRELATION = 6
    EDGE_OF_SEARCH = 7
    TWO_PEAKS = 8
    NO_CONVERGENCE = 9
    BACK_MATCH_DISAGREES = 10
    OUTLIER = 11
    TOO_FAST = 12
    TWO_MOTIONS = 13


NOT_COVERED = (Status.OUT_OF_IMAGE, Status.TOO_LITTLE_DATA)
"""Statuses that say nothing about the ice: the target does not show the place."""


@dataclass(frozen=True)
class Vectors(Rows):
    """Displacements of N points from a source to a target image.

    Attributes
    ----------
    xy0, xy1 : (N, 2) float64
        Start and end in EPSG:3413 metres; ``xy1`` is NaN unless tracked.
    covariance : (N, 2, 2) float64
        Tracking error of ``xy1`` relative to ``xy0``, m2; geolocation not included.
    first_guess : (N, 2) float64
        End predicted before the refinement, by the network's matches or for the second look by
        coarse correlation, metres; NaN where there is none.
    first_guess_error : (N,) float64
        Its stated standard error, metres.
    first_guess_rotation : (N,) float64
        Degrees, counter-clockwise on the map, by which the ice around was predicted to turn.
    mcc : (N,) float64
        Maximum cross-correlation, -1 to 1.
    peak_ratio : (N,) float64
        Second highest correlation peak over the highest; lower is better.
    rotation : (N,) float64
        Degrees, counter-clockwise on the map, of the ice from source to target.
    strain : (N, 3) float64
        Of the template: stretch along x, along y, and half the shear angle, dimensionless.
    status : (N,) int8
        :class:`Status`.
    time0, time1 : (N,) float64
        Acquisition time at start and end, seconds since 1970.
    """

    xy0: Float
    xy1: Float
    covariance: Float
    first_guess: Float
    first_guess_error: Float
    first_guess_rotation: Float
    mcc: Float
    peak_ratio: Float
    rotation: Float
    strain: Float
    status: NDArray[np.int8]
    time0: Float
    time1: Float

    def __post_init__(self) -> None:
        count = len(self.xy0)
        for name in self.__dataclass_fields__:
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, xy0 has {count}")

    def __len__(self) -> int:
        return len(self.xy0)

    @property
    def tracked(self) -> NDArray[np.bool_]:
        """Which vectors (N,) have an end position."""
        return np.asarray(self.status == Status.TRACKED)

    @property
    def standard_error(self) -> Float:
        """The one along the direction that is known least (N,), metres; NaN unless tracked."""
        return np.sqrt(largest_variance(self.covariance))

    def without(self, which: Which) -> Vectors:
        """Vectors of which some are outliers and have no end."""
        guilty = self.take(which)
        if len(guilty) == 0:
            return self
        nothing = {
            name: np.full_like(getattr(guilty, name), np.nan)
            for name in ("xy1", "covariance", "time1")
        }
        status = np.full(len(guilty), Status.OUTLIER, dtype=np.int8)
        return self.put(which, replace(guilty, status=status, **nothing))


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
        first_guess_rotation=none,
        mcc=none,
        peak_ratio=none,
        rotation=none,
        strain=np.full((count, 3), np.nan),
        status=np.full(count, Status.OUT_OF_IMAGE, dtype=np.int8),
        time0=none,
        time1=none,
    )


def largest_variance(covariance: Float) -> Float:
    """Variance (N,) along the larger axis of covariances (N, 2, 2); NaN where not known.

    By hand: a solver takes fifteen times as long for so many of two by two.
    """
    xx, yy, xy = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    return np.asarray(0.5 * (xx + yy) + np.hypot(0.5 * (xx - yy), xy))
