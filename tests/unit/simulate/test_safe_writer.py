"""SAFE products read back by a reader that shares nothing with the writer."""

import hashlib
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import rasterio
from defusedxml import ElementTree
from pyproj import Transformer
from scipy.interpolate import BSpline, RectBivariateSpline, make_interp_spline

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.simulate.archive import ArchiveSettings, simulate_archive
from lagrangian_ice.simulate.instrument import NoiseSettings
from lagrangian_ice.simulate.radar_swath import RadarSwath, plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame, tie_lines_pixels
from lagrangian_ice.simulate.speckle import speckle
from lagrangian_ice.simulate.truth import load_truth

LIGHT = 299792458.0
START = datetime(2021, 1, 1, tzinfo=UTC)
TIME = START.timestamp()
SWATH = plan_radar_swath((-150.0, 80.0), TIME, True, 19.2, (120e3, 400e3), 200.0)
TRUE_DB = {"HH": -16.0, "HV": -28.0}
TO_EARTH = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
TO_MAP = Transformer.from_crs("EPSG:4326", "EPSG:3413", always_xy=True)


def heights() -> np.ndarray:
    """Some tie points on mountains."""
    shape = tuple(len(values) for values in tie_lines_pixels(SWATH.shape, SWATH.pixel))
    rng = np.random.default_rng(3)
    return np.where(rng.random(shape) < 0.15, rng.uniform(50, 900, shape), 0.0)


FRAME = SafeFrame(SWATH, "S1A", 46117, 361801, tie_heights=heights())


def images(swath: RadarSwath, bands: int = 2, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    levels = [10 ** (TRUE_DB[name] / 10) for name in ("HH", "HV")[:bands]]
    sigma0 = np.stack([np.full(swath.shape, level, np.float32) for level in levels])
    return sigma0, np.stack([speckle(swath.shape, rng, 11.0, 0.5) for _ in levels])


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("safe"), FRAME, *images(SWATH))


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def numbers(element: Element, name: str) -> np.ndarray:
    child = element.find(name)
    values = np.array(child.text.split(), dtype=np.float64)
    assert len(values) == int(child.get("count"))
    return values


class Reader:
    """One band of a SAFE folder."""

    def __init__(self, folder: Path, polarisation: str) -> None:
        code = polarisation.lower()
        (annotation,) = folder.glob(f"annotation/s1*-ew-grd-{code}-*.xml")
        self.annotation = ElementTree.parse(annotation).getroot()
        kinds = {}
        for kind in ("calibration", "noise"):
            (path,) = folder.glob(f"annotation/calibration/{kind}-*-{code}-*.xml")
            kinds[kind] = ElementTree.parse(path).getroot()
        self.calibration, self.noise = kinds["calibration"], kinds["noise"]
        (self.measurement,) = folder.glob(f"measurement/*-{code}-*.tiff")

    def text(self, name: str) -> str:
        return self.annotation.findtext(f"imageAnnotation/imageInformation/{name}")

    def orbit(self) -> tuple[BSpline, BSpline, float]:
        states = self.annotation.findall(".//orbitList/orbit")
        times = np.array([seconds(state.findtext("time")) for state in states])
        place, velocity = (
            np.array([[float(s.findtext(f"{kind}/{axis}")) for axis in "xyz"] for s in states])
            for kind in ("position", "velocity")
        )
        assert np.all(np.diff(times) == 10.0)
        since = times - times[0]
        return (*(make_interp_spline(since, v, k=7) for v in (place, velocity)), times[0])

    def ties(self) -> dict[str, np.ndarray]:
        points = self.annotation.findall(".//geolocationGridPoint")
        names = [
            "line",
            "pixel",
            "latitude",
            "longitude",
            "height",
            "incidenceAngle",
            "slantRangeTime",
        ]
        table = {name: np.array([float(p.findtext(name)) for p in points]) for name in names}
        table["time"] = np.array([seconds(p.findtext("azimuthTime")) for p in points])
        return table

    def sigma0(self) -> np.ndarray:
        """Calibrated, with the noise of the tables taken out."""
        with rasterio.open(self.measurement) as dataset:
            dn = dataset.read(1).astype(np.float64)
        col = np.arange(dn.shape[1])
        vectors = self.calibration.findall(".//calibrationVector")
        factor = self.between(vectors, "sigmaNought", dn.shape)
        noise = self.between(self.noise.findall(".//noiseRangeVector"), "noiseRangeLut", dn.shape)
        seen = np.zeros(dn.shape, dtype=int)
        for block in self.noise.findall(".//noiseAzimuthVector"):
            names = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
            top, bottom, left, right = (int(block.findtext(name)) for name in names)
            lines = np.arange(top, bottom + 1)
            along = np.interp(lines, numbers(block, "line"), numbers(block, "noiseAzimuthLut"))
            noise[top : bottom + 1, left : right + 1] *= along[:, None]
            seen[top : bottom + 1, left : right + 1] += 1
        assert np.all(seen == 1)
        assert len(col) == int(self.text("numberOfSamples"))
        return (dn**2 - noise) / factor**2

    @staticmethod
    def between(vectors: list, name: str, shape: tuple[int, int]) -> np.ndarray:
        lines = np.array([float(vector.findtext("line")) for vector in vectors])
        assert lines[0] == 0
        assert lines[-1] >= shape[0] - 1
        table = np.array(
            [np.interp(np.arange(shape[1]), numbers(v, "pixel"), numbers(v, name)) for v in vectors]
        )
        row = np.arange(shape[0])
        low = np.clip(np.searchsorted(lines, row, side="right") - 1, 0, len(lines) - 2)
        weight = ((row - lines[low]) / (lines[low + 1] - lines[low]))[:, None]
        return table[low] * (1 - weight) + table[low + 1] * weight


