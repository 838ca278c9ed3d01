"""Scenes come into a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import NewScenes, Store
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
        new = compared(found, unreadable, store)
        added = store.add_scenes(new)
    # a new workspace is there only now
    cache.save()
    return Added(added, len(new.scenes) - added, len(new.moved), dict(new.unreadable))


def scenes_under(
    paths: Sequence[Path], cache: MetadataCache
) -> tuple[list[Scene], dict[Path, str]]:
    """Scenes under paths, by absolute path: the workspace may be used from elsewhere.

    Without what leads back (``..``): the folder it leads back from may go.
    """
    whole = [path.resolve() if ".." in path.parts else path.absolute() for path in paths]
    found, unreadable = find_scenes(whole, cache=cache)
    return found, {item.path: item.reason for item in unreadable}


def compared(found: Sequence[Scene], unreadable: dict[Path, str], store: Store) -> NewScenes:
    """Compare what was found with the catalogue.

    Scenes that have the id of one of another time cannot be held and become unreadable; known
    ones whose files are no longer where they were are moved.
    """
    before = {scene.id: scene for scene in store.scenes()}
    scenes, moved, clashes = [], {}, {}
    for scene in found:
        other = before.get(scene.id, scene)
        reason = clash(scene, other)
        if reason:
            clashes[scene.path] = reason
            continue
        scenes.append(scene)
        if scene.kind == other.kind and scene.path != other.path and not other.path.exists():
            moved[scene.id] = scene.path
    gone = [path for path in store.unreadable() if not path.exists()]
    return NewScenes(scenes, unreadable | clashes, moved, gone)
