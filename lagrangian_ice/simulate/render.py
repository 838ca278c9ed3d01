"""What a radar would see of moving ice: backscatter on any map positions at any time.

The ice carries a texture that is fixed to its material points and a part of it that changes from
day to day. Leads that open show a dark texture of their own, overlaps of plates show as ridges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.simulate.motion import IceMotion
from lagrangian_ice.simulate.picture import picture_textures
from lagrangian_ice.simulate.speckle import effective_looks, response_width, speckle
from lagrangian_ice.simulate.texture import ice_textures, power_law_noise
from lagrangian_ice.times import SECONDS_PER_DAY

Image = NDArray[np.float32]

COARSE = 16
"""Pixels between the positions at which it is first found out where each plate lies."""

CHANGE_SIZE = 1024
"""Side of the periodic field of changes, pixels: its period is further than ice is matched."""

FORGOTTEN = 0.03
"""Share of a day's change below which later days do without it."""

LEAD_SIZE = 512
"""Side of the periodic texture of leads, pixels."""

RIDGE_WIDTH = 300.0
"""Distance from the seam of overlapping plates at which a ridge's brightness has faded, metres."""

HH_TREND, HV_TREND = -0.24, -0.1
"""Change of backscatter with incidence angle, dB per degree."""

MIDDLE_INCIDENCE = 35.0
"""Incidence angle at which textures hold, degrees."""


@dataclass(frozen=True)
class FieldSettings:
    """What the ice and the radar add to motion.

    Attributes
    ----------
    changing : float
        Standard deviation of the part of the texture that changes in time, dB.
    memory : float
        Correlation of that part with itself a day later, 0 to 1, at whole days from the
        reference time. Between them it is interpolated, and alike for longer: at noon 0.8 for
        a memory of 0.6.
    lead : float
        Backscatter of new leads in HH, dB.
    ridge : float
        Brightening where plates overlap, dB.
    """

    changing: float = 0.6
    memory: float = 0.6
    lead: float = -21.0
    ridge: float = 3.5

    def __post_init__(self) -> None:
        if not self.changing >= 0:
            raise ValueError(f"changing {self.changing} dB is negative")
        if not 0 <= self.memory <= 1:
            raise ValueError(f"memory {self.memory} is not between 0 and 1")


