"""What can happen to parcels: pure functions from one population to the next.

Rows are found by ``parcel_id``, never by their place in an array, so the result does not
depend on the order of the rows. A parcel that has ended never changes again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from lagrangian_ice.grid import Float
from lagrangian_ice.parcels.population import EndReason, Parcels, State

Bool = NDArray[np.bool_]
Ids = NDArray[np.int64]
Index = NDArray[np.int32]
S = TypeVar("S", bound=np.generic)

EMPTY = 0.75
"""Spacings around a node without a parcel that make its cell empty: no node of a grid that has
drifted and turned is further from the next parcel than 0.71."""
GUIDES = 4
"""Nearest parcels whose velocity tells where one ought to be."""
NO_PASS = -1
"""``pass_index`` of a parcel that no pass has seen."""


def no_parcels() -> Parcels:
    """Make a population of none."""
    return planted([], 0, [], [], 1.0)


def planted(
    parcel_id: ArrayLike, stream: int, seed_row: ArrayLike, seed_col: ArrayLike, spacing: float
) -> Parcels:
    """Pending parcels at nodes of the seed grid.

    Parameters
    ----------
    parcel_id, seed_row, seed_col : (N,) array_like of int
        Ids and nodes; the position of a node is (seed_col, seed_row) times spacing.
    stream : int
        Seeding that they belong to.
    spacing : float
        Metres.
    """
    ids = np.asarray(parcel_id, dtype=np.int64)
    count = len(ids)
    rows, cols = (np.asarray(values, dtype=np.int32) for values in (seed_row, seed_col))
    xy = np.stack([cols, rows], axis=-1).astype(np.float64) * spacing
    return Parcels(
        parcel_id=ids,
        stream=np.full(count, stream, dtype=np.int32),
        seed_row=rows,
        seed_col=cols,
        state=np.full(count, State.PENDING, dtype=np.int8),
        end_reason=np.full(count, EndReason.NOT_ENDED, dtype=np.int8),
        xy=xy,
        time=np.full(count, np.nan),
        pass_index=np.full(count, NO_PASS, dtype=np.int32),
        covariance=np.zeros((count, 2, 2)),
        reference_xy=xy,
        reference_time=np.full(count, np.nan),
        reference_pass=np.full(count, NO_PASS, dtype=np.int32),
        earlier_xy=np.full((count, 2), np.nan),
        earlier_time=np.full(count, np.nan),
        earlier_pass=np.full(count, NO_PASS, dtype=np.int32),
    )


def joined(first: Parcels, second: Parcels) -> Parcels:
    """Put two populations together, in order of id.

    Raises
    ------
    ValueError
        If an id is in both.
    """
    both = Parcels.joined([first, second])
    ordered = both.take(np.argsort(both.parcel_id, kind="stable"))
    repeated = ordered.parcel_id[1:][np.diff(ordered.parcel_id) == 0]
    if len(repeated):
        raise ValueError(f"parcel {repeated[0]} is in both populations")
    return ordered


def rows_of(parcels: Parcels, parcel_id: ArrayLike) -> NDArray[np.int64]:
    """Rows (N,) at which ids (N,) stand.

    Raises
    ------
    ValueError
        If an id is asked for twice or is not there.
    """
    ids = np.asarray(parcel_id, dtype=np.int64)
    in_order = np.sort(ids)
    if (in_order[1:] == in_order[:-1]).any():
        raise ValueError("a parcel is named twice in one transition")
    order = np.argsort(parcels.parcel_id, kind="stable")
    there = parcels.parcel_id[order]
    place = np.searchsorted(there, ids)
    found = place < len(order)
    found[found] = there[place[found]] == ids[found]
    if not found.all():
        raise ValueError(f"parcel {ids[~found][0]} is not in the population")
    return np.asarray(order[place], dtype=np.int64)


def living(parcels: Parcels) -> Bool:
    """Which parcels (N,) have not ended."""
    return np.asarray(parcels.state != State.ENDED)


def sighted(parcels: Parcels) -> Bool:
    """Which parcels (N,) live and have been seen."""
    return np.isin(parcels.state, (State.ALIVE, State.DORMANT))


def born(parcels: Parcels, parcel_id: ArrayLike, time: Float, pass_index: int) -> Parcels:
    """Pending parcels are seen for the first time, at their nodes.

    Raises
    ------
    ValueError
        If one is not pending.
    """
    rows = _rows_in(parcels, parcel_id, (State.PENDING,), "born")
    return replace(
        parcels,
        state=_put(parcels.state, rows, State.ALIVE),
        time=_put(parcels.time, rows, time),
        pass_index=_put(parcels.pass_index, rows, pass_index),
        reference_time=_put(parcels.reference_time, rows, time),
        reference_pass=_put(parcels.reference_pass, rows, pass_index),
    )


def observed(
    parcels: Parcels,
    parcel_id: ArrayLike,
    xy: Float,
    time: Float,
    covariance: Float,
    pass_index: int,
) -> Parcels:
    """Parcels are found again.

    Parameters
    ----------
    parcels : Parcels
        The population.
    parcel_id : (N,) array_like of int
        Who.
    xy, time, covariance : (N, 2), (N,), (N, 2, 2) float64
        Where, when, and the error of this step's displacement, m2, which adds to what has
        accumulated since birth.
    pass_index : int
        The pass that sees them.

    Raises
    ------
    ValueError
        If one is pending or has ended.
    """
    rows = _rows_in(parcels, parcel_id, (State.ALIVE, State.DORMANT), "observed")
    return replace(
        parcels,
        state=_put(parcels.state, rows, State.ALIVE),
        xy=_put(parcels.xy, rows, xy),
        time=_put(parcels.time, rows, time),
        pass_index=_put(parcels.pass_index, rows, pass_index),
        covariance=_put(parcels.covariance, rows, parcels.covariance[rows] + covariance),
        earlier_xy=_put(parcels.earlier_xy, rows, parcels.xy[rows]),
        earlier_time=_put(parcels.earlier_time, rows, parcels.time[rows]),
        earlier_pass=_put(parcels.earlier_pass, rows, parcels.pass_index[rows]),
    )


def corrected(
    parcels: Parcels, parcel_id: ArrayLike, xy: Float, time: Float, covariance: Float
) -> Parcels:
    """Parcels just seen are where an earlier template says.

    Parameters
    ----------
    parcels : Parcels
        The population.
    parcel_id : (N,) array_like of int
        Who.
    xy, time, covariance : (N, 2), (N,), (N, 2, 2) float64
        Where, when, and the error accumulated since birth, m2.

    Raises
    ------
    ValueError
        If one is not alive.
    """
    rows = _rows_in(parcels, parcel_id, (State.ALIVE,), "corrected")
    return replace(
        parcels,
        xy=_put(parcels.xy, rows, xy),
        time=_put(parcels.time, rows, time),
        covariance=_put(parcels.covariance, rows, covariance),
    )


def referred(parcels: Parcels, parcel_id: ArrayLike) -> Parcels:
    """Parcels take their last sighting as the one that later passes are compared with.

    Raises
    ------
    ValueError
        If one has not been seen or has ended.
    """
    rows = _rows_in(parcels, parcel_id, (State.ALIVE, State.DORMANT), "compared")
    return replace(
        parcels,
        reference_xy=_put(parcels.reference_xy, rows, parcels.xy[rows]),
        reference_time=_put(parcels.reference_time, rows, parcels.time[rows]),
        reference_pass=_put(parcels.reference_pass, rows, parcels.pass_index[rows]),
    )


def missed(parcels: Parcels, parcel_id: ArrayLike) -> Parcels:
    """Parcels are looked for in a pass that covers them and not found.

    Raises
    ------
    ValueError
        If one is pending or has ended.
    """
    rows = _rows_in(parcels, parcel_id, (State.ALIVE, State.DORMANT), "missed")
    return replace(parcels, state=_put(parcels.state, rows, State.DORMANT))


def ended(parcels: Parcels, parcel_id: ArrayLike, reason: EndReason) -> Parcels:
    """Parcels end, for good.

    Raises
    ------
    ValueError
        If one has ended before, or the reason is none.
    """
    if reason == EndReason.NOT_ENDED:
        raise ValueError("a parcel needs a reason to end")
    rows = _rows_in(parcels, parcel_id, (State.PENDING, State.ALIVE, State.DORMANT), "ended")
    return replace(
        parcels,
        state=_put(parcels.state, rows, State.ENDED),
        end_reason=_put(parcels.end_reason, rows, reason),
    )


def due(parcels: Parcels, now: float, min_interval: float, max_gap: float) -> Bool:
    """Which parcels (N,) a pass that starts at ``now`` looks for.

    Parameters
    ----------
    parcels : Parcels
        The population.
    now, min_interval, max_gap : float
        Seconds.
    """
    age = now - parcels.time
    return np.asarray(sighted(parcels) & (age >= min_interval) & (age <= max_gap))


@dataclass(frozen=True)
class Drift:
    """How far parcels ought to have gone since they were seen, by how they and others went.

    Attributes
    ----------
    parcels : Parcels
        The population (N).
    """

    parcels: Parcels

    def until(self, now: float, which: Bool) -> Float:
        """Drift (M, 2) of some of the parcels from when they were last seen to ``now``, metres.

        The mean velocity between the last two sightings of the nearest parcels that have two; 0
        where no parcel has.

        Parameters
        ----------
        now : float
            Seconds since 1970.
        which : (N,) bool
            Those that are asked for.
        """
        if not (which.any() and self._seen_twice.any()):
            return np.zeros((np.count_nonzero(which), 2))
        nearest = np.arange(1, 1 + min(GUIDES, len(self._velocity)))
        _, index = self._tree.query(self.parcels.xy[which], nearest)
        seconds = now - self.parcels.time[which]
        return np.asarray(self._velocity[index].mean(axis=1) * seconds[:, None])

    @cached_property
    def _seen_twice(self) -> Bool:
        return living(self.parcels) & (self.parcels.earlier_time < self.parcels.time)

    @cached_property
    def _velocity(self) -> Float:
        seconds = (self.parcels.time - self.parcels.earlier_time)[self._seen_twice]
        moved = (self.parcels.xy - self.parcels.earlier_xy)[self._seen_twice]
        return np.asarray(moved / seconds[:, None])

    @cached_property
    def _tree(self) -> cKDTree:
        # Few ask it: not balanced, a tree is built in half the time.
        return cKDTree(self.parcels.xy[self._seen_twice], balanced_tree=False)


def expiry(parcels: Parcels, max_gap: float, window_end: dict[int, float]) -> Float:
    """When (N,) each parcel ends if no pass sees it before, seconds since 1970.

    A pending parcel waits until its stream's window closes.
    """
    pending = parcels.state == State.PENDING
    times = parcels.time + max_gap
    for stream in np.unique(parcels.stream[pending]).tolist():
        times[pending & (parcels.stream == stream)] = window_end[stream]
    return np.asarray(times, dtype=np.float64)


def merging(parcel_id: Ids, stream: Index, xy: Float, distance: float) -> Ids:
    """Parcels that end because an older one of their stream is closer than ``distance``.

    Parameters
    ----------
    parcel_id, stream, xy : (N,) int64, (N,) int32, (N, 2) float64
        Parcels seen at the same time.
    distance : float
        Metres.

    Returns
    -------
    (M,) int64
        The younger (higher id) of each close couple, unless its older neighbour has itself
        ended here; in order of id.
    """
    if distance <= 0 or len(parcel_id) < 2:
        return np.empty(0, dtype=np.int64)
    # Asked once only: not balanced, a tree is built in half the time.
    couples = cKDTree(xy, balanced_tree=False).query_pairs(distance, output_type="ndarray")
    couples = couples[stream[couples[:, 0]] == stream[couples[:, 1]]]
    couples = np.sort(parcel_id[couples], axis=1)
    gone: set[int] = set()
    for older, younger in couples[np.lexsort((couples[:, 1], couples[:, 0]))].tolist():
        if older not in gone:
            gone.add(younger)
    return np.array(sorted(gone), dtype=np.int64)


def nodes_within(bounds: tuple[float, float, float, float], spacing: float) -> tuple[Index, Index]:
    """Row and column indices (N,), (N,) of the seed grid's nodes inside bounds, row by row.

    Parameters
    ----------
    bounds : tuple of float
        xmin, ymin, xmax, ymax, metres.
    spacing : float
        Metres; nodes lie at its whole multiples.
    """
    xmin, ymin, xmax, ymax = bounds
    cols = np.arange(np.ceil(xmin / spacing), np.floor(xmax / spacing) + 1, dtype=np.int32)
    rows = np.arange(np.ceil(ymin / spacing), np.floor(ymax / spacing) + 1, dtype=np.int32)
    row, col = np.meshgrid(rows, cols, indexing="ij")
    return row.ravel(), col.ravel()


def vacant(parcels: Parcels, seed_row: Index, seed_col: Index, spacing: float) -> Bool:
    """Which nodes (N,) have no living parcel within ``EMPTY`` spacings.

    That is the circle around the node's cell, not the cell: where a grid of parcels drifts
    by half a cell and jitters, many a cell is empty beside one that holds two. Seeding those
    would double the population in two months.
    """
    everywhere = np.ones(len(seed_row), dtype=np.bool_)
    at = parcels.xy[living(parcels)] / spacing
    if not (len(at) and len(everywhere)):
        return everywhere
    nodes = np.stack([seed_col, seed_row], axis=-1)
    first, last = nodes.min(axis=0) - 1, nodes.max(axis=0) + 1
    x, y = at.T
    at = at[(x > first[0]) & (x < last[0]) & (y > first[1]) & (y < last[1])]
    # Who is in a node's cell is near it; the distance is asked of the other nodes only.
    held: Bool = np.zeros(last - first + 1, dtype=np.bool_)
    held[tuple((np.rint(at).astype(np.int64) - first).T)] = True
    free: Bool = ~held[tuple((nodes - first).T)]
    if len(at) and free.any():
        tree = cKDTree(at, balanced_tree=False)
        distance, _ = tree.query(nodes[free], distance_upper_bound=EMPTY)
        free[free] = np.isinf(distance)
    return free


def _rows_in(
    parcels: Parcels, parcel_id: ArrayLike, allowed: tuple[State, ...], what: str
) -> NDArray[np.int64]:
    rows = rows_of(parcels, parcel_id)
    wrong = ~np.isin(parcels.state[rows], allowed)
    if wrong.any():
        row = rows[wrong][0]
        state = State(int(parcels.state[row])).name.lower()
        raise ValueError(f"parcel {parcels.parcel_id[row]} is {state} and cannot be {what}")
    return rows


def _put(values: NDArray[S], rows: NDArray[np.int64], new: ArrayLike) -> NDArray[S]:
    changed = values.copy()
    changed[rows] = np.asarray(new, dtype=values.dtype)
    return changed
