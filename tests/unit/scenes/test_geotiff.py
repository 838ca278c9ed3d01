import os
import tracemalloc
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes import geotiff, raster
from lagrangian_ice.scenes.reader import open_scene, read_band, read_rows

TIME = {"time_coverage_start": "2021-01-01T12:00:00Z"}
NAME = "ice_20210101T120000_HH.tif"


def linear(shape=(40, 50), seed=0):
    return np.random.default_rng(seed).uniform(0.01, 0.2, shape).astype(np.float32)


def refused(path, *words, time=None):
    """The error of a scene: one line that names the file and holds the words."""
    with pytest.raises(SceneError) as caught:
        open_scene(path, time)
    line = str(caught.value)
    assert "\n" not in line
    assert path.name in line
    for word in words:
        assert word in line
    return line


# -- time


def test_time_from_coverage_tags(write_scene):
    tags = {
        "time_coverage_start": "2020-01-23T12:06:18.368255",
        "time_coverage_end": "2020-01-23T12:07:18.363149",
        "TIFFTAG_DATETIME": "2019:01:01 00:00:00",
    }
    scene = open_scene(write_scene("a_20180101T000000_HH.tif", linear(), tags=tags))
    assert scene.start == datetime(2020, 1, 23, 12, 6, 18, 368255, tzinfo=UTC)
    assert scene.stop == datetime(2020, 1, 23, 12, 7, 18, 363149, tzinfo=UTC)


def test_time_from_tiff_tag(write_scene):
    tags = {"TIFFTAG_DATETIME": "2020:03:04 17:13:52"}
    scene = open_scene(write_scene("a_20180101T000000_HH.tif", linear(), tags=tags))
    assert scene.start == scene.stop == datetime(2020, 3, 4, 17, 13, 52, tzinfo=UTC)


def test_time_from_name_then_from_argument(write_scene):
    given = datetime(2022, 2, 2, tzinfo=UTC)
    named = open_scene(write_scene(NAME, linear()), given)
    assert named.start == datetime(2021, 1, 1, 12, tzinfo=UTC)
    unnamed = open_scene(write_scene("ice_HH.tif", linear()), given)
    assert unnamed.start == unnamed.stop == given


def test_argument_without_zone_is_utc(write_scene):
    scene = open_scene(write_scene("ice_HH.tif", linear()), datetime(2022, 2, 2))
    assert scene.start == datetime(2022, 2, 2, tzinfo=UTC)


def test_no_time_names_the_remedy(write_scene):
    refused(write_scene("ice_HH.tif", linear()), "rio edit-info --tag", "`track` --times")


def test_stop_before_start_is_not_believed(write_scene):
    tags = TIME | {"time_coverage_end": "2020-12-31T12:00:00Z"}
    scene = open_scene(write_scene(NAME, linear(), tags=tags))
    assert scene.stop == scene.start


@pytest.mark.parametrize(
    ("start", "stop", "word"),
    [
        ("9999-12-31T23:59:59.9999999", "", "future"),
        ("2999-01-01", "", "future"),
        ("1969-12-31T23:59:59Z", "", "before 1970"),
        ("2015-01-01", "2025-01-01", "60 minutes at most"),
        ("2021-01-01T12:00:00Z", "2021-01-01T13:00:00.001Z", "60 minutes at most"),
    ],
)
def test_times_that_no_acquisition_has_are_refused(write_scene, start, stop, word):
    tags = {"time_coverage_start": start, "time_coverage_end": stop}
    refused(write_scene(NAME, linear(), tags=tags), word, "correct")


def test_an_unusable_name_or_argument_is_refused_too(write_scene):
    refused(write_scene("ice_00010101T000000_HH.tif", linear()), "before 1970")
    refused(write_scene("ice_HH.tif", linear()), "future", time=datetime(9999, 1, 1, tzinfo=UTC))


def test_a_time_that_its_zone_takes_out_of_the_calendar_is_none(write_scene):
    tags = {"time_coverage_start": "0001-01-01T00:00:00+14:00"}
    scene = open_scene(write_scene(NAME, linear(), tags=tags))
    assert scene.start == datetime(2021, 1, 1, 12, tzinfo=UTC)


# -- pass, platform, orbit


