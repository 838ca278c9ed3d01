import math
from datetime import UTC, datetime

import numpy as np
import pytest
from tiny_safe import LINE_INTERVAL, Tiny, write_folder, write_zip

from lagrangian_ice.errors import SceneError
from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.images.geocode import geocode_pass
from lagrangian_ice.scenes.catalogue import find_scenes, scene_as_dict
from lagrangian_ice.scenes.reader import open_scene, read_band, read_georeference
from lagrangian_ice.scenes.safe import safe_band
from lagrangian_ice.settings import ImageSettings

TINY = Tiny()


def folder_of(tiny, tmp_path):
    return write_folder(tiny.files(), tmp_path / f"{tiny.name}.SAFE")


def expected_sigma0(tiny, polarisation):
    """Written out with loops over the lines, from the tables' own numbers."""
    lines, pixels = tiny.vectors()
    rows, cols = tiny.shape
    column = np.arange(cols)
    gains = np.array([np.interp(column, pixels, tiny.gain(line, pixels)) for line in lines])
    noises = np.array([np.interp(column, pixels, tiny.noise(line, pixels)) for line in lines])
    numbers = tiny.numbers(polarisation).astype(np.float64)
    sigma0 = np.empty(tiny.shape)
    along = np.unique(np.append(np.arange(0, rows, 10), rows - 1))
    for row in range(rows):
        at = np.searchsorted(lines, row, side="right") - 1
        share = (row - lines[at]) / (lines[at + 1] - lines[at])
        gain = (1 - share) * gains[at] + share * gains[at + 1]
        noise = (1 - share) * noises[at] + share * noises[at + 1]
        for number, (_, first, _, last) in enumerate(tiny.blocks()):
            if not tiny.old_noise:
                factor = np.interp(row, along, tiny.factor(along, number))
                noise[first : last + 1] *= factor
        sigma0[row] = (numbers[row] ** 2 - (0 if tiny.noise_removed else noise)) / gain**2
    return np.where(numbers == 0, np.nan, sigma0)


def test_metadata_of_a_folder(tmp_path):
    scene = open_scene(folder_of(TINY, tmp_path))
    assert scene.id == TINY.name
    assert (scene.kind, scene.units, scene.platform) == ("safe", "linear", "S1A")
    assert scene.start == datetime(2021, 1, 1, 6, 30, 0, 123456, tzinfo=UTC)
    assert (scene.stop - scene.start).total_seconds() == pytest.approx(239 * LINE_INTERVAL)
    assert (scene.pass_id, scene.orbit) == ("S1A_046117_058549", 46117)
    assert (scene.polarisations, scene.shape) == (("HH", "HV"), (240, 300))
    assert scene.pixel == pytest.approx(38.0, abs=4.0)
    assert scene_as_dict(scene)["status"] == "readable"


@pytest.mark.parametrize("root", ["", "product.SAFE/"])
def test_a_zip_is_the_same_scene(tmp_path, root):
    folder = folder_of(TINY, tmp_path)
    zipped = write_zip(TINY.files(), tmp_path / f"{TINY.name}.zip", root)
    for name in ("id", "start", "stop", "pass_id", "shape", "pixel", "footprint"):
        assert getattr(open_scene(folder), name) == getattr(open_scene(zipped), name)
    np.testing.assert_array_equal(
        read_band(open_scene(folder), "HV"), read_band(open_scene(zipped), "HV")
    )
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        f"{TINY.name}.SAFE",
        f"{TINY.name}.zip",
    ]


def test_a_zip_in_a_folder_with_brackets_and_spaces(tmp_path):
    place = tmp_path / "my {old} scenes"
    place.mkdir()
    scene = open_scene(write_zip(TINY.files(), place / f"{TINY.name}.SAFE.zip"))
    assert scene.id == TINY.name
    assert np.isfinite(read_band(scene, "HH")).any()


@pytest.mark.parametrize(
    "tiny",
    [
        Tiny(platform="S1C", polarisations=("HH",)),
        Tiny(platform="S1D", polarisations=("VV", "VH"), mode="IW"),
        Tiny(platform="S1B", cog=True),
        Tiny(short_names=True),
        Tiny(short_names=True, cog=True),
        Tiny(old_noise=True),
        Tiny(noise_removed=True),
    ],
    ids=["S1C HH", "S1D IW", "COG", "short", "short COG", "old noise", "noise removed"],
)
def test_kinds_of_product(tmp_path, tiny):
    scene = open_scene(folder_of(tiny, tmp_path))
    assert scene.polarisations == tiny.polarisations
    for polarisation in scene.polarisations:
        np.testing.assert_allclose(
            read_band(scene, polarisation),
            expected_sigma0(tiny, polarisation),
            rtol=2e-6,
            atol=2e-7,
        )


