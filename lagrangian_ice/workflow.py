"""What users ask for, step by step: the only module that knows the order of the stages."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from lagrangian_ice.engine import Stopwatch, Tasks, Workers, in_order, tasks
from lagrangian_ice.errors import ProductError, SceneError, WorkspaceError
from lagrangian_ice.grid import Float
from lagrangian_ice.images.land import is_land
from lagrangian_ice.matching.match import match_images
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.output.attributes import Header
from lagrangian_ice.output.products import write_products
from lagrangian_ice.pair import select_bands, working_pixel
from lagrangian_ice.parcels.fold import DAY, Fold, Stream, Wanted, fold_pass, lost_until
from lagrangian_ice.parcels.plan import Outline, PlannedPass, plan
from lagrangian_ice.parcels.prepare import (
    CACHE_BYTES,
    Prepared,
    Recent,
    Task,
    clean,
    drop_templates,
    keep_template,
    prepare,
)
from lagrangian_ice.parcels.queue import repetitions
from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import PassRecord, Store
from lagrangian_ice.parcels.transitions import living, no_parcels, nodes_within
from lagrangian_ice.report import PassReport, Report, write_report
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.passes import Pass, group_passes
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import ParcelSettings, Settings, validate
from lagrangian_ice.times import SECONDS_PER_DAY, iso, to_seconds
from lagrangian_ice.workspace import queue_of

log = logging.getLogger(__name__)

Progress = Callable[[Sequence[Pass]], Iterable[Pass]]
CACHE, TEMPLATES, PRODUCTS, REPORTS = "cache", "templates", "products", "reports"
"""Folders in a workspace."""


@dataclass(frozen=True)
class Outcome:
    """What a command did to the workspace.

    Attributes
    ----------
    passes : int
        Processed now.
    until : str
        The clock, ISO 8601.
    failed : dict of str to str
        Scenes that could not be read now, by id or path, and why.
    late : tuple of str
        Ids of scenes that came after their time and wait for a rebuild.
    products : tuple of Path
        Files written.
    report : Path, optional
        The run in numbers, JSON; the same as text beside it.
    repeated : tuple of str
        Ids of scenes that are other processings of scenes that are there.
    """

    passes: int
    until: str
    failed: dict[str, str]
    late: tuple[str, ...] = ()
    products: tuple[Path, ...] = ()
    report: Path | None = None
    repeated: tuple[str, ...] = ()


def add_scenes(workspace: Path, paths: Sequence[Path]) -> tuple[int, int, dict[Path, str]]:
    """Catalogue the scenes under paths in a workspace, which is made if it is missing.

    Returns
    -------
    new, known : int
        Scenes added now, and those that were there before.
    unreadable : dict of Path to str
        And why.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    cache = MetadataCache(workspace)
    found, unreadable = _found(paths, cache)
    with locked(workspace, create=True), Store(workspace, writable=True, create=True) as store:
        new = store.add_scenes(found, unreadable)
    # a new workspace is there only now
    cache.save()
    return new, len(found) - new, unreadable


