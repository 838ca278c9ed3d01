"""Features of one image, tile by tile, independent of the tiling and of the threads."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lagrangian_ice.engine import thread_map
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.superlim.device import usable_device
from lagrangian_ice.superlim.features import DESCRIPTOR_SIZE, STRIDE, Features
from lagrangian_ice.superlim.folded import (
    COARSE_HALO,
    FINE_HALO,
    FINE_STRIDE,
    FoldedNetwork,
    fold,
)
from lagrangian_ice.superlim.network import Scaling, SuperLIM, Topology
from lagrangian_ice.superlim.scaling import Pixels, local_scaled, percentile_scaled

LEAST_VALID = 0.75
"""Share of a cell's pixels, and of its eight neighbours', that must have data."""
FINE_TILE = 32
"""Cells per side of the fine layers' tiles, whose maps then stay in the processor's cache."""
COARSE_CELLS = COARSE_HALO // STRIDE
INPUT_HALO = COARSE_HALO + STRIDE
"""Pixels without data around the network's input: both halves' halo, to the next whole cell."""
NODES = STRIDE // FINE_STRIDE
"""Nodes of the map between the network's halves per cell side."""

Cells = tuple[slice, slice]


def extract_features(
    image: GeoImage,
    network: SuperLIM,
    settings: FeatureSettings,
    rotation: float = 0.0,
) -> Features:
    """Keypoint scores and descriptors of every 8 x 8 pixel cell.

    Outside the image the network sees what it sees where there is no data.

    Parameters
    ----------
    image : GeoImage
        Geocoded pass. Rows and columns beyond the last whole cell are not looked at.
    network : SuperLIM
        In evaluation mode.
    settings : FeatureSettings
        Tile size, precision and device.
    rotation : float, optional
        Degrees counter-clockwise by which the ice has turned since the other image, for a
        network with a rotation input.

    Returns
    -------
    Features

    Raises
    ------
    ValueError
        If the image is smaller than one cell, or the network is in training mode (its
        batch statistics would make descriptors depend on far pixels), or it is told a rotation
        and has no input for it.
    SettingsError
        If the device is not there.
    """
    height, width = (n // STRIDE for n in image.grid.shape)
    if height == 0 or width == 0:
        raise ValueError(f"image of {image.grid.shape} pixels is smaller than a cell")
    dtype = getattr(torch, settings.precision)
    folded = fold(network, usable_device(settings.device), dtype, rotation)
    valid = valid_cells(image.valid)
    scores = np.zeros((height, width), np.float32)
    descriptors = np.zeros((height, width, DESCRIPTOR_SIZE), np.float16)
    nodes = _nodes(folded, network_input(image, network.topology), valid)

    def look(tile: Cells) -> None:
        with torch.inference_mode():
            window = nodes[:, :, _widened(tile[0]), _widened(tile[1])]
            found, described = folded.scores_and_descriptors(window)
            scores[tile] = found.cpu().numpy()
            descriptors[tile] = described.to(torch.float16).cpu().numpy()

    for _ in thread_map(look, wanted_tiles(valid, settings.tile // STRIDE)):
        pass
    descriptors[~valid] = 0
    scores[~valid] = 0
    return Features(image.grid, scores, descriptors, valid, network.sha256)


def _widened(cells: slice) -> slice:
    """Nodes of cells and the coarse half's halo, counted from the halo's first."""
    return slice(cells.start * NODES, (cells.stop + 2 * COARSE_CELLS) * NODES)


def _nodes(folded: FoldedNetwork, inputs: Pixels, valid: NDArray[np.bool_]) -> Tensor:
    """Fine half's output (1, channels, nodes, nodes) over the image and a halo around it.

    Zero where no valid cell can depend on it.
    """
    height, width = (n + 2 * COARSE_CELLS for n in valid.shape)
    around = np.ones((2 * COARSE_CELLS + 1,) * 2, np.uint8)
    seen = cv2.dilate(np.pad(valid, COARSE_CELLS).astype(np.uint8), around) > 0
    channels = _channels(folded)
    nodes = torch.zeros(
        (1, channels, height * NODES, width * NODES), device=folded.device, dtype=folded.dtype
    ).contiguous(memory_format=torch.channels_last)
    pixels = torch.from_numpy(inputs)[None]

    def look(tile: Cells) -> None:
        # what is given begins a cell before the first tile
        begins, ends = STRIDE - FINE_HALO, STRIDE + FINE_HALO
        outer = [slice(s.start * STRIDE + begins, s.stop * STRIDE + ends) for s in tile]
        inner = [slice(s.start * NODES, s.stop * NODES) for s in tile]
        with torch.inference_mode():
            window = pixels[:, :, outer[0], outer[1]].to(folded.device, folded.dtype)
            window = window.contiguous(memory_format=torch.channels_last)
            nodes[:, :, inner[0], inner[1]] = folded.fine(window)

    for _ in thread_map(look, wanted_tiles(seen, FINE_TILE)):
        pass
    return nodes


def _channels(folded: FoldedNetwork) -> int:
    """Channels of the map between the network's halves."""
    return next(m.in_channels for m in folded.coarse.modules() if isinstance(m, nn.Conv2d))


def network_input(image: GeoImage, topology: Topology) -> Pixels:
    """Scaled pixels of the whole cells and the network's halo around them.

    A one-channel network sees the co-polarised band, which is furthest above the noise floor;
    a two-channel network given one band sees it twice.

    Returns
    -------
    (inputs, rows, cols) float32
        With ``INPUT_HALO`` pixels without data on each side.
    """
    names = (image.co_polarised_first * 2)[: topology.inputs]
    halo = INPUT_HALO
    rows, cols = (n // STRIDE * STRIDE for n in image.grid.shape)
    inputs = np.full(
        (len(names), rows + 2 * halo, cols + 2 * halo), topology.scaling.missing, np.float32
    )
    for layer, name in zip(inputs, names, strict=True):
        pixels = image.band(name)[:rows, :cols]
        if np.isfinite(pixels).any():
            _scale(pixels, image.units, topology.scaling, layer[halo:-halo, halo:-halo])
    return inputs


def _scale(pixels: Pixels, units: str, scaling: Scaling, out: Pixels) -> None:
    if scaling.kind == "local":
        local_scaled(pixels, scaling.sigma, out)
    else:
        out[:] = percentile_scaled(pixels, scaling.floor_db if units == "db" else None)


def valid_cells(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells (h, w) with enough data in themselves and in the 3 x 3 cells around."""
    height, width = (n // STRIDE for n in valid.shape)
    blocks = valid[: height * STRIDE, : width * STRIDE].reshape(height, STRIDE, width, STRIDE)
    share = blocks.mean(axis=(1, 3))
    padded = np.pad(share, 1, mode="edge")
    around = sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    return np.asarray((share >= LEAST_VALID) & (around >= LEAST_VALID))


def wanted_tiles(wanted: NDArray[np.bool_], side: int) -> Iterator[Cells]:
    """Tiles of at most ``side`` cells that do not overlap and hold all wanted cells (h, w)."""
    height, width = wanted.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            inside = wanted[top : top + side, left : left + side]
            rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
            if len(rows):
                yield (
                    slice(top + int(rows[0]), top + int(rows[-1]) + 1),
                    slice(left + int(cols[0]), left + int(cols[-1]) + 1),
                )
