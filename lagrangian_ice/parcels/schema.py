"""The state's database: tables, connections, and the lock on a workspace.

Rows are only ever added (``take_back`` of the store removes the newest): what a parcel is at
any time follows from its births, observations, misses and end, so going back in time is
deleting rows.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import shapely

from lagrangian_ice.errors import WorkspaceError, reason_of
from lagrangian_ice.files import on_full_disk
from lagrangian_ice.parcels import packing

DATABASE = "lagrangian_ice.sqlite"
LOCK = ".lagrangian_ice.lock"
_DAMAGED = ("malformed", "not a database")
VERSION = 6

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE streams (
    stream INTEGER PRIMARY KEY, date REAL NOT NULL, window_end REAL NOT NULL,
    spacing REAL NOT NULL
);
CREATE TABLE scenes (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, kind TEXT NOT NULL, start REAL NOT NULL,
    stop REAL NOT NULL, pass_id TEXT NOT NULL, platform TEXT NOT NULL, orbit INTEGER NOT NULL,
    polarisations TEXT NOT NULL, units TEXT NOT NULL, rows INTEGER NOT NULL,
    cols INTEGER NOT NULL, pixel REAL NOT NULL, footprint BLOB NOT NULL,
    added INTEGER NOT NULL DEFAULT 0, replaced_by TEXT REFERENCES scenes
) WITHOUT ROWID;
CREATE TABLE unreadable (path TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE passes (
    pass_index INTEGER PRIMARY KEY, pass_id TEXT NOT NULL UNIQUE, time REAL, start REAL NOT NULL,
    stop REAL NOT NULL, platform TEXT NOT NULL, orbit INTEGER NOT NULL,
    polarisations TEXT NOT NULL, reason TEXT NOT NULL, image_key TEXT NOT NULL DEFAULT '',
    ice_time REAL
);
CREATE TABLE pass_scenes (
    scene_id TEXT PRIMARY KEY REFERENCES scenes, pass_index INTEGER NOT NULL REFERENCES passes,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE parcels (
    parcel_id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams,
    seed_row INTEGER NOT NULL, seed_col INTEGER NOT NULL,
    origin_pass INTEGER REFERENCES passes
);
CREATE TABLE observations (
    pass_index INTEGER NOT NULL REFERENCES passes, parcel_id INTEGER NOT NULL REFERENCES parcels,
    time REAL NOT NULL, x REAL NOT NULL, y REAL NOT NULL, var_x REAL, var_y REAL, cov_xy REAL,
    mcc REAL, peak_ratio REAL, rotation REAL, q_flag INTEGER NOT NULL,
    source_pass INTEGER REFERENCES passes,
    reference_pass INTEGER REFERENCES passes, closure REAL,
    PRIMARY KEY (pass_index, parcel_id)
) WITHOUT ROWID;
CREATE TABLE missed (
    pass_index INTEGER NOT NULL REFERENCES passes, parcel_id INTEGER NOT NULL REFERENCES parcels,
    PRIMARY KEY (pass_index, parcel_id)
) WITHOUT ROWID;
CREATE TABLE ends (
    parcel_id INTEGER PRIMARY KEY REFERENCES parcels, reason INTEGER NOT NULL,
    time REAL NOT NULL, pass_index INTEGER REFERENCES passes, noticed REAL
);
CREATE TABLE pairs (
    pair_index INTEGER PRIMARY KEY, source_pass INTEGER NOT NULL REFERENCES passes,
    target_pass INTEGER NOT NULL REFERENCES passes, count INTEGER NOT NULL DEFAULT 0,
    vectors BLOB NOT NULL DEFAULT x''
);
CREATE INDEX pairs_by_target ON pairs (target_pass);
"""


def _from_1(connection: sqlite3.Connection) -> None:
    """Vectors of a pair are one value; observations know what they were compared with."""
    for statement in (
        "ALTER TABLE scenes ADD COLUMN added INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE scenes ADD COLUMN replaced_by TEXT REFERENCES scenes",
        "ALTER TABLE passes ADD COLUMN image_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE observations ADD COLUMN reference_pass INTEGER REFERENCES passes",
        "ALTER TABLE observations ADD COLUMN closure REAL",
        "ALTER TABLE pairs ADD COLUMN count INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE pairs ADD COLUMN vectors BLOB NOT NULL DEFAULT x''",
        "CREATE INDEX pairs_by_target ON pairs (target_pass)",
    ):
        connection.execute(statement)
    pairs = connection.execute("SELECT pair_index FROM pairs").fetchall()
    for (pair,) in pairs:
        rows = connection.execute(
            f"SELECT {', '.join(packing.COLUMNS)} FROM vectors "  # noqa: S608
            "WHERE pair_index = ? ORDER BY parcel_id",
            (pair,),
        ).fetchall()
        connection.execute(
            "UPDATE pairs SET count = ?, vectors = ? WHERE pair_index = ?",
            (len(rows), packing.packed(rows), pair),
        )
    connection.execute("DROP TABLE vectors")


def _from_2(connection: sqlite3.Connection) -> None:
    """Let passes know which concentration of sea ice they were folded with."""
    connection.execute("ALTER TABLE passes ADD COLUMN ice_time REAL")


def _from_3(_connection: sqlite3.Connection) -> None:
    """Change nothing: version 4, as which states were kept for a while, has the same tables."""


def _from_4(_connection: sqlite3.Connection) -> None:
    """Change nothing: version 5 has the same tables, but ends of kinds that 4 does not know."""


