"""Descriptors of turned ice, steered back."""

import cv2
import numpy as np
import pytest

from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.simulate.texture import ice_texture
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.training.steering import steered, steerer, turned_features
from lagrangian_ice.superlim.weights_store import load_network

SIDE = 400


@pytest.fixture(scope="module")
def network():
    return load_network("default")


def image(data):
    return GeoImage(
        pass_id="p",
        scene_ids=("s",),
        grid=Grid(0.0, 0.0, 100.0, data.shape),
        polarisations=("HH",),
        units="db",
        data=data[None].astype(np.float32),
        land=np.zeros(data.shape, bool),
        node_time=np.zeros((14, 14)),
    )


def right_share(network, degrees, rotation):
    """Share of cells that are most like the cell of the same ice, turned about the middle."""
    ice = ice_texture((SIDE, SIDE), np.random.default_rng(7))
    middle = ((SIDE - 1) / 2,) * 2
    # OpenCV turns counter-clockwise, as the ice on a map grid does.
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    turned = cv2.warpAffine(ice, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    noise = np.random.default_rng(8).normal(0, 0.4 * ice.std(), (2, SIDE, SIDE))
    settings = FeatureSettings()
    source = extract_features(image(ice + noise[0]), network, settings)
    target = turned_features(image(turned + noise[1]), network, settings, rotation)
    count = SIDE // 8
    rows, cols = np.mgrid[:count, :count]
    near = (np.hypot(rows - (count - 1) / 2, cols - (count - 1) / 2) < count / 2 - 6).ravel()
    pixels = np.stack([cols, rows], axis=-1).reshape(-1, 2) * 8 + 3.5
    ends = (np.c_[pixels, np.ones(len(pixels))] @ matrix.T - 3.5) / 8
    likeness = source.descriptors.reshape(-1, 256)[near].astype(np.float32)
    best = (likeness @ target.descriptors.reshape(-1, 256).T.astype(np.float32)).argmax(axis=1)
    found = np.stack([best % count, best // count], axis=-1)
    return (np.linalg.norm(found - ends[near], axis=1) <= 1.0).mean()


def test_ice_turned_by_any_angle_is_known_again_when_steered(network):
    assert right_share(network, 140.0, 0.0) < 0.1
    assert right_share(network, 140.0, 140.0) > 0.9
    assert right_share(network, -90.0, -90.0) > 0.9
    assert right_share(network, -90.0, 90.0) < 0.1


def test_no_rotation_is_no_change(network):
    ice = image(ice_texture((160, 160), np.random.default_rng(1)))
    plain = extract_features(ice, network, FeatureSettings())
    told = turned_features(ice, network, FeatureSettings(), 0.0)
    np.testing.assert_array_equal(told.descriptors, plain.descriptors)


def test_steered_descriptors_are_of_unit_length_and_missing_ones_stay(network):
    data = ice_texture((160, 160), np.random.default_rng(1))
    data[:, 80:] = np.nan
    features = extract_features(image(data), network, FeatureSettings())
    turned = steered(features, steerer(network, 60.0))
    length = np.linalg.norm(turned.descriptors.astype(np.float32), axis=-1)
    np.testing.assert_allclose(length[features.valid], 1, atol=2e-3)
    assert not turned.descriptors[~features.valid].any()