@pytest.fixture(scope="module", params=["HH", "HV"])
def band(request: pytest.FixtureRequest, product: Path) -> tuple[str, Reader]:
    return request.param, Reader(product, request.param)


def test_names_manifest_and_check_sums(product: Path) -> None:
    stamp = r"2020123\dT\d{6}_2021010\dT\d{6}"
    assert re.fullmatch(
        rf"S1A_EW_GRDM_1SDH_{stamp}_046117_058549_[0-9A-F]{{4}}\.SAFE", product.name
    )
    assert not list(product.parent.glob("*.part"))
    text = (product / "manifest.safe").read_text()
    root = ElementTree.fromstring(text)
    listed = set()
    ids = {element.get("ID") for element in root.iter() if element.get("ID")}
    for item in root.iter("dataObject"):
        name = item.find(".//fileLocation").get("href")
        content = (product / name).read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == item.findtext(
            ".//checksum"
        )
        assert len(content) == int(item.find("byteStream").get("size"))
        assert item.get("repID") in ids
        listed.add((product / name).resolve())
    files = {path.resolve() for path in product.rglob("*") if path.is_file()}
    assert files - listed == {(product / "manifest.safe").resolve()}
    for pointer in root.iter("dataObjectPointer"):
        assert pointer.get("dataObjectID") in ids
    assert "46117" in text
    assert "361801" in text
    assert sorted(path.name[:14] for path in product.glob("measurement/*")) == [
        "s1a-ew-grd-hh-",
        "s1a-ew-grd-hv-",
    ]


def test_gdal_opens_it_as_sentinel1(product: Path) -> None:
    with rasterio.open(product / "manifest.safe") as dataset:
        assert dataset.driver == "SAFE"
        assert (dataset.count, *dataset.shape) == (2, *SWATH.shape)
        assert dataset.tags()["ORBIT_NUMBER"] == "46117"
        assert dataset.tags()["ORBIT_DIRECTION"] == "ASCENDING"
        points, _ = dataset.gcps
    first = SWATH.lonlat([0.0, 0.0], FRAME.tie_heights[0, 0])
    assert (points[0].x, points[0].y) == pytest.approx(first, abs=1e-6)
    assert points[1].col == tie_lines_pixels(SWATH.shape, SWATH.pixel)[1][1]


