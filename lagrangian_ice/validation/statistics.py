"""Statistics of deformation by which sea-ice models are judged.

Rates are per day. Scales come from areas: the gradients of the triangles whose centres lie in a
box are averaged with their areas as weights, ``sum(grad * A) / sum(A)``, and the invariants of
the mean are taken. Moments of the total deformation fall with the scale as
``<eps^q> ~ L^-beta(q)``; the structure function is ``beta(q) = a q^2 + b q`` (a > 0:
multifractal). Confidence intervals (95 %) come from a bootstrap over the pairs of passes; pairs
that overlap in time are drawn together.

LKF lengths and counts are left out: no well-kept library for them was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Patch, Sightings, deform
from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.deformation.triangles import QualityFlag
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.output.coast import distance_to_coast
from lagrangian_ice.output.products import header_of
from lagrangian_ice.output.reading import (
    open_product,
    read_deformation,
    read_passes,
    read_sightings,
)
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.settings import DeformationSettings
from lagrangian_ice.times import SECONDS_PER_DAY
from lagrangian_ice.validation.bootstrap import interval, resampled
from lagrangian_ice.validation.bootstrap import intervals as intervals_of

SCALES = (20e3, 40e3, 80e3, 160e3, 320e3, 640e3)
"""Metres; the triangles themselves are one more, smaller scale."""
MOMENTS = (1, 2, 3)
LEAST_FILLED = 0.5
"""Share of a box that triangles must cover."""
LEAST_BOXES = 10
"""Boxes that a scale must have to count."""
PDF_EDGES = np.logspace(-4, 1, 51)
"""Per day."""
INTERVALS = (1.0, 2.0, 3.0, 6.0, 12.0, 24.0)
"""Days, of the temporal scaling."""
UNFIT = QualityFlag.SMALL_ANGLE | QualityFlag.LONG_SIDE | QualityFlag.FOLDED
LOCALISED_AREA = 0.15


@dataclass(frozen=True)
class StatisticsOptions:
    """Which triangles count.

    Attributes
    ----------
    min_days, max_days : float
        Between the two passes.
    min_area, max_area : float
        Of a triangle, m2.
    seed : int
        Of the bootstrap.
    min_coast : float
        Least distance of the centre to land, m; 0 asks for none.
    """

    min_days: float = 0.0
    max_days: float = 4.5
    min_area: float = 5e6
    max_area: float = 400e6
    seed: int = 0
    min_coast: float = 0.0

    def __post_init__(self) -> None:
        if not self.min_coast >= 0:
            raise ValueError(f"min_coast {self.min_coast} m: allowed is 0 or more")
        for name in ("days", "area"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if not 0 <= low < high:
                raise ValueError(f"{name} {low} to {high}: allowed is 0 <= min < max")

    @property
    def table(self) -> dict[str, float | None]:
        """For JSON; None is no limit."""
        return {key: value if np.isfinite(value) else None for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Triangles:
    """F triangles of many pairs of passes.

    Attributes
    ----------
    pair : (F,) int64
        Pair of passes.
    xy : (F, 2) float64
        Centres, metres.
    gradients : (F, 2, 2) float64
        Velocity gradients, per day.
    area : (F,) float64
        m2.
    days : (F,) float64
        Between the two passes.
    variance : (F, 3) float64
        Of the errors of divergence, shear and total deformation, per day squared; NaN unknown.
    time : (F,) float64
        At which the pair ends, seconds since 1970.
    """

    pair: NDArray[np.int64]
    xy: Float
    gradients: Float
    area: Float
    days: Float
    variance: Float
    time: Float

    def __len__(self) -> int:
        """Count the triangles."""
        return len(self.pair)

    def __getitem__(self, rows: Any) -> Triangles:
        """Choose some."""
        return Triangles(
            self.pair[rows],
            self.xy[rows],
            self.gradients[rows],
            self.area[rows],
            self.days[rows],
            self.variance[rows],
            self.time[rows],
        )

    def chosen(self, options: StatisticsOptions) -> Triangles:
        """Keep those that count."""
        good = (self.days >= options.min_days) & (self.days <= options.max_days)
        good &= (self.area >= options.min_area) & (self.area <= options.max_area)
        good &= np.isfinite(self.gradients).all(axis=(1, 2))
        if options.min_coast > 0:
            near = np.zeros(len(self), bool)
            near[good] = distance_to_coast(self.xy[good]) < options.min_coast
            good &= ~near
        return self[good]

    @classmethod
    def join(cls, parts: Sequence[Triangles]) -> Triangles:
        """Put patches together."""
        empty = np.zeros(0)
        nothing = cls(
            np.zeros(0, np.int64),
            np.zeros((0, 2)),
            np.zeros((0, 2, 2)),
            empty,
            empty,
            np.zeros((0, 3)),
            empty,
        )
        whole = [nothing, *parts]
        names = ("pair", "xy", "gradients", "area", "days", "variance", "time")
        return cls(*(np.concatenate([getattr(part, name) for part in whole]) for name in names))

    @classmethod
    def of_patch(cls, patch: Patch, pair: int, gradients: Float | None = None) -> Triangles:
        """Triangles of a patch that are fit to be judged.

        Parameters
        ----------
        patch : Patch
            Between two passes.
        pair : int
            Its number.
        gradients : (F, 2, 2) float64, optional
            Instead of the patch's own, s-1, for example of a model.
        """
        fit = (patch.quality_flag & int(UNFIT)) == 0
        found = patch.gradients if gradients is None else gradients
        fit &= np.isfinite(found).all(axis=(1, 2))
        errors = patch.errors
        names = (errors.divergence, errors.shear, errors.total_deformation)
        variance = np.stack(names, axis=1) ** 2 * SECONDS_PER_DAY**2
        days = (patch.time1 - patch.time0)[patch.vertices].mean(axis=1) / SECONDS_PER_DAY
        return cls(
            np.full(int(fit.sum()), pair, np.int64),
            patch.xy0[patch.vertices].mean(axis=1)[fit],
            found[fit] * SECONDS_PER_DAY,
            patch.area[fit],
            days[fit],
            variance[fit],
            patch.time1[patch.vertices].mean(axis=1)[fit],
        )


def read_triangles(path: Path) -> Triangles:
    """Triangles of a deformation product, or of a trajectory file (deformed here).

    Raises
    ------
    ProductError
        If the file is neither.
    """
    return _of_product(path) if _holds(path, "face_nodes") else _of_trajectories(path, None)


def _holds(path: Path, name: str) -> bool:
    try:
        with netCDF4.Dataset(path) as dataset:
            return name in dataset.variables
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProductError(f"{path}: not a readable NetCDF file ({reason})") from None


def _of_product(path: Path) -> Triangles:
    nodes, faces = read_deformation(path)
    corners = faces[["node_1", "node_2", "node_3"]].to_numpy(np.int64)
    spans = (nodes["time_end"] - nodes["time_start"]).to_numpy(np.float64)
    gradients = faces[["dudx", "dudy", "dvdx", "dvdy"]].to_numpy(np.float64).reshape(-1, 2, 2)
    names = [f"{key}_standard_error" for key in ("divergence", "shear", "total_deformation")]
    fit = (faces["quality_flag"].to_numpy().astype(np.int64) & int(UNFIT)) == 0
    found = Triangles(
        faces["pair_index"].to_numpy().astype(np.int64),
        nodes[["x", "y"]].to_numpy(np.float64)[corners].mean(axis=1),
        gradients * SECONDS_PER_DAY,
        faces["area"].to_numpy(np.float64),
        spans[corners].mean(axis=1) / SECONDS_PER_DAY,
        faces[names].to_numpy(np.float64) ** 2 * SECONDS_PER_DAY**2,
        nodes["time_end"].to_numpy(np.float64)[corners].mean(axis=1),
    )
    return found[fit]


def _of_trajectories(path: Path, nominal_days: float | None) -> Triangles:
    sightings, times = read_all_sightings(path)
    settings = deformation_settings(path).model_copy(update={"smoothing_steps": 0})
    if nominal_days is not None:
        settings = settings.model_copy(update={"nominal_days": nominal_days})
    patches = [patch for part in sightings for patch in deform(part, times, settings)]
    return Triangles.join([Triangles.of_patch(patch, i) for i, patch in enumerate(patches)])


def deformation_settings(path: Path) -> DeformationSettings:
    """Those that a trajectory file was made with.

    Raises
    ------
    ProductError
        If it is not a trajectory product or its settings are damaged.
    """
    with open_product(path, TRAJECTORIES, decode_times=False) as dataset:
        return header_of(dict(dataset.attrs), path).settings.deformation


def read_all_sightings(path: Path) -> tuple[list[Sightings], Float]:
    """Sightings of every stream of a trajectory file, and the times of its passes.

    Raises
    ------
    ProductError
        If it is not a trajectory product.
    """
    with open_product(path, TRAJECTORIES, decode_times=False) as dataset:
        times = read_passes(dataset)["time"].to_numpy(np.float64)
        streams = np.unique(dataset["stream"].to_numpy())
        return [read_sightings(dataset, int(stream)) for stream in streams], times


def distribution(values: Float) -> dict[str, Any]:
    """Probability density of rates (per day) on logarithmic bins, and what sums it up."""
    if not len(values):
        return {"count": 0}
    density, _ = np.histogram(values, PDF_EDGES)
    density = density / (len(values) * np.diff(PDF_EDGES))
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "p50": float(np.percentile(values, 50)),
        "p90": float(np.percentile(values, 90)),
        "p99": float(np.percentile(values, 99)),
        "density": [float(value) for value in density],
    }


def distributions(triangles: Triangles) -> dict[str, Any]:
    """Densities of opening, closing, shear and total deformation; bin edges per day."""
    rates = invariants(triangles.gradients)
    divergence = rates.divergence
    return {
        "edges": [float(edge) for edge in PDF_EDGES],
        "opening": distribution(divergence[divergence > 0]),
        "closing": distribution(-divergence[divergence < 0]),
        "shear": distribution(rates.shear),
        "total_deformation": distribution(rates.total_deformation),
        "mean_divergence": float(divergence.mean()) if len(divergence) else None,
    }


def box_means(triangles: Triangles, side: float) -> tuple[NDArray[np.int64], Float, Float]:
    """Total deformation of boxes of a side, on four grids shifted by half a box.

    Returns
    -------
    pair : (B,) int64
        Of the box.
    total : (B,) float64
        Total deformation of the area-weighted mean gradient, per day.
    length : (B,) float64
        Square root of the area that triangles cover, metres.
    """
    parts = [
        _boxes(triangles, side, np.array(shift))
        for shift in ((0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5))
    ]
    pair, total, length = zip(*parts, strict=True)
    return np.concatenate(pair), np.concatenate(total), np.concatenate(length)


def _boxes(
    triangles: Triangles, side: float, shift: Float
) -> tuple[NDArray[np.int64], Float, Float]:
    cells = np.floor(triangles.xy / side + shift).astype(np.int64)
    if len(cells) == 0:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    cells -= cells.min(axis=0)
    rows, cols = cells.max(axis=0) + 1
    # one number for pair and cell: far quicker to sort than rows of three
    key = (triangles.pair * rows + cells[:, 0]) * cols + cells[:, 1]
    boxes, index = np.unique(key, return_inverse=True)
    area = np.bincount(index, triangles.area, len(boxes))
    flat = triangles.gradients.reshape(-1, 4)
    sums = [np.bincount(index, flat[:, i] * triangles.area, len(boxes)) for i in range(4)]
    filled = area >= LEAST_FILLED * side**2
    mean = (np.stack(sums, axis=1)[filled] / area[filled, None]).reshape(-1, 2, 2)
    return boxes[filled] // (rows * cols), invariants(mean).total_deformation, np.sqrt(area[filled])


def block_of_pair(triangles: Triangles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (P,) in ascending order, and the block of time (P,) that each ends in.

    Blocks are as long as the pairs (their median): pairs of successive days overlap, show the
    same ice and the same weather, and are drawn together in the bootstrap.
    """
    pairs, number = np.unique(triangles.pair, return_inverse=True)
    number = number.reshape(-1)
    counts = np.maximum(np.bincount(number, minlength=len(pairs)), 1)
    ends = np.bincount(number, triangles.time, len(pairs)) / counts
    if not len(pairs):
        return pairs, np.zeros(0, np.int64)
    span = max(float(np.median(triangles.days)) * SECONDS_PER_DAY, 1.0)
    # the ends of one pass differ by seconds: they must not be torn apart by a rounding
    _, block = np.unique(np.floor((ends - ends.min()) / span + 0.01), return_inverse=True)
    return pairs, block.reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class _Sums:
    """Sums over the boxes of every block (B) and scale (S): count, log length, moments."""

    pairs: int
    count: Float
    length: Float
    power: Float  # (B, S, 3)


