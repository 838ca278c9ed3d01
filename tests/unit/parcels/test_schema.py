"""States of earlier and later versions, full and read-only disks."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, stream

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.population import State
from lagrangian_ice.parcels.schema import DATABASE, VERSION, told
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import ParcelSettings

SETTINGS = ParcelSettings(birth_margin=0)
FLOATS = {"x0": 1.5, "y0": -2.25, "x1": None, "mcc": 0.1, "rotation": 3.5, "time0": T0}

SEEN = {"time": T0, "y": 0.0, "var_x": 0.0, "var_y": 0.0, "cov_xy": 0.0, "q_flag": 0}


def put(db, table, **row):
    names, marks = ", ".join(row), ",".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


@pytest.fixture
def version_1(tmp_path):
    """Two parcels, of which one was found in a second pass."""
    script = Path(__file__).with_name("schema_1.sql").read_text(encoding="utf-8")
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.executescript(script)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO meta VALUES ('clock', ?)", (repr(T0 + 2 * 86400),))
        db.execute("INSERT INTO streams VALUES (0, ?, ?, 10000)", (T0, T0 + 3 * 86400))
        for index in (0, 1):
            start = T0 + index * 86400
            row = (index, f"p{index}", start, start, start + 60)
            db.execute("INSERT INTO passes VALUES (?, ?, ?, ?, ?, 'S1A', 7, 'HH', '')", row)
        for parcel in (1, 2):
            db.execute("INSERT INTO parcels VALUES (?, 0, 0, ?, NULL)", (parcel, parcel))
            put(db, "observations", **SEEN, pass_index=0, parcel_id=parcel, x=parcel * 1e4)
        found = {"mcc": 0.8, "rotation": 1.5, "source_pass": 0, "time": T0 + 86400}
        put(db, "observations", **SEEN | found, pass_index=1, parcel_id=1, x=12_000.0)
        db.execute("INSERT INTO missed VALUES (1, 2)")
        db.execute("INSERT INTO pairs VALUES (0, 0, 1)")
        for parcel, status in ((1, 0), (2, 6)):
            put(db, "vectors", **FLOATS, pair_index=0, parcel_id=parcel, status=status)
    db.close()
    return tmp_path


def test_a_state_of_version_1_is_brought_up_to_date(version_1):
    with Store(version_1, writable=True) as store:
        assert store.damage() == []
        (vectors,) = store.vector_chunks(0)
        living = store.living()
        (seen,) = store.observation_chunks(0)
    assert vectors["parcel_id"].tolist() == [1, 2]
    assert vectors["status"].tolist() == [0, 6]
    assert vectors["y0"].tolist() == [-2.25, -2.25]
    assert vectors[["x1", "strain_xx"]].isna().all(axis=None)
    assert living.state.tolist() == [State.ALIVE, State.DORMANT]
    # What they are compared with is where they were born.
    assert living.reference_pass.tolist() == [0, 0]
    assert living.reference_xy.tolist() == [[1e4, 0.0], [2e4, 0.0]]
    assert len(seen) == 3
    with sqlite3.connect(version_1 / DATABASE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        made = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    db.close()
    assert "vectors" not in made
    with Store(version_1) as store:
        assert store.clock == T0 + 2 * 86400


def test_a_migrated_state_has_the_columns_of_a_new_one(version_1, tmp_path):
    def columns(folder):
        with sqlite3.connect(folder / DATABASE) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master")]
            found = {name: db.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}
        db.close()
        return found

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    Store(fresh, writable=True, create=True).close()
    Store(version_1, writable=True).close()
    assert columns(version_1) == columns(fresh)


def test_a_state_of_version_2_is_brought_up_to_date(tmp_path):
    folder = seeded(tmp_path / "two")
    with Store(folder, writable=True) as store:
        Ice().process(store, See(0.1, WHOLE), SETTINGS)
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("ALTER TABLE passes DROP COLUMN ice_time")
        db.execute("ALTER TABLE ends DROP COLUMN noticed")
        db.execute("PRAGMA user_version = 2")
    db.close()
    with Store(folder, writable=True) as store:
        assert store.damage() == []
        assert store.passes()["ice_time"].isna().tolist() == [True]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_state_without_moments_of_notice_is_brought_up_to_date(tmp_path, version):
    folder = seeded(tmp_path / "before")
    with Store(folder, writable=True) as store:
        Ice().process(store, See(0.1, WHOLE), SETTINGS)
        Ice().pass_time(store, T0 + 9 * DAY, SETTINGS)
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("UPDATE ends SET noticed = time")
        db.commit()
        before = list(db.iterdump())
        assert sum('INTO "ends"' in line for line in before) > 3
        db.execute("ALTER TABLE ends DROP COLUMN noticed")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with Store(folder, writable=True) as store:
        assert store.damage() == []
    with sqlite3.connect(folder / DATABASE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert [line for line in db.iterdump() if "INSERT" in line] == [
            line for line in before if "INSERT" in line
        ]
    db.close()


def test_a_migrated_state_goes_on(version_1):
    ice = Ice(velocity=(0.01, 0.0))
    ice.passes = {0: See(0, WHOLE), 1: See(1, WHOLE)}
    with Store(version_1, writable=True) as store:
        fold = ice.process(store, See(2.0, WHOLE), SETTINGS)
        assert np.isin([1, 2], fold.observations.parcel_id).all()
        assert store.damage() == []


def test_a_migration_that_is_killed_changes_nothing(version_1):
    program = f"""
        import os, signal
        from pathlib import Path
        from lagrangian_ice.parcels import packing, store
        packing.packed = lambda rows: os.kill(os.getpid(), signal.SIGKILL)
        store.Store(Path({str(version_1)!r}), writable=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store(version_1, writable=True) as store:
        assert len(next(store.vector_chunks(0))) == 2


def test_an_older_state_is_not_changed_by_reading(version_1):
    with pytest.raises(WorkspaceError, match="earlier version") as caught:
        Store(version_1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("writable", [False, True])
def test_a_state_of_a_later_version_is_refused_in_one_line(tmp_path, writable):
    Store(tmp_path, writable=True, create=True).close()
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(WorkspaceError, match="later version") as caught:
        Store(tmp_path, writable=writable)
    assert "\n" not in str(caught.value)


def seeded(folder):
    folder.mkdir(exist_ok=True)
    row, col = t.nodes_within(WHOLE, 1e3)
    with Store(folder, writable=True, create=True) as store:
        store.seed(stream(spacing=1e3), row, col, "{}")
    return folder


FULL = """
    import resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from drifting_ice import Ice, See
    from lagrangian_ice.errors import WorkspaceError
    from lagrangian_ice.parcels.store import Store
    from lagrangian_ice.settings import ParcelSettings
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Store(Path({folder!r}), writable=True) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            Ice().process(store, See(0.1, {whole!r}), ParcelSettings(birth_margin=0))
        except WorkspaceError as error:
            print(error)
            sys.exit(7)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes")
def test_a_full_disk_ends_cleanly_and_loses_nothing(tmp_path):
    folder = seeded(tmp_path / "full")
    words = {
        "tests": str(Path(__file__).parent),
        "folder": str(folder),
        # The write-ahead log takes ten times as much.
        "limit": 60_000,
        "whole": WHOLE,
    }
    program = textwrap.dedent(FULL).format(**words)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.count("\n") == 1
    assert DATABASE in done.stdout
    with Store(folder, writable=True) as store:
        assert store.damage() == []
        assert len(store.passes()) == 0
        Ice().process(store, See(0.1, WHOLE), SETTINGS)
        assert len(store.passes()) == 1


@pytest.mark.parametrize(
    ("free", "remedy"),
    [(10, "the disk is full: make room and call again"), (2**30, "look after the disk")],
)
def test_a_disk_that_fails_is_not_told_as_damage(tmp_path, monkeypatch, free, remedy):
    """Who is told to restore a copy throws records away."""
    folder = seeded(tmp_path / "full")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    for code in (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_FULL):
        fault = sqlite3.OperationalError("disk I/O error")
        fault.sqlite_errorcode = code
        with pytest.raises(WorkspaceError, match=remedy) as told_of, told(folder / DATABASE):
            raise fault
        assert "restore" not in str(told_of.value)


def test_where_the_log_has_no_room_the_state_is_read_without(tmp_path, monkeypatch):
    folder = seeded(tmp_path / "full")
    real = sqlite3.connect

    class Roomless(sqlite3.Connection):
        def execute(self, *words):
            fault = sqlite3.OperationalError("disk I/O error")
            fault.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
            raise fault

    def connect(name, **more):
        return real(name, **more) if "immutable" in name else real(name, factory=Roomless, **more)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with Store(folder) as store:
        assert len(store.streams()) == 1


def test_a_state_that_another_program_holds_is_not_read_past_its_log(tmp_path, monkeypatch):
    """What is read without the log lacks the last passes."""
    folder = seeded(tmp_path / "held")
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kw: real(*args, **kw | {"timeout": 0}))
    with closing(real(folder / DATABASE, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("UPDATE meta SET value = value")
        with pytest.raises(WorkspaceError, match=f"{DATABASE}: database is locked"):
            Store(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_that_cannot_be_written_is_told(tmp_path):
    folder = seeded(tmp_path / "closed")
    (folder / DATABASE).chmod(0o444)
    with pytest.raises(WorkspaceError, match="readonly"), Store(folder, writable=True) as store:
        store.set_clock(1.0, "{}")
