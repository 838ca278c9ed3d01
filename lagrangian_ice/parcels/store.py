"""The state of a workspace: what is known of scenes, passes and parcels, kept in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from lagrangian_ice.errors import LagrangianIceError, WorkspaceError
from lagrangian_ice.grid import Float
from lagrangian_ice.parcels import schema, transitions
from lagrangian_ice.parcels.fold import Fold
from lagrangian_ice.parcels.packing import BYTES_OF_ROW, pack_vectors, unpacked
from lagrangian_ice.parcels.population import UNSEEN, Parcels, State
from lagrangian_ice.parcels.view import Ends, Observations, Stream
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import Settings, recalled
from lagrangian_ice.times import SECONDS_PER_DAY, from_seconds, to_seconds

CHUNK_ROWS = 500_000
"""Observations or vectors that are held in memory at a time when a product is written."""
AT_ONCE = 32
"""Rows that one statement inserts: one for each row takes a third longer. Of the widest table they
are fewer values than the 999 that any SQLite takes."""

_LAST_SEEN = (
    "SELECT parcel_id, time, x, y, var_x, var_y, cov_xy, "
    "source_pass IS NULL, source_pass IS NULL OR reference_pass IS NOT NULL "
    "FROM observations WHERE pass_index = ?"
)
_OBSERVATION_FLOATS = (
    *("time", "x", "y", "var_x", "var_y", "cov_xy"),
    *("mcc", "peak_ratio", "rotation", "closure"),
)
REFERENCE_HORIZON = 14 * SECONDS_PER_DAY
"""Before the last pass: how far back references are looked for, unless told otherwise."""
_NEWER = "(SELECT parcel_id FROM parcels WHERE origin_pass >= :first)"
_TAKE_BACK = (
    "DELETE FROM pairs WHERE target_pass >= :first",
    "DELETE FROM missed WHERE pass_index >= :first",
    "DELETE FROM observations WHERE pass_index >= :first",
    # An end without a pass came with the clock alone.
    "DELETE FROM ends WHERE pass_index >= :first OR (pass_index IS NULL AND noticed >= :moment)",
    f"DELETE FROM ends WHERE parcel_id IN {_NEWER}",  # noqa: S608
    "DELETE FROM parcels WHERE origin_pass >= :first",
    "DELETE FROM pass_scenes WHERE pass_index >= :first",
    "DELETE FROM passes WHERE pass_index >= :first",
)


@dataclass(frozen=True)
class PassRecord:
    """A pass as it is kept.

    Attributes
    ----------
    pass_index : int
        Counted up in the order of processing.
    pass_id : str
        The datatake.
    time : float
        Mean acquisition time, seconds since 1970; NaN where the pass failed.
    start, stop : float
        Seconds since 1970.
    platform : str
    orbit : int
    polarisations : str
        Separated by commas.
    scene_ids : tuple of str
        Frames that are in its image.
    failed : dict of str to str
        Frames that could not be read, and why.
    image_key : str
        Name of its geocoded image among the templates.
    ice_time : float
        Of the concentration of sea ice that was used, seconds since 1970; NaN without one.
    """

    pass_index: int
    pass_id: str
    time: float
    start: float
    stop: float
    platform: str
    orbit: int
    polarisations: str
    scene_ids: tuple[str, ...]
    failed: dict[str, str]
    image_key: str = ""
    ice_time: float = np.nan


class NewScenes(NamedTuple):
    """What a look at paths tells the catalogue.

    Attributes
    ----------
    scenes : sequence of Scene
        Found; of one that is known by its id nothing changes.
    unreadable : mapping of Path to str
        And why.
    moved : mapping of str to Path
        Known scenes, by id, that are read from another place from now on.
    gone : sequence of Path
        Could not be read before, and are no longer there.
    """

    scenes: Sequence[Scene] = ()
    unreadable: Mapping[Path, str] = MappingProxyType({})
    moved: Mapping[str, Path] = MappingProxyType({})
    gone: Sequence[Path] = ()


NOTHING_NEW = NewScenes()


class Store:
    """Connection to the state; use it in a ``with`` block.

    Who only reads sees the state of one moment, whatever others write meanwhile.

    Parameters
    ----------
    workspace : Path
        Folder.
    writable : bool
        Whether rows will be added; hold ``schema.locked`` then.
    create : bool
        Make the database where it is missing.

    Raises
    ------
    WorkspaceError
        If it cannot be opened.
    """

    def __init__(self, workspace: Path, *, writable: bool = False, create: bool = False) -> None:
        self.path = workspace / schema.DATABASE
        self._db = schema.connect(workspace, writable=writable, create=create)
        if not writable:
            with schema.told(self.path):
                # Until it is closed; what is written meanwhile stays in the log.
                self._db.execute("BEGIN")

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    # Scenes and settings

    def add_scenes(self, new: NewScenes) -> int:
        """Catalogue scenes.

        Returns
        -------
        int
            How many were not known.
        """
        with self._transaction():
            return self._insert_scenes(new)

    def _insert_scenes(self, new: NewScenes) -> int:
        places = [(str(path), name) for name, path in new.moved.items()]
        self._db.executemany("UPDATE scenes SET path = ? WHERE id = ?", places)
        first, before = self._next("scenes", "added", 1), self._db.total_changes
        known = [_scene_row(scene, first + i) for i, scene in enumerate(new.scenes)]
        self._insert("INSERT OR IGNORE INTO scenes", known)
        added = self._db.total_changes - before
        rows = [(str(path), reason) for path, reason in new.unreadable.items()]
        self._insert("INSERT OR REPLACE INTO unreadable", rows)
        no_more = [(str(path),) for path in (*(scene.path for scene in new.scenes), *new.gone)]
        self._db.executemany("DELETE FROM unreadable WHERE path = ?", no_more)
        return added

    def scenes(self) -> list[Scene]:
        """Catalogued scenes in order of start, then id."""
        rows = self._rows("SELECT * FROM scenes ORDER BY start, id")
        with schema.decoded(self.path, "scene"):
            return [_scene(row) for row in rows]

    def latest_stop(self) -> float:
        """When the last of the catalogued scenes ended, seconds since 1970; 0 without one."""
        return float(self._rows("SELECT ifnull(max(stop), 0) FROM scenes")[0][0])

    def latest_pass(self) -> float:
        """When the last processed pass began, seconds since 1970; -inf without one."""
        (start,) = self._rows("SELECT max(start) FROM passes")[0]
        return -np.inf if start is None else float(start)

    def order_added(self) -> dict[str, int]:
        """When each scene was catalogued: higher is later."""
        return dict(self._rows("SELECT id, added FROM scenes"))

    def replaced(self) -> set[str]:
        """Ids of the scenes that others were asked to replace."""
        return set(self.replacements())

    def replacements(self) -> dict[str, str]:
        """By which scenes, by id, others were asked to be replaced."""
        return dict(self._rows("SELECT id, replaced_by FROM scenes WHERE replaced_by IS NOT NULL"))

    def replace_scenes(self, successors: Mapping[str, str | None]) -> None:
        """Let scenes (keys) be replaced by others from now on, or by none."""
        with self._transaction():
            rows = [(new, old) for old, new in successors.items()]
            self._db.executemany("UPDATE scenes SET replaced_by = ? WHERE id = ?", rows)

    def unreadable(self) -> dict[Path, str]:
        """Paths that could not be opened, and why."""
        rows = self._rows("SELECT path, reason FROM unreadable ORDER BY path")
        return {Path(path): reason for path, reason in rows}

    def pass_scenes(self) -> dict[str, str]:
        """Scenes that are in processed passes, and why they failed (empty: they did not)."""
        return dict(self._rows("SELECT scene_id, reason FROM pass_scenes"))

    def streams(self) -> list[Stream]:
        """All seedings."""
        return [Stream(*row) for row in self._rows("SELECT * FROM streams ORDER BY stream")]

    @property
    def clock(self) -> float | None:
        """Until when all passes are processed, seconds since 1970; None before a seed."""
        return self._moment("clock")

    @property
    def settings(self) -> str | None:
        """Settings as JSON, as last used; None before a seed."""
        return self._meta("settings")

    def recalled_settings(self) -> Settings:
        """Read the settings as last used, whatever version kept them; the defaults before a seed.

        Raises
        ------
        SettingsError
            If they are not allowed.
        """
        with schema.decoded(self.path, "settings"):
            table = json.loads(self.settings or "{}")
        return recalled(table, str(self.path))

    @property
    def weights_sha256(self) -> str:
        """Of the network that tracked last; empty before the first pass."""
        return self._meta("weights_sha256") or ""

    @property
    def goal(self) -> float | None:
        """Where the clock stood before a rebuild that has not come to its end."""
        return self._moment("goal")

    def _moment(self, key: str) -> float | None:
        text = self._meta(key)
        with schema.decoded(self.path, key):
            return None if text is None else float(text)

    def set_clock(self, seconds: float, settings: str) -> None:
        """Move the clock; a rebuild that it has caught up with is over.

        The settings are kept too: there may have been no pass to keep them with.
        """
        with self._transaction():
            self._set_meta("clock", repr(seconds))
            self._set_meta("settings", settings)
            self._db.execute(
                "DELETE FROM meta WHERE key = 'goal' AND CAST(value AS REAL) <= ?", (seconds,)
            )

    # Seeding and folding

    def seed(
        self,
        stream: Stream,
        seed_row: NDArray[np.int32],
        seed_col: NDArray[np.int32],
        settings: str,
        new: NewScenes = NOTHING_NEW,
    ) -> None:
        """Begin a stream with pending parcels at nodes, in one transaction with its scenes."""
        with self._transaction():
            self._insert_scenes(new)
            row = (stream.stream, stream.date, stream.window_end, stream.spacing)
            self._insert("INSERT INTO streams", [row])
            first = self._next("parcels", "parcel_id", 1)
            nodes = zip(seed_row.tolist(), seed_col.tolist(), strict=True)
            rows = [(first + i, stream.stream, r, c, None) for i, (r, c) in enumerate(nodes)]
            self._insert("INSERT INTO parcels", rows)
            self._set_meta("settings", settings)
            if self.clock is None:
                self._set_meta("clock", repr(stream.date))

    def next_pass_index(self) -> int:
        """Index that the next pass gets."""
        return self._next("passes", "pass_index", 0)

    def next_parcel_id(self) -> int:
        """Id that the next parcel gets."""
        return self._next("parcels", "parcel_id", 1)

    def add_failed_pass(self, record: PassRecord, reason: str) -> None:
        """Keep a pass of which no frame could be read."""
        with self._transaction():
            self._insert_pass(record, reason)

    def add_fold(self, record: PassRecord, fold: Fold, settings: str, weights: str) -> None:
        """Keep all that a pass changes, in one transaction."""
        index = record.pass_index
        with self._transaction():
            self._insert_pass(record, "")
            self._insert("INSERT INTO parcels", _parcel_rows(fold.seeded, index))
            columns = _observation_columns(fold.observations, index)
            self._insert_columns("INSERT INTO observations", columns)
            self._insert("INSERT INTO missed", [(index, i) for i in fold.missed.tolist()])
            self._insert("INSERT INTO ends", _end_rows(fold.ends, index, record.start))
            for pair in fold.pairs:
                number = self._next("pairs", "pair_index", 0)
                vectors = pack_vectors(pair.parcel_id, pair.vectors)
                row = (number, pair.source_pass, index, len(pair.parcel_id), vectors)
                self._insert("INSERT INTO pairs", [row])
            self._set_meta("settings", settings)
            self._set_meta("weights_sha256", weights)

    def add_lost(self, ends: Ends, noticed: float) -> None:
        """Keep parcels that ended while no pass came, and until when the clock had come then."""
        with self._transaction():
            self._insert("INSERT INTO ends", _end_rows(ends, None, noticed))

    def take_back(self, moment: float, goal: float) -> int:
        """Remove all passes that start at or after a moment, and what came of them.

        Parcels that were seeded from ``seed`` stay and wait again. The clock goes back too.

        Parameters
        ----------
        moment : float
            Seconds since 1970.
        goal : float
            To where the clock is meant to come again, seconds since 1970.

        Returns
        -------
        int
            How many passes were removed.
        """
        rows = self._rows("SELECT min(pass_index) FROM passes WHERE start >= ?", (moment,))
        first = rows[0][0]
        first = self.next_pass_index() if first is None else int(first)
        count = self.next_pass_index() - first
        with schema.told(self.path):
            # Each deleted parcel would be looked for in every table; checked as a whole below.
            self._db.execute("PRAGMA foreign_keys = OFF")
        try:
            with self._transaction():
                for statement in _TAKE_BACK:
                    self._db.execute(statement, {"first": first, "moment": moment})
                fault = self._db.execute("PRAGMA foreign_key_check").fetchone()
                if fault is not None:
                    raise WorkspaceError(f"{self.path}: damaged: {fault[0]} refers to {fault[2]}")
                self._set_meta("goal", repr(goal))
                self._set_meta("clock", repr(moment))
        finally:
            self._db.execute("PRAGMA foreign_keys = ON")
        return count

    # What there is

    def living(self, horizon: float = REFERENCE_HORIZON) -> Parcels:
        """All parcels that have not ended, in order of id.

        Parameters
        ----------
        horizon : float
            References and sightings before the last are looked for so long before the last
            pass, seconds. No reference of a parcel that lives is older than twice the sum of
            the time after which it is due and the gap after which a parcel ends; no sighting
            before the last is older than twice that gap, but for the time that a pass takes.
        """
        rows = self._rows(
            "SELECT p.parcel_id, p.stream, p.seed_row, p.seed_col, s.spacing, s.date "
            "FROM parcels p JOIN streams s USING (stream) LEFT JOIN ends e USING (parcel_id) "
            "WHERE e.parcel_id IS NULL ORDER BY p.parcel_id"
        )
        with schema.decoded(self.path, "parcels"):
            table = _matrix(rows, 6)
            ids, stream, row, col = (table[:, i].astype(np.int64) for i in range(4))
            population = transitions.planted(ids, 0, row, col, 1.0)
            fields = dict(vars(population))
            fields["stream"] = stream.astype(np.int32)
            fields["xy"] = np.stack([col, row], axis=-1) * table[:, 4:5]
            fields["reference_xy"] = fields["xy"].copy()
            self._put_last_seen(fields, table[:, 5], horizon)
        return Parcels(**fields)

    def _put_last_seen(self, fields: dict[str, Any], begun: Float, horizon: float) -> None:
        """Go back pass by pass until every parcel that can have been seen has been found."""
        ids = fields["parcel_id"]
        # What is still looked for of each: its last sighting, the one before, its reference.
        last, earlier, reference = np.ones((3, len(begun)), dtype=np.bool_)
        dormant = np.zeros(len(begun), dtype=np.bool_)
        passes = self._rows("SELECT pass_index, start FROM passes ORDER BY 1 DESC")
        oldest = max((start for _, start in passes), default=0.0) - horizon
        for index, start in passes:
            possible = begun <= start
            wanted = last | ((earlier | reference) & (start >= oldest))
            if not (wanted & possible).any():
                break
            if (last & possible).any():
                missed = self._rows("SELECT parcel_id FROM missed WHERE pass_index = ?", (index,))
                dormant[_places(ids, _matrix(missed, 1))[0]] = True
            seen = _matrix(self._rows(_LAST_SEEN, (index,)), 9)
            place, known = _places(ids, seen)
            seen = seen[known]
            born, compared = seen[:, 7] == 1, seen[:, 8] == 1
            _put_sightings(fields, _REFERENCE, place, seen, index, reference[place] & compared)
            reference[place[compared]] = False
            _put_sightings(fields, _EARLIER, place, seen, index, earlier[place] & ~last[place])
            earlier[place[born | ~last[place]]] = False
            first = last[place]
            _put_sightings(fields, _LAST, place, seen, index, first)
            place, seen = place[first], seen[first]
            last[place] = False
            fields["state"][place] = np.where(dormant[place], State.DORMANT, State.ALIVE)
            fields["covariance"][place] = _covariance(seen[:, 4:7])
        for name, at_last in zip(_REFERENCE, _LAST, strict=True):
            fields[name][reference] = fields[at_last][reference]

    def passes(self) -> pd.DataFrame:
        """All processed passes, in order; ``reason`` says why one failed.

        ``scene_ids`` are tuples: an id may hold a comma.
        """
        frame = self._frame(
            "SELECT pass_index, pass_id, time, start, stop, platform, orbit, polarisations, "
            "reason, image_key, ice_time FROM passes ORDER BY pass_index"
        )
        rows = self._rows("SELECT pass_index, scene_id, reason FROM pass_scenes ORDER BY scene_id")
        names: dict[int, list[str]] = {}
        for index, scene_id, reason in rows:
            if not reason:
                names.setdefault(index, []).append(scene_id)
        frame["scene_ids"] = [tuple(names.get(i, [])) for i in frame["pass_index"]]
        return frame.astype({"time": np.float64, "ice_time": np.float64})

    def parcels(self) -> pd.DataFrame:
        """All parcels ever, with births, ends and numbers of observations."""
        frame = self._frame(
            "SELECT p.parcel_id, p.stream, p.seed_row, p.seed_col, o.birth_time, "
            "e.time AS death_time, ifnull(e.reason, 0) AS end_reason, ifnull(o.n, 0) AS n_obs "
            "FROM parcels p LEFT JOIN ends e USING (parcel_id) LEFT JOIN "
            "(SELECT parcel_id, min(time) AS birth_time, count(*) AS n FROM observations "
            "GROUP BY parcel_id) o USING (parcel_id) ORDER BY p.parcel_id"
        )
        return frame.astype({"birth_time": np.float64, "death_time": np.float64})

    def pairs(self) -> pd.DataFrame:
        """All image pairs that were tracked."""
        return self._frame(
            "SELECT pair_index, source_pass AS source_pass_index, "
            "target_pass AS target_pass_index FROM pairs ORDER BY pair_index"
        )

    def observation_chunks(self, stream: int | None = None) -> Iterator[pd.DataFrame]:
        """Whole trajectories, in order of parcel and time, of one stream or of all."""
        frame = self.parcels()
        if stream is not None:
            frame = frame[frame["stream"] == stream]
        frame = frame[frame["n_obs"] > 0]
        counts = frame["n_obs"].to_numpy().cumsum()
        ids = frame["parcel_id"].to_numpy()
        for part in np.unique(counts // CHUNK_ROWS):
            chosen = ids[counts // CHUNK_ROWS == part]
            yield self._observations(int(chosen[0]), int(chosen[-1]), stream)

    def _observations(self, first: int, last: int, stream: int | None) -> pd.DataFrame:
        condition = "" if stream is None else "AND q.stream = :stream "
        frame = self._frame(
            "SELECT o.parcel_id, o.pass_index, o.time, o.x, o.y, o.var_x, o.var_y, o.cov_xy, "  # noqa: S608
            "o.mcc, o.peak_ratio, o.rotation, o.q_flag, ifnull(o.source_pass, -1) AS "
            "source_pass_index, o.closure FROM passes p CROSS JOIN observations o "
            "ON o.pass_index = p.pass_index AND o.parcel_id BETWEEN :first AND :last "
            f"JOIN parcels q ON q.parcel_id = o.parcel_id {condition}"
            "ORDER BY o.parcel_id, o.pass_index",
            {"first": first, "last": last, "stream": stream},
        )
        with schema.decoded(self.path, "observations"):
            return _with_floats(frame, _OBSERVATION_FLOATS)

    def vector_chunks(self, stream: int | None = None) -> Iterator[pd.DataFrame]:
        """All vectors, in order of pair and parcel, of one stream or of all."""
        members = self._members(stream)
        held: list[pd.DataFrame] = []
        rows = 0
        for pair, count in self._rows("SELECT pair_index, count FROM pairs ORDER BY pair_index"):
            held.append(self._vectors(pair, count, members))
            rows += len(held[-1])
            if rows >= CHUNK_ROWS:
                yield pd.concat(held, ignore_index=True)
                held, rows = [], 0
        if rows:
            yield pd.concat(held, ignore_index=True)

    def _members(self, stream: int | None) -> NDArray[np.int64]:
        """Ids of a stream's parcels, in order."""
        condition = "" if stream is None else "WHERE stream = :stream "
        query = f"SELECT parcel_id FROM parcels {condition}ORDER BY parcel_id"  # noqa: S608
        rows = self._rows(query, {"stream": stream})
        return np.array(rows, dtype=np.int64).reshape(-1)

    def _vectors(self, pair: int, count: int, members: NDArray[np.int64]) -> pd.DataFrame:
        value = self._rows("SELECT vectors FROM pairs WHERE pair_index = ?", (pair,))[0][0]
        try:
            frame = unpacked(value, count)
        except ValueError as error:
            raise WorkspaceError(f"{self.path}: damaged: pair {pair}: {error}") from None
        frame.insert(0, "pair_index", pair)
        frame = frame[np.isin(frame["parcel_id"], members)]
        return frame.sort_values("parcel_id", kind="stable")

    def end_reasons(self) -> tuple[list[tuple[int, int]], int]:
        """How many parcels that were once seen ended for each reason, and how many never seen."""
        rows = self._rows(
            "SELECT reason, parcel_id IN (SELECT parcel_id FROM observations) AS seen, count(*) "
            "FROM ends GROUP BY reason, seen ORDER BY reason"
        )
        reasons = [(reason, count) for reason, seen, count in rows if seen]
        return reasons, sum(count for _, seen, count in rows if not seen)

    def damage(self) -> list[str]:
        """List what SQLite's own integrity check finds, and values that cannot be read."""
        found = [str(row[0]) for row in self._rows("PRAGMA integrity_check")]
        broken = self._rows("PRAGMA foreign_key_check")
        return [
            *(line for line in found if line != "ok"),
            *(f"{row[0]} row {row[1]}" for row in broken),
            *self._unreadable_values(),
        ]

    def _unreadable_values(self) -> Iterator[str]:
        for read in (self.scenes, self.recalled_settings, lambda: (self.clock, self.goal)):
            try:
                read()
            except LagrangianIceError as error:
                yield str(error)
        if self.streams() and self._meta("clock") is None:
            yield "no clock, though parcels are seeded"
        wrong = "SELECT pair_index FROM pairs WHERE length(vectors) != count * ?"
        yield from (f"vectors of pair {row[0]}" for row in self._rows(wrong, (BYTES_OF_ROW,)))
        no_number = " OR ".join(f"typeof({name}) != 'real'" for name in ("time", "x", "y"))
        query = f"SELECT count(*) FROM observations WHERE {no_number}"  # noqa: S608
        count = self._rows(query)[0][0]
        if count:
            yield f"{count} observations without a time or place"

    # SQLite

    def _transaction(self) -> AbstractContextManager[None]:
        return _told_transaction(self._db, self.path)

    def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._insert_columns(statement, list(zip(*rows, strict=True)))

    def _insert_columns(self, statement: str, columns: Sequence[Sequence[object]]) -> None:
        """Insert rows that are given by columns, many of them a statement."""
        if not columns:
            return
        width = len(columns)
        values: list[object] = [None] * (width * len(columns[0]))
        for number, column in enumerate(columns):
            values[number::width] = column
        marks = f"({','.join('?' * width)})"
        step = width * AT_ONCE
        whole = len(values) // step * step
        batches = (values[i : i + step] for i in range(0, whole, step))
        self._db.executemany(f"{statement} VALUES {','.join([marks] * AT_ONCE)}", batches)
        rest = (values[i : i + width] for i in range(whole, len(values), width))
        self._db.executemany(f"{statement} VALUES {marks}", rest)

    def _insert_pass(self, record: PassRecord, reason: str) -> None:
        # SQLite stores NaN as NULL by itself.
        row = (record.pass_index, record.pass_id, record.time, record.start, record.stop)
        more = (record.platform, record.orbit, record.polarisations, reason, record.image_key)
        self._insert("INSERT INTO passes", [(*row, *more, record.ice_time)])
        frames = chain(((name, "") for name in record.scene_ids), record.failed.items())
        rows = [(name, record.pass_index, why) for name, why in frames]
        self._insert("INSERT INTO pass_scenes", rows)

    def _meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _next(self, table: str, column: str, first: int) -> int:
        query = f"SELECT ifnull(max({column}) + 1, ?) FROM {table}"  # noqa: S608
        return int(self._rows(query, (first,))[0][0])

    def _rows(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        with schema.told(self.path):
            return self._db.execute(query, values).fetchall()

    def _frame(self, query: str, values: Any = ()) -> pd.DataFrame:
        with schema.told(self.path):
            cursor = self._db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return pd.DataFrame.from_records(cursor.fetchall(), columns=names)


@contextmanager
def _told_transaction(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    with schema.told(path), schema.transaction(db):
        yield


def _scene_row(scene: Scene, added: int) -> tuple[object, ...]:
    return (
        *(scene.id, str(scene.path), scene.kind, to_seconds(scene.start), to_seconds(scene.stop)),
        *(scene.pass_id, scene.platform, scene.orbit, ",".join(scene.polarisations), scene.units),
        *(scene.shape[0], scene.shape[1], scene.pixel, shapely.to_wkb(scene.footprint)),
        *(added, None),
    )


def _scene(row: tuple[Any, ...]) -> Scene:
    footprint = shapely.from_wkb(row[13])
    if not isinstance(footprint, Polygon):
        raise ValueError(f"footprint of {row[0]} is not a polygon")
    return Scene(
        id=row[0],
        path=Path(row[1]),
        kind=row[2],
        start=from_seconds(row[3]),
        stop=from_seconds(row[4]),
        pass_id=row[5],
        platform=row[6],
        orbit=row[7],
        polarisations=tuple(row[8].split(",")),
        units=row[9],
        shape=(row[10], row[11]),
        pixel=row[12],
        footprint=footprint,
    )


def _parcel_rows(parcels: Parcels, origin: int) -> list[tuple[object, ...]]:
    columns = (parcels.parcel_id, parcels.stream, parcels.seed_row, parcels.seed_col)
    return [(*row, origin) for row in _rowwise(*columns)]


def _observation_columns(seen: Observations, index: int) -> list[Sequence[object]]:
    c = seen.covariance
    floats = (seen.time, *seen.xy.T, c[:, 0, 0], c[:, 1, 1], c[:, 0, 1])
    quality = (seen.mcc, seen.peak_ratio, seen.rotation, seen.q_flag)
    columns = [column.tolist() for column in (seen.parcel_id, *floats, *quality)]
    passes = (_or_null(seen.source_pass), _or_null(seen.reference_pass))
    # SQLite stores NaN as NULL by itself.
    return [[index] * len(seen.parcel_id), *columns, *passes, seen.closure.tolist()]


def _or_null(index: NDArray[np.int32]) -> list[int | None]:
    return [None if i < 0 else i for i in index.tolist()]


def _end_rows(ends: Ends, index: int | None, noticed: float) -> list[tuple[object, ...]]:
    """Rows of ends; one of time belongs to the clock, not to the pass that noticed."""
    rows = _rowwise(ends.parcel_id, ends.reason, ends.time)
    of_clock = (None, noticed)
    return [(*row, *(of_clock if row[1] in UNSEEN.values() else (index, None))) for row in rows]


def _rowwise(*columns: NDArray[Any]) -> list[tuple[Any, ...]]:
    # SQLite stores NaN as NULL by itself.
    return list(zip(*(column.tolist() for column in columns), strict=True))


_LAST = ("pass_index", "time", "xy")
_EARLIER = ("earlier_pass", "earlier_time", "earlier_xy")
_REFERENCE = ("reference_pass", "reference_time", "reference_xy")
"""Columns of a parcel's last sighting, of the one before and of its reference."""


def _put_sightings(
    fields: dict[str, Any],
    names: tuple[str, str, str],
    place: NDArray[np.int64],
    seen: Float,
    index: int,
    chosen: NDArray[np.bool_],
) -> None:
    """Put the chosen of the sightings of a pass into the columns of these names."""
    at = place[chosen]
    for name, values in zip(names, (index, seen[chosen, 1], seen[chosen, 2:4]), strict=True):
        fields[name][at] = values


def _matrix(rows: Sequence[tuple[Any, ...]], columns: int) -> Float:
    return np.array(rows, dtype=np.float64).reshape(-1, columns)


def _places(ids: NDArray[np.int64], rows: Float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Find rows (first column: an id) among sorted ids: places, and which rows have one."""
    if not len(ids):
        return np.empty(0, dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ids, rows[:, 0]), len(ids) - 1)
    known = ids[place] == rows[:, 0]
    return place[known], known


def _covariance(columns: Float) -> Float:
    """Matrices (N, 2, 2) from var_x, var_y, cov_xy (N, 3)."""
    return columns[:, [0, 2, 2, 1]].reshape(-1, 2, 2)


def _with_floats(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """All-missing columns come from SQLite as objects."""
    return frame.astype(dict.fromkeys(names, np.float64))
