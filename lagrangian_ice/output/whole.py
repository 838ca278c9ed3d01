"""Outputs that appear whole or not at all, with one clear line where they cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lagrangian_ice.errors import ProductError
from lagrangian_ice.files import in_place


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
        with in_place(path) as beside:
            yield beside
    except (OSError, RuntimeError) as error:
        # netCDF4 reports a full disk as RuntimeError
        raise ProductError(f"{_asked_for(path)}: cannot be written ({_reason(error)})") from error


def _asked_for(path: Path) -> Path:
    """Without the hidden folder in which an export lies until all of it is there."""
    return path.parent.parent / path.name if path.parent.match(".export-*.part") else path


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
