"""Ice whose velocity has a known scaling, for the tests of scores."""

from __future__ import annotations

import numpy as np
from scipy import fft

WIDER, FINER = 8, 3


def self_similar(side, exponent, rng):
    """Velocities (side, side, 2) whose differences over L grow as L to the exponent.

    The field repeats itself only at eight times the domain, and its own grid is three times
    finer than the points: else the exponent is off by 0.03.
    """
    size = WIDER * FINER * side
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)).astype(np.float32)
    k[0, 0] = np.inf
    amplitude = k ** np.float32(-(exponent + 1))
    noise = rng.standard_normal((2, size, size), np.float32)
    found = fft.ifft2(amplitude * (noise[0] + 1j * noise[1]))[: FINER * side : FINER]
    # by their expected spread: their own varies with the largest waves
    found = found[:, : FINER * side : FINER] * size**2 / np.sqrt(np.sum(amplitude**2))
    return np.stack([found.real, found.imag], axis=-1).astype(np.float64)
