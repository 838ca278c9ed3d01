"""Outputs that appear whole or not at all, with one clear line where they cannot be written."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from lagrangian_ice.errors import ProductError, reason_of
from lagrangian_ice.files import in_place, on_full_disk
from lagrangian_ice.times import SECONDS_PER_DAY

HIDDEN = ".export-*.part"
"""Names of the folders in which exports lie until all of them is there."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the name to write to; the file moves to ``path`` when all went well.

    Parameters
    ----------
    path : Path
        Where it shall appear; its folder is made if it is missing.

    Yields
    ------
    Path
        Hidden name in the same folder.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with in_place(path) as beside, _told_of_full_disks(beside):
            yield beside
    except (OSError, RuntimeError) as error:
        raise ProductError(f"{_asked_for(path)}: cannot be written ({reason_of(error)})") from error


@contextmanager
def _told_of_full_disks(path: Path) -> Iterator[None]:
    """NetCDF reports them as any other fault; look before the unfinished file makes room again."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if on_full_disk(path):
            raise OSError(ENOSPC, os.strerror(ENOSPC)) from error
        raise


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write files to; they move to ``out`` when all went well.

    Parameters
    ----------
    out : Path
        Where they shall appear, made if it is missing; files of the same names are replaced.

    Yields
    ------
    Path
        Hidden folder in it. One that a killed process left goes a day later.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _remove_left(out)
        before, after = HIDDEN.split("*")
        with TemporaryDirectory(prefix=before, suffix=after, dir=out) as name:
            yield Path(name)
            for path in sorted(Path(name).iterdir()):
                path.replace(out / path.name)
    except OSError as error:
        raise ProductError(f"{_asked_for(out)}: cannot be written ({reason_of(error)})") from error


def _remove_left(out: Path) -> None:
    """Remove hidden folders of killed processes: what is younger than a day may be in use."""
    for folder in out.glob(HIDDEN):
        # another process may remove it too
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > SECONDS_PER_DAY:
                shutil.rmtree(folder, ignore_errors=True)


def _asked_for(path: Path) -> Path:
    """Without the hidden folders in which exports lie until all of them is there."""
    return Path(*(part for part in path.parts if not fnmatch(part, HIDDEN)))
