"""The command that tracks one pair of scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lagrangian_ice.cli.common import A_NUMBER, A_PATH, Env, changed, check_writable, common
from lagrangian_ice.files import write_text

if TYPE_CHECKING:
    from datetime import datetime

    from lagrangian_ice.scenes.scene import Scene


@click.command()
@click.argument("source", type=A_PATH)
@click.argument("target", type=A_PATH)
@click.option(
    "--points",
    type=A_PATH,
    help="CSV with columns x,y (EPSG:3413 metres) or lon,lat.",
)
@click.option("--spacing", type=A_NUMBER, help="Track a grid of points this many metres apart.")
@click.option("--out", required=True, type=A_PATH, help="FILE.csv or FILE.nc.")
@click.option("--pixel", type=A_NUMBER, help="Working grid, metres.")
@click.option("--polarisation", help="Track this band alone.")
@click.option("--max-speed", type=A_NUMBER, help="Fastest ice, m/s.")
@click.option("--weights", help="Name from `weights list`, or a file.")
@click.option(
    "--rotation",
    type=A_NUMBER,
    help="Degrees counter-clockwise by which the ice is thought to have turned.",
)
@click.option("--no-refine", is_flag=True, help="The network's first guess alone.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where the network runs.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the numeric libraries.")
@click.option("--timings", type=A_PATH, help="Seconds of each stage, as JSON.")
@click.option("--times", help="UTC times of source and target, T0,T1, where files have none.")
@common
def track(
    env: Env,
    source: Path,
    target: Path,
    points: Path | None,
    spacing: float | None,
    out: Path,
    pixel: float | None,
    polarisation: str | None,
    max_speed: float | None,
    weights: str | None,
    rotation: float | None,
    no_refine: bool,
    device: str | None,
    threads: int | None,
    timings: Path | None,
    times: str | None,
) -> None:
    """Track points from SOURCE to TARGET, any two scenes."""
    if (points is None) == (spacing is None):
        raise click.UsageError("give either --points FILE.csv or --spacing METRES")
    if out.suffix.lower() not in (".csv", ".nc"):
        raise click.UsageError(f"--out {out}: the name must end in .csv or .nc")
    from lagrangian_ice.engine import Stopwatch, import_ahead, limit_threads

    if threads is not None:
        limit_threads(threads)
    settings = changed(
        env.settings(),
        {
            "images.pixel": pixel,
            "first_guess.max_speed": max_speed,
            "features.weights": weights,
            "features.device": device,
            "features.rotation": rotation,
        },
    )
    start, stop = pair_times(times)
    from lagrangian_ice.superlim.weights_files import find_weights

    network = find_weights(settings.features.weights)
    inputs = (source, target, points, env.config, network)
    check_writable(out, *inputs)
    if timings is not None:
        check_writable(timings, *inputs, out)
    from lagrangian_ice.points import read_points, write_vectors_csv

    given = None if points is None else read_points(points)
    from lagrangian_ice import pair as pairs

    # Not sooner: two threads that import share one core, while geocoding keeps the other busy.
    import_ahead("torch")
    watch = Stopwatch()
    with watch.stage("open"):
        pair = (pairs.as_scene(source, start), pairs.as_scene(target, stop))
    xy = pairs.shared_points(*pair, spacing or 0) if given is None else given
    vectors = pairs.track_pair(
        *pair,
        xy,
        settings,
        polarisation=polarisation,
        refine=not no_refine,
        stopwatch=watch,
        own_pixel=pixel is None,
    )
    if pixel is None:
        own = pairs.working_pixel(pair, settings.images.pixel)
        settings = changed(settings, {"images.pixel": own})
    with watch.stage("write"):
        if out.suffix.lower() == ".csv":
            write_vectors_csv(out, vectors)
        else:
            from lagrangian_ice.output.one_pair import write_vectors_nc

            write_vectors_nc(
                out, vectors, settings, made_of(pair, network, polarisation, no_refine)
            )
    if timings is not None:
        write_text(timings, json.dumps(watch.report(), indent=1) + "\n")
    click.echo(f"{int(vectors.tracked.sum())} of {len(vectors)} points tracked; wrote {out}")


def pair_times(text: str | None) -> tuple[datetime | None, datetime | None]:
    """Two times from ``T0,T1``; back in time may be tracked too, but not from one to itself."""
    from lagrangian_ice.times import parse_utc

    if text is None:
        return None, None
    parts = text.split(",")
    if len(parts) != 2:
        raise click.UsageError(f"--times {text}: give two times, T0,T1")
    start, stop = parse_utc(parts[0]), parse_utc(parts[1])
    if start == stop:
        raise click.UsageError(f"--times {text}: source and target cannot be of one time")
    return start, stop


def made_of(
    pair: tuple[Scene, Scene], weights: Path, polarisation: str | None, no_refine: bool
) -> dict[str, str]:
    """Attributes of the NetCDF that tell what the vectors are made of, and how."""
    from lagrangian_ice.pair import common_polarisations
    from lagrangian_ice.superlim.weights_files import sha256_of

    return {
        "scene_ids": ",".join(scene.id for scene in pair),
        "weights_sha256": sha256_of(weights),
        "polarisations": ",".join(common_polarisations(*pair, polarisation=polarisation)),
        "refinement": "none: first guess alone" if no_refine else "cross-correlation",
    }
