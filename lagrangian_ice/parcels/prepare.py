"""Passes made ready for matching: geocoded and with features, once, then kept on disk.

Two folders. The cache holds what was used last and may be emptied at any time. A template is the
image of a pass that a living parcel was last seen in, or is compared with: another name (hard
link) of the file in the cache, which goes when no living parcel needs it. With it the scenes of
processed passes may be deleted. Under other settings, or by another version, images are made again
from the scenes; where these are gone the template's image serves, with features computed anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice import __version__
from lagrangian_ice.engine import one_thread
from lagrangian_ice.errors import SceneError, reason_of
from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.parcels.kept import evict, load_arrays, put_on_disk, save_arrays
from lagrangian_ice.scenes.reader import read_band
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import Settings
from lagrangian_ice.superlim.features import DESCRIPTOR_SIZE, Features
from lagrangian_ice.superlim.weights_files import find_weights, sha256_of

if TYPE_CHECKING:
    from lagrangian_ice.superlim.network import SuperLIM

CACHE_BYTES = 30 * 2**30
"""Default limit of the cache: about four days of 20 full passes."""
RECENT_BYTES = 2**30
"""What a worker may keep in memory of small passes; of large ones it keeps two."""
_PART = ".part"
FORMAT = 2
"""Of the files; what is kept in an older one is made again."""
ABOUT = "about"
"""Name of what a file says about its pass, JSON."""
KEPT = (ABOUT, "shown", "data", "land", "node_time", "valid", "scores", "descriptors")
"""Names in a file; earlier ones hold incidence angles too, that nobody asks for."""

WITHOUT_EFFECT = {"weights", "tile", "device", "rotation"}
"""Settings of the features that change none, or are of `track` alone; weights by their content."""

log = logging.getLogger(__name__)

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
    cache, templates : Path
        Folders.
    limit : int
        Bytes that the cache may take.
    key : str
        Name under which the image was kept when the pass was processed; empty before.
    """

    scenes: tuple[Scene, ...]
    settings: Settings
    cache: Path
    templates: Path
    limit: int
    key: str = ""


@dataclass(frozen=True)
class Prepared:
    """Outcome of a task.

    Attributes
    ----------
    scenes : tuple of Scene
        Frames that are in the image.
    failed : dict of str to str
        Those that are not, and why.
    key : str
        Name of the image; empty where there is none.
    seconds : float
        Spent, 0 where the image was there already.
    """

    scenes: tuple[Scene, ...]
    failed: dict[str, str]
    key: str = ""
    seconds: float = 0.0


def prepare(task: Task) -> Prepared:
    """Make a pass ready and put it into the cache.

    Frames that cannot be read are left out; with none left there is no image.

    Raises
    ------
    WorkspaceError
        If the cache cannot be written.
    """
    begun = time.perf_counter()
    try:
        path, made = _ensured(task)
        return Prepared(task.scenes, {}, path.stem, made * (time.perf_counter() - begun))
    except SceneError as error:
        failed = _unreadable(task.scenes) or _odd_ones(task.scenes)
        failed = failed or {one.id: str(error) for one in task.scenes}
    good = tuple(scene for scene in task.scenes if scene.id not in failed)
    if good:
        rest = prepare(replace(task, scenes=good))
        return replace(rest, failed=failed | rest.failed, seconds=time.perf_counter() - begun)
    return Prepared((), failed, seconds=time.perf_counter() - begun)


def _odd_ones(scenes: Sequence[Scene]) -> dict[str, str]:
    """Frames without the polarisation that most of a pass have, and why they are left out.

    None where all have one in common.
    """
    having = {
        name: [scene for scene in scenes if name in scene.polarisations]
        for scene in scenes
        for name in scene.polarisations
    }
    if any(len(some) == len(scenes) for some in having.values()):
        return {}
    # of as many frames the co-polarised band, which is furthest above the noise
    kept = max(having, key=lambda name: (len(having[name]), name[0] == name[-1]))
    return {
        scene.id: f"{scene.path}: has {', '.join(scene.polarisations)}, not {kept}, in which most "
        "frames of its pass are; track it by itself"
        for scene in scenes
        if kept not in scene.polarisations
    }


