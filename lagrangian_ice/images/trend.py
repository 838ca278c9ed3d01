"""The mean change of backscatter across a swath.

It goes with the incidence angle, which in the geometry of the acquisition is nearly a function of
the column alone (at one column of an EW scene it changes by 0.14 degrees, of the trend 0.03 dB).
The medians of the columns therefore show the trend; a polynomial of low order through them is
taken out, its mean left in: in the incidence angle where the product tells it, in the column
where it does not, as in GeoTIFFs. Order and least width are such that the ice's own
contrast survives: a line from 100 km on, a parabola from 250 km on (a full EW swath is 400 km wide
and falls by about 6 dB at HH), nothing for narrower scenes, where the trend of at most 1.5 dB
cannot be told from ice. Scenes already on a north-up map have lost the geometry: they are left as
they are. An image with a rotated transform is taken to be in that of its acquisition; where its
columns are only roughly those of the sensor, so is the trend.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from lagrangian_ice.grid import Float

LINE_WIDTH = 100e3
PARABOLA_WIDTH = 250e3

_MIN_COLUMNS = 16
_MIN_SHARE = 0.05
_ROUNDS = 5


def trend_order(width: float) -> int:
    """Order of the polynomial for a swath of this width in metres; 0 is none."""
    if width < LINE_WIDTH:
        return 0
    return 1 if width < PARABOLA_WIDTH else 2


def fit_trend(
    pixels: NDArray[np.float32], ice: NDArray[np.bool_], position: Float, order: int
) -> Float | None:
    """Trend across the columns as Legendre coefficients; its mean over all columns is zero.

    Parameters
    ----------
    pixels : (rows, cols) float32
        In dB or grey levels; NaN is no data.
    ice : (rows, cols) bool
        Pixels to judge by (not land).
    position : (cols,) float64
        Of the columns across the swath, -1 to 1.
    order : int
        Of the polynomial over the position, 1 or more.

    Returns
    -------
    (order + 1,) float64 or None
        None where too few columns have data to tell.
    """
    usable = np.where(ice, pixels, np.float32(np.nan))
    count = np.isfinite(usable).sum(axis=0)
    columns = np.flatnonzero(count >= max(8, _MIN_SHARE * pixels.shape[0]))
    if columns.size < _MIN_COLUMNS * (order + 1):
        return None
    seen = position[columns]
    # a polynomial through one side of the swath says nothing of the other
    if np.ptp(seen) < 1.0:
        return None
    medians = np.nanmedian(usable[:, columns], axis=0).astype(np.float64)
    coefficients = _robust_fit(seen, medians, np.sqrt(count[columns]), order)
    coefficients[0] = 0.0
    coefficients[0] = -trend_at(coefficients, position).mean()
    return coefficients


def trend_at(coefficients: Float, position: Float) -> Float:
    """Trend at positions (any shape) across the swath, -1 to 1."""
    return np.asarray(legendre.legval(position, coefficients))


def _robust_fit(position: Float, medians: Float, weight: Float, order: int) -> Float:
    """Least squares with Tukey's biweight: columns full of open water or land lose their say."""
    robust = np.ones_like(weight)
    coefficients: Float = np.zeros(order + 1)
    for _ in range(_ROUNDS):
        fitted = legendre.legfit(position, medians, order, w=weight * np.sqrt(robust))
        coefficients = np.asarray(fitted, dtype=np.float64)
        residual = medians - legendre.legval(position, coefficients)
        spread = 1.4826 * np.median(np.abs(residual))
        if not spread > 0:
            break
        robust = np.clip(1.0 - (residual / (4.7 * spread)) ** 2, 0.0, None) ** 2
    return coefficients
