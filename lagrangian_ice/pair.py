"""Tracking points from one scene to another, without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import ArrayLike

from lagrangian_ice.engine import Stopwatch, side_by_side
from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float
from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage, select_bands
from lagrangian_ice.matching.vectors import Vectors
from lagrangian_ice.points import grid_points
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.scenes.scene import Scene
from lagrangian_ice.settings import FeatureSettings, ImageSettings, Settings

if TYPE_CHECKING:
    from lagrangian_ice.superlim.features import Features
    from lagrangian_ice.superlim.network import SuperLIM

SceneLike = str | Path | Scene


def track_pair(
    source: SceneLike,
    target: SceneLike,
    xy: ArrayLike,
    settings: Settings | None = None,
    *,
    polarisation: str | None = None,
    refine: bool = True,
    own_pixel: bool = True,
    stopwatch: Stopwatch | None = None,
) -> Vectors:
    """Displacements of points between two scenes.

    Parameters
    ----------
    source, target : path or Scene
        Any two scenes that overlap.
    xy : (N, 2) array_like
        Points in the source, EPSG:3413 metres.
    settings : Settings, optional
        Of all stages; the defaults if left out.
    polarisation : str, optional
        Track this band alone; all that both scenes have by default.
    refine : bool
        False gives the network's first guess alone, without cross-correlation.
    own_pixel : bool
        Work at the scenes' own pixel where it is coarser than ``images.pixel``.
    stopwatch : Stopwatch, optional
        Takes the seconds of each stage.

    Returns
    -------
    Vectors
        One for each point, in the same order.

    Raises
    ------
    SceneError
        If a scene cannot be read, the two do not overlap or have no common polarisation.
    ValueError
        If ``xy`` is not (N, 2) and finite.
    """
    points = _checked_points(xy)
    settings = settings or Settings()
    watch = stopwatch or Stopwatch()
    scenes = (as_scene(source), as_scene(target))
    check_overlap(*scenes)
    bands = common_polarisations(*scenes, polarisation=polarisation)
    pixel = settings.images.pixel
    pixel = working_pixel(scenes, pixel) if own_pixel else pixel
    with watch.stage("geocode"):
        images = _geocoded(scenes, pixel, settings.images, bands)
    # Only now: torch loads while the scenes are read, if the caller has begun it.
    from lagrangian_ice.matching.match import match_images
    from lagrangian_ice.superlim.extract import extract_features
    from lagrangian_ice.superlim.weights_store import load_network

    with watch.stage("weights"):
        network = load_network(settings.features.weights)
    with watch.stage("features"):
        features = [
            extract_features(images[0], network, settings.features),
            _target_features(images[1], network, settings.features),
        ]
    with watch.stage("match"):
        return match_images(
            images[0],
            features[0],
            images[1],
            features[1],
            points,
            settings.first_guess,
            settings.mcc if refine else None,
        )


def _target_features(image: GeoImage, network: SuperLIM, settings: FeatureSettings) -> Features:
    """Features as if the ice had not turned."""
    from lagrangian_ice.superlim.extract import extract_features

    if not settings.rotation:
        return extract_features(image, network, settings)
    # Only here: it loads what else only the training needs.
    from lagrangian_ice.superlim.training.steering import turned_features

    return turned_features(image, network, settings, settings.rotation)


def _geocoded(
    scenes: Sequence[Scene], pixel: float, settings: ImageSettings, bands: Sequence[str]
) -> list[GeoImage]:
    """Images of both scenes, side by side: parts of the work have one thread only."""

    def image(scene: Scene) -> GeoImage:
        return select_bands(geocode_pass([scene], pixel, settings), bands)

    return side_by_side(image, scenes)


def as_scene(scene: SceneLike, time: datetime | None = None) -> Scene:
    """Open a path; a Scene is returned as it is."""
    return scene if isinstance(scene, Scene) else open_scene(Path(scene), time)


def shared_points(source: SceneLike, target: SceneLike, spacing: float) -> Float:
    """Grid of points (N, 2) inside the outlines of both scenes.

    Raises
    ------
    SceneError
        If the scenes do not overlap or no point lies inside.
    """
    scenes = (as_scene(source), as_scene(target))
    check_overlap(*scenes)
    area = scenes[0].footprint.intersection(scenes[1].footprint)
    points = grid_points(area.bounds, spacing)
    inside = shapely.contains_xy(area, points[:, 0], points[:, 1])
    if not inside.any():
        raise SceneError(f"spacing {spacing:g} m: no grid point lies inside both scenes")
    return points[inside]


def working_pixel(scenes: Sequence[Scene], pixel: float) -> float:
    """Pixel to track at, m: as asked for, or the scenes' own where that is coarser.

    Own pixels are rounded to whole metres, and one within 2 % of what is asked for counts
    as equal: a projected scene's mean pixel is rarely its nominal one.
    """
    coarsest = max(scene.pixel for scene in scenes)
    return float(pixel) if coarsest <= 1.02 * pixel else float(round(coarsest))


def common_polarisations(
    source: Scene, target: Scene, polarisation: str | None = None
) -> tuple[str, ...]:
    """Polarisations that both scenes have, in the source's order, or just the one asked for.

    Raises
    ------
    SceneError
        If there is none, or a scene lacks the one asked for.
    """
    wanted = source.polarisations if polarisation is None else (polarisation,)
    for scene in (source, target) if polarisation is not None else ():
        if polarisation not in scene.polarisations:
            raise SceneError(
                f"{scene.path}: has no polarisation {polarisation}, "
                f"only {', '.join(scene.polarisations)}"
            )
    common = tuple(name for name in wanted if name in target.polarisations)
    if not common:
        raise SceneError(
            f"{source.path} ({', '.join(source.polarisations)}) and {target.path} "
            f"({', '.join(target.polarisations)}) have no polarisation in common"
        )
    return common


def check_overlap(source: Scene, target: Scene) -> None:
    """Raise SceneError if the footprints have no area in common."""
    if source.footprint.intersection(target.footprint).area > 0:
        return
    distance = source.footprint.distance(target.footprint) / 1000
    raise SceneError(
        f"{source.path} and {target.path} do not overlap "
        f"({distance:.0f} km between their outlines); choose two scenes of the same ice"
    )


def _checked_points(xy: ArrayLike) -> Float:
    points = np.asarray(xy, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"xy has shape {points.shape}; it must be (N, 2), metres in EPSG:3413")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise ValueError(f"xy[{row}] = {points[row].tolist()} is not finite")
    return points
