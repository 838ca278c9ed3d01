"""A quick archive: small scenes of noise, and a matcher that knows how the ice moves."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import resolve_name

import netCDF4
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lagrangian_ice.cli import run
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.settings import MccSettings
from lagrangian_ice.times import SECONDS_PER_DAY

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
PIXEL = 250.0
CORNER = (-100_000.0, -400_000.0)
VELOCITY = np.array([0.05, 0.03])
FAINTEST = 0.2
"""Correlation of what is too faint to be believed by itself."""
PASSES = {
    # hours after BEGIN: shift of the west edge, km
    3: 0,
    15: 10,
    29: 0,
    40: -10,
    53: 5,
    66: 0,
    77: 10,
}


def write_archive(folder: Path) -> list[Path]:
    """Two frames make the third pass; the others are one scene each."""
    paths = []
    for number, (hours, shift) in enumerate(PASSES.items()):
        moment = BEGIN + timedelta(hours=hours)
        halves = ((0, 30), (28, 30)) if number == 2 else ((0, 58),)
        for part, (top, height) in enumerate(halves):
            paths.append(_scene(folder, number, part, moment, shift, top, height))
    return paths


def _scene(
    folder: Path, number: int, part: int, moment: datetime, shift: int, top: int, height: int
) -> Path:
    start = moment + timedelta(seconds=10 * part)
    stop = start + timedelta(seconds=10)
    times = f"{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}"
    path = (
        folder / f"S1A_EW_GRDM_1SDH_{times}_{30000 + number:06d}_{number + 1:06X}_A{part:03X}.tif"
    )
    path.parent.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng([number, part])
    pixels = rng.normal(-15, 3, (1, height * 4, 60 * 4)).astype(np.float32)
    west, north = CORNER[0] + shift * 1e3, CORNER[1] - top * 1e3
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=height * 4,
        width=60 * 4,
        dtype="float32",
        crs="EPSG:3413",
        nodata=float("nan"),
        transform=Affine(PIXEL, 0, west, 0, -PIXEL, north),
    ) as dataset:
        dataset.write(pixels)
        dataset.update_tags(
            time_coverage_start=start.isoformat(), time_coverage_end=stop.isoformat()
        )
        dataset.set_band_description(1, "sigma0_HH_dB")
    return path


def known_motion(
    source: GeoImage,
    _sf: object,
    target: GeoImage,
    _tf: object,
    xy: np.ndarray,
    _guess: object,
    mcc: MccSettings,
    _field: object,
) -> Vectors:
    """Stand in for ``match_images``: ice moves alike.

    Some is not found, some faint, some doubtful or wrong.
    """
    time0 = source.time_at(xy)
    seconds = (target.time_at(xy) - time0)[:, None]
    end = xy + VELOCITY * seconds + 50 * np.sin(xy / 7e3)
    status = np.where(target.grid.contains(end), Status.TRACKED, Status.OUT_OF_IMAGE)
    hard = (np.floor(xy[:, 0] / 1e3) + np.floor(time0 / 7e4)) % 9 == 0
    status = np.where((status == Status.TRACKED) & hard, Status.TWO_PEAKS, status).astype(np.int8)
    faint = np.floor(xy.sum(axis=1) / 7e2 + time0 / 5e4) % 7 == 0
    if mcc.min_correlation > FAINTEST:
        status = np.where(faint, Status.LOW_CORRELATION, status).astype(np.int8)
    tracked = status == Status.TRACKED
    chance = np.floor(xy[:, 1] / 1e3) + np.floor(time0 / 7e4)
    doubtful = chance % 3 == 0
    end[doubtful & (chance % 5 == 0)] += 4 * PIXEL
    strain = np.zeros((len(xy), 3))
    # Half of what refuses it at once.
    strain[doubtful, 0] = (0.05 * PIXEL * SECONDS_PER_DAY / 100 / np.abs(seconds[:, 0]))[doubtful]
    end = np.where(tracked[:, None], end, np.nan)
    time1 = np.full(len(xy), np.nan)
    time1[tracked] = target.time_at(end[tracked])
    return Vectors(
        xy0=xy,
        xy1=end,
        covariance=np.where(tracked, np.where(doubtful, 1e4, 900.0), np.nan)[:, None, None]
        * np.eye(2),
        first_guess=xy + VELOCITY * seconds,
        first_guess_error=np.full(len(xy), 300.0),
        first_guess_rotation=np.zeros(len(xy)),
        mcc=np.where(faint, FAINTEST, 0.7),
        peak_ratio=np.full(len(xy), 0.6),
        rotation=np.where(tracked, 0.5, np.nan),
        strain=strain,
        status=status,
        time0=time0,
        time1=time1,
    )


def tell_motion(patch: pytest.MonkeyPatch | None = None) -> None:
    """Let ``advance`` be told the motion: for as long as the patch, or the process, lives."""
    home = resolve_name("lagrangian_ice.workflow.run")
    if patch is None:
        home.match_images = known_motion
    else:
        patch.setattr(home, "match_images", known_motion)


def undisturbed(workspace: Path, days: int) -> Path:
    """Advance a seeded workspace, told the motion."""
    with pytest.MonkeyPatch.context() as patch:
        tell_motion(patch)
        assert command(workspace, "advance", "--days", days) == 0
    return workspace


def command(workspace: Path, *words: object) -> int:
    """Run a command line on a workspace; its exit code."""
    return run([str(words[0]), *map(str, words[1:]), "--workspace", str(workspace), "-q"])


def begun(task: Callable[..., None], *given: object) -> BaseProcess:
    """Begin a task in a process of its own.

    It comes of a server that has run no network: a fork of threads that torch holds would hang.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lagrangian_ice.parcels.worker", "lagrangian_ice.workflow"])
    child = context.Process(target=task, args=given)
    child.start()
    return child


def killed(place: str, count: int, before: bool, workspace: Path, *words: object) -> None:
    """Run a command in a process that SIGKILL ends at the count-th call of a function."""
    child = begun(_run_to_death, place, count, before, workspace, *words)
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


def _run_to_death(place: str, count: int, before: bool, workspace: Path, *words: object) -> None:
    home_name, name = place.rsplit(".", 1)
    home = resolve_name(home_name)
    function = getattr(home, name)
    calls = [0]

    def doomed(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == count and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(home, name, doomed)
    tell_motion()
    command(workspace, *words)


def seeded(workspace: Path, archive: Path, cache: Path | None = None) -> Path:
    """A new workspace, with the cache of another one so that it is quick."""
    more = ("--spacing", 5000, "--window-days", 1)
    assert command(workspace, "seed", "--date", "2021-01-01", "--scenes", archive, *more) == 0
    if cache is not None:
        shutil.copytree(cache, workspace / "cache")
    return workspace


def products(workspace: Path) -> dict[str, dict[str, object]]:
    """All values and attributes of the products, but for when and how they were written."""
    found = {}
    for path in sorted((workspace / "products").iterdir()):
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_mask(False)
            values = {name: variable[...] for name, variable in dataset.variables.items()}
            attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
        for name in ("history", "date_created"):
            attributes.pop(name)
        found[path.name] = {**values, **attributes}
    return found


def assert_same_products(first: Path, second: Path) -> None:
    one, other = products(first), products(second)
    assert list(one) == list(other)
    assert len(one) == 3
    for name, values in one.items():
        assert list(values) == list(other[name])
        for key, value in values.items():
            np.testing.assert_array_equal(value, other[name][key], err_msg=f"{name} {key}")
