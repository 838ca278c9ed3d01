"""Products of the whole state, or of a part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.output.attributes import Header
from lagrangian_ice.output.names import find_products
from lagrangian_ice.output.products import (
    KINDS,
    Chunks,
    Records,
    dates_of_streams,
    lead_of,
    write_products,
)
from lagrangian_ice.output.whole import whole_folder
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import ALWAYS, Window


def write_all(store: Store, folder: Path, settings: Settings) -> list[Path]:
    """Write all products of the state; none while no pass is done."""
    whole = _whole(store)
    if whole.passes.empty:
        # A rebuild may have gone back so far: what is there tells of what is no more.
        for path in find_products(folder, KINDS):
            path.unlink()
        return []
    header = Header(settings, store.weights_sha256, "lagrangian-ice advance")
    return write_products(folder, header, whole)


def _whole(store: Store, window: Window = ALWAYS) -> Records:
    """Take all of the state but the passes that failed; the names tell of a window of it."""
    passes, parcels = store.passes(), store.parcels()
    passes = passes[passes["reason"] == ""].drop(columns=["reason", "image_key", "ice_time"])
    dates = dates_of_streams(passes, parcels, window)
    spacings = {one.stream: one.spacing for one in store.streams()}
    chunks = (store.observation_chunks, store.vector_chunks)
    return Records(passes, parcels, chunks[0], store.pairs(), chunks[1], dates, spacings)


class _Part(NamedTuple):
    """What some kinds of products are written from.

    Observations are chosen by their own time or, as what is computed from them needs those of so
    many seconds before too (``lead``), all of a pass by its mean time.
    """

    kinds: Sequence[str]
    window: Window
    lead: float = 0.0


def export(
    workspace: Path,
    kinds: Sequence[str],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    stream: int | None = None,
    settings: Settings | None = None,
) -> list[Path]:
    """Write products of a part of the state.

    Parameters
    ----------
    workspace : Path
        With at least one pass done.
    kinds : sequence of str
        Of ``LP``, ``DP``, ``PD``.
    out : Path
        Folder, made if it is missing.
    start, end : datetime, optional
        Observations, and vectors and patches that end, from ``start`` on and before ``end``.
    stream : int, optional
        One alone; all otherwise.
    settings : Settings, optional
        Of the deformation and the attributes; as last used where left out.

    Raises
    ------
    WorkspaceError
        If there is nothing to write.
    ProductError
        If a file cannot be written.
    """
    window = Window.between(start, end)
    with Store(workspace) as store:
        settings = settings or store.recalled_settings()
        header = Header(settings, store.weights_sha256, "lagrangian-ice export")
        parts = [_Part(kinds, window)]
        if "DP" in kinds and window.start > -np.inf:
            others = [kind for kind in kinds if kind != "DP"]
            # Patches that end in the window may have begun before it.
            parts = [_Part(others, window), _Part(["DP"], window, lead_of(settings.deformation))]
        whole = _whole(store, window)
        excerpts = [(_excerpt(whole, part, stream), part) for part in parts if part.kinds]
        chosen = [(records, part) for records, part in excerpts if not records.parcels.empty]
        if not chosen:
            raise _nothing_to_export(workspace)
        with whole_folder(out) as folder:
            written = [
                path
                for records, part in chosen
                for path in write_products(folder, header, records, part.kinds, window)
            ]
    return [out / path.name for path in written]


def export_layouts(
    workspace: Path,
    layouts: Sequence[str],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    stream: int | None = None,
    crs: str | None = None,
) -> list[Path]:
    """Write the trajectories of a part of the state in the layouts of other tools.

    Parameters
    ----------
    workspace, out, start, end, stream
        As for :func:`export`; ``start`` is the initial time of ``nextsim-rgps``.
    layouts : sequence of str
        Names as :func:`~lagrangian_ice.output.exports.export_trajectories` has them.
    crs : str, optional
        Map of the layouts that have one.
    """
    # Only here: who advances needs none of it.
    from lagrangian_ice.output.exports import export_trajectories
    from lagrangian_ice.output.exports_table import NoObservationError

    with TemporaryDirectory(prefix="lagrangian-ice-") as folder:
        # Whole: some layouts need what lies before and after the window.
        whole = export(workspace, ["LP"], Path(folder), stream=stream)
        try:
            return export_trajectories(
                whole, layouts, out, start=start, end=end, stream=stream, crs=crs
            )
        except NoObservationError:
            # the files are of this call alone: nobody can look into them
            raise _nothing_to_export(workspace) from None


def _nothing_to_export(workspace: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{workspace}: holds no observation to export, of the time and stream asked for"
    )


def _excerpt(whole: Records, part: _Part, stream: int | None) -> Records:
    """Take what is seen in a window, the pairs that end in it and the passes all of it began in."""
    window, passes, pairs = part.window, whole.passes, whole.pairs
    ends = pd.Series(window.holds(passes["time"].to_numpy()), passes.index)
    own = (passes["stop"] >= window.start) & (passes["start"] < window.end)
    if part.lead:
        before = Window(window.start - part.lead, window.end)
        own = pd.Series(before.holds(passes["time"].to_numpy()), passes.index)
    inside = passes.loc[own, "pass_index"]
    # A pass over an edge of the window has observations inside, whatever its mean time is.
    targets = passes.loc[own | ends, "pass_index"]
    begun_in = pairs.loc[pairs["target_pass_index"].isin(targets), "source_pass_index"]
    kept = own | ends | passes["pass_index"].isin(begun_in)
    pairs = pairs[pairs["target_pass_index"].isin(passes.loc[ends, "pass_index"])]
    times = passes.set_index("pass_index")["time"]
    target_time = pairs.set_index("pair_index")["target_pass_index"].map(times)

    def observations(number: int) -> Iterator[pd.DataFrame]:
        for frame in whole.observations(number):
            chosen = frame["pass_index"].isin(inside).to_numpy()
            if not part.lead:
                chosen = chosen & window.holds(frame["time"].to_numpy())
            yield frame[chosen]

    def vectors(number: int) -> Iterator[pd.DataFrame]:
        for frame in whole.vectors(number):
            # What was not found has no end time; it belongs to its target's time.
            ends = frame["pair_index"].map(target_time).to_numpy(np.float64)
            yield frame[window.holds(ends)]

    ending = passes.loc[ends if part.lead else own, "pass_index"]
    parcels = _parcels_seen(whole.parcels, stream, observations, ending)
    return Records(passes[kept], parcels, observations, pairs, vectors, whole.dates, whole.spacings)


def _parcels_seen(
    parcels: pd.DataFrame, stream: int | None, observations: Chunks, ending: pd.Series
) -> pd.DataFrame:
    """Parcels with observations, and how many of them are chosen; of streams seen at the end.

    A stream that none of the passes ``ending`` sees has nothing to be written.
    """
    streams = sorted(set(parcels["stream"])) if stream is None else [stream]
    counts: Counter[int] = Counter()
    for number in streams:
        own: Counter[int] = Counter()
        seen = False
        for frame in observations(number):
            own.update(frame["parcel_id"].tolist())
            seen = seen or bool(frame["pass_index"].isin(ending).any())
        if seen:
            counts.update(own)
    chosen = parcels[parcels["parcel_id"].isin(list(counts))]
    return chosen.assign(n_obs=[counts[i] for i in chosen["parcel_id"]])
