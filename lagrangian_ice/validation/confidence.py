"""95 % confidence of scores of data that overlap in time.

What is compared within one pair of passes shares its errors and its weather, and pairs that
overlap in time, or nearly do, resemble one another. So the unit is the sums of a short time, and
neighbours in time are taken as correlated:

- the weight of every unit in a score comes from leaving it out (jackknife);
- the variance of the score is the sum of the products of these weights, each times
  ``1 - time apart / (3 lengths of a pair)`` (Bartlett's kernel; Newey and West 1987), and 9/8,
  because the kernel takes a ninth of the correlation of overlapping pairs away;
- the quantile is that of Kiefer and Vogelsang (2005, Econometric Theory 21, 1130-1164,
  Bartlett, 97.5 %) for the share of the record that the kernel covers: of short records the
  variance is uncertain itself, and the quantile grows from 1.96 to 4.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.grid import Float

REACH = 3.0
"""Lengths of a pair, over which values are taken as correlated."""
UNITS = 3
"""Units of time in the length of a pair."""
OVERLAP = 9 / 8
"""Over the kernel's integral with the correlation ``1 - time apart / length`` of overlap."""
QUANTILE = (1.96, 2.9694, 0.4160, -0.5324)
"""Coefficients of the 97.5 % quantile in powers of the share that the kernel covers."""

Scores = Mapping[str, Float]


class Scale(NamedTuple):
    """Where a score's errors are symmetric: the way there and back."""

    there: Callable[[Float], Float]
    back: Callable[[Float], Float]


LOGARITHM = Scale(np.log, np.exp)
"""Of what is positive."""
FISHER = Scale(np.arctanh, np.tanh)
"""Of correlations."""


def group_sums(groups: ArrayLike, values: Float) -> tuple[NDArray[np.int64], Float]:
    """Add up values (N, K) over the groups that their rows are of: groups (G,), sums (G, K)."""
    names, number = np.unique(np.asarray(groups, np.int64), return_inverse=True)
    number = number.reshape(-1)
    columns = [np.bincount(number, column, len(names)) for column in values.T]
    return names, np.stack(columns, axis=1)


def intervals(
    sums: Float,
    time: Float,
    length: float,
    scores: Callable[[Float], Scores],
    scales: Mapping[str, Scale] | None = None,
) -> dict[str, list[float] | None]:
    """95 % intervals of scores that follow from sums.

    Parameters
    ----------
    sums : (N, K) float64
        What is summed; rows in any order.
    time : (N,) float64
        At which each ends, seconds.
    length : float
        Of a pair, seconds: rows so far apart share no data.
    scores : callable
        From sums (R, K) to named scores (R,).
    scales : mapping, optional
        Of the scores whose errors are not symmetric as they are.

    Returns
    -------
    dict
        ``[low, high]`` of every score; None where the record is shorter than three pairs one
        after the other or the score is unknown.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if not len(sums):
            return dict.fromkeys(scores(np.ones((1, sums.shape[1]))))
        span = float(time.max() - time.min()) + length
        whole = scores(sums.sum(axis=0)[None])
        if span < REACH * length * (1 - 1e-9):
            return dict.fromkeys(whole)
        # the ends of one pass differ by seconds: they must not be torn apart by a rounding
        unit = np.floor((time - time.min()) / (length / UNITS) + 0.01)
        names, parts = group_sums(unit, sums)
        without = scores(parts.sum(axis=0) - parts)
        kernel = _kernel(names.astype(np.float64) * (length / UNITS), REACH * length)
        quantile = float(np.polynomial.polynomial.polyval(REACH * length / span, QUANTILE))
        chosen = scales or {}
        return {
            name: _interval(value[0], without[name], kernel, quantile, chosen.get(name))
            for name, value in whole.items()
        }


def _kernel(time: Float, reach: float) -> Float:
    apart = np.abs(time[:, None] - time)
    return np.asarray(np.maximum(1.0 - apart / reach, 0.0))


def _interval(
    value: float, without: Float, kernel: Float, quantile: float, scale: Scale | None
) -> list[float] | None:
    """Interval of a score from its values (G,) with each unit left out."""
    if scale is not None:
        value, without = float(scale.there(np.asarray(value))), scale.there(without)
    weight = without.mean() - without
    count = len(weight)
    variance = OVERLAP * (count - 1) / count * (weight @ kernel @ weight)
    if count < 2 or not np.isfinite(variance + value):
        return None
    half = quantile * np.sqrt(max(float(variance), 0.0))
    ends = [value - half, value + half]
    return [float(end if scale is None else scale.back(np.asarray(end))) for end in ends]
