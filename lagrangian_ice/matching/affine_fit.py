"""Sub-pixel position by an affine fit of the template to the target.

Inverse-compositional Gauss-Newton on the zero-mean normalised difference (Baker and Matthews
2004; Pan, Li and Tong 2013 for digital image correlation), all templates at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lagrangian_ice.matching.correlation import template_offsets
from lagrangian_ice.matching.sampling import SplineImage, sample, sample_with_slope

ITERATIONS = 16
CONVERGED = 0.01
"""Pixels; a step of the position below this ends a template's iterations."""
FARTHEST = 3.0
"""Pixels that the fit may move from the correlation peak."""
LEAST_SHARED = 0.1
"""Least share of the slopes that both images are taken to agree on."""
LARGEST_STRAIN = 0.35
"""Any affine term beyond this is not ice seen again."""


@dataclass(frozen=True)
class AffineFit:
    """Fitted warp of N templates.

    Attributes
    ----------
    position : (N, 2) float64 Tensor
        Row, col of the template's centre in the target.
    matrix : (N, 2, 2) float64 Tensor
        Takes template offsets (row, col) to target offsets.
    covariance : (N, 2, 2) float64 Tensor
        Of the position, px2, from residual and curvature; not yet calibrated.
    correlation : (N,) float64 Tensor
        Coefficient of template and warped target.
    overlap : (N,) float64 Tensor
        Share of the template's pixels known in both.
    converged : (N,) bool Tensor
        The last step was small and the fit stayed near its start.
    """

    position: Tensor
    matrix: Tensor
    covariance: Tensor
    correlation: Tensor
    overlap: Tensor
    converged: Tensor


def fit_affine(
    source: SplineImage,
    target: SplineImage,
    start: Tensor,
    position: Tensor,
    rotation: Tensor,
    half_width: int,
) -> AffineFit:
    """Fit position and affine shape of each template.

    Parameters
    ----------
    source, target : SplineImage
        Bands with the same pixel.
    start, position : (N, 2) float64 Tensor
        Row, col in the source, and of the correlation peak in the target.
    rotation : (N,) float64 Tensor
        Of the peak, radians, counter-clockwise on the map.
    half_width : int
        Of the template, pixels.
    """
    # Templates are cut at whole pixels and the fitted warp is read at the exact position:
    # interpolating the template would smooth its noise and pull the fit by 0.05 px, to or
    # fro with the fraction of the position.
    centre = torch.round(start)
    offset = start - centre
    template = _Template.cut(source, centre, half_width)
    turn = _initial_warp(torch.zeros_like(position), rotation)[:, :2, :2]
    first = _initial_warp(position - _turned(turn, offset), rotation)
    inverse = _inverse_curvature(target, template, first)
    ascent = _Ascent.begin(first)
    for _ in range(ITERATIONS):
        index = torch.nonzero(ascent.moving)[:, 0]
        if len(index) == 0:
            break
        part = template.take(index)
        seen, known = _warped(target, part, ascent.trial[index])
        difference, correlation = part.difference(seen, known)
        step = inverse[index] @ part.slope_product(difference, known)[..., None]
        ascent.judge(index, correlation.double(), step[..., 0].double())
        far = (ascent.warp[index] - first[index])[:, :2, 2].norm(dim=1) > 2 * FARTHEST
        ascent.moving[index[far]] = False
    return _finish(target, template, offset, ascent.warp, first, ascent.moving)


def colour_factor(
    source: SplineImage,
    target: SplineImage,
    start: Tensor,
    position: Tensor,
    rotation: Tensor,
    half_width: int,
) -> float:
    """How much the colour of the noise adds to the variance of a fitted position.

    The formal covariance takes the residuals as white. Their effect on the position is
    ``sum_k E(k) G(k)`` with the power spectra of residuals and slopes, which for white
    residuals is the product of their means; the factor is the ratio of the two.

    Parameters
    ----------
    source, target : SplineImage
        Filtered bands.
    start, position : (N, 2) float64 Tensor
        Row, col of matched places.
    rotation : (N,) float64 Tensor
        Radians.
    half_width : int
        Of the templates.

    Returns
    -------
    float
        Median over the places with complete data; 1 where there is none.
    """
    fit = fit_affine(source, target, start, position, rotation, half_width)
    template = _Template.cut(source, torch.round(start), half_width)
    warp = _initial_warp(torch.zeros_like(position), rotation)
    warp[:, :2, :2] = fit.matrix
    warp[:, :2, 2] = fit.position - _turned(fit.matrix, start - torch.round(start))
    seen, known = _warped(target, template, warp)
    complete = known.all(dim=1) & fit.converged
    if not bool(complete.any()):
        return 1.0
    difference, _ = template.difference(seen, known)
    side = 2 * half_width + 1
    images = [difference, template.descent[..., 0], template.descent[..., 3]]
    residual, by_row, by_col = (
        torch.fft.fft2(image[complete].reshape(-1, side, side).double()).abs() ** 2
        for image in images
    )
    slopes = by_row + by_col
    mean = residual.mean(dim=(1, 2)) * slopes.mean(dim=(1, 2))
    return float(((residual * slopes).mean(dim=(1, 2)) / mean).median())