def test_tie_points_follow_from_orbit_time_and_range(band: tuple[str, Reader]) -> None:
    ties = band[1].ties()
    assert np.count_nonzero(ties["height"] > 40) > 20
    place, velocity, first = band[1].orbit()
    point = np.stack(
        TO_EARTH.transform(ties["longitude"], ties["latitude"], ties["height"]), axis=-1
    )
    time = ties["time"] - first
    assert np.abs(place(time, 1) - velocity(time)).max() < 1e-5
    sight = point - place(time)
    along = np.sum(sight * velocity(time), axis=-1) / np.linalg.norm(velocity(time), axis=-1)
    distance = np.linalg.norm(sight, axis=-1)
    assert np.abs(along).max() < 0.005
    assert np.abs(distance - 0.5 * LIGHT * ties["slantRangeTime"]).max() < 0.005
    # Right-looking: velocity x up points to the right.
    right = np.cross(velocity(time), place(time))
    assert np.all(np.sum(right * sight, axis=-1) > 0)
    up = point / np.linalg.norm(point, axis=-1)[:, None]
    angle = np.degrees(np.arccos(np.sum(-sight * up, axis=-1) / distance))
    assert np.abs(angle - ties["incidenceAngle"]).max() < 0.2
    assert 19 < ties["incidenceAngle"].min() < 19.5
    assert 44 < ties["incidenceAngle"].max() < 47


def test_grid_has_the_layout_of_the_real_ones(band: tuple[str, Reader]) -> None:
    ties = band[1].ties()
    assert len(np.unique(ties["pixel"])) == 21
    assert len(np.unique(ties["line"])) >= 8
    assert ties["line"].max() == SWATH.shape[0] - 1
    assert ties["pixel"].max() == SWATH.shape[1] - 1
    # The echo of near ice comes before the time of its line, that of far ice after it.
    lag = ties["time"] - SWATH.line_time(ties["line"])
    near, far = lag[ties["pixel"] == 0], lag[ties["pixel"] == SWATH.shape[1] - 1]
    assert -4e-4 < near.mean() < -3e-4
    assert 3e-4 < far.mean() < 4e-4


def test_ground_range_polynomials_give_the_slant_ranges(band: tuple[str, Reader]) -> None:
    reader = band[1]
    ties = reader.ties()
    records = reader.annotation.findall(".//coordinateConversionList/coordinateConversion")
    times = np.array([seconds(record.findtext("azimuthTime")) for record in records])
    slant = np.array([numbers(record, "grsrCoefficients") for record in records])
    back = np.array([numbers(record, "srgrCoefficients") for record in records])
    origin = np.array([float(record.findtext("sr0")) for record in records])
    assert times[0] < SWATH.start
    assert times[-1] > SWATH.stop
    ground = ties["pixel"] * float(reader.text("rangePixelSpacing"))
    line_time = seconds(reader.text("productFirstLineUtcTime"))
    line_time = line_time + ties["line"] * float(reader.text("azimuthTimeInterval"))
    expected = 0.5 * LIGHT * ties["slantRangeTime"]
    for point in range(0, len(ground), 7):
        values = np.polynomial.polynomial.polyval(ground[point], slant.T)
        found = np.interp(line_time[point], times, values)
        assert found == pytest.approx(expected[point], abs=0.005)
        nearest = np.argmin(np.abs(times - line_time[point]))
        inverse = np.polynomial.polynomial.polyval(found - origin[nearest], back[nearest])
        assert inverse == pytest.approx(ground[point], abs=60.0)


def test_pixels_lie_where_the_tie_points_say(tmp_path: Path) -> None:
    frame = SafeFrame(SWATH.frame(100, 400), "S1B", 12345, 99, polarisations=("HH",))
    reader = Reader(write_safe(tmp_path, frame, *images(frame.swath, 1)), "HH")
    ties = reader.ties()
    line, pixel = np.unique(ties["line"]), np.unique(ties["pixel"])
    shape = (len(line), len(pixel))
    x, y = TO_MAP.transform(ties["longitude"], ties["latitude"])
    rowcol = np.random.default_rng(0).uniform(0, 1, (500, 2)) * (np.array(frame.swath.shape) - 1)
    found = [
        RectBivariateSpline(line, pixel, v.reshape(shape), kx=3, ky=3).ev(*rowcol.T) for v in (x, y)
    ]
    error = np.hypot(*(np.stack(found, axis=-1) - SWATH.xy(rowcol + np.array([100, 0]))).T)
    assert error.max() < 0.2
    # On the map the image is not mirrored: rows to the right of columns, seen from above.
    corner, down, right = SWATH.xy([[0, 0], [1, 0], [0, 1]])
    assert np.linalg.det([down - corner, right - corner]) < 0