def test_sigma0_is_that_of_the_tables(tmp_path):
    scene = open_scene(folder_of(TINY, tmp_path))
    pixels = read_band(scene, "HV")
    assert pixels.dtype == np.float32
    assert np.isnan(pixels[:, :3]).all()
    assert (pixels < 0).any()
    np.testing.assert_allclose(pixels, expected_sigma0(TINY, "HV"), rtol=2e-6, atol=2e-7)


def test_noise_equivalent_sigma0(tmp_path):
    """It is what a pixel of exactly the noise's power would be without the noise removed."""
    radiometry = safe_band(folder_of(TINY, tmp_path), "HH").radiometry
    numbers = expected_sigma0(Tiny(dn=100, noise_removed=True), "HH")
    noise = numbers - expected_sigma0(Tiny(dn=100), "HH")
    np.testing.assert_allclose(radiometry.noise_equivalent_sigma0(0, 240), noise, rtol=1e-5)


@pytest.mark.parametrize("removed", [False, True])
def test_noise_without_its_azimuth_blocks_is_told(tmp_path, caplog, removed):
    """Products of IPF 2.9 and later have them; only range vectors are taken away then."""
    tiny = Tiny(noise_removed=removed)
    safe = folder_of(tiny, tmp_path)
    for path in safe.glob("annotation/calibration/noise-*.xml"):
        text = path.read_text()
        begin, end = (text.index(f"<{mark}noiseAzimuthVectorList>") for mark in ("", "/"))
        path.write_text(text[:begin] + text[end + len("</noiseAzimuthVectorList>") :])
    read_band(open_scene(safe), "HH")
    told = {record.getMessage() for record in caplog.records}
    assert len(told) == (0 if removed else 2)
    assert all("noise-" in line and "has no azimuth blocks" in line for line in told)


def test_kinds_that_have_none_are_not_told_of(tmp_path, caplog):
    read_band(open_scene(folder_of(Tiny(old_noise=True), tmp_path)), "HH")
    read_band(open_scene(folder_of(TINY, tmp_path / "new")), "HH")
    assert caplog.records == []


def test_unknown_polarisation(tmp_path):
    scene = open_scene(folder_of(Tiny(polarisations=("HH",)), tmp_path))
    with pytest.raises(ValueError, match=r"'HV' is not in .*it has HH"):
        read_band(scene, "HV")


def test_tie_points_are_pixel_centres(tmp_path):
    scene = open_scene(folder_of(TINY, tmp_path))
    line, pixel, _, _, lon, lat, _, incidence = TINY.ties()
    rowcol = np.stack([line, pixel], axis=-1).astype(float)
    georeference = read_georeference(scene)
    xy = lonlat_to_xy(np.stack([lon, lat], axis=-1))
    np.testing.assert_allclose(georeference.xy(rowcol), xy, atol=0.01)
    np.testing.assert_allclose(georeference.rowcol(xy), rowcol, atol=1e-3)
    np.testing.assert_allclose(georeference.incidence_angle(rowcol), incidence, rtol=1e-9)


def test_terrain_in_the_tie_points_displaces_nothing(tmp_path):
    """The points under the mountain are stated half a kilometre off; ice is not on it."""
    flat, hilly = Tiny(), Tiny(terrain=600.0, orbit=46118)
    first, second = (folder_of(tiny, tmp_path) for tiny in (flat, hilly))
    nodes = np.stack(np.meshgrid(np.arange(0, 240, 7.0), np.arange(0, 300, 7.0)), axis=-1)
    positions = [read_georeference(open_scene(path)).xy(nodes) for path in (first, second)]
    np.testing.assert_allclose(*positions, atol=0.02)
    stated = [lonlat_to_xy(np.stack(tiny.ties()[4:6], axis=-1)) for tiny in (flat, hilly)]
    assert np.hypot(*(stated[1] - stated[0]).T).max() > 500.0


