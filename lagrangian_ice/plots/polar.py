"""The map under every figure: EPSG:3413, land, labelled graticule, scale bar. No network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from pyproj import Proj

from lagrangian_ice.grid import MAP_CRS, Float, Grid, lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.images.land import land_mask
from lagrangian_ice.output.whole import whole_file

INK = "#26323d"
QUIET = "#5d6b78"
WATER = "#f3f6f9"
LAND = "#d8d3c8"
GRATICULE = "#c2ccd6"

LAND_PIXELS = 900
"""Along the longer side of a map."""
LEAST_SIDE = 60e3
"""Metres: maps are not drawn closer."""
MARGIN = 0.07
SCALE_ROOM = 0.1
"""Of half the height: added at the bottom, where the scale bar is."""
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 45.0, 90.0)
LABEL_GAP = 0.11
"""Of the side of the map: labels closer than this are left out."""

Bounds = tuple[float, float, float, float]


def new_figure(width: float, height: float) -> Figure:
    """Empty figure of its own canvas, outside pyplot's global state.

    Parameters
    ----------
    width, height : float
        Inches, of 150 pixels each.
    """
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    with whole_file(path) as beside:
        figure.savefig(beside, format="png")
    return path


def bounds_of(xy: Float) -> Bounds:
    """Bounds xmin, ymin, xmax, ymax of positions (N, 2) with a margin, nearly square, metres."""
    known = xy[np.isfinite(xy).all(axis=1)]
    low, high = known.min(axis=0), known.max(axis=0)
    middle, side = (low + high) / 2, high - low
    side = np.maximum(side, max(LEAST_SIDE, 0.7 * float(side.max()))) * (0.5 + MARGIN)
    left, bottom = middle - side
    right, top = middle + side
    bottom -= SCALE_ROOM * side[1]
    return float(left), float(bottom), float(right), float(top)


def draw_map(axes: Axes, bounds: Bounds) -> None:
    """Draw water, land, graticule and scale bar; data go between (zorder 3 to 6)."""
    left, bottom, right, top = bounds
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_facecolor(WATER)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(QUIET)
        spine.set_linewidth(0.8)
    _draw_land(axes, bounds)
    _draw_graticule(axes, bounds)
    _draw_scale(axes, bounds)


def _draw_land(axes: Axes, bounds: Bounds) -> None:
    side = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    grid = Grid.covering(bounds, side / LAND_PIXELS)
    land = land_mask(grid)
    if not land.any():
        return
    left, bottom, right, top = grid.bounds
    axes.imshow(
        np.where(land, 1.0, np.nan),
        extent=(left, right, bottom, top),
        cmap=ListedColormap([LAND]),
        interpolation="nearest",
        zorder=1,
    )


def _draw_graticule(axes: Axes, bounds: Bounds) -> None:
    step_lon, step_lat = _steps(bounds)
    meridians: list[tuple[Float, str]] = []
    parallels: list[tuple[Float, str]] = []
    for lon in np.arange(-180.0, 180.0, step_lon):
        line = lonlat_to_xy(np.stack([np.full(400, lon), np.linspace(40, 90 - step_lat, 400)], 1))
        meridians.append((line, _lon_text(lon)))
    for lat in np.arange(90 - step_lat, 40, -step_lat):
        line = lonlat_to_xy(np.stack([np.linspace(-180, 180, 1441), np.full(1441, lat)], 1))
        parallels.append((line, f"{lat:g}°N"))
    lines = [line for line, _ in meridians + parallels]
    collection = LineCollection(lines, colors=GRATICULE, linewidths=0.6, zorder=2)
    axes.add_collection(collection, autolim=False)
    labelled = _label_edge(axes, bounds, meridians + parallels, "bottom")
    labelled |= _label_edge(axes, bounds, parallels + meridians, "left")
    for line, text in parallels:
        if text not in labelled:
            _label_inside(axes, bounds, line, text)


def _label_edge(
    axes: Axes,
    bounds: Bounds,
    lines: Sequence[tuple[Float, str]],
    edge: Literal["bottom", "left"],
) -> set[str]:
    """Label the lines where they cross an edge, the first ones first, as far as there is room."""
    across, along = (1, 0) if edge == "bottom" else (0, 1)
    low, side = bounds[along], bounds[along + 2] - bounds[along]
    taken: list[float] = []
    labelled: set[str] = set()
    for line, text in lines:
        for place in _crossings(line, bounds[across], across):
            crowded = any(abs(place - other) < LABEL_GAP * side for other in taken)
            if 0.02 < (place - low) / side < 0.98 and not crowded:
                taken.append(place)
                labelled.add(text)
                _label_at(axes, bounds, place, text, edge)
    return labelled


def _label_inside(axes: Axes, bounds: Bounds, line: Float, text: str) -> None:
    """Label a parallel that crosses no labelled edge on the line itself, to the lower left."""
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    place = (line - low) / (high - low)
    under_scale = (place[:, 0] < 0.3) & (place[:, 1] < 0.12)
    inside = line[np.all((place > 0.05) & (place < 1), axis=1) & ~under_scale]
    if len(inside) == 0:
        return
    at = inside[np.argmin(inside @ [0.4, 1.0])]
    axes.annotate(
        text, tuple(at), ha="center", va="center", fontsize=7.5, color=QUIET, zorder=7
    ).set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _label_at(
    axes: Axes, bounds: Bounds, place: float, text: str, edge: Literal["bottom", "left"]
) -> None:
    below = edge == "bottom"
    axes.annotate(
        text,
        (place, bounds[1]) if below else (bounds[0], place),
        xytext=(0, -4) if below else (-4, 0),
        textcoords="offset points",
        ha="center" if below else "right",
        va="top" if below else "center",
        fontsize=7.5,
        color=QUIET,
        annotation_clip=False,
    )


def _crossings(line: Float, level: float, across: int) -> Iterator[float]:
    """Other coordinate of the points where a line crosses a level of one coordinate."""
    beyond = line[:, across] - level
    for index in np.flatnonzero(beyond[:-1] * beyond[1:] < 0):
        share = beyond[index] / (beyond[index] - beyond[index + 1])
        ends = line[index : index + 2, 1 - across]
        yield float(ends[0] + share * (ends[1] - ends[0]))


def _steps(bounds: Bounds) -> tuple[float, float]:
    """Choose steps of meridians and parallels that give about five of each, degrees."""
    edge = np.linspace(0.0, 1.0, 9)
    x, y = np.meshgrid(
        bounds[0] + edge * (bounds[2] - bounds[0]), bounds[1] + edge * (bounds[3] - bounds[1])
    )
    lonlat = xy_to_lonlat(np.stack([x.ravel(), y.ravel()], axis=1))
    span_lat = float(np.ptp(lonlat[:, 1]))
    angles = np.sort(np.mod(lonlat[:, 0], 360.0))
    gaps = np.diff(np.concatenate([angles, angles[:1] + 360.0]))
    span_lon = 360.0 - float(gaps.max())
    return (30.0 if span_lon > 270 else _nice(span_lon / 7)), _nice(span_lat / 5)


def _nice(wanted: float) -> float:
    return min(STEPS, key=lambda step: abs(np.log(step / max(wanted, 0.05))))


def _lon_text(lon: float) -> str:
    if lon in (0.0, -180.0):
        return f"{abs(lon):g}°"
    return f"{abs(lon):g}°{'E' if lon > 0 else 'W'}"


def _draw_scale(axes: Axes, bounds: Bounds) -> None:
    side = bounds[2] - bounds[0]
    length = max(
        (unit * 10.0**power for power in range(3, 7) for unit in (1, 2, 5)),
        key=lambda size: -abs(np.log(size / (0.15 * side))),
    )
    height = bounds[3] - bounds[1]
    middle = xy_to_lonlat([bounds[0] + 0.5 * side, bounds[1] + 0.5 * height])
    # On the ice, not on the map: they differ by 3 % at the pole.
    drawn = length * Proj(MAP_CRS).get_factors(*middle).meridional_scale
    x, y = bounds[0] + 0.035 * side, bounds[1] + 0.03 * height
    pad = 0.015 * side
    axes.add_patch(
        Rectangle(
            (x - pad, y - pad),
            drawn + 2 * pad,
            0.035 * height + 2 * pad,
            facecolor="white",
            alpha=0.85,
            linewidth=0,
            zorder=7,
        )
    )
    bar = Line2D([x, x + drawn], [y, y], color=INK, linewidth=2.2, zorder=8)
    bar.set_solid_capstyle("butt")
    axes.add_line(bar)
    axes.annotate(
        f"{length / 1e3:g} km",
        (x + drawn / 2, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=INK,
        zorder=8,
    )


def title(axes: Axes, text: str, under: str) -> None:
    """Title at the left, with a quieter second line."""
    axes.set_title(f"{text}\n", loc="left", fontsize=12.5, color=INK, fontweight="bold", pad=4)
    axes.annotate(
        under,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 5),
        textcoords="offset points",
        fontsize=8.5,
        color=QUIET,
        va="bottom",
        ha="left",
    )


def dates(first: float, last: float) -> str:
    """Range of times (seconds since 1970) in days, or in hours within a day."""
    start, end = (np.datetime64(int(np.round(value)), "s") for value in (first, last))
    if str(start)[:10] == str(end)[:10]:
        return f"{str(start)[:10]} {str(start)[11:16]} to {str(end)[11:16]} UTC"
    return f"{str(start)[:10]} to {str(end)[:10]}"
