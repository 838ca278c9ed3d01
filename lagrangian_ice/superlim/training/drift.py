"""Training pairs from real scenes and sparse vectors of known drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.settings import ImageSettings
from lagrangian_ice.superlim.features import rowcol_to_cell
from lagrangian_ice.superlim.scaling import Pixels
from lagrangian_ice.tables import read_table

LEAST_VECTORS = 8
"""Vectors that a view must hold, and a pair in all."""
MOST_VECTORS = 256
"""Vectors of one view that are used."""
LEAST_VALID = 0.75
TRIES = 50
MOST_TURNED = 30.0
"""Degrees that the target view is turned by on top of what the ice did."""
TRACKED = "tracked"


@dataclass(frozen=True)
class DriftPair:
    """Two scenes on map grids and where the same ice is in both.

    Attributes
    ----------
    source, target : (rows, cols) float32
        dB or grey levels; NaN is no data.
    source_rowcol, target_rowcol : (N, 2) float64
        Pixels.
    """

    source: Pixels
    target: Pixels
    source_rowcol: Float
    target_rowcol: Float


@dataclass(frozen=True)
class DriftViews:
    """Two views of one pair.

    Attributes
    ----------
    source, target : (size, size) float32
        Not scaled; NaN is no data.
    source_cells, target_cells : (N, 2) float32
        Row, column in cells; 8 to 256 vectors.
    rotation : float
        Degrees counter-clockwise by which the target's view was turned.
    """

    source: Pixels
    target: Pixels
    source_cells: NDArray[np.float32]
    target_cells: NDArray[np.float32]
    rotation: float


def read_drift_pair(
    scenes: tuple[Path, Path], vectors: Path, pixel: float, settings: ImageSettings
) -> DriftPair:
    """Geocode two scenes and read the vectors between them.

    Parameters
    ----------
    scenes : tuple of two Path
        Source and target, as the readers open them; the co-polarised band is used.
    vectors : Path
        CSV with columns ``x0,y0,x1,y1`` (EPSG:3413 metres). Where it has a column ``status``,
        as ``track`` writes it, only rows ``tracked`` count.
    pixel : float
        Metres.
    settings : ImageSettings
        Of the geocoding.

    Raises
    ------
    ProductError
        If the CSV cannot be read, lacks a column or has fewer than 8 vectors between places
        inside the scenes.
    SceneError
        If a scene cannot be read.
    """
    table = _read_vectors(vectors)
    images = [geocode_pass([open_scene(path)], pixel, settings) for path in scenes]
    ends = (table[["x0", "y0"]].to_numpy(np.float64), table[["x1", "y1"]].to_numpy(np.float64))
    inside = images[0].grid.contains(ends[0]) & images[1].grid.contains(ends[1])
    if inside.sum() < LEAST_VECTORS:
        raise ProductError(
            f"{vectors}: {int(inside.sum())} vectors lie inside {scenes[0]} and {scenes[1]}; "
            f"{LEAST_VECTORS} are needed"
        )
    rowcols = [image.grid.rowcol(end[inside]) for image, end in zip(images, ends, strict=True)]
    return DriftPair(_band(images[0]), _band(images[1]), *rowcols)


def _band(image: GeoImage) -> Pixels:
    band = image.band(image.co_polarised_first[0])
    return np.where(image.land, np.float32(np.nan), band)


def _read_vectors(path: Path) -> pd.DataFrame:
    table = read_table(path)
    missing = [name for name in ("x0", "y0", "x1", "y1") if name not in table]
    if missing:
        raise ProductError(f"{path}: has no column {', '.join(missing)}")
    if "status" in table:
        table = table[table["status"] == TRACKED]
    numbers = table[["x0", "y0", "x1", "y1"]].apply(pd.to_numeric, errors="coerce")
    finite = np.isfinite(numbers.to_numpy(np.float64)).all(axis=1)
    return pd.DataFrame(numbers[finite])


def drift_views(pairs: Sequence[DriftPair], size: int, rng: np.random.Generator) -> DriftViews:
    """Cut views around one vector; the target's is turned half of the time.

    Parameters
    ----------
    pairs : sequence of DriftPair
        Chosen in proportion to their vectors.
    size : int
        Pixels per side.
    rng : Generator
        Everything random comes from it.

    Raises
    ------
    ProductError
        If no place was found where both views have data and at least 8 vectors.
    """
    weight = np.array([len(pair.source_rowcol) for pair in pairs], dtype=np.float64)
    for _ in range(TRIES):
        views = _cut(pairs[rng.choice(len(pairs), p=weight / weight.sum())], size, rng)
        full = all(np.isfinite(v).mean() >= LEAST_VALID for v in (views.source, views.target))
        if full and len(views.source_cells) >= LEAST_VECTORS:
            return views
    raise ProductError(
        f"no views of {size} px with data and {LEAST_VECTORS} vectors were found in {TRIES} "
        "tries; give denser vectors or a larger --size"
    )


def _cut(pair: DriftPair, size: int, rng: np.random.Generator) -> DriftViews:
    chosen = int(rng.integers(len(pair.source_rowcol)))
    angle = np.radians(rng.uniform(-MOST_TURNED, MOST_TURNED)) if rng.random() < 0.5 else 0.0
    # Whole pixels, so that a view that is not turned is not interpolated.
    centres = [
        np.rint(rowcol[chosen] + rng.uniform(-share, share, 2) * size)
        for rowcol, share in ((pair.source_rowcol, 0.25), (pair.target_rowcol, 0.35))
    ]
    source, source_at = _view(pair.source, centres[0], 0.0, size, pair.source_rowcol)
    target, target_at = _view(pair.target, centres[1], angle, size, pair.target_rowcol)
    inside = np.ones(len(source_at), dtype=bool)
    for at in (source_at, target_at):
        inside &= ((at >= 4) & (at <= size - 5)).all(axis=1)
    kept = np.flatnonzero(inside)
    if len(kept) > MOST_VECTORS:
        kept = rng.choice(kept, MOST_VECTORS, replace=False)
    cells = tuple(rowcol_to_cell(at[kept]).astype(np.float32) for at in (source_at, target_at))
    # A view of pixels turned clockwise shows the ice turned the other way.
    return DriftViews(source, target, cells[0], cells[1], -float(np.degrees(angle)))


def _view(
    image: Pixels, centre: Float, angle: float, size: int, rowcol: Float
) -> tuple[Pixels, Float]:
    """View (size, size) around a place, turned by an angle, and where points (N, 2) lie in it."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = size // 2
    steps = np.arange(size) - middle
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)
    at = (offsets @ turn.T + centre).astype(np.float32)
    view = cv2.remap(
        image,
        at[..., 1],
        at[..., 0],
        cv2.INTER_LINEAR if angle else cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=float("nan"),
    )
    return np.asarray(view, dtype=np.float32), (rowcol - centre) @ turn + middle
