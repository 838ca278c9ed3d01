"""Normalised cross-correlation of rotated templates over a window, exact under masks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

LEAST_OVERLAP = 0.5
"""Share of a template's known pixels that must meet known pixels for a correlation."""
LEAST_PIXELS = 4.0
"""Of a template, of which that share must be met whatever little of it is known."""
TAILS = 3.0
"""Degrees of freedom of the guess's error: one in a hundred is off by five times its standard."""
LEAST_GUESS_ERROR = 1.0
"""Pixels."""
PIXELS_PER_SAMPLE = 4.0
"""Pixels of a template that count as one independent: neighbours share resolution and texture."""
PEAK_SEPARATION = 5.0
"""Pixels; a peak nearer than this belongs to the first one."""


@dataclass(frozen=True)
class Peak:
    """Best correlation of N templates.

    Attributes
    ----------
    position : (N, 2) float64 Tensor
        Row, col in the target image, to a fraction of a pixel.
    rotation : (N,) float64 Tensor
        Of the best template, radians, counter-clockwise on the map.
    correlation : (N,) float32 Tensor
        Of the best template; NaN where nothing could be correlated.
    discounted : (N,) float32 Tensor
        Correlation that at the guess would be as likely; the same where nothing is known of the
        guess.
    ratio : (N,) float32 Tensor
        Second peak over the first, 0 to 1.
    at_edge : (N,) bool Tensor
        The highest correlation lies on the border of the search.
    """

    position: Tensor
    rotation: Tensor
    correlation: Tensor
    discounted: Tensor
    ratio: Tensor
    at_edge: Tensor


def correlate(
    source: Band,
    target: Band,
    templates: Templates,
    guess: Tensor,
    rotations: Tensor,
    radius: int,
    guess_error: Tensor | None = None,
) -> Peak:
    """Find each template in the target.

    The target window is cut at whole pixels, the template is sampled at its exact position:
    nothing is rounded, because the window's corner is known exactly.

    Parameters
    ----------
    source, target : Band
        With the same pixel.
    templates : Templates
        Of N points.
    guess : (N, 2) float64 Tensor
        Row, col where each is expected in the target.
    rotations : (N, R) float64 Tensor
        Rotations of the ice from source to target to try, radians.
    radius : int
        Of the search, pixels.
    guess_error : (N,) float64 Tensor, optional
        Standard error of the guess, pixels. With it a peak far from a sure guess must be so much
        the higher (see :func:`_odds`); without, the highest is taken.
    """
    surfaces, corner = _surfaces(source, target, templates, guess, rotations, radius)
    if guess_error is None:
        return _find_peak(surfaces, corner, rotations, None)
    pixels = (2 * templates.half_width + 1) ** 2
    odds = _odds(guess - corner, guess_error, surfaces.shape[-1], pixels)
    return _find_peak(surfaces, corner, rotations, odds)


def correlate_each(
    source: Band, target: Band, templates: Templates, guess: Tensor, rotations: Tensor, radius: int
) -> Peak:
    """Find each template in the target, and so each of its R rotations or parts by itself.

    Parameters
    ----------
    source, target, templates, guess, rotations, radius
        As of :func:`correlate`.

    Returns
    -------
    Peak
        Of N R templates, those of one point one after the other.
    """
    surfaces, corner = _surfaces(source, target, templates, guess, rotations, radius)
    corner = corner.repeat_interleave(rotations.shape[1], dim=0)
    return _find_peak(surfaces.flatten(0, 1)[:, None], corner, rotations.reshape(-1, 1), None)


def _surfaces(
    source: Band, target: Band, templates: Templates, guess: Tensor, rotations: Tensor, radius: int
) -> tuple[Tensor, Tensor]:
    """Correlations (N, R, L, L), and the row and col (N, 2) in the target of their first."""
    corner = torch.floor(guess + 0.5).long() - radius
    half_width = templates.half_width
    turned, turned_known = templates.turned(source, rotations)
    window, window_known = target.cut(corner - half_width, 2 * (half_width + radius) + 1)
    return masked_ncc(turned, window, turned_known, window_known), corner


