"""neXtSIM's drifters against our trajectories: drift, and deformation of the same triangles.

The model's ``RGPS_Drifters_*.nc`` starts at our parcels (``export --format nextsim-rgps``) and
keeps their ids in ``index``. Only the model is interpolated, linearly between its outputs, to
the exact times of the observations. Faults of its files that are put right here: the units of
longitude (degrees_north), times as float32 days since 1900 (good to six minutes: taken to the
nearest quarter of an hour, on which the model writes), drifters that come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Patch
from lagrangian_ice.deformation.strain import invariants, strain_rates
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.times import SECONDS_PER_DAY, Window, iso
from lagrangian_ice.validation.buoys import HOUR, displacements
from lagrangian_ice.validation.confidence import FISHER, LOGARITHM, group_sums, intervals
from lagrangian_ice.validation.drifters import ModelTracks, read_drifters
from lagrangian_ice.validation.scaling import spatial_scaling
from lagrangian_ice.validation.statistics import distributions, localisation
from lagrangian_ice.validation.triangles import (
    Record,
    StatisticsOptions,
    Triangles,
    pair_times,
)

LEAD_EDGES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, np.inf)
"""Days since the model's start."""
WEATHER = 1.5 * SECONDS_PER_DAY
"""Least length, for the confidence of scores, of what shares its weather."""
SCALE_OF = {
    **dict.fromkeys(("rmse", "rmse_x", "rmse_y"), LOGARITHM),
    **dict.fromkeys(("vector_correlation", "correlation"), FISHER),
}
"""Of the scores whose errors are not symmetric."""


def compare_drift(observations: pd.DataFrame, model: ModelTracks) -> pd.DataFrame:
    """Displacements of parcels between consecutive observations, observed and modelled.

    Returns
    -------
    DataFrame
        As :func:`lagrangian_ice.validation.buoys.displacements`, of consecutive observations
        that the model covers, with ``model_dx, model_dy``.
    """
    pairs = displacements(observations, 0.0, np.inf, most_steps=1)
    ids = pairs["parcel_id"].to_numpy(np.int64)
    ends = [model.at(ids, pairs[name].to_numpy(np.float64)) for name in ("time0", "time1")]
    moved = ends[1] - ends[0]
    pairs = pairs.assign(model_dx=moved[:, 0], model_dy=moved[:, 1])
    return pairs.iloc[np.flatnonzero(np.isfinite(moved).all(axis=1))].reset_index(drop=True)


def drift_scores(compared: pd.DataFrame) -> dict[str, Any]:
    """Bias, RMSE and vector correlation of modelled drift (model less observation).

    Velocities in km per day. ``intervals``: 95 %
    (:mod:`lagrangian_ice.validation.confidence`).
    ``explained_by_observation_error``: share of the mean square
    difference that the stated errors of the observed displacements account for (None
    unknown).
    """
    days = (compared["hours"] / 24.0).to_numpy(np.float64)
    observed = compared[["dx", "dy"]].to_numpy(np.float64) / days[:, None] / 1e3
    modelled = compared[["model_dx", "model_dy"]].to_numpy(np.float64) / days[:, None] / 1e3
    difference = modelled - observed
    stated = (compared["var_x"] + compared["var_y"]).to_numpy(np.float64) / days**2 / 1e6
    known = np.isfinite(stated)
    square = np.sum(difference**2, axis=1)
    speeds = [np.hypot(*values.T) for values in (observed, modelled)]
    power = float(square[known].mean()) if known.any() else 0.0
    return {
        "count": len(compared),
        "parcels": int(compared["parcel_id"].nunique()),
        "bias_x": float(difference[:, 0].mean()),
        "bias_y": float(difference[:, 1].mean()),
        "bias_x_standard_error": _error_of_mean(difference[:, 0]),
        "bias_y_standard_error": _error_of_mean(difference[:, 1]),
        "speed_bias": float((speeds[1] - speeds[0]).mean()),
        "rmse": float(np.sqrt(square.mean())),
        "rmse_x": float(np.sqrt(np.mean(difference[:, 0] ** 2))),
        "rmse_y": float(np.sqrt(np.mean(difference[:, 1] ** 2))),
        **vector_correlation(observed, modelled),
        "pairs_of_passes": len(compared[["image0", "image1"]].drop_duplicates()),
        "intervals": _drift_intervals(compared, observed, modelled),
        "explained_by_observation_error": float(stated[known].mean() / power) if power else None,
    }


