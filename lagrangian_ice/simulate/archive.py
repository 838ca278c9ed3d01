"""A small archive of scenes of simulated ice, with its truth."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS

from lagrangian_ice.errors import WorkspaceError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.grid import Float, lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.motion import MotionSettings, random_motion
from lagrangian_ice.simulate.picture import picture_textures
from lagrangian_ice.simulate.radar_swath import (
    RadarSwath,
    ground_between,
    incidence_beyond,
    plan_radar_swath,
)
from lagrangian_ice.simulate.render import FieldSettings, IceField, Radar, make_field
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame
from lagrangian_ice.simulate.swath import Swath
from lagrangian_ice.simulate.truth import TRUTH_NAME, AnySwath, Truth, write_truth
from lagrangian_ice.times import SECONDS_PER_DAY, from_seconds, to_seconds

Image = NDArray[np.float32]
Format = Literal["geotiff", "safe", "safe-zip"]

CENTRE = (-150.0, 80.0)
"""Longitude, latitude of the middle of the area: deep sea, far from land."""

ORBIT_SECONDS = 98.74 * 60
INCLINATION_SINE = 0.1423
"""Size of the cosine of Sentinel-1's inclination, which sets its heading at each latitude."""

NEAREST, FARTHEST = 19.5, 46.5
"""Incidence angles of the edges of an EW swath, degrees."""

FULL_SWATH = 400e3
"""Width of an EW swath, metres."""

POINT_SPACING = 5000.0
"""Of the material points in the truth file, metres."""


@dataclass(frozen=True)
class ArchiveSettings:
    """What an archive looks like.

    Attributes
    ----------
    area_km : float
        Side of the area that the passes are about, 40 to 1000 km.
    pixel : float
        Of the scenes, 40 to 400 m.
    passes_per_day : int
        1 to 12.
    motion : MotionSettings
        How the ice moves.
    ice : FieldSettings
        How its texture changes.
    format : {"geotiff", "safe", "safe-zip"}
        GeoTIFFs of backscatter on straight lines, or products of a radar on an orbit.
    noise : NoiseSettings
        Thermal noise of SAFE products.
    texture : Path, optional
        Picture to be the ice's texture, as
        :func:`lagrangian_ice.simulate.picture.picture_textures` takes it.
    """

    area_km: float = 200.0
    pixel: float = 100.0
    passes_per_day: int = 3
    motion: MotionSettings = field(default_factory=MotionSettings)
    ice: FieldSettings = field(default_factory=FieldSettings)
    format: Format = "geotiff"
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    texture: Path | None = None

    def __post_init__(self) -> None:
        if not 40 <= self.area_km <= 1000:
            raise ValueError(f"area {self.area_km} km is not between 40 and 1000")
        if not 40 <= self.pixel <= 400:
            raise ValueError(f"pixel {self.pixel} m is not between 40 and 400")
        if not 1 <= self.passes_per_day <= 12:
            raise ValueError(f"passes_per_day {self.passes_per_day} is not between 1 and 12")
        if self.format not in get_args(Format):
            allowed = ", ".join(get_args(Format))
            raise ValueError(f"format {self.format!r} is not one of {allowed}")


@dataclass(frozen=True)
class PassPlan:
    """A pass to be simulated.

    Attributes
    ----------
    swath : Swath or RadarSwath
        The whole pass.
    platform : str
        ``S1A`` or ``S1B``.
    orbit : int
        Absolute orbit number.
    datatake : int
        Number of the datatake.
    frames : tuple of (int, int)
        First line and number of lines of each frame.
    """

    swath: AnySwath
    platform: str
    orbit: int
    datatake: int
    frames: tuple[tuple[int, int], ...]


