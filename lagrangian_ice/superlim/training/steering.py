"""Descriptors as they would be had the ice not turned: one linear map for each rotation.

Descriptors of turned ice are, to a cosine of 0.9, a linear map of those of the same ice
upright; the map depends on the network and the angle, hardly on the ice (steerers: Bökman et
al. 2024, https://arxiv.org/abs/2312.02152). It is found by least squares on simulated ice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.simulate.texture import ice_texture
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.features import CELL_CENTRE, DESCRIPTOR_SIZE, STRIDE, Features
from lagrangian_ice.superlim.network import SuperLIM
from lagrangian_ice.superlim.scaling import Pixels
from lagrangian_ice.superlim.training.losses import all_cells, sampled
from lagrangian_ice.superlim.training.pairs import sample, scaled

SEED = 20231203
TEXTURES = 4
SIDE, VIEW = 640, 400
"""Pixels of the simulated ice, and of the views: their corners stay inside at any angle."""
NOISE = 0.4
"""Speckle of the views, in standard deviations of the texture."""
EDGE = 6
"""Cells along the edge of a view whose descriptors see beyond it."""
RIDGE = 1e-3


def turned_features(
    image: GeoImage, network: SuperLIM, settings: FeatureSettings, rotation: float
) -> Features:
    """Features as they would be had the ice not turned.

    A network with a rotation input is told; the descriptors of another are steered.

    Parameters
    ----------
    image : GeoImage
        Geocoded pass.
    network : SuperLIM
        In evaluation mode.
    settings : FeatureSettings
        Tile size, precision and device.
    rotation : float
        Degrees counter-clockwise by which the ice has turned since the other image.
    """
    if network.topology.rotation_input:
        return extract_features(image, network, settings, rotation)
    features = extract_features(image, network, settings)
    return steered(features, steerer(network, rotation)) if rotation else features


def steerer(network: SuperLIM, rotation: float) -> NDArray[np.float32]:
    """Map (256, 256) from descriptors of turned ice to those of the same ice upright.

    Parameters
    ----------
    network : SuperLIM
        In evaluation mode.
    rotation : float
        Degrees counter-clockwise by which the ice has turned.

    Returns
    -------
    (256, 256) float32
        To be applied from the right; what comes out is not of unit length.
    """
    rng = np.random.default_rng(SEED)
    products = torch.zeros(2, DESCRIPTOR_SIZE, DESCRIPTOR_SIZE, dtype=torch.float64)
    count = 0
    for _ in range(TEXTURES):
        upright, turned = _same_ice(network, rotation, rng)
        products += torch.stack([turned.T @ turned, turned.T @ upright]).double()
        count += len(turned)
    ridge = RIDGE * count / DESCRIPTOR_SIZE * torch.eye(DESCRIPTOR_SIZE, dtype=torch.float64)
    matrix: NDArray[np.float32] = (
        torch.linalg.solve(products[0] + ridge, products[1]).float().numpy()
    )
    return matrix


def steered(features: Features, matrix: NDArray[np.float32]) -> Features:
    """Features whose descriptors went through a steerer."""
    descriptors = np.zeros_like(features.descriptors)
    turned = features.descriptors[features.valid].astype(np.float32) @ matrix
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    descriptors[features.valid] = turned / np.maximum(length, 1e-6)
    return replace(features, descriptors=descriptors)


def _same_ice(
    network: SuperLIM, rotation: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Descriptors (N, 256) of the same places of simulated ice, upright and turned."""
    texture = ice_texture((SIDE, SIDE), rng)
    texture = (texture - texture.mean()) / texture.std()
    angle = np.radians(rotation)
    # In x right and y down: where the pixels of the turned view look.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offsets = np.stack(np.meshgrid(*[np.arange(VIEW) - (VIEW - 1) / 2] * 2), axis=-1)
    maps = []
    for linear in (np.eye(2), turn):
        at = (offsets @ linear.T + (SIDE - 1) / 2).astype(np.float32)
        view = sample(texture, at) + NOISE * rng.normal(size=(VIEW, VIEW)).astype(np.float32)
        maps.append(_descriptors(network, view))
    upright, turned = maps
    count = VIEW // STRIDE
    cells = np.stack(np.meshgrid(*[np.arange(count)] * 2), axis=-1).reshape(-1, 2)
    middle = (VIEW - 1) / 2
    there = (cells * STRIDE + CELL_CENTRE - middle) @ turn + middle
    ends = (there - CELL_CENTRE) / STRIDE
    known = ((np.stack([cells, ends]) >= EDGE) & (np.stack([cells, ends]) <= count - 1 - EDGE)).all(
        axis=(0, 2)
    )
    rowcol = torch.from_numpy(ends[known][None, :, ::-1].astype(np.float32))
    own = torch.from_numpy(cells[known] @ np.array([1, count]))
    return all_cells(upright)[0][own], sampled(turned, rowcol)[0]


def _descriptors(network: SuperLIM, view: Pixels) -> Tensor:
    """Map (1, 256, h, w) of one view; a network with two inputs sees it twice."""
    inputs = torch.from_numpy(scaled(view, network.topology.scaling))
    with torch.inference_mode():
        descriptors: Tensor = network(inputs.expand(1, network.topology.inputs, -1, -1))[1]
    return descriptors
