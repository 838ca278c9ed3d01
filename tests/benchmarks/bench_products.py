"""Seconds and memory of a season: 80,000 parcels, 180 days.

    python tests/benchmarks/bench_products.py FOLDER [parcels] [days]

Makes one trajectory file in FOLDER with the package's own writer (kept, and used again), then
runs every step in a process of its own: open, all observations of two dates through plain xarray
and through ``li.pair_of_dates``, deformation of one day, exports, the page, scores. Prints wall
and process seconds and the peak of memory beside a baseline of the same run: reading the file's
time, x and y once with netCDF4.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

DAY = 86400.0
START = datetime(2020, 11, 1, tzinfo=UTC).timestamp()
FRAMES = 12
"""Passes a day; each sees the parcels of a part of the map, every parcel once a day."""


def passes(days: int) -> pd.DataFrame:
    count = days * FRAMES
    at = START + np.arange(count) * DAY / FRAMES
    return pd.DataFrame(
        {
            "pass_index": np.arange(count),
            "pass_id": [f"S1A_{number:06d}" for number in range(count)],
            "time": at + 60,
            "start": at,
            "stop": at + 120,
            "platform": "S1A",
            "orbit": np.arange(count),
            "polarisations": "HH,HV",
            "scene_ids": [(f"S1A_EW_GRDM_1SDH_{number:06d}",) for number in range(count)],
        }
    )


def seeds(parcels: int) -> tuple[np.ndarray, np.ndarray]:
    side = int(np.ceil(np.sqrt(parcels)))
    rowcol = np.stack(np.divmod(np.arange(parcels), side), axis=1) - side // 2
    return rowcol, rowcol[:, ::-1] * 10e3


def frames_of(parcels: int, days: int) -> Iterator[pd.DataFrame]:
    """Whole trajectories, 1000 parcels a frame, each seen on about nine days of ten."""
    rowcol, start = seeds(parcels)
    angles = np.degrees(np.arctan2(start[:, 1], start[:, 0])) % 360
    slot = (angles // (360 / FRAMES)).astype(int)
    for first in range(0, parcels, 1000):
        own = np.arange(first, min(first + 1000, parcels))
        rng = np.random.default_rng(first)
        seen = rng.random((len(own), days)) < 0.9
        seen[:, 0] = True
        row, day = np.nonzero(seen)
        at = day * FRAMES + slot[own[row]]
        when = START + at * DAY / FRAMES + 60 + rowcol[own[row], 0] % 40
        walk = rng.normal(0, 2500, (len(own), days, 2)).cumsum(axis=1)[row, day]
        variance = 150.0 * (day + 1.0) * (day > 0)
        weak = np.where(day > 0, rng.uniform(0.3, 0.9, len(row)), np.nan)
        before = np.roll(at, 1)
        yield pd.DataFrame(
            {
                "parcel_id": own[row] + 1,
                "pass_index": at,
                "time": when,
                "x": start[own[row], 0] + walk[:, 0],
                "y": start[own[row], 1] + walk[:, 1],
                "var_x": variance,
                "var_y": variance,
                "cov_xy": 0.1 * variance,
                "mcc": weak,
                "peak_ratio": weak / 2,
                "rotation": weak * 10,
                "q_flag": 0,
                "source_pass_index": np.where(day > 0, before, -1),
            }
        )


def write(path: Path, parcels: int, days: int) -> None:
    from lagrangian_ice.output.attributes import Header
    from lagrangian_ice.output.trajectories import write_trajectories
    from lagrangian_ice.settings import Settings

    rowcol, _ = seeds(parcels)
    counts = pd.concat(
        [frame.groupby("parcel_id").size() for frame in frames_of(parcels, days)]
    ).sort_index()
    table = pd.DataFrame(
        {
            "parcel_id": counts.index,
            "stream": 0,
            "seed_row": rowcol[:, 0],
            "seed_col": rowcol[:, 1],
            "birth_time": START,
            "death_time": np.nan,
            "end_reason": 0,
            "n_obs": counts.to_numpy(),
        }
    )
    write_trajectories(path, Header(Settings()), passes(days), table, frames_of(parcels, days))


def baseline(path: Path, folder: Path) -> object:
    import netCDF4

    with netCDF4.Dataset(path) as dataset:
        return sum(float(np.nanmean(dataset[name][:])) for name in ("time", "x", "y"))


def two_dates_xarray(path: Path, folder: Path) -> object:
    import lagrangian_ice as li

    dataset = li.open_trajectories(path)
    when = dataset["time"].to_numpy().astype("datetime64[D]")
    found = []
    for day in ("2021-01-10", "2021-01-13"):
        row, col = np.nonzero(when == np.datetime64(day))
        found.append((row, dataset["x"].to_numpy()[row, col], dataset["y"].to_numpy()[row, col]))
    return len(np.intersect1d(found[0][0], found[1][0]))


def two_dates(path: Path, folder: Path) -> object:
    import lagrangian_ice as li

    return len(li.pair_of_dates(path, "2021-01-10T12:00", "2021-01-13T12:00"))


def one_day(path: Path, folder: Path) -> object:
    """Deformation of all patches that end on one day."""
    from lagrangian_ice.output.products import deform_file
    from lagrangian_ice.times import Window

    window = Window(START + 70 * DAY, START + 71 * DAY)
    deform_file(path, folder / "day_DP.nc", window=window)
    return (folder / "day_DP.nc").stat().st_size


def exports(path: Path, folder: Path) -> object:
    from lagrangian_ice.output.exports import export_trajectories

    out = export_trajectories([path], ["rgps-lp"], folder / "exports")
    return out[0].stat().st_size


def buoys(path: Path, folder: Path) -> object:
    """Compare with fifty buoys that drift for the whole time, a fix an hour."""
    from lagrangian_ice.validation.buoys import validate_buoys

    rng, rows = np.random.default_rng(0), []
    hours = np.arange(0, 24 * 60, 1.0)
    for number in range(50):
        walk = np.cumsum(rng.normal(0, 100, (len(hours), 2)), axis=0)
        x, y = (rng.uniform(-1e6, 1e6, 2) + walk).T
        when = pd.to_datetime(START + hours * 3600, unit="s")
        rows.append(pd.DataFrame({"buoy": f"B{number}", "time": when, "x": x, "y": y}))
    pd.concat(rows).to_csv(folder / "buoys.csv", index=False)
    return len(validate_buoys(path, folder / "buoys.csv")[1])


def statistics(path: Path, folder: Path) -> object:
    from lagrangian_ice.validation.statistics import validate_statistics

    scores = validate_statistics(path)
    return f"{scores['triangles']} triangles, one day in {scores['every_nth_day']}"


def page(path: Path, folder: Path) -> object:
    from lagrangian_ice.plots.page import write_page

    return write_page([path], folder / "page.html").path.stat().st_size


STEPS = {
    step.__name__: step
    for step in (
        baseline,
        two_dates_xarray,
        two_dates,
        one_day,
        exports,
        page,
        buoys,
        statistics,
    )
}


def main() -> None:
    folder = Path(sys.argv[1])
    parcels, days = (int(word) for word in [*sys.argv[2:4], "80000", "180"][:2])
    path = folder / f"season_{parcels}_{days}_LP.nc"
    if len(sys.argv) > 4:
        run(sys.argv[4], path, folder, parcels, days)
        return
    names = [*([] if path.exists() else ["write"]), *STEPS]
    print(f"{'step':18s} {'wall s':>8s} {'cpu s':>8s} {'peak MB':>8s}  result")
    for name in names:
        words = [sys.executable, __file__, str(folder), str(parcels), str(days), name]
        subprocess.run(words, check=True)
    print(f"file {path.stat().st_size / 1e6:.0f} MB")


def run(name: str, path: Path, folder: Path, parcels: int, days: int) -> None:
    from lagrangian_ice.engine import peak_memory_mib

    begin = time.perf_counter()
    found = write(path, parcels, days) if name == "write" else STEPS[name](path, folder)
    wall = time.perf_counter() - begin
    peak = peak_memory_mib()
    print(f"{name:18s} {wall:8.1f} {time.process_time():8.1f} {peak:8.0f}  {found}", flush=True)


if __name__ == "__main__":
    main()
