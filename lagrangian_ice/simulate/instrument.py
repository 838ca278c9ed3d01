"""Calibration, thermal noise and digital numbers of a simulated Sentinel-1 EW product.

What is written into the product's tables is what goes into the pixels, rounding included: a
reader that interpolates the tables linearly takes out exactly what was put in.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.simulate.radar_swath import RadarSwath

Image = NDArray[np.float32]
Index = NDArray[np.int64]

BETA = 1087.0
"""Calibration factor of beta nought, digital numbers."""

TABLE_STEP = 40
"""Pixels between the values of the range tables."""

AZIMUTH_STEP = 10
"""Lines between the values of the azimuth noise."""

SUB_SWATHS = ("EW1", "EW2", "EW3", "EW4", "EW5")
EDGES = (28.1, 33.4, 38.2, 42.4)
"""Incidence angles at which one sub-swath takes over from the other, degrees."""

STEPS = (2.2, -0.8, 0.3, -0.9, 0.2)
"""Noise of the sub-swaths against the mean, dB."""

SCALLOP = (0.23, 0.22, 0.19, 0.173, 0.148)
"""Rise of the noise from the middle of a burst to its edge."""

BURST_SECONDS = 3.04
"""From one burst of a sub-swath to its next."""

RAGGED = (0.0, 0.77, 1.36, 1.95, 2.53)
"""By which the sub-swaths of a first slice begin after its first line, seconds."""

MERGE_SECONDS = 8.0
"""After which the seams between sub-swaths move by some pixels."""

MEAN_NOISE = {"HH": -27.7, "HV": -28.0, "VV": -27.7, "VH": -28.0}
"""Noise-equivalent sigma nought, dB."""


@dataclass(frozen=True)
class NoiseSettings:
    """Thermal noise of the instrument and what its tables say of it.

    Attributes
    ----------
    level : float
        Added to the usual noise-equivalent sigma nought (about -28 dB), dB.
    error : tuple of float
        True noise against the tables in each of the five sub-swaths, dB; 0 is a right table.
    azimuth : bool
        Whether bursts scallop the noise and azimuth vectors tell so, as since IPF 2.90; False
        is the noise file of older products.
    ragged : bool
        Whether the sub-swaths begin one after the other, as in the first slice of a datatake.
    """

    level: float = 0.0
    error: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    azimuth: bool = True
    ragged: bool = False

    def __post_init__(self) -> None:
        if not abs(self.level) <= 20:
            raise ValueError(f"noise level {self.level} dB is not between -20 and 20")
        if len(self.error) != len(SUB_SWATHS) or not np.all(np.abs(self.error) <= 10):
            raise ValueError(f"noise error {self.error} is not five values between -10 and 10 dB")


@dataclass(frozen=True)
class Block:
    """Part of a sub-swath with one pair of seams, and its azimuth noise.

    Attributes
    ----------
    swath : str
        ``EW1`` to ``EW5``.
    first_line, first_sample, last_line, last_sample : int
        Both ends belong to it.
    line : (K,) int64
        Lines of the values.
    value : (K,) float64
        Factor on the range noise.
    """

    swath: str
    first_line: int
    first_sample: int
    last_line: int
    last_sample: int
    line: Index
    value: Float

    @property
    def end_sample(self) -> int:
        """The sample after its last."""
        return self.last_sample + 1


@dataclass(frozen=True)
class RangeVector:
    """Noise along one line.

    Attributes
    ----------
    line : int
        Its number.
    pixel : (K,) int64
        Pixels of the values.
    value : (K,) float64
        Squared digital numbers.
    """

    line: int
    pixel: Index
    value: Float


@dataclass(frozen=True)
class Calibration:
    """Factors from digital numbers to backscatter along a line; the same for all lines.

    Attributes
    ----------
    line : (L,) int64
        Lines of the vectors.
    pixel : (P,) int64
        Pixels of the values.
    sigma, gamma : (P,) float64
        Digital numbers of a backscatter of 1.
    """

    line: Index
    pixel: Index
    sigma: Float
    gamma: Float

    def sigma_of_columns(self, cols: int) -> Float:
        """Factors (cols,) of all columns."""
        return np.asarray(np.interp(np.arange(cols), self.pixel, self.sigma))


@dataclass(frozen=True)
class Noise:
    """Thermal noise of a frame in one polarisation.

    Attributes
    ----------
    vectors : tuple of RangeVector
        In the order of their lines, the first and last line among them.
    blocks : tuple of Block
        Together they cover every pixel that has data once.
    """

    vectors: tuple[RangeVector, ...]
    blocks: tuple[Block, ...]

    def power(
        self, first: int, stop: int, cols: int, error: tuple[float, ...] | None = None
    ) -> Image:
        """Noise (stop - first, cols) of some lines, squared digital numbers; NaN is no data.

        Parameters
        ----------
        first, stop : int
            First line, and the one after the last.
        cols : int
            Pixels of a line.
        error : tuple of float, optional
            By which the noise of each sub-swath is above that of the tables, dB.
        """
        along_range = self._range_power(np.arange(first, stop), cols)
        power = np.full_like(along_range, np.nan)
        for block in self.blocks:
            top, bottom = max(block.first_line, first), min(block.last_line + 1, stop)
            if top >= bottom:
                continue
            along = np.interp(np.arange(top, bottom), block.line, block.value)
            if error is not None:
                along *= 10 ** (error[SUB_SWATHS.index(block.swath)] / 10)
            window = slice(top - first, bottom - first), slice(block.first_sample, block.end_sample)
            power[window] = along_range[window] * along.astype(np.float32)[:, None]
        return power

    def _range_power(self, row: Index, cols: int) -> Image:
        lines = np.array([vector.line for vector in self.vectors])
        index = np.clip(np.searchsorted(lines, row, side="right") - 1, 0, len(lines) - 2)
        weight = (row - lines[index]) / (lines[index + 1] - lines[index])
        low, high = int(index.min()), int(index.max()) + 2
        col = np.arange(cols)
        table = np.stack([np.interp(col, v.pixel, v.value) for v in self.vectors[low:high]])
        table32, weight32 = table.astype(np.float32), weight.astype(np.float32)[:, None]
        index = index - low
        return np.asarray(table32[index] * (1 - weight32) + table32[index + 1] * weight32)


def written(values: Float) -> Float:
    """Round values as they are written into tables: seven digits."""
    return np.array([float(f"{value:.6e}") for value in np.ravel(values)])


def make_calibration(swath: RadarSwath) -> Calibration:
    """Calibration table of a frame."""
    rows, cols = swath.shape
    pixel = np.unique(np.append(np.arange(0, cols, TABLE_STEP), cols - 1))
    angle = np.radians(swath.incidence[pixel])
    step = max(1, round(1.0 / swath.line_interval))
    # The last vectors of real products lie beyond the last line too.
    line = np.arange(0, rows + step, step)
    sigma, gamma = BETA / np.sqrt(np.sin(angle)), BETA / np.sqrt(np.tan(angle))
    return Calibration(line, pixel, written(sigma), written(gamma))


def make_noise(
    swath: RadarSwath, calibration: Calibration, polarisation: str, settings: NoiseSettings
) -> Noise:
    """Noise tables of a frame: sub-swaths of different level, scalloped by their bursts."""
    rows, cols = swath.shape
    angle = swath.incidence
    level = MEAN_NOISE[polarisation] + settings.level
    factor = calibration.sigma_of_columns(cols) ** 2
    step = max(1, round(1.0 / swath.line_interval))
    vectors = []
    for line in np.unique(np.append(np.arange(0, rows, step), rows - 1)):
        seams = _seams(angle, float(swath.line_time(line)))
        pixel, value = _range_values(angle, seams, level)
        vectors.append(RangeVector(int(line), pixel, written(value * factor[pixel])))
    return Noise(tuple(vectors), _blocks(swath, angle, settings))


def _seams(angle: Float, time: float) -> list[tuple[str, int, int]]:
    """Sub-swaths with their first and last column at a time, those in view only."""
    cols = len(angle)
    shift = int(3 * math.floor(time / MERGE_SECONDS) % 7) - 3
    cuts = [int(np.searchsorted(angle, edge)) for edge in EDGES]
    cuts = [cut + shift if 8 < cut < cols - 8 else min(max(cut, 0), cols) for cut in cuts]
    bounds = [0, *cuts, cols]
    return [
        (name, first, last - 1)
        for name, first, last in zip(SUB_SWATHS, bounds[:-1], bounds[1:], strict=True)
        if last > first
    ]


def _range_values(
    angle: Float, seams: list[tuple[str, int, int]], level: float
) -> tuple[Index, Float]:
    """Pixels and noise-equivalent sigma nought of a range vector, with both sides of each seam."""
    limits = np.array([18.9, *EDGES, 47.0])
    pixels, values = [], []
    for name, first, last in seams:
        index = SUB_SWATHS.index(name)
        pixel = np.unique(np.append(np.arange(first, last, TABLE_STEP), last))
        within = (angle[pixel] - limits[index]) / (limits[index + 1] - limits[index]) - 0.5
        curve = 9.0 * within**2
        if name == "EW1":
            # The two humps that the steep beam has in its noise.
            curve = 6.0 * within**2 + 1.5 * np.cos(2 * np.pi * within * 1.6)
        pixels.append(pixel)
        values.append(10 ** ((level + STEPS[index] + curve - 0.75) / 10))
    return np.concatenate(pixels), np.concatenate(values)


def _blocks(swath: RadarSwath, angle: Float, settings: NoiseSettings) -> tuple[Block, ...]:
    """Azimuth noise between the lines at which the seams move."""
    rows = swath.shape[0]
    moves = np.arange(
        math.ceil(swath.start / MERGE_SECONDS), math.floor(swath.stop / MERGE_SECONDS) + 1
    )
    lines = np.ceil((moves * MERGE_SECONDS - swath.start) / swath.line_interval - 1e-9)
    bounds = np.unique(np.concatenate([[0, rows], lines.astype(np.int64)]))
    bounds = bounds[(bounds >= 0) & (bounds <= rows)]
    blocks = []
    for first, end in itertools.pairwise(bounds):
        for name, left, right in _seams(angle, float(swath.line_time(first)) + 1e-6):
            index, top, last = SUB_SWATHS.index(name), int(first), int(end) - 1
            if settings.ragged:
                top = max(top, round(RAGGED[index] / swath.line_interval))
            if top <= last:
                line, value = _scallop(swath, index, top, last)
                value = written(value) if settings.azimuth else np.ones(len(line))
                blocks.append(Block(name, top, left, last, right, line, value))
    return tuple(blocks)


def _scallop(swath: RadarSwath, index: int, first: int, last: int) -> tuple[Index, Float]:
    """Noise factor over the bursts, with values on both sides of where bursts meet."""
    every = np.arange(-(-first // AZIMUTH_STEP) * AZIMUTH_STEP, last + 1, AZIMUTH_STEP)
    phase = swath.line_time(np.arange(first, last + 1)) / BURST_SECONDS + 0.2 * index
    meets = first + np.flatnonzero(np.diff(np.floor(phase)))
    line = np.unique(np.concatenate([[first, last], every, meets, meets + 1])).astype(np.int64)
    within = 2 * (phase[line - first] % 1.0) - 1
    return line, 1 + SCALLOP[index] * within**2


def digital_numbers(
    sigma0: Image, speckle: Image, calibration: Calibration, power: Image
) -> NDArray[np.uint16]:
    """Pixels as the product stores them.

    Parameters
    ----------
    sigma0 : (rows, cols) float32
        True backscatter, linear; NaN where nothing is known.
    speckle : (rows, cols) float32
        Factors of mean 1: echo and noise are both of limited looks.
    calibration : Calibration
        Of the frame.
    power : (rows, cols) float32
        Thermal noise, squared digital numbers; NaN where nothing was received.

    Returns
    -------
    (rows, cols) uint16
        0 is no data.
    """
    factor = (calibration.sigma_of_columns(sigma0.shape[1]) ** 2).astype(np.float32)
    amplitude = np.sqrt((sigma0 * factor + power) * speckle)
    whole = np.clip(np.rint(amplitude), 1, 65535)
    return np.where(np.isfinite(amplitude), whole, 0).astype(np.uint16)
