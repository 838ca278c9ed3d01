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

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Patch, deform
from lagrangian_ice.deformation.strain import invariants, strain_rates
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float, lonlat_to_xy
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.times import SECONDS_PER_DAY, iso
from lagrangian_ice.validation.bootstrap import intervals
from lagrangian_ice.validation.buoys import displacements
from lagrangian_ice.validation.statistics import (
    StatisticsOptions,
    Triangles,
    block_of_pair,
    deformation_settings,
    distributions,
    localisation,
    read_all_sightings,
    spatial_scaling,
)

QUARTER = 900.0
"""Seconds."""
LONGEST_GAP = 1.01 * SECONDS_PER_DAY
"""Seconds between two outputs of the model beyond which nothing is interpolated."""
LEAD_EDGES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 240.0)
"""Days since the model's start."""
NEEDED = ("time", "longitude", "latitude", "index")


def read_drifters(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the model's drifters.

    Parameters
    ----------
    paths : sequence of Path
        ``RGPS_Drifters_*.nc`` of one run.

    Returns
    -------
    DataFrame
        ``parcel_id, time`` (seconds since 1970), ``x, y`` (EPSG:3413 metres), ``sic`` (NaN
        unknown), by parcel and time; equal rows of several files once.

    Raises
    ------
    ProductError
        If a file cannot be read, is not of this kind, or none holds a position.
    """
    parts = [_read_one(path) for path in paths]
    if not parts:
        raise ProductError("no model file is given; name at least one RGPS_Drifters_*.nc")
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise ProductError(f"{', '.join(map(str, paths))}: holds no drifter's position")
    table = table.drop_duplicates(["parcel_id", "time"])
    ordered: pd.DataFrame = table.sort_values(["parcel_id", "time"], ignore_index=True)
    return ordered


def _read_one(path: Path) -> pd.DataFrame:
    try:
        with netCDF4.Dataset(path) as dataset:
            missing = [name for name in NEEDED if name not in dataset.variables]
            if missing:
                raise ProductError(
                    f"{path}: not an RGPS_Drifters file of neXtSIM (it lacks {missing[0]})"
                )
            seconds = _times(path, dataset["time"])
            columns = {name: _plain(dataset[name], len(seconds)) for name in NEEDED[1:]}
            known = "sic" in dataset.variables
            columns["sic"] = (
                _plain(dataset["sic"], len(seconds))
                if known
                else np.full_like(columns["index"], np.nan)
            )
    except OSError as error:
        raise ProductError(f"{path}: cannot be read ({error.strerror or error})") from None
    lon, lat, index = (columns[name] for name in NEEDED[1:])
    good = np.isfinite(lon) & np.isfinite(lat) & np.isfinite(index)
    good &= (lat > 0) & (lat <= 90) & (np.abs(lon) <= 360)
    record = np.broadcast_to(np.arange(len(seconds))[:, None], good.shape)[good]
    xy = lonlat_to_xy(np.stack([lon[good], lat[good]], axis=1))
    return pd.DataFrame(
        {
            "parcel_id": np.rint(index[good]).astype(np.int64),
            "time": seconds[record],
            "x": xy[:, 0],
            "y": xy[:, 1],
            "sic": columns["sic"][good],
        }
    )


def _plain(variable: Any, records: int) -> Float:
    """Values (time, drifters), NaN where missing."""
    values = np.ma.asarray(variable[:], dtype=np.float64).filled(np.nan)
    return np.asarray(values.reshape(records, -1) if records else values.reshape(0, 0))


def _times(path: Path, variable: Any) -> Float:
    units = str(getattr(variable, "units", ""))
    values = np.ma.asarray(variable[:], dtype=np.float64).filled(np.nan)
    try:
        moments = netCDF4.num2date(np.array([0.0, 1.0]), units, "standard")
    except ValueError:
        raise ProductError(f"{path}: time has the units {units!r}, not a time since") from None
    start, later = (
        np.datetime64(str(moment), "s").astype(np.int64) for moment in np.asarray(moments)
    )
    seconds = start + values * (later - start)
    coarse = variable.dtype == np.float32
    return np.asarray(np.rint(seconds / QUARTER) * QUARTER if coarse else seconds)


class ModelTracks:
    """The model's drifters, asked for many parcels and times at once.

    Parameters
    ----------
    drifters : DataFrame
        As :func:`read_drifters` gives them.
    """

    def __init__(self, drifters: pd.DataFrame) -> None:
        self._ids = np.unique(drifters["parcel_id"].to_numpy(np.int64))
        self._time = drifters["time"].to_numpy(np.float64)
        self._xy = drifters[["x", "y"]].to_numpy(np.float64)
        self.start, self.end = float(self._time.min()), float(self._time.max())
        # one ascending key of parcel and time; the span keeps parcels apart
        self._span = 4.0 * (self.end - self.start) + 4.0
        code = np.searchsorted(self._ids, drifters["parcel_id"].to_numpy(np.int64))
        self._code = code
        self._key = code * self._span + (self._time - self.start)

    def at(self, parcel_id: NDArray[np.int64], time: Float) -> Float:
        """Positions (N, 2) of parcels at times (N,); NaN where the model has none."""
        code = np.minimum(np.searchsorted(self._ids, parcel_id), len(self._ids) - 1)
        inside = (time >= self.start) & (time <= self.end) & (self._ids[code] == parcel_id)
        key = code * self._span + np.where(inside, time - self.start, 0.0)
        after = np.minimum(np.searchsorted(self._key, key, side="left"), len(self._key) - 1)
        exact = (self._time[after] == time) & (self._code[after] == code)
        before = np.where(exact, after, np.maximum(after - 1, 0))
        inside &= (self._code[before] == code) & (self._code[after] == code)
        inside &= (self._time[before] <= time) & (time <= self._time[after])
        step = self._time[after] - self._time[before]
        inside &= step <= LONGEST_GAP
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(step > 0, (time - self._time[before]) / step, 0.0)
        moved = self._xy[after] - self._xy[before]
        found = self._xy[before] + share[:, None] * moved
        return np.where(inside[:, None], found, np.nan)


def compare_drift(observations: pd.DataFrame, model: ModelTracks) -> pd.DataFrame:
    """Displacements of parcels between consecutive observations, observed and modelled.

    Returns
    -------
    DataFrame
        As :func:`lagrangian_ice.validation.buoys.displacements`, of consecutive observations
        that the model covers, with ``model_dx, model_dy``.
    """
    pairs = displacements(observations, 0.0, np.inf)
    pairs = pairs.sort_values(["parcel_id", "time0", "time1"], ignore_index=True)
    pairs = pairs.drop_duplicates(["parcel_id", "time0"], ignore_index=True)
    ids = pairs["parcel_id"].to_numpy(np.int64)
    ends = [model.at(ids, pairs[name].to_numpy(np.float64)) for name in ("time0", "time1")]
    moved = ends[1] - ends[0]
    pairs = pairs.assign(model_dx=moved[:, 0], model_dy=moved[:, 1])
    return pairs.iloc[np.flatnonzero(np.isfinite(moved).all(axis=1))].reset_index(drop=True)


def drift_scores(compared: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Bias, RMSE and vector correlation of modelled drift (model less observation).

    Velocities in km per day. ``intervals``: 95 % of a bootstrap over the pairs of passes.
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
        "intervals": _drift_intervals(compared, observed, modelled, seed),
        "explained_by_observation_error": float(stated[known].mean() / power) if power else None,
    }


def _drift_intervals(
    compared: pd.DataFrame, observed: Float, modelled: Float, seed: int
) -> dict[str, list[float] | None]:
    images = compared[["image0", "image1"]].to_numpy(np.int64)
    one, two = observed @ np.array([1, 1j]), modelled @ np.array([1, 1j])
    product = np.conj(one) * two
    parts = (
        np.ones(len(one)), *observed.T, *modelled.T, np.abs(one) ** 2, np.abs(two) ** 2,
        product.real, product.imag, np.abs(two - one) ** 2, *(modelled - observed).T ** 2,
    )  # fmt: skip
    groups = images[:, 0] * (images.max(initial=0) + 1) + images[:, 1]
    return intervals(groups, np.stack(parts, axis=1), _drift_of_sums, seed)


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
    tracking since birth, and of the image's place; None unknown).
    """
    time = observations["time"].to_numpy(np.float64)
    at = model.at(observations["parcel_id"].to_numpy(np.int64), time)
    apart = np.hypot(*(at - observations[["x", "y"]].to_numpy(np.float64)).T)
    known = np.isfinite(apart)
    lead = (time[known] - model.start) / SECONDS_PER_DAY
    apart = apart[known]
    stated = _stated_variance(observations)[known]
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
                }
            )
    return rows


