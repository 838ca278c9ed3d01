"""Seconds and memory from a full EW product to geocoded HH and HV, beside GDAL's warp.

    python tests/benchmarks/bench_geocode.py [folder] [threads]

The product (10,400 x 9,900 pixels, both polarisations) is simulated into the folder, a temporary
one by default, where it is kept and used again. Every run is a process of its own, best of three.
GDAL warps the digital numbers through the product's own control points (thin-plate spline,
average): no calibration, no noise, no land, no trend. The points are given in longitude and
latitude, as the product has them, and in EPSG:3413, which is the quicker and timed. Positions are
compared with those that the simulator defined.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import GCPTransformer
from rasterio.warp import reproject, transform

ROWS, COLS, PIXEL = 10_400, 9_900, 40.0
RUNS = 3


def swath():
    """Geometry of the scene."""
    from lagrangian_ice.simulate.radar_swath import plan_radar_swath

    size = (ROWS * PIXEL, COLS * PIXEL)
    return plan_radar_swath((-150.0, 80.0), 1609459200.0, False, 19.5, size, PIXEL)


def make_scene(folder: Path) -> Path:
    """Write the product, or find it."""
    from lagrangian_ice.simulate.render import Radar
    from lagrangian_ice.simulate.safe import write_safe
    from lagrangian_ice.simulate.safe_frame import SafeFrame
    from lagrangian_ice.simulate.texture import power_law_noise

    found = sorted(folder.glob("*.SAFE"))
    if found:
        return found[0]
    rng = np.random.default_rng(0)
    plan = swath()
    radar = Radar.extra_wide(PIXEL)
    ice, _ = power_law_noise((1024, 1024), rng, 1.0)
    tiles = np.tile(2 * ice, (-(-ROWS // 1024), -(-COLS // 1024)))[:ROWS, :COLS]
    levels = np.array([-14.0, -25.0], dtype=np.float32)[:, None, None]
    sigma0 = radar.backscatter(levels + tiles, plan.incidence)
    speckle = radar.draw_speckle(sigma0.shape, rng)
    return write_safe(folder, SafeFrame(plan, "S1A", 36000, 0x43210), sigma0, speckle)


def ours(path: Path, out: Path) -> dict[str, float]:
    """Geocode both polarisations with the package."""
    from lagrangian_ice.images.geocode import geocode_pass
    from lagrangian_ice.scenes.reader import open_scene
    from lagrangian_ice.settings import ImageSettings

    begin, cpu = time.perf_counter(), time.process_time()
    image = geocode_pass([open_scene(path)], 100.0, ImageSettings())
    taken = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if out.name != "-":
        np.save(out, image.data)
    return taken | {"pixels": int(np.isfinite(image.data).sum())}


def gdal(path: Path, crs: str) -> dict[str, float]:
    """Warp both polarisations with GDAL's thin-plate spline to the same map grid."""
    from lagrangian_ice.grid import Grid
    from lagrangian_ice.scenes.reader import open_scene

    grid = Grid.covering(open_scene(path).footprint.bounds, 100.0)
    to_map = Affine(100.0, 0, grid.bounds[0], 0, -100.0, grid.bounds[3])
    begin, cpu = time.perf_counter(), time.process_time()
    seen = 0
    for name in sorted((path / "measurement").glob("*.tiff")):
        warped = np.zeros(grid.shape, dtype=np.uint16)
        with rasterio.open(name) as source:
            reproject(
                source.read(1),
                warped,
                gcps=control_points(source, crs),
                src_crs=CRS.from_string(crs),
                dst_crs=CRS.from_epsg(3413),
                dst_transform=to_map,
                src_nodata=0,
                dst_nodata=0,
                resampling=Resampling.average,
                num_threads=int(os.environ["OMP_NUM_THREADS"]),
                SRC_METHOD="GCP_TPS",
            )
        seen += int(np.count_nonzero(warped))
    taken = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    return taken | {"pixels": seen}


def control_points(source, crs: str) -> list[GroundControlPoint]:
    """Points of the product, their positions in a CRS."""
    points = source.gcps[0]
    x, y = transform("EPSG:4326", crs, [p.x for p in points], [p.y for p in points])
    return [GroundControlPoint(p.row, p.col, a, b) for p, a, b in zip(points, x, y, strict=True)]


def errors(path: Path) -> dict[str, dict[str, float]]:
    """Mean and largest distance of pixel centres from where the simulator put them, metres."""
    from lagrangian_ice.scenes.reader import open_scene, read_georeference

    rowcol = np.random.default_rng(1).uniform(0, [ROWS - 1, COLS - 1], (20_000, 2))
    truth = swath().xy(rowcol)
    found = {"ours": read_georeference(open_scene(path)).xy(rowcol)}
    with rasterio.open(next((path / "measurement").glob("*-001.tiff"))) as source:
        for crs in ("EPSG:4326", "EPSG:3413"):
            with GCPTransformer(control_points(source, crs), tps=True) as transformer:
                # to GDAL a control point at a whole number is at the corner of the pixel
                x, y = transformer.xy(*rowcol.T, offset="ul")
            found[f"GDAL {crs}"] = np.stack(transform(crs, "EPSG:3413", x, y), axis=-1)
    distance = {name: np.hypot(*(xy - truth).T) for name, xy in found.items()}
    return {name: {"mean": d.mean(), "max": d.max()} for name, d in distance.items()}


def run(name: str, path: Path, out: str = "-") -> dict[str, float]:
    """Run one of them in a process of its own, the best of several times."""
    command = [sys.executable, __file__, f"--{name}", str(path), out]
    results = []
    for _ in range(RUNS):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return min(results, key=lambda result: result["seconds"])


def main() -> None:
    """Print seconds, memory and errors of all, and the ratio."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()) / "bench_safe"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = sys.argv[2] if len(sys.argv) > 2 else "2"
    path = make_scene(folder)
    distance = errors(path)
    results = {name: run(name, path) for name in ("ours", "GDAL EPSG:3413")}
    for name, result in results.items():
        print(
            f"{name:<15} {result['seconds']:6.2f} s ({result['cpu']:.2f} s of processor), "
            f"{result['peak_gb']:.2f} GB, {result['pixels'] * 1e-6:.1f} million map pixels"
        )
    for name, d in distance.items():
        print(f"{name:<15} position mean {d['mean']:.4f} m, max {d['max']:.4f} m")
    ratio = results["GDAL EPSG:3413"]["seconds"] / results["ours"]["seconds"]
    print(f"GDAL takes {ratio:.1f} times as long")


def worker(name: str, path: Path, out: str) -> None:
    """Do one run and print its figures."""
    from lagrangian_ice.engine import peak_memory_mib

    kind, _, crs = name.removeprefix("--").partition(" ")
    result = ours(path, Path(out)) if kind == "ours" else gdal(path, crs)
    result["peak_gb"] = peak_memory_mib() / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("--"):
        worker(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    else:
        main()