def seed(
    workspace: Path,
    date: datetime,
    *,
    scenes: Sequence[Path] = (),
    settings: Settings | None = None,
    new_stream: bool = False,
) -> tuple[int, dict[Path, str]]:
    """Put parcels on the grid nodes that the passes of a date's window see on sea.

    Each is born in the first of these passes that has data at its node, when ``advance``
    comes to that pass.

    Parameters
    ----------
    workspace : Path
        Made if it is missing and scenes are given.
    date : datetime
        UTC; the window is ``parcels.window_days`` long.
    scenes : sequence of Path
        Catalogued first.
    settings : Settings, optional
        Kept for ``advance``. The working pixel is fixed here: ``images.pixel``, or the
        scenes' own where that is coarser.
    new_stream : bool
        Begin another stream beside those that are there.

    Returns
    -------
    parcels : int
        How many wait to be born.
    unreadable : dict of Path to str
        Scenes among the given paths that could not be opened.

    Raises
    ------
    WorkspaceError
        If there is a seed already and no new stream is asked for, the date is before the
        clock, or no scene of the window sees the sea. Nothing is changed then.
    """
    settings = settings or Settings()
    found, unreadable = _found(scenes, MetadataCache(workspace))
    exists = (workspace / DATABASE).exists()
    if not exists:
        # Looked at before anything is made on disk.
        _planned_seed(found, date, settings, workspace, unreadable)
    with (
        locked(workspace, create=bool(found)),
        Store(workspace, writable=True, create=bool(found)) as store,
    ):
        _check_new_stream(store, workspace, date, new_stream)
        known = {scene.id: scene for scene in [*found, *store.scenes()]}
        plan = _planned_seed(list(known.values()), date, settings, workspace, unreadable)
        number = len(store.streams())
        start = to_seconds(date)
        window = settings.parcels.window_days * SECONDS_PER_DAY
        stream = Stream(number, start, start + window, settings.parcels.spacing)
        store.seed(stream, plan.row, plan.col, plan.settings.as_json(), found, unreadable)
    return len(plan.row), unreadable


@dataclass(frozen=True)
class _SeedPlan:
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    settings: Settings


def _planned_seed(
    scenes: Sequence[Scene],
    date: datetime,
    settings: Settings,
    workspace: Path,
    unreadable: dict[Path, str],
) -> _SeedPlan:
    end = date + timedelta(days=settings.parcels.window_days)
    passes = [one for one in group_passes(scenes) if date <= one.start < end]
    if not passes:
        raise WorkspaceError(_no_scenes(workspace, scenes, date, end, unreadable))
    spacing = settings.parcels.spacing
    area = shapely.union_all([one.footprint for one in passes])
    row, col = nodes_within(area.bounds, spacing)
    nodes = np.stack([col, row], axis=-1).astype(np.float64) * spacing
    chosen = shapely.contains_xy(area, nodes[:, 0], nodes[:, 1])
    chosen[chosen] = ~is_land(nodes[chosen])
    if not chosen.any():
        raise WorkspaceError(
            f"{workspace}: the scenes of {date:%Y-%m-%d} to {end:%Y-%m-%d} hold no sea at any "
            f"node of the {spacing:g} m grid"
        )
    frames = [scene for one in passes for scene in one.scenes]
    pixel = working_pixel(frames, settings.images.pixel)
    images = settings.images.model_copy(update={"pixel": pixel})
    return _SeedPlan(row[chosen], col[chosen], settings.model_copy(update={"images": images}))


def _no_scenes(
    workspace: Path,
    scenes: Sequence[Scene],
    date: datetime,
    end: datetime,
    unreadable: dict[Path, str],
) -> str:
    text = f"{workspace}: no scene starts from {date:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    if scenes:
        first, last = (pick(scene.start for scene in scenes) for pick in (min, max))
        return f"{text}; the {len(scenes)} known are of {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    if unreadable:
        return f"{text}; {len(unreadable)} could not be read: {next(iter(unreadable.values()))}"
    return f"{text}; none is catalogued, add some with --scenes or `scenes add`"


def _check_new_stream(store: Store, workspace: Path, date: datetime, wanted: bool) -> None:
    streams, clock = store.streams(), store.clock
    if streams and not wanted:
        raise WorkspaceError(
            f"{workspace}: is seeded already, from {iso(streams[0].date)}; "
            "--stream begins another stream beside it"
        )
    if clock is not None and to_seconds(date) < clock:
        raise WorkspaceError(
            f"{workspace}: processed until {iso(clock)}; a stream cannot begin earlier, "
            f"at {date:%Y-%m-%d %H:%M}"
        )