def _odds(guess: Tensor, error: Tensor, lags: int, pixels: int) -> Tensor:
    """Factor (N, L, L) by which what a correlation leaves unexplained grows away from the guess.

    The likelihood of a lag at which ``n`` independent pixels correlate by r goes with
    ``(1 - r^2)^(-n / 2)``; a guess with long tails, Student's t, has the prior
    ``(1 + d^2 / (f s^2))^(-(f + 1) / 2)`` at the distance d. Their product is highest where
    ``(1 - r^2) (1 + d^2 / (f s^2))^((f + 1) / n)`` is lowest.
    """
    steps = torch.arange(lags, dtype=torch.float64, device=guess.device)
    rows, cols = steps - guess[:, :1], steps - guess[:, 1:]
    square = rows[:, :, None] ** 2 + cols[:, None, :] ** 2
    scale = TAILS * error.clamp_min(LEAST_GUESS_ERROR)[:, None, None] ** 2
    power = (TAILS + 1) * PIXELS_PER_SAMPLE / pixels
    return torch.pow(1 + square / scale, power).float()


def masked_ncc(
    templates: Tensor,
    window: Tensor,
    template_known: Tensor | None = None,
    window_known: Tensor | None = None,
) -> Tensor:
    """Correlation coefficient at every lag over the pixels that both have (Padfield 2012).

    Parameters
    ----------
    templates : (N, R, T, T) float32 Tensor
        R templates for each window.
    window : (N, W, W) float32 Tensor
        W >= T.
    template_known, window_known : bool Tensors of the same shapes, optional
        Pixels with data; all by default.

    Returns
    -------
    (N, R, W - T + 1, W - T + 1) float32 Tensor
        NaN where fewer than ``LEAST_OVERLAP`` of the template's known pixels overlap, or one
        side has no variance.
    """
    lags = window.shape[-1] - templates.shape[-1] + 1
    transform = _Correlator(window.shape[-1], lags)
    whole = _all_known(template_known, window_known)
    if whole is not None and 0 < int(whole.sum()) < len(whole):
        surfaces = templates.new_empty((*templates.shape[:2], lags, lags))
        rest = ~whole
        surfaces[whole] = masked_ncc(templates[whole], window[whole])
        surfaces[rest] = masked_ncc(
            templates[rest],
            window[rest],
            None if template_known is None else template_known[rest],
            None if window_known is None else window_known[rest],
        )
        return surfaces
    if template_known is not None and window_known is not None:
        return _both_masked_ncc(
            templates, window, template_known.float(), window_known.float(), transform
        )
    if template_known is not None:
        return _template_masked_ncc(templates, window, template_known.float(), transform)
    if window_known is not None:
        return _window_masked_ncc(templates, window, window_known.float(), transform)
    return _plain_ncc(templates, window, transform)


def _all_known(template_known: Tensor | None, window_known: Tensor | None) -> Tensor | None:
    """Whether nothing is missing of each window and its templates (N,); None if of none is."""
    masks = [
        mask.flatten(1).all(dim=1) for mask in (template_known, window_known) if mask is not None
    ]
    return torch.stack(masks).all(dim=0) if masks else None


def _plain_ncc(templates: Tensor, window: Tensor, transform: _Correlator) -> Tensor:
    """Correlate where nothing is missing: sums over the window are products with ones."""
    first, second = _centred(templates, None), _centred(window, None)
    size = first.shape[-1]
    count = torch.tensor(float(size**2), device=first.device)
    cross = transform.back(transform.of(first).conj() * transform.of(second)[:, None])
    box = _box_matrix(second.shape[-1], size).to(second)
    sum_g, sum_gg = box @ second @ box.T, box @ second**2 @ box.T
    power_g = (sum_gg - sum_g**2 / count)[:, None]
    power_f = (first**2).sum(dim=(2, 3), keepdim=True)
    return _coefficient(cross, power_f, power_g, count)


