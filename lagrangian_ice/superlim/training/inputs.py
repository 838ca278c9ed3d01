"""Which files a training is given, so that it goes on with no others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from lagrangian_ice.errors import SceneError, reason_of


def digest_of(paths: Sequence[Path]) -> str:
    """SHA-256 of the names and contents of files; wherever they lie, but in their order.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders with all that is in them.

    Raises
    ------
    SceneError
        If one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not file.is_dir():
                digest.update(os.fsencode(file.name) + b"\0" + _content(file))
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError as error:
        raise SceneError(f"{file}: cannot be read ({reason_of(error)})") from None
