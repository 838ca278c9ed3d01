"""The shared real scenes of all three kinds (see the mark ``real``)."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.images.resample import Source, sample
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.passes import group_passes
from lagrangian_ice.scenes.reader import open_scene, read_band, read_georeference
from lagrangian_ice.settings import ImageSettings

FOLDER = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA", "nowhere")) / "pairs"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]

GREY = FOLDER / "S1_EW_20200304T171352_HH_20200304_1.tif"
DECIBELS = FOLDER / (
    "clip_HH_S1B_EW_GRDM_1SDH_20200301T083237_20200301T083346_020496_026D68_5471_adjusted.tif"
)
SWATH = FOLDER / "S1B_EW_GRDM_1SDH_20200123T120618.tif"
SWATH_LATER = FOLDER / "S1B_EW_GRDM_1SDH_20200125T114955.tif"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_rotated_grey_levels():
    scene = open_scene(GREY)
    assert scene.start == scene.stop == utc(2020, 3, 4, 17, 13, 52)
    assert (scene.polarisations, scene.units) == (("HH",), "grey")
    assert scene.pixel == pytest.approx(209.9, abs=0.1)
    assert read_georeference(scene).is_swath


def test_projected_decibels():
    scene = open_scene(DECIBELS)
    assert scene.start == utc(2020, 3, 1, 8, 32, 37)
    assert scene.stop == utc(2020, 3, 1, 8, 33, 46)
    assert (scene.polarisations, scene.units) == (("HH",), "db")
    assert (scene.pass_id, scene.platform, scene.orbit) == ("S1B_020496_026D68", "S1B", 20496)
    assert scene.footprint.area == pytest.approx(7575e6, rel=0.01)


def test_swath_with_control_points():
    scene = open_scene(SWATH)
    assert scene.start == utc(2020, 1, 23, 12, 6, 18, 368255)
    assert scene.stop == utc(2020, 1, 23, 12, 7, 18, 363149)
    assert (scene.polarisations, scene.units) == (("HV",), "linear")
    assert scene.platform == "S1B"
    assert scene.pixel == pytest.approx(39.3, abs=0.1)


def test_catalogue_and_passes_of_the_folder():
    scenes, unreadable = find_scenes([FOLDER])
    assert (len(scenes), unreadable) == (10, [])
    starts = [one.start for one in group_passes(scenes)]
    assert len(starts) == 10
    assert starts == sorted(starts)


def test_every_control_point_of_the_swath_is_met_and_predicted_by_the_others():
    georeference = read_georeference(open_scene(SWATH))
    points, positions = georeference.points, georeference.positions
    assert len(points) == 104
    assert np.abs(georeference.xy(points) - positions).max() < 0.01
    inner = np.flatnonzero(np.all((points > 50) & (points < 950), axis=1))
    for left_out in inner[::4]:
        rest = np.arange(len(points)) != left_out
        fit = RBFInterpolator(points[rest], positions[rest], kernel="quintic", degree=2)
        assert np.hypot(*(fit(points[[left_out]]) - positions[left_out])[0]) < 1.0


def test_positions_of_the_swath_go_there_and_back():
    georeference = read_georeference(open_scene(SWATH))
    rowcol = np.random.default_rng(0).uniform(-200, 1200, (2000, 2))
    np.testing.assert_allclose(georeference.rowcol(georeference.xy(rowcol)), rowcol, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "pixel", "low", "high", "units"),
    [
        (GREY, 210.0, 80, 200, "grey"),
        (DECIBELS, 100.0, -16, -11, "db"),
        (SWATH, 100.0, -22, -15, "db"),
    ],
    ids=["grey", "decibels", "swath"],
)
def test_geocoded_values_and_coverage(path, pixel, low, high, units):
    scene = open_scene(path)
    image = geocode_pass([scene], pixel, ImageSettings(remove_incidence_trend=False))
    valid = np.isfinite(image.data[0])
    stored = np.isfinite(read_band(scene, scene.polarisations[0])).mean()
    covered = valid.sum() * pixel**2 / scene.footprint.area
    assert covered == pytest.approx(stored, abs=0.01)
    assert low < np.median(image.data[0][valid]) < high
    assert image.units == units
    if units == "grey":
        # 0 is no data: a cubic may undershoot 1 beside a bright pixel, but no background bleeds in
        assert (image.data[0][valid] < 1).mean() < 0.005


def test_geocoding_keeps_the_swath_where_it_is():
    """The geocoded image read at the swath's own pixels is the swath."""
    scene = open_scene(SWATH)
    image = geocode_pass([scene], 40.0, ImageSettings(remove_incidence_trend=False))
    rows, cols = np.meshgrid(np.arange(100, 900, 3.0), np.arange(100, 900, 3.0), indexing="ij")
    georeference = read_georeference(scene)
    stored = 10 * np.log10(read_band(scene, "HV"))
    back = Source(image.data[0], (1, 1), (0.0, 0.0))

    def agreement(row_shift, col_shift):
        there = georeference.xy(np.stack([rows + row_shift, cols + col_shift], axis=-1))
        values = sample(back, *np.moveaxis(image.grid.rowcol(there), -1, 0))
        truth = map_coordinates(stored, [rows, cols], order=1)
        return np.corrcoef(values.ravel(), truth.ravel())[0, 1]

    best = agreement(0, 0)
    assert best > 0.97
    for shift in [(0.2, 0), (-0.2, 0), (0, 0.2), (0, -0.2)]:
        assert agreement(*shift) < best


def test_landfast_ice_lies_still_between_two_swaths():
    """Two days and another orbit apart, ice along the coast correlates best without a shift."""
    settings = ImageSettings()
    first, second = (
        geocode_pass([open_scene(path)], 40.0, settings) for path in (SWATH, SWATH_LATER)
    )
    for xy in [(146_550.0, -671_150.0), (156_550.0, -669_000.0), (159_000.0, -671_500.0)]:
        assert np.hypot(*_shift(first, second, np.array(xy))) <= 20.0


def _shift(first, second, xy, half=60, reach=5):
    """Shift (m) of best correlation to a tenth of a pixel, by a parabola through the peak."""
    offsets = np.arange(-half, half + 1.0)
    steps = np.arange(-reach, reach + 1.0)

    def cut(image, shift):
        row, col = image.grid.rowcol(xy) + shift
        at = np.meshgrid(row + offsets, col + offsets, indexing="ij")
        return map_coordinates(np.nan_to_num(image.data[0], nan=-20), at, order=1).ravel()

    template = cut(first, np.zeros(2))
    scores = np.array(
        [[np.corrcoef(template, cut(second, np.array([r, c])))[0, 1] for c in steps] for r in steps]
    )
    row, col = np.unravel_index(scores.argmax(), scores.shape)
    assert 0 < row < len(steps) - 1
    assert 0 < col < len(steps) - 1
    shift = [
        steps[i] + _vertex(line)
        for i, line in (
            (row, scores[row - 1 : row + 2, col]),
            (col, scores[row, col - 1 : col + 2]),
        )
    ]
    return np.array(shift) * first.grid.pixel


def _vertex(three):
    return 0.5 * (three[0] - three[2]) / (three[0] - 2 * three[1] + three[2])