def advance(
    workspace: Path,
    *,
    days: float | None = None,
    until: datetime | None = None,
    settings: Settings | None = None,
    options: Options | None = None,
) -> Outcome:
    """Process all passes of the next days, then rewrite the products.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    days : float, optional
        From the clock on.
    until : datetime, optional
        Instead of days.
    settings : Settings, optional
        Those of the last call where left out; the working pixel stays as it was seeded.
    options : Options, optional
        How it is done; the records do not depend on it.

    Returns
    -------
    Outcome

    Raises
    ------
    WorkspaceError
        If the workspace is missing, not seeded, held by another process or not writable.
    ValueError
        If not exactly one of ``days`` and ``until`` is given, or it does not lie ahead.
    """
    if (days is None) == (until is None):
        raise ValueError("give either days or until")
    with locked(workspace), Store(workspace, writable=True) as store:
        clock = _clock(store, workspace)
        goal = to_seconds(until) if until is not None else _days_on(store, clock, days)
        if goal < clock:
            raise ValueError(f"until {iso(goal)} is before the clock, {iso(clock)}")
        chosen = _advance_settings(store, settings)
        run = _Run(workspace, store, chosen, options or Options())
        return run.advance(goal)


def rebuild(
    workspace: Path,
    start: datetime,
    *,
    settings: Settings | None = None,
    options: Options | None = None,
    replace: bool = False,
) -> Outcome:
    """Take the state back to a date and advance again, with the scenes that have come since.

    Parcels seeded before keep their ids; those that passes after the date had seeded in
    empty cells are seeded anew. Killed half-way, the same call goes on. Other parameters and
    errors as for :func:`advance`.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    start : datetime
        Passes that start at or after it are processed again.
    replace : bool
        Where a scene has been catalogued again under another id, take the latest.

    Raises
    ------
    ValueError
        If the date is after the clock.
    """
    with locked(workspace), Store(workspace, writable=True) as store:
        clock = _clock(store, workspace)
        goal = max(clock, store.goal or clock)
        moment = max(to_seconds(start), min(one.date for one in store.streams()))
        if moment > clock:
            raise ValueError(f"rebuild from {iso(moment)} is after the clock, {iso(clock)}")
        chosen = _advance_settings(store, settings)
        run = _Run(workspace, store, chosen, options or Options())
        store.take_back(moment)
        if replace:
            store.replace_scenes(_successors(store))
        return run.advance(goal)


def _successors(store: Store) -> dict[str, str]:
    """For each scene that no pass holds and that came again, its latest repetition."""
    added, taken, replaced = store.order_added(), store.pass_scenes(), store.replaced()
    current = [scene for scene in store.scenes() if scene.id not in replaced]
    again = repetitions(current, added)
    latest: dict[str, str] = {}
    for name in sorted(again, key=lambda one: added[one]):
        latest[again[name].id] = name
    found = {first: last for first, last in latest.items() if first not in taken}
    middle = {name: found.get(again[name].id, name) for name in again}
    return found | {name: last for name, last in middle.items() if name != last}


def plan_pairs(
    workspace: Path, *, days: float | None = None, until: datetime | None = None
) -> list[PlannedPass]:
    """List the passes that wait and the pairs that ``advance`` would match, nothing done.

    Parameters
    ----------
    workspace : Path
        A seeded one.
    days, until : float, datetime, optional
        As for :func:`advance`; without both, all that wait.

    Raises
    ------
    WorkspaceError
        If the workspace is missing or not seeded.
    """
    with Store(workspace) as store:
        clock = _clock(store, workspace)
        goal = np.inf
        if until is not None:
            goal = to_seconds(until)
        elif days is not None:
            goal = _days_on(store, clock, days)
        whole = validate(json.loads(store.settings or "{}"), str(store.path))
        settings, margin = whole.parcels, whole.parcels.birth_margin * whole.images.pixel
        scenes = {scene.id: scene for scene in store.scenes()}
        found = queue_of(store, list(scenes.values()))
        waiting = [one for one in found.waiting if to_seconds(one.start) < goal]
        done: dict[int, Outline] = {}
        for row in store.passes().to_dict("records"):
            frames = [scenes[name] for name in row["scene_ids"].split(",") if name]
            area = shapely.union_all([scene.footprint for scene in frames])
            done[row["pass_index"]] = Outline(row["pass_id"], row["start"], row["time"], area)
        parcels = store.living(_horizon(settings))
        return list(plan(parcels, waiting, done, store.streams(), settings, margin))


