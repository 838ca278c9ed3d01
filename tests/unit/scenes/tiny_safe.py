"""Small SAFE products with everything that a reader looks at, made without the package."""

import io
import warnings
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

LIGHT_SPEED = 299_792_458.0
RADIUS, SPEED = 7.07e6, 7.5e3
STEP = 40
LINE_INTERVAL = 0.006


@dataclass(frozen=True)
class Tiny:
    """What a product is made from."""

    shape: tuple[int, int] = (240, 300)
    polarisations: tuple[str, ...] = ("HH", "HV")
    platform: str = "S1A"
    mode: str = "EW"
    start: datetime = datetime(2021, 1, 1, 6, 30, 0, 123456, tzinfo=UTC)
    orbit: int = 46117
    datatake: int = 0x58549
    terrain: float = 0.0
    old_noise: bool = False
    noise_removed: bool = False
    cog: bool = False
    short_names: bool = False
    dn: int | None = None
    lines_before: int = 0

    def after(self, lines):
        """The next frame of the same orbit, so many lines later."""
        later = self.start + timedelta(seconds=LINE_INTERVAL * lines)
        return replace(self, start=later, lines_before=self.lines_before + lines)

    @property
    def stop(self):
        return self.start + timedelta(seconds=LINE_INTERVAL * (self.shape[0] - 1))

    @property
    def name(self):
        codes = {"HH": "SH", "VV": "SV", "HHHV": "DH", "VVVH": "DV"}
        times = f"{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
        return (
            f"{self.platform}_{self.mode}_GRDM_1S{codes[''.join(self.polarisations)][-2:]}_{times}"
            f"_{self.orbit:06d}_{self.datatake:06X}_BB15"
        )

    def stem(self, polarisation):
        number = self.polarisations.index(polarisation) + 1
        times = f"{self.start:%Y%m%dt%H%M%S}-{self.stop:%Y%m%dt%H%M%S}"
        return (
            f"{self.platform}-{self.mode}-grd-{polarisation}-{times}"
            f"-{self.orbit:06d}-{self.datatake:06x}-{number:03d}"
        ).lower()

    def names(self, polarisation):
        stem = self.stem(polarisation)
        return {
            "annotation": f"annotation/{stem}.xml",
            "calibration": f"annotation/calibration/calibration-{stem}.xml",
            "noise": f"annotation/calibration/noise-{stem}.xml",
            "measurement": f"measurement/{stem}{'-cog' * self.cog}.tiff",
        }

    def files(self):
        """Content of every file by its name."""
        files = {"manifest.safe": self._manifest()}
        for polarisation in self.polarisations:
            names = self.names(polarisation)
            if self.short_names:
                stem = self.stem(polarisation)
                short = f"{self.mode}-{polarisation}".lower()
                names = {role: name.replace(stem, short) for role, name in names.items()}
            files[names["annotation"]] = self._annotation(polarisation)
            files[names["calibration"]] = self._calibration(polarisation)
            files[names["noise"]] = self._noise(polarisation)
            files[names["measurement"]] = tiff(self.numbers(polarisation), tiled=self.cog)
        return files

    def numbers(self, polarisation):
        """Digital numbers (rows, cols) uint16, with a margin without data."""
        if self.dn is not None:
            return np.full(self.shape, self.dn, dtype=np.uint16)
        seed = self.polarisations.index(polarisation)
        numbers = np.random.default_rng(seed).integers(50, 400, self.shape, dtype=np.uint16)
        numbers[:, :3] = 0
        return numbers

    def vectors(self):
        """Lines and pixels of the tables; both reach past the image."""
        rows, cols = self.shape
        lines = np.arange(0, rows + 60, 60)
        pixels = np.unique(np.append(np.arange(0, cols, STEP), cols - 1))
        return lines, pixels

    def gain(self, line, pixel):
        return 600.0 - 0.5 * pixel + 0.1 * line

    def noise(self, line, pixel):
        return 20_000.0 * (1.0 + 0.3 * np.cos(pixel / 40.0)) + 2.0 * line

    def blocks(self):
        """First line, first sample, last line, last sample of the azimuth blocks."""
        rows, cols = self.shape
        middle = cols // 2
        return [(0, 0, rows - 1, middle), (0, middle + 1, rows - 1, cols - 1)]

    def factor(self, line, number):
        return 1.0 + 0.1 * np.sin(line / 11.0 + number)

    def orbit_at(self, seconds):
        """Position and velocity (N, 3) on a circle that passes over 80 N, 20 E."""
        lat, lon = np.radians([80.0, 20.0])
        up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        ahead = 0.8 * east + 0.6 * np.cross(up, east)
        since = np.asarray(seconds)[:, None] + self.lines_before * LINE_INTERVAL
        angle = since * SPEED / RADIUS
        return (
            RADIUS * (np.cos(angle) * up + np.sin(angle) * ahead),
            SPEED * (-np.sin(angle) * up + np.cos(angle) * ahead),
        )

    def ties(self):
        """Line, pixel, time, slant range, longitude, latitude, height, incidence, all (N,)."""
        rows, cols = self.shape
        lines = np.unique(np.append(np.arange(0, rows - 1, 60), rows - 1))
        pixels = np.unique(np.append(np.arange(0, cols - 1, 75), cols - 1))
        line, pixel = (part.ravel() for part in np.meshgrid(lines, pixels, indexing="ij"))
        time = line * LINE_INTERVAL
        slant = 880e3 + 23.0 * pixel
        height = self.terrain * (np.hypot(line - 120, pixel - 150) < 90)
        position, velocity = self.orbit_at(time)
        target = seen_at(position, velocity, slant, height)
        lon, lat, _ = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True).transform(
            *target.T
        )
        away = position - target
        cosine = np.sum(away * target, axis=1)
        cosine /= np.linalg.norm(away, axis=1) * np.linalg.norm(target, axis=1)
        return line, pixel, time, slant, lon, lat, height, np.degrees(np.arccos(cosine))

    def _manifest(self):
        objects, told = [], []
        schemas = {
            "annotation": "s1Level1ProductSchema",
            "calibration": "s1Level1CalibrationSchema",
            "noise": "s1Level1NoiseSchema",
            "measurement": "s1Level1MeasurementSchema",
        }
        for polarisation in self.polarisations:
            told.append(
                "<s1sarl1:transmitterReceiverPolarisation>"
                f"{polarisation}</s1sarl1:transmitterReceiverPolarisation>"
            )
            objects += [
                f'<dataObject ID="{role}{polarisation}" repID="{schemas[role]}"><byteStream>'
                f'<fileLocation locatorType="URL" href="./{name}"/></byteStream></dataObject>'
                for role, name in self.names(polarisation).items()
            ]
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:s1sarl1="http://www.esa.int/l1">'
            f"<metadataSection>{''.join(told)}"
            "<s1sarl1:productType>GRD</s1sarl1:productType></metadataSection>"
            f"<dataObjectSection>{''.join(objects)}</dataObjectSection></xfdu:XFDU>"
        ).encode()

    def _header(self, polarisation):
        return (
            f"<adsHeader><missionId>{self.platform}</missionId><productType>GRD</productType>"
            f"<polarisation>{polarisation}</polarisation><mode>{self.mode}</mode>"
            f"<absoluteOrbitNumber>{self.orbit}</absoluteOrbitNumber>"
            f"<missionDataTakeId>{self.datatake}</missionDataTakeId></adsHeader>"
        )

    def _annotation(self, polarisation):
        rows, cols = self.shape
        seconds = np.arange(-30.0, 41.0, 10.0)
        orbit = "".join(
            f"<orbit><time>{iso(self.start, t)}</time>{vector('position', p)}"
            f"{vector('velocity', v)}</orbit>"
            for t, p, v in zip(seconds, *self.orbit_at(seconds), strict=True)
        )
        points = "".join(
            f"<geolocationGridPoint><azimuthTime>{iso(self.start, t)}</azimuthTime>"
            f"<slantRangeTime>{2 * r / LIGHT_SPEED:.15e}</slantRangeTime>"
            f"<line>{line}</line><pixel>{pixel}</pixel>"
            f"<latitude>{lat:.15e}</latitude><longitude>{lon:.15e}</longitude>"
            f"<height>{h:.15e}</height><incidenceAngle>{angle:.15e}</incidenceAngle>"
            "</geolocationGridPoint>"
            for line, pixel, t, r, lon, lat, h, angle in zip(*self.ties(), strict=True)
        )
        return (
            f"<product>{self._header(polarisation)}"
            f"<generalAnnotation><orbitList>{orbit}</orbitList></generalAnnotation>"
            "<imageAnnotation><imageInformation>"
            f"<productFirstLineUtcTime>{iso(self.start, 0)}</productFirstLineUtcTime>"
            f"<productLastLineUtcTime>{iso(self.stop, 0)}</productLastLineUtcTime>"
            f"<azimuthTimeInterval>{LINE_INTERVAL:.15e}</azimuthTimeInterval>"
            f"<numberOfSamples>{cols}</numberOfSamples><numberOfLines>{rows}</numberOfLines>"
            "</imageInformation><processingInformation><thermalNoiseCorrectionPerformed>"
            f"{str(self.noise_removed).lower()}</thermalNoiseCorrectionPerformed>"
            "</processingInformation></imageAnnotation><geolocationGrid>"
            f"<geolocationGridPointList>{points}</geolocationGridPointList></geolocationGrid>"
            "</product>"
        ).encode()

    def _calibration(self, polarisation):
        lines, pixels = self.vectors()
        vectors = "".join(
            f"<calibrationVector><line>{line}</line><pixel>{words(pixels)}</pixel>"
            f"<sigmaNought>{words(self.gain(line, pixels))}</sigmaNought></calibrationVector>"
            for line in lines
        )
        return (
            f"<calibration>{self._header(polarisation)}"
            f"<calibrationVectorList>{vectors}</calibrationVectorList></calibration>"
        ).encode()

    def _noise(self, polarisation):
        lines, pixels = self.vectors()
        kind, lut = ("noise", "noiseLut") if self.old_noise else ("noiseRange", "noiseRangeLut")
        vectors = "".join(
            f"<{kind}Vector><line>{line}</line><pixel>{words(pixels)}</pixel>"
            f"<{lut}>{words(self.noise(line, pixels))}</{lut}></{kind}Vector>"
            for line in lines
        )
        along = np.unique(np.append(np.arange(0, self.shape[0], 10), self.shape[0] - 1))
        blocks = "".join(
            f"<noiseAzimuthVector><swath>EW{number + 1}</swath>"
            f"<firstAzimuthLine>{a}</firstAzimuthLine><firstRangeSample>{b}</firstRangeSample>"
            f"<lastAzimuthLine>{c}</lastAzimuthLine><lastRangeSample>{d}</lastRangeSample>"
            f"<line>{words(along)}</line>"
            f"<noiseAzimuthLut>{words(self.factor(along, number))}</noiseAzimuthLut>"
            "</noiseAzimuthVector>"
            for number, (a, b, c, d) in enumerate(self.blocks())
        )
        blocks = f"<noiseAzimuthVectorList>{blocks}</noiseAzimuthVectorList>"
        return (
            f"<noise>{self._header(polarisation)}<{kind}VectorList>{vectors}</{kind}VectorList>"
            f"{'' if self.old_noise else blocks}</noise>"
        ).encode()


