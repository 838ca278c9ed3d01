"""Where weights files are and which they are, without reading what is in them.

Who asks only that does not wait for torch.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lagrangian_ice.errors import WeightsError, reason_of

PACKAGED = ("default", "light")
"""Names of what comes with the package; see ``docs/superlim.md``."""


def find_weights(weights: str) -> Path:
    """Path of a weights name or file.

    Raises
    ------
    WeightsError
        If there is none.
    """
    for folder in (package_folder(), user_folder()):
        candidate = folder / f"{weights}.pt"
        if Path(weights).name == weights and candidate.is_file():
            return candidate
    if Path(weights).is_file():
        return Path(weights)
    raise WeightsError(
        f"weights {weights!r}: no such name or file; `lagrangian-ice weights list` shows the names"
    )


def package_folder() -> Path:
    """Folder of the weights that come with the package."""
    return Path(__file__).parent / "weights"


def user_folder() -> Path:
    """Folder of imported weights: ``LAGRANGIAN_ICE_WEIGHTS`` or ``~/.lagrangian_ice/weights``."""
    chosen = os.environ.get("LAGRANGIAN_ICE_WEIGHTS")
    return Path(chosen) if chosen else Path.home() / ".lagrangian_ice" / "weights"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, by which its weights are known.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({reason_of(error)})") from None
