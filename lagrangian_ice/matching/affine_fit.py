"""Sub-pixel position by an affine fit of the template to the target.

Inverse-compositional Gauss-Newton on the zero-mean normalised difference (Baker and Matthews
2004; Pan, Li and Tong 2013 for digital image correlation), all templates at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lagrangian_ice.matching.sampling import MARGIN, Band, Patches, bridged, slope_matrix
from lagrangian_ice.matching.templates import Templates, farthest_corner, turns

ITERATIONS = 16
CONVERGED = 0.01
"""Pixels; a step of the position below this ends a template's iterations."""
FARTHEST = 3.0
"""Pixels that the fit may move from the correlation peak."""
SLACK = 1.08
"""Stretch of a template for which its view of the target has room."""
ROTATION_SLACK = np.radians(8.0)
"""Rotation of a template beyond that of its correlation peak for which there is room."""
SLOPE_MARGIN = 4
"""Pixels at a template's border whose slopes its own pixels do not give."""
LEAST_SHARED = 0.1
"""Least share of the slopes that both images are taken to agree on."""
EVEN = 0.15
"""How far that share in each direction is drawn towards the mean of all."""
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
    source: Band,
    target: Band,
    templates: Templates,
    position: Tensor,
    rotation: Tensor,
) -> AffineFit:
    """Fit position and affine shape of each template.

    Parameters
    ----------
    source, target : Band
        With the same pixel.
    templates : Templates
        Of N points.
    position : (N, 2) float64 Tensor
        Row, col of the correlation peak in the target.
    rotation : (N,) float64 Tensor
        Of the peak, radians, counter-clockwise on the map.
    """
    return _climb(source, target, templates, position, rotation).fit()


def _climb(
    source: Band, target: Band, templates: Templates, position: Tensor, rotation: Tensor
) -> _Climbed:
    # Templates are cut at whole pixels and the fitted warp is read at the exact position:
    # interpolating the template would smooth its noise and pull the fit by 0.05 px, to or
    # fro with the fraction of the position.
    centre = torch.round(templates.start)
    offset = templates.start - centre
    template = _Template.cut(source, replace(templates, start=centre))
    middle = torch.round(position)
    turned = torch.stack([rotation - ROTATION_SLACK, rotation, rotation + ROTATION_SLACK])
    size = SLACK * farthest_corner(turned) * templates.half_width
    reach = int(np.ceil(size + FARTHEST + 1))
    view = Patches.around(target, middle, reach)
    corner_to_centre = position - middle + reach - _turned(turns(rotation), offset)
    first = _initial_warp(corner_to_centre, rotation)
    seen, known = _warped(view, template, first)
    inverse = _inverse_curvature(template, seen, known, template.curvature(known)).float()
    ascent = _Ascent.begin(first)
    index = torch.arange(len(centre), device=centre.device)
    part, part_view = template, view
    for iteration in range(ITERATIONS):
        moving = ascent.moving[index]
        if not bool(moving.any()):
            break
        if 2 * int(moving.sum()) < len(index):
            # Those at rest are left behind; copying the patches pays only when many are.
            index, part, part_view = index[moving], part.take(moving), part_view.take(moving)
        if iteration:
            # What the first trial sees is known from the curvature.
            seen, known = _warped(part_view, part, ascent.trial[index])
        difference, correlation = part.difference(seen, known)
        step = inverse[index] @ part.slope_product(difference)[..., None]
        ascent.judge(index, correlation.double(), step[..., 0].double())
        far = (ascent.warp[index] - first[index])[:, :2, 2].norm(dim=1) > 2 * FARTHEST
        ascent.moving[index[far]] = False
    return _Climbed(view, template, offset, first, ascent, (middle - reach).double())


