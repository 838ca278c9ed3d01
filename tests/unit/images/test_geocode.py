from datetime import UTC, datetime

import numpy as np
import pytest
from rasterio.transform import Affine

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import transform
from lagrangian_ice.images import geocode
from lagrangian_ice.images.geocode import _subtract_trends, geocode_pass
from lagrangian_ice.scenes.reader import open_scene, read_georeference
from lagrangian_ice.settings import ImageSettings

KEEP = ImageSettings(remove_incidence_trend=False)
NAME = "ice_20210101T120000_HH.tif"
# open sea north of Fram Strait, where no land mask interferes
X0, Y0 = 100_000.0, -700_000.0


def pattern(xy, wavelength):
    """A smooth field of the map, 1 to 3."""
    k = 2 * np.pi / wavelength
    x, y = np.moveaxis(np.asarray(xy), -1, 0)
    waves = np.sin(k * x) + np.sin(k * y + 1) + np.sin(k * (x + y) / 1.5)
    return 2.0 + waves / 3.0


def shift_of(image, field):
    """Least-squares shift (px right, px down), gain and offset of an image against a field."""
    grid = image.grid
    rows, cols = np.indices(grid.shape)
    xy = grid.xy(np.stack([rows, cols], axis=-1))
    east, south = np.array([1.0, 0.0]), np.array([0.0, -1.0])
    right = (field(xy + east) - field(xy - east)) / 2 * grid.pixel
    down = (field(xy + south) - field(xy - south)) / 2 * grid.pixel
    truth = field(xy)
    values = image.data[0]
    valid = np.isfinite(values)
    design = np.column_stack([truth[valid], -right[valid], -down[valid], np.ones(valid.sum())])
    gain, dx, dy, offset = np.linalg.lstsq(design, values[valid], rcond=None)[0]
    residual = values[valid] - design @ [gain, dx, dy, offset]
    return np.array([dx, dy]) / gain, gain, residual.std()


def rotated(pixel, degrees=30.0):
    c, s = pixel * np.cos(np.radians(degrees)), pixel * np.sin(np.radians(degrees))
    return {"transform": Affine(c, s, X0, s, -c, Y0)}


def polar(pixel):
    x, y = transform([X0, Y0], "EPSG:3413", "EPSG:5041")
    return {"crs": "EPSG:5041", "transform": Affine(pixel, 0, x, 0, -pixel, y)}


def lonlat(pixel):
    lon, lat = transform([X0, Y0], "EPSG:3413", "EPSG:4326")
    step = pixel / 111_200.0
    return {"crs": "EPSG:4326", "transform": Affine(8 * step, 0, lon, 0, -step, lat)}


def swath_points(pixel, shape, crs="EPSG:4326"):
    rows, cols = (np.linspace(0, size, 9) for size in shape)
    corner = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    v, u = ((corner - 0.5) * pixel).T
    x = X0 + 0.8 * u - 0.6 * v + 4e-7 * u * u
    y = Y0 - 0.6 * u - 0.8 * v + 3e-7 * u * v
    points = transform(np.column_stack([x, y]), "EPSG:3413", crs)
    return {"crs": crs, "gcps": np.hstack([corner, points])}


def see(write_scene, field, georeference, shape, name=NAME, **more):
    """Write a scene whose pixels are the field at their centres."""
    blank = open_scene(
        write_scene(f"blank_{name}", np.ones(shape, dtype=np.float32), **georeference, **more)
    )
    rows, cols = np.indices(shape)
    xy = read_georeference(blank).xy(np.stack([rows, cols], axis=-1))
    return open_scene(write_scene(name, field(xy).astype(np.float32), **georeference, **more))


