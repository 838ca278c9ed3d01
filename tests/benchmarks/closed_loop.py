"""Ten days of simulated passes with gaps and corrupt scenes, tracked and compared with the truth.

    python tests/benchmarks/closed_loop.py FOLDER [--days 10] [--area 100] [--spacing 5000]
        [--seed 11] [--workers 2]

Simulates an archive (once), takes away a day and a half and every seventh pass, cuts three scenes
short, seeds and advances, and prints what the trajectories are worth, beside what is asked for.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

import lagrangian_ice as li
from lagrangian_ice import workflow
from lagrangian_ice.engine import Workers
from lagrangian_ice.parcels.population import EndReason
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.passes import Pass, group_passes
from lagrangian_ice.settings import ParcelSettings, Settings
from lagrangian_ice.simulate.archive import simulate_archive
from lagrangian_ice.simulate.truth import TRUTH_NAME, Truth, load_truth
from lagrangian_ice.times import to_seconds
from lagrangian_ice.validation.truth import (
    EDGE,
    LONGEST_GAP,
    SHORTEST_INTERVAL,
    expected_to_live,
    trajectory_distances,
)

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
HOLE = (4.0, 5.5)
"""Days without a pass."""


@dataclass(frozen=True)
class Tampered:
    """Passes that are left whole, and how many were taken away and cut short."""

    whole: list[Pass]
    removed: int
    corrupt: int


def tamper(scenes: Path, seed: int) -> Tampered:
    """Take passes away and cut three scenes short."""
    found, _ = find_scenes([scenes])
    passes = group_passes(found)
    rng = np.random.default_rng(seed)
    removed = []
    for number, one in enumerate(passes):
        day = (one.start - BEGIN) / timedelta(days=1)
        if HOLE[0] <= day < HOLE[1] or (number % 7 == 5 and number > 6):
            removed.append(one)
    left = [one for one in passes if one not in removed]
    # Not the last: its other frames end parcels at a time at which the truth has no pass.
    drawn = sorted(rng.choice(np.arange(2, len(left) - 1), 3, replace=False))
    corrupt = [left[i] for i in drawn]
    for one in removed:
        for scene in one.scenes:
            shutil.rmtree(scene.path)
    for number, one in enumerate(corrupt):
        cut_short(one.scenes[-1].path, number)
    whole = [one for one in left if one not in corrupt]
    return Tampered(whole, len(removed), len(corrupt))


def cut_short(safe: Path, number: int) -> None:
    """Cut a measurement or, of every third scene, an annotation."""
    pattern = "annotation/*.xml" if number % 3 == 2 else "measurement/*"
    path = sorted(safe.glob(pattern))[0]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def seen_by(truth: Truth, passes: list[Pass]) -> Truth:
    """Truth of the passes that were left whole."""
    starts = np.array([to_seconds(one.start) for one in passes])
    swaths = [s for s in truth.swaths if np.abs(starts - s.start).min() < 60]
    return Truth(truth.motion, tuple(swaths))


def score(workspace: Path, truth: Truth, left: Truth, end: float) -> None:
    """Print the figures."""
    population = li.open_workspace(workspace)
    seen = population.observations()
    parcels = population.parcels.set_index("parcel_id")
    distances = trajectory_distances(seen, truth)
    birth = seen.sort_values("time").groupby("parcel_id").first()
    followed = seen.groupby("parcel_id")["time"].max() - birth["time"]
    last = distances.sort_values("time").groupby("parcel_id").last()
    last = last[last["distance"].notna()]
    alive = parcels["end_reason"] == int(EndReason.NOT_ENDED)
    living = last[alive[last.index]]
    long = living[followed[living.index] > 0.85 * (end - to_seconds(BEGIN))]
    within = (living["distance"] <= 500).mean()
    tell("parcels followed to the end", len(long), "")
    tell("their median distance, m", np.median(long["distance"]), "<= 60")
    tell("90th, 99th percentile, m", np.quantile(long["distance"], [0.9, 0.99]), "")
    tell("living within 500 m", within, ">= 0.99")
    far = living.index[living["distance"] > 500]
    if len(far):
        print(worst_steps(seen, truth, far).round(2).to_string(index=False))
    tell("ids swapped", swapped(seen, truth, last.index), "0")
    xy, time = birth[["x", "y"]].to_numpy(float), birth["time"].to_numpy(float)
    on_ice = np.isfinite(truth.position(xy, time, time)[:, 0])
    observable = np.zeros(len(birth), bool)
    observable[on_ice] = expected_to_live(xy[on_ice], time[on_ice], left, end)
    kept = alive[birth.index].to_numpy()
    tell("observable all the time", observable.sum(), "")
    tell("of them alive", kept[observable].mean(), ">= 0.95")
    ended = ~kept & on_ice
    reasons = parcels.loc[birth.index, "end_reason"].to_numpy()
    tell("ended", ended.sum(), "")
    merged = reasons == int(EndReason.MERGED)
    near = near_another(birth, parcels, truth)
    told = told_what_was_shown(seen, parcels, left).reindex(birth.index, fill_value=True)
    right = np.where(merged, near, told)
    for reason in np.unique(reasons[ended]).tolist():
        of_it = ended & (reasons == reason)
        name = EndReason(reason).name.lower().replace("_", " ")
        tell(f"ended as {name}, rightly", [of_it.sum(), (of_it & right).sum()], "")
    if ended.any():
        tell("reasons right", right[ended].mean(), ">= 0.98")
        tell(
            "ended and could not have lived", np.where(merged, near, ~observable)[ended].mean(), ""
        )
    checked = seen["closure"].dropna()
    tell("closures", len(checked), "")
    if len(checked):
        tell("closure median, 99th percentile, m", np.quantile(checked, [0.5, 0.99]), "")
        off = distances.merge(seen[["parcel_id", "time", "closure"]], on=["parcel_id", "time"])
        wrong = off["distance"] > 500
        told = off["closure"] > 200
        tell(
            "closures above 200 m, of them more than 500 m off",
            [told.sum(), (told & wrong).sum()],
            "",
        )
        tell("checked and more than 500 m off", (wrong & off["closure"].notna()).sum(), "")


def worst_steps(seen: pd.DataFrame, truth: Truth, parcels: pd.Index) -> pd.DataFrame:
    """The step of each parcel that went furthest wrong, and what was known of it.

    A step is judged from where the parcel was seen before, so that each is by itself. ``spread``
    is how far the ice half a template around it truly came apart in the step.
    """
    own = seen[seen["parcel_id"].isin(parcels)].sort_values(["parcel_id", "time"])
    found = own[own["source_pass_index"] >= 0].copy()
    key = ["parcel_id", "pass_index"]
    start = own.set_index(key)[["x", "y", "time"]]
    source = pd.MultiIndex.from_arrays([found["parcel_id"], found["source_pass_index"]])
    begun = start.reindex(source).to_numpy(float)
    xy, time, later = begun[:, :2], begun[:, 2], found["time"].to_numpy(float)
    true = truth.position(xy, time, later)
    found["wrong"] = np.hypot(*(found[["x", "y"]].to_numpy(float) - true).T)
    found["hours"] = (later - time) / 3600
    angles = np.radians(np.arange(0, 360, 45))
    around = [xy + 1600 * np.array([np.cos(a), np.sin(a)]) for a in angles]
    moved = np.stack([truth.position(one, time, later) - one for one in around])
    apart = moved - np.nanmedian(moved, axis=0)
    found["spread"] = np.nanmax(np.hypot(apart[..., 0], apart[..., 1]), axis=0)
    worst = found.loc[found.groupby("parcel_id")["wrong"].idxmax().dropna()]
    columns = ["parcel_id", "hours", "wrong", "spread", "mcc", "peak_ratio", "rotation"]
    return worst[[*columns, "closure", "q_flag", "pass_index", "source_pass_index"]]


def swapped(seen: pd.DataFrame, truth: Truth, ids: pd.Index) -> int:
    """Parcels whose last position is where another parcel truly is."""
    count = 0
    birth = seen.sort_values("time").groupby("parcel_id").first()
    last = seen.sort_values("time").groupby("parcel_id").last().loc[ids]
    xy, time = birth.loc[ids, ["x", "y"]].to_numpy(float), birth.loc[ids, "time"].to_numpy(float)
    for _, rows in last.groupby("pass_index"):
        true = truth.position(xy, time, np.full(len(ids), rows["time"].mean()))
        for name, row in rows.iterrows():
            distance = np.hypot(true[:, 0] - row["x"], true[:, 1] - row["y"])
            own = ids.get_loc(name)
            # Two parcels that are truly together cannot be told apart by position.
            count += int(distance[own] > 1000 and np.nanmin(distance) < 500)
    return count


def near_another(birth: pd.DataFrame, parcels: pd.DataFrame, truth: Truth) -> np.ndarray:
    """Whether each parcel was truly close to another when it ended."""
    xy, time = birth[["x", "y"]].to_numpy(float), birth["time"].to_numpy(float)
    deaths = parcels.loc[birth.index, "death_time"].to_numpy(float)
    close = np.zeros(len(birth), bool)
    for row in np.flatnonzero(np.isfinite(deaths)):
        true = truth.position(xy, time, np.full(len(xy), deaths[row]))
        distance = np.hypot(*(true - true[row]).T)
        distance[row] = np.inf
        close[row] = np.nanmin(distance) < 1.1 * ParcelSettings().merge_distance
    return close


def told_what_was_shown(seen: pd.DataFrame, parcels: pd.DataFrame, left: Truth) -> pd.Series:
    """Whether of each parcel that ended unseen it is rightly told whether images showed its ice.

    Where the ice was within ``EDGE`` of the edge of an image at best, either is right. Those born
    in open water are left out.
    """
    last = seen.sort_values("time").groupby("parcel_id").last()
    reasons = parcels.loc[last.index, "end_reason"]
    last = last[reasons.isin((EndReason.LOST, EndReason.NOT_COVERED))]
    xy, time = last[["x", "y"]].to_numpy(float), last["time"].to_numpy(float)
    last = last[np.isfinite(left.position(xy, time, time)).all(axis=1)]
    xy, time = last[["x", "y"]].to_numpy(float), last["time"].to_numpy(float)
    well, at_all = (left.sightings(xy, time, inset) for inset in (EDGE, -EDGE))
    age = well.time - time[:, None]
    due = (age >= SHORTEST_INTERVAL) & (age <= LONGEST_GAP)
    shown = (due & well.inside & well.on_top).any(axis=1)
    hidden = ~(due & at_all.inside).any(axis=1)
    lost = reasons[last.index].to_numpy() == EndReason.LOST
    return pd.Series(np.where(lost, ~hidden, ~shown), index=last.index)


def tell(what: str, value: object, asked: str) -> None:
    """Print a figure."""
    values = np.atleast_1d(np.asarray(value, float))
    text = ", ".join(f"{one:.4g}" for one in values)
    sys.stdout.write(f"{what:55s} {text:>18s}   {asked}\n")
    sys.stdout.flush()


def main() -> None:
    """Simulate, tamper, track, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--area", type=float, default=100.0)
    parser.add_argument("--spacing", type=float, default=5000.0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    archive, scenes = given.folder / "archive", given.folder / "scenes"
    workspace = given.folder / "workspace"
    if not (archive / TRUTH_NAME).exists():
        simulate_archive(archive, given.days, given.seed, BEGIN, given.area, 80.0, format="safe")
    for folder in (scenes, workspace):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(archive, scenes)
    tampered = tamper(scenes, given.seed)
    settings = Settings(parcels=ParcelSettings(spacing=given.spacing))
    count, unreadable = workflow.seed(workspace, BEGIN, scenes=[scenes], settings=settings)
    end = BEGIN + timedelta(days=given.days)
    options = workflow.Options(Workers(given.workers), products=False)
    outcome = workflow.advance(workspace, until=end, options=options)
    if outcome.report is not None:
        sys.stdout.write(outcome.report.with_suffix(".txt").read_text())
    tell("passes taken away, with a corrupt scene", [tampered.removed, tampered.corrupt], "")
    tell("scenes told as unreadable", len(unreadable) + len(outcome.failed), "3")
    tell("parcels seeded", count, "")
    truth = load_truth(archive / TRUTH_NAME)
    score(workspace, truth, seen_by(truth, tampered.whole), to_seconds(end))


if __name__ == "__main__":
    main()
