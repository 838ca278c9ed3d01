"""From the frames of a pass to one image on the map grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely

from lagrangian_ice.engine import thread_count
from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.images.land import is_land, land_mask
from lagrangian_ice.images.resample import (
    Pixels,
    Source,
    reduce_rows,
    reduction,
    sample,
    subtract_between_nodes,
)
from lagrangian_ice.images.trend import fit_trend, trend_at, trend_order
from lagrangian_ice.images.warp import PixelMap
from lagrangian_ice.scenes.georeference import Georeference
from lagrangian_ice.scenes.reader import open_band, read_georeference
from lagrangian_ice.scenes.safe_georeference import SwathGeoreference
from lagrangian_ice.scenes.scene import Scene, Units
from lagrangian_ice.settings import ImageSettings

FLOOR = 1e-4
"""Least sigma nought (-40 dB) before the logarithm: below what Sentinel-1 can see."""

NOISE_SHARE = 0.1
"""Share of the noise-equivalent sigma nought that is the least before the logarithm.

Less the noise, dark ice is scattered about zero, by about 0.15 of the noise at 100 m; the floor
keeps what is negative from becoming an arbitrarily dark speck.
"""

GROUND_SPEED = (6000.0, 7600.0)
"""Metres of ground a second that a radar satellite's lines may pass over."""

MOST_PIXELS = 10**9
"""Of the map grid of a pass: 3,000 km along a diagonal at 100 m. More would not fit into memory."""
_TILE = 512
_READ_ROWS = 256
_TREND_SIDE = 400
_BEYOND = 1.1
"""Nodes just outside of the swath, from which its edge is interpolated, keep their place."""

Span = tuple[float, float]


@dataclass(frozen=True)
class _Frame:
    """One scene of the pass, ready to be put on the grid."""

    scene: Scene
    georeference: Georeference
    pixel_map: PixelMap
    rows: slice
    cols: slice


def geocode_pass(scenes: Sequence[Scene], pixel: float, settings: ImageSettings) -> GeoImage:
    """Put the frames of one pass on one north-up map grid.

    Where the map pixel is the larger one, linear intensity (grey levels as they are) is averaged:
    over whole blocks of stored pixels, then by a Gaussian for the rest. Values are read at
    exact fractional positions by a cubic spline. What two frames see is the earlier one's.

    Parameters
    ----------
    scenes : sequence of Scene
        Frames with one ``pass_id``.
    pixel : float
        Of the map grid, metres.
    settings : ImageSettings
        Whether the incidence trend is taken out.

    Returns
    -------
    GeoImage
        With the polarisations that all frames have, in the order of the first.

    Raises
    ------
    ValueError
        If there are no scenes or they are of several passes.
    SceneError
        If pixels cannot be read, or the frames have no polarisation or units in common.
    """
    ordered = _checked(scenes)
    polarisations = _common_polarisations(ordered)
    units: Units = "grey" if ordered[0].units == "grey" else "db"
    footprint = shapely.union_all([scene.footprint for scene in ordered])
    grid = Grid.covering(footprint.bounds, pixel)
    if grid.shape[0] * grid.shape[1] > MOST_PIXELS:
        paths = ", ".join(str(scene.path) for scene in ordered)
        raise SceneError(
            f"{paths}: {grid.shape[0]} x {grid.shape[1]} pixels of {pixel:g} m would be needed, "
            f"at most {MOST_PIXELS:.0e} are allowed; use a larger pixel, or frames of one pass"
        )
    frames = [_frame(scene, grid) for scene in ordered]
    data = np.full((len(polarisations), *grid.shape), np.nan, dtype=np.float32)
    nodes = _node_values(frames, grid)
    span = nodes.span if settings.remove_incidence_trend else None
    trends = [
        _place_frame(data, frame, polarisations, span, settings.fit_noise) for frame in frames
    ]
    _subtract_trends(data, trends, nodes.across)
    return GeoImage(
        pass_id=ordered[0].pass_id,
        scene_ids=tuple(scene.id for scene in ordered),
        grid=grid,
        polarisations=polarisations,
        units=units,
        data=data,
        land=land_mask(grid),
        node_time=nodes.time,
    )


def _checked(scenes: Sequence[Scene]) -> list[Scene]:
    if not scenes:
        raise ValueError("no scenes to geocode; at least one is needed")
    passes = sorted({scene.pass_id for scene in scenes})
    if len(passes) > 1:
        raise ValueError(f"scenes of passes {', '.join(passes)}; allowed are frames of one pass")
    grey = {scene.units == "grey" for scene in scenes}
    if len(grey) > 1:
        paths = ", ".join(str(scene.path) for scene in scenes)
        raise SceneError(f"{paths}: grey levels and sigma nought in one pass; give one kind")
    return sorted(scenes, key=lambda scene: (scene.start, scene.id))


