"""Drawn shapes with exact corners, for the base detector.

SuperPoint's shapes (lines, polygons, stars, checkerboards, ellipses), and those of ice: leads,
ridges and floes. Vertices are drawn with four fractional bits and labelled where they lie.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

from lagrangian_ice.superlim.scaling import Pixels

Points = NDArray[np.float64]
"""(N, 2) row, column."""

BITS = 4
"""Fractional bits of drawn vertices."""
APART = 6.0
"""Pixels that two corners are apart at least: closer ones no look can tell apart."""


def drawn_shape(size: int, rng: np.random.Generator) -> tuple[Pixels, Points]:
    """One image of a kind of shape drawn at random.

    Parameters
    ----------
    size : int
        Pixels per side.
    rng : Generator
        Everything random comes from it.

    Returns
    -------
    image : (size, size) float32
        Mean 0, standard deviation 1, without noise.
    corners : (N, 2) float64
        Row, column; all that can be told apart.
    """
    kind = KINDS[int(rng.integers(len(KINDS)))]
    canvas = _background(size, rng)
    corners = kind(canvas, rng)
    blurred = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.5, 1.2)))
    image = (blurred - blurred.mean()) / max(float(blurred.std()), 1e-3)
    return image.astype(np.float32), _apart(_inside(corners, size))


def _background(size: int, rng: np.random.Generator) -> Pixels:
    white = rng.normal(size=(size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), float(rng.uniform(size / 32, size / 4)))
    return np.asarray(smooth / smooth.std() * rng.uniform(0, 0.4), dtype=np.float32)


def _lines(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Segments; their ends and their crossings are corners."""
    size = len(canvas)
    count = int(rng.integers(2, 7))
    segments = _exact(rng.uniform(0.05 * size, 0.95 * size, (count, 2, 2)))
    for segment in segments:
        _polyline(canvas, segment, _contrast(rng), int(rng.integers(1, 4)))
    crossings = [
        _crossing(segments[i], segments[j]) for i in range(count) for j in range(i + 1, count)
    ]
    return np.concatenate([segments.reshape(-1, 2), *crossings])