def simulate_archive(
    directory: Path,
    days: float,
    seed: int,
    start: datetime,
    area_km: float = 200.0,
    pixel: float = 100.0,
    format: Format = "geotiff",  # noqa: A002
    texture: Path | None = None,
) -> list[Path]:
    """Write scenes of drifting ice from several passes a day, and ``truth.nc``.

    Parameters
    ----------
    directory : Path
        Made where missing; must not hold an archive yet.
    days : float
        Length of the record, more than 0 and at most 400.
    seed : int
        The same seed and settings give the same pixels.
    start : datetime
        Beginning of the record, UTC.
    area_km : float
        Side of the area that the passes are about, 40 to 1000 km.
    pixel : float
        Of the scenes, 40 to 400 m.
    format : {"geotiff", "safe", "safe-zip"}
        Of the scenes: GeoTIFFs, SAFE folders or SAFE zips.
    texture : Path, optional
        Picture to be the ice's texture in place of a random one: any raster; its pixels are
        those of the ice.

    Returns
    -------
    list of Path
        The scenes in time order.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    WorkspaceError
        If the directory cannot be written or holds an archive already.
    SceneError
        If the picture cannot be read.
    """
    settings = ArchiveSettings(area_km=area_km, pixel=pixel, format=format, texture=texture)
    return [path for path, _, _ in write_archive(directory, days, seed, start, settings)]


def write_archive(
    directory: Path, days: float, seed: int, start: datetime, settings: ArchiveSettings
) -> Iterator[tuple[Path, int, int]]:
    """Write an archive as :func:`simulate_archive`, telling after each scene how far it is.

    Parameters
    ----------
    directory, days, seed, start
        As there.
    settings : ArchiveSettings
        Size of the area, pixel, passes a day, strength of the motion.

    Yields
    ------
    path : Path
        Of the scene.
    done, total : int
        Scenes written, scenes in all.
    """
    _check_record(days, seed, start)
    if settings.texture is not None:
        picture_textures(settings.texture, (1, 1))
    _prepare(directory)
    truth, plans = plan_archive(days, seed, start, settings)
    total = sum(len(plan.frames) for plan in plans)
    ice = _ice(truth, seed, settings)
    done = 0
    for index, plan in enumerate(plans):
        rng = np.random.default_rng([seed, 4, index])
        unique = [np.random.default_rng([seed, 5, index, k]) for k in range(len(plan.frames))]
        write = _write_geotiffs if isinstance(plan.swath, Swath) else _write_products
        for path in write(directory, ice, plan, settings, rng, unique):
            done += 1
            yield path, done, total
    # Last, so that a folder with a truth is an archive that is complete.
    write_truth(directory / TRUTH_NAME, truth, _points(settings))


def plan_archive(
    days: float, seed: int, start: datetime, settings: ArchiveSettings
) -> tuple[Truth, list[PassPlan]]:
    """Decide on the motion and the passes without making any image."""
    _check_record(days, seed, start)
    begin = to_seconds(start)
    x, y = lonlat_to_xy(CENTRE)
    half = 0.5e3 * settings.area_km
    # Passes reach beyond the area, and ice drifts in: cracks are needed there too.
    reach = 1.7 * half
    bounds = (x - reach, y - reach, x + reach, y + reach)
    rng = np.random.default_rng([seed, 2])
    motion = random_motion(bounds, begin, days, rng, settings.motion)
    plans = _plan_passes(begin, days, np.random.default_rng([seed, 3]), settings)
    return Truth(motion, tuple(plan.swath for plan in plans)), plans


def _check_record(days: float, seed: int, start: datetime) -> None:
    if not 0 < days <= 400:
        raise ValueError(f"days {days} is not more than 0 and at most 400")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative")
    latest = datetime.now(UTC) - timedelta(days=days)
    if not datetime(1970, 1, 1, tzinfo=UTC) <= start <= latest:
        raise ValueError(
            f"start {start:%Y-%m-%d %H:%M}: scenes of {days:g} days from then are not all between "
            "1970 and now, and would be refused; use another start"
        )


def _plan_passes(
    begin: float, days: float, rng: np.random.Generator, settings: ArchiveSettings
) -> list[PassPlan]:
    count = max(2, round(days * settings.passes_per_day))
    slot = days * SECONDS_PER_DAY / count
    first_orbit, first_take = int(rng.integers(20000, 40000)), int(rng.integers(0x20000, 0x40000))
    plans = []
    for index in range(count):
        time = begin + (index + rng.uniform(0.2, 0.7)) * slot
        ascending = index % 2 == 0 if rng.random() < 0.7 else bool(rng.random() < 0.5)
        plan = _plan_swath if settings.format == "geotiff" else _plan_radar_swath
        swath = plan(time, ascending, rng, settings)
        plans.append(
            PassPlan(
                swath=swath,
                platform="S1A" if rng.random() < 0.5 else "S1B",
                orbit=first_orbit + round((time - begin) / ORBIT_SECONDS),
                datatake=first_take + 40 * index + int(rng.integers(0, 40)),
                frames=_frames(swath.shape[0], index, rng),
            )
        )
    return plans