def colour_factor(
    source: Band,
    target: Band,
    templates: Templates,
    position: Tensor,
    rotation: Tensor,
) -> float:
    """How much the colour of the noise adds to the variance of a fitted position.

    The formal covariance takes the residuals as white. Their effect on the position is
    ``sum_k E(k) G(k)`` with the power spectra of residuals and slopes, which for white
    residuals is the product of their means; the factor is the ratio of the two.

    Parameters
    ----------
    source, target : Band
        Filtered bands.
    templates : Templates
        Around matched places.
    position : (N, 2) float64 Tensor
        Row, col where they are in the target.
    rotation : (N,) float64 Tensor
        Radians.

    Returns
    -------
    float
        Median over the places with complete data; 1 where there is none.
    """
    climbed = _climb(source, target, templates, position, rotation)
    template = climbed.template
    seen, known = _warped(climbed.view, template, climbed.ascent.warp)
    both = template.both(known)
    complete = climbed.fit().converged
    if both is not None:
        complete = complete & both.all(dim=1)
    if not bool(complete.any()):
        return 1.0
    difference, _ = template.difference(seen, known)
    side = 2 * templates.half_width + 1
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
    """Warps on their way up: a step that lowers the correlation is taken back and halved.

    ``moving`` (N,) tells which have not come to rest, ``lost`` (N,) which never will.
    """

    warp: Tensor
    trial: Tensor
    correlation: Tensor
    step: Tensor
    scale: Tensor
    moving: Tensor
    lost: Tensor

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
            torch.zeros(count, dtype=torch.bool, device=warp.device),
        )

    def judge(self, index: Tensor, correlation: Tensor, step: Tensor) -> None:
        """Keep or take back the trials of ``index`` and set out the next ones."""
        going = self.moving[index]
        index, correlation, step = index[going], correlation[going], step[going]
        better = correlation > self.correlation[index]
        kept, refused = index[better], index[~better]
        self.warp[kept] = self.trial[kept]
        self.correlation[kept] = correlation[better]
        self.step[kept] = step[better]
        self.scale[refused] *= 0.5
        scaled = self.scale[index, None] * self.step[index]
        self.trial[index], size = _composed(self.warp[index], scaled)
        self.moving[index] = size > CONVERGED
        # A step that cannot be taken leads nowhere; it is not a small one.
        self.lost[index] = size.isnan()


