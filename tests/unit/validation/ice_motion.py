"""Ice whose velocity has a known scaling, for the tests of scores."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WIDER, FINER = 8, 3


@lru_cache(maxsize=2)
def _spectrum(size, exponent):
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)).astype(np.float32)
    k[0, 0] = np.inf
    amplitude = k ** np.float32(-(exponent + 1))
    # by their expected spread: their own varies with the largest waves
    return amplitude / np.sqrt(np.sum(amplitude**2))


def self_similar(side, exponent, rng):
    """Velocities (side, side, 2) whose differences over L grow as L to the exponent.

    The field repeats itself only at eight times the domain, and its own grid is three times
    finer than the points: else the exponent is off by 0.03.
    """
    size = WIDER * FINER * side
    noise = rng.standard_normal((2, size, size), np.float32)
    waves = _spectrum(size, exponent) * (noise[0] + np.complex64(1j) * noise[1])
    # the Fourier sum at the points alone, of which there are far fewer than of waves
    phase = np.outer(np.arange(side) * FINER, np.arange(size)) % size
    turn = np.exp(2j * np.pi * phase / size).astype(np.complex64)
    found = turn @ waves @ turn.T
    return np.stack([found.real, found.imag], axis=-1).astype(np.float64)