def _drift_intervals(
    compared: pd.DataFrame, observed: Float, modelled: Float
) -> dict[str, list[float] | None]:
    images = compared[["image0", "image1"]].to_numpy(np.int64)
    one, two = observed @ np.array([1, 1j]), modelled @ np.array([1, 1j])
    product = np.conj(one) * two
    parts = (
        np.ones(len(one)), *observed.T, *modelled.T, np.abs(one) ** 2, np.abs(two) ** 2,
        product.real, product.imag, np.abs(two - one) ** 2, *(modelled - observed).T ** 2,
    )  # fmt: skip
    groups = images[:, 0] * (images.max(initial=0) + 1) + images[:, 1]
    ends = compared["time1"].to_numpy(np.float64)
    _, sums = group_sums(groups, np.stack([*parts, ends], axis=1))
    length = max(float(np.median(compared["hours"])) * HOUR, WEATHER)
    return intervals(sums[:, :-1], sums[:, -1] / sums[:, 0], length, _drift_of_sums, SCALE_OF)


def _drift_of_sums(sums: Float) -> dict[str, Float]:
    """Scores of drift from sums (R, 12) over displacements."""
    ox, oy, mx, my, oo, mm, re, im, square, square_x, square_y = (sums[:, 1:] / sums[:, :1]).T
    real, imaginary = re - (ox * mx + oy * my), im - (ox * my - oy * mx)
    power = (oo - ox**2 - oy**2) * (mm - mx**2 - my**2)
    return {
        "bias_x": mx - ox,
        "bias_y": my - oy,
        "rmse": np.sqrt(square),
        "rmse_x": np.sqrt(square_x),
        "rmse_y": np.sqrt(square_y),
        "vector_correlation": np.hypot(real, imaginary) / np.sqrt(power),
    }


def _error_of_mean(values: Float) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def vector_correlation(observed: Float, modelled: Float) -> dict[str, float | None]:
    """Complex correlation of two sets of vectors (N, 2), about their means.

    Returns
    -------
    dict
        ``vector_correlation`` (0 to 1), ``mean_turning`` (degrees, model from observation,
        counter-clockwise) and ``regression`` (length of model per length of observation); None
        where there is no variation.
    """
    one = (observed - observed.mean(axis=0)) @ np.array([1, 1j])
    two = (modelled - modelled.mean(axis=0)) @ np.array([1, 1j])
    product = np.vdot(one, two)
    power = np.vdot(one, one).real * np.vdot(two, two).real
    if not power > 0:
        return {"vector_correlation": None, "mean_turning": None, "regression": None}
    return {
        "vector_correlation": float(abs(product) / np.sqrt(power)),
        "mean_turning": float(np.degrees(np.angle(product))),
        "regression": float(abs(product) / np.vdot(one, one).real),
    }


def error_growth(observations: pd.DataFrame, model: ModelTracks) -> list[dict[str, Any]]:
    """Distance between modelled and observed parcels by the time since the model's start.

    ``rms_observation_error``: what the stated errors of the observations alone would give (of
    tracking since birth, and of the image's place; None unknown). ``rms_drift_difference``: of
    the two displacements since the parcel's first observation in the run. The start is in the
    distances, not in these: it is interpolated between observations, and ice does not drift
    straight on between them. None where no parcel is seen the second time.
    """
    observations = observations.sort_values(["parcel_id", "time"], ignore_index=True)
    time = observations["time"].to_numpy(np.float64)
    at = model.at(observations["parcel_id"].to_numpy(np.int64), time)
    offset = at - observations[["x", "y"]].to_numpy(np.float64)
    known = np.isfinite(offset).all(axis=1)
    apart = np.hypot(*offset[known].T)
    lead = (time[known] - model.start) / SECONDS_PER_DAY
    stated = _stated_variance(observations)[known]
    drifted = _since_first(observations["parcel_id"].to_numpy(np.int64)[known], offset[known])
    rows = []
    for low, high in pairwise(LEAD_EDGES):
        inside = (lead >= low) & (lead < high)
        if inside.any():
            rows.append(
                {
                    "days": float(lead[inside].mean()),
                    "count": int(inside.sum()),
                    "median_distance": float(np.median(apart[inside])),
                    "p90_distance": float(np.percentile(apart[inside], 90)),
                    "rms_distance": float(np.sqrt(np.mean(apart[inside] ** 2))),
                    "rms_observation_error": _root_mean(stated[inside]),
                    "rms_drift_difference": _root_mean(drifted[inside]),
                }
            )
    return rows