def _sums(triangles: Triangles) -> _Sums:
    pairs, block = block_of_pair(triangles)
    total = invariants(triangles.gradients).total_deformation
    levels = [(triangles.pair, total, np.sqrt(triangles.area))]
    levels += [box_means(triangles, side) for side in SCALES]
    shape = (int(block.max()) + 1, len(levels))
    count, length, power = np.zeros(shape), np.zeros(shape), np.zeros((*shape, len(MOMENTS)))
    for level, (pair, eps, size) in enumerate(levels):
        own = block[np.searchsorted(pairs, pair)]
        count[:, level] = np.bincount(own, minlength=shape[0])
        length[:, level] = np.bincount(own, size, shape[0])
        for place, q in enumerate(MOMENTS):
            power[:, level, place] = np.bincount(own, eps**q, shape[0])
    return _Sums(len(pairs), count, length, power)


def _fit(sums: _Sums, weights: Float) -> Float:
    """Beta of the moments, then a and b; NaN where fewer than three scales can be used."""
    count = weights @ sums.count
    used = count >= LEAST_BOXES
    if used.sum() < 3:
        return np.full(len(MOMENTS) + 2, np.nan)
    length = np.log((weights @ sums.length)[used] / count[used])
    moments = np.einsum("p,psq->sq", weights, sums.power)[used] / count[used, None]
    with np.errstate(divide="ignore"):
        beta = -np.polyfit(length, np.log(moments), 1)[0]
    q = np.asarray(MOMENTS, np.float64)
    (a, b), *_ = np.linalg.lstsq(np.stack([q**2, q], axis=1), beta, rcond=None)
    return np.array([*beta, a, b])


