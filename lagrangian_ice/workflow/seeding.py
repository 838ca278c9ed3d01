"""Parcels are planned on the grid, to be born when their passes come."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.grid import Float
from lagrangian_ice.images.land import is_land
from lagrangian_ice.pair import working_pixel
from lagrangian_ice.parcels.fold import open_water
from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.parcels.transitions import nodes_within
from lagrangian_ice.parcels.view import Stream
from lagrangian_ice.scenes.metadata_cache import MetadataCache
from lagrangian_ice.scenes.passes import Pass, group_passes
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import SECONDS_PER_DAY, iso, to_seconds
from lagrangian_ice.workflow.catalogue import compared, scenes_under
from lagrangian_ice.workflow.run import chosen_settings, concentration_of, with_whole_paths

log = logging.getLogger(__name__)


def seed(
    workspace: Path,
    date: datetime,
    *,
    scenes: Sequence[Path] = (),
    settings: Settings | None = None,
    change: Callable[[Settings], Settings] = lambda settings: settings,
    new_stream: bool = False,
) -> tuple[int, dict[Path, str]]:
    """Put parcels on the grid nodes that the passes of a date's window see on sea.

    Each is born in the first of these passes that has data at its node, when ``advance``
    comes to that pass.

    Parameters
    ----------
    workspace : Path
        Made if it is missing and scenes are given.
    date : datetime
        UTC; the window is ``parcels.window_days`` long.
    scenes : sequence of Path
        Catalogued first.
    settings : Settings, optional
        Kept for ``advance``; where left out, those that are kept already, else the defaults.
        The first seed fixes the working pixel: ``images.pixel``, or the scenes' own where that
        is coarser.
    change : callable
        Makes of these settings those that are used and kept.
    new_stream : bool
        Begin another stream beside those that are there.

    Returns
    -------
    parcels : int
        How many wait to be born.
    unreadable : dict of Path to str
        Scenes among the given paths that could not be opened.

    Raises
    ------
    WorkspaceError
        If there is a seed already and no new stream is asked for, the date is before the
        clock, or no scene of the window sees the sea (with ice, where its concentration is
        known). Nothing is changed then.
    SettingsError
        If the concentration that the settings name cannot be read.
    """
    cache = MetadataCache(workspace)
    found, unreadable = scenes_under(scenes, cache)
    exists = (workspace / DATABASE).exists()
    if not exists:
        # Looked at before anything is made on disk.
        first = with_whole_paths(change(settings or Settings()))
        _planned_seed(found, date, first, workspace, unreadable)
    with (
        locked(workspace, create=bool(found)),
        Store(workspace, writable=True, create=bool(found)) as store,
    ):
        _check_new_stream(store, workspace, date, new_stream)
        new = compared(found, unreadable, store)
        known = {scene.id: scene for scene in [*new.scenes, *store.scenes()]}
        chosen = with_whole_paths(change(chosen_settings(store, settings)))
        plan = _planned_seed(list(known.values()), date, chosen, workspace, new.unreadable)
        number = len(store.streams())
        if number == 0:
            _tell_of_pixels(plan, chosen.images.pixel)
            images = chosen.images.model_copy(update={"pixel": plan.pixel})
            chosen = chosen.model_copy(update={"images": images})
        start = to_seconds(date)
        window = chosen.parcels.window_days * SECONDS_PER_DAY
        stream = Stream(number, start, start + window, chosen.parcels.spacing)
        store.seed(stream, plan.row, plan.col, chosen.as_json(), new)
    # a new workspace is there only now
    cache.save()
    return len(plan.row), dict(new.unreadable)


@dataclass(frozen=True)
class _SeedPlan:
    """Nodes, the pixel to track at (m), and the scenes that are coarser."""

    row: NDArray[np.int32]
    col: NDArray[np.int32]
    pixel: float
    coarser: list[Scene]


def _planned_seed(
    scenes: Sequence[Scene],
    date: datetime,
    settings: Settings,
    workspace: Path,
    unreadable: Mapping[Path, str],
) -> _SeedPlan:
    # Dates end where the calendar does.
    left = datetime.max.replace(tzinfo=UTC) - date
    end = date + min(timedelta(days=settings.parcels.window_days), left)
    passes = [one for one in group_passes(scenes) if date <= one.start < end]
    if not passes:
        raise WorkspaceError(_no_scenes(workspace, scenes, date, end, unreadable))
    spacing = settings.parcels.spacing
    area = shapely.union_all([one.footprint for one in passes])
    row, col = nodes_within(area.bounds, spacing)
    nodes = np.stack([col, row], axis=-1).astype(np.float64) * spacing
    chosen = shapely.contains_xy(area, nodes[:, 0], nodes[:, 1])
    chosen[chosen] = ~is_land(nodes[chosen])
    chosen[chosen] = _on_ice(nodes[chosen], passes, settings)
    if not chosen.any():
        what = "sea with ice" if settings.parcels.ice_concentration else "sea"
        raise WorkspaceError(
            f"{workspace}: the scenes of {date:%Y-%m-%d} to {end:%Y-%m-%d} hold no {what} at any "
            f"node of the {spacing:g} m grid"
        )
    frames = [scene for one in passes for scene in one.scenes]
    pixel = _pixel_of_most(frames, settings.images.pixel)
    coarser = [scene for scene in frames if working_pixel([scene], pixel) > pixel]
    return _SeedPlan(row[chosen], col[chosen], pixel, coarser)


def _pixel_of_most(scenes: Sequence[Scene], pixel: float) -> float:
    """Pixel to track a season at, m: as asked for, or that of most scenes where it is coarser.

    One coarse scene among others does not set it for all of them.
    """
    usual = sorted(scenes, key=lambda scene: scene.pixel)[(len(scenes) - 1) // 2]
    return working_pixel([usual], pixel)


def _tell_of_pixels(plan: _SeedPlan, asked: float) -> None:
    if plan.pixel > asked:
        log.info("tracked at %g m, the pixel of most scenes, not at %g m", plan.pixel, asked)
    for scene in plan.coarser:
        told = (scene.path, scene.pixel, plan.pixel)
        log.warning("%s: pixels of %.0f m, coarser than the %.0f m that are tracked at", *told)


def _on_ice(xy: Float, passes: Sequence[Pass], settings: Settings) -> NDArray[np.bool_]:
    """Which nodes (N, 2) are not known to be without ice in every pass that covers them."""
    concentration = concentration_of(settings)
    if concentration is None:
        return np.ones(len(xy), dtype=np.bool_)
    chosen = np.zeros(len(xy), dtype=np.bool_)
    for one in passes:
        ice = concentration.at(to_seconds(one.start))
        left = ~chosen & shapely.contains_xy(one.footprint, xy[:, 0], xy[:, 1])
        chosen[left] = ~open_water(ice, xy[left], settings.parcels)
    return chosen


def _no_scenes(
    workspace: Path,
    scenes: Sequence[Scene],
    date: datetime,
    end: datetime,
    unreadable: Mapping[Path, str],
) -> str:
    text = f"{workspace}: no scene starts from {date:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    if scenes:
        first, last = (pick(scene.start for scene in scenes) for pick in (min, max))
        return f"{text}; the {len(scenes)} known are of {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    if unreadable:
        return f"{text}; {len(unreadable)} could not be read: {next(iter(unreadable.values()))}"
    return f"{text}; none is catalogued, add some with --scenes or `scenes add`"


def _check_new_stream(store: Store, workspace: Path, date: datetime, wanted: bool) -> None:
    streams, clock = store.streams(), store.clock
    if streams and not wanted:
        raise WorkspaceError(
            f"{workspace}: is seeded already, from {iso(streams[0].date)}; "
            "--stream begins another stream beside it"
        )
    # A killed advance leaves passes done beyond the clock; none of them would see the stream.
    done = max((clock or -np.inf, store.latest_pass()))
    if to_seconds(date) < done:
        raise WorkspaceError(
            f"{workspace}: processed until {iso(done)}; a stream cannot begin earlier, "
            f"at {date:%Y-%m-%d %H:%M}"
        )
