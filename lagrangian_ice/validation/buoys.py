"""Trajectories against drifting buoys.

The buoy alone is interpolated in time, to the exact times of the parcel's two observations; the
two displacements between them are then compared. A parcel is compared with the buoy that, of those
with positions at both, is nearest to it at the first of the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import displacement_covariance
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.times import iso
from lagrangian_ice.validation.positions import LONGEST_GAP, Tracks, read_positions, season_of

HOUR = 3600.0
CELL = 20_000.0
"""Metres, of the cells in which buoys are looked for; further than ice drifts in a gap."""
AT_ONCE = 5000
"""Parcels whose displacements are in memory at a time."""
PERCENTILES = (10, 25, 50, 75, 90, 95, 99)
TIME_APART_EDGES = (0.0, 12.0, 24.0, 48.0, 72.0, 96.0, math.inf)
"""Hours."""
CORRELATION_EDGES = (-1.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0001)
STATED_EDGES = (0.0, 25.0, 50.0, 100.0, 200.0, 500.0, math.inf)
"""Metres, of the stated error of a displacement."""
START_EDGES = (0.0, 1000.0, 2000.0, 4000.0, 8000.0, math.inf)
"""Metres."""


@dataclass(frozen=True)
class BuoyOptions:
    """What is compared.

    Attributes
    ----------
    max_distance : float
        Between parcel and buoy at the start, metres.
    min_hours, max_hours : float
        Between the two observations.
    """

    max_distance: float = 4000.0
    min_hours: float = 6.0
    max_hours: float = 96.0

    def __post_init__(self) -> None:
        if not self.max_distance > 0:
            raise ValueError(f"max_distance {self.max_distance} m is not positive")
        if not 0 <= self.min_hours < self.max_hours:
            raise ValueError(
                f"hours {self.min_hours} to {self.max_hours}: allowed is 0 <= min < max"
            )


def compare_buoys(
    observations: pd.DataFrame, tracks: Tracks, options: BuoyOptions | None = None
) -> pd.DataFrame:
    """Displacements of parcels beside those of the buoys nearest to them.

    Parameters
    ----------
    observations : DataFrame
        As :func:`lagrangian_ice.output.reading.read_trajectories` gives them.
    tracks : Tracks
        The buoys.
    options : BuoyOptions, optional
        What is compared.

    Returns
    -------
    DataFrame
        One row for every two observations of a parcel within the hours asked for and with a
        buoy near: ``parcel_id, buoy, time0, time1, hours, x0, y0, dx, dy`` (parcel), ``buoy_dx,
        buoy_dy, start_distance, distance`` (length of the difference of the displacements),
        ``error_x, error_y`` (parcel less buoy), metres; ``direction`` (parcel less buoy,
        degrees, counter-clockwise), ``mcc`` (the least of the way, NaN unknown), ``season``,
        ``expected_distance`` and ``normalised`` (error in units of the stated one; NaN where
        none is stated).
    """
    options = options or BuoyOptions()
    parcel = np.unique(observations["parcel_id"], return_inverse=True)[1]
    # Of a whole season all displacements at once would need some gigabytes.
    some = [part for _, part in observations.groupby(parcel // AT_ONCE)] or [observations]
    found = [_nearest(part, tracks, options) for part in some]
    return _with_differences(pd.concat(found, ignore_index=True))


def _nearest(observations: pd.DataFrame, tracks: Tracks, options: BuoyOptions) -> pd.DataFrame:
    """Displacements of parcels, those of them that have a buoy near, with the nearest."""
    vectors = displacements(observations, options.min_hours, options.max_hours)
    parts = [_near(vectors, tracks, name, options.max_distance) for name in tracks.names]
    found = pd.concat(parts, ignore_index=True)
    found = found.sort_values(["row", "start_distance", "buoy"], kind="stable")
    return found.drop_duplicates("row", ignore_index=True).drop(columns="row")


def displacements(
    observations: pd.DataFrame, min_hours: float, max_hours: float, most_steps: int | None = None
) -> pd.DataFrame:
    """Every two observations of a parcel that are some hours apart.

    Parameters
    ----------
    observations : DataFrame
        As :func:`lagrangian_ice.output.reading.read_trajectories` gives them.
    min_hours, max_hours : float
        Between the two.
    most_steps : int, optional
        The later of the two is at most so many observations of the parcel on: 1 gives
        consecutive ones alone. None: as many as the hours allow.

    Returns
    -------
    DataFrame
        ``parcel_id, image0, image1, time0, time1, hours, x0, y0, dx, dy, mcc``, and ``var_x,
        cov_xy, var_y`` of the displacement (NaN unknown), with the geolocation error of both
        images where it is stated.
    """
    table = observations.sort_values(["parcel_id", "time"], ignore_index=True)
    ids, time = table["parcel_id"].to_numpy(), table["time"].to_numpy(np.float64)
    firsts, lasts = [], []
    for step in count(1) if most_steps is None else range(1, most_steps + 1):
        first = np.arange(max(len(table) - step, 0))
        same = ids[first] == ids[first + step]
        hours = (time[first + step] - time[first]) / HOUR
        same &= hours <= max_hours
        if not same.any():
            break
        kept = first[same & (hours >= min_hours)]
        firsts.append(kept)
        lasts.append(kept + step)
    empty = np.zeros(0, np.int64)
    first, last = np.concatenate([empty, *firsts]), np.concatenate([empty, *lasts])
    xy = table[["x", "y"]].to_numpy(np.float64)
    moved = xy[last] - xy[first]
    covariance = _covariance(table, first, last)
    image = table["image_index"].to_numpy(np.int64)
    return pd.DataFrame(
        {
            "parcel_id": ids[first],
            "image0": image[first],
            "image1": image[last],
            "time0": time[first],
            "time1": time[last],
            "hours": (time[last] - time[first]) / HOUR,
            "x0": xy[first, 0],
            "y0": xy[first, 1],
            "dx": moved[:, 0],
            "dy": moved[:, 1],
            "mcc": _least_on_the_way(table["correlation"].to_numpy(np.float64), first, last),
            "var_x": covariance[:, 0, 0],
            "cov_xy": covariance[:, 0, 1],
            "var_y": covariance[:, 1, 1],
        }
    )


def _least_on_the_way(values: Float, first: np.ndarray, last: np.ndarray) -> Float:
    least = np.full(len(first), np.nan)
    for step in np.unique(last - first):
        rows = np.flatnonzero(last - first == step)
        ways = np.stack([values[first[rows] + 1 + number] for number in range(step)])
        least[rows] = ways.min(axis=0)
    return least


def _covariance(table: pd.DataFrame, first: np.ndarray, last: np.ndarray) -> Float:
    names = ("x_standard_error", "y_standard_error", "xy_error_covariance")
    x, y, xy = (table[name].to_numpy(np.float64) for name in names)
    own = np.stack([np.stack([x**2, xy], -1), np.stack([xy, y**2], -1)], -2)
    tracking = displacement_covariance(own[first], own[last])
    place = table["geolocation_standard_error"].to_numpy(np.float64) ** 2
    shared = place[first] + place[last]
    return np.asarray(
        tracking + np.where(np.isfinite(shared), shared, 0)[:, None, None] * np.eye(2)
    )


def _near(vectors: pd.DataFrame, tracks: Tracks, name: str, limit: float) -> pd.DataFrame:
    start = tracks.at(name, vectors["time0"].to_numpy(np.float64))
    distance = np.hypot(*(start - vectors[["x0", "y0"]].to_numpy(np.float64)).T)
    row = np.flatnonzero(distance <= limit)
    near = vectors.iloc[row]
    end = tracks.at(name, near["time1"].to_numpy(np.float64))
    moved = end - start[row]
    near = near.assign(
        row=row,
        buoy=name,
        start_distance=distance[row],
        buoy_dx=moved[:, 0],
        buoy_dy=moved[:, 1],
    )
    return near.iloc[np.flatnonzero(np.isfinite(moved).all(axis=1))]


def _with_differences(found: pd.DataFrame) -> pd.DataFrame:
    error_x = (found["dx"] - found["buoy_dx"]).to_numpy(np.float64)
    error_y = (found["dy"] - found["buoy_dy"]).to_numpy(np.float64)
    turned = np.arctan2(found["dy"], found["dx"]) - np.arctan2(found["buoy_dy"], found["buoy_dx"])
    var_x, cov, var_y = (found[name].to_numpy(np.float64) for name in ("var_x", "cov_xy", "var_y"))
    with np.errstate(divide="ignore", invalid="ignore"):
        square = (var_y * error_x**2 - 2 * cov * error_x * error_y + var_x * error_y**2) / (
            var_x * var_y - cov**2
        )
    return found.assign(
        error_x=error_x,
        error_y=error_y,
        distance=np.hypot(error_x, error_y),
        direction=np.degrees((turned + np.pi) % (2 * np.pi) - np.pi),
        season=season_of(found["time0"].to_numpy(np.float64)),
        expected_distance=np.sqrt(var_x + var_y),
        normalised=np.sqrt(square),
    )


def score_buoys(compared: pd.DataFrame) -> dict[str, Any]:
    """Scores of compared displacements, ready for JSON; what is unknown is None.

    Parameters
    ----------
    compared : DataFrame
        From :func:`compare_buoys`.

    Returns
    -------
    dict
        ``all`` (count, percentiles of distance in metres, bias, direction), the same by
        ``hours``, ``season``, ``mcc``, ``start_distance``, ``buoy``; ``stated_error``: how the
        errors that the product states compare, and the same ``by_stated_error`` (their own
        size, metres). Errors that are right have a ``median_normalised`` of 1.18 and shares of
        0.39 and 0.86 within 1 and 2 of them.
    """
    groups = {
        "hours": _binned(compared["hours"], TIME_APART_EDGES),
        "mcc": _binned(compared["mcc"], CORRELATION_EDGES),
        "start_distance": _binned(compared["start_distance"], START_EDGES),
        "season": compared["season"],
        "buoy": compared["buoy"],
    }
    result: dict[str, Any] = {"all": _summary(compared)}
    for name, key in groups.items():
        parts = compared.groupby(key, sort=True, observed=True)
        result[f"by_{name}"] = {str(label): _summary(part) for label, part in parts}
    result["stated_error"] = _stated(compared)
    key = _binned(compared["expected_distance"], STATED_EDGES)
    parts = compared.groupby(key, sort=True, observed=True)
    result["by_stated_error"] = {str(label): _stated(part) for label, part in parts}
    return result


def _binned(values: pd.Series, edges: Sequence[float]) -> pd.Series:
    labels = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return pd.cut(values, list(edges), right=False, labels=labels)


def _summary(part: pd.DataFrame) -> dict[str, Any]:
    distance = part["distance"].to_numpy(np.float64)
    if not len(distance):
        return {"count": 0}
    quantiles = np.percentile(distance, PERCENTILES)
    percentiles = {f"p{p}": float(q) for p, q in zip(PERCENTILES, quantiles, strict=True)}
    return {
        "count": len(distance),
        "buoys": int(part["buoy"].nunique()),
        "median_distance": percentiles["p50"],
        "distance_percentiles": percentiles,
        "rms_distance": float(np.sqrt(np.mean(distance**2))),
        "bias_x": float(part["error_x"].mean()),
        "bias_y": float(part["error_y"].mean()),
        "median_direction": float(part["direction"].median()),
        "median_absolute_direction": float(part["direction"].abs().median()),
    }


def _stated(compared: pd.DataFrame) -> dict[str, Any]:
    known = compared[np.isfinite(compared["normalised"])]
    if known.empty:
        return {"count": 0}
    normalised = known["normalised"].to_numpy(np.float64)
    return {
        "count": len(known),
        "median_expected_distance": float(known["expected_distance"].median()),
        "median_distance": float(known["distance"].median()),
        "rms_distance": float(np.sqrt(np.mean(known["distance"] ** 2))),
        "rms_expected_distance": float(np.sqrt(np.mean(known["expected_distance"] ** 2))),
        "median_normalised": float(np.median(normalised)),
        "share_within_1": float(np.mean(normalised <= 1)),
        "share_within_2": float(np.mean(normalised <= 2)),
    }


class _NearBuoys:
    """Which parcels come near any place where a buoy ever was: the others need not be read."""

    def __init__(self, xy: Float, limit: float) -> None:
        # a buoy that drifts from fix to fix stays within a cell or its neighbours
        self._side = max(limit, CELL)
        cells = np.unique(np.floor(xy / self._side).astype(np.int64), axis=0)
        around = np.stack(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2]), axis=-1).reshape(-1, 2)
        self._keys = np.unique(_key((cells[:, None] + around).reshape(-1, 2)))

    def __call__(self, x: Float, y: Float) -> NDArray[np.bool_]:
        """Of the trajectories (R, obs), those (R,) that come near."""
        known = np.isfinite(x) & np.isfinite(y)
        near = np.zeros(x.shape, bool)
        cells = np.floor(np.stack([x[known], y[known]], axis=1) / self._side).astype(np.int64)
        near[known] = np.isin(_key(cells), self._keys)
        return np.asarray(near.any(axis=1))


def _key(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(cells[:, 0] * (1 << 32) + cells[:, 1])


def _span(table: pd.DataFrame) -> str:
    if table.empty:
        return "none"
    first, last = (float(value) for value in table["time"].agg(["min", "max"]))
    return f"from {iso(first)} to {iso(last)}"


def _usual_gap(positions: pd.DataFrame) -> float:
    """Median time between the fixes of a buoy, seconds; NaN where none has two."""
    return float(positions.groupby("buoy")["time"].diff().median())


def validate_buoys(
    trajectories: Path, buoys: Path, options: BuoyOptions | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Compare a trajectory file with buoys.

    Parameters
    ----------
    trajectories : Path
        ``_LP.nc``, ours or imported (:mod:`lagrangian_ice.validation.import_vectors`).
    buoys : Path
        As :func:`lagrangian_ice.validation.positions.read_positions` takes it.
    options : BuoyOptions, optional
        What is compared.

    Returns
    -------
    scores : dict
        Of :func:`score_buoys`, with the options.
    compared : DataFrame
        Of :func:`compare_buoys`.

    Raises
    ------
    ProductError
        If a file cannot be read or no buoy is near any parcel.
    """
    options = options or BuoyOptions()
    positions = read_positions(buoys)
    near = _NearBuoys(positions[["x", "y"]].to_numpy(np.float64), options.max_distance)
    observations = read_trajectories(trajectories, near)
    compared = compare_buoys(observations, Tracks(positions), options)
    if compared.empty:
        raise ProductError(
            f"{buoys}: no buoy within {options.max_distance:g} m of a parcel of {trajectories} "
            f"that is seen again {options.min_hours:g} to {options.max_hours:g} h later; buoys "
            f"{_span(positions)}, parcels that come near them {_span(observations)}; buoys are not "
            f"interpolated over more than {LONGEST_GAP / HOUR:g} h without a fix, and half of "
            f"theirs are {_usual_gap(positions) / HOUR:.3g} h or more apart"
        )
    scores = {
        "trajectories": trajectories.name,
        "buoys": buoys.name,
        "max_distance": options.max_distance,
        "min_hours": options.min_hours,
        "max_hours": options.max_hours,
        **score_buoys(compared),
    }
    return scores, compared