@dataclass(frozen=True)
class _Template:
    """Values and slopes of N templates, flattened to K pixels.

    ``known`` (N, K) is None where all pixels have data and count; ``descent`` (N, K, 6) holds the
    slopes by the six terms of the warp; ``size`` (N,) is how many pixels count.
    """

    values: Tensor
    known: Tensor | None
    descent: Tensor
    offsets: Tensor
    size: Tensor

    @classmethod
    def cut(cls, source: Band, templates: Templates) -> _Template:
        half_width = templates.half_width
        side = 2 * half_width + 1
        corner = templates.start.long() - half_width - MARGIN
        wide, known = source.cut(corner, side + 2 * MARGIN)
        if known is not None:
            wide = bridged(wide, known)
            known = _inner(known, MARGIN).flatten(1)
        slope = slope_matrix(side, MARGIN).to(wide)
        values = _inner(wide, MARGIN).flatten(1)
        spread = _spread(values, known)
        by_row = (slope @ wide[:, :, MARGIN:-MARGIN]).flatten(1)
        by_col = (wide[:, MARGIN:-MARGIN, :] @ slope.T).flatten(1)
        # Slopes in units of the template's own spread, as the differences are.
        by_row, by_col = by_row / spread, by_col / spread
        still = torch.eye(2, dtype=torch.float64, device=values.device)[None, None]
        counting = templates.counting(still)
        size = torch.full((len(values),), values.shape[1], device=values.device)
        if counting is not None:
            size = counting[:, 0].sum(dim=1)
            known = counting[:, 0] if known is None else known & counting[:, 0]
        offsets = templates.offsets().float()
        r, c = offsets.T[:, None]
        # Steepest-descent images of the six terms: row shift, its row and column
        # gradients, then the same for columns.
        descent = torch.stack(
            [by_row, by_row * r, by_row * c, by_col, by_col * r, by_col * c], dim=-1
        )
        return cls(values, known, descent, offsets, size)

    def take(self, index: Tensor) -> _Template:
        known = None if self.known is None else self.known[index]
        return _Template(
            self.values[index],
            known,
            self.descent[index],
            self.offsets,
            self.size[index],
        )

    def both(self, known: Tensor | None) -> Tensor | None:
        """Where (N, K) template and target are known; None where all are."""
        if known is None or self.known is None:
            return self.known if known is None else known
        return known & self.known

    def difference(self, seen: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
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
        both = self.both(known)
        first, second = _standardised(self.values, both), _standardised(seen, both)
        correlation = (first * second).sum(dim=1) / _count(self.values, both)[:, 0]
        return second - correlation[:, None] * first, correlation

    def slope_product(self, difference: Tensor) -> Tensor:
        """Right side (N, 6) of the normal equations; differences have no mean, slopes may."""
        return torch.einsum("nk,nkp->np", difference, self.descent)

    def curvature(self, known: Tensor | None) -> Tensor:
        """Gauss-Newton matrix (N, 6, 6) of the template's own slopes, with a trace of damping."""
        centred = _less_mean(self.descent, self.both(known))
        matrix = (centred.mT @ centred).double()
        scale = torch.diagonal(matrix, dim1=1, dim2=2).clamp_min(1e-9)
        return matrix + torch.diag_embed(1e-6 * scale)


def _inner(values: Tensor, margin: int) -> Tensor:
    return values[:, margin:-margin, margin:-margin]


def _less_mean(descent: Tensor, known: Tensor | None) -> Tensor:
    """Descent images (N, K, 6) less their mean over the known pixels, 0 elsewhere."""
    if known is None:
        return descent - descent.mean(dim=1, keepdim=True)
    weight = known.to(descent)[..., None]
    total = weight.sum(dim=1, keepdim=True).clamp_min(1.0)
    return (descent - (descent * weight).sum(dim=1, keepdim=True) / total) * weight


def _count(values: Tensor, known: Tensor | None) -> Tensor:
    """Pixels (N, 1) that count."""
    if known is None:
        return torch.full((len(values), 1), float(values.shape[1]), device=values.device)
    return known.sum(dim=1, keepdim=True).clamp_min(1).to(values)


def _inverse_curvature(
    template: _Template, seen: Tensor, known: Tensor | None, curvature: Tensor
) -> Tensor:
    """Inverse (N, 6, 6) of the Gauss-Newton matrix that both images' slopes agree on.

    The template's slopes hold its noise, so their squares promise more than there is. The
    products of both images' slopes do not: their noise is independent. What share of the slopes
    is of both differs by direction: along a lead hardly any is.
    """
    both = template.both(known)
    # Slopes of both as the template sees them, so that no warp has to be applied to them.
    own, other = _slopes(template.values, both), _slopes(seen, both)
    squares, shared = own.mT @ own, own.mT @ other
    trace, others = _trace(squares), (other**2).sum(dim=(1, 2))
    scale = torch.sqrt(trace / others.clamp_min(1e-18))
    gain = _gain(squares, 0.5 * scale[:, None, None] * (shared + shared.mT))
    # The same for each of the three terms of a direction.
    terms = torch.eye(3, dtype=gain.dtype, device=gain.device)
    wide = torch.einsum("nij,kl->nikjl", gain, terms).reshape(-1, 6, 6)
    inverse: Tensor = wide @ torch.linalg.inv(curvature) @ wide.mT
    return inverse


def _gain(squares: Tensor, shared: Tensor) -> Tensor:
    """Half of what (N, 2, 2) takes a step by the template's own slopes to one by the shared ones.

    That is ``S^-1/2 R^-1/2 S^1/2`` with the squares ``S`` and the share ``R = S^-1/2 B S^-1/2``
    of the shared slopes' products ``B``; where it is the same in all directions, one over its
    root. By chance it differs a little, so it is drawn towards its mean.
    """
    root = _root(squares)
    back = torch.linalg.inv(root)
    mean = (_trace(shared) / _trace(squares).clamp_min(1e-18))[:, None, None]
    even = mean * torch.eye(2, dtype=squares.dtype, device=squares.device)
    share = (1 - EVEN) * (back @ shared @ back) + EVEN * even
    size, axes = torch.linalg.eigh(share)
    over = axes * torch.rsqrt(size.clamp(LEAST_SHARED, 1.0))[:, None]
    gain: Tensor = back @ (over @ axes.mT) @ root
    return gain


def _root(matrix: Tensor) -> Tensor:
    """Square root (N, 2, 2) of symmetric positive matrices, by Cayley and Hamilton."""
    flat = 1e-9 * _trace(matrix).clamp_min(1e-18)
    unit = torch.eye(2, dtype=matrix.dtype, device=matrix.device)
    matrix = matrix + flat[:, None, None] * unit
    area = torch.linalg.det(matrix).clamp_min(0).sqrt()
    spread = torch.sqrt(_trace(matrix) + 2 * area)
    root: Tensor = (matrix + area[:, None, None] * unit) / spread[:, None, None]
    return root


def _trace(matrix: Tensor) -> Tensor:
    trace: Tensor = matrix[:, 0, 0] + matrix[:, 1, 1]
    return trace


def _slopes(values: Tensor, known: Tensor | None) -> Tensor:
    """Slopes (N, K, 2) along rows and columns of templates in their K inner pixels."""
    side = round(values.shape[1] ** 0.5)
    square = values if known is None else bridged(values, known)
    square = square.reshape(-1, side, side)
    slope = slope_matrix(side - 2 * SLOPE_MARGIN, SLOPE_MARGIN).to(square)
    inner = slice(SLOPE_MARGIN, -SLOPE_MARGIN)
    by_row, by_col = slope @ square[:, :, inner], square[:, inner, :] @ slope.T
    return torch.stack([by_row.flatten(1), by_col.flatten(1)], dim=-1).double()


def _spread(values: Tensor, known: Tensor | None) -> Tensor:
    """Take the standard deviation (N, 1) of what is known: what bridges the rest has none."""
    if known is None:
        return values.std(dim=1, keepdim=True).clamp_min(1e-6)
    count = _count(values, known)
    mean = torch.where(known, values, 0.0).sum(dim=1, keepdim=True) / count
    square = torch.where(known, values - mean, 0.0).square().sum(dim=1, keepdim=True)
    return (square / (count - 1).clamp_min(1)).sqrt().clamp_min(1e-6)


def _standardised(values: Tensor, known: Tensor | None) -> Tensor:
    """Zero mean and unit variance over the known pixels, 0 elsewhere."""
    if known is None:
        centred = values - values.mean(dim=1, keepdim=True)
    else:
        mean = torch.where(known, values, 0.0).sum(dim=1, keepdim=True) / _count(values, known)
        centred = torch.where(known, values - mean, 0.0)
    power = (centred**2).sum(dim=1, keepdim=True) / _count(values, known)
    return centred * torch.rsqrt(power.clamp_min(1e-12))


def _turned(matrix: Tensor, offset: Tensor) -> Tensor:
    """Offsets (N, 2) under matrices (N, 2, 2)."""
    return (matrix @ offset[..., None])[..., 0]


def _initial_warp(position: Tensor, rotation: Tensor) -> Tensor:
    """Homogeneous (N, 3, 3) matrices from template offsets to target row, col."""
    warp = torch.zeros(len(position), 3, 3, dtype=torch.float64, device=position.device)
    warp[:, :2, :2] = turns(rotation)
    warp[:, :2, 2] = position
    warp[:, 2, 2] = 1
    return warp


def _warped(target: Patches, template: _Template, warp: Tensor) -> tuple[Tensor, Tensor | None]:
    """Target values (N, K) under the warp, and where they are known."""
    values, known = target.read(template.offsets, warp[:, None, :2])
    return values[:, 0], None if known is None else known[:, 0]


def _composed(warp: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Warp after the inverse of the incremental warp, and the size of its shift in pixels."""
    row, row_by_row, row_by_col, col, col_by_row, col_by_col = step.unbind(dim=1)
    a, d = 1 + row_by_row, 1 + col_by_col
    determinant = a * d - row_by_col * col_by_row
    usable = torch.isfinite(step).all(dim=1) & (determinant.abs() > 0.1)
    size = torch.where(usable, torch.hypot(row, col), torch.nan)
    # The inverse by hand: a solver's calls for thousands of 2 x 2 systems cost more than the rest.
    over = torch.where(usable, determinant, 1.0)
    inverse = torch.zeros_like(warp)
    inverse[:, 0, 0], inverse[:, 0, 1] = d / over, -row_by_col / over
    inverse[:, 1, 0], inverse[:, 1, 1] = -col_by_row / over, a / over
    inverse[:, :2, 2] = -_turned(inverse[:, :2, :2], torch.stack([row, col], dim=1))
    inverse[:, 2, 2] = 1
    return torch.where(usable[:, None, None], warp @ inverse, warp), size


@dataclass(frozen=True)
class _Climbed:
    """Templates whose warps have come to rest; warps are relative to ``corner`` (N, 2)."""

    view: Patches
    template: _Template
    offset: Tensor
    first: Tensor
    ascent: _Ascent
    corner: Tensor

    def fit(self) -> AffineFit:
        """Position, shape and their errors."""
        warp = self.ascent.warp
        seen, known = _warped(self.view, self.template, warp)
        difference, correlation = self.template.difference(seen, known)
        count = _count(self.template.values, self.template.both(known))[:, 0].double()
        variance = (difference.double() ** 2).sum(dim=1) / (count - 8).clamp_min(1)
        matrix = warp[:, :2, :2]
        strain = matrix @ self.first[:, :2, :2].mT
        strain = strain - torch.eye(2, dtype=torch.float64, device=warp.device)
        near = (warp - self.first)[:, :2, 2].norm(dim=1) <= FARTHEST
        sound = near & (strain.abs().amax(dim=(1, 2)) < LARGEST_STRAIN) & ~self.ascent.moving
        sound &= ~self.ascent.lost
        return AffineFit(
            self.corner + warp[:, :2, 2] + _turned(matrix, self.offset),
            matrix,
            variance[:, None, None] * self._position_part(seen, known),
            correlation.double(),
            count / self.template.size.clamp_min(1),
            sound,
        )

    def _position_part(self, seen: Tensor, known: Tensor | None) -> Tensor:
        """Covariance (N, 2, 2) of the position for differences of unit variance."""
        warp = self.ascent.warp
        curvature = self.template.curvature(known)
        inverse = _inverse_curvature(self.template, seen, known, curvature)
        sandwich = inverse @ curvature @ inverse
        # The six terms' effect on the position at the offset, before the warp turns it.
        effect = torch.zeros(len(warp), 2, 6, dtype=torch.float64, device=warp.device)
        effect[:, 0, 0] = effect[:, 1, 3] = 1
        effect[:, 0, 1:3] = effect[:, 1, 4:6] = self.offset
        effect = warp[:, :2, :2] @ effect
        return effect @ sandwich @ effect.mT
