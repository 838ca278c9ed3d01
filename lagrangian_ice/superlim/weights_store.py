"""Networks from weights files: those in the package, those a user imported, and any path."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import stat
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from lagrangian_ice.errors import WeightsError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.superlim.network import PUBLISHED, SuperLIM, Topology
from lagrangian_ice.superlim.onnx_export import export_onnx
from lagrangian_ice.superlim.weights_files import (
    PACKAGED,
    find_weights,
    package_folder,
    sha256_of,
    user_folder,
)

LARGEST_FILE = 256 * 2**20
_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02\x8a\x0a")
"""Of what torch writes: a zip, and the pickled magic number of what it wrote before 1.6."""
_DAMAGE = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError,
           AttributeError, AssertionError, OverflowError, struct.error)  # fmt: skip
"""What reading a damaged pickle raises."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class WeightsEntry:
    """One line of ``weights list``."""

    name: str
    path: Path
    sha256: str
    parameters: int
    topology: Topology
    built_in: bool


def load_network(weights: str) -> SuperLIM:
    """Build a network in evaluation mode from a weights name or file.

    Parameters
    ----------
    weights : str
        ``default``, a name from ``weights list``, or a path.

    Raises
    ------
    WeightsError
        If there is no such file or it is neither one of ours nor a published one.
    """
    path = find_weights(weights)
    content = _read(path)
    if not (isinstance(content, Mapping) and {"topology", "state"} <= set(content)):
        return _built(path, PUBLISHED, content)
    try:
        topology = Topology.model_validate_json(str(content["topology"]))
    except ValidationError as error:
        raise WeightsError(
            f"{path}: topology is not understood ({error.error_count()} faults)"
        ) from None
    return _built(path, topology, content["state"])


def import_weights(path: Path, name: str | None = None) -> WeightsEntry:
    """Convert a published SuperLIM weights file, or copy one of ours, into the user's folder.

    Parameters
    ----------
    path : Path
        A state dictionary with the published key names, or a file of this package.
    name : str, optional
        Name to load it by; the file's own stem by default. Letters, digits, ``_ . -``.

    Raises
    ------
    WeightsError
        If the file cannot be read, does not fit the published topology, or the name is another.
    """
    name = name or path.stem
    if name in PACKAGED or not _NAME.fullmatch(name):
        raise WeightsError(
            f"weights name {name!a} is not usable; choose another with --name: letters, digits, "
            "_ . and -, at most 64, a letter or digit first"
        )
    target = user_folder() / f"{name}.pt"
    content = _read(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping) and {"topology", "state"} <= set(content):
            load_network(str(path))
            _copy(path, target)
        else:
            save_network(_built(path, PUBLISHED, content), target)
    except OSError as error:
        raise WeightsError(f"{target}: cannot be written ({reason_of(error)})") from None
    return _entry(name, target)


def export_weights(weights: str, path: Path) -> None:
    """Write weights as a file of this package, or as ONNX.

    Parameters
    ----------
    weights : str
        ``default``, a name from ``weights list``, or a path.
    path : Path
        Ends in ``.pt`` (the same bytes, so the same SHA-256) or ``.onnx``.

    Raises
    ------
    WeightsError
        If there are no such weights, the name ends otherwise, or it cannot be written.
    """
    network = load_network(weights)
    if path.suffix == ".onnx":
        export_onnx(network, path)
    elif path.suffix == ".pt":
        try:
            _copy(find_weights(weights), path)
        except OSError as error:
            raise WeightsError(f"{path}: cannot be written ({reason_of(error)})") from None
    else:
        raise WeightsError(f"{path}: must end in .pt or .onnx")


def _copy(source: Path, target: Path) -> None:
    """Copy, so that the SHA-256 stays."""
    with in_place(target) as beside:
        shutil.copyfile(source, beside)


def save_network(network: SuperLIM, path: Path) -> str:
    """Write topology and tensors; returns the file's SHA-256."""
    content = {"topology": network.topology.model_dump_json(), "state": network.state_dict()}
    with in_place(path) as beside:
        torch.save(content, beside)
    return sha256_of(path)


def list_weights() -> tuple[list[WeightsEntry], dict[str, str]]:
    """All weights that have a name: the package's first, then the imported ones.

    Returns
    -------
    entries : list of WeightsEntry
        Those that can be read.
    damaged : dict of str to str
        The others by path, and what is wrong with them.
    """
    paths = sorted(package_folder().glob("*.pt")) + sorted(user_folder().glob("*.pt"))
    entries: list[WeightsEntry] = []
    damaged: dict[str, str] = {}
    for path in paths:
        try:
            entries.append(_entry(path.stem, path))
        except WeightsError as error:
            damaged[str(path)] = str(error)
    return entries, damaged


def _entry(name: str, path: Path) -> WeightsEntry:
    network = load_network(str(path))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    built_in = path.parent == package_folder()
    return WeightsEntry(name, path, network.sha256, parameters, network.topology, built_in)


def _read(path: Path) -> object:
    try:
        _check_file(path)
        with warnings.catch_warnings():
            # torch tells of a pickle protocol that is not its own; what is wrong is told below
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({reason_of(error)})") from None
    except _DAMAGE:
        raise WeightsError(f"{path}: not a torch weights file") from None


def _check_file(path: Path) -> None:
    """Refuse what torch need not look at: it reads a device to no end, and any pickle."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise WeightsError(f"{path}: is a folder; name a weights file")
    if not stat.S_ISREG(status.st_mode):
        raise WeightsError(f"{path}: not a regular file; name a weights file")
    if status.st_size > LARGEST_FILE:
        raise WeightsError(f"{path}: larger than {LARGEST_FILE >> 20} MB; not a weights file")
    with path.open("rb") as file:
        if not file.read(4).startswith(_BEGINNINGS):
            raise WeightsError(f"{path}: not a torch weights file")


def _built(path: Path, topology: Topology, state: object) -> SuperLIM:
    if not isinstance(state, Mapping) or not all(
        isinstance(v, torch.Tensor) for v in state.values()
    ):
        raise WeightsError(f"{path}: holds no tensors by name")
    network = SuperLIM(topology, sha256_of(path))
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        first = json.dumps(str(error).splitlines()[-1].strip())
        raise WeightsError(
            f"{path}: does not fit the network {topology.channels}: {first}"
        ) from None
    return network.eval().requires_grad_(False)
