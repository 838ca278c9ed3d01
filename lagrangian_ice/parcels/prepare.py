"""Passes made ready for matching: geocoded and with features, once, then kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lagrangian_ice import __version__
from lagrangian_ice.engine import one_thread
from lagrangian_ice.errors import SceneError, WorkspaceError
from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.scenes.reader import read_band
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import Settings
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.features import Features
from lagrangian_ice.superlim.network import SuperLIM
from lagrangian_ice.superlim.weights_store import load_network

CACHE_BYTES = 30 * 2**30
"""Default limit of the cache: about four days of 20 full passes."""
_PART = ".part"

Ready = tuple[GeoImage, Features]


@dataclass(frozen=True)
class Task:
    """What a worker must know to make a pass ready.

    Attributes
    ----------
    scenes : tuple of Scene
        Frames of the pass, in time order.
    settings : Settings
        ``images.pixel`` is the working pixel.
    cache : Path
        Folder.
    limit : int
        Bytes that the cache may take.
    """

    scenes: tuple[Scene, ...]
    settings: Settings
    cache: Path
    limit: int


@dataclass(frozen=True)
class Prepared:
    """Outcome of a task: the frames that are in the image, and those that failed and why."""

    scenes: tuple[Scene, ...]
    failed: dict[str, str]


def prepare(task: Task) -> Prepared:
    """Make a pass ready and put it into the cache.

    Frames that cannot be read are left out; with none left there is no image.

    Raises
    ------
    WorkspaceError
        If the cache cannot be written.
    """
    try:
        _ensure(task)
        return Prepared(task.scenes, {})
    except SceneError as error:
        failed = _unreadable(task.scenes) or {one.id: str(error) for one in task.scenes}
    good = tuple(scene for scene in task.scenes if scene.id not in failed)
    if good:
        rest = prepare(replace(task, scenes=good))
        return Prepared(rest.scenes, failed | rest.failed)
    return Prepared((), failed)


def load(task: Task) -> Ready:
    """Image and features of a pass, from the cache or made now.

    Raises
    ------
    SceneError
        If they are not in the cache and a frame cannot be read.
    """
    return _loaded(_path(task)) or _make(task)


class Recent:
    """The few passes that were used last, in memory.

    Parameters
    ----------
    size : int
        How many are kept.
    """

    def __init__(self, size: int = 3) -> None:
        self._size = size
        self._kept: OrderedDict[int, Ready] = OrderedDict()

    def get(self, pass_index: int, task: Task) -> Ready:
        """Load a pass unless it is here."""
        if pass_index not in self._kept:
            while len(self._kept) >= self._size:
                self._kept.popitem(last=False)
            self._kept[pass_index] = load(task)
        self._kept.move_to_end(pass_index)
        return self._kept[pass_index]


def clean(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(f".*{_PART}"):
        path.unlink(missing_ok=True)


def _ensure(task: Task) -> None:
    path = _path(task)
    if path.exists():
        os.utime(path)
    else:
        _make(task)


def _make(task: Task) -> Ready:
    settings = task.settings
    image = geocode_pass(task.scenes, settings.images.pixel, settings.images)
    network = _network(settings.features.weights)
    with one_thread():
        features = extract_features(image, network, settings.features)
    _save(_path(task), image, features)
    _evict(task.cache, task.limit, keep=_path(task))
    return image, features


@lru_cache(maxsize=2)
def _network(weights: str) -> SuperLIM:
    return load_network(weights)


def _unreadable(scenes: Sequence[Scene]) -> dict[str, str]:
    """Read every frame by itself to find the culprits."""
    failed: dict[str, str] = {}
    for scene in scenes:
        try:
            for polarisation in scene.polarisations:
                read_band(scene, polarisation)
        except SceneError as error:
            failed[scene.id] = str(error)
    return failed


def _path(task: Task) -> Path:
    files = [(scene.id, _stamps(scene.path)) for scene in task.scenes]
    settings = task.settings.features.model_dump(exclude={"weights"})
    parts = [
        *(__version__, files, task.settings.images.model_dump(), settings),
        _network(task.settings.features.weights).sha256,
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return task.cache / f"{digest[:32]}.npz"


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of a scene's files."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        states = [(file, file.stat()) for file in files]
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({error.strerror})") from None
    return [(file.name, state.st_size, state.st_mtime_ns) for file, state in states]


def _save(path: Path, image: GeoImage, features: Features) -> None:
    about = {
        "pass_id": image.pass_id,
        "scene_ids": image.scene_ids,
        "grid": [image.grid.x0, image.grid.y0, image.grid.pixel, *image.grid.shape],
        "polarisations": image.polarisations,
        "units": image.units,
        "weights_sha256": features.weights_sha256,
    }
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{_PART}")
    try:
        path.parent.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about)),
                data=image.data,
                land=image.land,
                node_time=image.node_time,
                scores=features.scores,
                descriptors=features.descriptors,
                valid=features.valid,
            )
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WorkspaceError(f"{path}: cannot be written ({error.strerror})") from None


def _loaded(path: Path) -> Ready | None:
    """Read what is in the cache; a damaged file counts as none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(str(arrays["about"]))
        os.utime(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    x0, y0, pixel, rows, cols = about["grid"]
    grid = Grid(x0, y0, pixel, (int(rows), int(cols)))
    image = GeoImage(
        pass_id=about["pass_id"],
        scene_ids=tuple(about["scene_ids"]),
        grid=grid,
        polarisations=tuple(about["polarisations"]),
        units=about["units"],
        data=arrays["data"],
        land=arrays["land"],
        node_time=arrays["node_time"],
    )
    sha = about["weights_sha256"]
    features = (arrays["scores"], arrays["descriptors"], arrays["valid"])
    return image, Features(grid, *features, sha)


def _evict(folder: Path, limit: int, keep: Path) -> None:
    """Remove the files used longest ago until the rest fits."""
    files = []
    for path in folder.glob("*.npz"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        files.append((state.st_mtime_ns, path, state.st_size))
    total = sum(size for _, _, size in files)
    for _, path, size in sorted(files):
        if total <= limit:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size
