"""The filter that lets a pair of images tell best where it fits, measured on the pair itself.

At each wavenumber two looks at the same ice agree to a degree, their coherence. The maximum
likelihood weight of a wavenumber in a cross-correlation is ``g2 / (1 - g2) / S`` with squared
coherence g2 and cross spectrum S (Knapp and Carter 1976, the Hannan-Thomson processor): where
both agree the spectrum is whitened, where speckle rules it is suppressed. Half of it goes to
each image.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.templates import Templates

KERNEL_REACH = 8
BINS = 12
CHANCE = 0.06
"""Coherence of pure noise after its position was fitted: about root 2 over the modes of a patch."""
HIGHEST_COHERENCE = 0.9
"""Above it the weight grows without bound, on differences that interpolation makes."""


def measure(
    source: Band, target: Band, templates: Templates, position: Tensor, rotation: Tensor
) -> NDArray[np.float32] | None:
    """Convolution kernel of a pair of images from places where they are matched.

    Parameters
    ----------
    source, target : Band
        One band of both.
    templates : Templates
        Around matched places.
    position : (N, 2) float64 Tensor
        Row, col where they are in the target, to a fraction of a pixel.
    rotation : (N,) float64 Tensor
        Of the ice, radians, counter-clockwise on the map.

    Returns
    -------
    (K, K) float32 or None
        None where no matched place has complete data.
    """
    still = torch.zeros_like(rotation)[:, None]
    first, first_complete = _complete(templates.turned(source, still))
    # Turned back, what the rotation moved away lies as it did in the source.
    back = -rotation[:, None]
    second, second_complete = _complete(replace(templates, start=position).turned(target, back))
    complete = first_complete & second_complete
    if not bool(complete.any()):
        return None
    power0, power1, cross = _spectra(first[complete], second[complete])
    return _kernel(_weight(power0, power1, cross))


def apply(band: Band, kernel: NDArray[np.float32]) -> Band:
    """Filter a band; what has no data stays so, and counts as the mean of the data."""
    filtered = cv2.filter2D(
        band.pixels.cpu().numpy(), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101
    )
    pixels = torch.from_numpy(filtered).to(band.pixels.device)
    if not band.complete:
        pixels = torch.where(band.present, pixels, 0.0)
    return Band(pixels, band.present, band.complete)


def _complete(patches: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor]:
    """First of the turned squares of each point, and which of them (N,) are complete."""
    values, known = patches
    if known is None:
        return values[:, 0], torch.ones(len(values), dtype=torch.bool, device=values.device)
    return values[:, 0], known[:, 0].all(dim=2).all(dim=1)


def _spectra(first: Tensor, second: Tensor) -> tuple[Float, Float, Float]:
    """Power of both and real part of the cross spectrum in ``BINS`` rings of wavenumber.

    Each patch counts alike, whatever its contrast.
    """
    size = first.shape[-1]
    taper = torch.hann_window(size + 2, periodic=False)[1:-1].to(first)
    window = taper[:, None] * taper[None, :]
    transforms = []
    for patch in (first, second):
        centred = patch - patch.mean(dim=(1, 2), keepdim=True)
        scaled = centred / centred.std(dim=(1, 2), keepdim=True).clamp_min(1e-6)
        transforms.append(torch.fft.fft2(scaled * window))
    ring = torch.from_numpy(_rings(size)).to(first.device)
    products = (
        transforms[0].abs() ** 2,
        transforms[1].abs() ** 2,
        (transforms[0].conj() * transforms[1]).real,
    )
    sums = [
        torch.zeros(BINS + 1, device=first.device).index_add(0, ring.ravel(), p.mean(dim=0).ravel())
        for p in products
    ]
    power0, power1, cross = (s[:BINS].double().cpu().numpy() for s in sums)
    count = np.bincount(_rings(size).ravel(), minlength=BINS + 1)[:BINS]
    return power0 / count, power1 / count, cross / count


def _rings(size: int) -> NDArray[np.int64]:
    """Ring (size, size) of each wavenumber; ``BINS`` beyond the highest in all directions."""
    k = np.fft.fftfreq(size)
    radius = np.hypot(k[:, None], k[None, :])
    return np.asarray(np.minimum(radius / 0.5 * BINS, BINS), dtype=np.int64)


def _weight(power0: Float, power1: Float, cross: Float) -> Float:
    """Amplitude of the filter in each ring: root of the maximum likelihood weight."""
    power = np.sqrt(power0 * power1) + 1e-9
    coherence = np.clip(cross / power - CHANCE, 0, HIGHEST_COHERENCE) / (1 - CHANCE)
    return np.asarray(np.sqrt(coherence / (1 - coherence**2) / power))


def _kernel(amplitude: Float) -> NDArray[np.float32]:
    """Isotropic convolution kernel of the rings' amplitudes, of unit root sum of squares."""
    size = 64
    k = np.fft.fftfreq(size)
    radius = np.hypot(k[:, None], k[None, :])
    centres = (np.arange(BINS) + 0.5) / BINS * 0.5
    # Nothing beyond the highest ring: there only corners of the spectrum are left.
    response = np.interp(radius, centres, amplitude) * (radius <= 0.5)
    spatial = np.fft.fftshift(np.fft.ifft2(response).real)
    middle = slice(size // 2 - KERNEL_REACH, size // 2 + KERNEL_REACH + 1)
    taper = np.hanning(2 * KERNEL_REACH + 3)[1:-1]
    kernel = spatial[middle, middle] * np.outer(taper, taper)
    return np.asarray(kernel / np.sqrt((kernel**2).sum()), dtype=np.float32)