def load(task: Task) -> Ready:
    """Image and features of a pass: its template, from the cache, or made now.

    Raises
    ------
    SceneError
        If they are not kept and a frame cannot be read.
    """
    if is_current(task):
        for folder in (task.templates, task.cache):
            kept = _loaded(folder / f"{task.key}.npz")
            if kept is not None:
                return kept
    try:
        return _loaded(_path(task)) or _make(task)
    except SceneError:
        renewed = _renewed(task)
        if renewed is None:
            raise
        return renewed


def grid_of(task: Task) -> Grid | None:
    """Grid of the image of a pass (its task has a key), if it is in the cache."""
    arrays = load_arrays(task.cache / f"{task.key}.npz", (ABOUT,))
    return None if arrays is None else _grid(json.loads(str(arrays[ABOUT])))


def _renewed(task: Task) -> Ready | None:
    """Image of a template that was made under other settings, with features of these.

    None where there is no template, or it has another pixel.
    """
    if not task.key:
        return None
    path = task.cache / f"{task.key.split('-')[0]}-{_settings_digest(task.settings)}.npz"
    kept = _loaded(path)
    if kept is not None:
        return kept
    template = _loaded(task.templates / f"{task.key}.npz")
    if template is None or template[0].grid.pixel != task.settings.images.pixel:
        return None
    image = template[0]
    log.warning(
        "pass %s: its scenes are gone; its image is used as it was made, under other settings or "
        "by another version",
        image.pass_id,
    )
    return _keep(task, path, image)


def is_current(task: Task) -> bool:
    """Whether the image that a task's key names was made as the settings say."""
    return bool(task.key) and task.key.endswith(_settings_digest(task.settings))


class Recent:
    """The passes that were used last, in memory.

    Parameters
    ----------
    least : int
        So many are kept, however large they are.
    limit : int
        Bytes that more than these may take, with them.
    """

    def __init__(self, least: int = 2, limit: int = RECENT_BYTES) -> None:
        self._least = least
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str, str], Ready] = OrderedDict()

    def get(self, task: Task) -> Ready:
        """Load a processed pass (its task has a key) unless it is here."""
        # A key is of the settings at that time; under others the image is made again.
        name = (task.key, _settings_digest(task.settings), str(task.cache))
        if name not in self._kept:
            # Before the next is loaded, or there would be one more than is allowed for.
            self._make_room(self._least - 1)
            self._kept[name] = load(task)
            self._make_room(self._least)
        self._kept.move_to_end(name)
        return self._kept[name]

    def _make_room(self, least: int) -> None:
        while len(self._kept) > least and self._size() > self._limit:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(_bytes_of(ready) for ready in self._kept.values())


def _bytes_of(ready: Ready) -> int:
    image, features = ready
    return image.data.nbytes + image.land.nbytes + features.descriptors.nbytes