def seen_at(position, velocity, slant, height):
    """Targets on the right-hand side, by bisection of the look angle (the slow, plain way)."""
    up = position / np.linalg.norm(position, axis=1, keepdims=True)
    right = np.cross(velocity, up)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(right, velocity)
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    down *= -np.sign(np.sum(down * up, axis=1, keepdims=True))
    axes = np.stack([6378137.0 + height, 6378137.0 + height, 6356752.314245 + height], axis=1)
    low, high = np.full(slant.shape, 0.2), np.full(slant.shape, 1.2)
    for _ in range(60):
        angle = 0.5 * (low + high)[:, None]
        target = position + slant[:, None] * (np.cos(angle) * down + np.sin(angle) * right)
        above = np.sum((target / axes) ** 2, axis=1) > 1
        low, high = np.where(above, low, angle[:, 0]), np.where(above, angle[:, 0], high)
    return target


def iso(start, seconds):
    return (start + timedelta(seconds=float(seconds))).replace(tzinfo=None).isoformat()


def words(values):
    return " ".join(f"{value:.6e}" if value != int(value) else str(int(value)) for value in values)


def vector(tag, values):
    inner = "".join(
        f"<{axis}>{value:.9e}</{axis}>" for axis, value in zip("xyz", values, strict=True)
    )
    return f"<{tag}>{inner}</{tag}>"


def tiff(numbers, tiled=False):
    """Bytes of a one-band TIFF."""
    rows, cols = numbers.shape
    extra = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    profile = {"driver": "GTiff", "height": rows, "width": cols, "count": 1, "dtype": numbers.dtype}
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile, **(extra if tiled else {})) as dataset:
            dataset.write(numbers, 1)
        return bytes(memory.getbuffer())


def write_folder(files, folder):
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def write_zip(files, path, root="", compression=zipfile.ZIP_DEFLATED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(f"{root}{name}", data)
    path.write_bytes(content.getvalue())
    return path
