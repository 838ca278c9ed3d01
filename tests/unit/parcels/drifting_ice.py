"""Passes over ice of known motion, without pixels: what the parcels' tests stand on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.parcels import transitions
from lagrangian_ice.parcels.concentration import IceField
from lagrangian_ice.parcels.fold import Fold, fold_pass, lost_until
from lagrangian_ice.parcels.population import Parcels
from lagrangian_ice.parcels.store import PassRecord, Store
from lagrangian_ice.parcels.view import Stream, View, Wanted
from lagrangian_ice.settings import ParcelSettings

DAY = 86400.0
T0 = 1_609_459_200.0
"""2021-01-01."""
PIXEL = 500.0
WHOLE = (-1_000.0, -1_000.0, 51_000.0, 31_000.0)
"""Bounds of 24 parcels."""


@dataclass(frozen=True)
class See:
    """A pass: when (days after T0), where (bounds, m), and which area is without data."""

    day: float
    bounds: tuple[float, float, float, float]
    holes: tuple[tuple[float, float, float, float], ...] = ()
    land: tuple[tuple[float, float, float, float], ...] = ()
    ice: IceField | None = None

    @property
    def start(self) -> float:
        return T0 + self.day * DAY

    def image(self) -> GeoImage:
        grid = Grid.covering(self.bounds, PIXEL)
        data = np.zeros((1, *grid.shape), np.float32)
        data[0][_inside(grid, self.holes)] = np.nan
        nodes = tuple(-(-n // TIME_STRIDE) + 1 for n in grid.shape)
        return GeoImage(
            pass_id=f"pass_{self.day:g}",
            scene_ids=(f"scene_{self.day:g}",),
            grid=grid,
            polarisations=("HH",),
            units="db",
            data=data,
            land=_inside(grid, self.land),
            node_time=np.full(nodes, self.start),
        )


def _inside(grid: Grid, boxes: tuple[tuple[float, float, float, float], ...]) -> np.ndarray:
    rows, cols = np.indices(grid.shape)
    x, y = np.moveaxis(grid.xy(np.stack([rows, cols], -1)), -1, 0)
    mask = np.zeros(grid.shape, bool)
    for xmin, ymin, xmax, ymax in boxes:
        mask |= (x >= xmin) & (x <= xmax) & (y >= ymin) & (y <= ymax)
    return mask


@dataclass
class Ice:
    """Ice that moves with one velocity (m s-1); ``hidden`` boxes hold what cannot be matched."""

    velocity: tuple[float, float] = (0.1, 0.05)
    hidden: tuple[tuple[float, float, float, float], ...] = ()
    sigma: float = 30.0
    passes: dict[int, See] = field(default_factory=dict)
    asked: list[tuple[int, Wanted]] = field(default_factory=list)
    foreseen: list[tuple[int, Wanted]] = field(default_factory=list)
    """With the index of the pass that asks."""

    def match(self, source: int, target: int, xy: np.ndarray) -> Vectors:
        first, second = self.passes[source], self.passes[target]
        end = xy + np.array(self.velocity) * (second.start - first.start)
        image = second.image()
        status = np.full(len(xy), Status.TRACKED, np.int8)
        for xmin, ymin, xmax, ymax in self.hidden:
            at = (xy[:, 0] >= xmin) & (xy[:, 0] <= xmax) & (xy[:, 1] >= ymin) & (xy[:, 1] <= ymax)
            status[at] = Status.LOW_CORRELATION
        status[~image.grid.contains(end)] = Status.OUT_OF_IMAGE
        tracked = status == Status.TRACKED
        count = len(xy)
        return Vectors(
            xy0=xy,
            xy1=np.where(tracked[:, None], end, np.nan),
            covariance=np.where(tracked, self.sigma**2, np.nan)[:, None, None] * np.eye(2),
            first_guess=end,
            first_guess_error=np.full(count, 400.0),
            first_guess_rotation=np.full(count, 1.5),
            mcc=np.where(tracked, 0.8, 0.1),
            peak_ratio=np.full(count, 0.5),
            rotation=np.where(tracked, 1.5, np.nan),
            strain=np.zeros((count, 3)),
            status=status,
            time0=np.full(count, first.start),
            time1=np.where(tracked, second.start, np.nan),
        )

    def answer(self, one: Wanted, target: int) -> Vectors:
        self.asked.append((target, one))
        return self.match(one.source_pass, target, one.xy)

    def fold(
        self,
        parcels: Parcels,
        index: int,
        see: See,
        streams: list[Stream],
        settings: ParcelSettings,
        next_id: int,
    ) -> Fold:
        self.passes[index] = see
        return fold_pass(
            parcels,
            View(see.image(), index, see.start, streams, settings, 0.6, see.ice),
            lambda wanted: [self.answer(one, index) for one in wanted],
            next_id,
            lambda wanted: self.foreseen.extend((index, one) for one in wanted),
        )

    def born(self, see: See, settings: ParcelSettings) -> Fold:
        """Fold the first pass, which bears a parcel every 10 km of what it shows."""
        return self.fold(planted(see.bounds), 0, see, [stream()], settings, 1000)

    def followed(self, sees: list[See], settings: ParcelSettings) -> list[Fold]:
        """Folds of passes, of which the first bears a parcel every 10 km of what it may show."""
        parcels, folds = planted(WHOLE), []
        for index, see in enumerate(sees):
            folds.append(self.fold(parcels, index, see, [stream()], settings, 1000))
            parcels = folds[-1].parcels
        return folds

    def process(self, store: Store, see: See, settings: ParcelSettings) -> Fold:
        """Fold a pass with the state as it is in the store, and keep the outcome there."""
        index = store.next_pass_index()
        fold = self.fold(
            store.living(), index, see, store.streams(), settings, store.next_parcel_id()
        )
        store.add_fold(record(index, see), fold, "{}", "abc")
        return fold

    def pass_time(self, store: Store, moment: float, settings: ParcelSettings) -> None:
        """End what is lost by a moment, as the end of an advance does."""
        _, ends = lost_until(store.living(), moment, settings, store.streams())
        store.add_lost(ends, moment)


def same_question(one: Wanted, other: Wanted) -> bool:
    """Whether two requests ask the very same."""
    first, second = (
        (wanted.source_pass, wanted.max_speed, wanted.correlation) for wanted in (one, other)
    )
    return first == second and np.array_equal(one.xy, other.xy)


def planted(
    bounds: tuple[float, float, float, float], first: int = 1, number: int = 0, spacing: float = 1e4
) -> Parcels:
    """Parcels of a stream that wait to be born, with ids from the first on."""
    row, col = transitions.nodes_within(bounds, spacing)
    ids = np.arange(first, first + len(row))
    return transitions.planted(ids, number, row, col, spacing)


def record(index: int, see: See) -> PassRecord:
    return PassRecord(
        pass_index=index,
        pass_id=f"pass_{see.day:g}",
        time=see.start,
        start=see.start,
        stop=see.start + 60,
        platform="S1A",
        orbit=index,
        polarisations="HH",
        scene_ids=(),
        failed={},
    )


def stream(number: int = 0, day: float = 0.0, window: float = 3.0, spacing: float = 1e4) -> Stream:
    start = T0 + day * DAY
    return Stream(number, start, start + window * DAY, spacing)
