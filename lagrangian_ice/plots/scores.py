"""Figures of the validation, and the reports of figures and JSON that the commands write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from lagrangian_ice.deformation.strain import invariants
from lagrangian_ice.files import check_output
from lagrangian_ice.grid import Float
from lagrangian_ice.output.whole import whole_file
from lagrangian_ice.plots.polar import INK, QUIET, bounds_of, draw_map, new_figure, save, title
from lagrangian_ice.validation.buoys import BuoyOptions, validate_buoys
from lagrangian_ice.validation.nextsim import validate_nextsim
from lagrangian_ice.validation.statistics import validate_statistics
from lagrangian_ice.validation.triangles import StatisticsOptions, Triangles

OBSERVED, MODELLED = "#1f5a8c", "#c8553d"
RATES = ("opening", "closing", "shear", "total_deformation")
LEAST_DRAWN = 1e-4
"""Per day."""


def report_buoys(
    trajectories: Path, buoys: Path, out: Path, options: BuoyOptions | None = None
) -> tuple[dict[str, Any], list[Path]]:
    """Validate with buoys; write ``buoys.json``, ``buoys.csv`` and figures into a folder.

    Returns
    -------
    scores : dict
        As written.
    paths : list of Path
        What was written.

    Raises
    ------
    ProductError
        As :func:`lagrangian_ice.validation.buoys.validate_buoys`, or if a file cannot be
        written.
    """
    _check_outputs(out, "buoys", [trajectories, buoys])
    scores, compared = validate_buoys(trajectories, buoys, options)
    return scores, [
        _write_json(out / "buoys.json", scores),
        _write_csv(out / "buoys.csv", compared),
        _buoy_scatter(compared, out / "buoys_scatter.png"),
        _buoy_map(compared, out / "buoys_map.png"),
    ]


def report_statistics(
    file: Path, out: Path, options: StatisticsOptions | None = None
) -> tuple[dict[str, Any], list[Path]]:
    """Statistics of deformation; write ``statistics.json`` and figures into a folder.

    Raises
    ------
    ProductError
        As :func:`lagrangian_ice.validation.statistics.validate_statistics`, or if a file
        cannot be written.
    """
    _check_outputs(out, "statistics", [file])
    scores = validate_statistics(file, options)
    series = {"observed": scores}
    return scores, [
        _write_json(out / "statistics.json", scores),
        _densities(series, out / "statistics_pdf.png"),
        _scaling(series, out / "statistics_scaling.png"),
    ]


def report_nextsim(
    trajectories: Path,
    drifters: Sequence[Path],
    out: Path,
    options: StatisticsOptions | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """Validate a run of neXtSIM; write ``nextsim.json``, ``nextsim.csv`` and figures.

    Raises
    ------
    ProductError
        As :func:`lagrangian_ice.validation.nextsim.validate_nextsim`, or if a file cannot be
        written.
    """
    _check_outputs(out, "nextsim", [trajectories, *drifters])
    scores, compared, triangles = validate_nextsim(trajectories, drifters, options)
    paths = [
        _write_json(out / "nextsim.json", scores),
        _write_csv(out / "nextsim.csv", compared),
        _drift_figure(scores, compared, out / "nextsim_drift.png"),
    ]
    if len(triangles[0]):
        series = {name: scores["deformation"][name] for name in ("observed", "modelled")}
        note = _explained(scores)
        paths += [
            _densities(series, out / "nextsim_pdf.png", note),
            _scaling(series, out / "nextsim_scaling.png", note),
            _side_by_side(*triangles, out / "nextsim_maps.png", note),
        ]
    return scores, paths


def _check_outputs(out: Path, stem: str, inputs: Sequence[Path]) -> None:
    """Refuse to replace an input by the JSON or CSV; no figure has the name of one."""
    for suffix in (".json", ".csv"):
        check_output(out / f"{stem}{suffix}", inputs)


def _explained(scores: Mapping[str, Any]) -> str:
    share = scores["deformation"]["total_deformation"].get("explained_by_observation_error")
    if share is None:
        return "no observation error is stated"
    return f"observation error explains {share:.0%} of the mean square difference"


def _write_json(path: Path, scores: Mapping[str, Any]) -> Path:
    with whole_file(path) as beside:
        beside.write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _write_csv(path: Path, table: pd.DataFrame) -> Path:
    with whole_file(path) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")
    return path


def _plain(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=QUIET, labelsize=8)
    axes.grid(True, color="#e3e8ed", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _buoy_scatter(compared: pd.DataFrame, path: Path) -> Path:
    figure = new_figure(15.5, 5.0)
    left, right, third = figure.subplots(1, 3)
    for name, colour in (("x", OBSERVED), ("y", MODELLED)):
        left.scatter(
            compared[f"buoy_d{name}"] / 1e3, compared[f"d{name}"] / 1e3, s=9, c=colour, alpha=0.6,
            label=f"along {name}", linewidths=0,
        )  # fmt: skip
    ends = np.array(left.get_xlim())
    left.plot(ends, ends, color=QUIET, linewidth=0.8, zorder=1)
    _plain(left, "Displacement of the buoy (km)", "Displacement of the parcel (km)")
    left.legend(frameon=False, fontsize=8)
    distance = compared["distance"].to_numpy(np.float64)
    note = f"{len(compared):,} displacements, {compared['buoy'].nunique()} buoys"
    title(left, "Parcels and buoys", note)
    share = (np.arange(len(distance)) + 1) / len(distance)
    right.plot(np.sort(distance), share, color=OBSERVED, drawstyle="steps-post")
    right.set_xscale("log")
    _plain(right, "Difference of the displacements (m)", "Share of vectors (1)")
    p50, p90 = np.percentile(distance, [50, 90])
    title(right, "Differences", f"median {p50:.0f} m, 90th percentile {p90:.0f} m")
    _against_stated(third, compared)
    return save(figure, path)


def _against_stated(axes: Axes, compared: pd.DataFrame) -> None:
    """Differences over the errors that the product states for them."""
    known = compared[np.isfinite(compared["normalised"])]
    _plain(axes, "Stated error of the displacement (m)", "Difference of the displacements (m)")
    if known.empty:
        title(axes, "Stated errors", "none are stated")
        return
    stated = known["expected_distance"].to_numpy(np.float64)
    distance = np.maximum(known["distance"].to_numpy(np.float64), 1.0)
    axes.scatter(stated, distance, s=9, c=OBSERVED, alpha=0.6, linewidths=0)
    ends = np.array([stated.min() / 1.2, stated.max() * 1.2])
    for factor, style in ((1, "-"), (2, "--")):
        axes.plot(
            ends, factor * ends, style, color=QUIET, linewidth=0.8, label=f"{factor} stated error"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8)
    share = float(np.mean(known["normalised"] <= 1))
    title(axes, "Stated errors", f"{share:.0%} within one (39 % if they are right)")


def _buoy_map(compared: pd.DataFrame, path: Path) -> Path:
    xy = compared[["x0", "y0"]].to_numpy(np.float64)
    figure = new_figure(8.0, 7.4)
    axes = figure.subplots()
    draw_map(axes, bounds_of(xy))
    distance = np.maximum(compared["distance"].to_numpy(np.float64), 1.0)
    high = float(np.percentile(distance, 98))
    shown = axes.scatter(
        xy[:, 0],
        xy[:, 1],
        c=distance,
        s=16,
        cmap="magma_r",
        norm=LogNorm(min(10.0, high / 10), high),
        zorder=5,
    )
    title(axes, "Difference to buoys", "at the start of each displacement")
    bar = figure.colorbar(shown, ax=axes, shrink=0.75, aspect=32, pad=0.02, extend="both")
    bar.set_label("Difference of the displacements (m)", color=INK)
    return save(figure, path)


def _densities(series: Mapping[str, Any], path: Path, note: str = "") -> Path:
    figure = new_figure(11.0, 8.0)
    panels = figure.subplots(2, 2).ravel()
    for axes, rate in zip(panels, RATES, strict=True):
        for (name, found), colour in zip(series.items(), (OBSERVED, MODELLED), strict=False):
            table = found["distributions_per_day"]
            if not table[rate]["count"]:
                continue
            edges = np.array(table["edges"])
            density = np.array(table[rate]["density"])
            middle = np.sqrt(edges[:-1] * edges[1:])
            seen = density > 0
            axes.plot(middle[seen], density[seen], color=colour, marker=".", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        label = rate.replace("_", " ").capitalize()
        _plain(axes, f"{label} (per day)", "Probability density (days)")
        title(axes, label, note)
        if len(series) > 1 and axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    return save(figure, path)


def _scaling(series: Mapping[str, Any], path: Path, note: str = "") -> Path:
    figure = new_figure(11.0, 5.0)
    left, right = figure.subplots(1, 2)
    for (name, found), colour in zip(series.items(), (OBSERVED, MODELLED), strict=False):
        scaling = found["spatial_scaling"]
        rows = pd.DataFrame(scaling["scales"])
        for q, style in zip((1, 2, 3), ("-", "--", ":"), strict=True):
            if len(rows):
                left.plot(
                    rows["length"] / 1e3, rows[f"moment_{q}"], color=colour, linestyle=style,
                    marker="o", markersize=3, label=f"{name}, q = {q}",
                )  # fmt: skip
        _structure(right, scaling, colour, name)
    left.set_xscale("log")
    left.set_yscale("log")
    _plain(left, "Scale (km)", "Moment of the total deformation (per day to the q)")
    _plain(right, "Moment q (1)", "Exponent beta (1)")
    title(left, "Spatial scaling", note)
    title(right, "Structure function", "bars: 95 % confidence")
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    return save(figure, path)


def _structure(axes: Axes, scaling: Mapping[str, Any], colour: str, name: str) -> None:
    beta = [scaling.get(f"beta_{q}", {"value": None}) for q in (1, 2, 3)]
    if any(entry["value"] is None for entry in beta):
        return
    values = np.array([entry["value"] for entry in beta])
    axes.plot([1, 2, 3], values, "o", color=colour, label=name)
    if all(entry["low"] is not None for entry in beta):
        low, high = (np.array([entry[end] for entry in beta]) for end in ("low", "high"))
        axes.vlines([1, 2, 3], low, high, color=colour, linewidth=1.2)
    q = np.linspace(0, 3, 61)
    fit = scaling["curvature"]["value"] * q**2 + scaling["slope"]["value"] * q
    axes.plot(q, fit, color=colour, linewidth=1)


def _drift_figure(scores: Mapping[str, Any], compared: pd.DataFrame, path: Path) -> Path:
    figure = new_figure(11.0, 5.0)
    left, right = figure.subplots(1, 2)
    days = (compared["hours"] / 24).to_numpy(np.float64)
    speed = np.hypot(compared["dx"], compared["dy"]) / days / 1e3
    model = np.hypot(compared["model_dx"], compared["model_dy"]) / days / 1e3
    top = float(max(speed.max(), model.max(), 1e-3))
    counts, edges, _ = np.histogram2d(speed, model, bins=60, range=[[0, top], [0, top]])
    shown = left.pcolormesh(
        edges, edges, np.where(counts > 0, counts, np.nan).T, cmap="cividis",
        norm=LogNorm(1, max(2.0, float(counts.max()))),
    )  # fmt: skip
    left.plot([0, top], [0, top], color=QUIET, linewidth=0.8)
    _plain(left, "Observed speed (km per day)", "Modelled speed (km per day)")
    figure.colorbar(shown, ax=left, shrink=0.8).set_label("Displacements (count)", color=INK)
    drift = scores["drift_km_per_day"]
    share = drift["explained_by_observation_error"]
    explained = "" if share is None else f", observation error explains {share:.0%}"
    title(left, "Drift", f"RMSE {drift['rmse']:.2f} km per day{explained}")
    rows = pd.DataFrame(scores["error_growth"])
    for name, colour in (("median_distance", OBSERVED), ("p90_distance", MODELLED)):
        right.plot(rows["days"], rows[name] / 1e3, "o-", color=colour, label=name.split("_")[0])
    stated = rows["rms_observation_error"].astype(float) / 1e3
    if stated.notna().any():
        right.plot(rows["days"], stated, "--", color=QUIET, label="error of the observations")
    _plain(right, "Time since the model's start (days)", "Distance of model and parcel (km)")
    right.legend(frameon=False, fontsize=8)
    title(right, "Growth of the error", f"{drift['parcels']:,} parcels")
    return save(figure, path)


def _side_by_side(observed: Triangles, modelled: Triangles, path: Path, note: str) -> Path:
    """Map the newest pair of passes that has most triangles."""
    pairs, counts = np.unique(observed.pair, return_counts=True)
    rows = observed.pair == pairs[counts >= 0.9 * counts.max()].max()
    xy = observed.xy[rows]
    figure = new_figure(13.0, 6.4)
    panels = figure.subplots(1, 2)
    totals = [
        np.maximum(invariants(one.gradients[rows]).total_deformation, LEAST_DRAWN)
        for one in (observed, modelled)
    ]
    high = max(float(np.percentile(np.concatenate(totals), 99)), 10 * LEAST_DRAWN)
    norm: Normalize = LogNorm(high / 50, high)
    for axes, total, name in zip(panels, totals, ("Observed", "Modelled"), strict=True):
        _deformation_panel(axes, xy, total, norm)
        title(axes, f"{name} total deformation", note)
    bar = figure.colorbar(panels[1].collections[-1], ax=panels, shrink=0.75, aspect=32, pad=0.02)
    bar.set_label("Total deformation (per day)", color=INK)
    return save(figure, path)


def _deformation_panel(axes: Axes, xy: Float, total: Float, norm: Normalize) -> None:
    draw_map(axes, bounds_of(xy))
    size = float(np.clip(3e4 / max(len(xy), 1), 2, 60))
    axes.scatter(
        xy[:, 0], xy[:, 1], c=total, s=size, cmap="magma_r", norm=norm, zorder=5, linewidths=0
    )
