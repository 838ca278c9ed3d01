"""Textures for training."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lagrangian_ice.errors import SceneError
from lagrangian_ice.superlim.training.textures import from_scenes, simulated


@pytest.fixture
def scene(tmp_path):
    def write(pixels):
        path = tmp_path / "S1A_EW_HH_20200304T171352.tif"
        transform = Affine(100.0, 0, -50_000, 0, -100.0, -600_000)
        profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:3413"}
        shape = {"height": pixels.shape[0], "width": pixels.shape[1]}
        with rasterio.open(path, "w", transform=transform, **profile, **shape) as dataset:
            dataset.write(pixels.astype(np.float32), 1)
            dataset.update_tags(time_coverage_start="2020-03-04T17:13:52Z")
        return path

    return write


def test_textures_of_a_scene_have_no_gaps_and_its_values(scene):
    pixels = np.random.default_rng(0).normal(-14, 3, (200, 300))
    pixels[:, 150:] = np.nan
    texture = from_scenes([scene(pixels)], 96)
    for seed in range(5):
        cut = texture(np.random.default_rng(seed))
        assert cut.shape == (96, 96)
        assert np.isfinite(cut).all()
        assert abs(cut.mean() + 14) < 1


def test_same_seed_gives_the_same_texture(scene):
    texture = from_scenes([scene(np.random.default_rng(0).normal(-14, 3, (200, 300)))], 64, 0.5)
    for seed in range(4):
        first, second = (texture(np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_scene_full_of_gaps_is_refused(scene):
    pixels = np.random.default_rng(0).normal(-14, 3, (200, 300))
    pixels[::3] = np.nan
    with pytest.raises(SceneError, match="without gaps"):
        from_scenes([scene(pixels)], 96)(np.random.default_rng(0))


def test_no_scenes_is_refused():
    with pytest.raises(ValueError, match="no scenes"):
        from_scenes([], 64)


def test_simulated_textures_have_the_size_asked_for():
    assert simulated(64)(np.random.default_rng(0)).shape == (64, 64)