CASES = {
    "rotated, equal pixels": (rotated(100.0), (300, 320)),
    "rotated, 2.5 finer": (rotated(40.0), (700, 750)),
    "rotated, 1.6 finer": (rotated(62.0, 41.0), (450, 500)),
    "rotated, 3 finer": (rotated(33.3, 75.0), (800, 750)),
    "rotated, coarser": (rotated(150.0), (200, 210)),
    "other projection": (polar(100.0), (300, 320)),
    "longitude and latitude": (lonlat(100.0), (300, 320)),
    "control points, equal pixels": (swath_points(100.0, (300, 320)), (300, 320)),
    "control points, 2.5 finer": (swath_points(40.0, (700, 750)), (700, 750)),
    "control points of 3413": (swath_points(40.0, (700, 751), "EPSG:3413"), (700, 751)),
}


@pytest.mark.parametrize("case", CASES)
def test_positions_are_unbiased_to_a_fiftieth_pixel(write_scene, case):
    georeference, shape = CASES[case]

    def field(xy):
        return 50.0 * pattern(xy, 1800.0)

    scene = see(write_scene, field, georeference, shape)
    assert scene.units == "grey"
    image = geocode_pass([scene], 100.0, KEEP)
    shift, gain, residual = shift_of(image, field)
    assert np.abs(shift).max() < 0.02
    assert 0.8 < gain < 1.01
    assert residual < 0.02 * 50.0


def test_averaging_is_of_intensity_not_of_decibels(write_scene):
    rng = np.random.default_rng(0)
    speckle = rng.gamma(1.0, 0.05, (800, 800)).astype(np.float32)
    level = 10 * np.log10(speckle.mean())
    scenes = [
        open_scene(write_scene(f"lin_{NAME}", speckle, **rotated(20.0))),
        open_scene(write_scene(f"db_{NAME}", 10 * np.log10(speckle), **rotated(20.0))),
    ]
    assert [scene.units for scene in scenes] == ["linear", "db"]
    images = [geocode_pass([scene], 100.0, KEEP).data[0] for scene in scenes]
    intensity = np.nanmean(10 ** (images[0].astype(float) / 10))
    assert 10 * np.log10(intensity) == pytest.approx(level, abs=0.03)
    # the mean of the decibels of one look lies 2.5 dB lower
    np.testing.assert_allclose(images[0], images[1], atol=1e-3)


def test_more_pixels_than_memory_holds_are_refused(write_scene, monkeypatch):
    scene = open_scene(write_scene(NAME, np.full((60, 60), 0.02, dtype=np.float32)))
    assert geocode_pass([scene], 100.0, KEEP).data.size > 1000
    monkeypatch.setattr(geocode, "MOST_PIXELS", 1000)
    with pytest.raises(SceneError, match=r"pixels of 100 m would be needed.*larger pixel") as told:
        geocode_pass([scene], 100.0, KEEP)
    assert str(scene.path) in str(told.value)


def test_noise_below_zero_ends_at_the_floor(write_scene):
    pixels = np.full((60, 60), 0.02, dtype=np.float32)
    pixels[20:40, 20:40] = -0.001
    image = geocode_pass([open_scene(write_scene(NAME, pixels))], 100.0, KEEP)
    assert np.isfinite(image.data).all()
    assert image.data.min() == pytest.approx(-40.0)


def test_grid_is_north_up_covers_the_scene_and_is_filled(write_scene):
    scene = open_scene(write_scene(NAME, np.full((60, 70), 0.05, dtype=np.float32)))
    image = geocode_pass([scene], 100.0, KEEP)
    assert image.data.shape == (1, 60, 70)
    assert image.grid.bounds == pytest.approx(scene.footprint.bounds)
    assert np.isfinite(image.data).all()
    assert image.units == "db"
    assert image.scene_ids == (scene.id,)
    assert image.land.shape == (60, 70)


