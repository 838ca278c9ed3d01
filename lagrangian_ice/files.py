"""Files appear whole or not at all: written beside, then moved into place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def in_place(path: Path) -> Iterator[Path]:
    """Give the name to write to; move it to ``path`` when all went well, else remove it.

    Parameters
    ----------
    path : Path
        Where the file shall appear; one that is there is replaced in one step.

    Yields
    ------
    Path
        Hidden name in the same folder; one that a killed process left is written over.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one go, UTF-8."""
    with in_place(path) as beside:
        beside.write_text(text, encoding="utf-8")