def test_datatake_names_the_pass(write_scene):
    name = "S1B_EW_GRDM_1SSH_20200301T083237_20200301T083346_020496_026D68_5471.tif"
    scene = open_scene(write_scene(name, linear()))
    assert (scene.pass_id, scene.platform, scene.orbit) == ("S1B_020496_026D68", "S1B", 20496)


def test_pass_from_tags(write_scene):
    tags = TIME | {"lagrangian_ice_pass": "SIM_7", "platform": "Sentinel-1A", "orbit": "123"}
    scene = open_scene(write_scene(NAME, linear(), tags=tags))
    assert (scene.pass_id, scene.platform, scene.orbit) == ("SIM_7", "S1A", 123)


@pytest.mark.parametrize("orbit", ["9" * 30, "1" * 5000, "²", "-3", "12 34", "१२"])
def test_an_orbit_that_is_none_is_unknown(write_scene, orbit):
    scene = open_scene(write_scene(NAME, linear(), tags=TIME | {"orbit": orbit}))
    assert scene.orbit == -1


def test_pass_from_platform_and_start(write_scene):
    scene = open_scene(write_scene("S1A_20210101T120000_HH.tif", linear()))
    assert (scene.pass_id, scene.orbit) == ("S1A_20210101T120000", -1)


# -- polarisation


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("a_20210101T120000.tif", {"descriptions": ["HV", "HH"]}, ("HV", "HH")),
        ("a_20210101T120000.tif", {"descriptions": ["sigma0_VV", "sigma0_VH"]}, ("VV", "VH")),
        (
            "a_20210101T120000.tif",
            {"band_tags": [{"polarization": "HH"}, {"polarisation": "HV"}]},
            ("HH", "HV"),
        ),
        ("S1A_EW_GRDM_1SDH_20210101T120000.tif", {}, ("HH", "HV")),
        ("S1A_EW_GRDM_1SDV_20210101T120000.tif", {}, ("VV", "VH")),
        ("a_20210101T120000.tif", {"tags": {"polarisations": "HV, HH"}}, ("HV", "HH")),
        ("a_HH_HV_20210101T120000.tif", {}, ("HH", "HV")),
    ],
)
def test_polarisations_of_two_bands(write_scene, name, more, expected):
    scene = open_scene(write_scene(name, linear((2, 40, 50)), **more))
    assert scene.polarisations == expected


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("HH_20210101T120000.tif", {"band_tags": [{"polarization": "HV"}]}, "HV"),
        ("HH_20210101T120000.tif", {"tags": {"polarisation": "VV"}}, "VV"),
        ("x_HV_20210101T120000.tif", {}, "HV"),
        ("S1A_EW_GRDM_1SSH_20210101T120000.tif", {}, "HH"),
    ],
)
def test_polarisation_of_one_band(write_scene, name, more, expected):
    assert open_scene(write_scene(name, linear(), **more)).polarisations == (expected,)


def test_two_bands_that_cannot_be_told_apart_are_refused(write_scene):
    refused(write_scene("ice_20210101T120000.tif", linear((2, 40, 50))), "unknown", "HH")


@pytest.mark.parametrize("name", ["ice_20210101T120000", "S1A_EW_GRDM_1SDH_20210101T120000"])
def test_polarisation_of_a_single_band_is_not_guessed(write_scene, name):
    assert open_scene(write_scene(f"{name}.tif", linear())).polarisations == ("unknown",)


def test_missing_georeference_is_named_before_a_missing_polarisation(write_scene):
    path = write_scene("ice_20210101T120000.tif", linear(), crs=None, transform=None)
    refused(path, "georeference")


def test_bands_are_read_by_their_polarisation(write_scene):
    pixels = linear((2, 40, 50))
    scene = open_scene(write_scene(NAME, pixels, descriptions=["HV", "HH"]))
    np.testing.assert_array_equal(read_band(scene, "HH"), pixels[1])
    with pytest.raises(ValueError, match="VV"):
        read_band(scene, "VV")


# -- units


def test_units_from_values(write_scene):
    sigma0 = linear()
    assert open_scene(write_scene(f"lin_{NAME}", sigma0)).units == "linear"
    assert open_scene(write_scene(f"db_{NAME}", 10 * np.log10(sigma0))).units == "db"
    assert open_scene(write_scene(f"gf_{NAME}", sigma0 * 1000)).units == "grey"
    assert open_scene(write_scene(f"g_{NAME}", (sigma0 * 1000).astype(np.uint8))).units == "grey"