def _plan_swath(
    time: float, ascending: bool, rng: np.random.Generator, settings: ArchiveSettings
) -> Swath:
    area = 1e3 * settings.area_km
    offset = rng.uniform(-0.12, 0.12, 2) * area
    longitude, latitude = xy_to_lonlat(lonlat_to_xy(CENTRE) + offset)
    turn = math.degrees(math.asin(min(INCLINATION_SINE / math.cos(math.radians(latitude)), 1.0)))
    heading = (360.0 - turn if ascending else 180.0 + turn) + rng.uniform(-6.0, 6.0)
    width, length = rng.uniform(0.8, 0.95) * area, rng.uniform(0.95, 1.15) * area
    span = (FARTHEST - NEAREST) * min(width / FULL_SWATH, 1.0)
    near = rng.uniform(NEAREST, FARTHEST - span)
    shape = (round(length / settings.pixel), round(width / settings.pixel))
    return Swath(
        longitude=float(longitude),
        latitude=float(latitude),
        heading=float(heading),
        pixel=settings.pixel,
        shape=shape,
        start=float(time),
        near_incidence=float(near),
        far_incidence=float(near + span),
    )


def _plan_radar_swath(
    time: float, ascending: bool, rng: np.random.Generator, settings: ArchiveSettings
) -> RadarSwath:
    """Part of an EW swath over the area; the orbit gives the heading."""
    area = 1e3 * settings.area_km
    offset = rng.uniform(-0.12, 0.12, 2) * area
    lonlat = xy_to_lonlat(lonlat_to_xy(CENTRE) + offset)
    full = ground_between(lonlat, NEAREST, FARTHEST)
    width = min(rng.uniform(0.8, 0.95) * area, full)
    length = rng.uniform(0.95, 1.15) * area
    near = incidence_beyond(lonlat, NEAREST, rng.uniform(0.0, full - width))
    return plan_radar_swath(lonlat, time, ascending, near, (length, width), settings.pixel)


