"""From simulated SAFE products through the reader and the geocoding, back to what was put in."""

from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.scenes.reader import open_scene, read_band, read_georeference
from lagrangian_ice.settings import ImageSettings
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.radar_swath import plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame, tie_lines_pixels
from lagrangian_ice.simulate.speckle import speckle
from lagrangian_ice.times import to_seconds

START = 1609459200.0
SWATH = plan_radar_swath((-150.0, 80.0), START, False, 25.0, (90e3, 120e3), 80.0)
SHARED = 30
CUT = 600
LAST = SWATH.shape[0] - CUT + SHARED
FRAMES = ((0, CUT), (CUT - SHARED, LAST))
WAVES = np.array([[2 * np.pi / 3000, 4e-4], [-6e-4, 2 * np.pi / 3700]])
LEVEL = {"HH": -15.0, "HV": -26.0}
SETTINGS = ImageSettings(remove_incidence_trend=False)


def pattern(xy: np.ndarray) -> np.ndarray:
    """Backscatter of waves on the map, dB."""
    return 2.0 * np.sin(xy @ WAVES.T).sum(axis=-1)


def mountains(shape: tuple[int, int]) -> np.ndarray:
    count = tuple(len(values) for values in tie_lines_pixels(shape, SWATH.pixel))
    rng = np.random.default_rng(7)
    return np.where(rng.random(count) < 0.15, rng.uniform(50, 900, count), 0.0)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two frames that share lines, the second one zipped, with mountains among the tie points."""
    directory = tmp_path_factory.mktemp("round")
    waves = pattern(SWATH.all_xy())
    sigma0 = np.stack([10 ** ((level + waves) / 10) for level in LEVEL.values()]).astype("f4")
    rng = np.random.default_rng(1)
    noise = np.stack([speckle(SWATH.shape, rng, 30.0, 0.5) for _ in LEVEL])
    paths = []
    for number, (first, rows) in enumerate(FRAMES):
        swath = SWATH.frame(first, rows)
        frame = SafeFrame(
            swath, "S1A", 46117, 361801, number + 1, 2, tie_heights=mountains(swath.shape)
        )
        window = (slice(None), slice(first, first + rows))
        paths.append(write_safe(directory, frame, sigma0[window], noise[window], zipped=number > 0))
    return paths


@pytest.fixture(scope="module")
def image(products: list[Path]) -> GeoImage:
    return geocode_pass([open_scene(path) for path in products], 100.0, SETTINGS)


def test_metadata(products: list[Path]) -> None:
    scenes = [open_scene(path) for path in products]
    assert [scene.shape for scene in scenes] == [(rows, SWATH.shape[1]) for _, rows in FRAMES]
    assert {scene.pass_id for scene in scenes} == {"S1A_046117_058549"}
    for scene, (first, rows) in zip(scenes, FRAMES, strict=True):
        assert scene.polarisations == ("HH", "HV")
        assert scene.units == "linear"
        assert (scene.platform, scene.orbit) == ("S1A", 46117)
        assert to_seconds(scene.start) == pytest.approx(SWATH.line_time(first), abs=2e-6)
        assert to_seconds(scene.stop) == pytest.approx(SWATH.line_time(first + rows - 1), abs=2e-6)


def test_pixels_are_where_they_were_put_in_spite_of_mountains(products: list[Path]) -> None:
    for path, (first, rows) in zip(products, FRAMES, strict=True):
        rowcol = np.random.default_rng(0).uniform(0, 1, (2000, 2))
        rowcol *= np.array([rows - 1, SWATH.shape[1] - 1])
        found = read_georeference(open_scene(path)).xy(rowcol)
        error = np.hypot(*(found - SWATH.xy(rowcol + np.array([first, 0]))).T)
        assert error.max() < 0.2


@pytest.mark.parametrize("name", ["HH", "HV"])
def test_bands_are_unbiased_across_the_swath(products: list[Path], name: str) -> None:
    waves = 10 ** ((LEVEL[name] + pattern(SWATH.all_xy())) / 10)
    for path, (first, rows) in zip(products, FRAMES, strict=True):
        band = read_band(open_scene(path), name)
        for part in np.array_split(np.arange(SWATH.shape[1]), 8):
            ratio = band[:, part].mean() / waves[first : first + rows, part].mean()
            assert 10 * np.log10(ratio) == pytest.approx(0, abs=0.05)


def test_geocoded_waves_are_in_place(image: GeoImage) -> None:
    row, col = np.nonzero(image.valid)
    xy = image.grid.xy(np.stack([row, col], axis=-1))
    values = image.band("HH")[row, col].astype(np.float64)
    phase = xy @ WAVES.T
    columns = [np.ones(len(xy))]
    columns += [f(phase[:, k]) for k in range(2) for f in (np.sin, np.cos)]
    fit = np.linalg.lstsq(np.stack(columns, axis=-1), values, rcond=None)[0]
    assert fit[0] == pytest.approx(LEVEL["HH"], abs=0.3)
    lag = np.arctan2(fit[2::2], fit[1::2])
    # A wave that comes back later than it was put in has moved along its wave vector.
    shift = np.linalg.solve(WAVES, -lag)
    assert np.hypot(*shift) < 1.0


def test_geocoded_times_are_those_of_the_lines(image: GeoImage) -> None:
    rowcol = np.random.default_rng(2).uniform([5, 5], np.array(SWATH.shape) - 6, (500, 2))
    xy = SWATH.xy(rowcol)
    assert np.abs(image.time_at(xy) - SWATH.line_time(rowcol[:, 0])).max() < 1e-3


def test_frames_join_without_seam(image: GeoImage) -> None:
    """Across the cut the image is the pattern, without hole, shift or step."""
    col = np.linspace(30, SWATH.shape[1] - 30, 1500)
    residual = []
    for line in (CUT - SHARED - 60, CUT - SHARED // 2, CUT + 60):
        xy = SWATH.xy(np.stack([np.full(col.shape, float(line)), col], axis=-1))
        pixel = np.rint(image.grid.rowcol(xy)).astype(int)
        values = image.band("HH")[pixel[:, 0], pixel[:, 1]]
        residual.append(values - LEVEL["HH"] - pattern(image.grid.xy(pixel)))
    level = np.mean(residual, axis=1)
    assert np.isfinite(level).all()
    assert np.ptp(level) < 0.2
    assert np.std(residual, axis=1).max() < 1.3


def test_error_of_the_tables_stays_in_the_image(tmp_path: Path) -> None:
    swath = SWATH.frame(0, 200)
    sigma0 = np.full((2, *swath.shape), 10**-2.6, np.float32)
    noise = NoiseSettings(error=(1.0, 1.0, 1.0, 1.0, 1.0))
    frame = SafeFrame(swath, "S1C", 5, 5, noise=noise)
    path = write_safe(tmp_path, frame, sigma0, np.ones_like(sigma0))
    band = read_band(open_scene(path), "HV")
    assert 0.3 < 10 * np.log10(band.mean() / 10**-2.6) < 1.0


def test_frames_show_the_same_lines_where_they_overlap(products: list[Path]) -> None:
    for name, level in LEVEL.items():
        first, second = (read_band(open_scene(path), name) for path in products)
        difference = first[-SHARED:] - second[:SHARED]
        # Each frame has noise tables of its own, with nodes on other lines and near the seams.
        assert np.percentile(np.abs(difference), 99) < 0.05 * 10 ** (level / 10)


@pytest.mark.parametrize(
    ("polarisations", "pixel", "kind"),
    [
        (("HH",), 80.0, "EW_GRDM_1SSH"),
        (("VV",), 80.0, "EW_GRDM_1SSV"),
        (("VV", "VH"), 80.0, "EW_GRDM_1SDV"),
        (("HH", "HV"), 25.0, "EW_GRDH_1SDH"),
    ],
)
def test_other_kinds_of_product_come_back(
    tmp_path: Path, polarisations: tuple[str, ...], pixel: float, kind: str
) -> None:
    swath = plan_radar_swath((-150.0, 80.0), START, True, 22.0, (20e3, 25e3), pixel)
    level = np.array([10**-1.4, 10**-2.4][: len(polarisations)], dtype=np.float32)
    sigma0 = np.broadcast_to(level[:, None, None], (len(level), *swath.shape))
    frame = SafeFrame(swath, "S1D", 5, 5, polarisations=polarisations)
    scene = open_scene(write_safe(tmp_path, frame, sigma0, np.ones_like(sigma0)))
    assert kind in scene.id
    assert scene.polarisations == polarisations
    assert scene.pixel == pytest.approx(pixel, rel=0.05)
    for name, expected in zip(polarisations, level, strict=True):
        assert 10 * np.log10(read_band(scene, name).mean() / expected) == pytest.approx(0, abs=0.02)
    image = geocode_pass([scene], 100.0, SETTINGS)
    assert image.polarisations == polarisations