def test_name_does_not_decide_units(write_scene):
    assert open_scene(write_scene(f"sigma0_dB_{NAME}", linear())).units == "linear"


def test_noise_subtracted_sigma0_is_linear(write_scene):
    pixels = linear() - np.float32(0.1)
    assert np.median(pixels) < 0.01
    assert open_scene(write_scene(NAME, pixels)).units == "linear"


def test_units_from_tags(write_scene):
    bright = np.full((40, 50), 3.0, dtype=np.float32)
    path = write_scene(NAME, bright, band_tags=[{"units": "dB"}])
    assert open_scene(path).units == "db"


def test_scaled_integers_are_what_they_stand_for(write_scene):
    centi = np.full((40, 50), -1550, dtype=np.int16)
    centi[0, 0] = -32768
    path = write_scene(NAME, centi, scales=[0.01], offsets=[0.0], nodata=-32768)
    scene = open_scene(path)
    band = read_band(scene, "HH")
    assert scene.units == "db"
    assert band[1, 1] == pytest.approx(-15.5)
    assert np.isnan(band[0, 0])


def test_bands_of_different_units_are_refused(write_scene):
    pixels = linear((2, 40, 50))
    pixels[1] = 10 * np.log10(pixels[1])
    refused(write_scene(NAME, pixels, descriptions=["HH", "HV"]), "units")


# -- no data


@pytest.mark.parametrize("missing", [0.0, np.nan, np.inf, -9999.0])
def test_every_kind_of_no_data_is_nan(write_scene, missing):
    pixels = linear()
    pixels[3:6, 7:9] = missing
    nodata = -9999.0 if missing == -9999.0 else None
    band = read_band(open_scene(write_scene(NAME, pixels, nodata=nodata)), "HH")
    expected = np.zeros(pixels.shape, dtype=bool)
    expected[3:6, 7:9] = True
    np.testing.assert_array_equal(np.isnan(band), expected)
    np.testing.assert_array_equal(band[~expected], pixels[~expected])


def test_zero_taken_for_data_is_a_fault_for_grey_levels_too(write_scene):
    pixels = np.full((40, 50), 7, dtype=np.uint8)
    pixels[0] = 0
    band = read_band(open_scene(write_scene(NAME, pixels)), "HH")
    assert np.isnan(band[0]).all()
    assert (band[1:] == 7).all()


def test_uint8_does_not_wrap_around(write_scene):
    pixels = np.full((40, 50), 250, dtype=np.uint8)
    pixels[::2] = 3
    band = read_band(open_scene(write_scene(NAME, pixels)), "HH")
    assert band.dtype == np.float32
    assert band[0, 0] - band[1, 0] == -247
    assert band[0, 0] + band[1, 0] + band[1, 1] == 503


def test_alpha_band_is_a_mask_and_not_a_polarisation(write_scene):
    pixels = np.full((2, 40, 50), 90, dtype=np.uint8)
    pixels[1] = 255
    pixels[1, 5] = 0
    path = write_scene(NAME, pixels, alpha=True)
    scene = open_scene(path)
    assert scene.polarisations == ("HH",)
    assert np.isnan(read_band(scene, "HH")[5]).all()


def test_sparse_scene_is_found_not_to_be_empty(write_scene):
    pixels = np.zeros((400, 500), dtype=np.float32)
    pixels[77, 123] = 0.05
    assert open_scene(write_scene(NAME, pixels)).units == "linear"


def test_the_search_for_a_valid_pixel_goes_on_over_its_windows(write_scene, monkeypatch):
    monkeypatch.setattr(geotiff, "_SCAN_PIXELS", 3 * 500)
    pixels = np.zeros((400, 500), dtype=np.float32)
    pixels[399, 123] = 0.05
    assert open_scene(write_scene(NAME, pixels)).units == "linear"


