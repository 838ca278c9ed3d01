"""The main job from nothing: an archive of known motion, tracked, drawn and scored."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lagrangian_ice import workflow
from lagrangian_ice.engine import Workers
from lagrangian_ice.errors import ProductError, WorkspaceError
from lagrangian_ice.parcels.schema import DATABASE
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.plots.figures import (
    plot_coverage,
    plot_deformation,
    plot_drift,
    plot_trajectories,
)
from lagrangian_ice.scenes.passes import Pass
from lagrangian_ice.settings import Settings
from lagrangian_ice.simulate.archive import ArchiveSettings, plan_archive, write_archive
from lagrangian_ice.simulate.truth import TRUTH_NAME, load_truth
from lagrangian_ice.times import SECONDS_PER_DAY, from_seconds, to_seconds
from lagrangian_ice.validation.truth import TruthScore, score_trajectories

log = logging.getLogger(__name__)

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
SCENES, PLOTS = "scenes", "plots"
PIXEL = 80.0
"""Of the simulated products, metres; twice a real one's, for a quarter of the time."""


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes
    ----------
    products, plots : tuple of Path
        Files.
    score : TruthScore
        Distance to the truth.
    """

    products: tuple[Path, ...]
    plots: tuple[Path, ...]
    score: TruthScore


def run_demo(
    directory: Path,
    settings: Settings,
    *,
    days: float = 3.0,
    seed: int = 1,
    area_km: float = 120.0,
    workers: int = 1,
    told: Callable[[str], None] = log.info,
    progress: Callable[[Sequence[Pass]], Iterable[Pass]] = iter,
) -> Demo:
    """Simulate, seed, advance, draw and score; what is there already is not made again.

    Parameters
    ----------
    directory : Path
        Workspace of the demo; the archive goes into its folder ``scenes``.
    settings : Settings
        Of all stages.
    days, seed, area_km : float, int, float
        Of the archive.
    workers : int
        Processes.
    told : callable
        Gets one line for each step.
    progress : callable
        Wraps the list of passes for a progress bar.

    Raises
    ------
    WorkspaceError
        If the directory cannot be written or holds something else: a workspace of other scenes,
        or a demo of another seed or area, or of fewer days.
    """
    archive = directory / SCENES
    clock = _clock(directory)
    if clock is not None:
        _check_settings(directory, settings)
    _make_archive(archive, days, seed, area_km, told)
    if clock is None:
        count, _ = workflow.seed(directory, BEGIN, scenes=[archive], settings=settings)
        told(f"seeded {count} parcels, {settings.parcels.spacing:g} m apart")
    told("following them from pass to pass")
    end = to_seconds(BEGIN) + days * SECONDS_PER_DAY
    # A demo of more days has come further already.
    until = from_seconds(end if clock is None else max(end, clock))
    options = workflow.Options(Workers(workers), progress)
    outcome = workflow.advance(directory, until=until, options=options)
    trajectories, deformation, drift = outcome.products[:3]
    told("drawing")
    folder = directory / PLOTS
    folder.mkdir(exist_ok=True)
    plots = [
        plot_trajectories(trajectories, folder / "trajectories.png"),
        plot_drift(drift, folder / "drift.png"),
        plot_coverage(trajectories, folder / "coverage.png"),
    ]
    try:
        plots.append(plot_deformation(deformation, folder / "deformation.png"))
    except ProductError as error:
        # Few days of little ice have no triangle.
        told(str(error))
    told("comparing with the truth")
    truth = load_truth(archive / TRUTH_NAME)
    return Demo(
        outcome.products, tuple(plots), score_trajectories(trajectories, truth, deformation)
    )


def _clock(directory: Path) -> float | None:
    """Until when an earlier demo has come, seconds since 1970; None where it has no parcels."""
    if not (directory / DATABASE).exists():
        return None
    if not (directory / SCENES / TRUTH_NAME).exists():
        raise WorkspaceError(
            f"{directory}: is a workspace of other scenes; choose another folder for the demo"
        )
    with Store(directory) as store:
        return store.clock


def _check_settings(directory: Path, settings: Settings) -> None:
    """Refuse other settings than those that a demo was begun with."""
    with Store(directory) as store:
        kept = store.recalled_settings()
        if workflow.chosen_settings(store, settings) != kept:
            raise WorkspaceError(
                f"{directory}: holds a demo with other settings (parcels "
                f"{kept.parcels.spacing:g} m apart); give the same --spacing and --config, or "
                "choose another folder for this demo"
            )


def _make_archive(
    archive: Path, days: float, seed: int, area_km: float, told: Callable[[str], None]
) -> None:
    settings = ArchiveSettings(area_km=area_km, pixel=PIXEL, format="safe")
    if (archive / TRUTH_NAME).exists():
        _check_archive(archive, days, seed, settings)
        told(f"using the archive in {archive}")
        return
    if archive.exists() and any(archive.iterdir()):
        raise WorkspaceError(
            f"{archive}: holds something that is no finished archive; remove it or choose "
            "another folder for the demo"
        )
    told(f"simulating {days:g} days of passes over {area_km:g} km of drifting ice")
    # One that was stopped on the way is begun anew.
    unfinished = archive.with_name(f".{archive.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for path, done, total in write_archive(unfinished, days, seed, BEGIN, settings):
        log.info("scene %d of %d: %s", done, total, path.name)
    unfinished.replace(archive)


def _check_archive(archive: Path, days: float, seed: int, settings: ArchiveSettings) -> None:
    truth = load_truth(archive / TRUTH_NAME)
    wanted, _ = plan_archive(days, seed, BEGIN, settings)
    # Where the plates are depends on seed and area alone.
    same_ice = np.array_equal(truth.motion.centres, wanted.motion.centres)
    if not same_ice or len(truth.swaths) < len(wanted.swaths):
        raise WorkspaceError(
            f"{archive}: was simulated with another --seed or --area, or for fewer --days; "
            "choose another folder for this demo"
        )


def score_lines(score: TruthScore) -> list[str]:
    """Say the score in lines for people."""
    per_day = SECONDS_PER_DAY
    return [
        f"parcels                    {score.parcels}, seen {score.observations} times after birth",
        f"distance to the truth      median {score.median_distance:.0f} m, "
        f"90th percentile {score.p90_distance:.0f} m, "
        f"{100 * score.share_wrong:.1f} % more than 1 km off",
        f"kept alive                 {100 * score.share_kept:.0f} % of the {score.observable} "
        "parcels that could be seen all the time",
        f"strain-rate error (median) divergence {score.divergence_error * per_day:.4f} /day, "
        f"shear {score.shear_error * per_day:.4f} /day, on {score.triangles} triangles whose "
        f"true deformation is {score.true_deformation * per_day:.4f} /day",
    ]
