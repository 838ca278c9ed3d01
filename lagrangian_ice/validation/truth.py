"""How far a product is from the truth of a simulated archive.

The truth is whatever tells where ice goes (:class:`Truth`); the simulator's is one. Every parcel
is compared with the material point that lay where and when the parcel was born.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.deformation.strain import invariants, strain_rates
from lagrangian_ice.deformation.triangles import UNFIT
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import read_deformation, read_trajectories, reading
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.times import SECONDS_PER_DAY

EDGE = 3000.0
"""Ice closer than this to the edge of an image is not expected to be found there, metres."""

LONGEST_GAP = 4.0 * SECONDS_PER_DAY
"""Ice that no image shows for longer is not expected to be kept, seconds."""

SHORTEST_INTERVAL = 0.5 * SECONDS_PER_DAY
"""Images closer in time to the birth than this are not expected to be matched, seconds."""

Mask = NDArray[np.bool_]


class TrueSightings(NamedTuple):
    """When and where P images show N material points.

    Attributes
    ----------
    time : (N, P) float64
        Of the image line that shows the point, seconds since 1970.
    xy : (N, P, 2) float64
        Where it is then, metres.
    inside : (N, P) bool
        Whether the image reaches there.
    on_top : (N, P) bool
        Whether no other ice lies above.
    """

    time: Float
    xy: Float
    inside: Mask
    on_top: Mask


class Truth(Protocol):
    """Exact motion of ice and the images that were taken of it."""

    def position(self, xy: ArrayLike, time: ArrayLike, later: ArrayLike) -> Float:
        """Positions (N, 2) at ``later`` of ice at ``xy`` (N, 2) at ``time``; NaN in open water."""

    def sightings(self, xy: ArrayLike, time: ArrayLike, inset: float = 0.0) -> TrueSightings:
        """Sightings of ice at ``xy`` (N, 2) at ``time`` at least ``inset`` metres inside images."""


@dataclass(frozen=True)
class TruthScore:
    """Distance of a product to the truth.

    Attributes
    ----------
    parcels : int
        In the product.
    in_water : int
        Of them born in an open lead, where there is no truth; left out of all that follows.
    observations : int
        After births.
    median_distance, p90_distance : float
        Of the observed positions to the true trajectories, metres.
    share_wrong : float
        Of the observations more than 1 km off.
    observable : int
        Parcels that images show again and again, never below other ice.
    share_kept : float
        Of these, still alive and observed after birth.
    triangles : int
        Compared, of good quality flags.
    divergence_error, shear_error : float
        Median size of the error of the strain rates, s-1.
    divergence_bias : float
        Median error of divergence, s-1.
    true_deformation : float
        Median true total deformation of the same triangles, s-1, to compare the errors with.
    """

    parcels: int
    in_water: int
    observations: int
    median_distance: float
    p90_distance: float
    share_wrong: float
    observable: int
    share_kept: float
    triangles: int
    divergence_error: float
    shear_error: float
    divergence_bias: float
    true_deformation: float


def trajectory_distances(frame: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """Distance of every observation after birth to the true trajectory.

    Parameters
    ----------
    frame : DataFrame
        Observations with columns ``parcel_id, time, x, y``; a parcel's first is its birth.
    truth : Truth
        The true motion.

    Returns
    -------
    DataFrame
        ``parcel_id, time, x, y, true_x, true_y, distance``; NaN for parcels born in open water.
    """
    frame = frame.sort_values(["parcel_id", "time"], kind="stable")
    birth = frame.groupby("parcel_id")[["time", "x", "y"]].transform("first")
    later = frame["time"].to_numpy() > birth["time"].to_numpy()
    found, birth = frame.loc[later, ["parcel_id", "time", "x", "y"]], birth[later]
    start = birth[["x", "y"]].to_numpy(dtype=np.float64)
    true = truth.position(start, birth["time"].to_numpy(), found["time"].to_numpy())
    distance = np.hypot(*(found[["x", "y"]].to_numpy(dtype=np.float64) - true).T)
    return found.assign(true_x=true[:, 0], true_y=true[:, 1], distance=distance)


def expected_to_live(xy: Float, time: Float, truth: Truth, until: float | None = None) -> Mask:
    """Whether ice can be followed from birth to the last image, or until later.

    Parameters
    ----------
    xy : (N, 2) float64
        Places of birth, metres.
    time : (N,) float64
        Times of birth, seconds since 1970.
    truth : Truth
        The true motion.
    until : float, optional
        When the parcels are asked for, seconds since 1970: those that no image has shown for too
        long by then have rightly ended. At the last image by default.

    Returns
    -------
    (N,) bool
        True where at least one later image shows the ice, no time between two showings or from
        the last of them to the end is too long, and it is never below other ice.
    """
    found = truth.sightings(xy, time, EDGE)
    later = found.time > time[:, None] + SHORTEST_INTERVAL
    seen = later & found.inside & found.on_top
    end = float(np.nanmax(found.time, initial=-np.inf if until is None else until))
    moments = np.where(seen, found.time, np.nan)
    moments = np.sort(np.column_stack([time, moments, np.full(len(time), end)]), axis=1)
    gap = np.diff(moments, axis=1)
    longest = np.max(gap, axis=1, where=np.isfinite(gap), initial=0.0)
    buried = (later & ~found.on_top).any(axis=1)
    # A sighting may be passed over because the parcel was seen a little sooner.
    followed = longest <= LONGEST_GAP - SHORTEST_INTERVAL
    return np.asarray(seen.any(axis=1) & followed & ~buried)


class StrainComparison(NamedTuple):
    """Strain rates (M,) of triangles in a product and in truth, s-1."""

    divergence: Float
    shear: Float
    true_divergence: Float
    true_shear: Float


def compare_strain(nodes: pd.DataFrame, faces: pd.DataFrame, truth: Truth) -> StrainComparison:
    """Strain rates of a deformation product beside those of the same triangles of true ice.

    Parameters
    ----------
    nodes, faces : DataFrame
        As :func:`lagrangian_ice.output.reading.read_deformation` gives them.
    truth : Truth
        The true motion.

    Returns
    -------
    StrainComparison
        Of the triangles without a quality flag against their shape and whose vertices all
        start on ice.
    """
    start = nodes[["x", "y"]].to_numpy(dtype=np.float64)
    begin, end = nodes["time_start"].to_numpy(), nodes["time_end"].to_numpy()
    moved = truth.position(start, begin, end)
    corners = faces[["node_1", "node_2", "node_3"]].to_numpy()
    good = (faces["quality_flag"].to_numpy().astype(np.int64) & UNFIT) == 0
    good &= np.isfinite(moved[corners]).all(axis=(1, 2))
    corners = corners[good]
    gradients = strain_rates(start[corners], moved[corners], (end - begin)[corners])
    true = invariants(gradients)
    divergence, shear = (faces[name].to_numpy()[good] for name in ("divergence", "shear"))
    return StrainComparison(divergence, shear, true.divergence, true.shear)


def score_frames(
    observations: pd.DataFrame,
    ended: NDArray[np.int64],
    truth: Truth,
    strain: StrainComparison | None = None,
) -> TruthScore:
    """Score from tables.

    Parameters
    ----------
    observations : DataFrame
        Columns ``parcel_id, time, x, y``; a parcel's first row is its birth.
    ended : (K,) int64
        Ids of the parcels that have ended.
    truth : Truth
        The true motion.
    strain : StrainComparison, optional
        Of the deformation; its scores are NaN without.

    Raises
    ------
    ValueError
        If there are no observations.
    """
    if observations.empty:
        raise ValueError("no observations to score")
    distances = trajectory_distances(observations, truth)
    births = observations.sort_values("time", kind="stable").groupby("parcel_id").first()
    xy = births[["x", "y"]].to_numpy(dtype=np.float64)
    time = births["time"].to_numpy(dtype=np.float64)
    on_ice = np.isfinite(truth.position(xy, time, time)[:, 0])
    observable = np.zeros(len(births), dtype=bool)
    observable[on_ice] = expected_to_live(xy[on_ice], time[on_ice], truth)
    ids = births.index.to_numpy()
    kept = ~np.isin(ids, ended) & np.isin(ids, distances["parcel_id"])
    distance = distances["distance"].dropna().to_numpy()
    return TruthScore(
        parcels=len(births),
        in_water=int((~on_ice).sum()),
        observations=len(distance),
        median_distance=_quantile(distance, 0.5),
        p90_distance=_quantile(distance, 0.9),
        share_wrong=float((distance > 1000.0).mean()) if len(distance) else float("nan"),
        observable=int(observable.sum()),
        share_kept=float(kept[observable].mean()) if observable.any() else float("nan"),
        **_strain_scores(strain),
    )


def _strain_scores(strain: StrainComparison | None) -> dict[str, Any]:
    nothing = np.zeros(0)
    strain = strain or StrainComparison(nothing, nothing, nothing, nothing)
    error = strain.divergence - strain.true_divergence
    return {
        "triangles": len(error),
        "divergence_error": _quantile(np.abs(error), 0.5),
        "shear_error": _quantile(np.abs(strain.shear - strain.true_shear), 0.5),
        "divergence_bias": _quantile(error, 0.5),
        "true_deformation": _quantile(np.hypot(strain.true_divergence, strain.true_shear), 0.5),
    }


def _quantile(values: Float, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def score_trajectories(
    trajectories: Path, truth: Truth, deformation: Path | None = None
) -> TruthScore:
    """Score a trajectory product and, where given, its deformation product.

    Parameters
    ----------
    trajectories : Path
        ``_LP.nc``.
    truth : Truth
        Of the archive that the product was made from.
    deformation : Path, optional
        ``_DP.nc``.

    Raises
    ------
    ProductError
        If a product cannot be read.
    ValueError
        If the product holds no observations.
    """
    with reading(trajectories, TRAJECTORIES) as dataset:
        ids = dataset["trajectory"].to_numpy().astype(np.int64)
        ended = ids[np.isfinite(dataset["death_time"].to_numpy())]
    strain = None
    if deformation is not None:
        strain = compare_strain(*read_deformation(deformation), truth)
    return score_frames(read_trajectories(trajectories), ended, truth, strain)
