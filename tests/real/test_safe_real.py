"""The XML of a real EW product (see the mark ``real``); its pixels are not there."""

import os
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from pyproj import Transformer
from scipy.interpolate import RectBivariateSpline

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.scenes.georeference import footprint
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.scenes.safe_annotation import read_annotation
from lagrangian_ice.scenes.safe_georeference import swath_georeference
from lagrangian_ice.scenes.safe_orbit import locate, to_earth_fixed, to_lonlat
from lagrangian_ice.scenes.safe_radiometry import read_radiometry
from lagrangian_ice.scenes.safe_xml import parse_xml

FOLDER = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA", "nowhere")) / "safe"
POLARISATIONS = ("hh", "hv")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]


def file(name):
    return next(FOLDER.glob("*.SAFE")) / "annotation" / name


def root(name):
    return parse_xml(file(name).read_bytes(), name)


@pytest.fixture(scope="module")
def annotation():
    return read_annotation(root("ew-hh.xml"))


@pytest.fixture(scope="module")
def georeference(annotation):
    return swath_georeference(annotation)


def radiometry(polarisation):
    return read_radiometry(
        read_annotation(root(f"ew-{polarisation}.xml")),
        root(f"calibration/calibration-ew-{polarisation}.xml"),
        root(f"calibration/noise-ew-{polarisation}.xml"),
    )


def test_annotation(annotation):
    assert (annotation.pass_id, annotation.shape) == ("S1A_046117_058549", (10708, 10487))
    assert annotation.grid.height.shape == (23, 21)
    assert not annotation.noise_removed
    last = annotation.line_interval * (annotation.shape[0] - 1)
    assert (annotation.stop - annotation.start).total_seconds() == pytest.approx(last, abs=1e-6)


def test_missing_pixels_are_told_in_one_line():
    path = next(FOLDER.glob("*.SAFE"))
    with pytest.raises(SceneError, match=r"measurement file .* is missing") as caught:
        open_scene(path)
    assert "\n" not in str(caught.value)


def test_range_doppler_gives_the_tie_points_again(annotation):
    """With their own heights, the highest of which is 670 m."""
    grid = annotation.grid
    stated = to_earth_fixed(grid.lonlat.reshape(-1, 2), grid.height.ravel())
    position, velocity = annotation.orbit.at(grid.times.ravel())
    far_off = stated + np.array([3e4, -2e4, 1e4])
    found = locate(position, velocity, grid.slant_range.ravel(), grid.height.ravel(), far_off)
    assert np.linalg.norm(found - stated, axis=1).max() < 0.05


def test_sea_level_moves_only_what_has_height(annotation, georeference):
    stated = lonlat_to_xy(annotation.grid.lonlat.reshape(-1, 2))
    moved = np.hypot(*(georeference.positions - stated).T)
    low = np.abs(annotation.grid.height.ravel()) < 0.01
    assert moved[low].max() < 0.05
    assert moved.max() > 1000.0


def test_between_the_tie_points(annotation, georeference):
    """Against range-Doppler at the time and range of every place.

    Range jumps by up to 84 m between the grid's lines near land (each takes the nearest of the
    annotation's ground-to-slant records), so that along the lines only a cubic is meaningful.
    """
    grid = annotation.grid
    nodes = [np.linspace(0, size - 1, 151) for size in annotation.shape]
    rowcol = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    times = RectBivariateSpline(grid.lines, grid.pixels, grid.times, kx=3, ky=5)
    ranges = RectBivariateSpline(grid.lines, grid.pixels, grid.slant_range, kx=3, ky=5)
    position, velocity = annotation.orbit.at(times.ev(*rowcol.T))
    xy = georeference.xy(rowcol)
    near = to_earth_fixed(xy_to_lonlat(xy), np.zeros(len(xy)))
    exact = locate(position, velocity, ranges.ev(*rowcol.T), 0.0, near)
    assert np.hypot(*(lonlat_to_xy(to_lonlat(exact)) - xy).T).max() < 0.1
    assert np.abs(georeference.rowcol(xy) - rowcol).max() < 1e-6


def test_orbit_between_the_state_vectors(annotation):
    """Every second vector left out and interpolated from the others, 20 s apart."""
    orbit = annotation.orbit
    half = type(orbit)(orbit.times[::2], orbit.positions[::2], orbit.velocities[::2])
    position, _ = half.at(orbit.times[1:-1:2])
    assert np.linalg.norm(position - orbit.positions[1:-1:2], axis=1).max() < 0.02


def test_footprint_holds_the_grid(annotation, georeference):
    outline = footprint(georeference)
    assert outline.area == pytest.approx(10708 * 10487 * 39.4**2, rel=0.01)
    lon, lat, _ = Transformer.from_crs(3413, 4979, always_xy=True).transform(
        *outline.centroid.coords[0], 0
    )
    assert (lon, lat) == (pytest.approx(88, abs=3), pytest.approx(79.6, abs=1))


@pytest.mark.parametrize("polarisation", POLARISATIONS)
def test_tables_are_the_xmls_own_numbers(polarisation):
    tables = radiometry(polarisation)
    tree = ElementTree.parse(file(f"calibration/calibration-ew-{polarisation}.xml"))
    for one in tree.findall("calibrationVectorList/calibrationVector")[:64:7]:
        pixels = np.array(one.findtext("pixel").split(), dtype=int)
        stated = np.array(one.findtext("sigmaNought").split(), dtype=np.float32)
        np.testing.assert_array_equal(
            tables.gain.rows(int(one.findtext("line")), 1)[0, pixels], stated
        )
    tree = ElementTree.parse(file(f"calibration/noise-ew-{polarisation}.xml"))
    for one in tree.findall("noiseRangeVectorList/noiseRangeVector")[::7]:
        pixels = np.array(one.findtext("pixel").split(), dtype=int)
        stated = np.array(one.findtext("noiseRangeLut").split(), dtype=np.float32)
        np.testing.assert_array_equal(
            tables.range_noise.rows(int(one.findtext("line")), 1)[0, pixels], stated
        )
    for one in tree.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        line = int(one.findtext("line").split()[1])
        factor = np.float32(one.findtext("noiseAzimuthLut").split()[1])
        pixel = int(one.findtext("firstRangeSample"))
        ratio = tables.noise(line, 1)[0, pixel] / tables.range_noise.rows(line, 1)[0, pixel]
        assert ratio == pytest.approx(factor, rel=1e-6)


def test_noise_floor_of_the_real_product():
    """EW1 is the noisiest sub-swath and the rest lies between -36 and -27 dB.

    The last columns of the product's own table are 0.
    """
    floor = 10 * np.log10(radiometry("hv").noise_equivalent_sigma0(5000, 16)[:, :10400])
    assert -27.0 < np.median(floor[:, 500:3000]) < -23.0
    assert -36.0 < np.median(floor[:, 3500:]) < -27.0
