"""Scenes come into a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.scenes.catalogue import clash, find_scenes
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.scene import Scene


class Added(NamedTuple):
    """What came of paths.

    Attributes
    ----------
    new, known : int
        Scenes added now, and those that were there before.
    moved : int
        Of the known ones: their file was gone, and is read from where it was found now.
    unreadable : dict of Path to str
        And why.
    """

    new: int
    known: int
    moved: int
    unreadable: dict[Path, str]


def add_scenes(workspace: Path, paths: Sequence[Path]) -> Added:
    """Catalogue the scenes under paths in a workspace, which is made if it is missing.

    Not for nothing: where no scene could be read there is no new workspace.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    cache = MetadataCache(workspace)
    found, unreadable = scenes_under(paths, cache)
    if not found and not (workspace / DATABASE).exists():
        return Added(0, 0, 0, unreadable)
    with locked(workspace, create=True), Store(workspace, writable=True, create=True) as store:
        found, moved = compared(found, store.scenes(), unreadable)
        store.move_scenes(moved)
        store.forget_unreadable([path for path in store.unreadable() if not path.exists()])
        new = store.add_scenes(found, unreadable)
    # a new workspace is there only now
    cache.save()
    return Added(new, len(found) - new, len(moved), unreadable)


def scenes_under(
    paths: Sequence[Path], cache: MetadataCache
) -> tuple[list[Scene], dict[Path, str]]:
    """Scenes under paths, by absolute path: the workspace may be used from elsewhere.

    Without what leads back (``..``): the folder it leads back from may go.
    """
    whole = [path.resolve() if ".." in path.parts else path.absolute() for path in paths]
    found, unreadable = find_scenes(whole, cache=cache)
    return found, {item.path: item.reason for item in unreadable}


def compared(
    found: Sequence[Scene], known: Sequence[Scene], unreadable: dict[Path, str]
) -> tuple[list[Scene], dict[str, Path]]:
    """Compare found scenes with the catalogue.

    Returns
    -------
    scenes : list of Scene
        Those that it can hold; others have the id of a scene of another time and become
        ``unreadable``.
    moved : dict of str to Path
        New places of known scenes, by id, whose files are no longer where they were.
    """
    before = {scene.id: scene for scene in known}
    scenes, moved = [], {}
    for scene in found:
        other = before.get(scene.id, scene)
        reason = clash(scene, other)
        if reason:
            unreadable[scene.path] = reason
            continue
        scenes.append(scene)
        if scene.kind == other.kind and scene.path != other.path and not other.path.exists():
            moved[scene.id] = scene.path
    return scenes, moved
