"""Known motion of a real texture, which is smoother than the simulated ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lagrangian_ice.matching.match import match_field, match_images
from lagrangian_ice.settings import FeatureSettings, FirstGuessSettings, MccSettings
from lagrangian_ice.simulate.pairs import known_motion_pair
from lagrangian_ice.superlim.extract import extract_features
from lagrangian_ice.superlim.weights_store import load_network

DATA = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA") or "/nowhere") / "pairs"
SCENE = "S1_EW_20200304T171352_HH_20200304_1.tif"
SIDE = 1024
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]


def texture():
    """Crop without gaps, its grey levels taken for decibels over a range of 22."""
    with rasterio.open(DATA / SCENE) as scene:
        grey = scene.read(1)
    rows, cols = (range(0, size - SIDE, 128) for size in grey.shape)
    row, col = next(
        (r, c) for r in rows for c in cols if (grey[r : r + SIDE, c : c + SIDE] > 0).all()
    )
    return np.float32(-26 + grey[row : row + SIDE, col : col + SIDE] * (22 / 255))


def test_what_a_thorough_second_look_finds_does_not_stand_in_for_what_is_surer():
    pair = known_motion_pair(52, "rotation", texture=texture())
    network = load_network("default")
    images = (pair.source, pair.target)
    first, second = (extract_features(image, network, FeatureSettings()) for image in images)
    asked = FirstGuessSettings()
    field = match_field(pair.source, first, pair.target, second, asked)
    steps = np.arange(20, SIDE - 20, 17.0)
    xy = pair.source.grid.xy(np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2))
    xy = xy[pair.observable(xy, 1650.0)]
    right = {}
    for thorough in (False, True):
        vectors = match_images(
            pair.source,
            first,
            pair.target,
            second,
            xy,
            asked,
            MccSettings(thorough=thorough),
            field,
        )
        right[thorough] = np.hypot(*(vectors.xy1 - pair.truth(xy)).T) < 300
    assert right[True].mean() >= 0.98
    assert not (right[False] & ~right[True]).any()
