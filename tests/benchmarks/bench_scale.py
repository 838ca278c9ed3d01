"""A season of the whole Arctic with simulated vectors in place of images: seconds, bytes, memory.

    python tests/benchmarks/bench_scale.py FOLDER [--parcels 80000] [--days 180] [--passes 1]

Every day all parcels are seen once, in so many passes. Prints a line every tenth day: the
slowest fold and the slowest transaction of a pass since the last one, the cost of the load that
begins a run, the size of the state and the peak memory; at the end the figures of the products
(left out with ``--no-products``), and the ratio of the last to the first third of the season.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lagrangian_ice.engine import peak_memory_mib
from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.parcels.fold import fold_pass
from lagrangian_ice.parcels.schema import DATABASE
from lagrangian_ice.parcels.store import PassRecord, Store
from lagrangian_ice.parcels.view import Stream, View, Wanted
from lagrangian_ice.settings import ParcelSettings, Settings

DAY = 86400.0
T0 = 1_604_188_800.0
"""2020-11-01."""
SPACING = 10_000.0
PIXEL = 1000.0
PERIOD = 20 * DAY
"""Of the ice's going round, at 0.1 m/s."""


@dataclass
class Season:
    """Ice that goes round in circles, seen by strips from west to east."""

    side: int
    passes_per_day: int
    missed: float = 0.03
    doubtful: float = 0.04
    starts: dict[int, float] = field(default_factory=dict)

    def start(self, day: int, number: int) -> float:
        return T0 + day * DAY + (number + 0.5) * DAY / self.passes_per_day

    def image(self, start: float, number: int) -> GeoImage:
        """One strip, wide enough for what drifts across its edges."""
        width = self.side * SPACING / self.passes_per_day
        edge = 30e3 if self.passes_per_day > 1 else 0.0
        bounds = (
            max(0.0, number * width - edge),
            0.0,
            min(self.side * SPACING, (number + 1) * width + edge),
            self.side * SPACING,
        )
        grid = Grid.covering(bounds, PIXEL)
        nodes = tuple(-(-n // TIME_STRIDE) + 1 for n in grid.shape)
        return GeoImage(
            pass_id=f"p{start:.0f}",
            scene_ids=(),
            grid=grid,
            polarisations=("HH",),
            units="db",
            data=np.zeros((1, *grid.shape), np.float32),
            land=np.zeros(grid.shape, np.bool_),
            node_time=np.full(nodes, start),
        )

    def vectors(self, source: int, target: int, image: GeoImage, xy: np.ndarray) -> Vectors:
        """What the matching would return: circles, noise, and a share that is not found."""
        rng = np.random.default_rng([source, target])
        time0, time1 = self.starts[source], self.starts[target]
        turn = 2 * np.pi / PERIOD
        phase0, phase1 = turn * (time0 - T0), turn * (time1 - T0)
        moved = (0.1 / turn) * np.array(
            [np.sin(phase1) - np.sin(phase0), np.cos(phase0) - np.cos(phase1)]
        )
        end = xy + moved + rng.normal(0, 20.0, xy.shape)
        count = len(xy)
        status = np.full(count, Status.TRACKED, np.int8)
        status[rng.random(count) < self.missed] = Status.LOW_CORRELATION
        status[~image.grid.contains(end)] = Status.OUT_OF_IMAGE
        tracked = status == Status.TRACKED
        # As many as on simulated images must be confirmed by an earlier sighting.
        doubtful = rng.random(count) < self.doubtful
        variance = np.where(doubtful, (0.4 * PIXEL) ** 2, 400.0)
        strain = rng.normal(0, 1e-3, (count, 3))
        strain[doubtful, 0] = 0.1 / max((time1 - time0) / DAY, 1.0)
        return Vectors(
            xy0=xy,
            xy1=np.where(tracked[:, None], end, np.nan),
            covariance=np.where(tracked, variance, np.nan)[:, None, None] * np.eye(2),
            first_guess=xy + moved,
            first_guess_error=np.full(count, 300.0),
            first_guess_rotation=np.zeros(count),
            mcc=rng.uniform(0.3, 0.9, count),
            peak_ratio=rng.uniform(0.3, 0.9, count),
            rotation=rng.normal(0, 2, count),
            strain=strain,
            status=status,
            time0=np.full(count, time0),
            time1=np.where(tracked, time1, np.nan),
        )


@dataclass
class Costs:
    """Seconds of one pass, wall and of this process."""

    fold: float
    write: float
    cpu: float
    day: int

    @property
    def total(self) -> float:
        return self.fold + self.write


def run(folder: Path, season: Season, days: int, settings: Settings) -> list[Costs]:
    """Fold the season and print a line every tenth day."""
    costs: list[Costs] = []
    with Store(folder, writable=True, create=True) as store:
        row, col = (part.ravel() for part in np.indices((season.side, season.side), np.int32))
        stream = Stream(0, T0, T0 + 3 * DAY, SPACING)
        store.seed(stream, row, col, settings.as_json())
        parcels = store.living()
        for day in range(days):
            for number in range(season.passes_per_day):
                parcels, cost = one_pass(store, season, day, number, parcels, settings)
                costs.append(cost)
            if day % 10 == 9 or day == days - 1:
                tell(folder, store, costs, day, season.passes_per_day, len(parcels))
        store.set_clock(T0 + days * DAY, settings.as_json())
    return costs


def one_pass(store, season, day, number, parcels, settings):
    """Fold one pass and keep it."""
    index = store.next_pass_index()
    start = season.start(day, number)
    season.starts[index] = start
    image = season.image(start, number)
    spent = [0.0]

    def match(wanted: Sequence[Wanted]) -> list[Vectors]:
        begun = time.perf_counter()
        found = [season.vectors(one.source_pass, index, image, one.xy) for one in wanted]
        spent[0] += time.perf_counter() - begun
        return found

    begun, cpu = time.perf_counter(), time.process_time()
    view = View(image, index, start, store.streams(), settings.parcels, 0.6)
    fold = fold_pass(parcels, view, match, store.next_parcel_id())
    folded = time.perf_counter()
    record = PassRecord(index, image.pass_id, start, start, start + 60, "S1A", index, "HH", (), {})
    store.add_fold(record, fold, settings.as_json(), "abc")
    written = time.perf_counter()
    cpu = time.process_time() - cpu - spent[0]
    return fold.parcels, Costs(folded - begun - spent[0], written - folded, cpu, day)


def tell(folder: Path, store: Store, costs: list[Costs], day: int, each: int, alive: int) -> None:
    """Print a line."""
    recent = costs[-10 * each :]
    begun = time.perf_counter()
    store.living()
    loaded = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in folder.glob(f"{DATABASE}*")) / 2**30
    peak = peak_memory_mib() / 1024
    typical = float(np.median([one.total for one in recent]))
    print(
        f"day {day + 1:3d}: {alive} parcels, a pass {typical:.2f} s (cpu "
        f"{np.median([one.cpu for one in recent]):.2f}), slowest fold "
        f"{max(one.fold for one in recent):.2f} s, slowest transaction "
        f"{max(one.write for one in recent):.2f} s; load {loaded:.2f} s; "
        f"state {size:.2f} GB; peak memory {peak:.2f} GB",
        flush=True,
    )


def products(folder: Path, settings: Settings) -> None:
    """Time the three products of the season and the deformation of its last day."""
    from lagrangian_ice import workflow

    with Store(folder) as store:
        begun = time.perf_counter()
        for path in workflow.write_all(store, folder / "products", settings):
            print(f"{path.name}: {path.stat().st_size / 2**30:.2f} GB")
        print(f"all products of the season {time.perf_counter() - begun:.0f} s")


def main() -> None:
    """Run the season, then its products."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parcels", type=int, default=80_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--passes", type=int, default=1, help="a day")
    parser.add_argument("--no-products", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    # Pixels of a kilometre stand for those of 100 m.
    settings = Settings(parcels=ParcelSettings(birth_margin=2))
    season = Season(int(np.ceil(np.sqrt(given.parcels))), given.passes)
    costs = run(given.folder, season, given.days, settings)
    third = max(1, len(costs) // 3)
    first, last = (np.median([one.cpu for one in part]) for part in (costs[:third], costs[-third:]))
    print(f"cost of a pass, last third of the season over the first: {last / first:.2f}")
    if not given.no_products:
        products(given.folder, settings)


if __name__ == "__main__":
    main()
