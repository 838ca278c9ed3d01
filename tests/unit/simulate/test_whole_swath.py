"""A full EW swath, and one acquisition in one product or in two, read back and geocoded."""

from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.scenes.reader import open_scene, read_band, read_georeference
from lagrangian_ice.settings import ImageSettings
from lagrangian_ice.simulate.radar_swath import RadarSwath, plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame
from lagrangian_ice.simulate.speckle import speckle
from lagrangian_ice.times import to_seconds

START = 1609459200.0
WIDE = plan_radar_swath((-150.0, 80.0), START, False, 19.5, (240e3, 396e3), 400.0)
SWATH = plan_radar_swath((-150.0, 80.0), START, False, 25.0, (60e3, 40e3), 80.0)
SETTINGS = ImageSettings(remove_incidence_trend=False)
LEVEL = {"HH": -15.0, "HV": -28.0}
"""HV is as strong as the noise is on average."""


def images(swath: RadarSwath, looks: float) -> tuple[np.ndarray, np.ndarray]:
    level = np.array([10 ** (value / 10) for value in LEVEL.values()], dtype=np.float32)
    rng = np.random.default_rng(1)
    noise = np.stack([speckle(swath.shape, rng, looks) for _ in LEVEL])
    return np.broadcast_to(level[:, None, None], noise.shape), noise


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(
        tmp_path_factory.mktemp("wide"), SafeFrame(WIDE, "S1A", 5, 5), *images(WIDE, 40.0)
    )


@pytest.mark.parametrize("name", ["HH", "HV"])
def test_down_to_the_noise_floor_all_columns_are_unbiased(wide: Path, name: str) -> None:
    band = read_band(open_scene(wide), name).astype(np.float64)
    for part in np.array_split(band, 20, axis=1):
        assert 10 * np.log10(part.mean()) - LEVEL[name] == pytest.approx(0, abs=0.05)


def test_positions_and_times_of_the_whole_swath(wide: Path) -> None:
    scene = open_scene(wide)
    rowcol = np.random.default_rng(0).uniform(0, 1, (3000, 2)) * (np.array(WIDE.shape) - 1)
    xy = WIDE.xy(rowcol)
    found = read_georeference(scene).xy(rowcol)
    assert np.hypot(*(found - xy).T).max() < 5.0
    image = geocode_pass([scene], 400.0, SETTINGS)
    assert np.abs(image.time_at(xy) - WIDE.line_time(rowcol[:, 0])).max() < 1e-3
    angles = WIDE.incidence_at(rowcol)
    assert np.abs(read_georeference(scene).incidence_angle(rowcol) - angles).max() < 0.01
    assert to_seconds(scene.stop) == pytest.approx(WIDE.stop, abs=1e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> GeoImage:
    return _geocoded(tmp_path_factory.mktemp("whole"), [(0, SWATH.shape[0])])


def _geocoded(folder: Path, frames: list[tuple[int, int]]) -> GeoImage:
    sigma0, looks = images(SWATH, 11.0)
    scenes = []
    for number, (first, stop) in enumerate(frames, start=1):
        frame = SafeFrame(SWATH.frame(first, stop - first), "S1A", 5, 5, number, len(frames))
        lines = np.s_[:, first:stop]
        scenes.append(open_scene(write_safe(folder, frame, sigma0[lines], looks[lines])))
    return geocode_pass(scenes, 100.0, SETTINGS)


@pytest.mark.parametrize("shared", [0, 30], ids=["abutting", "overlapping"])
def test_two_frames_are_the_one_acquisition(tmp_path: Path, whole: GeoImage, shared: int) -> None:
    """A line twice, or one left out, would move all that follows it by 80 m."""
    rows, cut = SWATH.shape[0], 400
    two = _geocoded(tmp_path, [(0, cut), (cut - shared, rows)])
    assert two.grid == whole.grid
    np.testing.assert_array_equal(two.valid, whole.valid)
    place = np.argwhere(whole.valid)
    xy = whole.grid.xy(place)
    line = SWATH.rowcol(xy)[:, 0]
    away = np.abs(line - (cut - 0.5)) * SWATH.pixel / two.grid.pixel
    difference = (two.band("HH") - whole.band("HH"))[place[:, 0], place[:, 1]]
    # less than a fifth of what speckle does to a pixel next to the seam, nothing further off
    assert np.abs(difference[away < 1].mean()) < 0.05
    assert difference[away < 1].std() < 0.5
    assert difference[(away >= 2) & (away < 4)].std() < 0.03
    assert difference[away >= 4].std() < 0.02
    assert np.abs(two.time_at(xy) - SWATH.line_time(line)).max() < 1e-3
