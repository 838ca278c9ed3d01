"""Products of the whole state, or of a part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from lagrangian_ice.errors import ProductError, WorkspaceError
from lagrangian_ice.output.attributes import Header
from lagrangian_ice.output.products import write_products
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import to_seconds


def write_all(store: Store, folder: Path, settings: Settings) -> list[Path]:
    """Write all products of the state; none while no pass is done."""
    passes = _done(store)
    if passes.empty:
        return []
    header = Header(settings, store.weights_sha256, "lagrangian-ice advance")
    return write_products(
        folder,
        header,
        passes,
        store.parcels(),
        store.observation_chunks,
        store.pairs(),
        store.vector_chunks,
    )


def export(
    workspace: Path,
    kinds: Sequence[str],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    stream: int | None = None,
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
        Observations (and vectors that end) from ``start`` on and before ``end``.
    stream : int, optional
        One alone; all otherwise.

    Raises
    ------
    WorkspaceError
        If there is nothing to write.
    ProductError
        If a file cannot be written.
    """
    low = -np.inf if start is None else to_seconds(start)
    high = np.inf if end is None else to_seconds(end)
    with Store(workspace) as store:
        passes = _done(store)
        passes = passes[passes["time"] < high]

        def observations(number: int) -> Iterator[pd.DataFrame]:
            for frame in store.observation_chunks(number):
                inside = frame["time"].between(low, high, inclusive="left")
                yield frame[inside & frame["pass_index"].isin(passes["pass_index"])]

        def vectors(number: int) -> Iterator[pd.DataFrame]:
            for frame in store.vector_chunks(number):
                # What was not found has no end time; it belongs to its target's time.
                times = frame["pair_index"].map(target_time).astype(np.float64)
                yield frame[times.between(low, high, inclusive="left")]

        times = passes.set_index("pass_index")["time"]
        target_time = store.pairs().set_index("pair_index")["target_pass_index"].map(times)
        pairs = store.pairs()
        pairs = pairs[pairs["target_pass_index"].isin(passes["pass_index"])]
        parcels = _parcels_with(store.parcels(), stream, observations)
        if parcels.empty:
            raise WorkspaceError(f"{workspace}: holds no observation to export")
        settings = store.recalled_settings()
        header = Header(settings, store.weights_sha256, "lagrangian-ice export")
        try:
            out.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".export-", suffix=".part", dir=out) as folder:
                written = write_products(
                    Path(folder), header, passes, parcels, observations, pairs, vectors, kinds
                )
                return [path.replace(out / path.name) for path in written]
        except OSError as error:
            raise ProductError(f"{out}: cannot be written ({error.strerror})") from None


def _done(store: Store) -> pd.DataFrame:
    """Take the passes that did not fail, without what only the state needs."""
    passes = store.passes()
    return passes[passes["reason"] == ""].drop(columns=["reason", "image_key", "ice_time"])


def _parcels_with(
    parcels: pd.DataFrame,
    stream: int | None,
    observations: Callable[[int], Iterable[pd.DataFrame]],
) -> pd.DataFrame:
    """Parcels with observations, and how many of them are chosen."""
    streams = sorted(set(parcels["stream"])) if stream is None else [stream]
    counts: Counter[int] = Counter()
    for number in streams:
        for frame in observations(number):
            counts.update(frame["parcel_id"].tolist())
    chosen = parcels[parcels["parcel_id"].isin(list(counts))]
    return chosen.assign(n_obs=[counts[i] for i in chosen["parcel_id"]])
