"""Scenes come into a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.scene import Scene


def add_scenes(workspace: Path, paths: Sequence[Path]) -> tuple[int, int, dict[Path, str]]:
    """Catalogue the scenes under paths in a workspace, which is made if it is missing.

    Not for nothing: where no scene could be read there is no new workspace.

    Returns
    -------
    new, known : int
        Scenes added now, and those that were there before.
    unreadable : dict of Path to str
        And why.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    cache = MetadataCache(workspace)
    found, unreadable = scenes_under(paths, cache)
    if not found and not (workspace / DATABASE).exists():
        return 0, 0, unreadable
    with locked(workspace, create=True), Store(workspace, writable=True, create=True) as store:
        new = store.add_scenes(found, unreadable)
    # a new workspace is there only now
    cache.save()
    return new, len(found) - new, unreadable


def scenes_under(
    paths: Sequence[Path], cache: MetadataCache
) -> tuple[list[Scene], dict[Path, str]]:
    """Scenes under paths, by absolute path: the workspace may be used from elsewhere."""
    found, unreadable = find_scenes([path.absolute() for path in paths], cache=cache)
    return found, {item.path: item.reason for item in unreadable}
