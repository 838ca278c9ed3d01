"""Features of one image, tile by tile, independent of the tiling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.superlim.features import DESCRIPTOR_SIZE, STRIDE, Features
from lagrangian_ice.superlim.network import HALO, SuperLIM, Topology
from lagrangian_ice.superlim.scaling import Pixels, local_scaled, percentile_scaled

LEAST_VALID = 0.75
"""Share of a cell's pixels, and of its eight neighbours', that must have data."""


def extract_features(image: GeoImage, network: SuperLIM, settings: FeatureSettings) -> Features:
    """Keypoint scores and descriptors of every 8 x 8 pixel cell.

    Parameters
    ----------
    image : GeoImage
        Geocoded pass. Rows and columns beyond the last whole cell are not looked at.
    network : SuperLIM
        In evaluation mode.
    settings : FeatureSettings
        Tile size and device.

    Returns
    -------
    Features

    Raises
    ------
    ValueError
        If the image is smaller than one cell, or the network is in training mode (its
        batch statistics would make descriptors depend on far pixels).
    """
    if network.training:
        raise ValueError("network is in training mode; call network.eval() first")
    height, width = (n // STRIDE for n in image.grid.shape)
    if height == 0 or width == 0:
        raise ValueError(f"image of {image.grid.shape} pixels is smaller than a cell")
    inputs = network_input(image, network.topology)[:, : height * STRIDE, : width * STRIDE]
    scores = np.zeros((height, width), np.float32)
    descriptors = np.zeros((height, width, DESCRIPTOR_SIZE), np.float16)
    valid = valid_cells(image.valid)
    device = torch.device(settings.device)
    network.to(device)
    # torch's own annotations leave this documented form out.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for tile in tiles(height * STRIDE, width * STRIDE, settings.tile):
        cells = tuple(slice(s.start // STRIDE, s.stop // STRIDE) for s in tile)
        if valid[cells].any():
            scores[cells], descriptors[cells] = _run_tile(network, inputs, tile, device)
    descriptors[~valid] = 0
    scores[~valid] = 0
    return Features(image.grid, scores, descriptors, valid, network.sha256)


def network_input(image: GeoImage, topology: Topology) -> Pixels:
    """Scaled pixels (inputs, rows, cols).

    A one-channel network sees the co-polarised band, which is furthest above the noise floor;
    a two-channel network given one band sees it twice.
    """
    names = (image.co_polarised_first * 2)[: topology.inputs]
    return np.stack([_scaled(image.band(name), image.units, topology) for name in names])


def _scaled(pixels: Pixels, units: str, topology: Topology) -> Pixels:
    scaling = topology.scaling
    if not np.isfinite(pixels).any():
        return np.zeros_like(pixels)
    if scaling.kind == "local":
        return local_scaled(pixels, scaling.sigma)
    return percentile_scaled(pixels, scaling.floor_db if units == "db" else None)


def valid_cells(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells (h, w) with enough data in themselves and in the 3 x 3 cells around."""
    height, width = (n // STRIDE for n in valid.shape)
    blocks = valid[: height * STRIDE, : width * STRIDE].reshape(height, STRIDE, width, STRIDE)
    share = blocks.mean(axis=(1, 3))
    padded = np.pad(share, 1, mode="edge")
    around = sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    return np.asarray((share >= LEAST_VALID) & (around >= LEAST_VALID))


def tiles(rows: int, cols: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Non-overlapping tiles of whole cells that cover the image."""
    for top in range(0, rows, side):
        for left in range(0, cols, side):
            yield slice(top, min(top + side, rows)), slice(left, min(left + side, cols))


def _run_tile(
    network: SuperLIM, inputs: Pixels, tile: tuple[slice, slice], device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Scores and descriptors of a tile's cells, computed with a halo around it."""
    outer = [slice(max(s.start - HALO, 0), s.stop + HALO) for s in tile]
    window = torch.from_numpy(inputs[:, outer[0], outer[1]])[None].to(device)
    with torch.inference_mode():
        logits, descriptors = network(window.contiguous(memory_format=torch.channels_last))
        cells = [
            slice((s.start - o.start) // STRIDE, (s.stop - o.start) // STRIDE)
            for s, o in zip(tile, outer, strict=True)
        ]
        scores = keypoint_scores(logits)[0, cells[0], cells[1]]
        kept = descriptors[0, :, cells[0], cells[1]].permute(1, 2, 0).to(torch.float16)
    return scores.cpu().numpy(), kept.cpu().numpy()


def keypoint_scores(logits: Tensor) -> Tensor:
    """Largest keypoint probability of each cell, (B, 65, h, w) -> (B, h, w)."""
    return torch.softmax(logits, dim=1)[:, :-1].amax(dim=1)