def _common_polarisations(scenes: Sequence[Scene]) -> tuple[str, ...]:
    common = tuple(
        name for name in scenes[0].polarisations if all(name in s.polarisations for s in scenes)
    )
    if not common:
        paths = ", ".join(f"{scene.path} ({'/'.join(scene.polarisations)})" for scene in scenes)
        raise SceneError(f"{paths}: frames of one pass without a polarisation in common")
    return common


def _frame(scene: Scene, grid: Grid) -> _Frame:
    xmin, ymin, xmax, ymax = scene.footprint.bounds
    corners = grid.rowcol([[xmin, ymax], [xmax, ymin]])
    low = np.maximum(np.floor(corners[0]).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners[1]).astype(int) + 2, grid.shape)
    # positions are interpolated over the frame alone: a long pass bends away from its first frame
    x0, y0 = (float(value) for value in grid.xy(low.astype(np.float64)))
    own = Grid(x0, y0, grid.pixel, (int(high[0] - low[0]), int(high[1] - low[1])))
    georeference = read_georeference(scene)
    return _Frame(
        scene,
        georeference,
        PixelMap(own, georeference),
        slice(int(low[0]), int(high[0])),
        slice(int(low[1]), int(high[1])),
    )


def _place_frame(
    data: Pixels,
    frame: _Frame,
    polarisations: Sequence[str],
    span: Span | None,
    fit_noise: bool,
) -> list[Float | None]:
    """Put a frame's bands on the map where nothing is yet; their trends where a span is given."""
    with ThreadPoolExecutor(thread_count()) as pool:
        layers = list(pool.map(lambda name: _layer(frame, name, span, fit_noise), polarisations))

    def place(rows: slice, cols: slice) -> None:
        there = (_shifted(rows, frame.rows.start), _shifted(cols, frame.cols.start))
        bands = data[(slice(None), *there)]
        free = np.isnan(bands)
        if not (free.any() and frame.pixel_map.touches(rows, cols)):
            return
        row, col = frame.pixel_map.rowcol(rows, cols)
        for band, empty, layer in zip(bands, free, layers, strict=True):
            values = _from_linear(sample(layer.source, row, col), frame.scene.units, layer.floor)
            np.copyto(band, values, where=empty)

    _for_tiles(frame, place)
    return [layer.trend for layer in layers]


@dataclass(frozen=True)
class _Layer:
    """One band of a frame, reduced, and what is known of it; no trend where none shows."""

    source: Source
    floor: float
    trend: Float | None