def _window_masked_ncc(
    templates: Tensor, window: Tensor, known: Tensor, transform: _Correlator
) -> Tensor:
    """Correlate whole templates with windows of which pixels are missing."""
    first, second = _centred(templates, None), _centred(window, known)
    size = first.shape[-1]
    box = _box_matrix(second.shape[-1], size).to(second)
    count, sum_g, sum_gg = (
        (box @ values @ box.T)[:, None] for values in (known, second, second**2)
    )
    enough = count >= LEAST_OVERLAP * size**2
    count = count.clamp_min(1.0)
    f = transform.of(first).conj()
    mask = transform.of(known)[:, None]
    sum_f = transform.back(f * mask)
    cross = transform.back(f * transform.of(second)[:, None]) - sum_f * sum_g / count
    power_f = transform.back(transform.of(first**2).conj() * mask) - sum_f**2 / count
    return _coefficient(cross, power_f, sum_gg - sum_g**2 / count, count, enough)


def _template_masked_ncc(
    templates: Tensor, window: Tensor, known: Tensor, transform: _Correlator
) -> Tensor:
    """Correlate templates of which pixels are missing with whole windows."""
    first, second = _centred(templates, known), _centred(window, None)
    count = known.sum(dim=(2, 3), keepdim=True)
    enough = count >= LEAST_OVERLAP * LEAST_PIXELS
    count = count.clamp_min(1.0)
    mask = transform.of(known).conj()
    g, gg = (transform.of(values)[:, None] for values in (second, second**2))
    # The known pixels of a template have no mean: the product of the sums has no share.
    cross = transform.back(transform.of(first).conj() * g)
    power_f = (first**2).sum(dim=(2, 3), keepdim=True)
    power_g = transform.back(mask * gg) - transform.back(mask * g) ** 2 / count
    return _coefficient(cross, power_f, power_g, count, enough)


def _both_masked_ncc(
    templates: Tensor,
    window: Tensor,
    template_known: Tensor,
    window_known: Tensor,
    transform: _Correlator,
) -> Tensor:
    """Correlate where pixels of both are missing."""
    first, second = _centred(templates, template_known), _centred(window, window_known)
    f, fm, ff = (transform.of(v).conj() for v in (first, template_known, first**2))
    g, gm, gg = (transform.of(v)[:, None] for v in (second, window_known, second**2))
    count = transform.back(fm * gm).clamp_min(1.0)
    sum_f, sum_g = transform.back(f * gm), transform.back(fm * g)
    cross = transform.back(f * g) - sum_f * sum_g / count
    power_f = transform.back(ff * gm) - sum_f**2 / count
    power_g = transform.back(fm * gg) - sum_g**2 / count
    known = template_known.sum(dim=(2, 3), keepdim=True).clamp_min(LEAST_PIXELS)
    return _coefficient(cross, power_f, power_g, count, count >= LEAST_OVERLAP * known)


def _coefficient(
    cross: Tensor, power_f: Tensor, power_g: Tensor, count: Tensor, enough: Tensor | None = None
) -> Tensor:
    # Windows were scaled to unit variance: less than 1e-4 of it is rounding, not texture.
    known = (power_f > 1e-4 * count) & (power_g > 1e-4 * count)
    if enough is not None:
        known = known & enough
    value = cross * torch.rsqrt((power_f * power_g).clamp_min(1e-12))
    return torch.where(known, value.clamp(-1, 1), torch.nan)