def _since_first(parcel_id: NDArray[np.int64], offset: Float) -> Float:
    """Square (N,) of what offsets (N, 2) gained since the parcel's first; NaN for the first."""
    first = np.unique(parcel_id, return_index=True)[1]
    start = np.repeat(first, np.diff([*first, len(parcel_id)]))
    gained = np.sum((offset - offset[start]) ** 2, axis=1)
    gained[first] = np.nan
    return np.asarray(gained)


def _stated_variance(observations: pd.DataFrame) -> Float:
    """Variance (N,) of observed positions, tracking and geolocation, m2; NaN unknown."""
    names = ("x_standard_error", "y_standard_error", "geolocation_standard_error")
    x, y, place = (observations[name].to_numpy(np.float64) for name in names)
    return np.asarray(x**2 + y**2 + 2 * np.where(np.isfinite(place), place, 0.0) ** 2)


def _root_mean(variance: Float) -> float | None:
    known = variance[np.isfinite(variance)]
    return float(np.sqrt(known.mean())) if len(known) else None


def compare_deformation(record: Record, model: ModelTracks) -> tuple[Triangles, Triangles]:
    """Deformation of the same triangles over the same times, observed and modelled.

    Parameters
    ----------
    record : Record
        Of a ``_LP.nc``; of long ones every ``record.every``-th day is looked at.
    model : ModelTracks
        The model's drifters.

    Returns
    -------
    observed, modelled : Triangles
        Row for row of the same parcels and times; centres and areas are the observed ones.
    """
    pairs: tuple[list[Triangles], list[Triangles]] = ([], [])
    inside = Window(model.start, np.nextafter(model.end, np.inf))
    for patch in record.patches(inside=inside):
        gradients = model_gradients(patch, model)
        observed = np.where(np.isfinite(gradients), patch.gradients, np.nan)
        for found, values in zip(pairs, (observed, gradients), strict=True):
            found.append(Triangles.of_patch(patch, len(found), values))
    return Triangles.join(pairs[0]), Triangles.join(pairs[1])


def model_gradients(patch: Patch, model: ModelTracks) -> Float:
    """Velocity gradients (F, 2, 2) of a patch's triangles in the model, s-1; NaN unknown."""
    begin, end = (model.at(patch.parcel_id, time) for time in (patch.time0, patch.time1))
    dt = (patch.time1 - patch.time0)[patch.vertices]
    return strain_rates(begin[patch.vertices], end[patch.vertices], dt)


def deformation_scores(observed: Triangles, modelled: Triangles) -> dict[str, Any]:
    """Describe both, and their differences; rates per day."""
    result: dict[str, Any] = {"triangles": len(observed)}
    _, ends, length = pair_times(observed)
    for name, triangles in (("observed", observed), ("modelled", modelled)):
        result[name] = {
            "distributions_per_day": distributions(triangles),
            "spatial_scaling": spatial_scaling(triangles),
            "localisation": localisation(triangles),
        }
    one, two = invariants(observed.gradients), invariants(modelled.gradients)
    for place, name in enumerate(("divergence", "shear", "total_deformation")):
        pair = (np.asarray(getattr(one, name)), np.asarray(getattr(two, name)))
        scores = _rate_scores(pair[0], pair[1], observed.variance[:, place])
        values = np.stack([np.ones(len(observed)), *pair, *np.square(pair), pair[0] * pair[1]], 1)
        _, sums = group_sums(observed.pair, values)
        scores["intervals"] = intervals(sums, ends, length, _rates_of_sums, SCALE_OF)
        result[name] = scores
    return result