def spatial_scaling(triangles: Triangles, seed: int = 0) -> dict[str, Any]:
    """Moments of the total deformation by scale, their exponents, the structure function.

    Parameters
    ----------
    triangles : Triangles
        Of many pairs of passes.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``scales`` (one entry a scale: ``length`` in metres, ``boxes``, ``moment_1..3``);
        ``beta_1..3``, ``curvature`` (a) and ``slope`` (b) of the structure function, each with
        ``value, low, high`` (95 %; None with fewer than three blocks of time).
    """
    if not len(triangles):
        return {"scales": []}
    sums = _sums(triangles)
    blocks = len(sums.count)
    best = _fit(sums, np.ones(blocks))
    draws = resampled(np.eye(blocks), seed)
    spread = np.stack([_fit(sums, weights) for weights in draws])
    names = [*(f"beta_{q}" for q in MOMENTS), "curvature", "slope"]
    found: dict[str, Any] = {
        name: _interval(best[i], spread[:, i], blocks) for i, name in enumerate(names)
    }
    return {"pairs": sums.pairs, "blocks": blocks, "scales": _scale_rows(sums), **found}


def _scale_rows(sums: _Sums) -> list[dict[str, Any]]:
    rows = []
    for level, boxes in enumerate(sums.count.sum(axis=0)):
        if boxes >= LEAST_BOXES:
            moments = sums.power[:, level].sum(axis=0) / boxes
            rows.append(
                {
                    "length": float(sums.length[:, level].sum() / boxes),
                    "boxes": int(boxes),
                    **{f"moment_{q}": float(m) for q, m in zip(MOMENTS, moments, strict=True)},
                }
            )
    return rows


