"""Arrays kept in files of the cache: several processes may write and remove the same ones."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangian_ice.errors import WorkspaceError, reason_of
from lagrangian_ice.files import in_place

Arrays = dict[str, NDArray[Any]]


def save_arrays(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Keep arrays by name in a file, whose folder is made if it is not there.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    named = arrays.items()
    try:
        path.parent.mkdir(exist_ok=True)
        with in_place(path, among_others=True) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: np.asarray(a) for name, a in named})
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be written ({reason_of(error)})") from None


def load_arrays(path: Path, names: Iterable[str]) -> Arrays | None:
    """Read arrays of a file by name; None if it is not there, damaged, or has not all of them."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    # Those not used for longest go first; another user's, or one that is gone, stays as it is.
    with suppress(OSError):
        os.utime(path)
    return arrays


def evict(folder: Path, limit: int, keep: Path) -> None:
    """Remove the files used longest ago until the rest fits.

    Parameters
    ----------
    folder : Path
        The cache.
    limit : int
        Bytes.
    keep : Path
        Stays, however large it is.
    """
    files = []
    for path in folder.glob("*.npz"):
        with suppress(FileNotFoundError):
            state = path.stat()
            files.append((state.st_mtime_ns, path, state.st_size))
    total = sum(size for _, _, size in files)
    for _, path, size in sorted(files):
        if total <= limit:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size


def put_on_disk(path: Path) -> None:
    """Wait until a power cut cannot take a file any more."""
    for one in (path, path.parent):
        # disks that cannot are left alone
        with suppress(OSError):
            handle = os.open(one, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