def _horizon(settings: ParcelSettings) -> float:
    """How long before the last pass the reference of a parcel can be, seconds."""
    if settings.closure_days == 0:
        return 0.0
    return 2 * (settings.closure_days + settings.max_gap_days) * DAY


def _clock(store: Store, workspace: Path) -> float:
    clock = store.clock
    if clock is None:
        raise WorkspaceError(f"{workspace}: is not seeded; begin with `lagrangian-ice seed`")
    return clock


def _days_on(store: Store, clock: float, days: float | None) -> float:
    if days is None or not 0 < days <= 3660:
        raise ValueError(f"days {days} is not allowed; use more than 0, at most 3660")
    return max(clock, store.goal or clock) + days * SECONDS_PER_DAY


def _advance_settings(store: Store, given: Settings | None) -> Settings:
    kept = validate(json.loads(store.settings or "{}"), str(store.path))
    if given is None:
        return kept
    images = given.images.model_copy(update={"pixel": kept.images.pixel})
    return given.model_copy(update={"images": images})


@dataclass(frozen=True)
class Options:
    """How passes are processed; none of it changes a record.

    Attributes
    ----------
    workers : Workers
        Where passes are geocoded, features computed and pairs matched.
    progress : callable
        Wraps the list of passes for a progress bar.
    cache_bytes : int
        What geocoded passes may take on disk, beside those that living parcels need.
    products : bool
        Whether the products are rewritten at the end.
    """

    workers: Workers = field(default_factory=Workers)
    progress: Progress = iter
    cache_bytes: int = CACHE_BYTES
    products: bool = True