def test_line_times(band: tuple[str, Reader]) -> None:
    reader = band[1]
    first = seconds(reader.text("productFirstLineUtcTime"))
    times = first + np.arange(SWATH.shape[0]) * float(reader.text("azimuthTimeInterval"))
    assert np.abs(times - SWATH.line_times).max() < 5e-6
    assert seconds(reader.text("productLastLineUtcTime")) == pytest.approx(SWATH.stop, abs=2e-6)
    assert int(reader.text("numberOfLines")) == SWATH.shape[0]


def test_backscatter_comes_back_unbiased(band: tuple[str, Reader]) -> None:
    name, reader = band
    sigma0 = reader.sigma0()
    for part in np.array_split(sigma0, 8, axis=1):
        assert 10 * np.log10(part.mean()) == pytest.approx(TRUE_DB[name], abs=0.05)
    for part in np.array_split(sigma0, 6, axis=0):
        assert 10 * np.log10(part.mean()) == pytest.approx(TRUE_DB[name], abs=0.05)


def test_noise_is_that_of_the_real_instrument(product: Path) -> None:
    reader = Reader(product, "HV")
    shape = SWATH.shape
    vectors = reader.noise.findall(".//noiseRangeVector")
    factor = Reader.between(
        reader.calibration.findall(".//calibrationVector"), "sigmaNought", shape
    )
    noise = 10 * np.log10(Reader.between(vectors, "noiseRangeLut", shape) / factor**2)
    assert -29.5 < noise.mean() < -27
    # Steps of some dB between the sub-swaths, one of them at once.
    assert np.sort(np.abs(np.diff(noise[0])))[-4:].min() > 0.5
    scallop = [numbers(b, "noiseAzimuthLut") for b in reader.noise.iter("noiseAzimuthVector")]
    assert 1.1 < max(values.max() for values in scallop) < 1.3
    assert {b.findtext("swath") for b in reader.noise.iter("noiseAzimuthVector")} == {
        f"EW{k}" for k in range(1, 6)
    }


def test_looks_survive_the_digital_numbers(product: Path) -> None:
    with rasterio.open(Reader(product, "HH").measurement) as dataset:
        power = dataset.read(1)[200:400, 1300:1400].astype(np.float64) ** 2
    local = power / power.mean(axis=0)
    assert 1 / local.var() == pytest.approx(11.0, rel=0.2)


def test_tables_can_be_wrong_on_purpose(tmp_path: Path) -> None:
    error = (1.0, 0.0, 0.0, 0.0, 0.0)
    frame = SafeFrame(SWATH, "S1A", 1, 1, noise=NoiseSettings(error=error))
    reader = Reader(write_safe(tmp_path, frame, *images(SWATH)), "HV")
    sigma0 = reader.sigma0()
    first = min(
        int(block.findtext("lastRangeSample"))
        for block in reader.noise.iter("noiseAzimuthVector")
        if block.findtext("swath") == "EW1"
    )
    ew1 = 10 * np.log10(sigma0[:, : first - 5].mean())
    assert ew1 > TRUE_DB["HV"] + 0.5
    rest = 10 * np.log10(sigma0[:, first + 10 :].mean())
    assert rest == pytest.approx(TRUE_DB["HV"], abs=0.05)


def test_missing_ice_is_zero_and_dark_ice_is_not(tmp_path: Path) -> None:
    swath = SWATH.frame(0, 40)
    sigma0, spotless = images(swath)
    sigma0[:, :10, :7] = np.nan
    sigma0[:, 20:] = 0.0
    frame = SafeFrame(swath, "S1A", 1, 1, noise=NoiseSettings(level=-20.0))
    path = write_safe(tmp_path, frame, sigma0, spotless * 1e-6)
    with rasterio.open(Reader(path, "HV").measurement) as dataset:
        pixels = dataset.read(1)
    assert np.all(pixels[:10, :7] == 0)
    assert np.count_nonzero(pixels == 0) == 70


