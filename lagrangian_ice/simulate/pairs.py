"""Two images of ice whose motion between them is known: what matching is measured on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import polygamma

from lagrangian_ice.grid import Float, Grid, lonlat_to_xy
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.simulate.motion import IceMotion, MotionSettings, random_motion
from lagrangian_ice.simulate.render import MIDDLE_INCIDENCE, FieldSettings, IceField, Radar
from lagrangian_ice.simulate.speckle import effective_looks, response_width
from lagrangian_ice.simulate.texture import ice_textures, power_law_noise
from lagrangian_ice.times import SECONDS_PER_DAY

Image = NDArray[np.float32]

START_TIME = 1609459200.0
"""2021-01-01T00:00:00Z, when the source images are taken."""

TEMPLATE = 33
"""Side of the window in which the correlation of a case is meant, pixels."""

DB_PER_NEPER = 10 / np.log(10)


@dataclass(frozen=True)
class PairCase:
    """How difficult a pair is; everything is over the whole time between the images.

    Attributes
    ----------
    rotation : float
        Standard deviation of the plates' rotation, degrees.
    slip : float
        Standard deviation of the plates' own motion along each axis, pixels.
    drift : float
        Mean drift, metres.
    correlation : float
        Mean normalised cross-correlation of 33 px templates at the true place, 0.05 to 0.98.
    plate_size : float
        Distance of neighbouring plate centres, pixels.
    days : float
        Between the images; 1 or more, for what changes in the ice is drawn anew day by day.
    """

    rotation: float = 2.0
    slip: float = 6.0
    drift: float = 6000.0
    correlation: float = 0.89
    plate_size: float = 300.0
    days: float = 1.0

    def __post_init__(self) -> None:
        if not 0.05 <= self.correlation <= 0.98:
            raise ValueError(f"correlation {self.correlation} is not between 0.05 and 0.98")
        if not self.days >= 1:
            raise ValueError(f"days {self.days} is not allowed; use 1 or more")


CASES = {
    "easy": PairCase(),
    "medium": PairCase(rotation=3.0, slip=10.0, drift=12000.0, correlation=0.67),
    "hard": PairCase(rotation=6.0, slip=12.0, drift=24000.0, correlation=0.5),
    "rotation": PairCase(rotation=22.0, slip=10.0, drift=8000.0, correlation=0.5),
    "shear": PairCase(rotation=2.0, slip=40.0, drift=6000.0, correlation=0.82),
}
"""Named difficulties; any of them can be changed with ``dataclasses.replace``."""


@dataclass(frozen=True)
class KnownPair:
    """Two images and the truth.

    Attributes
    ----------
    source, target : GeoImage
        dB, each on its own grid.
    motion : IceMotion
        Material points are positions in the source image.
    source_time, target_time : float
        Seconds since 1970.
    """

    source: GeoImage
    target: GeoImage
    motion: IceMotion
    source_time: float
    target_time: float

    def truth(self, xy: ArrayLike) -> Float:
        """Positions (N, 2) in the target image of the ice at ``xy`` (N, 2) in the source."""
        return self.motion.position(xy, self.target_time)

    def distance_to_crack(self, xy: ArrayLike) -> Float:
        """How far (N,) positions (N, 2) in the source image are from the nearest crack, metres."""
        xy = np.asarray(xy, dtype=np.float64)
        margin = np.empty(len(xy))
        plates = self.motion.plate_of(xy)
        for plate in np.unique(plates):
            own = plates == plate
            margin[own] = self.motion.margin(int(plate), xy[own])
        return margin

    def observable(self, xy: ArrayLike, half_width: float = 0.0) -> NDArray[np.bool_]:
        """Whether templates of ``half_width`` metres at ``xy`` lie on one plate in both images."""
        xy = np.asarray(xy, dtype=np.float64)
        ok = self.distance_to_crack(xy) > half_width * np.sqrt(2)
        for dx, dy in ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)):
            corner = xy + np.array([dx, dy]) * half_width
            ok &= self.source.grid.contains(corner)
            ok &= self.target.grid.contains(self.truth(corner))
            ok &= self.motion.visible(corner, self.target_time)
        return np.asarray(ok)


def known_motion_pair(
    seed: int,
    case: str | PairCase = "easy",
    shape: tuple[int, int] = (1024, 1024),
    pixel: float = 100.0,
    texture: Image | None = None,
    polarisations: tuple[str, ...] = ("HH", "HV"),
) -> KnownPair:
    """Make two images of ice between which plates drift, turn and slip as known.

    The second image's grid follows the mean drift, by whole pixels. Noise is of two kinds,
    speckle and a texture that has changed, in the amounts that give the correlation asked for.

    Parameters
    ----------
    seed : int
        Of the ice, its motion, speckle and changes.
    case : str or PairCase
        A name in ``CASES`` or settings of one's own.
    shape : tuple of int
        Rows, columns of both images.
    pixel : float
        Metres.
    texture : (rows, cols) float32, optional
        dB; used in place of simulated ice, for example a real scene at this pixel. Its size
        replaces ``shape``, it is seen in HH alone and the ice ends where it ends.
    polarisations : tuple of str
        ``("HH",)`` or ``("HH", "HV")``.

    Returns
    -------
    KnownPair

    Raises
    ------
    ValueError
        If the case is unknown, the texture is not two-dimensional or has no usable pixel.
    """
    chosen = _chosen(case)
    if texture is not None:
        shape, polarisations = _texture_shape(texture), ("HH",)
    if polarisations not in (("HH",), ("HH", "HV")):
        raise ValueError(f"polarisations {polarisations} are not ('HH',) or ('HH', 'HV')")
    rng = np.random.default_rng([seed, 11])
    source_grid = _source_grid(shape, pixel)
    motion = _pair_motion(chosen, source_grid, rng)
    later = START_TIME + chosen.days * SECONDS_PER_DAY
    target_grid = _following(source_grid, motion, later)
    ice_grid, ice = _ice(texture, source_grid, motion, target_grid, later, rng, len(polarisations))
    looks, changing = _noise(ice[0], chosen.correlation, pixel, rng)
    settings = FieldSettings(changing=changing, memory=0.0)
    field = IceField(motion, ice_grid, ice, seed, settings)
    radar = Radar(looks=looks, width=response_width(pixel), noise=-30.0)
    source = _image("source", field, source_grid, START_TIME, radar, polarisations, rng)
    target = _image("target", field, target_grid, later, radar, polarisations, rng)
    return KnownPair(source, target, motion, START_TIME, later)


def _chosen(case: str | PairCase) -> PairCase:
    if isinstance(case, PairCase):
        return case
    if case not in CASES:
        raise ValueError(f"case {case!r} is unknown; there are {', '.join(CASES)}")
    return CASES[case]


def _texture_shape(texture: Image) -> tuple[int, int]:
    if texture.ndim != 2 or min(texture.shape) < 4 * TEMPLATE:
        raise ValueError(
            f"texture has shape {texture.shape}; two dimensions of at least {4 * TEMPLATE} "
            "pixels are needed"
        )
    if np.isfinite(texture).mean() < 0.1:
        raise ValueError("texture is missing (NaN) in more than 90 % of its pixels")
    return (int(texture.shape[0]), int(texture.shape[1]))


def _source_grid(shape: tuple[int, int], pixel: float) -> Grid:
    """Grid about a place in the central Arctic, on whole multiples of the pixel."""
    x, y = lonlat_to_xy([-150.0, 82.0])
    west, north = np.floor(x / pixel) * pixel, np.floor(y / pixel) * pixel
    rows, cols = shape
    return Grid.covering(
        (west, north - rows * pixel + pixel / 2, west + cols * pixel - pixel / 2, north), pixel
    )


def _pair_motion(case: PairCase, grid: Grid, rng: np.random.Generator) -> IceMotion:
    settings = MotionSettings(
        plate_size=case.plate_size * grid.pixel,
        drift=case.drift / case.days,
        rotation=case.rotation / case.days,
        slip=case.slip * grid.pixel / case.days,
        opening=0.003 / case.days,
        strain=0.002 / case.days,
        variability=0.0,
        event=0.0,
    )
    # The plates must reach to wherever the target's grid lies.
    west, south, east, north = grid.bounds
    reach = 0.3 * min(east - west, north - south)
    bounds = (west - reach, south - reach, east + reach, north + reach)
    return random_motion(bounds, START_TIME, case.days, rng, settings)


def _following(grid: Grid, motion: IceMotion, time: float) -> Grid:
    drift = motion.drift.value(time - motion.reference_time)
    moved = np.rint(drift / grid.pixel) * grid.pixel
    return dataclasses.replace(grid, x0=float(grid.x0 + moved[0]), y0=float(grid.y0 + moved[1]))


def _ice(
    texture: Image | None,
    source_grid: Grid,
    motion: IceMotion,
    target_grid: Grid,
    time: float,
    rng: np.random.Generator,
    bands: int,
) -> tuple[Grid, Image]:
    """Grid and texture (bands, rows, cols) of all ice that is seen in the two images."""
    if texture is not None:
        return source_grid, np.asarray(texture, dtype=np.float32)[None]
    bounds = material_bounds(motion, outline(target_grid), time, source_grid.bounds)
    grid = Grid.covering(bounds, source_grid.pixel)
    return grid, ice_textures(grid.shape, rng, grid.pixel)[:bands]


def outline(grid: Grid) -> Float:
    """Positions (N, 2) on a net over a grid, its outermost pixels included."""
    row = np.linspace(0, grid.shape[0] - 1, 60)
    col = np.linspace(0, grid.shape[1] - 1, 60)
    return grid.xy(np.stack(np.meshgrid(row, col, indexing="ij"), -1).reshape(-1, 2))


def material_bounds(
    motion: IceMotion,
    xy: Float,
    time: ArrayLike,
    others: tuple[float, float, float, float] | None = None,
) -> tuple[float, float, float, float]:
    """Bounds of the material points at map positions (N, 2), with a margin, and of others."""
    found, _ = motion.material(xy, time)
    found = found[np.isfinite(found[:, 0])]
    margin = 0.2 * motion_scale(motion)
    low, high = found.min(axis=0) - margin, found.max(axis=0) + margin
    if others is not None:
        low, high = np.minimum(low, others[:2]), np.maximum(high, others[2:])
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def motion_scale(motion: IceMotion) -> float:
    """Typical distance of neighbouring plate centres, metres."""
    nearest = [
        np.linalg.norm(motion.centres[near] - motion.centres[plate], axis=1).min()
        for plate, near in enumerate(motion.neighbours)
    ]
    return float(np.median(nearest))


def _noise(
    ice: Image, correlation: float, pixel: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Find looks and standard deviation of the changed texture for a mean correlation."""
    signal = local_variance(ice)
    signal = signal[np.isfinite(signal) & (signal > 0)]

    def excess(noise: float) -> float:
        return float((signal / (signal + noise)).mean() - correlation)

    noise = brentq(excess, 1e-6, 1e5)
    speckle_variance = float(DB_PER_NEPER**2 * polygamma(1, effective_looks(pixel)))
    # Where the texture is weak, speckle alone would spoil the correlation: leave it a part.
    speckle_variance = min(speckle_variance, 0.7 * noise)
    changed = power_law_noise((8 * TEMPLATE, 8 * TEMPLATE), rng, 1.5, 10000.0 / pixel)[0]
    within = float(np.nanmean(local_variance(changed)))
    changing = np.sqrt((noise - speckle_variance) / within)
    return DB_PER_NEPER**2 / speckle_variance + 0.5, float(changing)