class _Run:
    """One call of advance: pass by pass, each in a transaction of its own."""

    def __init__(self, workspace: Path, store: Store, settings: Settings, options: Options) -> None:
        self.workspace = workspace
        self.store = store
        self.settings = settings
        self.options = options
        self.recent = Recent()
        self.watch = Stopwatch()
        self.streams = store.streams()
        self.scenes: dict[str, Scene] = {}
        self.tasks: dict[int, Task] = {}
        self.names: dict[int, str] = {}
        self.report = Report(iso(store.clock or 0.0), options.workers)
        self.parcels = no_parcels()

    def advance(self, goal: float) -> Outcome:
        """Process, end who is lost by then, write the products, and only then move the clock.

        A call that is killed anywhere can so be repeated as it was.
        """
        for folder in (self.workspace, self._cache, self._templates, *self._outputs):
            clean(folder)
        with self.watch.stage("load"):
            self.parcels = self.store.living(_horizon(self.settings.parcels))
            waiting, late, repeated = self._look()
            self._look_after_templates()
        todo = [one for one in waiting if to_seconds(one.start) < goal]
        self._process(todo)
        self.parcels, ends = lost_until(self.parcels, goal, self.settings.parcels, self.streams)
        self.store.add_lost(ends)
        self.report.lost(ends)
        products: list[Path] = []
        if self.options.products:
            with self.watch.stage("products"):
                products = write_all(self.store, self.workspace / PRODUCTS, self.settings)
        self.store.set_clock(goal)
        self._look_after_templates()
        log.info("processed until %s: %d passes", iso(goal), len(todo))
        path = self._report(goal, late, products)
        failed = self.report.failed
        return Outcome(
            len(todo), iso(goal), failed, tuple(late), tuple(products), path, tuple(repeated)
        )

    @property
    def _cache(self) -> Path:
        return self.workspace / CACHE

    @property
    def _templates(self) -> Path:
        return self.workspace / TEMPLATES

    @property
    def _outputs(self) -> tuple[Path, Path]:
        return self.workspace / PRODUCTS, self.workspace / REPORTS

    def _look(self) -> tuple[list[Pass], list[str], list[str]]:
        self.scenes = {scene.id: scene for scene in self.store.scenes()}
        found = queue_of(self.store, list(self.scenes.values()))
        for row in self.store.passes().to_dict("records"):
            names = row["scene_ids"].split(",")
            frames = tuple(self.scenes[name] for name in names if name)
            self._remember(row["pass_index"], row["pass_id"], frames, row["image_key"])
        return (
            found.waiting,
            [scene.id for scene in found.late],
            [scene.id for scene in found.repeated],
        )

    def _remember(self, index: int, name: str, scenes: tuple[Scene, ...], key: str) -> None:
        self.names[index] = name
        self.tasks[index] = self._task(_in_time(scenes), key)

    def _task(self, scenes: tuple[Scene, ...], key: str = "") -> Task:
        folders = (self._cache, self._templates)
        return Task(scenes, self.settings, *folders, self.options.cache_bytes, key)

    def _look_after_templates(self) -> None:
        """Keep the images that living parcels need; the others may go."""
        seen = living(self.parcels) & (self.parcels.pass_index >= 0)
        both = (self.parcels.pass_index[seen], self.parcels.reference_pass[seen])
        needed = {self.tasks[index].key for index in np.unique(np.concatenate(both)).tolist()}
        drop_templates(self._templates, needed)

    def _process(self, todo: Sequence[Pass]) -> None:
        waiting = [self._task(one.scenes) for one in todo]
        with tasks(self.options.workers) as pool:
            # One worker computes a pass when it is needed; more run ahead of the fold.
            ahead = 0 if pool.slots == 1 else 2 * pool.slots
            ready = in_order(pool, prepare, waiting, ahead)
            for one in self.options.progress(todo):
                with self.watch.stage("wait for images"):
                    prepared = next(ready)
                self._fold(one, prepared, pool)

    def _fold(self, one: Pass, prepared: Prepared, pool: Tasks) -> None:
        index = self.store.next_pass_index()
        self.report.failed |= prepared.failed
        for name, reason in prepared.failed.items():
            log.warning("scene %s of pass %s left out: %s", name, one.id, reason)
        if not prepared.scenes:
            record = _record(one, index, prepared, (), np.nan)
            reason = next(iter(prepared.failed.values()))
            self.store.add_failed_pass(record, reason)
            self.report.passes.append(PassReport(one.id, iso(to_seconds(one.start)), reason))
            return
        self._remember(index, one.id, prepared.scenes, prepared.key)
        told = PassReport(one.id, iso(to_seconds(one.start)))
        told.seconds["image"] = prepared.seconds
        watch = Stopwatch()
        with watch.stage("load image"):
            image, features = self.recent.get(self.tasks[index])
        with watch.stage("fold"):
            fold = fold_pass(
                self.parcels,
                image,
                index,
                to_seconds(one.start),
                lambda wanted: self._match(index, wanted, pool, told),
                self.streams,
                self.settings.parcels,
                self.settings.first_guess.max_speed,
                self.store.next_parcel_id(),
            )
        with watch.stage("write"):
            record = _record(
                one, index, prepared, image.polarisations, float(image.node_time.mean())
            )
            keep_template(self.tasks[index], (image, features))
            settings = self.settings.as_json()
            self.store.add_fold(record, fold, settings, features.weights_sha256)
        self.parcels = fold.parcels
        self._look_after_templates()
        self._tell(told, fold, watch)

    def _match(
        self, target: int, wanted: Sequence[Wanted], pool: Tasks, told: PassReport
    ) -> list[Vectors]:
        """Track points from earlier passes; one that cannot be read any more shows nothing."""
        begun = time.perf_counter()
        jobs = [pool.submit(match_pair, self._pair(one, target), urgent=True) for one in wanted]
        found = []
        for one, job in zip(wanted, jobs, strict=True):
            try:
                matched = job.result()
            except SceneError as error:
                name = self.names[one.source_pass]
                log.warning("source pass %s cannot be used: %s", name, error)
                self.report.failed_pairs[f"{name} {self.names[target]}"] = str(error)
                matched = Matched(nothing_seen(one.xy), 0.0)
            told.seconds["match"] = told.seconds.get("match", 0.0) + matched.seconds
            found.append(matched.vectors)
        told.waited += time.perf_counter() - begun
        return found

    def _pair(self, one: Wanted, target: int) -> PairTask:
        guess = self.settings.first_guess.model_copy(update={"max_speed": one.max_speed})
        settings = self.settings.model_copy(update={"first_guess": guess})
        source, second = self.tasks[one.source_pass], self.tasks[target]
        return PairTask(source, second, one.xy, settings, match_images)

    def _tell(self, told: PassReport, fold: Fold, watch: Stopwatch) -> None:
        """Put a pass into the report and the log."""
        # What the fold waited for is the matching's.
        watch.seconds["fold"] -= told.waited
        told.seconds |= watch.seconds
        told.count(fold)
        self.report.passes.append(told)
        self.report.add_pairs(told.id, fold, self.names)
        log.info("pass %s: %s", told.id, told.line())

    def _report(self, goal: float, late: list[str], products: list[Path]) -> Path:
        self.report.finish(iso(goal), late, products, self.parcels, self.watch)
        self.report.disk = {
            "state": _size(self.workspace.glob(f"{DATABASE}*")),
            CACHE: _size(self._cache.glob("*.npz")),
            TEMPLATES: _size(self._templates.glob("*.npz")),
        }
        return write_report(self.report, self.workspace / REPORTS)


