from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.scenes.reader import open_scene
from lagrangian_ice.simulate.archive import ArchiveSettings, plan_archive, simulate_archive
from lagrangian_ice.simulate.truth import Truth, load_truth
from lagrangian_ice.times import parse_utc, to_seconds

START = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    directory = tmp_path_factory.mktemp("archive") / "scenes"
    return directory, simulate_archive(directory, 1.0, 5, START, area_km=60.0, pixel=200.0)


@pytest.fixture(scope="module")
def truth(archive: tuple[Path, list[Path]]) -> Truth:
    return load_truth(archive[0] / "truth.nc")


def test_scenes_are_read_as_sentinel1(archive: tuple[Path, list[Path]], truth: Truth) -> None:
    _, paths = archive
    scenes = [open_scene(path) for path in paths]
    assert len(scenes) == 5
    assert len({scene.pass_id for scene in scenes}) == len(truth.swaths) == 3
    for scene in scenes:
        assert scene.polarisations == ("HH", "HV")
        assert scene.units == "linear"
        assert scene.platform in {"S1A", "S1B"}
        assert scene.orbit > 0
        assert scene.pixel == pytest.approx(200.0, rel=0.05)
        assert START <= scene.start < scene.stop
    assert [scene.start for scene in scenes] == sorted(scene.start for scene in scenes)


def test_bands_tags_and_pixels(archive: tuple[Path, list[Path]], truth: Truth) -> None:
    with rasterio.open(archive[1][0]) as dataset:
        assert dataset.descriptions == ("HH", "HV")
        assert dataset.dtypes == ("float32", "float32")
        hh, hv = dataset.read()
        tags = dataset.tags()
    assert np.isfinite(hh).all()
    assert (hv > 0).all()
    assert -20 < 10 * np.log10(hh.mean()) < -6
    assert 5 < 10 * np.log10(hh.mean() / hv.mean()) < 13
    swath = truth.swaths[0]
    assert to_seconds(parse_utc(tags["time_coverage_start"])) == pytest.approx(
        swath.start, abs=1e-5
    )
    assert to_seconds(parse_utc(tags["time_coverage_end"])) == pytest.approx(swath.stop, abs=1e-5)


def test_control_points_in_the_file_are_right(
    archive: tuple[Path, list[Path]], truth: Truth
) -> None:
    with rasterio.open(archive[1][0]) as dataset:
        points, crs = dataset.gcps
    assert crs.to_epsg() == 4326
    rowcol = np.array([[point.row, point.col] for point in points]) - 0.5
    xy = lonlat_to_xy(np.array([[point.x, point.y] for point in points]))
    assert np.abs(truth.swaths[0].xy(rowcol) - xy).max() < 1e-3


def test_frames_of_a_pass_show_the_same_lines(archive: tuple[Path, list[Path]]) -> None:
    images = []
    for path in archive[1][-2:]:
        with rasterio.open(path) as dataset:
            images.append(dataset.read())
    assert np.array_equal(images[0][:, -25:], images[1][:, :25])


def test_truth_file_agrees_with_the_motion(archive: tuple[Path, list[Path]], truth: Truth) -> None:
    import netCDF4

    with netCDF4.Dataset(archive[0] / "truth.nc") as dataset:
        start = np.stack([dataset["x0"][:], dataset["y0"][:]], axis=1)
        times = np.asarray(dataset["time"][:])
        place = np.stack([dataset["x"][:], dataset["y"][:]], axis=-1)
        gradient = np.asarray(dataset["dudy"][:])
        seen = np.asarray(dataset["seen"][:]) > 0
        assert dataset["time"].units == "seconds since 1970-01-01 00:00:00"
    reference = truth.motion.reference_time
    for k, swath in enumerate(truth.swaths):
        moved = truth.position(start, reference, times[:, k])
        assert np.abs(moved - place[:, k]).max() < 1e-6
        line = swath.rowcol(place[:, k])[:, 0]
        lag = swath.line_time(line) - times[:, k]
        assert np.abs(lag[seen[:, k]]).max() < 1e-5
        own = truth.motion.velocity_gradient(start, times[:, k])[:, 0, 1]
        assert np.array_equal(gradient[:, k], own)
    assert 0.3 < seen.mean() < 1