def test_geocoded_pass(tmp_path):
    """Constant sigma nought comes out constant, and every pixel has its line's time."""
    tiny = Tiny(dn=300)
    scene = open_scene(folder_of(tiny, tmp_path))
    image = geocode_pass([scene], 100.0, ImageSettings())
    assert (image.pass_id, image.units) == ("S1A_046117_058549", "db")
    assert image.valid.any()
    georeference = read_georeference(scene)
    xy = georeference.xy([[20.0, 150.0], [120.0, 150.0], [220.0, 150.0]])
    lines = scene.start.timestamp() + np.array([20.0, 120.0, 220.0]) * LINE_INTERVAL
    np.testing.assert_allclose(image.time_at(xy), lines, rtol=0, atol=1e-3)
    sigma0 = 10 * np.log10(expected_sigma0(tiny, "HH"))
    row, col = (int(v) for v in np.rint(image.grid.rowcol(xy[1])))
    centre = georeference.rowcol(image.grid.xy([float(row), float(col)]))
    at = tuple(int(v) for v in np.rint(centre))
    assert image.band("HH")[row, col] == pytest.approx(sigma0[at], abs=0.1)


def test_frames_of_one_datatake_are_one_pass(tmp_path):
    later = Tiny(start=TINY.stop)
    for tiny in (TINY, later):
        folder_of(tiny, tmp_path)
    scenes, unreadable = find_scenes([tmp_path])
    assert unreadable == []
    assert [scene.pass_id for scene in scenes] == ["S1A_046117_058549"] * 2


def test_threads_change_no_bit(tmp_path, monkeypatch):
    scene = open_scene(folder_of(TINY, tmp_path))
    monkeypatch.setattr("lagrangian_ice.images.geocode._TILE", 16)
    images = []
    for threads in (1, 4):
        monkeypatch.setattr("lagrangian_ice.images.geocode.thread_count", lambda n=threads: n)
        images.append(geocode_pass([scene], 100.0, ImageSettings()))
    np.testing.assert_array_equal(images[0].data, images[1].data)
    assert images[0].valid.any()


def test_frames_join_without_seam(tmp_path):
    """Two halves of one long acquisition, and the line between them, are one even image."""
    first = Tiny(dn=300)
    rows = first.shape[0]
    scenes = [open_scene(folder_of(first, tmp_path))]
    scenes.append(open_scene(folder_of(first.after(rows), tmp_path)))
    image = geocode_pass(scenes, 100.0, ImageSettings())
    georeference = read_georeference(scenes[0])
    across = np.stack(
        np.meshgrid(np.arange(rows - 40.0, rows + 40.0), np.arange(20.0, 280.0)), axis=-1
    ).reshape(-1, 2)
    row, col = np.rint(image.grid.rowcol(georeference.xy(across))).astype(int).T
    assert image.valid[row, col].all()
    along_track = image.band("HH")[row, col].reshape(-1, 80)
    assert np.ptp(along_track, axis=1).max() < 0.8


def test_noise_below_the_floor_is_not_arbitrarily_dark(tmp_path):
    scene = open_scene(folder_of(Tiny(dn=20), tmp_path))
    noise = safe_band(scene.path, "HV").radiometry.noise_equivalent_sigma0(0, 240)
    assert (read_band(scene, "HV") < 0).all()
    image = geocode_pass([scene], 100.0, ImageSettings())
    floor = 10 * np.log10(0.1 * np.median(noise))
    assert np.nanmin(image.band("HV")) == pytest.approx(floor, abs=0.1)


def test_manifest_itself_may_be_given(tmp_path):
    folder = folder_of(TINY, tmp_path)
    assert open_scene(folder / "manifest.safe").id == open_scene(folder).id


def test_future_products_are_refused(tmp_path):
    tiny = Tiny(start=datetime(2999, 1, 1, tzinfo=UTC))
    with pytest.raises(SceneError, match="future"):
        open_scene(folder_of(tiny, tmp_path))


def test_footprint_is_the_outline_of_the_pixels(tmp_path):
    scene = open_scene(folder_of(TINY, tmp_path))
    assert math.isclose(scene.footprint.area, 240 * 300 * scene.pixel**2, rel_tol=1e-3)


def test_a_zip_in_a_folder_with_half_a_brace(tmp_path):
    place = tmp_path / "a}b"
    place.mkdir()
    path = write_zip(TINY.files(), place / f"{TINY.name}.zip", f"{TINY.name}.SAFE/")
    assert np.isfinite(read_band(open_scene(path), "HH")).any()