def local_variance(image: Image) -> Image:
    """Variance within templates at a net of places; NaN where a template has missing pixels."""
    # The blur keeps running sums, which a missing pixel would never leave again.
    missing = ~np.isfinite(image)
    centred = np.where(missing, 0.0, image - np.nanmean(image))
    mean, square, share = (
        cv2.blur(values, (TEMPLATE, TEMPLATE))
        for values in (centred, centred**2, missing.astype(np.float64))
    )
    variance = np.where(share < 0.5 / TEMPLATE**2, square - mean**2, np.nan)
    half = TEMPLATE // 2
    inner = (slice(half, -half, half), slice(half, -half, half))
    return np.asarray(variance[inner], dtype=np.float32)


def _image(
    name: str,
    field: IceField,
    grid: Grid,
    time: float,
    radar: Radar,
    polarisations: tuple[str, ...],
    rng: np.random.Generator,
) -> GeoImage:
    rows, cols = grid.shape
    net = np.stack(np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij"), -1)
    sigma0 = field.sigma0(grid.xy(net), np.full(rows, time))
    linear = radar.observe(sigma0, np.full(cols, MIDDLE_INCIDENCE), rng)
    nodes = (-(-(rows - 1) // TIME_STRIDE) + 1, -(-(cols - 1) // TIME_STRIDE) + 1)
    return GeoImage(
        pass_id=name,
        scene_ids=(name,),
        grid=grid,
        polarisations=polarisations,
        units="db",
        data=np.asarray(10 * np.log10(linear), dtype=np.float32),
        land=np.zeros(grid.shape, dtype=bool),
        node_time=np.full(nodes, time),
    )
