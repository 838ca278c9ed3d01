import numpy as np
import pytest

from lagrangian_ice.scenes.reader import open_scene, read_band
from lagrangian_ice.scenes.safe_files import find_product
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.radar_swath import plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame
from lagrangian_ice.simulate.speckle import speckle

SWATH = plan_radar_swath((-150.0, 80.0), 1609459200.0, False, 25.0, (80e3, 120e3), 80.0)
EDGE = 40


def scene_of(tmp_path, old):
    """Dark water at -40 dB in HV, and a border with a tenth of the noise's power."""
    sigma0 = np.full((2, *SWATH.shape), 1e-4, dtype=np.float32)
    looks = np.stack([speckle(SWATH.shape, np.random.default_rng(k), 11, 1.0) for k in (0, 1)])
    for side in (np.s_[:, :, :EDGE], np.s_[:, :, -EDGE:], np.s_[:, :EDGE], np.s_[:, -EDGE:]):
        looks[side] *= 0.1
    frame = SafeFrame(SWATH, "S1A", 5, 5, noise=NoiseSettings(azimuth=not old))
    return open_scene(write_safe(tmp_path, frame, sigma0, looks))


@pytest.mark.parametrize("polarisation", ["HH", "HV"])
def test_borders_of_old_products_are_no_data_and_dark_water_stays(tmp_path, polarisation):
    scene = scene_of(tmp_path, old=True)
    assert find_product(scene.path).processor < (2, 90)
    missing = np.isnan(read_band(scene, polarisation))
    inside = np.zeros(SWATH.shape, dtype=bool)
    # a cell that lies half in the border goes to the side that its mean tells
    inside[EDGE + 16 : -EDGE - 16, EDGE + 16 : -EDGE - 16] = True
    outside = np.ones(SWATH.shape, dtype=bool)
    outside[EDGE - 16 : -EDGE + 16, EDGE - 16 : -EDGE + 16] = False
    assert not missing[inside].any()
    assert missing[outside].all()


def test_newer_products_are_left_as_they_are(tmp_path):
    scene = scene_of(tmp_path, old=False)
    assert find_product(scene.path).processor == (3, 52)
    assert not np.isnan(read_band(scene, "HV")).any()
