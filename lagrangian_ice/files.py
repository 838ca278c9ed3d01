"""Files appear whole or not at all: written beside, then moved into place; never over an input."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from lagrangian_ice.errors import ProductError

FULL = 2**20
"""Bytes left on a disk that libraries call full: they write chunks and pages."""


def on_full_disk(path: Path) -> bool:
    """Whether the disk of a file is full, as far as it tells."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < FULL
    return False


@contextlib.contextmanager
def in_place(path: Path, among_others: bool = False) -> Iterator[Path]:
    """Give the name to write to; move it to ``path`` when all went well, else remove it.

    Parameters
    ----------
    path : Path
        Where the file shall appear; one that is there is replaced in one step.
    among_others : bool
        Others may write the same file now, each under a hidden name of its own. What killed
        processes left then stays until somebody removes it.

    Yields
    ------
    Path
        Hidden name in the same folder; one that a killed process left is written over.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    own = f"{uuid.uuid4().hex}." if among_others else ""
    beside = path.with_name(f".{own}{path.name}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one go, UTF-8."""
    with in_place(path) as beside:
        beside.write_text(text, encoding="utf-8")


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that would replace an input, or anything but a file.

    Parameters
    ----------
    path : Path
        File to write.
    inputs : iterable of Path
        What is read for it: files, or folders with what is in them.

    Raises
    ------
    ProductError
        If it is one of them, is no regular file, or has a name that is not UTF-8.
    """
    check_name(path)
    if path.exists() and not path.is_file():
        raise ProductError(f"{path}: is not a regular file and is left alone; give another name")
    for given in inputs:
        if _is_or_is_in(path, given):
            raise ProductError(f"{path}: would replace {given}; give another name for the output")


def check_name(path: Path) -> None:
    """Refuse a name that is not UTF-8: other programs, and NetCDF, do not take it.

    Raises
    ------
    ProductError
        With the name in ASCII.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ProductError(f"{str(path)!a}: is not valid UTF-8; give another name") from None


def _is_or_is_in(path: Path, given: Path) -> bool:
    """Whether both names are of one file, also by a link, or one is of what is in a folder."""
    if path.exists() and given.exists() and path.samefile(given):
        return True
    return path.resolve().is_relative_to(given.resolve())