def _interval(value: float, spread: Float, groups: int) -> dict[str, Any]:
    low, high = interval(spread, groups) or (None, None)
    return {"value": _known(value), "low": low, "high": high}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def temporal_scaling(
    path: Path, options: StatisticsOptions, intervals: Sequence[float] = INTERVALS
) -> dict[str, Any]:
    """Mean total deformation of triangles by the time between their two passes.

    Parameters
    ----------
    path : Path
        ``_LP.nc``.
    options : StatisticsOptions
        Areas that count.
    intervals : sequence of float
        Nominal days; each gives a row where the record has triangles of it.

    Returns
    -------
    dict
        ``rows`` (``days, triangles, mean, low, high``: 95 % of a bootstrap over the pairs of
        passes, None with fewer than three blocks of time) and ``alpha`` of ``<eps> ~ T^-alpha``,
        None with fewer than three rows.
    """
    rows = []
    free = replace(options, min_days=0.0, max_days=np.inf)
    for nominal in intervals:
        found = _of_trajectories(path, nominal).chosen(free)
        if len(found) < LEAST_BOXES:
            continue
        total = invariants(found.gradients).total_deformation
        pairs, block = block_of_pair(found)
        values = np.stack([np.ones(len(total)), total], axis=1)
        groups = block[np.searchsorted(pairs, found.pair)]
        low, high = intervals_of(groups, values, _mean_of_sums, options.seed)["mean"] or (
            None,
            None,
        )
        rows.append(
            {
                "days": float(found.days.mean()),
                "triangles": len(found),
                "mean": float(total.mean()),
                "low": low,
                "high": high,
            }
        )
    table = pd.DataFrame(rows)
    alpha = None
    if len(table) >= 3 and (table["mean"] > 0).all():
        alpha = -float(np.polyfit(np.log(table["days"]), np.log(table["mean"]), 1)[0])
    return {"rows": rows, "alpha": alpha}