def _layer(frame: _Frame, polarisation: str, span: Span | None, fit_noise: bool) -> _Layer:
    factors, sigma = reduction(frame.pixel_map.scale())
    step = max(1, _READ_ROWS // factors[0]) * factors[0]
    scene = frame.scene
    stored = open_band(scene, polarisation, fit_noise)
    blocks = ((row, _to_linear(pixels, scene.units)) for row, pixels in stored.rows(step))
    source = Source(reduce_rows(blocks, scene.shape, factors), factors, sigma)
    noise = stored.noise_floor
    floor = FLOOR if noise is None else max(FLOOR, NOISE_SHARE * noise)
    trend = None if span is None else _trend(frame, source, floor, span)
    return _Layer(source, floor, trend)


def _trend(frame: _Frame, source: Source, floor: float, span: Span) -> Float | None:
    scene = frame.scene
    order = trend_order(scene.shape[1] * scene.pixel) if frame.georeference.is_swath else 0
    if order == 0:
        return None
    steps = [max(1, size // _TREND_SIDE) for size in source.pixels.shape]
    thin = source.pixels[:: steps[0], :: steps[1]]
    rows, cols = (np.arange(0, n, s) for n, s in zip(source.pixels.shape, steps, strict=True))
    stored = [
        index * factor + 0.5 * (factor - 1)
        for index, factor in zip((rows, cols), source.factors, strict=True)
    ]
    nodes = np.stack(np.meshgrid(*stored, indexing="ij"), axis=-1)
    sea = ~is_land(frame.georeference.xy(nodes.reshape(-1, 2))).reshape(thin.shape)
    across = _unit(_across(frame, nodes), span).mean(axis=0)
    return fit_trend(_from_linear(thin, scene.units, floor), sea, across, order)


def _subtract_trends(data: Pixels, trends: Sequence[Sequence[Float | None]], across: Float) -> None:
    """Take out one trend for all frames, for two would leave a step where the frames meet.

    It is that of the frames that show one: others, of land for example, are of the same swath.
    """
    for band, fitted in zip(data, zip(*trends, strict=True), strict=True):
        known = [trend for trend in fitted if trend is not None]
        if len({len(trend) for trend in known}) != 1:
            continue
        nodes = trend_at(np.mean(known, axis=0), across).astype(np.float32)
        subtract_between_nodes(band, nodes, TIME_STRIDE)


def _across(frame: _Frame, rowcol: Float) -> Float:
    """Incidence angle, with which the trend goes, or the column where it is not told."""
    if isinstance(frame.georeference, SwathGeoreference):
        return frame.georeference.incidence_angle(rowcol)
    return np.asarray(rowcol[..., 1] / max(frame.scene.shape[1] - 1, 1))


def _unit(across: Float, span: Span) -> Float:
    """Map the range of all frames to -1 to 1."""
    return np.clip(2.0 * (across - span[0]) / (span[1] - span[0]) - 1.0, -_BEYOND, _BEYOND)


def _to_linear(pixels: Pixels, units: Units) -> Pixels:
    if units != "db":
        return pixels
    return np.asarray(np.power(np.float32(10), pixels / np.float32(10)), dtype=np.float32)


def _from_linear(values: Pixels, units: Units, floor: float) -> Pixels:
    if units == "grey":
        return values
    return np.asarray(10 * np.log10(np.maximum(values, np.float32(floor))), dtype=np.float32)


def _for_tiles(frame: _Frame, work: Callable[[slice, slice], None]) -> None:
    """Do the work of all tiles, which write to places of their own, in threads."""
    with ThreadPoolExecutor(thread_count()) as pool:
        for _ in pool.map(lambda tile: work(*tile), _tiles(frame.pixel_map.grid.shape)):
            pass


def _tiles(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for row in range(0, shape[0], _TILE):
        for col in range(0, shape[1], _TILE):
            yield (
                slice(row, min(row + _TILE, shape[0])),
                slice(col, min(col + _TILE, shape[1])),
            )


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


@dataclass(frozen=True)
class _Nodes:
    """What is known at every 32nd pixel of the map (see ``GeoImage``)."""

    time: Float
    across: Float
    span: Span


def _node_values(frames: Sequence[_Frame], grid: Grid) -> _Nodes:
    """Values at the nodes, of the nearest frame."""
    nodes = [np.arange((size - 1) // TIME_STRIDE + 2) * float(TIME_STRIDE) for size in grid.shape]
    xy = grid.xy(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1))
    best = np.full(xy.shape[:2], np.inf)
    times = np.full(xy.shape[:2], np.nan)
    across = np.zeros(xy.shape[:2])
    for frame in frames:
        rowcol = frame.georeference.rowcol(xy)
        last = np.asarray(frame.scene.shape, dtype=np.float64) - 1
        outside = np.maximum(np.maximum(-rowcol, rowcol - last), 0.0).max(axis=-1)
        outside = np.where(np.isfinite(outside), outside, np.finfo(np.float64).max)
        nearer = outside < best
        times[nearer] = _line_times(frame, rowcol[..., 0])[nearer]
        across[nearer] = np.nan_to_num(_across(frame, rowcol[nearer]))
        best[nearer] = outside[nearer]
    span = _span(frames)
    return _Nodes(times, _unit(across, span), span)


def _span(frames: Sequence[_Frame]) -> Span:
    """Least and largest value of what the trend goes with, at the corners of all frames."""
    corners = [
        _across(
            frame, np.array([[0, 0], [0, cols - 1], [rows - 1, 0], [rows - 1, cols - 1]], float)
        )
        for frame in frames
        for rows, cols in [frame.scene.shape]
    ]
    return float(np.min(corners)), float(np.max(corners))


def _line_times(frame: _Frame, row: Float) -> Float:
    """Time of source rows: linear where the rows are the sensor's lines, else the scene's middle.

    A crop keeps the start and stop of the frame it was cut from; its lines then seem to pass too
    slowly, and only the middle of the frame is known.
    """
    scene = frame.scene
    start, stop = scene.start.timestamp(), scene.stop.timestamp()
    middle = np.full(row.shape, 0.5 * (start + stop))
    if not (frame.georeference.is_swath and stop > start):
        return middle
    length = scene.shape[0] * _row_spacing(frame)
    cut = not GROUND_SPEED[0] <= length / (stop - start) <= GROUND_SPEED[1]
    if cut and scene.kind != "safe":
        return middle
    # beyond the scene time goes on, so that between the nodes at its edge it is right
    share = row / max(scene.shape[0] - 1, 1)
    return np.asarray(np.where(np.isfinite(share), start + share * (stop - start), middle))


def _row_spacing(frame: _Frame) -> float:
    rows, cols = frame.scene.shape
    ends = frame.georeference.xy([[0.0, 0.5 * (cols - 1)], [rows - 1.0, 0.5 * (cols - 1)]])
    return float(np.hypot(*(ends[1] - ends[0])) / max(rows - 1, 1))
