"""Lagrangian sea-ice motion and deformation from pairs of Sentinel-1 scenes.

Names are loaded on first use: importing the package touches no file and no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Settings": "settings",
    "Status": "matching.vectors",
    "Vectors": "matching.vectors",
    "open_scene": "scenes.reader",
    "open_trajectories": "output.reading",
    "open_workspace": "workspace",
    "pair_of_dates": "output.reading",
    "strain_rates": "deformation.strain",
    "to_ragged": "output.ragged",
    "track_pair": "pair",
}

__all__ = [
    "Settings",
    "Status",
    "Vectors",
    "__version__",
    "open_scene",
    "open_trajectories",
    "open_workspace",
    "pair_of_dates",
    "strain_rates",
    "to_ragged",
    "track_pair",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