def test_values_beyond_float32_are_no_data_without_a_warning(write_scene):
    pixels = linear().astype(np.float64)
    pixels[:2] = 1e300
    path = write_scene(NAME, pixels)
    scaled = write_scene(f"scaled_{NAME}", pixels, scales=[1e300], offsets=[0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        band = read_band(open_scene(path), "HH")
        refused(scaled, "no valid pixel")
    assert np.isnan(band[:2]).all()
    assert np.isfinite(band[2:]).all()


def test_rows_come_in_blocks(write_scene):
    pixels = linear((45, 50))
    scene = open_scene(write_scene(NAME, pixels))
    blocks = list(read_rows(scene, "HH", 20))
    assert [row for row, _ in blocks] == [0, 20, 40]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), pixels)


# -- what is refused


def test_missing_file(tmp_path):
    refused(tmp_path / NAME, "no such file")


def test_text_named_tif(tmp_path):
    path = tmp_path / NAME
    path.write_text("not an image\n")
    refused(path, "not a readable GeoTIFF")


def test_empty_file(tmp_path):
    path = tmp_path / NAME
    path.touch()
    refused(path, "not a readable GeoTIFF")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_cut_file(write_scene, share):
    path = write_scene(NAME, linear((400, 500)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "again")


def test_no_georeference(write_scene):
    path = write_scene(NAME, linear(), crs=None, transform=None)
    refused(path, "no georeference")


def test_no_crs(write_scene):
    refused(write_scene(NAME, linear(), crs=None), "no CRS")


def test_crs_without_transform(write_scene):
    refused(write_scene(NAME, linear(), transform=None), "transform")


def test_crs_without_place_on_earth(write_scene):
    wkt = 'LOCAL_CS["engine room",UNIT["metre",1]]'
    refused(write_scene(NAME, linear(), crs=wkt), "CRS")


def test_georeference_off_the_map(write_scene):
    far = Affine(1e7, 0, 1e12, 0, -1e7, 1e12)
    refused(write_scene(NAME, linear(), crs="EPSG:32633", transform=far), "map")


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300])
@pytest.mark.parametrize("place", [0, 2])
def test_a_transform_that_is_not_finite_is_refused_without_a_warning(write_scene, value, place):
    numbers = [100.0, 0.0, -50_000.0, 0.0, -100.0, -600_000.0]
    numbers[place] = value
    path = write_scene(NAME, linear(), transform=Affine(*numbers))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        refused(path, "transform", "set it")


def test_too_many_control_points(write_scene, monkeypatch):
    monkeypatch.setattr(geotiff, "_MAX_CONTROL_POINTS", 29)
    gcps = [(r, c, 100.0 * c, -6e5 - 100.0 * r) for r in range(0, 41, 10) for c in range(0, 51, 10)]
    refused(write_scene(NAME, linear(), gcps=gcps), "30 control points", "at most 29")


def test_too_few_control_points(write_scene):
    gcps = [(0, 0, 0, -6e5), (0, 50, 5000, -6e5), (40, 0, 0, -6.04e5)]
    refused(write_scene(NAME, linear(), gcps=gcps), "control points")


def test_control_points_on_a_line(write_scene):
    gcps = [(r, r, 100.0 * r, -6e5 - 100.0 * r) for r in range(0, 40, 4)]
    refused(write_scene(NAME, linear(), gcps=gcps), "control points")


def test_control_points_far_outside_of_the_image(write_scene):
    gcps = [(r, c, 100.0 * c, -6e5 - 100.0 * r) for r in range(0, 41, 10) for c in range(0, 51, 10)]
    gcps[7] = (1e30, *gcps[7][1:])
    refused(write_scene(NAME, linear(), gcps=gcps), "control points")


def test_damaged_bytes_are_an_error_of_the_scene_or_harmless(write_scene):
    gcps = [(r, c, 80.0 * c, -6e5 - 80.0 * r) for r in range(0, 41, 8) for c in range(0, 51, 10)]
    intact = [
        write_scene(f"affine_{NAME}", linear()).read_bytes(),
        write_scene(f"points_{NAME}", linear(), gcps=gcps).read_bytes(),
    ]
    rng = np.random.default_rng(5)
    lines = []
    for number in range(300):
        content = bytearray(intact[number % 2])
        # the directory and its tables are at the end
        for place in rng.integers(1, 900, rng.integers(1, 8)):
            content[-place] = rng.integers(0, 256)
        path = write_scene(f"damaged_{number}_{NAME}", linear((2, 2)))
        path.write_bytes(content)
        try:
            open_scene(path)
        except SceneError as error:
            lines.append(str(error))
    assert 30 < len(lines) < 300
    assert not any("\n" in line for line in lines)


