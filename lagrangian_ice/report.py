"""What a run has done, in numbers: JSON for programs and one page of text for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lagrangian_ice import __version__
from lagrangian_ice.engine import Stopwatch, Workers, peak_memory_mib
from lagrangian_ice.errors import WorkspaceError, reason_of
from lagrangian_ice.files import write_text
from lagrangian_ice.parcels.fold import Fold
from lagrangian_ice.parcels.population import EndReason, Parcels, State
from lagrangian_ice.parcels.quality import WORST
from lagrangian_ice.parcels.view import Ends

MOST_LINES = 40
"""Passes that the page lists."""


@dataclass
class PassReport:
    """A pass.

    Attributes
    ----------
    id, start : str
        Its datatake, and when it began (ISO 8601).
    reason : str
        Why it failed; empty: it did not.
    found, missed, born, checked, disagreeing : int
        Parcels seen again, looked for in vain, born; compared with an earlier sighting, and
        of these with the worst quality.
    ended : dict of str to int
        By reason.
    seconds : dict of str to float
        By stage, wherever they were spent.
    waited : float
        Seconds that the fold waited for vectors.
    ice : str
        Time of the concentration of sea ice that was used; empty without one.
    """

    id: str
    start: str
    reason: str = ""
    found: int = 0
    missed: int = 0
    born: int = 0
    checked: int = 0
    disagreeing: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    waited: float = 0.0
    ice: str = ""

    def spent(self, stage: str, seconds: float) -> None:
        """Add to the seconds of a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def count(self, fold: Fold) -> None:
        """Take the numbers of a fold."""
        seen = fold.observations
        checked = np.isfinite(seen.closure)
        self.found = int((seen.source_pass >= 0).sum())
        self.born = len(seen.parcel_id) - self.found
        self.missed = len(fold.missed)
        self.checked = int(checked.sum())
        self.disagreeing = int((checked & (seen.q_flag == WORST)).sum())
        self.ended = _by_reason(fold.ends)

    def line(self) -> str:
        """Say it in a line."""
        if self.reason:
            return f"failed: {self.reason}"
        ended = ", ".join(f"{count} {reason}" for reason, count in self.ended.items())
        return (
            f"{self.found} parcels found, {self.missed} not, {self.born} born, "
            f"{ended or 'none'} ended; {sum(self.seconds.values()):.1f} s"
        )


@dataclass
class PairReport:
    """A pair: ids of its passes, vectors tried, and those that have an end."""

    source: str
    target: str
    vectors: int
    tracked: int


