"""SIGKILL at random instants: the state and the products must be those of an undisturbed run.

    python tests/benchmarks/kill_test.py FOLDER [--kills 60] [--workers 1] [--seed 1]

Fourteen passes of noise whose motion is known (images, features, state and products are real, the
matching alone is told). Runs are killed and started again until they come to their end, then
compared; new ones begin until there were so many kills.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
import numpy as np
import small_archive as small

from lagrangian_ice.parcels.schema import DATABASE

PASSES = {3 + 11 * number: (0, 10, -10, 5)[number % 4] for number in range(14)}
DAYS = 7


def advance(workspace: Path, workers: int) -> None:
    """Advance in this process, with the motion told."""
    small.tell_motion()
    code = small.command(workspace, "advance", "--until", "2021-01-08", "--workers", workers)
    sys.exit(code)


def state(workspace: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with sqlite3.connect(workspace / DATABASE) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        rows = {}
        for name in names:
            query = f"SELECT * FROM {name} ORDER BY 1, 2"  # noqa: S608
            rows[name] = db.execute(query).fetchall()
    db.close()
    return rows


def killed_run(folder: Path, workers: int, longest: float, rng: np.random.Generator) -> int:
    """Kill a run until it comes to its end; how often."""
    kills = 0
    while True:
        child = small.begun(advance, folder, workers)
        child.join(rng.uniform(0.0, longest))
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        if child.exitcode == 0:
            return kills
        if child.exitcode != -signal.SIGKILL:
            raise SystemExit(f"a run that was started again ended with {child.exitcode}")
        kills += 1
        # Mostly early and in the middle; now and then at the very end.
        longest *= 1.1


def compare(whole: Path, killed: Path) -> None:
    """Stop at the first difference."""
    for name, rows in state(whole).items():
        if state(killed)[name] != rows:
            raise SystemExit(f"{killed}: table {name} differs")
    small.assert_same_products(whole, killed)
    left = [path for path in killed.rglob("*") if path.name.endswith(".part")]
    kept = [
        sorted(path.name for path in (folder / "templates").iterdir()) for folder in (whole, killed)
    ]
    if left or kept[0] != kept[1]:
        raise SystemExit(f"{killed}: {left or kept} is left")


def main() -> None:
    """Kill and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    small.PASSES = PASSES
    archive = given.folder / "scenes"
    small.write_archive(archive)
    whole = small.seeded(given.folder / "whole", archive)
    begun = time.perf_counter()
    child = small.begun(advance, whole, given.workers)
    child.join()
    spent = time.perf_counter() - begun
    say(f"undisturbed: exit {child.exitcode}, {spent:.1f} s, {len(state(whole)['passes'])} passes")
    rng, kills, runs = np.random.default_rng(given.seed), 0, 0
    while kills < given.kills:
        folder = small.seeded(given.folder / f"killed{runs}", archive)
        kills += killed_run(folder, given.workers, spent / 2, rng)
        compare(whole, folder)
        runs += 1
        say(f"{runs} runs, {kills} kills, all the same")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