def test_pixels_outside_of_a_swath_are_missing(write_scene):
    georeference = swath_points(100.0, (200, 210))
    pixels = np.full((200, 210), 0.05, dtype=np.float32)
    scene = open_scene(write_scene(NAME, pixels, **georeference))
    image = geocode_pass([scene], 100.0, KEEP)
    share = scene.footprint.area / (image.grid.pixel**2 * image.data[0].size)
    assert np.isfinite(image.data).mean() == pytest.approx(share, rel=0.01)
    np.testing.assert_allclose(image.data[np.isfinite(image.data)], 10 * np.log10(0.05), atol=1e-3)


@pytest.mark.parametrize("pixel", [40.0, 100.0])
def test_background_of_grey_levels_does_not_bleed(write_scene, pixel):
    pixels = np.full((200, 200), 200, dtype=np.uint8)
    pixels[:, :80] = 0
    pixels[100:104, 150:154] = 0
    scene = open_scene(write_scene(NAME, pixels, **rotated(pixel)))
    data = geocode_pass([scene], 100.0, KEEP).data
    assert np.isnan(data).any()
    np.testing.assert_allclose(data[np.isfinite(data)], 200.0, atol=1e-3)


def test_both_polarisations_are_kept(write_scene):
    pixels = np.stack([np.full((60, 60), v, dtype=np.float32) for v in (0.1, 0.01)])
    scene = open_scene(write_scene(NAME, pixels, descriptions=["HH", "HV"]))
    image = geocode_pass([scene], 100.0, KEEP)
    assert image.polarisations == ("HH", "HV")
    np.testing.assert_allclose(image.band("HV"), -20.0, atol=1e-3)


# -- passes of several frames


def frame(write_scene, name, top, seconds, level=0.05, rows=120, polarisation="HH"):
    """A frame of 100 px by ``rows``, its first row ``top`` px below the others' origin."""
    tags = {
        "time_coverage_start": f"2021-01-01T12:00:{seconds:02d}",
        "lagrangian_ice_pass": "P1",
    }
    pixels = np.full((rows, 100), level, dtype=np.float32)
    where = Affine(100.0, 0, X0, 0, -100.0, Y0 - 100.0 * top)
    path = write_scene(f"{name}_{polarisation}.tif", pixels, transform=where, tags=tags)
    return open_scene(path)


def test_frames_join_without_gap_or_doubled_lines(write_scene):
    def field(xy):
        return 50.0 * pattern(xy, 1800.0)

    scenes = []
    for number, top in enumerate([0.0, 110.0, 220.5]):
        where = Affine(80.0, 60.0, X0 + 60.0 * top, 60.0, -80.0, Y0 - 80.0 * top)
        tags = {
            "time_coverage_start": f"2021-01-01T12:00:{20 * number:02d}",
            "lagrangian_ice_pass": "P1",
        }
        scenes.append(
            see(write_scene, field, {"transform": where}, (120, 200), f"{number}_HH.tif", tags=tags)
        )
    image = geocode_pass(scenes[::-1], 100.0, KEEP)
    assert image.scene_ids == ("0_HH", "1_HH", "2_HH")
    shift, gain, residual = shift_of(image, field)
    assert np.abs(shift).max() < 0.02
    assert gain == pytest.approx(1.0, abs=0.01)
    assert residual < 1.0
    joined = sum(s.footprint.area for s in scenes) - (10 + 9.5) * 200 * 1e4
    assert np.isfinite(image.data).sum() * 1e4 == pytest.approx(joined, rel=0.01)


def test_earlier_frame_is_seen_where_two_overlap(write_scene):
    late = frame(write_scene, "a", 0, 30, level=0.1)
    early = frame(write_scene, "b", 100, 0, level=0.01)
    data = geocode_pass([late, early], 100.0, KEEP).data[0]
    assert data.shape == (220, 100)
    np.testing.assert_allclose(data[:99], -10.0, atol=1e-3)
    np.testing.assert_allclose(data[101:], -20.0, atol=1e-3)