def _polygons(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Draw filled polygons that do not touch."""
    size = len(canvas)
    corners: list[Points] = []
    places: list[tuple[Points, float]] = []
    for _ in range(int(rng.integers(2, 12))):
        radius = rng.uniform(size / 16, size / 4)
        centre = rng.uniform(radius, size - radius, 2)
        if any(np.hypot(*(centre - other)) < radius + r + 4 for other, r in places):
            continue
        places.append((centre, radius))
        polygon = _exact(_around(centre, radius, int(rng.integers(3, 7)), rng))
        _fill(canvas, polygon, _contrast(rng))
        corners.append(polygon)
    return np.concatenate(corners)


def _star(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Lines from one centre."""
    size = len(canvas)
    centre = rng.uniform(0.35 * size, 0.65 * size, 2)
    ends = _exact(_around(centre, rng.uniform(0.2, 0.4) * size, int(rng.integers(3, 7)), rng))
    centre = _exact(centre[None])
    level, width = _contrast(rng), int(rng.integers(1, 4))
    for end in ends:
        _polyline(canvas, np.stack([centre[0], end]), level, width)
    return np.concatenate([centre, ends])


def _checkerboard(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Fields of unlike brightness, turned and slightly sheared; all nodes are corners."""
    size = len(canvas)
    rows, cols = rng.integers(3, 8, 2)
    nodes = np.stack(np.meshgrid(np.arange(rows + 1.0), np.arange(cols + 1.0), indexing="ij"), -1)
    nodes = (nodes - [rows / 2, cols / 2]) / max(rows, cols)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ (np.eye(2) + rng.normal(0, 0.1, (2, 2))) * rng.uniform(0.5, 0.9) * size
    nodes = _exact(nodes @ linear.T + size / 2 + rng.uniform(-0.1, 0.1, 2) * size)
    step = _contrast(rng)
    for i in range(rows):
        for j in range(cols):
            field = nodes[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]]
            level = step * ((i + j) % 2 or -1) + rng.uniform(-0.3, 0.3)
            _fill(canvas, field, float(level))
    return nodes.reshape(-1, 2)


def _ellipses(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Round things have no corners."""
    size = len(canvas)
    for _ in range(int(rng.integers(1, 8))):
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(size // 24 + 2, size // 5, 2))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, _contrast(rng), -1, cv2.LINE_AA)
    return np.empty((0, 2))


def _leads(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Dark cracks in wide zigzags, with branches; their bends are corners."""
    return _broken_lines(canvas, rng, -float(rng.uniform(1, 3)), (2, 7))


def _ridges(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Bright thin lines in zigzags."""
    return _broken_lines(canvas, rng, float(rng.uniform(1, 3)), (1, 3))


def _broken_lines(
    canvas: Pixels, rng: np.random.Generator, level: float, widths: tuple[int, int]
) -> Points:
    size = len(canvas)
    start = rng.uniform(0, size, 2)
    heading = rng.uniform(0, 2 * np.pi)
    corners = []
    for _ in range(int(rng.integers(1, 4))):
        path = [start]
        for _ in range(int(rng.integers(3, 7))):
            heading += rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)
            step = np.array([np.sin(heading), np.cos(heading)]) * rng.uniform(0.12, 0.4) * size
            path.append(path[-1] + step)
        line = _exact(np.array(path))
        _polyline(canvas, line, level, int(rng.integers(*widths)))
        corners.append(line)
        start = line[int(rng.integers(1, len(line)))]
    crossings = [
        _crossing(first[i : i + 2], second[j : j + 2])
        for k, first in enumerate(corners)
        for second in corners[k + 1 :]
        for i in range(len(first) - 1)
        for j in range(len(second) - 1)
    ]
    return np.concatenate([*corners, *crossings])


def _floes(canvas: Pixels, rng: np.random.Generator) -> Points:
    """Plates that meet in threes, some with open water between them."""
    size = len(canvas)
    # Centres far outside close the outer plates.
    beyond = np.array([[-5, -5], [-5, 6], [6, -5], [6, 6]]) * float(size)
    centres = rng.uniform(-0.2 * size, 1.2 * size, (int(rng.integers(8, 40)), 2))
    plates = Voronoi(np.concatenate([centres, beyond]))
    at = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)
    nearest = cKDTree(plates.points).query(at.reshape(-1, 2))[1].reshape(size, size)
    canvas += rng.normal(0, 1, len(plates.points)).astype(np.float32)[nearest]
    width = int(rng.integers(0, 5))
    if width:
        level = float(rng.choice([-1, 1]) * rng.uniform(1.5, 3))
        for first, second in plates.ridge_vertices:
            if first >= 0 and second >= 0:
                _polyline(canvas, plates.vertices[[first, second]], level, width)
    return np.asarray(plates.vertices)


KINDS: tuple[Callable[[Pixels, np.random.Generator], Points], ...] = (
    _lines,
    _polygons,
    _star,
    _checkerboard,
    _ellipses,
    _leads,
    _ridges,
    _floes,
)


def _contrast(rng: np.random.Generator) -> float:
    return float(rng.choice([-1, 1]) * rng.uniform(0.7, 2.5))


def _around(centre: Points, radius: float, count: int, rng: np.random.Generator) -> Points:
    """Points around a centre in the order of their direction, well apart."""
    angle = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * np.pi / count
    angle = angle + rng.uniform(0, 2 * np.pi)
    distance = radius * rng.uniform(0.6, 1, count)
    return np.asarray(centre + np.stack([np.sin(angle), np.cos(angle)], -1) * distance[:, None])


def _exact(points: Points) -> Points:
    """Positions that the drawing functions can tell."""
    return np.asarray(np.rint(points * 2**BITS) / 2**BITS)


def _fixed(points: Points) -> NDArray[np.int32]:
    # Far vertices are cut: OpenCV counts in 32 bits.
    limited = np.clip(points[..., ::-1], -8000, 8000)
    return np.asarray(np.rint(limited * 2**BITS), dtype=np.int32)


def _polyline(canvas: Pixels, line: Points, level: float, width: int) -> None:
    cv2.polylines(canvas, [_fixed(line)], False, level, width, cv2.LINE_AA, BITS)


def _fill(canvas: Pixels, polygon: Points, level: float) -> None:
    cv2.fillPoly(canvas, [_fixed(polygon)], level, cv2.LINE_AA, BITS)


def _crossing(first: Points, second: Points) -> Points:
    """Point (1, 2) where two segments cross, or (0, 2)."""
    along, other = first[1] - first[0], second[1] - second[0]
    determinant = along[0] * -other[1] + other[0] * along[1]
    if abs(determinant) < 1e-9:
        return np.empty((0, 2))
    share = np.linalg.solve(np.stack([along, -other], axis=1), second[0] - first[0])
    inside = bool((share > 0).all() and (share < 1).all())
    return (first[0] + share[0] * along)[None] if inside else np.empty((0, 2))


def _inside(points: Points, size: int) -> Points:
    margin = 2.0
    kept = ((points >= margin) & (points <= size - 1 - margin)).all(axis=1)
    return np.asarray(points[kept])


def _apart(points: Points) -> Points:
    """Points without those that have an earlier one too near."""
    if len(points) < 2:
        return points
    close = cKDTree(points).query_pairs(APART)
    dropped = {max(pair) for pair in close}
    return points[[k for k in range(len(points)) if k not in dropped]]