def test_noise_file_of_older_products(tmp_path: Path) -> None:
    frame = SafeFrame(SWATH, "S1A", 1, 1, noise=NoiseSettings(azimuth=False))
    path = write_safe(tmp_path, frame, *images(SWATH))
    reader = Reader(path, "HV")
    assert [child.tag for child in reader.noise] == ["adsHeader", "noiseVectorList"]
    with rasterio.open(reader.measurement) as dataset:
        power = dataset.read(1).astype(np.float64) ** 2
    factor = Reader.between(
        reader.calibration.findall(".//calibrationVector"), "sigmaNought", SWATH.shape
    )
    noise = Reader.between(reader.noise.findall(".//noiseVector"), "noiseLut", SWATH.shape)
    for part in np.array_split((power - noise) / factor**2, 6, axis=0):
        assert 10 * np.log10(part.mean()) == pytest.approx(TRUE_DB["HV"], abs=0.05)


def test_sub_swaths_of_a_first_slice_begin_one_after_the_other(tmp_path: Path) -> None:
    frame = SafeFrame(SWATH, "S1A", 1, 1, noise=NoiseSettings(ragged=True))
    reader = Reader(write_safe(tmp_path, frame, *images(SWATH)), "HH")
    with rasterio.open(reader.measurement) as dataset:
        empty = dataset.read(1) == 0
    starts = {}
    for block in reader.noise.iter("noiseAzimuthVector"):
        starts.setdefault(block.findtext("swath"), int(block.findtext("firstAzimuthLine")))
        left, right = (int(block.findtext(f"{end}RangeSample")) for end in ("first", "last"))
        assert empty[:, (left + right) // 2].sum() == starts[block.findtext("swath")]
    assert list(starts.values()) == [0, 26, 45, 65, 84]
    assert not empty[84:].any()


def test_zip_holds_the_folder(tmp_path: Path) -> None:
    frame = SafeFrame(SWATH.frame(0, 40), "S1A", 46117, 361801)
    folder = write_safe(tmp_path, frame, *images(frame.swath))
    packed = write_safe(tmp_path, frame, *images(frame.swath), zipped=True)
    assert packed.name == folder.name + ".zip"
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if not name.endswith("/")}
        for name in names:
            assert archive.read(name) == (tmp_path / name).read_bytes()
    assert names == {
        path.relative_to(tmp_path).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, packed.name]


def test_positions_go_there_and_back() -> None:
    rowcol = np.random.default_rng(1).uniform(-60, 660, (300, 2)) * [1.0, 3.0]
    assert np.abs(SWATH.rowcol(SWATH.xy(rowcol)) - rowcol).max() < 1e-4
    assert np.isnan(SWATH.rowcol([np.nan, 0.0])).all()
    assert not SWATH.contains(SWATH.xy([[-3.0, 10.0], [10.0, SWATH.shape[1] + 2.0]])).any()
    assert SWATH.contains(SWATH.xy([10.0, 10.0]))
    nodes = SWATH.all_xy()
    some = np.stack(np.mgrid[0:600:97, 0:2000:333], axis=-1)
    assert np.abs(nodes[::97, ::333] - SWATH.xy(some)).max() < 0.02


@pytest.mark.parametrize("ascending", [True, False])
def test_orbit_passes_over_the_place(ascending: bool) -> None:
    swath = plan_radar_swath((30.0, 78.0), TIME, ascending, 30.0, (60e3, 100e3), 100.0)
    middle = (np.array(swath.shape) - 1) / 2
    x, y = TO_MAP.transform(30.0, 78.0)
    assert np.hypot(*(swath.xy(middle) - [x, y])) < 3000
    assert swath.incidence[0] == pytest.approx(30.0, abs=0.3)
    assert SafeFrame(swath, "S1A", 1, 1).ascending == ascending
    with pytest.raises(ValueError, match=r"latitude -89"):
        plan_radar_swath((30.0, -89.0), TIME, ascending, 30.0, (60e3, 100e3), 100.0)