@dataclass
class _Ascent:
    """Warps on their way up: a step that lowers the correlation is taken back and halved."""

    warp: Tensor
    trial: Tensor
    correlation: Tensor
    step: Tensor
    scale: Tensor
    moving: Tensor

    @classmethod
    def begin(cls, warp: Tensor) -> _Ascent:
        count = len(warp)
        return cls(
            warp.clone(),
            warp.clone(),
            torch.full((count,), -2.0, dtype=torch.float64, device=warp.device),
            torch.zeros(count, 6, dtype=torch.float64, device=warp.device),
            torch.ones(count, dtype=torch.float64, device=warp.device),
            torch.ones(count, dtype=torch.bool, device=warp.device),
        )

    def judge(self, index: Tensor, correlation: Tensor, step: Tensor) -> None:
        """Keep or take back the trials of ``index`` and set out the next ones."""
        better = correlation > self.correlation[index]
        kept, refused = index[better], index[~better]
        self.warp[kept] = self.trial[kept]
        self.correlation[kept] = correlation[better]
        self.step[kept] = step[better]
        self.scale[refused] *= 0.5
        scaled = self.scale[index, None] * self.step[index]
        self.trial[index], size = _composed(self.warp[index], scaled)
        self.moving[index] = size > CONVERGED


@dataclass(frozen=True)
class _Template:
    """Values and slopes of N templates, flattened to K pixels."""

    values: Tensor
    known: Tensor
    descent: Tensor
    rows: Tensor
    cols: Tensor

    @classmethod
    def cut(cls, source: SplineImage, start: Tensor, half_width: int) -> _Template:
        rows, cols = (v.reshape(1, -1) for v in template_offsets(half_width, start.device))
        values, by_row, by_col = sample_with_slope(source, start[:, :1] + rows, start[:, 1:] + cols)
        known = torch.isfinite(values)
        # Slopes in units of the template's own spread, as the differences are.
        spread = torch.where(known, values, 0.0).std(dim=1, keepdim=True).clamp_min(1e-6)
        by_row, by_col = by_row / spread, by_col / spread
        r, c = rows.float(), cols.float()
        # Steepest-descent images of the six terms: row shift, its row and column
        # gradients, then the same for columns.
        descent = torch.stack(
            [by_row, by_row * r, by_row * c, by_col, by_col * r, by_col * c], dim=-1
        )
        values = torch.where(known, values, 0.0)
        return cls(values, known, descent * known[..., None], rows, cols)

    def take(self, index: Tensor) -> _Template:
        return _Template(
            self.values[index], self.known[index], self.descent[index], self.rows, self.cols
        )

    def difference(self, seen: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised target minus its regression on the standardised template.

        The template has noise of its own. Subtracting the whole of it would push the
        template's scale away from 1, because ``sum(x f' f) = -sum(f^2) / 2`` holds the noise
        and ``sum(x f' g)`` does not; the regression coefficient, which is the correlation,
        makes the two meet at the maximum of the correlation (Evangelidis and Psarakis 2008).

        Returns
        -------
        difference : (N, K) Tensor
            0 where not known.
        correlation : (N,) Tensor
        """
        first, second = _standardised(self.values, known), _standardised(seen, known)
        count = known.sum(dim=1).clamp_min(1)
        correlation = (first * second).sum(dim=1) / count
        return second - correlation[:, None] * first, correlation

    def slope_product(self, difference: Tensor, known: Tensor) -> Tensor:
        """Right side (N, 6) of the normal equations."""
        return torch.einsum("nk,nkp->np", difference * known, self._centred_descent(known))

    def curvature(self, known: Tensor) -> Tensor:
        """Gauss-Newton matrix (N, 6, 6) of the template's own slopes, with a trace of damping."""
        centred = self._centred_descent(known)
        matrix = torch.einsum("nkp,nkq->npq", centred, centred).double()
        scale = torch.diagonal(matrix, dim1=1, dim2=2).clamp_min(1e-9)
        return matrix + torch.diag_embed(1e-6 * scale)

    def _centred_descent(self, known: Tensor) -> Tensor:
        weight = known.float()[..., None]
        total = weight.sum(dim=1, keepdim=True).clamp_min(1.0)
        mean = (self.descent * weight).sum(dim=1, keepdim=True) / total
        return (self.descent - mean) * weight


def _inverse_curvature(target: SplineImage, template: _Template, warp: Tensor) -> Tensor:
    """Inverse (N, 6, 6) of the Gauss-Newton matrix that both images' slopes agree on.

    The template's slopes hold its noise, so their squares promise more than there is. The
    product of both images' slopes does not: their noise is independent. Their ratio scales
    the matrix, which stays positive definite.
    """
    rows, cols = _positions(template, warp)
    _, by_row, by_col = sample_with_slope(target, rows, cols)
    known = _warped(target, template, warp)[1]
    turned_row = warp[:, 0, 0, None] * by_row + warp[:, 1, 0, None] * by_col
    turned_col = warp[:, 0, 1, None] * by_row + warp[:, 1, 1, None] * by_col
    own_row, own_col = template.descent[..., 0], template.descent[..., 3]
    own = ((own_row**2 + own_col**2) * known).sum(dim=1)
    other = ((turned_row**2 + turned_col**2) * known).sum(dim=1)
    shared = ((own_row * turned_row + own_col * turned_col) * known).sum(dim=1)
    ratio = (shared / torch.sqrt(own * other).clamp_min(1e-9)).clamp(LEAST_SHARED, 1.0)
    inverse: Tensor = torch.linalg.inv(template.curvature(known))
    return (inverse / ratio[:, None, None]).float()


def _standardised(values: Tensor, known: Tensor) -> Tensor:
    """Zero mean and unit variance over the known pixels, 0 elsewhere."""
    count = known.sum(dim=1, keepdim=True).clamp_min(1)
    mean = torch.where(known, values, 0.0).sum(dim=1, keepdim=True) / count
    centred = torch.where(known, values - mean, 0.0)
    return centred / torch.sqrt((centred**2).sum(dim=1, keepdim=True) / count).clamp_min(1e-6)


def _turned(matrix: Tensor, offset: Tensor) -> Tensor:
    """Offsets (N, 2) under matrices (N, 2, 2)."""
    return (matrix @ offset[..., None])[..., 0]


def _initial_warp(position: Tensor, rotation: Tensor) -> Tensor:
    """Homogeneous (N, 3, 3) matrices from template offsets to target row, col."""
    cosine, sine = torch.cos(rotation), torch.sin(rotation)
    warp = torch.zeros(len(position), 3, 3, dtype=torch.float64, device=position.device)
    warp[:, 0, 0], warp[:, 0, 1] = cosine, -sine
    warp[:, 1, 0], warp[:, 1, 1] = sine, cosine
    warp[:, :2, 2] = position
    warp[:, 2, 2] = 1
    return warp


def _positions(template: _Template, warp: Tensor) -> tuple[Tensor, Tensor]:
    """Target row and column (N, K) of the template's pixels."""
    rows = warp[:, 0, 0, None] * template.rows + warp[:, 0, 1, None] * template.cols
    cols = warp[:, 1, 0, None] * template.rows + warp[:, 1, 1, None] * template.cols
    return rows + warp[:, 0, 2, None], cols + warp[:, 1, 2, None]


def _warped(target: SplineImage, template: _Template, warp: Tensor) -> tuple[Tensor, Tensor]:
    """Target values (N, K) under the warp, and where both sides are known."""
    seen = sample(target, *_positions(template, warp))
    known = torch.isfinite(seen) & template.known
    return torch.where(known, seen, 0.0), known


def _composed(warp: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Warp after the inverse of the incremental warp, and the size of its shift in pixels."""
    increment = torch.eye(3, dtype=torch.float64, device=warp.device).repeat(len(warp), 1, 1)
    increment[:, 0, 2], increment[:, 1, 2] = step[:, 0], step[:, 3]
    increment[:, 0, :2] += step[:, 1:3]
    increment[:, 1, :2] += step[:, 4:6]
    usable = torch.isfinite(increment).all(dim=(1, 2)) & (torch.linalg.det(increment).abs() > 0.1)
    increment[~usable] = torch.eye(3, dtype=torch.float64, device=warp.device)
    size = torch.where(usable, step[:, [0, 3]].norm(dim=1), torch.nan)
    return warp @ torch.linalg.inv(increment), size


def _finish(
    target: SplineImage,
    template: _Template,
    offset: Tensor,
    warp: Tensor,
    first: Tensor,
    moving: Tensor,
) -> AffineFit:
    seen, known = _warped(target, template, warp)
    difference, correlation = template.difference(seen, known)
    count = known.sum(dim=1).double()
    variance = (difference.double() ** 2).sum(dim=1) / (count - 8).clamp_min(1)
    inverse = _inverse_curvature(target, template, warp).double()
    sandwich = inverse @ template.curvature(known) @ inverse
    matrix = warp[:, :2, :2]
    # The six terms' effect on the position at the offset, before the warp turns it.
    effect = torch.zeros(len(warp), 2, 6, dtype=torch.float64, device=warp.device)
    effect[:, 0, 0] = effect[:, 1, 3] = 1
    effect[:, 0, 1:3] = effect[:, 1, 4:6] = offset
    effect = matrix @ effect
    position_part = effect @ sandwich @ effect.transpose(1, 2)
    strain = matrix @ first[:, :2, :2].transpose(1, 2)
    strain = strain - torch.eye(2, dtype=torch.float64, device=warp.device)
    near = (warp - first)[:, :2, 2].norm(dim=1) <= FARTHEST
    sound = near & (strain.abs().amax(dim=(1, 2)) < LARGEST_STRAIN) & ~moving
    return AffineFit(
        warp[:, :2, 2] + _turned(matrix, offset),
        matrix,
        variance[:, None, None] * position_part,
        correlation.double(),
        count / template.known.shape[1],
        sound,
    )