def _size(paths: Iterable[Path]) -> int:
    """Bytes of files."""
    return sum(path.stat().st_size for path in paths)


@dataclass(frozen=True)
class PairTask:
    """What a worker must know to match a pair.

    Attributes
    ----------
    source, target : Task
        Of processed passes.
    xy : (N, 2) float64
        Points in the source, metres.
    settings : Settings
        Of the matching.
    matcher : callable
        Takes what :func:`lagrangian_ice.matching.match.match_images` takes.
    """

    source: Task
    target: Task
    xy: Float
    settings: Settings
    matcher: Callable[..., Vectors]


@dataclass(frozen=True)
class Matched:
    """Vectors, and the seconds that they took."""

    vectors: Vectors
    seconds: float


_HERE = threading.local()


def match_pair(task: PairTask) -> Matched:
    """Track points from one pass to another; the images used last stay in the worker's memory.

    Raises
    ------
    SceneError
        If an image cannot be had, or the two have no polarisation in common.
    """
    begun = time.perf_counter()
    if not hasattr(_HERE, "recent"):
        _HERE.recent = Recent()
    second, second_features = _HERE.recent.get(task.target)
    first, first_features = _HERE.recent.get(task.source)
    bands = [name for name in first.polarisations if name in second.polarisations]
    if not bands:
        raise SceneError(f"{first.pass_id} and {second.pass_id}: no polarisation in common")
    vectors = task.matcher(
        select_bands(first, bands),
        first_features,
        select_bands(second, bands),
        second_features,
        task.xy,
        task.settings.first_guess,
        task.settings.mcc,
    )
    return Matched(vectors, time.perf_counter() - begun)


def nothing_seen(xy: Float) -> Vectors:
    """Vectors of points that the target does not show."""
    count = len(xy)
    none, pair = np.full(count, np.nan), np.full((count, 2), np.nan)
    return Vectors(
        xy0=xy,
        xy1=pair,
        covariance=np.full((count, 2, 2), np.nan),
        first_guess=pair,
        first_guess_error=none,
        mcc=none,
        peak_ratio=none,
        rotation=none,
        strain=np.full((count, 3), np.nan),
        status=np.full(count, Status.OUT_OF_IMAGE, dtype=np.int8),
        time0=none,
        time1=none,
    )


def _record(
    one: Pass, index: int, prepared: Prepared, polarisations: Sequence[str], time: float
) -> PassRecord:
    first = one.scenes[0]
    return PassRecord(
        pass_index=index,
        pass_id=one.id,
        time=time,
        start=to_seconds(one.start),
        stop=to_seconds(one.stop),
        platform=first.platform,
        orbit=first.orbit,
        polarisations=",".join(polarisations or first.polarisations),
        scene_ids=tuple(scene.id for scene in prepared.scenes),
        failed=prepared.failed,
        image_key=prepared.key,
    )


