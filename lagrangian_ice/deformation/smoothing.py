"""Smoothing of strain rates that keeps the lines along which the ice deforms.

After Bouillon and Rampal (2015, The Cryosphere 9, 663-673): the gradient of a triangle is
averaged with those of its neighbours, but only across triangles of its own kind, deforming or
not, so that the signal of a crack is averaged along it and not into the ice beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, eye_array

from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.deformation.triangles import Index, edge_neighbours
from lagrangian_ice.grid import Float


def smooth_gradients(
    gradients: Float,
    area: Float,
    vertices: Index,
    usable: NDArray[np.bool_],
    steps: int,
    threshold: float,
) -> Float:
    """Average gradients over the triangles of their kind within some steps.

    Parameters
    ----------
    gradients : (F, 2, 2) float64
        s-1.
    area : (F,) float64
        Weights, m2.
    vertices : (F, 3) int64
        Triangles; neighbours share an edge.
    usable : (F,) bool
        Others neither give nor get.
    steps : int
        Edges crossed at most; 0 leaves the gradients as they are.
    threshold : float
        Total deformation from which a triangle deforms, s-1.

    Returns
    -------
    (F, 2, 2) float64
        s-1; NaN where not usable.
    """
    usable = usable & np.isfinite(gradients).all(axis=(1, 2))
    if steps == 0:
        return np.where(usable[:, None, None], gradients, np.nan)
    reach = _reach(gradients, vertices, usable, steps, threshold)
    weight = np.where(usable, area, 0.0)
    values = np.where(usable[:, None], gradients.reshape(-1, 4), 0.0)
    total = reach @ weight
    smoothed = np.full(values.shape, np.nan)
    sums = reach @ (values * weight[:, None])
    smoothed[usable] = sums[usable] / total[usable, None]
    return smoothed.reshape(-1, 2, 2)


def _reach(
    gradients: Float, vertices: Index, usable: NDArray[np.bool_], steps: int, threshold: float
) -> csr_array:
    """Matrix (F, F) of ones where one triangle can be reached from another."""
    count = len(vertices)
    deforms = invariants(gradients).total_deformation >= threshold
    pairs, _ = edge_neighbours(vertices)
    alike = (deforms[pairs[:, 0]] == deforms[pairs[:, 1]]) & usable[pairs].all(axis=1)
    pairs = pairs[alike]
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    ones = np.ones(len(ends))
    step = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(count, count)).tocsr()
    step = csr_array(step + eye_array(count))
    reach = csr_array(eye_array(count))
    for _ in range(steps):
        reach = csr_array(reach @ step)
        reach.data[:] = 1.0
    return reach
