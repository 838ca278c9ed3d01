"""Backscatter of varied pieces of sea ice, drawn at random.

A texture is a sum of layers in dB. Each layer has its own contrast in HH and in HV, because
the classes differ between them: multi-year ice stands out in HV, young ice and rough leads
in HH. Every number that shapes a layer is drawn anew at each call.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.float32]
Points = NDArray[np.float64]

SUBPIXEL_BITS = 4
"""Fractional bits of the vertices that are handed to OpenCV's drawing functions."""

LOWEST_DB, HIGHEST_DB = -32.0, 6.0
"""Sea ice and calm leads lie between these in HH at C band."""


def ice_texture(shape: tuple[int, int], rng: np.random.Generator, pixel: float = 100.0) -> Image:
    """Sigma nought in HH of a random piece of sea ice, without speckle.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns; at least 16 each.
    rng : numpy.random.Generator
        Source of all that varies.
    pixel : float
        Metres; the sizes of floes, leads and ridges are in metres.

    Returns
    -------
    (rows, cols) float32
        dB.

    Raises
    ------
    ValueError
        If the shape or the pixel is too small.
    """
    hh: Image = ice_textures(shape, rng, pixel)[0]
    return hh


def ice_textures(shape: tuple[int, int], rng: np.random.Generator, pixel: float = 100.0) -> Image:
    """Sigma nought in HH and HV of the same random piece of sea ice, without speckle.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns; at least 16 each.
    rng : numpy.random.Generator
        Source of all that varies.
    pixel : float
        Metres.

    Returns
    -------
    (2, rows, cols) float32
        HH and HV in dB.

    Raises
    ------
    ValueError
        If the shape or the pixel is too small.
    """
    if min(shape) < 16:
        raise ValueError(f"shape {shape} is smaller than 16 x 16 pixels")
    if not pixel > 0:
        raise ValueError(f"pixel {pixel} m is not positive")
    layers = _background(shape, rng, pixel)
    layers += _patches(shape, rng, pixel)
    makers = [_floes, _dark_patches, _filaments, _leads, _ridges, _brash]
    shares = [0.5, 0.75, 0.8, 0.85, 0.9, 0.2]
    for maker, share in zip(makers, shares, strict=True):
        if rng.random() < share:
            layers += maker(shape, rng, pixel)
    return _compose(layers, rng)


@dataclass(frozen=True)
class _Layer:
    """An additive anomaly in units of its own contrast, and that contrast in HH and HV, dB."""

    anomaly: Image
    hh: float
    hv: float


def _compose(layers: list[_Layer], rng: np.random.Generator) -> Image:
    """Sum the layers and bring mean and spread into the range seen over winter sea ice."""
    hh = np.zeros(layers[0].anomaly.shape, np.float32)
    hv = np.zeros_like(hh)
    for layer in layers:
        hh += np.float32(layer.hh) * layer.anomaly
        hv += np.float32(layer.hv) * layer.anomaly
    spread = np.exp(rng.uniform(np.log(1.5), np.log(4.0)))
    scale = np.clip(spread / max(float(hh.std()), 1e-3), 0.5, 2.5)
    hh_mean, ratio = rng.uniform(-17.0, -9.0), rng.uniform(8.0, 12.0)
    hh = (hh - hh.mean()) * np.float32(scale) + np.float32(hh_mean)
    hv = (hv - hv.mean()) * np.float32(scale) + np.float32(hh_mean - ratio)
    np.clip(hh, LOWEST_DB, HIGHEST_DB, out=hh)
    np.clip(hv, LOWEST_DB - 4, HIGHEST_DB - 6, out=hv)
    # The instrument resolves about one 100 m pixel: without this lines would alias.
    return np.stack([cv2.GaussianBlur(band, (0, 0), 0.6) for band in (hh, hv)])