@dataclass
class Report:
    """One call of ``advance`` or ``rebuild``.

    Attributes
    ----------
    begin : str
        The clock before, ISO 8601.
    workers : Workers
        Where it ran.
    concentration : str
        Where the concentration of sea ice comes from; empty: from nowhere.
    """

    begin: str
    workers: Workers
    concentration: str = ""
    until: str = ""
    version: str = __version__
    started: str = field(default_factory=lambda: _now())
    finished: str = ""
    passes: list[PassReport] = field(default_factory=list)
    pairs: list[PairReport] = field(default_factory=list)
    parcels: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    failed_pairs: dict[str, str] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    disk: dict[str, int] = field(default_factory=dict)
    peak_memory_mib: float = 0.0

    def add_pairs(self, target: str, fold: Fold, names: Mapping[int, str]) -> None:
        """Take the pairs of a fold."""
        for pair in fold.pairs:
            tracked = int(pair.vectors.tracked.sum())
            source = names[pair.source_pass]
            self.pairs.append(PairReport(source, target, len(pair.parcel_id), tracked))

    def lost(self, ends: Ends) -> None:
        """Take the parcels that ended while no pass came."""
        self.ended = dict(Counter(self.ended) + Counter(_by_reason(ends)))

    def finish(
        self,
        until: str,
        late: list[str],
        products: list[Path],
        parcels: Parcels,
        watch: Stopwatch,
    ) -> None:
        """Add up."""
        self.until, self.late = until, late
        self.products = [str(path) for path in products]
        self.finished = _now()
        for state in (State.ALIVE, State.DORMANT, State.PENDING):
            self.parcels[state.name.lower()] = int((parcels.state == state).sum())
        ended = Counter(self.ended)
        seconds: Counter[str] = Counter()
        for one in self.passes:
            ended.update(one.ended)
            seconds.update(one.seconds)
        self.ended = dict(sorted(ended.items()))
        self.seconds = dict(watch.seconds) | dict(seconds)
        self.peak_memory_mib = peak_memory_mib()

    def page(self) -> str:
        """Say it on a page."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        failed = sum(bool(one.reason) for one in self.passes)
        yield f"lagrangian_ice {self.version}: from {self.begin} until {self.until}"
        yield f"run        {self.started} to {self.finished}, {_workers(self.workers)}"
        yield f"passes     {len(self.passes) - failed} done, {failed} failed"
        vectors, tracked = (
            sum(getattr(one, name) for one in self.pairs) for name in ("vectors", "tracked")
        )
        share = f", {100 * tracked / vectors:.1f} % with an end" if vectors else ""
        yield f"pairs      {len(self.pairs)}, {vectors} vectors{share}"
        yield "parcels    " + ", ".join(f"{count} {name}" for name, count in self.parcels.items())
        ended = ", ".join(f"{count} {reason}" for reason, count in self.ended.items())
        yield f"ended      {ended or 'none'}"
        checked, apart = (
            sum(getattr(one, name) for one in self.passes) for name in ("checked", "disagreeing")
        )
        yield f"closures   {checked} checked, {apart} of them with the worst quality flag"
        if self.concentration:
            told = sum(bool(one.ice) for one in self.passes)
            yield f"ice        {ice_line(told, len(self.passes) - failed - told)}"
        for name, seconds in self.seconds.items():
            yield f"seconds    {seconds:9.1f}  {name}"
        yield f"memory     {self.peak_memory_mib:.0f} MiB at most in the main process"
        for name, size in self.disk.items():
            yield f"disk       {size / 2**20:9.0f} MiB  {name}"
        for name in self.products:
            yield f"wrote      {name}"
        for name in self.late:
            yield f"late       {name}"
        for name, reason in (self.failed | self.failed_pairs).items():
            yield f"failed     {name}: {reason}"
        for one in self.passes[:MOST_LINES]:
            yield f"{one.start}  {one.id}  {one.line()}"
        if len(self.passes) > MOST_LINES:
            yield f"and {len(self.passes) - MOST_LINES} passes more, in the JSON file"


def write_report(report: Report, folder: Path) -> Path:
    """Write a report as JSON and as text, named by the time of the run.

    Returns
    -------
    Path
        The JSON file.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    stem = datetime.fromisoformat(report.started).strftime("%Y%m%dT%H%M%S_%f")
    path = folder / f"{stem}.json"
    try:
        folder.mkdir(exist_ok=True)
        write_text(path, json.dumps(asdict(report), indent=1) + "\n")
        write_text(path.with_suffix(".txt"), report.page())
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be written ({reason_of(error)})") from None
    return path


def ice_line(told: int, untold: int) -> str:
    """Say for how many passes the concentration of sea ice was known, and not."""
    line = f"concentration known for {told} passes"
    return f"{line}, not for {untold}: nothing ended there for want of ice" if untold else line


def _by_reason(ends: Ends) -> dict[str, int]:
    numbers = Counter(ends.reason.tolist())
    return {EndReason(number).name.lower(): count for number, count in sorted(numbers.items())}


def _workers(workers: Workers) -> str:
    if workers.scheduler is not None:
        return f"Dask cluster {workers.scheduler}"
    return f"{workers.count} {workers.kind}" if workers.count > 1 else "one process"


def _now() -> str:
    return datetime.now(UTC).isoformat()
