"""Where the network runs."""

from __future__ import annotations

from collections.abc import Mapping

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


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself.

    Other processors emulate it: a training step then takes ten times as long as in float32.

    Parameters
    ----------
    device : torch.device
        Of this machine.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    told: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(told.get("avx512_bf16", False) or told.get("amx_bf16", False))
