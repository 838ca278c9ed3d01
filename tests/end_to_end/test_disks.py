"""A disk that fills up or cannot be written: one line, nothing lost, and it goes on later."""

import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest
import small_archive as small

import lagrangian_ice as li
from lagrangian_ice.parcels.schema import DATABASE

DAYS = 2


@pytest.fixture(autouse=True)
def known_motion(monkeypatch):
    small.tell_motion(monkeypatch)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disks") / "scenes"
    small.write_archive(folder)
    return folder


@pytest.fixture(scope="module")
def straight(archive, tmp_path_factory):
    return small.undisturbed(
        small.seeded(tmp_path_factory.mktemp("disks_ws") / "ws", archive), DAYS
    )


def mount(*words):
    """Whether it went well."""
    done = subprocess.run(["mount", *map(str, words)], check=False, capture_output=True)
    return done.returncode == 0


@pytest.fixture
def disk(tmp_path):
    """An empty disk of 64 MiB that can be made smaller and read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", "size=64m", "disk", folder):
        pytest.skip("may not mount a disk")
    yield folder
    # Lazily: HDF5 keeps the file open that it could not write to its end.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def used_kib(folder):
    return shutil.disk_usage(folder).used // 1024


@pytest.mark.parametrize("room_kib", [100, 1500, 3000])
def test_a_disk_that_fills_up_ends_cleanly_and_it_goes_on_later(
    straight, archive, disk, capsys, room_kib
):
    workspace = small.seeded(disk / "ws", archive)
    capsys.readouterr()
    assert mount("-o", f"remount,size={used_kib(disk) + room_kib}k", disk)
    assert small.command(workspace, "advance", "--days", DAYS) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert str(workspace) in told
    assert small.command(workspace, "status", "--check") == 0
    assert "damage           none" in capsys.readouterr().out
    assert mount("-o", "remount,size=64m", disk)
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    small.assert_same_products(straight, workspace)
    assert [path for path in workspace.rglob("*") if path.name.endswith(".part")] == []


def test_no_room_for_the_products_alone(straight, archive, disk, capsys):
    workspace = small.seeded(disk / "ws", archive, straight / "cache")
    assert small.command(workspace, "advance", "--days", DAYS, "--no-products") == 0
    capsys.readouterr()
    assert mount("-o", f"remount,size={used_kib(disk) + 40}k", disk)
    assert small.command(workspace, "advance", "--days", DAYS) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert "No space left on device" in told
    assert mount("-o", "remount,size=64m", disk)
    assert small.command(workspace, "advance", "--until", "2021-01-03") == 0
    small.assert_same_products(straight, workspace)


def test_a_disk_that_cannot_be_written_is_read_and_told(straight, archive, disk, tmp_path, capsys):
    workspace = small.seeded(disk / "ws", archive, straight / "cache")
    assert small.command(workspace, "advance", "--days", 1) == 0
    before = li.open_workspace(workspace).status()
    capsys.readouterr()
    assert mount("-o", "remount,ro", disk)
    changing = (
        ("advance", "--days", 1),
        ("rebuild", "--from", "2021-01-01"),
        ("scenes", "add", archive),
        ("seed", "--date", "2021-01-02", "--stream"),
    )
    for words in changing:
        assert small.command(workspace, *words) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1, told
        assert str(workspace) in told
        assert "read-only" in told.lower()
    assert li.open_workspace(workspace).status() == before
    assert small.command(workspace, "advance", "--plan", "--days", 1) == 0
    out = tmp_path / "out"
    assert small.command(workspace, "export", "--format", "trajectories", "--out", out) == 0
    assert mount("-o", "remount,rw", disk)
    assert small.command(workspace, "advance", "--days", 1) == 0
    small.assert_same_products(straight, workspace)


def test_passes_that_are_still_in_the_log_are_not_left_out(archive, disk, tmp_path, capsys):
    """A disk that became read-only under a writer that was killed."""
    workspace = small.seeded(disk / "ws", archive)
    log = workspace / f"{DATABASE}-wal"
    with closing(sqlite3.connect(workspace / DATABASE, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE more (value)")
        shutil.copy(log, tmp_path / "log")
    shutil.copy(tmp_path / "log", log)
    capsys.readouterr()
    assert mount("-o", "remount,ro", disk)
    assert small.command(workspace, "status") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert str(log.name) in told
    assert "copy the workspace" in told
    shutil.copytree(workspace, tmp_path / "ws")
    assert small.command(tmp_path / "ws", "status") == 0


def test_a_new_workspace_where_nothing_can_be_written(archive, disk, capsys):
    assert mount("-o", "remount,ro", disk)
    words = ("seed", "--date", "2021-01-01", "--scenes", archive)
    assert small.command(disk / "ws", *words) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert "cannot be written" in told