def _centred(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero mean, unit variance over the known pixels of each square, 0 elsewhere."""
    if mask is None:
        filled = values - values.mean(dim=(-2, -1), keepdim=True)
        spread = (filled**2).mean(dim=(-2, -1), keepdim=True).sqrt()
        return filled / spread.clamp_min(1e-6)
    count = mask.sum(dim=(-2, -1), keepdim=True).clamp_min(1.0)
    filled = (values - (values * mask).sum(dim=(-2, -1), keepdim=True) / count) * mask
    spread = torch.sqrt((filled**2).sum(dim=(-2, -1), keepdim=True) / count)
    return filled / spread.clamp_min(1e-6)


class _Correlator:
    """Cross-correlation of stacks of squares by FFT, valid lags only."""

    def __init__(self, size: int, lags: int) -> None:
        self.size = next(n for n in range(size, 2 * size + 2) if _is_smooth(n))
        self.lags = lags

    def of(self, values: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft2(values, s=(self.size, self.size))
        return spectrum

    def back(self, spectrum: Tensor) -> Tensor:
        full: Tensor = torch.fft.irfft2(spectrum, s=(self.size, self.size))
        return full[..., : self.lags, : self.lags]


def _is_smooth(n: int) -> bool:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1


@lru_cache(maxsize=16)
def _box_matrix(size: int, width: int) -> Tensor:
    """Matrix (size - width + 1, size) that sums each ``width`` neighbours of ``size`` values."""
    lags = size - width + 1
    first = torch.arange(size)[None, :] - torch.arange(lags)[:, None]
    return ((first >= 0) & (first < width)).float()


def _find_peak(surfaces: Tensor, corner: Tensor, rotations: Tensor, odds: Tensor | None) -> Peak:
    """Best of the correlations over rotations (N, R, L, L) and lags, with a sub-pixel fit."""
    count, _, lags, _ = surfaces.shape
    filled = torch.nan_to_num(surfaces, nan=-2.0)
    scores = filled if odds is None else _discounted(filled, odds)
    score, flat = scores.reshape(count, -1).max(dim=1)
    which, at = flat // lags**2, flat % lags**2
    row, col = at // lags, at % lags
    rows = torch.arange(count, device=surfaces.device)
    best = filled[rows, which]
    value = best[rows, row, col]
    edge = (row == 0) | (row == lags - 1) | (col == 0) | (col == lags - 1)
    shift = _quadratic_shift(best, row, col)
    position = torch.stack([row, col], dim=1) + torch.where(edge[:, None], 0.0, shift)
    correlation = torch.where(value > -2.0, value, torch.nan)
    return Peak(
        corner.double() + position,
        rotations[rows, which],
        correlation,
        torch.where(value > -2.0, score, torch.nan),
        _second_peak(scores[rows, which], row, col) / score.clamp_min(1e-3),
        edge,
    )


def _discounted(correlation: Tensor, odds: Tensor) -> Tensor:
    """Correlation (N, R, L, L) that at the guess would be as likely; -2 where there is none."""
    positive = correlation.clamp_min(0.0)
    explained = 1 - (1 - positive**2) * odds[:, None]
    return torch.where(correlation > 0, explained.clamp_min(0.0).sqrt(), correlation.clamp_max(0.0))


def _quadratic_shift(surface: Tensor, row: Tensor, col: Tensor) -> Tensor:
    """Maximum (N, 2) of the parabola through the peak and its neighbours, per axis."""
    count, lags, _ = surface.shape
    rows = torch.arange(count, device=surface.device)
    shifts = []
    for step_row, step_col in ((1, 0), (0, 1)):
        before = surface[rows, (row - step_row).clamp(0), (col - step_col).clamp(0)]
        after = surface[
            rows, (row + step_row).clamp(max=lags - 1), (col + step_col).clamp(max=lags - 1)
        ]
        curvature = (2 * surface[rows, row, col] - before - after).clamp_min(1e-6)
        shifts.append((0.5 * (after - before) / curvature).clamp(-0.5, 0.5))
    return torch.stack(shifts, dim=1).double()


def _second_peak(surface: Tensor, row: Tensor, col: Tensor) -> Tensor:
    """Highest local maximum (N,) further than ``PEAK_SEPARATION`` from the first."""
    steps = torch.arange(surface.shape[-1], device=surface.device)
    far = (steps[None, :, None] - row[:, None, None]) ** 2 + (
        steps[None, None, :] - col[:, None, None]
    ) ** 2 > PEAK_SEPARATION**2
    highest = torch.nn.functional.max_pool2d(surface[:, None], 3, stride=1, padding=1)[:, 0]
    peaks = torch.where(far & (surface == highest), surface, 0.0)
    return peaks.amax(dim=(1, 2)).clamp_min(0.0)
