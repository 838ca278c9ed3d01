"""Strain rates of triangles and their errors.

The velocity gradient of a triangle is the contour integral of the velocity along its sides,
with velocity linear between the vertices (Kwok and Cunningham 2002, J. Geophys. Res.,
doi:10.1029/2000JC000496; Hutchings et al. 2012). Written with the gradients of the linear
basis functions, ``dudx = sum(u_i * db_i/dx)``, the signed area in the denominator makes it
independent of the orientation and the order of the vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.grid import Float

LINEAR_ABOVE = 30.0
"""Signal over noise from which the first-order error of a length is right to 0.1 %."""
QUADRATURE_NODES = 32
"""Gauss-Legendre nodes of an integral; right to about 1e-4 of the error."""


class Invariants(NamedTuple):
    """Invariants of (M,) velocity gradients, s-1.

    Attributes
    ----------
    divergence, shear, vorticity, total_deformation : (M,) float64
        ``ux + vy``, ``hypot(ux - vy, uy + vx)`` (no factor 1/2), ``vx - uy``,
        ``hypot(divergence, shear)``.
    """

    divergence: Float
    shear: Float
    vorticity: Float
    total_deformation: Float


@dataclass(frozen=True)
class StrainErrors:
    """Errors of M velocity gradients and of their invariants.

    Attributes
    ----------
    covariance : (M, 4, 4) float64
        Of (du/dx, du/dy, dv/dx, dv/dy), s-2.
    divergence, shear, vorticity, total_deformation : (M,) float64
        Standard errors, s-1: the spread that the estimate would have if the truth were the
        estimate itself. Exact for Gaussian gradients also where shear is below its noise.
    """

    covariance: Float
    divergence: Float
    shear: Float
    vorticity: Float
    total_deformation: Float

    @property
    def gradients(self) -> Float:
        """Standard errors (M, 2, 2) of the gradients, s-1, laid out as the gradients."""
        return _root(np.einsum("mii->mi", self.covariance)).reshape(-1, 2, 2)


def signed_area(xy: ArrayLike) -> Float:
    """Area (M,) of triangles (M, 3, 2), m2; positive where counter-clockwise.

    Raises
    ------
    ValueError
        If the shape is not (M, 3, 2).
    """
    corners = _shaped("xy", xy, (3, 2))
    side_a, side_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(0.5 * (side_a[:, 0] * side_b[:, 1] - side_b[:, 0] * side_a[:, 1]))


def strain_rates(xy0: ArrayLike, xy1: ArrayLike, dt: ArrayLike) -> Float:
    """Velocity gradients of triangles.

    Parameters
    ----------
    xy0, xy1 : (M, 3, 2) array_like
        Vertices at start and end, metres on one map.
    dt : (M, 3) array_like
        Time between the two for every vertex, seconds; not zero.

    Returns
    -------
    (M, 2, 2) float64
        s-1; ``[:, 0, 0]`` = du/dx, ``[:, 0, 1]`` = du/dy, ``[:, 1, 0]`` = dv/dx,
        ``[:, 1, 1]`` = dv/dy. The same for any orientation and order of the vertices.
        NaN where an input is NaN or the triangle has no area.

    Raises
    ------
    ValueError
        If a shape is wrong or a dt is zero.
    """
    start, end, interval = _checked(xy0, xy1, dt)
    velocity = (end - start) / interval[..., None]
    return np.asarray(np.einsum("mia,mib->mab", velocity, _basis_gradients(start)))


def invariants(gradients: ArrayLike) -> Invariants:
    """Divergence, shear, vorticity and total deformation of (M, 2, 2) velocity gradients.

    Raises
    ------
    ValueError
        If the shape is not (M, 2, 2).
    """
    grads = _shaped("gradients", gradients, (2, 2))
    dudx, dudy, dvdx, dvdy = grads.reshape(-1, 4).T
    divergence = dudx + dvdy
    shear = np.hypot(dudx - dvdy, dudy + dvdx)
    return Invariants(divergence, shear, dvdx - dudy, np.hypot(divergence, shear))


def strain_rate_jacobian(xy0: ArrayLike, dt: ArrayLike) -> Float:
    """Differentiate the velocity gradients by the displacements of a triangle's vertices.

    Parameters
    ----------
    xy0, dt : array_like
        As for :func:`strain_rates`; the gradients are linear in the displacements.

    Returns
    -------
    (M, 4, 6) float64
        Rows: du/dx, du/dy, dv/dx, dv/dy. Columns: the displacements x, y of the three vertices
        (m-1 s-1).

    Raises
    ------
    ValueError
        If a shape is wrong or a dt is zero.

    Notes
    -----
    With ``b_i`` the gradient of the basis function of vertex i, ``dG_ab / dd_ia = b_ib / dt_i``.
    """
    start, _, interval = _checked(xy0, xy0, dt)
    slopes = _basis_gradients(start) / interval[..., None]
    return np.asarray(np.einsum("mib,ac->mabic", slopes, np.eye(2)).reshape(-1, 4, 6))


def strain_rate_errors(
    xy0: ArrayLike, xy1: ArrayLike, dt: ArrayLike, covariance: ArrayLike
) -> StrainErrors:
    """Errors of the velocity gradients by the full Jacobian, and of their invariants.

    The displacements are those of the ice at ``xy0`` exactly, as in template matching.

    Parameters
    ----------
    xy0, xy1, dt : array_like
        As for :func:`strain_rates`.
    covariance : (M, 3, 2, 2) or (M, 6, 6) array_like
        Error covariance of each vertex's displacement, m2; the larger form (x, y of the first
        vertex, then the second, ...) also takes errors that vertices share.

    Returns
    -------
    StrainErrors
        NaN where an input is NaN or the triangle has no area.

    Raises
    ------
    ValueError
        If a shape is wrong or a dt is zero.
    """
    gradients = strain_rates(xy0, xy1, dt)
    jacobian = strain_rate_jacobian(xy0, dt)
    errors = jacobian @ _six_by_six(covariance, len(jacobian)) @ jacobian.transpose(0, 2, 1)
    errors[np.isnan(gradients).any(axis=(1, 2))] = np.nan
    return _with_invariants(errors, gradients)


_DIVERGENCE = np.array([1.0, 0.0, 0.0, 1.0])
_VORTICITY = np.array([0.0, -1.0, 1.0, 0.0])
_STRETCH = np.array([1.0, 0.0, 0.0, -1.0])
_SLIDE = np.array([0.0, 1.0, 1.0, 0.0])


def _with_invariants(errors: Float, gradients: Float) -> StrainErrors:
    parts = np.stack([_DIVERGENCE, _STRETCH, _SLIDE])
    means = gradients.reshape(-1, 4) @ parts.T
    spread = parts @ errors @ parts.T
    vorticity = np.einsum("a,mab,b->m", _VORTICITY, errors, _VORTICITY)
    return StrainErrors(
        errors,
        _root(spread[:, 0, 0]),
        _length_error(means[:, 1:], spread[:, 1:, 1:]),
        _root(vorticity),
        _length_error(means, spread),
    )


def _root(variance: Float) -> Float:
    """Square root; where shared errors cancel, rounding may leave a variance below zero."""
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _length_error(mean: Float, covariance: Float) -> Float:
    """Spread (M,) of the length of Gaussian vectors (M, D).

    Far from zero to first order; near zero, where the length piles up against zero and first
    order is wrong by a third, from the exact first two moments.
    """
    known = np.isfinite(mean).all(axis=1) & np.isfinite(covariance).all(axis=(1, 2))
    deviation = np.full(len(mean), np.nan)
    values, axes = np.linalg.eigh(covariance[known])
    values = np.maximum(values, 0.0)
    along = np.einsum("mdk,md->mk", axes, mean[known])
    length2 = np.sum(along**2, axis=1)
    noise2 = values.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        first_order = np.sqrt(np.sum(values * along**2, axis=1) / length2)
    near = length2 < LINEAR_ABOVE**2 * noise2
    exact = _exact_length_error(along[near], values[near])
    first_order[near] = exact
    first_order[noise2 == 0] = 0.0
    deviation[known] = first_order
    return deviation


def _exact_length_error(mean: Float, variance: Float) -> Float:
    """Spread (M,) of |z|, z with independent components (M, D).

    ``E sqrt(Q) = 1/sqrt(pi) * integral of (1 - E exp(-s**2 Q)) / s**2 ds`` for Q = z.z, whose
    Laplace transform is known (noncentral chi-square); ``s = tan(angle)`` makes it finite.
    """
    square = np.sum(mean**2 + variance, axis=1)
    nodes, weights = _quadrature()
    angle = 0.25 * np.pi * (nodes + 1.0)
    relative_mean = mean**2 / square[:, None]
    relative_variance = variance / square[:, None]
    t = np.tan(angle) ** 2
    spread = 1.0 + 2.0 * t[None, :, None] * relative_variance[:, None, :]
    exponent = np.sum(t[None, :, None] * relative_mean[:, None, :] / spread, axis=2)
    missing = -np.expm1(-exponent - 0.5 * np.log(spread).sum(axis=2))
    mean_length = (missing / np.sin(angle) ** 2) @ weights * (0.25 * np.pi) / np.sqrt(np.pi)
    return np.asarray(np.sqrt(square * np.maximum(1.0 - mean_length**2, 0.0)))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Float, Float]:
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    return nodes, weights


def _basis_gradients(corners: Float) -> Float:
    """Gradients (M, 3, 2) of the linear basis functions, m-1; NaN without area."""
    after, before = np.roll(corners, -1, axis=1), np.roll(corners, 1, axis=1)
    twice_area = 2.0 * signed_area(corners)
    twice_area = np.where(twice_area == 0.0, np.nan, twice_area)
    across = np.stack([after[..., 1] - before[..., 1], before[..., 0] - after[..., 0]], axis=-1)
    return np.asarray(across / twice_area[:, None, None])


def _checked(xy0: ArrayLike, xy1: ArrayLike, dt: ArrayLike) -> tuple[Float, Float, Float]:
    start, end = _shaped("xy0", xy0, (3, 2)), _shaped("xy1", xy1, (3, 2))
    interval = _shaped("dt", dt, (3,))
    if not len(start) == len(end) == len(interval):
        raise ValueError(
            f"xy0, xy1 and dt are of {len(start)}, {len(end)} and {len(interval)} triangles; "
            "they must be of the same triangles"
        )
    if np.any(interval == 0):
        row = int(np.argwhere(interval == 0)[0, 0])
        raise ValueError(f"dt is 0 s at a vertex of triangle {row}; it must not be zero")
    return start, end, interval


def _shaped(name: str, values: ArrayLike, tail: tuple[int, ...]) -> Float:
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if array.ndim != len(tail) + 1 or array.shape[1:] != tail:
        wanted = "(M, " + ", ".join(str(size) for size in tail) + ")"
        raise ValueError(f"{name} has shape {array.shape}, it must have {wanted}")
    return array


def _six_by_six(values: ArrayLike, count: int) -> Float:
    array = np.asarray(values, dtype=np.float64)
    if array.shape == (count, 6, 6):
        return array
    if array.shape != (count, 3, 2, 2):
        raise ValueError(
            f"covariance has shape {array.shape}, it must have ({count}, 3, 2, 2) or "
            f"({count}, 6, 6)"
        )
    full = np.zeros((count, 6, 6))
    for vertex in range(3):
        own = slice(2 * vertex, 2 * vertex + 2)
        full[:, own, own] = array[:, vertex]
    return full