def _frames(lines: int, index: int, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """One frame, two that abut, or two that share some lines, in turn."""
    if index % 3 == 0:
        return ((0, lines),)
    cut = int(lines * rng.uniform(0.35, 0.65))
    shared = 0 if index % 3 == 1 else 25
    return ((0, cut + shared), (cut, lines - cut))


def _ice(truth: Truth, seed: int, settings: ArchiveSettings) -> IceField:
    """Ice wherever one of the passes looks."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for swath in truth.swaths:
        rows, cols = swath.shape
        net = np.meshgrid(np.linspace(0, rows - 1, 40), np.linspace(0, cols - 1, 40), indexing="ij")
        rowcol = np.stack(net, -1).reshape(-1, 2)
        material, _ = truth.motion.material(swath.xy(rowcol), swath.line_time(rowcol[:, 0]))
        low = np.minimum(low, np.nanmin(material, axis=0))
        high = np.maximum(high, np.nanmax(material, axis=0))
    # Leads at the edges of the net leave a little more ice to be looked at than it shows.
    margin = 5000.0
    bounds = (
        float(low[0] - margin),
        float(low[1] - margin),
        float(high[0] + margin),
        float(high[1] + margin),
    )
    return make_field(truth.motion, bounds, settings.pixel, seed, settings.ice, settings.texture)


def _write_geotiffs(
    directory: Path,
    ice: IceField,
    plan: PassPlan,
    settings: ArchiveSettings,
    rng: np.random.Generator,
    unique: Sequence[np.random.Generator],
) -> Iterator[Path]:
    del settings
    swath = plan.swath
    if not isinstance(swath, Swath):
        raise TypeError(f"GeoTIFFs are made of straight swaths, not of {type(swath).__name__}")
    sigma0 = ice.sigma0(swath.all_xy(), swath.line_times)
    image = Radar.extra_wide(swath.pixel).observe(sigma0, swath.incidence, rng)
    for (first, rows), number in zip(plan.frames, unique, strict=True):
        path = directory / _name(plan, (first, rows), number)
        _write_scene(path, image[:, first : first + rows], swath.frame(first, rows))
        yield path


def _write_products(
    directory: Path,
    ice: IceField,
    plan: PassPlan,
    settings: ArchiveSettings,
    rng: np.random.Generator,
    unique: Sequence[np.random.Generator],
) -> Iterator[Path]:
    # Names of SAFE products end in the check sum of their manifest: nothing is drawn for them.
    del unique
    swath = plan.swath
    if not isinstance(swath, RadarSwath):
        raise TypeError(f"products are made of radar swaths, not of {type(swath).__name__}")
    radar = Radar.extra_wide(swath.pixel)
    sigma0 = radar.backscatter(ice.sigma0(swath.all_xy(), swath.line_times), swath.incidence)
    bands, rows, cols = sigma0.shape
    speckle = radar.draw_speckle((bands, rows, cols), rng)
    for number, (first, lines) in enumerate(plan.frames, start=1):
        frame = SafeFrame(
            swath=swath.frame(first, lines),
            platform=plan.platform,
            orbit_number=plan.orbit,
            datatake=plan.datatake,
            slice_number=number,
            slices=len(plan.frames),
            noise=settings.noise,
        )
        window = (slice(None), slice(first, first + lines))
        zipped = settings.format == "safe-zip"
        yield write_safe(directory, frame, sigma0[window], speckle[window], zipped=zipped)


def _name(plan: PassPlan, frame: tuple[int, int], rng: np.random.Generator) -> str:
    part = plan.swath.frame(*frame)
    start, stop = (f"{from_seconds(time):%Y%m%dT%H%M%S}" for time in (part.start, part.stop))
    return (
        f"{plan.platform}_EW_GRDM_1SDH_{start}_{stop}_{plan.orbit:06d}_{plan.datatake:06X}_"
        f"{int(rng.integers(0, 0x10000)):04X}.tif"
    )


def _write_scene(path: Path, image: Image, swath: Swath) -> None:
    profile = {
        "driver": "GTiff",
        "count": len(image),
        "height": image.shape[1],
        "width": image.shape[2],
        "dtype": "float32",
        "compress": "deflate",
        "predictor": 3,
        "zlevel": 1,
        "gcps": swath.control_points(),
        "crs": CRS.from_epsg(4326),
    }
    try:
        with in_place(path) as partial, rasterio.open(partial, "w", **profile) as dataset:
            dataset.write(image)
            dataset.descriptions = ("HH", "HV")[: len(image)]
            dataset.update_tags(
                time_coverage_start=from_seconds(swath.start).isoformat(),
                time_coverage_end=from_seconds(swath.stop).isoformat(),
                source="simulated sea ice of known motion (lagrangian_ice)",
            )
    except (OSError, rasterio.errors.RasterioError) as error:
        raise WorkspaceError(f"{path}: cannot be written ({error}); is the disk full?") from None


def _points(settings: ArchiveSettings) -> Float:
    half = 0.5e3 * settings.area_km
    steps = np.arange(-half, half + 1, POINT_SPACING)
    offsets = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    return np.asarray(lonlat_to_xy(CENTRE) + offsets)


def _prepare(directory: Path) -> None:
    """Make the folder and refuse one that has an archive, a file or no right to write."""
    if directory.exists() and not directory.is_dir():
        raise WorkspaceError(f"{directory}: is a file; give a folder for the archive")
    if directory.is_dir() and (
        (directory / TRUTH_NAME).exists() or any(directory.glob("S1*_EW_GRDM_*"))
    ):
        raise WorkspaceError(f"{directory}: holds Sentinel-1 scenes already; give an empty folder")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{directory}: cannot be made ({reason_of(error)})") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise WorkspaceError(f"{directory}: cannot be written; give a folder of your own")