def _stated_variance(observations: pd.DataFrame) -> Float:
    """Variance (N,) of observed positions, tracking and geolocation, m2; NaN unknown."""
    names = ("x_standard_error", "y_standard_error", "geolocation_standard_error")
    x, y, place = (observations[name].to_numpy(np.float64) for name in names)
    return np.asarray(x**2 + y**2 + 2 * np.where(np.isfinite(place), place, 0.0) ** 2)


def _root_mean(variance: Float) -> float | None:
    known = variance[np.isfinite(variance)]
    return float(np.sqrt(known.mean())) if len(known) else None


def compare_deformation(path: Path, model: ModelTracks) -> tuple[Triangles, Triangles]:
    """Deformation of the same triangles over the same times, observed and modelled.

    Parameters
    ----------
    path : Path
        ``_LP.nc``.
    model : ModelTracks
        The model's drifters.

    Returns
    -------
    observed, modelled : Triangles
        Row for row of the same parcels and times; centres and areas are the observed ones.
    """
    sightings, times = read_all_sightings(path)
    settings = deformation_settings(path).model_copy(update={"smoothing_steps": 0})
    pairs: tuple[list[Triangles], list[Triangles]] = ([], [])
    for part in sightings:
        inside = (part.time >= model.start) & (part.time <= model.end)
        for patch in deform(part[inside], times, settings):
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


