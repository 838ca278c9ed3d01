"""Statistics of deformation by which sea-ice models are judged; rates are per day.

LKF lengths and counts are left out: no well-kept library for them was found.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import is_deformation
from lagrangian_ice.validation.scaling import spatial_scaling, temporal_scaling
from lagrangian_ice.validation.triangles import (
    Record,
    StatisticsOptions,
    Triangles,
    read_deformation_triangles,
)

PDF_EDGES = np.logspace(-4, 1, 51)
"""Per day."""
INTERVALS = (1.0, 2.0, 3.0, 6.0, 12.0, 24.0)
"""Days, of the temporal scaling."""
LOCALISED_AREA = 0.15


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


def localisation(triangles: Triangles) -> dict[str, Any]:
    """Share of the deformation in the most deforming 15 % of the area, and area of half of it."""
    total = invariants(triangles.gradients).total_deformation
    order = np.argsort(-total)
    area = np.cumsum(triangles.area[order])
    work = np.cumsum((total * triangles.area)[order])
    if not len(work) or work[-1] <= 0:
        return {"share_in_15_percent": None, "area_of_half": None}
    area, work = (np.concatenate([[0.0], part / part[-1]]) for part in (area, work))
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
    record = None if is_deformation(path) else Record.of(path)
    whole = read_deformation_triangles(path) if record is None else record.triangles()
    triangles = whole.chosen(options)
    del whole
    if not len(triangles):
        raise ProductError(f"{path}: no triangle {options.told}")
    return {
        "file": path.name,
        "options": options.table,
        "every_nth_day": 1 if record is None else record.every,
        "triangles": len(triangles),
        "pairs": len(np.unique(triangles.pair)),
        "median_days": float(np.median(triangles.days)),
        "distributions_per_day": distributions(triangles),
        "spatial_scaling": spatial_scaling(triangles),
        "temporal_scaling": None if record is None else _over_times(record, options),
        "localisation": localisation(triangles),
        "share_of_stated_error": noise_share(triangles),
        "lkf": None,
    }


def _over_times(record: Record, options: StatisticsOptions) -> dict[str, Any]:
    """Temporal scaling of a trajectory file, of triangles whose areas count."""
    free = replace(options, min_days=0.0, max_days=np.inf)
    return temporal_scaling(
        record.triangles(days, with_errors=False).chosen(free) for days in INTERVALS
    )
