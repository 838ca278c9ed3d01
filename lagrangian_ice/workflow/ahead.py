"""What runs ahead of the fold in time, so that no worker waits for it.

The images of the passes that wait; the motion fields of the pairs that are to be expected: those
that :func:`lagrangian_ice.parcels.plan.plan` foresees after each fold; and the pairs themselves
of which :func:`lagrangian_ice.parcels.settled.settled` knows what will be asked, or the fold at
hand what it will probably ask. A field that was not foreseen is found when its pair is matched, one
that is not needed was found in vain, and a pair serves only whom it answers exactly: the records
depend on none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from lagrangian_ice.engine import Job, Rank, Tasks
from lagrangian_ice.parcels.fields import FieldTask
from lagrangian_ice.parcels.pairs import Matched, PairTask, match_ahead, match_pair
from lagrangian_ice.parcels.prepare import Prepared, Task, prepare
from lagrangian_ice.settings import FirstGuessSettings

PairKey = tuple[str, str, float]
"""Ids of the source pass and the target pass, and the speed that is searched, m s-1."""


@dataclass(eq=False)
class _Early:
    """A pair that is matched before it is asked for; no job yet where its field is awaited."""

    task: PairTask
    job: Job[PairTask, Matched] | None = None


class Ahead:
    """Images, motion fields and pairs, begun before their turn.

    Parameters
    ----------
    pool : Tasks
        Where they are made. One worker alone makes everything when it is needed.
    waiting : sequence of (str, Task)
        Passes in the order of the fold, by id.
    settings : FirstGuessSettings
        Of the fields.

    Attributes
    ----------
    pool : Tasks
        As given.
    depth : int
        How many passes ahead are begun.
    """

    def __init__(
        self, pool: Tasks, waiting: Sequence[tuple[str, Task]], settings: FirstGuessSettings
    ) -> None:
        self.depth = 0 if pool.slots == 1 else 2 * pool.slots
        self.pool = pool
        self._waiting = waiting
        self._settings = settings
        self._images: list[Job[Task, Prepared]] = []
        self._ready: dict[str, Task] = {}
        self._expected: list[PairKey] = []
        self._fields: dict[PairKey, Job[FieldTask, float]] = {}
        self._pairs: dict[str, list[_Early]] = {}

    def begin(self, number: int) -> None:
        """Begin the images of a pass and those after it."""
        for name, task in self._waiting[len(self._images) : number + self.depth + 1]:
            job = self.pool.submit(prepare, task)
            self._images.append(job)
            job.future.add_done_callback(partial(self._image_is_there, name, task))

    def image(self, number: int) -> Prepared:
        """Wait for the image of a pass; those after it are begun."""
        self.begin(number)
        return self._images[number].result()

    def add(self, name: str, task: Task) -> None:
        """Take a processed pass, which may be the source of a pair."""
        with self.pool.lock:
            self._ready[name] = task

    def ready(self, name: str) -> Task | None:
        """Look up the task of a pass whose image is there."""
        with self.pool.lock:
            return self._ready.get(name)

    def expect(self, pairs: Iterable[PairKey]) -> None:
        """Begin the fields of these pairs as soon as both images are there."""
        with self.pool.lock:
            self._expected = list(pairs) if self.depth else []
            self._begin_fields()

    def fields(self, pairs: Sequence[PairKey]) -> Iterator[float]:
        """Seconds that the field of each pair took, when it is there; 0 where none was begun.

        One that several are about to need is begun now: each would find it for itself.
        """
        with self.pool.lock:
            needed = Counter(pairs)
            for pair in (pair for pair, count in needed.items() if count > 1):
                self._begin_field(pair)
            jobs = {pair: self._fields.pop(pair, None) for pair in needed}
            self._expected = [pair for pair in self._expected if pair not in needed]
            for job in jobs.values():
                if job is not None:
                    self.pool.hurry(job)
        return (_seconds(jobs[pair], pair in pairs[:number]) for number, pair in enumerate(pairs))

    def match(self, pair: PairTask) -> None:
        """Begin a pair of which is told what will be asked, as soon as its field is there.

        One worker alone does nothing in vain. Where there is no field to be had, the pair is left
        to who asks for it.
        """
        with self.pool.lock:
            if not self.depth or self._begun(pair) is not None:
                return
            early = _Early(pair)
            self._pairs.setdefault(pair.names[1], []).append(early)
            field = None if pair.few else self._begin_field(pair_key(pair))
            if field is None:
                self._begin_match(early)
            else:
                field.future.add_done_callback(partial(self._field_is_there, early))

    def matched(self, pair: PairTask) -> Job[PairTask, Matched] | None:
        """Hand out the job of a pair that was begun, if exactly this was asked then."""
        with self.pool.lock:
            early = self._begun(pair)
            if early is None:
                return None
            self._pairs[pair.names[1]].remove(early)
            if early.job is not None:
                self.pool.hurry(early.job)
            return early.job

    def forget(self, target: str) -> None:
        """Drop the pairs and fields that a pass has not asked for."""
        with self.pool.lock:
            for early in self._pairs.pop(target, []):
                if early.job is not None:
                    self.pool.drop(early.job)
            for pair in [pair for pair in self._fields if pair[1] == target]:
                self.pool.drop(self._fields.pop(pair))
            self._expected = [pair for pair in self._expected if pair[1] != target]

    def _begun(self, pair: PairTask) -> _Early | None:
        """Find a pair among those that were begun."""
        same = (one for one in self._pairs.get(pair.names[1], []) if pair.same_as(one.task))
        return next(same, None)

    def _field_is_there(self, early: _Early, done: Future[float]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._begin_match(early)

    def _begin_match(self, early: _Early) -> None:
        with self.pool.lock:
            if early in self._pairs.get(early.task.names[1], []):
                early.job = self.pool.submit(match_pair, early.task, rank=Rank.SOON)

    def _image_is_there(self, name: str, task: Task, done: Future[Prepared]) -> None:
        # The task's own error comes when its turn has come.
        if done.cancelled() or done.exception() is not None:
            return
        prepared = done.result()
        if prepared.scenes:
            with self.pool.lock:
                self._ready[name] = replace(task, scenes=prepared.scenes, key=prepared.key)
                self._begin_fields()

    def _begin_fields(self) -> None:
        for pair in self._expected:
            self._begin_field(pair)

    def _begin_field(self, pair: PairKey) -> Job[FieldTask, float] | None:
        """Begin a field unless it is begun, or an image is not there; return its job."""
        source, target = (self._ready.get(name) for name in pair[:2])
        if source is not None and target is not None and pair not in self._fields:
            settings = self._settings.model_copy(update={"max_speed": pair[2]})
            task = FieldTask(source, target, settings)
            self._fields[pair] = self.pool.submit(match_ahead, task, rank=Rank.SOON)
        return self._fields.get(pair)


def pair_key(pair: PairTask) -> PairKey:
    """Key of the field of a pair."""
    return (*pair.names, pair.settings.first_guess.max_speed)


def _seconds(job: Job[FieldTask, float] | None, told: bool) -> float:
    """Wait for a field; its seconds are told once."""
    seconds = 0.0 if job is None else job.result()
    return 0.0 if told else seconds