def _rates_of_sums(sums: Float) -> dict[str, Float]:
    """Scores of a rate from sums (R, 6) over triangles."""
    one, two, square_one, square_two, product = (sums[:, 1:] / sums[:, :1]).T
    spread = np.sqrt((square_one - one**2) * (square_two - two**2))
    return {
        "bias": two - one,
        "rmse": np.sqrt(square_one + square_two - 2 * product),
        "correlation": (product - one * two) / spread,
    }


def _rate_scores(observed: Float, modelled: Float, variance: Float) -> dict[str, Any]:
    if len(observed) < 2:
        return {"count": len(observed)}
    difference = modelled - observed
    known = np.isfinite(variance)
    power = float(np.mean(difference[known] ** 2)) if known.any() else 0.0
    varies = observed.std() > 0 and modelled.std() > 0
    return {
        "count": len(observed),
        "bias": float(difference.mean()),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "correlation": float(np.corrcoef(observed, modelled)[0, 1]) if varies else None,
        "ratio_of_p90": _ratio(
            np.percentile(np.abs(modelled), 90), np.percentile(np.abs(observed), 90)
        ),
        "explained_by_observation_error": float(variance[known].mean() / power) if power else None,
    }


def _ratio(one: float, two: float) -> float | None:
    return float(one / two) if two > 0 else None


def _why_none(observations: pd.DataFrame, model: ModelTracks) -> str:
    """Why no displacement of a parcel can be compared."""
    span = f"the model has {iso(model.start)} to {iso(model.end)}"
    if observations.empty:
        return "holds no observation"
    first, last = (float(value) for value in observations["time"].agg(["min", "max"]))
    if last < model.start or first > model.end:
        return f"observations go from {iso(first)} to {iso(last)}, {span}"
    if not model.has(observations["parcel_id"].to_numpy(np.int64)).any():
        return "no parcel is among the model's drifters; are the ids of one export?"
    return f"no parcel is seen twice while the model has it; {span}"


def validate_nextsim(
    trajectories: Path,
    drifters: Sequence[Path],
    options: StatisticsOptions | None = None,
) -> tuple[dict[str, Any], pd.DataFrame, tuple[Triangles, Triangles]]:
    """Compare a run of neXtSIM with a trajectory file.

    Parameters
    ----------
    trajectories : Path
        ``_LP.nc``.
    drifters : sequence of Path
        ``RGPS_Drifters_*.nc`` of one run.
    options : StatisticsOptions, optional
        Which triangles count.

    Returns
    -------
    scores : dict
        ``drift_km_per_day``, ``error_growth``, ``deformation``; ready for JSON. Of long records
        ``deformation`` is of triangles that end on one day in ``every_nth_day``; drift and
        error growth are of all observations.
    compared : DataFrame
        Of :func:`compare_drift`.
    triangles : (Triangles, Triangles)
        Observed and modelled.

    Raises
    ------
    ProductError
        If a file cannot be read or the two have no parcel and time in common.
    """
    options = options or StatisticsOptions()
    model = ModelTracks(read_drifters(drifters))
    observations = read_trajectories(trajectories)
    compared = compare_drift(observations, model)
    if compared.empty:
        raise ProductError(f"{trajectories}: {_why_none(observations, model)}")
    record = Record.of(trajectories)
    observed, modelled = compare_deformation(record, model)
    # the same triangles of both: the options look at times and areas, which are the observed
    observed, modelled = observed.chosen(options), modelled.chosen(options)
    scores = {
        "trajectories": trajectories.name,
        "drifters": [path.name for path in drifters],
        "model_start": iso(model.start),
        "model_end": iso(model.end),
        "options": options.table,
        "every_nth_day": record.every,
        "drift_km_per_day": drift_scores(compared),
        "error_growth": error_growth(observations, model),
        "deformation": deformation_scores(observed, modelled),
    }
    return scores, compared, (observed, modelled)