@dataclass(frozen=True)
class IceField:
    """Ice with a texture and a motion.

    Attributes
    ----------
    motion : IceMotion
        Where every material point is.
    grid : Grid
        Of the texture, in positions at the reference time.
    texture : (bands, rows, cols) float32
        HH or HH and HV, dB, at the middle of the swath.
    seed : int
        Of the part that changes in time and of the leads.
    settings : FieldSettings
        Strength of the changes, leads and ridges.
    """

    motion: IceMotion
    grid: Grid
    texture: Image
    seed: int
    settings: FieldSettings = FieldSettings()

    def __post_init__(self) -> None:
        if self.texture.ndim != 3 or self.texture.shape[1:] != self.grid.shape:
            raise ValueError(
                f"texture has shape {self.texture.shape}, not (bands, "
                f"{self.grid.shape[0]}, {self.grid.shape[1]}) as its grid"
            )

    def sigma0(self, xy: Float, line_time: Float) -> Image:
        """Backscatter that ice and leads have, without speckle, noise and incidence trend.

        Parameters
        ----------
        xy : (rows, cols, 2) float64
            Map positions, metres.
        line_time : (rows,) float64
            Seconds since 1970.

        Returns
        -------
        (bands, rows, cols) float32
            dB; NaN where the texture does not reach.
        """
        place = find_plates(self.motion, xy, line_time, self.grid.pixel)
        texture = self._texture_at(float(line_time.mean()))
        image = np.stack([sample(band, self.grid, place.material) for band in texture])
        self._add_ridges(image, place)
        self._add_leads(image, place, xy, line_time)
        return image

    def _texture_at(self, time: float) -> Image:
        if self.settings.changing == 0:
            return self.texture
        rows, cols = self.grid.shape
        change = self._change(time)
        change = np.float32(self.settings.changing) * change
        repeats = (1, -(-rows // CHANGE_SIZE), -(-cols // CHANGE_SIZE))
        return self.texture + np.tile(change, repeats)[:, :rows, :cols]

    def _change(self, time: float) -> Image:
        """Draw a periodic autoregressive field of unit variance with nodes a day apart."""
        days = (time - self.motion.reference_time) / SECONDS_PER_DAY
        node = int(np.floor(days))
        weight, memory = days - node, self.settings.memory
        now, later = self._node_field(node), self._node_field(node + 1)
        norm = np.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * memory)
        mixed = ((1 - weight) * now + weight * later) / norm
        return np.asarray(mixed, dtype=np.float32)

    def _node_field(self, node: int) -> Image:
        """Sum of all that is still remembered of the days up to this one."""
        memory = self.settings.memory
        if memory in (0.0, 1.0):
            return self._innovation(0 if memory else node)
        days = math.ceil(math.log(FORGOTTEN) / math.log(memory))
        weights = np.sqrt(1 - memory**2) * memory ** np.arange(days)
        weights /= np.linalg.norm(weights)
        field = np.zeros((len(self.texture), CHANGE_SIZE, CHANGE_SIZE), np.float32)
        for day, weight in enumerate(weights):
            field += np.float32(weight) * self._innovation(node - day)
        return field

    def _innovation(self, node: int) -> Image:
        return _fresh_change(self.seed, node, self.grid.pixel)[: len(self.texture)]

    def _add_ridges(self, image: Image, place: Placement) -> None:
        overlap = np.clip(place.second / self.grid.pixel, 0, 1)
        seam = np.exp(-(place.best - place.second) / RIDGE_WIDTH)
        image += (self.settings.ridge * overlap * seam).astype(np.float32)

    def _add_leads(self, image: Image, place: Placement, xy: Float, line_time: Float) -> None:
        cover = np.clip(place.best / self.grid.pixel + 0.5, 0, 1)
        cover += np.clip(place.second / self.grid.pixel + 0.5, 0, 1)
        row, col = np.nonzero(cover < 1)
        if not len(row):
            return
        rng = np.random.default_rng([self.seed, 7])
        rough = power_law_noise((LEAD_SIZE, LEAD_SIZE), rng, 1.8, 64.0)
        matrix, shift = self.motion.carried_affine(line_time)
        carried = np.einsum("nij,nj->ni", matrix[row], xy[row, col] - self.motion.origin)
        pixels = (carried + shift[row]) / self.grid.pixel
        share = cover[row, col]
        for index, (level, field) in enumerate(zip((0.0, -6.0), rough, strict=True)):
            if index >= len(image):
                break
            rough_db = 1.2 * map_coordinates(field, pixels.T, order=1, mode="grid-wrap")
            lead = 10 ** ((self.settings.lead + level + rough_db) / 10)
            ice = 10 ** (np.nan_to_num(image[index, row, col], nan=-99.0) / 10)
            mixed = 10 * np.log10(share * ice + (1 - share) * lead)
            image[index, row, col] = np.where(np.isnan(image[index, row, col]), np.nan, mixed)


@lru_cache(maxsize=16)
def _fresh_change(seed: int, node: int, pixel: float) -> Image:
    """Two fields of what is new on a day; kept, because the days after remember it."""
    # Negative days come before the reference time; seeds may not be negative.
    rng = np.random.default_rng([seed, 6, node + 1_000_000])
    fields = power_law_noise((CHANGE_SIZE, CHANGE_SIZE), rng, 1.5, 10000.0 / pixel)
    both = np.stack(fields)
    both.flags.writeable = False
    return both


@dataclass(frozen=True)
class Placement:
    """Which ice lies at the pixels of an image.

    Attributes
    ----------
    material : (rows, cols, 2) float64
        Material point of the plate on top, or of the nearest plate where a lead is open.
    best : (rows, cols) float32
        How far inside that plate's edge, metres; negative in leads.
    second : (rows, cols) float32
        The same for the second plate: positive where two plates overlap.
    """

    material: Float
    best: Image
    second: Image


def find_plates(motion: IceMotion, xy: Float, line_time: Float, pixel: float) -> Placement:
    """Find the plate on top and its material points for all pixels of an image.

    Parameters
    ----------
    motion : IceMotion
        The motion.
    xy : (rows, cols, 2) float64
        Map positions, metres.
    line_time : (rows,) float64
        Seconds since 1970.
    pixel : float
        Distance of neighbouring pixels, metres.
    """
    rows, cols = xy.shape[:2]
    material = np.full((rows, cols, 2), np.nan)
    best = np.full((rows, cols), -np.inf, dtype=np.float32)
    second = best.copy()
    # The margin changes by at most about twice the way from one coarse position to the next.
    slack = 4.0 * COARSE * pixel
    coarse_row = np.unique(np.append(np.arange(0, rows, COARSE), rows - 1))
    coarse_col = np.unique(np.append(np.arange(0, cols, COARSE), cols - 1))
    coarse_xy, coarse_time = xy[np.ix_(coarse_row, coarse_col)], line_time[coarse_row]
    for plate in range(len(motion.centres)):
        margin = motion.margin(plate, _taken_back(motion, plate, coarse_xy, coarse_time))
        near_row, near_col = np.nonzero(margin > -slack)
        if not len(near_row):
            continue
        r0, r1 = _around(coarse_row, near_row)
        c0, c1 = _around(coarse_col, near_col)
        window = (slice(r0, r1), slice(c0, c1))
        candidate = _taken_back(motion, plate, xy[window], line_time[r0:r1])
        # Half the precision, to some centimetres, is enough for where a crack runs.
        margin = motion.margin(plate, candidate.astype(np.float32))
        better = margin > best[window]
        second[window] = np.maximum(second[window], np.where(better, best[window], margin))
        best[window] = np.where(better, margin, best[window])
        np.copyto(material[window], candidate, where=better[..., None])
    return Placement(material, best, second)


def _around(nodes: NDArray[np.intp], near: NDArray[np.intp]) -> tuple[int, int]:
    """Pixels from the node before the first to the node after the last of some nodes."""
    first, last = max(near.min() - 1, 0), min(near.max() + 1, len(nodes) - 1)
    return int(nodes[first]), int(nodes[last]) + 1


def _taken_back(motion: IceMotion, plate: int, xy: Float, line_time: Float) -> Float:
    matrix, shift = motion.inverse_affine(plate, line_time)
    x, y = xy[..., 0] - motion.origin[0], xy[..., 1] - motion.origin[1]
    back = np.empty_like(xy)
    for axis in range(2):
        row = matrix[:, axis, :, None]
        back[..., axis] = row[:, 0] * x + row[:, 1] * y
        back[..., axis] += shift[:, axis, None] + motion.origin[axis]
    return back


def sample(band: Image, grid: Grid, xy: Float) -> Image:
    """Cubic spline of a band at map positions.

    Parameters
    ----------
    band : (rows, cols) float32
        Values; NaN allowed.
    grid : Grid
        Of the band.
    xy : (..., 2) float64
        Map positions, metres.

    Returns
    -------
    (...) float32
        NaN outside of the grid and beside NaN.
    """
    rowcol = grid.rowcol(xy)
    missing = ~np.isfinite(band)
    outside = ~np.all((rowcol >= 0) & (rowcol <= np.asarray(grid.shape) - 1.0), axis=-1)
    filled = np.where(missing, band[~missing].mean(), band) if missing.any() else band
    coefficients = spline_filter(filled, order=3, output=np.float32, mode="mirror")
    places = np.moveaxis(np.where(outside[..., None], 0.0, rowcol), -1, 0)
    values = map_coordinates(
        coefficients, places, order=3, mode="mirror", prefilter=False, output=np.float32
    )
    if missing.any():
        outside |= map_coordinates(missing.astype(np.float32), places, order=1) > 0
    values[outside] = np.nan
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Radar:
    """The instrument's part in the image.

    Attributes
    ----------
    looks : float
        Equivalent looks of a pixel.
    width : float
        Correlation width of the speckle, pixels.
    noise : float
        Mean noise-equivalent sigma nought, dB.
    trend : tuple of float
        Change of HH and HV with incidence angle, dB per degree.
    """

    looks: float
    width: float
    noise: float = -28.0
    trend: tuple[float, float] = (HH_TREND, HV_TREND)

    @classmethod
    def extra_wide(cls, pixel: float) -> Radar:
        """Sentinel-1 EW GRDM averaged to larger pixels (metres)."""
        return cls(looks=effective_looks(pixel), width=response_width(pixel))

    def observe(self, sigma0: Image, incidence: Float, rng: np.random.Generator) -> Image:
        """Image of ice with trend, noise floor and speckle.

        Parameters
        ----------
        sigma0 : (bands, rows, cols) float32
            dB, of the ice at the middle of the swath.
        incidence : (cols,) float64
            Incidence angle, degrees.
        rng : numpy.random.Generator
            Source of the speckle.

        Returns
        -------
        (bands, rows, cols) float32
            Linear sigma nought with its noise, always positive; NaN stays.
        """
        floor = 10 ** (self.noise_profile(incidence) / 10)
        image = np.empty_like(sigma0)
        for band, trend, out in zip(sigma0, self.trend, image, strict=False):
            ice = _with_trend(band, trend, incidence)
            out[:] = (ice + floor) * speckle(band.shape, rng, self.looks, self.width)
        return image

    def backscatter(self, sigma0: Image, incidence: Float) -> Image:
        """Linear sigma nought (bands, rows, cols) of ice, with its trend but nothing else.

        Parameters
        ----------
        sigma0 : (bands, rows, cols) float32
            dB, of the ice at the middle of the swath.
        incidence : (cols,) float64
            Incidence angle, degrees.
        """
        image = np.empty_like(sigma0)
        for band, trend, out in zip(sigma0, self.trend, image, strict=False):
            out[:] = _with_trend(band, trend, incidence)
        return image

    def draw_speckle(self, shape: tuple[int, int, int], rng: np.random.Generator) -> Image:
        """Speckle (bands, rows, cols) of mean 1, independent in the bands."""
        bands, rows, cols = shape
        drawn = np.empty(shape, dtype=np.float32)
        for band in range(bands):
            drawn[band] = speckle((rows, cols), rng, self.looks, self.width)
        return drawn

    def noise_profile(self, incidence: Float) -> Float:
        """Noise-equivalent sigma nought (dB) at incidence angles: an arch in each sub-swath."""
        edges = np.array([18.9, 28.1, 33.4, 38.2, 42.4, 47.0])
        last = len(edges) - 2
        swath = np.clip(np.searchsorted(edges, incidence, side="right") - 1, 0, last)
        within = (incidence - edges[swath]) / (edges[swath + 1] - edges[swath])
        step = np.array([1.5, -0.5, 0.2, -0.6, 0.4])[swath]
        return np.asarray(self.noise + step + 6.0 * (np.clip(within, 0, 1) - 0.5) ** 2 - 0.5)


def _with_trend(band: Image, trend: float, incidence: Float) -> Float:
    """Linear sigma nought of a band (rows, cols) in dB, with a trend in dB per degree."""
    return np.asarray(10 ** ((band + trend * (incidence - MIDDLE_INCIDENCE)) / 10))


def make_field(
    motion: IceMotion,
    bounds: tuple[float, float, float, float],
    pixel: float,
    seed: int,
    settings: FieldSettings | None = None,
    picture: Path | None = None,
) -> IceField:
    """Ice of random texture in HH and HV, or of that of a picture.

    Parameters
    ----------
    motion : IceMotion
        Its motion.
    bounds : tuple of float
        xmin, ymin, xmax, ymax of the ice at the reference time, metres.
    pixel : float
        Of the texture, metres.
    seed : int
        Of the texture and all that changes.
    settings : FieldSettings, optional
        Strength of the changes.
    picture : Path, optional
        Raster to be the texture in place of a random one, as :func:`picture_textures` takes it.
    """
    grid = Grid.covering(bounds, pixel)
    if picture is None:
        texture = ice_textures(grid.shape, np.random.default_rng([seed, 1]), pixel)
    else:
        texture = picture_textures(picture, grid.shape)
    return IceField(motion, grid, texture, seed, settings or FieldSettings())