def keep_template(task: Task, ready: Ready) -> None:
    """Keep the image of a pass for as long as parcels need it.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    name = f"{task.key}.npz"
    path = task.templates / name
    if path.exists():
        return
    try:
        path.parent.mkdir(exist_ok=True)
        os.link(task.cache / name, path)
    except OSError:
        # Gone from the cache, or a disk that has no links.
        _save(path, *ready)
    # the scenes may be deleted now
    put_on_disk(path)


def drop_templates(folder: Path, needed: Container[str]) -> None:
    """Remove the templates whose keys no living parcel needs."""
    for path in folder.glob("*.npz"):
        if path.stem not in needed:
            path.unlink(missing_ok=True)


def clean(folder: Path, names: str) -> None:
    """Remove what a killed run left half-written of files of these names.

    What others write in the folder stays: files of other names, and the folders of exports.
    """
    for path in folder.glob(f".{names}{_PART}"):
        if not path.is_dir():
            path.unlink(missing_ok=True)


def _ensured(task: Task) -> tuple[Path, bool]:
    """Where the image is in the cache, and whether it had to be made."""
    path = _path(task)
    try:
        os.utime(path)
    except FileNotFoundError:
        _make(task)
        return path, True
    except OSError:
        # There, but another user's.
        pass
    return path, False


def _make(task: Task) -> Ready:
    image = geocode_pass(task.scenes, task.settings.images.pixel, task.settings.images)
    return _keep(task, _path(task), image)


def _keep(task: Task, path: Path, image: GeoImage) -> Ready:
    """Compute the features of an image and put both into the cache."""
    from lagrangian_ice.superlim.extract import extract_features

    settings = task.settings.features
    network = _network(settings.weights, _weights_sha256(settings.weights))
    with one_thread():
        features = extract_features(image, network, settings)
    _save(path, image, features)
    evict(task.cache, task.limit, keep=path)
    return image, features


@lru_cache(maxsize=2)
def _network(weights: str, _sha256: str) -> SuperLIM:
    """Network of a name, kept until other weights are imported under it."""
    from lagrangian_ice.superlim.weights_store import load_network

    return load_network(weights)


def _weights_sha256(weights: str) -> str:
    path = find_weights(weights)
    return _sha256(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _sha256(path: Path, _changed: int) -> str:
    return sha256_of(path)


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
    scenes = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:20]
    return task.cache / f"{scenes}-{_settings_digest(task.settings)}.npz"


def _settings_digest(settings: Settings) -> str:
    """Short name of all that an image and its features depend on beside the scenes."""
    parts = [
        *(__version__, FORMAT, settings.images.model_dump()),
        settings.features.model_dump(exclude=WITHOUT_EFFECT),
        _weights_sha256(settings.features.weights),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of a scene's files."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        states = [(file, file.stat()) for file in files]
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({reason_of(error)})") from None
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
    # A pass lies aslant in its grid: half of it or more is empty.
    shown = np.isfinite(image.data).any(axis=0)
    kept: dict[str, ArrayLike] = {
        ABOUT: json.dumps(about),
        "shown": np.packbits(shown),
        "data": image.data[:, shown],
        "land": np.packbits(image.land),
        "node_time": image.node_time,
        "valid": features.valid,
        "scores": features.scores[features.valid],
        "descriptors": features.descriptors[features.valid],
    }
    save_arrays(path, kept)


def _loaded(path: Path) -> Ready | None:
    """Read what is in the cache; a damaged file counts as none."""
    arrays = load_arrays(path, KEPT)
    if arrays is None:
        return None
    about = json.loads(str(arrays[ABOUT]))
    grid = _grid(about)
    shown = _unpacked(arrays["shown"], grid.shape)
    data = np.full((len(about["polarisations"]), *grid.shape), np.nan, dtype=np.float32)
    data[:, shown] = arrays["data"]
    image = GeoImage(
        pass_id=about["pass_id"],
        scene_ids=tuple(about["scene_ids"]),
        grid=grid,
        polarisations=tuple(about["polarisations"]),
        units=about["units"],
        data=data,
        land=_unpacked(arrays["land"], grid.shape),
        node_time=arrays["node_time"],
    )
    sha = about["weights_sha256"]
    valid = arrays["valid"]
    scores = np.zeros(valid.shape, dtype=np.float32)
    descriptors = np.zeros((*valid.shape, DESCRIPTOR_SIZE), dtype=np.float16)
    scores[valid], descriptors[valid] = arrays["scores"], arrays["descriptors"]
    return image, Features(grid, scores, descriptors, valid, sha)


def _grid(about: dict[str, Any]) -> Grid:
    x0, y0, pixel, rows, cols = about["grid"]
    return Grid(x0, y0, pixel, (int(rows), int(cols)))


def _unpacked(bits: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of a shape from its bits."""
    count = shape[0] * shape[1]
    return np.unpackbits(bits, count=count).astype(np.bool_).reshape(shape)