def test_polarisations_common_to_the_frames(write_scene):
    pixels = np.full((2, 120, 100), 0.05, dtype=np.float32)
    tags = {"time_coverage_start": "2021-01-01T12:00:00", "lagrangian_ice_pass": "P1"}
    dual = open_scene(write_scene("dual.tif", pixels, tags=tags, descriptions=["HH", "HV"]))
    single = frame(write_scene, "one", 0, 30, polarisation="HV")
    assert geocode_pass([dual, single], 100.0, KEEP).polarisations == ("HV",)
    other = frame(write_scene, "two", 0, 30, polarisation="VV")
    with pytest.raises(SceneError, match="polarisation"):
        geocode_pass([dual, other], 100.0, KEEP)


def test_wrong_calls(write_scene):
    with pytest.raises(ValueError, match="at least one"):
        geocode_pass([], 100.0, KEEP)
    first = open_scene(write_scene(NAME, np.full((60, 60), 0.05, dtype=np.float32)))
    other = open_scene(write_scene(f"S1A_{NAME}", np.full((60, 60), 0.05, dtype=np.float32)))
    with pytest.raises(ValueError, match="one pass"):
        geocode_pass([first, other], 100.0, KEEP)


def test_grey_and_sigma0_do_not_mix(write_scene):
    first = frame(write_scene, "a", 0, 0)
    second = frame(write_scene, "b", 100, 30, level=120.0)
    with pytest.raises(SceneError, match="grey"):
        geocode_pass([first, second], 100.0, KEEP)


def test_file_that_vanished_or_was_cut_after_opening(write_scene):
    path = write_scene(NAME, np.full((600, 600), 0.05, dtype=np.float32))
    scene = open_scene(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SceneError, match=NAME):
        geocode_pass([scene], 100.0, KEEP)
    path.unlink()
    with pytest.raises(SceneError, match="no such file"):
        geocode_pass([scene], 100.0, KEEP)


# -- incidence trend


def test_trend_across_the_swath_is_taken_out_and_ice_left_in(write_scene):
    shape = (400, 1300)
    rng = np.random.default_rng(4)
    columns = np.linspace(0, -6.0, shape[1])
    ice = -13 + 2.0 * (rng.uniform(size=(40, 130)) > 0.5).repeat(10, 0).repeat(10, 1)
    pixels = (ice + columns).astype(np.float32)
    georeference = swath_points(300.0, shape)
    scene = open_scene(write_scene(NAME, pixels, **georeference))
    kept = geocode_pass([scene], 300.0, KEEP).data[0]
    image = geocode_pass([scene], 300.0, ImageSettings())
    rows, cols = np.nonzero(np.isfinite(image.data[0]))
    at = read_georeference(scene).rowcol(image.grid.xy(np.column_stack([rows, cols])))
    design = np.column_stack([at[:, 1] / shape[1], np.ones(len(at))])
    before = np.linalg.lstsq(design, kept[rows, cols], rcond=None)[0][0]
    after = np.linalg.lstsq(design, image.data[0][rows, cols], rcond=None)[0][0]
    assert before == pytest.approx(-6.0, abs=0.5)
    assert abs(after) < 0.6
    # the floes' contrast of 1 dB standard deviation is still there
    assert image.data[0][rows, cols].std() == pytest.approx(1.0, abs=0.1)
    assert np.nanmean(image.data) == pytest.approx(np.nanmean(kept), abs=0.3)


def test_trend_is_left_in_maps_and_narrow_scenes(write_scene):
    slope = np.linspace(-10, -16, 300)[None].repeat(200, 0).astype(np.float32)
    for name, where in {"map": {}, "narrow": rotated(100.0)}.items():
        scene = open_scene(write_scene(f"{name}_{NAME}", slope, **where))
        one = geocode_pass([scene], 100.0, KEEP)
        two = geocode_pass([scene], 100.0, ImageSettings())
        np.testing.assert_array_equal(one.data, two.data)