def deformation_scores(observed: Triangles, modelled: Triangles, seed: int = 0) -> dict[str, Any]:
    """Statistics of both, and of their differences; rates per day."""
    result: dict[str, Any] = {"triangles": len(observed)}
    pairs, block = block_of_pair(observed)
    groups = block[np.searchsorted(pairs, observed.pair)]
    for name, triangles in (("observed", observed), ("modelled", modelled)):
        result[name] = {
            "distributions_per_day": distributions(triangles),
            "spatial_scaling": spatial_scaling(triangles, seed),
            "localisation": localisation(triangles),
        }
    one, two = invariants(observed.gradients), invariants(modelled.gradients)
    for place, name in enumerate(("divergence", "shear", "total_deformation")):
        pair = (np.asarray(getattr(one, name)), np.asarray(getattr(two, name)))
        scores = _rate_scores(pair[0], pair[1], observed.variance[:, place])
        values = np.stack([np.ones(len(observed)), *pair, *np.square(pair), pair[0] * pair[1]], 1)
        scores["intervals"] = intervals(groups, values, _rates_of_sums, seed)
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
        ``drift``, ``error_growth``, ``deformation``; ready for JSON.
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
        raise ProductError(
            f"{trajectories}: no parcel is seen twice while the model has it "
            f"({iso(model.start)} to {iso(model.end)}); are the ids of one export?"
        )
    observed, modelled = compare_deformation(trajectories, model)
    # the same triangles of both: the options look at times and areas, which are the observed
    observed, modelled = observed.chosen(options), modelled.chosen(options)
    scores = {
        "trajectories": trajectories.name,
        "drifters": [path.name for path in drifters],
        "model_start": iso(model.start),
        "model_end": iso(model.end),
        "options": options.table,
        "drift_km_per_day": drift_scores(compared, options.seed),
        "error_growth": error_growth(observations, model),
        "deformation": deformation_scores(observed, modelled, options.seed),
    }
    return scores, compared, (observed, modelled)
