"""Seconds of the refinement beside a loop of OpenCV's matchTemplate, in one run.

    python tests/benchmarks/bench_refine.py [points] [pixels]

The loop does less: whole pixels, the same rotations, no error. Prints seconds and the ratio.
"""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np
import torch

from lagrangian_ice.matching.refine import Bands, refine
from lagrangian_ice.settings import MccSettings
from lagrangian_ice.simulate.texture import ice_texture


def make_pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Ice and the same ice moved by (5, -7) pixels, each with its own noise."""
    rng = np.random.default_rng(0)
    ice = ice_texture((side + 16, side + 16), rng)
    first, second = ice[8:-8, 8:-8], ice[3:-13, 15:-1]
    return tuple(
        (view + rng.normal(0, 1.0, view.shape)).astype(np.float32) for view in (first, second)
    )


def opencv_loop(
    source: np.ndarray, target: np.ndarray, start: np.ndarray, settings: MccSettings
) -> np.ndarray:
    """Whole-pixel peaks (N, 2) of the best rotation, one matchTemplate a point and rotation."""
    half, radius = settings.half_width, settings.search_radius
    peaks = np.empty_like(start)
    for k, (row, col) in enumerate(np.rint(start).astype(int)):
        window = target[
            row - half - radius : row + half + radius + 1,
            col - half - radius : col + half + radius + 1,
        ]
        best = -2.0
        for angle in settings.rotations:
            turn = cv2.getRotationMatrix2D((float(col), float(row)), angle, 1.0)
            turn[:, 2] -= [col - half, row - half]
            side = 2 * half + 1
            template = cv2.warpAffine(source, turn, (side, side), flags=cv2.INTER_CUBIC)
            scores = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
            if scores.max() > best:
                best = float(scores.max())
                at = np.unravel_index(scores.argmax(), scores.shape)
                peaks[k] = [row + at[0] - radius, col + at[1] - radius]
    return peaks


def main() -> None:
    """Time both and print the ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1600
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    settings = MccSettings()
    source, target = make_pair(side)
    rng = np.random.default_rng(1)
    start = rng.uniform(60, side - 60, (count, 2))
    truth = start + np.array([5.0, -7.0])
    places = (start[:128], truth[:128], np.zeros(128))

    begin = time.perf_counter()
    bands = Bands.prepare(source, target, places)
    prepared = time.perf_counter()
    found = refine(bands, start, start, np.full(count, 2.0), np.zeros(count), settings)
    ours = time.perf_counter()
    loop = opencv_loop(source, target, start, settings)
    theirs = time.perf_counter()

    for name, position in (("refine", found.position), ("matchTemplate loop", loop)):
        error = np.hypot(*(position - truth).T)
        print(f"{name}: median error {np.median(error):.3f} px")
    print(
        f"{torch.get_num_threads()} threads, {count} points, {side} x {side} px: "
        f"prepare {prepared - begin:.2f} s, refine {ours - prepared:.2f} s, "
        f"loop {theirs - ours:.2f} s, ratio {(ours - begin) / (theirs - ours):.2f}"
    )


if __name__ == "__main__":
    main()
