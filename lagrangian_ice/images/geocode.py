"""From the frames of a pass to one image on the map grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from lagrangian_ice.engine import thread_count
from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import Float, Grid
from lagrangian_ice.images.geoimage import TIME_STRIDE, GeoImage
from lagrangian_ice.images.land import is_land, land_mask
from lagrangian_ice.images.resample import Pixels, Source, reduce_rows, reduction, sample
from lagrangian_ice.images.trend import fit_trend, trend_at, trend_order
from lagrangian_ice.images.warp import PixelMap
from lagrangian_ice.scenes.georeference import Georeference
from lagrangian_ice.scenes.reader import read_georeference, read_noise_floor, read_rows
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

_TILE = 512
_READ_ROWS = 256
_TREND_SIDE = 400


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
    frames = [_frame(scene, grid) for scene in ordered]
    data = np.full((len(polarisations), *grid.shape), np.nan, dtype=np.float32)
    for band, polarisation in zip(data, polarisations, strict=True):
        _fill_band(band, frames, polarisation, settings.remove_incidence_trend)
    node_time, node_incidence = _node_values(frames, grid)
    return GeoImage(
        pass_id=ordered[0].pass_id,
        scene_ids=tuple(scene.id for scene in ordered),
        grid=grid,
        polarisations=polarisations,
        units=units,
        data=data,
        land=land_mask(grid),
        node_time=node_time,
        node_incidence=node_incidence,
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


def _fill_band(band: Pixels, frames: Sequence[_Frame], polarisation: str, detrend: bool) -> None:
    origin = np.full(band.shape, -1, dtype=np.int16)
    trends = []
    for number, frame in enumerate(frames):
        source = _reduced(frame, polarisation)
        floor = _floor(frame.scene, polarisation)
        if detrend:
            trends.append(_trend(frame, source, floor))
        _place(band, origin, number, frame, source, floor)
    # one trend for all frames, for two would leave a step where the frames meet
    orders = {len(trend) for trend in trends}
    if len(orders) == 1 and orders != {1}:
        _subtract_trend(band, origin, frames, np.mean(trends, axis=0))


def _reduced(frame: _Frame, polarisation: str) -> Source:
    factors, sigma = reduction(frame.pixel_map.scale())
    step = max(1, _READ_ROWS // factors[0]) * factors[0]
    scene = frame.scene
    blocks = (
        (row, _to_linear(pixels, scene.units))
        for row, pixels in read_rows(scene, polarisation, step)
    )
    return Source(reduce_rows(blocks, scene.shape, factors), factors, sigma)


def _place(
    band: Pixels,
    origin: NDArray[np.int16],
    number: int,
    frame: _Frame,
    source: Source,
    floor: float,
) -> None:
    def place(rows: slice, cols: slice) -> None:
        there = (_shifted(rows, frame.rows.start), _shifted(cols, frame.cols.start))
        free = np.isnan(band[there])
        if not (free.any() and frame.pixel_map.touches(rows, cols)):
            return
        values = sample(source, *frame.pixel_map.rowcol(rows, cols))
        values = _from_linear(values, frame.scene.units, floor)
        taken = free & np.isfinite(values)
        band[there][taken] = values[taken]
        origin[there][taken] = number

    _for_tiles(frame, place)


def _trend(frame: _Frame, source: Source, floor: float) -> Float:
    scene = frame.scene
    order = trend_order(scene.shape[1] * scene.pixel) if frame.georeference.is_swath else 0
    if order == 0:
        return np.zeros(1)
    steps = [max(1, size // _TREND_SIDE) for size in source.pixels.shape]
    thin = source.pixels[:: steps[0], :: steps[1]]
    rows, cols = (np.arange(0, n, s) for n, s in zip(source.pixels.shape, steps, strict=True))
    stored = [
        index * factor + 0.5 * (factor - 1)
        for index, factor in zip((rows, cols), source.factors, strict=True)
    ]
    nodes = np.stack(np.meshgrid(*stored, indexing="ij"), axis=-1)
    sea = ~is_land(frame.georeference.xy(nodes.reshape(-1, 2))).reshape(thin.shape)
    return fit_trend(_from_linear(thin, scene.units, floor), sea, order)


def _subtract_trend(
    band: Pixels, origin: NDArray[np.int16], frames: Sequence[_Frame], coefficients: Float
) -> None:
    for number, frame in enumerate(frames):

        def subtract(rows: slice, cols: slice, frame: _Frame = frame, number: int = number) -> None:
            there = (_shifted(rows, frame.rows.start), _shifted(cols, frame.cols.start))
            own = origin[there] == number
            if own.any():
                column = frame.pixel_map.column(rows, cols)
                trend = trend_at(coefficients, column[own], frame.scene.shape[1])
                band[there][own] -= trend.astype(np.float32)

        _for_tiles(frame, subtract)


def _to_linear(pixels: Pixels, units: Units) -> Pixels:
    if units != "db":
        return pixels
    return np.asarray(np.power(np.float32(10), pixels / np.float32(10)), dtype=np.float32)


def _from_linear(values: Pixels, units: Units, floor: float) -> Pixels:
    if units == "grey":
        return values
    return np.asarray(10 * np.log10(np.maximum(values, np.float32(floor))), dtype=np.float32)


def _floor(scene: Scene, polarisation: str) -> float:
    noise = read_noise_floor(scene, polarisation)
    return FLOOR if noise is None else max(FLOOR, NOISE_SHARE * noise)


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


def _node_values(frames: Sequence[_Frame], grid: Grid) -> tuple[Float, Float | None]:
    """Time and, where all frames tell it, incidence angle at the nodes, of the nearest frame."""
    nodes = [np.arange((size - 1) // TIME_STRIDE + 2) * float(TIME_STRIDE) for size in grid.shape]
    xy = grid.xy(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1))
    best = np.full(xy.shape[:2], np.inf)
    times = np.full(xy.shape[:2], np.nan)
    angles = np.full(xy.shape[:2], np.nan)
    for frame in frames:
        rowcol = frame.georeference.rowcol(xy)
        last = np.asarray(frame.scene.shape, dtype=np.float64) - 1
        outside = np.maximum(np.maximum(-rowcol, rowcol - last), 0.0).max(axis=-1)
        outside = np.where(np.isfinite(outside), outside, np.finfo(np.float64).max)
        nearer = outside < best
        times[nearer] = _line_times(frame, rowcol[..., 0])[nearer]
        if isinstance(frame.georeference, SwathGeoreference):
            angles[nearer] = frame.georeference.incidence_angle(rowcol[nearer])
        best[nearer] = outside[nearer]
    return times, angles if np.all(np.isfinite(angles)) else None


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
