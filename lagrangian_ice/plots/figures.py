"""Figures of the products: trajectories, drift, deformation, coverage.

Colour scales are safe for colour-blind readers, every bar has its unit, and what is left out for
legibility is said under the title.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lagrangian_ice.deformation.triangles import UNFIT
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import Float
from lagrangian_ice.output.reading import (
    open_trajectories,
    read_deformation,
    read_pairs,
    read_trajectories,
)
from lagrangian_ice.plots.polar import (
    INK,
    QUIET,
    bounds_of,
    dates,
    draw_map,
    new_figure,
    save,
    title,
)
from lagrangian_ice.times import SECONDS_PER_DAY

MOST_TRAJECTORIES = 4000
MOST_ARROWS = 1600
LEAST_SQUARE = 10e3
"""Metres: squares of the coverage map are no smaller than the usual spacing of the parcels."""
ENDED = "#c8553d"
_DARKENING = ListedColormap(colormaps["viridis_r"](np.linspace(0.1, 1.0, 256)))
"""Without the palest tenth, which is lost on water."""


def plot_trajectories(path: str | Path, out: str | Path) -> Path:
    """Map of trajectories coloured by time.

    Parameters
    ----------
    path : str or Path
        ``_LP.nc``.
    out : str or Path
        PNG.

    Raises
    ------
    ProductError
        If the product cannot be read, is empty, or the figure cannot be written.
    """
    frame = _not_empty(read_trajectories(path), path, "observations")
    with open_trajectories(path) as dataset:
        ended = dataset["trajectory"].to_numpy()[dataset["death_reason"].to_numpy() > 0]
    shown, thinned = _thinned(frame)
    figure, axes = _map(shown[["x", "y"]].to_numpy())
    parcels = frame["parcel_id"].nunique()
    note = f"{dates(frame['time'].min(), frame['time'].max())}  ·  {parcels:,} parcels{thinned}"
    title(axes, "Trajectories of ice parcels", note)
    days = (shown["time"].to_numpy() - frame["time"].min()) / SECONDS_PER_DAY
    norm = Normalize(0.0, max(float(days.max()), 1e-3))
    lines = LineCollection(
        list(_segments(shown)), cmap=_DARKENING, norm=norm, linewidths=_line_width(shown), zorder=4
    )
    lines.set_array(_segment_days(shown, days))
    lines.set_capstyle("round")
    axes.add_collection(lines, autolim=False)
    _mark_ends(axes, shown, ended)
    bar = figure.colorbar(lines, ax=axes, shrink=0.75, aspect=32, pad=0.02)
    _label(bar.ax, f"Days since {_day(frame['time'].min())}")
    return save(figure, Path(out))


def plot_drift(path: str | Path, out: str | Path) -> Path:
    """Map of drift, an arrow for each parcel's last vector, coloured by speed.

    Parameters
    ----------
    path : str or Path
        ``_PD.nc``.
    out : str or Path
        PNG.

    Raises
    ------
    ProductError
        If the product cannot be read, has no vector, or the figure cannot be written.
    """
    frame = read_pairs(path)
    frame = _not_empty(frame[frame["status"] == 0], path, "tracked vectors")
    last = frame.sort_values("time1", kind="stable").drop_duplicates("trajectory", keep="last")
    shown, thinned = _spread(last)
    figure, axes = _map(frame[["x0", "y0"]].to_numpy())
    note = f"{dates(shown['time0'].min(), shown['time1'].max())}  ·  last vector of "
    title(axes, "Ice drift", f"{note}{len(last):,} parcels{thinned}")
    dt = shown["time1"] - shown["time0"]
    u = 100 * (shown["displacement_x"] / dt).to_numpy()
    v = 100 * (shown["displacement_y"] / dt).to_numpy()
    speed = np.hypot(u, v)
    # a few wrong vectors must not set the scale
    top = _round_up(float(min(np.percentile(speed, 99), 1.2 * np.percentile(speed, 90))), 1.0)
    arrows = axes.quiver(
        shown["x0"],
        shown["y0"],
        u,
        v,
        speed,
        cmap=_DARKENING,
        norm=Normalize(0.0, top),
        angles="xy",
        scale_units="width",
        scale=top / float(np.clip(1.3 / np.sqrt(len(shown)), 0.035, 0.1)),
        width=0.0028,
        headwidth=4,
        headlength=4.5,
        zorder=5,
    )
    axes.quiverkey(
        arrows,
        0.9,
        1.03,
        _round_up(top / 2),
        f"{_round_up(top / 2):g} cm s$^{{-1}}$",
        labelpos="W",
        color=INK,
        labelcolor=QUIET,
        fontproperties={"size": 8.5},
    )
    more = "max" if speed.max() > top else "neither"
    bar = figure.colorbar(arrows, ax=axes, shrink=0.75, aspect=32, pad=0.02, extend=more)
    _label(bar.ax, "Speed (cm s$^{-1}$)")
    return save(figure, Path(out))


def plot_deformation(path: str | Path, out: str | Path) -> Path:
    """Map divergence, shear, total deformation and its signal to noise on the triangles.

    Where patches lie over one another the newest is shown; thin, large and folded triangles are
    left out.

    Parameters
    ----------
    path : str or Path
        ``_DP.nc``.
    out : str or Path
        PNG.

    Raises
    ------
    ProductError
        If the product cannot be read, has no triangle, or the figure cannot be written.
    """
    nodes, faces = read_deformation(path)
    faces = faces[(faces["quality_flag"].astype(int) & UNFIT) == 0]
    known = np.isfinite(faces[list(_PANELS[:3])].to_numpy(np.float64)).all(axis=1)
    faces = faces.iloc[np.flatnonzero(known)]
    faces = _newest(nodes, _not_empty(faces, path, "triangles of good quality"))
    corners = faces[["node_1", "node_2", "node_3"]].to_numpy()
    triangles = nodes[["x", "y"]].to_numpy()[corners]
    bounds = bounds_of(triangles.reshape(-1, 2))
    figure = new_figure(12.0, 10.7)
    panels = figure.subplots(2, 2)
    used = np.unique(corners)
    first, last = nodes["time_start"].to_numpy()[used], nodes["time_end"].to_numpy()[used]
    figure.suptitle(
        f"Ice deformation  ·  {dates(first.min(), last.max())}  ·  {len(faces):,} triangles",
        x=0.01,
        ha="left",
        fontsize=14,
        color=INK,
        fontweight="bold",
    )
    rates = {name: faces[name].to_numpy() * SECONDS_PER_DAY for name in _PANELS[:3]}
    high = _round_up(float(np.percentile(np.abs(rates["total_deformation"]), 99.0)), 0.02)
    both = SymLogNorm(high / 10, linscale=1.0, vmin=-high, vmax=high)
    one = LogNorm(high / 50, high)
    _panel(
        figure, panels[0, 0], bounds, triangles, rates["divergence"], "RdBu_r", both,
        "Divergence", "Divergence (per day), opening positive",
    )  # fmt: skip
    _panel(
        figure, panels[0, 1], bounds, triangles, rates["shear"], "magma_r", one,
        "Shear", "Shear (per day)",
    )  # fmt: skip
    _panel(
        figure, panels[1, 0], bounds, triangles, rates["total_deformation"], "magma_r", one,
        "Total deformation", "Total deformation (per day)",
    )  # fmt: skip
    _panel(
        figure, panels[1, 1], bounds, triangles, faces["signal_to_noise"].to_numpy(), "cividis",
        LogNorm(0.5, 50.0), "Signal to noise", "Total deformation over its standard error (1)",
    )  # fmt: skip
    return save(figure, Path(out))


def plot_coverage(path: str | Path, out: str | Path) -> Path:
    """Map of the number of observations in squares of the map.

    Parameters
    ----------
    path : str or Path
        ``_LP.nc``.
    out : str or Path
        PNG.

    Raises
    ------
    ProductError
        If the product cannot be read, is empty, or the figure cannot be written.
    """
    frame = _not_empty(read_trajectories(path), path, "observations")
    xy = frame[["x", "y"]].to_numpy()
    figure, axes = _map(xy)
    bounds = bounds_of(xy)
    side = _round_up((bounds[2] - bounds[0]) / 30, LEAST_SQUARE)
    edges = [
        np.arange(np.floor(bounds[k] / side), np.ceil(bounds[k + 2] / side) + 1) * side
        for k in (0, 1)
    ]
    counts, _, _ = np.histogram2d(xy[:, 0], xy[:, 1], bins=(edges[0], edges[1]))
    shown = axes.pcolormesh(
        edges[0],
        edges[1],
        np.where(counts > 0, counts, np.nan).T,
        cmap=_DARKENING,
        norm=Normalize(0.0, float(counts.max())),
        zorder=3,
    )
    axes.set_xlim(bounds[0], bounds[2])
    axes.set_ylim(bounds[1], bounds[3])
    passes = frame["image_index"].nunique()
    note = f"{dates(frame['time'].min(), frame['time'].max())}  ·  {len(frame):,} observations in "
    title(axes, "Coverage", f"{note}{passes} passes")
    bar = figure.colorbar(shown, ax=axes, shrink=0.75, aspect=32, pad=0.02)
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    _label(bar.ax, f"Observations in squares of {side / 1e3:g} km (count)")
    return save(figure, Path(out))


_PANELS = ("divergence", "shear", "total_deformation", "signal_to_noise")


def _panel(
    figure: Figure,
    axes: Axes,
    bounds: tuple[float, float, float, float],
    triangles: Float,
    values: Float,
    cmap: str,
    norm: Normalize,
    heading: str,
    unit: str,
) -> None:
    draw_map(axes, bounds)
    scale = colormaps[cmap]
    # values below a logarithmic scale are small, not missing
    scale = scale.with_extremes(under=scale(0.0), over=scale(1.0))
    shapes = PolyCollection(
        list(triangles), array=values, cmap=scale, norm=norm, edgecolors="face", zorder=4
    )
    shapes.set_linewidth(0.3)
    axes.add_collection(shapes, autolim=False)
    axes.set_title(heading, loc="left", fontsize=11.5, color=INK)
    known = values[np.isfinite(values)]
    lowest, highest = (float(end or 0.0) for end in (norm.vmin, norm.vmax))
    above, below = np.any(known > highest), np.any(known < lowest)
    extend = {(True, True): "both", (True, False): "max", (False, True): "min"}
    bar = figure.colorbar(
        ScalarMappable(norm, scale),
        ax=axes,
        shrink=0.85,
        aspect=30,
        pad=0.02,
        extend=extend.get((bool(above), bool(below)), "neither"),
    )
    bar.set_ticks(_ticks(norm), labels=[f"{tick:g}" for tick in _ticks(norm)])
    bar.ax.minorticks_off()
    _label(bar.ax, unit)


def _ticks(norm: Normalize) -> list[float]:
    """Ticks of 1, 2 and 5 times powers of ten inside a logarithmic scale, of both signs."""
    top = float(norm.vmax or 1.0)
    least = float(norm.linthresh) if isinstance(norm, SymLogNorm) else float(norm.vmin or 0.0)
    powers = 10.0 ** np.arange(np.floor(np.log10(least)), np.ceil(np.log10(top)) + 1)
    steps = (powers[:, None] * [1.0, 2.0, 5.0]).ravel()
    ticks = [float(step) for step in steps if least * 0.999 <= step <= top * 1.001]
    if isinstance(norm, SymLogNorm):
        return [-tick for tick in reversed(ticks)] + [0.0, *ticks]
    return ticks


def _map(xy: Float) -> tuple[Figure, Axes]:
    figure = new_figure(8.0, 7.4)
    axes = figure.subplots()
    draw_map(axes, bounds_of(xy))
    return figure, axes


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=QUIET)


def _not_empty(frame: pd.DataFrame, path: str | Path, what: str) -> pd.DataFrame:
    if len(frame) == 0:
        raise ProductError(f"{path}: holds no {what}, there is nothing to draw")
    return frame


def _thinned(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Every n-th parcel, so that lines do not cover one another, and a note of it."""
    ids = np.sort(frame["parcel_id"].unique())
    step = -(-len(ids) // MOST_TRAJECTORIES)
    if step == 1:
        return frame, ""
    return frame[frame["parcel_id"].isin(ids[::step])], f", one in {step} drawn"


def _spread(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One vector for each square of a mesh wide enough for the arrows to be told apart."""
    if len(frame) <= MOST_ARROWS:
        return frame, ""
    span = np.ptp(frame[["x0", "y0"]].to_numpy(), axis=0)
    side = float(np.sqrt(span[0] * span[1] / MOST_ARROWS))
    squares = np.floor(frame[["x0", "y0"]].to_numpy() / side)
    _, first = np.unique(squares, axis=0, return_index=True)
    kept = frame.iloc[np.sort(first)]
    return kept, f", {len(kept):,} drawn"


def _segments(frame: pd.DataFrame) -> Float:
    """Lines (S, 2, 2) between successive observations of a parcel."""
    xy = frame[["x", "y"]].to_numpy()
    same = _same_parcel(frame)
    return np.stack([xy[:-1][same], xy[1:][same]], axis=1)


def _segment_days(frame: pd.DataFrame, days: Float) -> Float:
    same = _same_parcel(frame)
    return 0.5 * (days[:-1][same] + days[1:][same])


def _same_parcel(frame: pd.DataFrame) -> NDArray[np.bool_]:
    ids = frame["parcel_id"].to_numpy()
    return np.asarray(ids[1:] == ids[:-1])


def _line_width(frame: pd.DataFrame) -> float:
    return float(np.clip(1.8 - 0.3 * np.log10(max(frame["parcel_id"].nunique(), 1)), 0.5, 1.6))


def _mark_ends(axes: Axes, frame: pd.DataFrame, ended: NDArray[np.int64]) -> None:
    """Dot where a parcel was last seen, cross where it ended."""
    last = frame.drop_duplicates("parcel_id", keep="last")
    gone = last["parcel_id"].isin(ended)
    size = float(np.clip(2400 / max(len(last), 1), 1.0, 9.0))
    axes.scatter(last["x"][~gone], last["y"][~gone], s=size, color=INK, linewidths=0, zorder=5)
    handles = [Line2D([], [], marker="o", color=INK, linestyle="", markersize=3.5)]
    names = ["last seen"]
    if gone.any():
        place = last[gone]
        axes.scatter(
            place["x"], place["y"], s=2.2 * size + 4, linewidths=0.9, zorder=6, marker="x", c=ENDED
        )
        handles.append(Line2D([], [], linestyle="", markersize=5, marker="x", color=ENDED))
        names.append("ended")
    axes.legend(
        handles, names, loc="lower right", fontsize=8, framealpha=0.9, edgecolor="none"
    ).set_zorder(9)


def _newest(nodes: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """Faces of which at least one parcel is in no newer patch, the newest patches first."""
    _, parcel = np.unique(nodes["trajectory"].to_numpy(), return_inverse=True)
    corners = parcel[faces[["node_1", "node_2", "node_3"]].to_numpy()]
    pair = faces["pair_index"].to_numpy()
    ends = nodes.groupby("node_pair_index")["time_end"].max()
    covered = np.zeros(len(parcel), bool)
    kept = np.zeros(len(faces), bool)
    for index in ends.sort_values(ascending=False, kind="stable").index:
        own = np.flatnonzero(pair == index)
        if len(own) == 0:
            continue
        old = covered[corners[own]].all(axis=1)
        kept[own[~old]] = True
        covered[corners[own]] = True
    return faces[kept]


def _round_up(value: float, least: float = 0.0) -> float:
    """Smallest of 1, 2, 5 times a power of ten that is not less."""
    value = max(value, least, 1e-12)
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(unit * power for unit in (1, 2, 5, 10) if unit * power >= value * 0.999))


def _day(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]