def test_wrong_calls_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"polarisations \('HV',\)"):
        SafeFrame(SWATH, "S1A", 1, 1, polarisations=("HV",))
    with pytest.raises(ValueError, match="platform 'S2A'"):
        SafeFrame(SWATH, "S2A", 1, 1)
    with pytest.raises(ValueError, match="images of"):
        write_safe(tmp_path, FRAME, *images(SWATH.frame(0, 10)))
    with pytest.raises(ValueError, match="noise level 50"):
        NoiseSettings(level=50)
    flat = SafeFrame(SWATH, "S1A", 1, 1, tie_heights=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="tie heights"):
        write_safe(tmp_path, flat, *images(SWATH))
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_safe(tmp_path / "file", FRAME, *images(SWATH))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match="format 'png' is not one of geotiff, safe, safe-zip"):
        ArchiveSettings(format="png")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    directory = tmp_path_factory.mktemp("archive")
    options = {"area_km": 60.0, "pixel": 200.0, "format": "safe"}
    return directory, simulate_archive(directory, 1.0, 5, START, **options)


def test_archive_agrees_with_its_truth(archive: tuple[Path, list[Path]]) -> None:
    directory, paths = archive
    truth = load_truth(directory / "truth.nc")
    assert len(paths) == 5
    assert len(truth.swaths) == 3
    assert {path.suffix for path in paths} == {".SAFE"}
    for path in paths:
        reader = Reader(path, "HV")
        first = seconds(reader.text("productFirstLineUtcTime"))
        (swath,) = (s for s in truth.swaths if s.start - 1 < first < s.stop)
        ties = reader.ties()
        row = ties["line"] + round((first - swath.start) / swath.line_interval)
        x, y = TO_MAP.transform(ties["longitude"], ties["latitude"])
        true = swath.xy(np.stack([row, ties["pixel"]], axis=-1))
        assert np.hypot(*(true - np.stack([x, y], -1)).T).max() < 0.02
        hh, hv = (10 * np.log10(Reader(path, name).sigma0().mean()) for name in ("HH", "HV"))
        assert -20 < hh < -6
        assert 5 < hh - hv < 15


def test_ice_of_the_archive_moves_with_its_truth(archive: tuple[Path, list[Path]]) -> None:
    directory, paths = archive
    truth = load_truth(directory / "truth.nc")
    first, last = truth.swaths[0], truth.swaths[-1]
    a = np.sqrt(np.maximum(Reader(paths[0], "HH").sigma0(), 1e-5))
    b = np.sqrt(np.maximum(Reader(paths[-2], "HH").sigma0(), 1e-5))
    rowcol = np.stack(np.mgrid[60:180, 60:180], -1).reshape(-1, 2)
    found = truth.sightings(first.xy(rowcol), first.line_time(rowcol[:, 0]))
    there = last.rowcol(found.xy[:, -1])
    inside = np.all((there >= 0) & (there <= np.array(b.shape) - 1), axis=-1)
    use = found.inside[:, -1] & found.on_top[:, -1] & inside
    assert use.sum() > 2000
    target = np.rint(there[use]).astype(int)
    still = np.rint(last.rowcol(first.xy(rowcol[use]))).astype(int)
    still = np.clip(still, 0, np.array(b.shape) - 1)
    source = a[rowcol[use, 0], rowcol[use, 1]]
    moved = np.corrcoef(source, b[target[:, 0], target[:, 1]])[0, 1]
    unmoved = np.corrcoef(source, b[still[:, 0], still[:, 1]])[0, 1]
    assert moved > 0.4
    assert unmoved < moved - 0.15


def test_same_seed_same_products(archive: tuple[Path, list[Path]], tmp_path: Path) -> None:
    options = {"area_km": 60.0, "pixel": 200.0, "format": "safe-zip"}
    again = simulate_archive(tmp_path, 1.0, 5, START, **options)
    # The names end in a check sum of the manifest, which has those of all files.
    assert [path.name for path in again] == [path.name + ".zip" for path in archive[1]]
    with pytest.raises(WorkspaceError, match="holds Sentinel-1 scenes already"):
        simulate_archive(tmp_path, 1.0, 5, START)