def test_velocity_gradient_at_map_positions(truth: Truth) -> None:
    time = truth.swaths[-1].start
    xy = truth.swaths[-1].xy([[60.0, 50.0], [100.0, 120.0]])
    material, _ = truth.motion.material(xy, time)
    assert np.array_equal(
        truth.velocity_gradient(xy, time), truth.motion.velocity_gradient(material, time)
    )


def test_ice_moves_with_the_truth(archive: tuple[Path, list[Path]], truth: Truth) -> None:
    images = []
    for path in (archive[1][0], archive[1][-2]):
        with rasterio.open(path) as dataset:
            images.append(10 * np.log10(dataset.read(1)))
    first, last = truth.swaths[0], truth.swaths[-1]
    rowcol = np.stack(np.mgrid[60:180, 60:180], -1).reshape(-1, 2)
    found = truth.sightings(first.xy(rowcol), first.line_time(rowcol[:, 0]))
    seen = found.inside & found.on_top
    there = last.rowcol(found.xy[:, -1])
    use = seen[:, -1] & (there[:, 0] < images[1].shape[0] - 1)
    target = np.rint(there[use]).astype(int)
    a = images[0][rowcol[use, 0], rowcol[use, 1]]
    b = images[1][target[:, 0], target[:, 1]]
    still = np.clip(np.rint(last.rowcol(first.xy(rowcol[use]))).astype(int), 0, 200)
    c = images[1][still[:, 0], still[:, 1]]
    assert use.sum() > 2000
    assert np.corrcoef(a, b)[0, 1] > 0.4
    assert np.corrcoef(a, c)[0, 1] < np.corrcoef(a, b)[0, 1] - 0.15


def test_same_seed_same_bytes(archive: tuple[Path, list[Path]], tmp_path: Path) -> None:
    again = simulate_archive(tmp_path, 1.0, 5, START, area_km=60.0, pixel=200.0)
    assert [path.name for path in again] == [path.name for path in archive[1]]
    with rasterio.open(again[-1]) as a, rasterio.open(archive[1][-1]) as b:
        assert np.array_equal(a.read(), b.read())


def test_passes_cross_and_cover_part_of_the_area() -> None:
    truth, plans = plan_archive(3.0, 1, START, ArchiveSettings())
    headings = np.array([swath.heading for swath in truth.swaths])
    assert len(plans) == 9
    assert (headings > 270).any()
    assert (headings < 270).any()
    assert np.all(np.diff([swath.start for swath in truth.swaths]) > 3600)
    assert len({plan.datatake for plan in plans}) == 9
    drift = truth.motion.drift.value(np.arange(4)[:, None] * 86400.0)
    speed = np.hypot(*np.diff(drift, axis=0).T)
    assert 2e3 < speed.mean() < 25e3


def test_wrong_arguments_and_folders_are_named(
    archive: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="days 0"):
        simulate_archive(tmp_path, 0, 1, START)
    with pytest.raises(ValueError, match="seed -1"):
        simulate_archive(tmp_path, 1, -1, START)
    with pytest.raises(ValueError, match=r"area 5000 km"):
        ArchiveSettings(area_km=5000)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(WorkspaceError, match="is a file"):
        simulate_archive(file, 1, 1, START)
    with pytest.raises(WorkspaceError, match="cannot be made"):
        simulate_archive(file / "below", 1, 1, START)
    with pytest.raises(WorkspaceError, match="holds Sentinel-1 scenes already"):
        simulate_archive(archive[0], 1, 1, START)


@pytest.mark.parametrize(
    "start", [datetime(1965, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)]
)
def test_times_that_no_reader_takes_are_not_simulated(tmp_path, start):
    with pytest.raises(ValueError, match="not all between 1970 and now"):
        simulate_archive(tmp_path / "a", 1.0, 1, start)
    assert not (tmp_path / "a").exists()
