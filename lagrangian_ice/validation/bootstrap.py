"""95 % confidence of scores by resampling whole pairs of passes.

What is compared within one pair of passes shares its errors (the images' geolocation, the
weather of those days), so values are not drawn one by one but pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from lagrangian_ice.grid import Float

RESAMPLES = 500
LEAST_GROUPS = 3
"""Fewer pairs of passes than this say nothing about their spread."""

Scores = Mapping[str, Float]


def group_sums(groups: ArrayLike, values: Float) -> Float:
    """Add up values (N, K) over the groups that their rows are of: sums (G, K)."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    number = number.reshape(-1)
    count = int(number.max()) + 1 if len(number) else 0
    columns = [np.bincount(number, column, count) for column in values.T]
    return np.stack(columns, axis=1)


def resampled(sums: Float, seed: int) -> Float:
    """Draw as many groups with replacement, many times: sums (R, K)."""
    count = len(sums)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return np.asarray(draws.astype(np.float64) @ sums)


def intervals(
    groups: ArrayLike, values: Float, scores: Callable[[Float], Scores], seed: int
) -> dict[str, list[float] | None]:
    """95 % intervals of scores that follow from sums.

    Parameters
    ----------
    groups : (N,) array_like
        Pair of passes of every row.
    values : (N, K) float64
        What is summed.
    scores : callable
        From sums (R, K) to named scores (R,).
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``[low, high]`` of every score; None where fewer than three groups or a score is unknown.
    """
    sums = group_sums(groups, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        if len(sums) < LEAST_GROUPS:
            return dict.fromkeys(scores(np.ones((1, values.shape[1]))))
        drawn = scores(resampled(sums, seed))
    return {name: interval(spread, len(sums)) for name, spread in drawn.items()}


def interval(spread: NDArray[np.float64], groups: int) -> list[float] | None:
    """95 % interval ``[low, high]`` from resampled scores (R,); None where they say too little.

    Of few groups the resampled scores spread too little, by ``sqrt((G - 1) / G)``, and the
    normal quantile is too small: the percentiles are widened about the median to Student's.
    """
    known = spread[np.isfinite(spread)]
    if groups < LEAST_GROUPS or len(known) <= len(spread) // 2:
        return None
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    wider = t.ppf(0.975, groups - 1) / norm.ppf(0.975) * np.sqrt(groups / (groups - 1))
    return [float(middle + wider * (end - middle)) for end in (low, high)]
