"""Scaling of the deformation in space and time.

Scales come from areas: the gradients of the triangles whose centres lie in a box are averaged
with their areas as weights, ``sum(grad * A) / sum(A)``, and the invariants of the mean are
taken. Moments of the total deformation fall with the scale as ``<eps^q> ~ L^-beta(q)``; the
structure function is ``beta(q) = a q^2 + b q`` (a > 0: multifractal).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.grid import Float
from lagrangian_ice.times import SECONDS_PER_DAY
from lagrangian_ice.validation.confidence import LOGARITHM, group_sums, intervals
from lagrangian_ice.validation.triangles import Triangles, pair_times

SCALES = (20e3, 40e3, 80e3, 160e3, 320e3, 640e3)
"""Metres; the triangles themselves are one more, smaller scale."""
MOMENTS = (1, 2, 3)
LEAST_FILLED = 0.5
"""Share of a box that triangles must cover."""
LEAST_BOXES = 10
"""Boxes, or triangles, that a scale must have to count."""
LEAST_SCALES = 3
"""Scales, of space or time, that an exponent needs."""
EXPONENTS = (*(f"beta_{q}" for q in MOMENTS), "curvature", "slope")


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


def _level_sums(triangles: Triangles, pairs: NDArray[np.int64]) -> Float:
    """Add up count, length and moments over the boxes of every pair and scale: (P, S, 5)."""
    total = invariants(triangles.gradients).total_deformation
    levels = [(triangles.pair, total, np.sqrt(triangles.area))]
    levels += [box_means(triangles, side) for side in SCALES]
    found = np.zeros((len(pairs), len(levels), 2 + len(MOMENTS)))
    for level, (pair, eps, size) in enumerate(levels):
        own = np.searchsorted(pairs, pair)
        for place, values in enumerate([np.ones(len(eps)), size, *(eps**q for q in MOMENTS)]):
            found[:, level, place] = np.bincount(own, values, len(pairs))
    return found


def _exponents(sums: Float) -> dict[str, Float]:
    """Exponents from sums (R, S * 5)."""
    rows = sums.reshape(len(sums), -1, 2 + len(MOMENTS))
    found = np.array([_fit(row) for row in rows]).reshape(len(rows), -1)
    return {name: found[:, place] for place, name in enumerate(EXPONENTS)}


def _fit(sums: Float) -> Float:
    """Beta of the moments, then a and b, of sums (S, 5); NaN where too few scales can be used."""
    used = sums[:, 0] >= LEAST_BOXES
    if used.sum() < LEAST_SCALES:
        return np.full(len(EXPONENTS), np.nan)
    length, moments = np.log(sums[used, 1] / sums[used, 0]), sums[used, 2:] / sums[used, :1]
    with np.errstate(divide="ignore"):
        beta = -np.polyfit(length, np.log(moments), 1)[0]
    q = np.asarray(MOMENTS, np.float64)
    (a, b), *_ = np.linalg.lstsq(np.stack([q**2, q], axis=1), beta, rcond=None)
    return np.array([*beta, a, b])


def spatial_scaling(triangles: Triangles) -> dict[str, Any]:
    """Moments of the total deformation by scale, their exponents, the structure function.

    Parameters
    ----------
    triangles : Triangles
        Of many pairs of passes.

    Returns
    -------
    dict
        ``scales`` (one entry a scale: ``length`` in metres, ``boxes``, ``moment_1..3``);
        ``beta_1..3``, ``curvature`` (a) and ``slope`` (b) of the structure function, each with
        ``value, low, high`` (95 %; None where the record is shorter than three pairs one after
        the other).
    """
    if not len(triangles):
        return {"scales": []}
    pairs, ends, length = pair_times(triangles)
    sums = _level_sums(triangles, pairs)
    flat = sums.reshape(len(pairs), -1)
    best = _exponents(flat.sum(axis=0)[None])
    ranges = intervals(flat, ends, length, _exponents)
    found = {name: _with_interval(best[name][0], ranges[name]) for name in EXPONENTS}
    return {"pairs": len(pairs), "scales": _scale_rows(sums.sum(axis=0)), **found}


def _scale_rows(sums: Float) -> list[dict[str, Any]]:
    return [
        {
            "length": float(length / boxes),
            "boxes": int(boxes),
            **{f"moment_{q}": float(m / boxes) for q, m in zip(MOMENTS, powers, strict=True)},
        }
        for boxes, length, *powers in sums
        if boxes >= LEAST_BOXES
    ]


def _with_interval(value: float, ends: list[float] | None) -> dict[str, Any]:
    low, high = ends or (None, None)
    return {"value": _known(value), "low": low, "high": high}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def temporal_scaling(levels: Iterable[Triangles]) -> dict[str, Any]:
    """Mean total deformation of triangles by the time between their two passes.

    Parameters
    ----------
    levels : iterable of Triangles
        Of one time apart each; those of fewer than ten triangles are left out.

    Returns
    -------
    dict
        ``rows`` (``days, triangles, mean, low, high``: 95 %, None where the record is shorter
        than three such times) and ``alpha`` of ``<eps> ~ T^-alpha`` over the rows that have an
        interval, with ``value, low, high``; None with fewer than three such rows.
    """
    rows: list[dict[str, Any]] = []
    usable: list[tuple[float, Float, Float]] = []
    for triangles in levels:
        if len(triangles) < LEAST_BOXES:
            continue
        _, ends, length = pair_times(triangles)
        total = invariants(triangles.gradients).total_deformation
        _, sums = group_sums(triangles.pair, np.stack([np.ones(len(total)), total], axis=1))
        ranges = intervals(sums, ends, length, _mean_of_sums, {"mean": LOGARITHM})["mean"]
        mean = _with_interval(float(total.mean()), ranges)
        days = float(triangles.days.mean())
        rows.append({"days": days, "triangles": len(total), "mean": mean.pop("value"), **mean})
        if ranges is not None:
            usable.append((days, sums, ends))
    return {"rows": rows, "alpha": _alpha(usable)}


def _alpha(rows: Sequence[tuple[float, Float, Float]]) -> dict[str, Any] | None:
    """Exponent of rows of days, sums (P, 2) of count and total, and ends (P,) of the pairs."""
    if len(rows) < LEAST_SCALES:
        return None
    x = np.log([days for days, _, _ in rows])
    columns = np.zeros((sum(len(ends) for _, _, ends in rows), len(rows), 2))
    begin = 0
    for place, (_, sums, _) in enumerate(rows):
        columns[begin : begin + len(sums), place] = sums
        begin += len(sums)

    def exponent(sums: Float) -> dict[str, Float]:
        table = sums.reshape(len(sums), -1, 2)
        return {"alpha": -np.polyfit(x, np.log(table[..., 1] / table[..., 0]).T, 1)[0]}

    flat = columns.reshape(len(columns), -1)
    ends = np.concatenate([ends for _, _, ends in rows])
    longest = max(days for days, _, _ in rows) * SECONDS_PER_DAY
    value = exponent(flat.sum(axis=0)[None])["alpha"][0]
    return _with_interval(value, intervals(flat, ends, longest, exponent)["alpha"])


def _mean_of_sums(sums: Float) -> dict[str, Float]:
    return {"mean": sums[:, 1] / sums[:, 0]}