def test_complex_pixels(write_scene):
    refused(write_scene(NAME, np.ones((40, 50), dtype=np.complex64)), "complex64")


def test_three_bands(write_scene):
    refused(write_scene(NAME, linear((3, 40, 50))), "3 bands")


@pytest.mark.parametrize("empty", [0.0, np.nan])
def test_nothing_but_no_data(write_scene, empty):
    refused(write_scene(NAME, np.full((40, 50), empty, dtype=np.float32)), "no valid pixel")


def test_measurement_of_a_safe_product(write_scene):
    name = "s1a-ew-grd-hh-20221130t014342-20221130t014446-046117-058549-001.tiff"
    refused(write_scene(name, np.full((40, 50), 300, dtype=np.uint16)), "uncalibrated")


def test_folder_named_tif(tmp_path):
    (tmp_path / NAME).mkdir()
    refused(tmp_path / NAME, "folder")


@pytest.mark.parametrize("name", ["S1A_EW_GRDM_1SDH_x.SAFE", "S1A_EW_GRDM_1SDH_x.zip"])
def test_empty_files_with_names_of_safe_products(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, "zip")


def test_other_files_are_not_scenes(tmp_path):
    path = tmp_path / "notes.txt"
    path.touch()
    refused(path, "not a scene", ".tif")


def sparse(path, shape, block):
    """A file of some hundred bytes that tells of many pixels, all of them no data."""
    layout = {"tiled": True, "blockysize": block[0], "blockxsize": block[1], "SPARSE_OK": True}
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:3413", **layout}
    north_up = Affine(100.0, 0.0, -50_000.0, 0.0, -100.0, -600_000.0)
    with rasterio.open(
        path, "w", height=shape[0], width=shape[1], transform=north_up, **profile
    ) as dataset:
        dataset.update_tags(**TIME)
    return path


@pytest.mark.parametrize(
    ("shape", "block", "words"),
    [
        ((65_504, 16), (16, 16), ("65504 x 16", "at most 65500 a side", "frames")),
        ((32_000, 32_000), (4096, 4096), ("32000 x 32000", "1e+09", "frames")),
        ((60_000, 60_000), (60_000, 60_000), ("60000 x 60000",)),
        ((30_000, 30_000), (30_000, 30_000), ("blocks of 30000 x 30000", "tiles")),
        ((40, 50), (16_384, 8208), ("blocks of 16384 x 8208", "tiles")),
    ],
)
def test_images_too_large_for_memory(tmp_path, shape, block, words):
    path = sparse(tmp_path / NAME, shape, block)
    tracemalloc.start()
    refused(path, *words)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_blocks_count_all_bands_that_they_hold(write_scene, monkeypatch):
    pixels = linear((2, 40, 50))
    path = write_scene(NAME, pixels, descriptions=["HH", "HV"])
    with rasterio.open(path) as dataset:
        height, width = dataset.block_shapes[0]
        assert dataset.interleaving.value == "PIXEL"
    monkeypatch.setattr(raster, "MAX_BLOCK_PIXELS", 2 * height * width - 1)
    refused(path, "too large to read")
    monkeypatch.setattr(raster, "MAX_BLOCK_PIXELS", 2 * height * width)
    assert open_scene(path).polarisations == ("HH", "HV")


