"""One worker and two on the same archive: seconds, processor time, and whether they agree.

    python tests/benchmarks/bench_throughput.py FOLDER SCENES [--days 5] [--workers 1 2]

SCENES is an archive, such as ``lagrangian-ice simulate`` writes. Every run begins with an empty
cache, in a process of its own with one thread a worker, and says where its seconds went. To be run
on an idle machine. However many workers there are, the state must be the same.

At the end so many processes as there were workers do one and the same plain computation side by
side, which shows how many times as quick this machine lets independent work be: processors that
share a core or a power budget slow each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from kill_test import say, state

from lagrangian_ice.parcels.schema import DATABASE

PLAIN = """
import time, torch
torch.set_num_threads(1)
values, patches = torch.randn(600, 600), torch.randn(128, 5, 72, 72)
begun = time.perf_counter()
for _ in range(100):
    values @ values, torch.fft.rfft2(patches)
print(time.perf_counter() - begun)
"""


def plain(processes: int) -> float:
    """Seconds of a plain computation in the slowest of so many processes side by side."""
    words = [sys.executable, "-c", PLAIN]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(processes)]
    return max(float(one.communicate()[0]) for one in running)


def command(workspace: Path, *words: object) -> float:
    """Run a command line in a process of its own; wall seconds."""
    begun = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LAGRANGIAN_ICE_WORKSPACE": str(workspace)}
    code = "from lagrangian_ice.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, env=environment)
    return time.perf_counter() - begun


def processor() -> float:
    """Seconds that the processors of this machine have been busy, with whatever."""
    user, nice, system = Path("/proc/stat").read_text(encoding="ascii").split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def timed(workspace: Path, given: argparse.Namespace, workers: int) -> float:
    """Seed and advance a new workspace; wall seconds of the advance."""
    first = ("--date", given.date, "--scenes", given.scenes, "--spacing", given.spacing)
    command(workspace, "seed", "-q", *first)
    before = processor()
    wall = command(workspace, "advance", "-q", "--days", given.days, "--workers", workers)
    busy = processor() - before
    (path,) = (workspace / "reports").glob("*.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    say(f"{workers} workers: {wall:.1f} s, {busy:.1f} s of all processors")
    say(f"  {len(report['passes'])} passes, {len(report['pairs'])} pairs")
    for stage, seconds in report["seconds"].items():
        say(f"  {seconds:8.1f}  {stage}")
    return wall


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--date", default="2021-01-01")
    parser.add_argument("--days", type=float, default=5.0)
    parser.add_argument("--spacing", type=float, default=5000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    seconds = {}
    for workers in given.workers:
        seconds[workers] = timed(given.folder / f"workers{workers}", given, workers)
    first, *others = sorted(given.workers)
    for workers in others:
        one, other = (state(given.folder / f"workers{count}") for count in (first, workers))
        differ = [name for name, rows in one.items() if rows != other[name]]
        quicker = seconds[first] / seconds[workers]
        plainly = workers / first * plain(first) / plain(workers)
        say(f"{workers} for {first}: {quicker:.2f} times as quick; plain work {plainly:.2f}")
        say(f"  {DATABASE}: {'the same' if not differ else f'differs in {differ}'}")


if __name__ == "__main__":
    main()