def test_trend_leaves_no_step_between_frames(write_scene):
    shape = (150, 1300)
    scenes = []
    for number in range(2):
        level = np.linspace(-10, -16, shape[1]) - (2.0 if number else 0.0)
        georeference = swath_points(300.0, shape)
        georeference["gcps"] = swath_points(300.0, (300, 1300))["gcps"]
        georeference["gcps"][:, 0] -= 150 * number
        tags = {
            "time_coverage_start": f"2021-01-01T12:00:{20 * number:02d}",
            "lagrangian_ice_pass": "P1",
        }
        pixels = np.repeat(level[None], shape[0], 0).astype(np.float32)
        scenes.append(
            open_scene(write_scene(f"{number}_HH.tif", pixels, tags=tags, **georeference))
        )
    data = geocode_pass(scenes, 300.0, ImageSettings()).data[0]
    values = data[np.isfinite(data)]
    # two levels 2 dB apart and nothing of the 6 dB slope
    assert np.minimum(np.abs(values + 13.0), np.abs(values + 15.0)).max() < 0.15


# -- times


def test_time_is_that_of_the_line(write_scene):
    georeference = swath_points(340.0, (200, 100))
    tags = {
        "time_coverage_start": "2021-01-01T12:00:00",
        "time_coverage_end": "2021-01-01T12:00:10",
    }
    pixels = np.full((200, 100), 0.05, dtype=np.float32)
    scene = open_scene(write_scene(NAME, pixels, tags=tags, **georeference))
    image = geocode_pass([scene], 340.0, KEEP)
    rowcol = np.array([[0.0, 10.0], [50.0, 90.0], [199.0, 50.0]])
    times = image.time_at(read_georeference(scene).xy(rowcol))
    start = datetime(2021, 1, 1, 12, tzinfo=UTC).timestamp()
    np.testing.assert_allclose(times - start, rowcol[:, 0] / 199 * 10, atol=0.15)


def test_crop_with_its_frame_s_times_has_the_middle(write_scene):
    tags = {
        "time_coverage_start": "2021-01-01T12:00:00",
        "time_coverage_end": "2021-01-01T12:01:00",
    }
    pixels = np.full((200, 210), 0.05, dtype=np.float32)
    scene = open_scene(write_scene(NAME, pixels, tags=tags, **swath_points(100.0, (200, 210))))
    image = geocode_pass([scene], 100.0, KEEP)
    np.testing.assert_array_equal(image.node_time - scene.start.timestamp(), 30.0)


def test_times_of_frames_and_reach_of_the_nodes(write_scene):
    first, second = frame(write_scene, "a", 0, 0), frame(write_scene, "b", 120, 30)
    image = geocode_pass([first, second], 100.0, KEEP)
    start = first.start.timestamp()
    xs = X0 + 5_000.0
    times = image.time_at([[xs, Y0 - 1_000.0], [xs, Y0 - 23_000.0]]) - start
    np.testing.assert_allclose(times, [0.0, 30.0])
    rows, cols = image.grid.shape
    assert 32 * (image.node_time.shape[0] - 1) >= rows - 1
    assert 32 * (image.node_time.shape[1] - 1) >= cols - 1
    assert np.isfinite(image.node_time).all()


@pytest.mark.parametrize("unknown", [[], [None], [None, None]])
def test_frames_that_show_no_trend_have_no_say_in_the_pass(unknown):
    """Half of the trend stayed in where one frame of two was land."""
    across = np.linspace(-1, 1, 9)[None].repeat(5, axis=0)
    shape = (64, 128)
    fitted = np.array([0.1, -2.0, 0.3])
    data, alone = np.zeros((2, *shape), np.float32), np.zeros((1, *shape), np.float32)
    _subtract_trends(alone, [[fitted]], across)
    _subtract_trends(data, [[fitted, None], *([one, None] for one in unknown)], across)
    assert np.ptp(alone) > 2
    np.testing.assert_array_equal(data[0], alone[0])
    np.testing.assert_array_equal(data[1], 0)
