"""Seconds and memory of feature extraction, beside the published topology in plain torch.

    python tests/benchmarks/bench_features.py [pixels] [weights]

The baseline is what torch does with the published topology, tile after tile with a halo of
48 pixels; its weights are drawn at random, which changes no time. Prints processor and wall
seconds (best of three) and the share of the processor's speed in a matrix product that was
reached.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from lagrangian_ice.engine import limit_threads, peak_memory_mib, thread_count
from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.network import PUBLISHED, SuperLIM, Topology
from lagrangian_ice.superlim.weights_store import load_network

TILE, HALO = 768, 48


def make_image(side: int) -> GeoImage:
    """HH and HV of noise, full of data: the dearest case."""
    data = np.random.default_rng(0).normal(-14, 3, (2, side, side)).astype(np.float32)
    nodes = (-(-side // 32) + 1,) * 2
    return GeoImage(
        pass_id="p",
        scene_ids=("s",),
        grid=Grid(0.0, 0.0, 100.0, (side, side)),
        polarisations=("HH", "HV"),
        units="db",
        data=data,
        land=np.zeros((side, side), bool),
        node_time=np.zeros(nodes),
    )


def plain_torch(network: SuperLIM, image: GeoImage) -> None:
    """Run the network tile after tile, as it stands."""
    pixels = torch.from_numpy(image.data)[None]
    side = image.data.shape[1]
    with torch.inference_mode():
        for top in range(0, side, TILE):
            for left in range(0, side, TILE):
                rows, cols = (
                    slice(max(first - HALO, 0), min(first + TILE + HALO, side // 8 * 8))
                    for first in (top, left)
                )
                network(pixels[:, :, rows, cols])


def operations(topology: Topology) -> float:
    """Multiplications and additions a pixel."""
    widths = (topology.inputs, *topology.channels)
    count = sum(
        9 * (widths[i] + widths[i + 1]) * widths[i + 1] / 4**i for i in range(len(widths) - 1)
    )
    heads = ((topology.detector_width, 65), (topology.descriptor_width, 256))
    count += sum((9 * widths[-1] * width + width * last) / 64 for width, last in heads)
    return 2 * count


def matrix_speed() -> float:
    """Operations a second of a matrix product, all threads."""
    first = torch.rand(1024, 1024)
    spent = best(lambda: [first @ first for _ in range(8)])[0]
    return 8 * 2 * 1024**3 / spent


def best(function: Callable[[], object]) -> tuple[float, float]:
    """Least wall and processor seconds of three calls."""
    spent = []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        function()
        spent.append((time.perf_counter() - wall, time.process_time() - processor))
    walls, processors = zip(*spent, strict=True)
    return min(walls), min(processors)


def main() -> None:
    """Time both and print the ratio."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    limit_threads(thread_count())
    network = load_network(sys.argv[2] if len(sys.argv) > 2 else "default")
    image = make_image(side)
    before = peak_memory_mib()
    ours = best(lambda: extract_features(image, network, FeatureSettings()))
    peak = peak_memory_mib()
    published = SuperLIM(PUBLISHED).eval()
    folded = best(lambda: extract_features(image, published, FeatureSettings()))
    plain = best(lambda: plain_torch(published, image))
    print(f"{torch.get_num_threads()} threads, {side} x {side} px, wall / processor seconds")
    speed = matrix_speed()
    for name, spent, topology in (
        ("shipped topology", ours, network.topology),
        ("published topology, folded", folded, PUBLISHED),
        ("published topology, plain torch", plain, PUBLISHED),
    ):
        share = operations(topology) * side**2 / spent[0] / speed
        print(
            f"{name}: {spent[0]:.2f} / {spent[1]:.2f}, {plain[0] / spent[0]:.1f} times quicker, "
            f"{share:.2f} of the matrix product's speed"
        )
    print(f"peak memory {peak:.0f} MiB, {before:.0f} of them before")


if __name__ == "__main__":
    main()
