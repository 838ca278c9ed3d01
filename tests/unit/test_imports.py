"""Imports point one way: from the workflow down to the scenes."""

import ast
from pathlib import Path

import pytest

import lagrangian_ice

ROOT = Path(lagrangian_ice.__file__).parent
LAYERS = (
    "errors",
    "files",
    "times",
    "tables",
    "settings",
    "grid",
    "engine",
    "scenes",
    "images",
    "superlim",
    "matching",
    "points",
    "parcels",
    "deformation",
    "output",
    "validation",
    "simulate",
    "superlim.training",
    "plots",
    "pair",
    "workspace",
    "report",
    "workflow",
    "demo",
    "cli",
)
TORCH_USERS = ("superlim", "superlim.training", "matching", "engine")


def layer_of(module):
    parts = module.split(".")
    if parts[:2] == ["superlim", "training"]:
        return "superlim.training"
    return parts[0]


def imported(path):
    """Modules of the package, without its name, and torch, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "lagrangian_ice":
                names = [f"lagrangian_ice.{a.name}" for a in node.names if a.name != "__version__"]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("lagrangian_ice."):
                yield name.removeprefix("lagrangian_ice.")
            elif name.split(".")[0] == "torch":
                yield "torch"


FILES = [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = layer_of(module)
    for name in imported(path):
        if name == "torch":
            assert own in TORCH_USERS, f"{module} imports torch"
        else:
            assert LAYERS.index(layer_of(name)) <= LAYERS.index(own), f"{module} imports {name}"