def _mean_of_sums(sums: Float) -> dict[str, Float]:
    return {"mean": sums[:, 1] / sums[:, 0]}


def localisation(triangles: Triangles) -> dict[str, Any]:
    """Share of the deformation in the most deforming 15 % of the area, and area of half of it."""
    total = invariants(triangles.gradients).total_deformation
    order = np.argsort(-total)
    area = np.cumsum(triangles.area[order])
    work = np.cumsum((total * triangles.area)[order])
    if not len(work) or work[-1] <= 0:
        return {"share_in_15_percent": None, "area_of_half": None}
    area, work = area / area[-1], work / work[-1]
    return {
        "share_in_15_percent": float(np.interp(LOCALISED_AREA, area, work)),
        "area_of_half": float(np.interp(0.5, work, area)),
    }


def noise_share(triangles: Triangles) -> dict[str, Any]:
    """Share of the mean square of each rate that its stated error accounts for; None unknown."""
    rates = invariants(triangles.gradients)
    found: dict[str, Any] = {}
    names = ("divergence", "shear", "total_deformation")
    for place, name in enumerate(names):
        variance = triangles.variance[:, place]
        known = np.isfinite(variance)
        power = float(np.mean(getattr(rates, name)[known] ** 2)) if known.any() else 0.0
        found[name] = float(variance[known].mean() / power) if power > 0 else None
    return found


def validate_statistics(path: Path, options: StatisticsOptions | None = None) -> dict[str, Any]:
    """Statistics of the deformation of a product, ready for JSON.

    Parameters
    ----------
    path : Path
        ``_DP.nc``, or ``_LP.nc`` (then with the temporal scaling).
    options : StatisticsOptions, optional
        Which triangles count.

    Raises
    ------
    ProductError
        If the file is neither or no triangle counts.
    """
    options = options or StatisticsOptions()
    triangles = read_triangles(path).chosen(options)
    if not len(triangles):
        raise ProductError(
            f"{path}: no triangle of {options.min_days:g} to {options.max_days:g} days and "
            f"{options.min_area / 1e6:g} to {options.max_area / 1e6:g} km2"
        )
    trajectories = not _holds(path, "face_nodes")
    return {
        "file": path.name,
        "options": options.table,
        "triangles": len(triangles),
        "pairs": len(np.unique(triangles.pair)),
        "median_days": float(np.median(triangles.days)),
        "distributions_per_day": distributions(triangles),
        "spatial_scaling": spatial_scaling(triangles, options.seed),
        "temporal_scaling": temporal_scaling(path, options) if trajectories else None,
        "localisation": localisation(triangles),
        "share_of_stated_error": noise_share(triangles),
        "lkf": None,
    }
