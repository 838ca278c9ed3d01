"""Where the network runs."""

from __future__ import annotations

import torch

from lagrangian_ice.errors import SettingsError


def usable_device(name: str) -> torch.device:
    """Device of a name, if this machine has it.

    Parameters
    ----------
    name : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    SettingsError
        If there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda: torch finds no GPU here; use device cpu")
    return torch.device(name)
