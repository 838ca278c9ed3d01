"""The parcels: ids, fate, and where each was last seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.matching.rows import Rows


class State(IntEnum):
    """Life of a parcel.

    A pending parcel waits for the pass that it is born in. A dormant one was looked for since it
    was last seen, in a pass that shows where it ought to be, and not found.
    """

    PENDING = 0
    ALIVE = 1
    DORMANT = 2
    ENDED = 3


class EndReason(IntEnum):
    """Why a parcel ended.

    Unseen for too long it is lost, or not covered where no pass has shown the place to which it
    ought to have come. One that no pass has seen before its stream's window closed is not born.
    """

    NOT_ENDED = 0
    LOST = 1
    LAND = 2
    OUT_OF_ICE = 3
    MERGED = 4
    NOT_COVERED = 5
    NOT_BORN = 6


UNSEEN = {
    State.PENDING: EndReason.NOT_BORN,
    State.ALIVE: EndReason.NOT_COVERED,
    State.DORMANT: EndReason.LOST,
}
"""Ends of parcels that were unseen for too long, by what they were."""


@dataclass(frozen=True)
class Parcels(Rows):
    """N parcels, joined with everything else by ``parcel_id`` only.

    Attributes
    ----------
    parcel_id : (N,) int64
        For life, unique over all streams.
    stream : (N,) int32
        Which seeding they come from: 0 is stream a.
    seed_row, seed_col : (N,) int32
        Indices on the seed grid; position = index times spacing.
    state : (N,) int8
        :class:`State`.
    end_reason : (N,) int8
        :class:`EndReason`.
    xy : (N, 2) float64
        Where last seen, EPSG:3413 metres.
    time : (N,) float64
        When last seen, seconds since 1970.
    pass_index : (N,) int32
        In which pass last seen.
    covariance : (N, 2, 2) float64
        Tracking error accumulated since birth, m2.
    reference_xy : (N, 2) float64
        Where it was at an earlier sighting, which a later pass is matched with too.
    reference_time : (N,) float64
        When that was, seconds since 1970.
    reference_pass : (N,) int32
        In which pass.
    earlier_xy : (N, 2) float64
        Where it was at the sighting before the last, from which a doubtful one is confirmed.
    earlier_time : (N,) float64
        When that was, seconds since 1970.
    earlier_pass : (N,) int32
        In which pass; -1 where there was none.
    """

    parcel_id: NDArray[np.int64]
    stream: NDArray[np.int32]
    seed_row: NDArray[np.int32]
    seed_col: NDArray[np.int32]
    state: NDArray[np.int8]
    end_reason: NDArray[np.int8]
    xy: Float
    time: Float
    pass_index: NDArray[np.int32]
    covariance: Float
    reference_xy: Float
    reference_time: Float
    reference_pass: NDArray[np.int32]
    earlier_xy: Float
    earlier_time: Float
    earlier_pass: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.parcel_id)