def _in_time(scenes: tuple[Scene, ...]) -> tuple[Scene, ...]:
    return tuple(sorted(scenes, key=lambda scene: (scene.start, scene.id)))


def write_all(store: Store, folder: Path, settings: Settings) -> list[Path]:
    """Write all products of the state; none while no pass is done."""
    passes = store.passes()
    passes = passes[passes["reason"] == ""].drop(columns=["reason", "image_key"])
    if passes.empty:
        return []
    header = Header(settings, store.weights_sha256, "lagrangian-ice advance")
    return write_products(
        folder,
        header,
        passes,
        store.parcels(),
        store.observation_chunks,
        store.pairs(),
        store.vector_chunks,
    )


def _found(paths: Sequence[Path], cache: MetadataCache) -> tuple[list[Scene], dict[Path, str]]:
    """Scenes under paths, by absolute path: the workspace may be used from elsewhere."""
    found, unreadable = find_scenes([path.absolute() for path in paths], cache=cache)
    return found, {item.path: item.reason for item in unreadable}


def export(
    workspace: Path,
    kinds: Sequence[str],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    stream: int | None = None,
) -> list[Path]:
    """Write products of a part of the state.

    Parameters
    ----------
    workspace : Path
        With at least one pass done.
    kinds : sequence of str
        Of ``LP``, ``DP``, ``PD``.
    out : Path
        Folder, made if it is missing.
    start, end : datetime, optional
        Observations (and vectors that end) from ``start`` on and before ``end``.
    stream : int, optional
        One alone; all otherwise.

    Raises
    ------
    WorkspaceError
        If there is nothing to write.
    ProductError
        If a file cannot be written.
    """
    low = -np.inf if start is None else to_seconds(start)
    high = np.inf if end is None else to_seconds(end)
    with Store(workspace) as store:
        passes = store.passes()
        passes = passes[(passes["reason"] == "") & (passes["time"] < high)]
        passes = passes.drop(columns=["reason", "image_key"])

        def observations(number: int) -> Iterator[pd.DataFrame]:
            for frame in store.observation_chunks(number):
                inside = frame["time"].between(low, high, inclusive="left")
                yield frame[inside & frame["pass_index"].isin(passes["pass_index"])]

        def vectors(number: int) -> Iterator[pd.DataFrame]:
            for frame in store.vector_chunks(number):
                # What was not found has no end time; it belongs to its target's time.
                times = frame["pair_index"].map(target_time).astype(np.float64)
                yield frame[times.between(low, high, inclusive="left")]

        times = passes.set_index("pass_index")["time"]
        target_time = store.pairs().set_index("pair_index")["target_pass_index"].map(times)
        pairs = store.pairs()
        pairs = pairs[pairs["target_pass_index"].isin(passes["pass_index"])]
        parcels = _parcels_with(store.parcels(), stream, observations)
        if parcels.empty:
            raise WorkspaceError(f"{workspace}: holds no observation to export")
        settings = validate(json.loads(store.settings or "{}"), str(store.path))
        header = Header(settings, store.weights_sha256, "lagrangian-ice export")
        try:
            out.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".export-", suffix=".part", dir=out) as folder:
                written = write_products(
                    Path(folder), header, passes, parcels, observations, pairs, vectors, kinds
                )
                return [path.replace(out / path.name) for path in written]
        except OSError as error:
            raise ProductError(f"{out}: cannot be written ({error.strerror})") from None


def _parcels_with(
    parcels: pd.DataFrame,
    stream: int | None,
    observations: Callable[[int], Iterable[pd.DataFrame]],
) -> pd.DataFrame:
    """Parcels with observations, and how many of them are chosen."""
    streams = sorted(set(parcels["stream"])) if stream is None else [stream]
    counts: Counter[int] = Counter()
    for number in streams:
        for frame in observations(number):
            counts.update(frame["parcel_id"].tolist())
    chosen = parcels[parcels["parcel_id"].isin(list(counts))]
    return chosen.assign(n_obs=[counts[i] for i in chosen["parcel_id"]])