def power_law_noise(
    shape: tuple[int, int],
    rng: np.random.Generator,
    slope: float,
    longest: float = np.inf,
    shortest: float = 2.0,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> tuple[Image, Image]:
    """Two independent Gaussian random fields with a power-law spectrum.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : numpy.random.Generator
        Source of the randomness.
    slope : float
        The two-dimensional power spectrum falls as wavenumber to this negative power.
    longest, shortest : float
        Wavelengths in pixels outside of which the power is lost smoothly.
    stretch : float
        Features are this much longer along ``angle`` than across.
    angle : float
        Degrees, counter-clockwise from the direction of the columns' growth.

    Returns
    -------
    two (rows, cols) float32
        Mean 0, standard deviation 1.
    """
    rows, cols = (scipy.fft.next_fast_len(size) for size in shape)
    row = scipy.fft.fftfreq(rows).astype(np.float32)[:, None]
    col = scipy.fft.fftfreq(cols).astype(np.float32)[None, :]
    turn = np.deg2rad(angle)
    along = np.float32(np.cos(turn)) * col - np.float32(np.sin(turn)) * row
    across = np.float32(np.sin(turn)) * col + np.float32(np.cos(turn)) * row
    square = np.float32(stretch) * along**2 + across**2 / np.float32(stretch)
    square += np.float32(max(1.0 / longest, 0.5 / max(rows, cols)) ** 2)
    amplitude = square ** np.float32(-slope / 4)
    if shortest > 2.0:
        amplitude *= np.exp(-0.5 * square * np.float32(shortest**2))
    amplitude[0, 0] = 0.0
    white = rng.standard_normal((2, rows, cols), dtype=np.float32)
    spectrum = np.empty((rows, cols), np.complex64)
    spectrum.real, spectrum.imag = white[0] * amplitude, white[1] * amplitude
    field = scipy.fft.ifft2(spectrum, overwrite_x=True)[: shape[0], : shape[1]]
    return _standard(field.real), _standard(field.imag)


def _broad_noise(shape: tuple[int, int], rng: np.random.Generator, longest: float) -> Image:
    """Smooth field for places and masks, made at a quarter of the resolution to save time."""
    small = ((shape[0] + 3) // 4, (shape[1] + 3) // 4)
    field, _ = power_law_noise(small, rng, 3.0, longest / 4)
    broad = cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(broad, dtype=np.float32)


def _standard(field: Image) -> Image:
    centred = field - field.mean()
    return np.asarray(centred / max(float(centred.std()), 1e-12), dtype=np.float32)


def _step(field: Image, level: float, width: float) -> Image:
    """Smooth step from 0 to 1 where the field passes a level."""
    return np.asarray(np.clip((field - level) / width + 0.5, 0.0, 1.0), dtype=np.float32)


def _uniform_log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _background(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Mottle of all scales, skewed to the bright side as rubble is, and calmer in places."""
    longest = _uniform_log(rng, 1500.0, 60000.0) / pixel
    rough, _ = power_law_noise(shape, rng, rng.uniform(1.3, 2.3), longest)
    mask = _broad_noise(shape, rng, np.inf)
    skew = rng.uniform(0.0, 0.35)
    rough = _standard(np.exp(np.float32(skew) * rough)) if skew > 0.05 else rough
    grains, _ = power_law_noise(shape, rng, rng.uniform(0.6, 1.4), 1500.0 / pixel)
    calm = np.float32(1.0) - np.float32(rng.uniform(0.0, 0.6)) * _step(mask, 0.3, 1.5)
    amplitude = rng.uniform(0.4, 1.2)
    return [
        _Layer(rough * calm, amplitude, amplitude * rng.uniform(0.7, 1.4)),
        _Layer(grains * calm, rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.8)),
        _Layer(mask, rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.8)),
    ]


def _patches(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Multi-year ice: clumps with jagged outlines, brighter and more mottled."""
    longest = _uniform_log(rng, 4000.0, 80000.0) / pixel
    angle, stretch = rng.uniform(0, 180), _uniform_log(rng, 1.0, 3.0)
    field, own = power_law_noise(
        shape, rng, rng.uniform(2.0, 3.2), longest, stretch=stretch, angle=angle
    )
    inside = _step(field, rng.normal(0.0, 0.8), rng.uniform(0.15, 0.7))
    contrast = _uniform_log(rng, 0.3, 4.0)
    return [
        _Layer(inside, contrast, contrast * rng.uniform(1.2, 2.2)),
        _Layer(inside * own, rng.uniform(0.0, 0.8), rng.uniform(0.0, 0.8)),
    ]


def _outlines(
    centres: Points, radii: NDArray[np.float64], rng: np.random.Generator, vertices: int = 36
) -> Points:
    """Irregular closed outlines (N, vertices, 2) as col, row in pixels."""
    count = len(radii)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    order = np.arange(2, 9)
    size = rng.normal(size=(count, len(order))) * rng.uniform(0.08, 0.3) / order**0.7
    phase = rng.uniform(0, 2 * np.pi, (count, len(order)))
    wave = (size[..., None] * np.cos(order[:, None] * angle + phase[..., None])).sum(axis=1)
    radius = radii[:, None] * np.clip(1.0 + wave, 0.3, 2.0)
    # Cutting the radius by random half-planes leaves the straight sides of broken floes.
    normal = rng.uniform(0, 2 * np.pi, (count, 5, 1))
    cosine = np.cos(angle - normal)
    limit = rng.uniform(0.6, 1.4, (count, 5, 1)) * radii[:, None, None]
    cut = np.where(cosine > 0.05, limit / np.maximum(cosine, 0.05), np.inf).min(axis=1)
    radius = np.minimum(radius, cut)
    squash = rng.uniform(0.55, 1.0, (count, 1))
    turn = rng.uniform(0, np.pi, (count, 1))
    u, v = radius * np.cos(angle), radius * np.sin(angle) * squash
    col = centres[:, :1] + u * np.cos(turn) - v * np.sin(turn)
    row = centres[:, 1:] + u * np.sin(turn) + v * np.cos(turn)
    return np.stack([col, row], axis=-1)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.rint(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


def _floes(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Floes of a power-law size distribution, each with a level of its own and a rim."""
    area = shape[0] * shape[1] * pixel**2
    smallest, largest = rng.uniform(400.0, 1200.0), _uniform_log(rng, 3000.0, 20000.0)
    power = rng.uniform(1.2, 2.2)
    mean_area = 3.0 * smallest * largest * 0.3
    count = int(np.clip(area * _uniform_log(rng, 0.03, 0.9) / mean_area, 1, 4000))
    low, high = smallest**-power, largest**-power
    radii = (low + rng.random(count) * (high - low)) ** (-1 / power)
    radii = np.sort(radii)[::-1] / (2 * pixel)
    centres = rng.uniform(-0.05, 1.05, (count, 2)) * (shape[1], shape[0])
    fill, rim = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    levels = rng.normal(rng.uniform(-0.5, 1.0), 0.6, count)
    outlines = _fixed(_outlines(centres, radii, rng))
    for outline, level in zip(outlines, levels, strict=True):
        cv2.fillPoly(fill, [outline], float(level), cv2.LINE_8, SUBPIXEL_BITS)
        cv2.fillPoly(rim, [outline], 0.0, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.polylines(rim, [outline], True, 1.0, 1, cv2.LINE_8, SUBPIXEL_BITS)
    fill, rim = _crumple(fill, rng, pixel), _crumple(rim, rng, pixel)
    contrast = rng.uniform(0.8, 3.0)
    return [
        _Layer(fill, contrast, contrast * rng.uniform(0.8, 1.8)),
        _Layer(rim, rng.uniform(-1.5, 3.0), rng.uniform(-1.0, 3.0)),
    ]


def _crumple(drawn: Image, rng: np.random.Generator, pixel: float) -> Image:
    """Move what was drawn by a small random field, so that no outline stays smooth."""
    rows, cols = drawn.shape
    small = ((rows + 1) // 2, (cols + 1) // 2)
    fields = power_law_noise(small, rng, rng.uniform(2.4, 3.2), 1500.0 / pixel)
    size = np.float32(_uniform_log(rng, 30.0, 200.0) / pixel)
    across, down = (cv2.resize(size * field, (cols, rows)) for field in fields)
    col = np.arange(cols, dtype=np.float32) + across
    row = np.arange(rows, dtype=np.float32)[:, None] + down
    crumpled = cv2.remap(drawn, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(crumpled, dtype=np.float32)


def _dark_patches(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Refrozen leads in swarms: dark, jagged, longer along the direction of a past shear."""
    swarm = _step(
        _broad_noise(shape, rng, _uniform_log(rng, 1e4, 6e4) / pixel),
        rng.uniform(-1.0, 0.8),
        1.0,
    )
    anomaly = np.zeros(shape, np.float32)
    fields = power_law_noise(
        shape,
        rng,
        rng.uniform(1.8, 2.8),
        _uniform_log(rng, 1200.0, 8000.0) / pixel,
        stretch=_uniform_log(rng, 1.5, 8.0),
        angle=rng.uniform(0, 180),
    )
    for field in fields[: rng.integers(1, 3)]:
        anomaly -= _step(field * swarm, rng.uniform(1.1, 2.0), rng.uniform(0.2, 0.6))
    contrast = rng.uniform(1.0, 5.0)
    return [_Layer(anomaly, contrast, contrast * rng.uniform(0.5, 1.2))]


def _filaments(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Fine crooked lines: old ridges (bright) and cracks (dark) along contours of noise."""
    layers = []
    fields = power_law_noise(
        shape,
        rng,
        rng.uniform(2.6, 3.4),
        _uniform_log(rng, 2000.0, 15000.0) / pixel,
        stretch=_uniform_log(rng, 1.0, 5.0),
        angle=rng.uniform(0, 180),
    )
    for field in fields:
        place = _broad_noise(shape, rng, 6000.0 / pixel)
        width = np.float32(rng.uniform(0.03, 0.12))
        lines = np.exp(-0.5 * (field / width) ** 2) * _step(place, rng.uniform(-0.3, 0.9), 0.8)
        contrast = rng.uniform(0.5, 3.0) * rng.choice([1.0, -1.0], p=[0.6, 0.4])
        layers.append(_Layer(lines, contrast, contrast * rng.uniform(0.6, 1.3)))
    return layers


def _curve(
    shape: tuple[int, int], rng: np.random.Generator, heading: float, length: float, bend: float
) -> Points:
    """Draw a crooked line (K, 2) as col, row: a random walk of the heading, about the middle."""
    steps = int(np.clip(length / 4.0, 4, 2000))
    turns = np.cumsum(rng.normal(0, bend, steps)) + rng.normal(0, 4 * bend, steps)
    turns -= np.linspace(0, turns[-1], steps) * 0.5
    direction = heading + turns
    path = np.cumsum(np.stack([np.cos(direction), np.sin(direction)], axis=1), axis=0) * 4.0
    middle = rng.uniform(-0.1, 1.1, 2) * (shape[1], shape[0])
    return np.asarray(path - path[steps // 2] + middle, dtype=np.float64)


def _strip(path: Points, widths: NDArray[np.float64]) -> Points:
    """Outline a line with a width in pixels at each of its points."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    offset = 0.5 * widths[:, None] * normal
    return np.concatenate([path + offset, (path - offset)[::-1]])


def _headings(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Directions in two conjugate families, as faults in ice under compression have."""
    first = rng.uniform(0, np.pi)
    second = first + np.deg2rad(rng.uniform(25.0, 90.0))
    family = np.where(rng.random(count) < 0.6, first, second)
    return np.asarray(family + rng.normal(0, 0.2, count), dtype=np.float64)


def _leads(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Open or thinly refrozen leads: tapered strips, dark when calm, bright when frosted."""
    across = float(np.hypot(*shape))
    scale = (across * pixel / 70000.0) ** 1.5
    count = int(np.clip(_uniform_log(rng, 3.0, 50.0) * scale, 1, 800))
    dark, bright = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    frosted = rng.choice([0.0, 0.15, 0.6])
    widest = _uniform_log(rng, 150.0, 1500.0)
    for heading in _headings(rng, count):
        length = min(_uniform_log(rng, 2000.0, 60000.0) / pixel, 1.5 * across)
        path = _curve(shape, rng, heading, length, rng.uniform(0.005, 0.05))
        along = np.linspace(0, 1, len(path))
        uneven = np.exp(0.5 * np.convolve(rng.normal(size=len(path) + 4), np.ones(5) / 2, "valid"))
        widths = _uniform_log(rng, 60.0, widest) / pixel * np.sin(np.pi * along) ** 0.5 * uneven
        image, depth = (bright, 0.8) if rng.random() < frosted else (dark, 1.0)
        depth *= rng.uniform(0.4, 1.0)
        strip = _fixed(_strip(path, np.maximum(widths, 0.7)))
        cv2.fillPoly(image, [strip], float(depth), cv2.LINE_8, SUBPIXEL_BITS)
    contrast = rng.uniform(2.0, 7.0)
    return [
        _Layer(_crumple(dark, rng, pixel), -contrast, -contrast * rng.uniform(0.5, 1.0)),
        _Layer(_crumple(bright, rng, pixel), rng.uniform(2.0, 5.0), rng.uniform(0.0, 2.5)),
    ]


def _ridges(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Ridges and shear zones: long, thin, bright, uneven along their length, with a halo."""
    across = float(np.hypot(*shape))
    scale = (across * pixel / 70000.0) ** 1.5
    count = int(np.clip(_uniform_log(rng, 8.0, 100.0) * scale, 1, 2500))
    drawn = np.zeros(shape, np.float32)
    for heading in _headings(rng, count):
        length = min(_uniform_log(rng, 1500.0, 80000.0) / pixel, 1.6 * across)
        path = _curve(shape, rng, heading, length, rng.uniform(0.005, 0.05))
        strength = float(rng.uniform(0.2, 1.0))
        thick = 1 if rng.random() < 0.8 else 2
        cv2.polylines(drawn, [_fixed(path)], False, strength, thick, cv2.LINE_8, SUBPIXEL_BITS)
    uneven, rough = power_law_noise(shape, rng, 1.2, 2500.0 / pixel)
    drawn = _crumple(drawn, rng, pixel)
    lines = drawn * np.exp(np.float32(rng.uniform(0.3, 0.8)) * uneven)
    halo = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(250.0, 800.0) / pixel + 0.3)
    contrast = rng.uniform(1.5, 5.0)
    return [
        _Layer(lines, contrast, contrast * rng.uniform(0.7, 1.3)),
        _Layer(halo * (1 + rough), rng.uniform(0.0, 6.0), rng.uniform(0.0, 6.0)),
    ]


def _brash(shape: tuple[int, int], rng: np.random.Generator, pixel: float) -> list[_Layer]:
    """Marginal ice: grains of a size, brash between them, in part of the image."""
    size = rng.uniform(300.0, 1200.0) / pixel
    grains, place = power_law_noise(shape, rng, 0.0, shortest=size)
    region = _step(_broad_noise(shape, rng, np.inf), rng.uniform(-0.8, 0.8), 0.6)
    rounded = _step(grains, rng.uniform(-0.6, 0.6), rng.uniform(0.3, 1.2))
    contrast = rng.uniform(1.5, 5.0)
    return [
        _Layer(region * (rounded + 0.3 * place), contrast, contrast * rng.uniform(0.6, 1.4)),
        _Layer(region, rng.uniform(-3.0, 2.0), rng.uniform(-4.0, 1.0)),
    ]