def _from_5(connection: sqlite3.Connection) -> None:
    """Let ends that came with the clock know when: under other rules it may be long after."""
    connection.execute("ALTER TABLE ends ADD COLUMN noticed REAL")
    connection.execute("UPDATE ends SET noticed = time WHERE pass_index IS NULL")


MIGRATIONS = {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5}
"""What makes each older version the next one."""


PRIMARY_CODE = 0xFF
"""Of SQLite's extended error codes."""
_IO = sqlite3.SQLITE_IOERR
NOT_WRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, _IO)
"""What reading fails with where the files of the write-ahead log cannot be made, or have no room:
or of any other fault of the disk."""


def connect(workspace: Path, *, writable: bool, create: bool = False) -> sqlite3.Connection:
    """Open the database of a workspace.

    Parameters
    ----------
    workspace : Path
        Folder.
    writable : bool
        Whether rows will be added.
    create : bool
        Make the database where it is missing.

    Raises
    ------
    WorkspaceError
        If the folder or database is missing, cannot be written, or is not one of ours.
    """
    path = workspace / DATABASE
    _check_folder(workspace, create)
    with told(path):
        connection = _opened(path, writable)
    try:
        with told(path):
            _check_version(connection, path, writable)
    except WorkspaceError:
        connection.close()
        raise
    return connection


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite complains about into one line that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise WorkspaceError(f"{path}: {error}{_remedy(path, error)}") from None


def _remedy(path: Path, error: sqlite3.Error) -> str:
    """Say what to do about a fault, if anything."""
    if any(words in str(error) for words in _DAMAGED):
        return "; restore a copy of it"
    # also when the database or disk is full, as SQLite may call it
    if getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE in (_IO, sqlite3.SQLITE_FULL):
        fault = "the disk is full: make room" if on_full_disk(path) else "look after the disk"
        return f"; {fault} and call again"
    return ""


@contextmanager
def decoded(path: Path, what: str) -> Iterator[None]:
    """Turn what is wrong with values of the state into one line that names the file."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, shapely.errors.ShapelyError) as error:
        raise WorkspaceError(
            f"{path}: damaged {what} ({reason_of(error)}); restore a copy of it"
        ) from None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All inside happens or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def locked(workspace: Path, *, create: bool = False) -> Iterator[None]:
    """Hold the workspace for one writer; ends with the process, however it ends.

    Raises
    ------
    WorkspaceError
        If another process holds it, or the folder is missing or cannot be written.
    """
    _check_folder(workspace, create)
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        handle = os.open(workspace / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkspaceError(f"{workspace}: cannot be written ({reason_of(error)})") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                f"{workspace}: another lagrangian-ice is writing here; wait until it is done"
            ) from None
        except OSError as error:
            raise WorkspaceError(
                f"{workspace}: cannot be locked ({reason_of(error)}); use a disk that has locks"
            ) from None
        yield
    finally:
        os.close(handle)


def _check_folder(workspace: Path, create: bool) -> None:
    if workspace.exists() and not workspace.is_dir():
        raise WorkspaceError(f"{workspace}: is a file; a workspace is a folder")
    if not (create or (workspace / DATABASE).exists()):
        raise WorkspaceError(
            f"{workspace}: no workspace here ({DATABASE} is missing); "
            "start one with `lagrangian-ice seed` or `lagrangian-ice scenes add`"
        )


def _opened(path: Path, writable: bool) -> sqlite3.Connection:
    # Transactions are begun explicitly, so the module must not begin its own.
    if writable:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        # Nor may a power cut take a pass back: templates that it made needless are gone then, and
        # the scenes perhaps too.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        # WAL wants to write beside the database even to read; not on a read-only disk.
        if error.sqlite_errorcode & PRIMARY_CODE not in NOT_WRITABLE:
            raise
        return _opened_alone(path)
    return connection


def _opened_alone(path: Path) -> sqlite3.Connection:
    """Open a database that nobody writes, without its log, which must hold nothing then."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise WorkspaceError(
            f"{path}: its last passes are in {log.name}, which is read only where it can be "
            "written; copy the workspace to where you may write, or wait until no other "
            "lagrangian-ice writes here"
        )
    return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)


def _check_version(connection: sqlite3.Connection, path: Path, writable: bool) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version == VERSION:
        return
    if version == 0 and tables == 0 and writable:
        _create(connection)
    elif version > VERSION:
        raise WorkspaceError(
            f"{path}: was written by a later version (its schema is {version}, {VERSION} is "
            "known here); use that version"
        )
    elif version not in MIGRATIONS:
        raise WorkspaceError(f"{path}: is no state of ours (its schema is {version})")
    elif not writable:
        raise WorkspaceError(
            f"{path}: was written by an earlier version (schema {version}); the next "
            "`lagrangian-ice advance` or `scenes add` brings it up to date"
        )
    else:
        _migrate(connection, version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring an older state up to date, in one transaction."""
    # Tables that others refer to are rebuilt and dropped.
    connection.execute("PRAGMA foreign_keys = OFF")
    with transaction(connection):
        for number in range(version, VERSION):
            MIGRATIONS[number](connection)
        fault = connection.execute("PRAGMA foreign_key_check").fetchone()
        if fault is not None:
            raise sqlite3.IntegrityError(f"damaged: {fault[0]} refers to {fault[2]}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("PRAGMA foreign_keys = ON")


def _create(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        with closing(connection.cursor()) as cursor:
            for statement in TABLES.split(";"):
                if statement.strip():
                    cursor.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
