"""One call of advance: pass by pass, each in a transaction of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lagrangian_ice.engine import Job, Rank, Stopwatch, Workers, tasks
from lagrangian_ice.errors import SceneError, UnlikeError
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.vectors import Vectors, nothing_seen
from lagrangian_ice.parcels.concentration import Concentration, IceField
from lagrangian_ice.parcels.earlier import speed_to_search
from lagrangian_ice.parcels.fold import Fold, fold_pass, lost_until
from lagrangian_ice.parcels.nearby import are_few
from lagrangian_ice.parcels.pairs import Matched, PairTask, match_images, match_pair
from lagrangian_ice.parcels.plan import Outline, plan
from lagrangian_ice.parcels.prepare import (
    CACHE_BYTES,
    Prepared,
    Recent,
    Task,
    clean,
    drop_templates,
    grid_of,
    keep_template,
)
from lagrangian_ice.parcels.queue import begin_of_passes
from lagrangian_ice.parcels.schema import DATABASE
from lagrangian_ice.parcels.settled import Coming, settled
from lagrangian_ice.parcels.store import PassRecord, Store
from lagrangian_ice.parcels.transitions import living, no_parcels
from lagrangian_ice.parcels.view import DAY, View, Wanted
from lagrangian_ice.report import PassReport, Report, write_report
from lagrangian_ice.scenes.passes import Pass
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import ParcelSettings, Settings
from lagrangian_ice.superlim.weights_files import find_weights
from lagrangian_ice.times import iso, to_seconds
from lagrangian_ice.workflow.ahead import Ahead, PairKey, pair_key
from lagrangian_ice.workflow.products import write_all
from lagrangian_ice.workspace import queue_of

log = logging.getLogger(__name__)

Progress = Callable[[Sequence[Pass]], Iterable[Pass]]
CACHE, TEMPLATES, PRODUCTS, REPORTS = "cache", "templates", "products", "reports"
"""Folders in a workspace."""
WRITTEN = (
    (CACHE, "*.npz"),
    (TEMPLATES, "*.npz"),
    (PRODUCTS, "lagrangian_ice_*.nc"),
    (REPORTS, "*.json"),
    (REPORTS, "*.txt"),
)
"""Names of the files that a run writes into them."""


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
        Scenes, and earlier passes, that could not be read now, by id or path, and why.
    late : tuple of str
        Ids of scenes that came after their time and wait for a rebuild.
    late_from : str
        From when a rebuild takes them in, ISO 8601; empty without one.
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
    late_from: str = ""
    products: tuple[Path, ...] = ()
    report: Path | None = None
    repeated: tuple[str, ...] = ()


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


class Run:
    """One call of advance: pass by pass, each in a transaction of its own."""

    def __init__(self, workspace: Path, store: Store, settings: Settings, options: Options) -> None:
        self.workspace = workspace
        self.store = store
        self.settings = settings
        self.options = options
        self.recent = Recent(1, 0)
        self.watch = Stopwatch()
        self.streams = store.streams()
        self.scenes: dict[str, Scene] = {}
        self.tasks: dict[int, Task] = {}
        self.names: dict[int, str] = {}
        self.outlines: dict[int, Outline] = {}
        source = settings.parcels.ice_concentration
        self.concentration = concentration_of(settings)
        self.report = Report(iso(store.clock or 0.0), options.workers, source)
        self.parcels = no_parcels()
        self.gone: dict[str, str] = {}

    def advance(self, goal: float) -> Outcome:
        """Process, end who is lost by then, write products and report, then move the clock.

        A call that is killed anywhere can so be repeated as it was.
        """
        for folder, names in WRITTEN:
            clean(self.workspace / folder, names)
        with self.watch.stage("load"):
            self.parcels = self.store.living(horizon(self.settings.parcels))
            waiting, late, repeated = self._look()
            self._look_after_templates()
        todo = [one for one in waiting if to_seconds(one.start) < goal]
        self._process(todo)
        self.parcels, ends = lost_until(self.parcels, goal, self.settings.parcels, self.streams)
        self.store.add_lost(ends, goal)
        self.report.lost(ends)
        products: list[Path] = []
        if self.options.products:
            with self.watch.stage("products"):
                products = write_all(self.store, self.workspace / PRODUCTS, self.settings)
        path = self._report(goal, late, products)
        self.store.set_clock(goal, self.settings.as_json())
        self._look_after_templates()
        log.info("processed until %s: %d passes", iso(goal), len(todo))
        late_from = begin_of_passes([self.scenes[name] for name in late], [*self.scenes.values()])
        return Outcome(
            passes=len(todo),
            until=iso(goal),
            failed=self.report.failed | self.gone,
            late=tuple(late),
            late_from="" if late_from is None else iso(late_from),
            products=tuple(products),
            report=path,
            repeated=tuple(repeated),
        )

    @property
    def _cache(self) -> Path:
        # Workers of a cluster have working folders of their own.
        return (self.workspace / CACHE).absolute()

    @property
    def _templates(self) -> Path:
        return (self.workspace / TEMPLATES).absolute()

    def _look(self) -> tuple[list[Pass], list[str], list[str]]:
        self.scenes = {scene.id: scene for scene in self.store.scenes()}
        found = queue_of(self.store, list(self.scenes.values()))
        for row in self.store.passes().to_dict("records"):
            frames = tuple(self.scenes[name] for name in row["scene_ids"])
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
        one = self.parcels
        sightings = np.stack([one.pass_index, one.earlier_pass, one.reference_pass])[:, seen]
        used = np.unique(sightings[sightings >= 0]).tolist()
        needed = {self.tasks[index].key for index in used}
        drop_templates(self._templates, needed)

    def _process(self, todo: Sequence[Pass]) -> None:
        waiting = [(one.id, self._task(_in_time(one.scenes))) for one in todo]
        with tasks(self.options.workers) as pool:
            ahead = Ahead(pool, waiting, self.settings.first_guess)
            for index, task in self.tasks.items():
                ahead.add(self.names[index], task)
            for number, one in enumerate(self.options.progress(todo)):
                if ahead.depth:
                    # Workers have something to do while the main process plans.
                    ahead.begin(number)
                    coming = todo[number : number + 1 + ahead.depth]
                    with self.watch.stage("plan"):
                        ahead.expect(self._foreseen(coming))
                with self.watch.stage("wait for images"):
                    prepared = ahead.image(number)
                if ahead.depth:
                    with self.watch.stage("plan"):
                        self._begin_settled(coming, ahead)
                self._fold(one, prepared, ahead)
                ahead.forget(one.id)

    def _foreseen(self, passes: Sequence[Pass]) -> list[PairKey]:
        """Pairs that the next passes will be in, as far as one can tell now."""
        rules = self.settings.parcels
        margin = rules.birth_margin * self.settings.images.pixel
        seen = np.unique([self.parcels.pass_index, self.parcels.reference_pass])
        done = {index: self._outline(index) for index in seen[seen >= 0].tolist()}
        planned = plan(self.parcels, passes, done, self.streams, rules, margin, self.concentration)
        areas = {one.id: one.footprint.area for one in passes}
        areas |= {one.id: one.footprint.area for one in done.values()}
        speeds = self._speeds_to_check()
        fastest = self.settings.first_guess.max_speed
        pairs: list[PairKey] = []
        for pair in (pair for one in planned for pair in one.pairs):
            speed = fastest if pair.purpose == "follow" else speeds.get(pair.source)
            if speed is not None and not self._are_few(pair.xy, areas[pair.source]):
                pairs.append((pair.source, pair.target, speed))
        return pairs

    def _begin_settled(self, passes: Sequence[Pass], ahead: Ahead) -> None:
        """Begin the pairs of the next passes of which the fold at hand can change nothing."""
        ready: dict[str, Task] = {}
        coming: list[Coming] = []
        for one in passes:
            task = ahead.ready(one.id)
            grid = None if task is None else grid_of(task)
            if task is None or grid is None:
                break
            ready[one.id] = task
            outline = Outline.of(one.id, task.scenes)
            # Rules count from the start of all its frames, also of those that cannot be read.
            coming.append(Coming(replace(outline, start=to_seconds(one.start)), grid))
        rules, fastest = self.settings.parcels, self.settings.first_guess.max_speed
        for name, wanted in settled(self.parcels, coming, rules, fastest):
            ahead.match(self._pair(wanted, name, ready[name]))

    def _are_few(self, xy: Float, area: float) -> bool:
        """Whether parcels of a source of this area need no field of the whole pass."""
        return are_few(xy, area, self.settings.images.pixel)

    def _speeds_to_check(self) -> dict[str, float]:
        """Speed to search from each pass that parcels are compared with, by its id."""
        one = self.parcels
        moved = living(one) & (one.reference_pass >= 0) & (one.pass_index > one.reference_pass)
        way = np.linalg.norm(one.xy[moved] - one.reference_xy[moved], axis=1)
        gone = way / (one.time[moved] - one.reference_time[moved])
        fastest = self.settings.first_guess.max_speed
        references = one.reference_pass[moved]
        return {
            self.names[index]: speed_to_search(float(gone[references == index].max()), fastest)
            for index in np.unique(references).tolist()
        }

    def _outline(self, index: int) -> Outline:
        """Tell the plan of a processed pass."""
        if index not in self.outlines:
            self.outlines[index] = Outline.of(self.names[index], self.tasks[index].scenes)
        return self.outlines[index]

    def _fold(self, one: Pass, prepared: Prepared, ahead: Ahead) -> None:
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
        ahead.add(one.id, self.tasks[index])
        told = PassReport(one.id, iso(to_seconds(one.start)))
        told.seconds["image"] = prepared.seconds
        watch = Stopwatch()
        with watch.stage("load image"):
            image, features = self.recent.get(self.tasks[index])
        with watch.stage("ice"):
            ice = self._ice(one)
        told.ice = "" if ice is None else iso(ice.time)
        with watch.stage("fold"):
            view = View(
                image,
                index,
                to_seconds(one.start),
                self.streams,
                self.settings.parcels,
                self.settings.first_guess.max_speed,
                ice,
            )
            fold = fold_pass(
                self.parcels,
                view,
                lambda wanted: self._match(index, wanted, ahead, told),
                self.store.next_parcel_id(),
                (lambda wanted: self._expect(index, wanted, ahead)) if ahead.depth else None,
            )
        with watch.stage("write"):
            record = replace(
                _record(one, index, prepared, image.polarisations, float(image.node_time.mean())),
                ice_time=np.nan if ice is None else ice.time,
            )
            keep_template(self.tasks[index], (image, features))
            settings = self.settings.as_json()
            self.store.add_fold(record, fold, settings, features.weights_sha256)
        self.parcels = fold.parcels
        self._look_after_templates()
        self._tell(told, fold, watch)

    def _ice(self, one: Pass) -> IceField | None:
        """Concentration of sea ice at the time of a pass."""
        if self.concentration is None:
            return None
        ice = self.concentration.at(to_seconds(one.start))
        if ice is None:
            log.warning("pass %s: no concentration of sea ice is near in time", one.id)
        self.report.failed |= self.concentration.failed
        return ice

    def _match(
        self, target: int, wanted: Sequence[Wanted], ahead: Ahead, told: PassReport
    ) -> list[Vectors]:
        """Track points from earlier passes; one that cannot be read any more shows nothing."""
        begun = time.perf_counter()
        name, task = self.names[target], self.tasks[target]
        jobs = self._handed_in([self._pair(one, name, task) for one in wanted], ahead, told)
        found = []
        for one, job in zip(wanted, jobs, strict=True):
            try:
                matched = job.result()
            except SceneError as error:
                source = self.names[one.source_pass]
                log.warning("source pass %s cannot be used: %s", source, error)
                self.report.failed_pairs[f"{source} {name}"] = str(error)
                if not isinstance(error, UnlikeError):
                    self.gone[f"pass {source}"] = str(error)
                matched = Matched(nothing_seen(one.xy), 0.0)
            told.spent("field", matched.field_seconds)
            told.spent("match", matched.seconds)
            found.append(matched.vectors)
        told.waited += time.perf_counter() - begun
        return found

    def _expect(self, target: int, wanted: Sequence[Wanted], ahead: Ahead) -> None:
        """Begin pairs that the fold will probably ask for, while it asks for others."""
        for one in wanted:
            ahead.match(self._pair(one, self.names[target], self.tasks[target]))

    def _handed_in(
        self, pairs: Sequence[PairTask], ahead: Ahead, told: PassReport
    ) -> list[Job[PairTask, Matched]]:
        """Hand in the pairs of a pass, those of whole passes as their fields are there."""
        jobs: dict[int, Job[PairTask, Matched]] = {}
        # What takes longest first: no worker shall be alone with it at the end.
        order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number].xy))
        whole = [number for number in order if not pairs[number].few]
        fields = ahead.fields([pair_key(pairs[number]) for number in whole])

        def hand_in(number: int) -> None:
            job = ahead.matched(pairs[number])
            jobs[number] = job or ahead.pool.submit(match_pair, pairs[number], rank=Rank.NOW)

        for number in order:
            if pairs[number].few:
                hand_in(number)
        for number, seconds in zip(whole, fields, strict=True):
            told.spent("field", seconds)
            hand_in(number)
        return [jobs[number] for number in range(len(pairs))]

    def _pair(self, one: Wanted, name: str, target: Task) -> PairTask:
        """Task of a pair with a target pass."""
        guess = self.settings.first_guess.model_copy(update={"max_speed": one.max_speed})
        mcc = self.settings.mcc
        least = {"min_correlation": one.correlation * mcc.min_correlation}
        asked = {"first_guess": guess, "mcc": mcc.model_copy(update=least)}
        settings = self.settings.model_copy(update=asked)
        source = self.tasks[one.source_pass]
        few = self._are_few(one.xy, self._outline(one.source_pass).footprint.area)
        names = (self.names[one.source_pass], name)
        return PairTask(names, source, target, one.xy, settings, match_images, few)

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


def horizon(settings: ParcelSettings) -> float:
    """How long before the last pass an earlier sighting of a parcel can be, seconds."""
    # Parcels are seen in the course of a pass, rules count from its start: a day more.
    return (2 * (settings.closure_days + settings.max_gap_days) + 1) * DAY


def concentration_of(settings: Settings) -> Concentration | None:
    """Fields of sea-ice concentration that the settings name.

    Raises
    ------
    SettingsError
        If no such field can be read.
    """
    rules = settings.parcels
    if not rules.ice_concentration:
        return None
    return Concentration(rules.ice_concentration, rules.concentration_days)


def chosen_settings(store: Store, given: Settings | None) -> Settings:
    """Those given, else those kept, else the defaults; the pixel stays as it was first seeded."""
    kept = store.recalled_settings()
    if given is None:
        return kept
    if store.streams():
        images = given.images.model_copy(update={"pixel": kept.images.pixel})
        given = given.model_copy(update={"images": images})
    return with_whole_paths(given)


def with_whole_paths(settings: Settings) -> Settings:
    """Name concentration and weights as from anywhere: a workspace is used from elsewhere.

    Weights that have a name, and are not a file's, stay as they are.
    """
    parcels, features = settings.parcels, settings.features
    if parcels.ice_concentration:
        whole = str(Path(parcels.ice_concentration).absolute())
        parcels = parcels.model_copy(update={"ice_concentration": whole})
    file = Path(features.weights)
    if file.is_file() and find_weights(features.weights) == file:
        features = features.model_copy(update={"weights": str(file.absolute())})
    return settings.model_copy(update={"parcels": parcels, "features": features})


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