@pytest.mark.parametrize("name", [NAME, "S1A_EW_GRDM_1SDH_x.zip", "S1A_EW_GRDM_1SDH_x.SAFE"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "pipe")


def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff_20210101T120000_HH.tif")
    path.touch()
    with pytest.raises(
        SceneError, match=r"\\xff_2021.*UTF-8 or holds control characters; rename it"
    ) as caught:
        open_scene(path)
    assert str(caught.value).encode()


# -- footprint and pixel


def test_footprint_and_pixel_of_a_north_up_scene(write_scene):
    scene = open_scene(write_scene(NAME, linear()))
    assert scene.footprint.bounds == pytest.approx((-50_000, -604_000, -45_000, -600_000))
    assert scene.footprint.area == pytest.approx(40 * 50 * 1e4)
    assert scene.pixel == pytest.approx(100.0)
    assert scene.shape == (40, 50)


def test_footprint_follows_curved_edges(write_scene):
    # a lon/lat box: its southern edge is an arc on the polar map, far from the chord
    box = Affine(60 / 600, 0, -75.0, 0, -4 / 320, 84.0)
    pixels = np.tile(linear(), (8, 12))
    scene = open_scene(write_scene(NAME, pixels, crs="EPSG:4326", transform=box))
    radius = np.hypot(*np.array(scene.footprint.exterior.coords).T).max()
    assert scene.footprint.is_valid
    assert scene.footprint.bounds[1] == pytest.approx(-radius, rel=1e-3)
    # a straight southern edge would end far north of that
    assert radius * (1 - np.cos(np.radians(30))) > 100_000


@pytest.mark.parametrize("pixel", [0.04, 2500.0])
def test_pixels_of_no_such_instrument(write_scene, pixel):
    """Kilometres taken for metres took hours, and 2500 m a workspace that nothing could read."""
    path = write_scene(NAME, linear(), transform=Affine(pixel, 0, -2e5, 0, -pixel, -1e6))
    refused(path, f"pixels of {pixel:.3g} m; 5 to 2000 m are read")


def test_one_band_in_db_and_one_linear(write_scene):
    """The linear one was taken for dB, for its neighbour tells its units."""
    bands = np.stack([linear(), 10 * np.log10(linear())])
    path = write_scene(NAME, bands, descriptions=["sigma0_HH", "sigma0_HV_db"])
    refused(path, "different units")
    path = write_scene(NAME, bands[[1, 1]], descriptions=["sigma0_HH", "sigma0_HV_db"])
    assert open_scene(path).units == "db"


def test_numbers_that_are_no_decibels(write_scene):
    stored = np.full((40, 50), -1500, np.int16)
    refused(write_scene(NAME, stored), "below -1500", "set its scale and offset")


def test_a_system_that_is_no_map(write_scene):
    refused(write_scene(NAME, linear(), crs="EPSG:4978"), "is neither a map nor longitude")


def control_points():
    row, col = (index.ravel() for index in np.mgrid[0:41:5, 0:51:5])
    return np.stack([row, col, -3e5 + 400 * col, -1e6 - 400 * row], axis=1)


@pytest.mark.parametrize("wrong", [(40,), (0,), (98,), (40, 41, 17)])
def test_a_control_point_that_the_others_contradict(write_scene, wrong):
    points = control_points()
    points[list(wrong), 2:] += [40e3, -90e3]
    path = write_scene(NAME, linear(), transform=None, gcps=points)
    line = refused(path, "does not agree with the others; correct it or leave it out")
    assert any(f"row {points[one, 0]:g}, column {points[one, 1]:g} " in line for one in wrong)


@pytest.mark.parametrize("far", [10.0, 40.0, 60.0, 100.0, 200.0, 400.0])
def test_a_swath_that_bends_has_no_wrong_point(far):
    """At its corners it is 48 to 1,360 pixels from what a parabola through the others tells."""
    row, col = (index.ravel() for index in np.mgrid[0:20001:1000, 0:10001:1000])
    along = row / 10_000 - 1
    x = 40.0 * (col + 13 * far * along**3)
    assert (
        geotiff._wrong_point(
            np.stack([row, col], axis=1).astype(float), np.stack([x, -40.0 * row], axis=1)
        )
        is None
    )


def test_files_beside_it_are_not_looked_at(write_scene):
    """They said otherwise, and a change of theirs was not noticed."""
    path = write_scene(NAME, linear())
    alone = open_scene(path).footprint
    path.with_name(f"{path.name}.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3413</SRS><GeoTransform>1e5, 100, 0, -2e5, 0, -100</GeoTransform>"
        "</PAMDataset>"
    )
    path.with_suffix(".tfw").write_text("100\n0\n0\n-100\n1e5\n-2e5\n")
    assert open_scene(path).footprint.equals(alone)


def test_control_points_on_a_line_are_no_mapping(write_scene):
    points = control_points()
    points[:, 2:] = [-3e5, -1e6]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(write_scene(NAME, linear(), transform=None, gcps=points))
