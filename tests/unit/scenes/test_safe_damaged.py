"""Damaged and hostile products: each is told in one line, quickly, and nothing is written."""

import io
import os
import re
import struct
import tracemalloc
import zipfile
from datetime import timedelta

import numpy as np
import pytest
from tiny_safe import Tiny, tiff, write_folder, write_zip

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes import raster, safe, safe_files, scene
from lagrangian_ice.scenes.catalogue import find_scenes
from lagrangian_ice.scenes.reader import open_scene, read_band
from lagrangian_ice.scenes.safe_files import find_product
from lagrangian_ice.scenes.safe_xml import MAX_XML_BYTES

TINY = Tiny()
HH, HV = TINY.names("HH"), TINY.names("HV")
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><product>&d;</product>"""
OUTSIDE = (
    b"""<?xml version="1.0"?><!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>"""
)


def refused(path, *words):
    """The error of a scene: one line that names the product and holds the words."""
    with pytest.raises(SceneError) as caught:
        open_scene(path)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    assert TINY.name in line
    for word in words:
        assert word in line
    return line


def swap(role, pattern, replacement, count=1):
    """A change of the text of the first polarisation's file."""

    def change(files):
        name = HH.get(role, role)
        text, found = re.subn(pattern, replacement, files[name].decode(), count=count, flags=re.S)
        assert found, pattern
        files[name] = text.encode()

    return change


def put(role, content):
    """Other content of the first polarisation's file; a function gets the old one."""

    def change(files):
        name = HH.get(role, role)
        files[name] = content(files[name]) if callable(content) else content

    return change


def drop(name):
    return lambda files: files.pop(name)


def exchange(first, second):
    def change(files):
        files[first], files[second] = files[second], files[first]

    return change


def numbers(shape, kind=np.uint16):
    return tiff(np.ones(shape, dtype=kind))


def half(content):
    return content[: len(content) // 2]


def other_product(files):
    later = Tiny(start=TINY.start + timedelta(seconds=5))
    for role, name in HV.items():
        files[name] = later.files()[later.names("HV")[role]]


DAMAGE = {
    # files that are not there, empty, or cut
    "no manifest": (drop("manifest.safe"), "no manifest.safe"),
    "empty manifest": (put("manifest.safe", b""), "empty"),
    "cut manifest": (put("manifest.safe", half), "not well-formed"),
    "manifest is a page": (
        put("manifest.safe", b"<html><body>Login</body></html>"),
        "no annotation",
    ),
    "no annotation": (drop(HH["annotation"]), "annotation file", "missing"),
    "no calibration": (drop(HH["calibration"]), "calibration file", "missing"),
    "no noise": (drop(HV["noise"]), "noise file", "missing"),
    "no pixels of HV": (drop(HV["measurement"]), "measurement file", "missing", "hv"),
    "empty annotation": (put("annotation", b""), "is empty"),
    "blank annotation": (put("annotation", b" \n "), "empty"),
    "empty pixels": (put("measurement", b""), "is empty"),
    "cut annotation": (put("annotation", half), "not well-formed"),
    "cut calibration": (put("calibration", half), "not well-formed"),
    "cut noise": (put("noise", half), "not well-formed"),
    "cut pixels": (put("measurement", half), "cut after"),
    "pixels cut at the last row": (put("measurement", lambda c: c[:-500]), "cut after"),
    "pixels are text": (put("measurement", b"404 not found"), "not a readable TIFF"),
    "noise is binary": (put("noise", bytes(range(256))), "not well-formed"),
    "polarisation not in manifest": (
        swap("manifest.safe", r'<dataObject ID="\w+HV".*?</dataObject>', "", count=0),
        "names no annotation file of HV",
    ),
    # files of other places
    "polarisations exchanged": (exchange(HH["annotation"], HV["annotation"]), "annotates HV"),
    "noise of HV": (exchange(HH["noise"], HV["noise"]), "'HV', not HH"),
    "calibration as noise": (exchange(HH["calibration"], HH["noise"]), "vector"),
    "half of another product": (other_product, "datatake"),
    # sizes that do not fit
    "too few rows": (put("measurement", numbers((239, 300))), "239 x 300"),
    "too many columns": (put("measurement", numbers((240, 301))), "240 x 301"),
    "bytes": (put("measurement", numbers((240, 300), np.uint8)), "uint8"),
    "floats": (put("measurement", numbers((240, 300), np.float32)), "float32"),
    "no lines": (swap("annotation", r"<numberOfLines>240", "<numberOfLines>0"), "0 x 300"),
    "a billion lines": (
        swap("annotation", r"<numberOfLines>240", "<numberOfLines>1000000000"),
        "1000000000 x 300",
    ),
    "image too large": (
        swap("annotation", r"Samples>300<(.*)Lines>240<", r"Samples>60000<\1Lines>60000<"),
        "60000 x 60000",
    ),
    "lines too slow": (
        swap("annotation", r"<azimuthTimeInterval>[^<]*", "<azimuthTimeInterval>0.012"),
        "do not last",
    ),
    # numbers and times that are none
    "text as a number": (swap("annotation", r"<numberOfSamples>300", "<numberOfSamples>x"), "'x'"),
    "half a column": (swap("annotation", r"<numberOfSamples>300", "<numberOfSamples>9.5"), "9.5"),
    "infinite height": (swap("annotation", r"<height>[^<]*", "<height>inf"), "not finite"),
    "time": (swap("annotation", r"<azimuthTime>[^<]*", "<azimuthTime>noon"), "'noon', not a time"),
    "empty time": (
        swap("annotation", r"<productFirstLineUtcTime>[^<]*", "<productFirstLineUtcTime>"),
        "productFirstLineUtcTime",
    ),
    "platform": (swap("annotation", r"<missionId>S1A", "<missionId>RS2"), "'RS2'"),
    "single look complex": (swap("annotation", r"<productType>GRD", "<productType>SLC"), "SLC"),
    "SLC in the manifest": (swap("manifest.safe", r"(:productType>)GRD", r"\1SLC"), "SLC"),
    # orbit and geolocation grid
    "no orbit": (swap("annotation", r"<orbit>.*</orbit>", ""), "0 orbit vectors"),
    "orbit of another day": (
        swap("annotation", r"<time>2021-01-01", "<time>2021-01-02", count=0),
        "do not cover",
    ),
    "orbit backwards": (
        swap("annotation", r"(<orbit>.*?</orbit>)(<orbit>.*?</orbit>)", r"\2\1"),
        "time order",
    ),
    "orbit too high": (
        swap("annotation", r"(<position><x>)[^<]*", r"\g<1>9e6", count=0),
        "geolocation grid again",
    ),
    "no grid": (
        swap("annotation", r"<geolocationGridPoint>.*</geolocationGridPoint>", ""),
        "no geolocation grid",
    ),
    "a tie point missing": (
        swap("annotation", r"<geolocationGridPoint>.*?</geolocationGridPoint>", ""),
        "not a full grid",
    ),
    "grid of another frame": (
        swap("annotation", r"<longitude>[^<]*", "<longitude>100.0", count=0),
        "geolocation grid again",
    ),
    "grid too small": (
        swap("annotation", r"<line>239<", "<line>200<", count=0),
        "does not cover the image",
    ),
    # tables
    "calibration of half the columns": (
        put(
            "calibration",
            Tiny(shape=(240, 150)).files()[Tiny(shape=(240, 150)).names("HH")["calibration"]],
        ),
        "does not cover the 300 columns",
    ),
    "calibration of the first lines": (
        swap(
            "calibration",
            r"(</calibrationVector>)(<calibrationVector><line>(120|180|240).*?\1)+",
            r"\1",
        ),
        "do not cover the 240 lines",
    ),
    "noise of half the columns": (
        swap("noise", r"<pixel>0 40 80 120 160 200 240 280 299", "<pixel>0 4 8 12 16 20 24 28 29"),
        "does not cover the 300 columns",
    ),
    "one value too few": (swap("calibration", r"<pixel>0 40 80", "<pixel>0 40"), "values"),
    "pixels backwards": (swap("noise", r"<pixel>0 40 80", "<pixel>80 40 0"), "does not increase"),
    "huge gain": (swap("calibration", r"<sigmaNought>\S+", "<sigmaNought>1e99"), "above 1e+12"),
    "standing satellite": (
        swap("annotation", r"(<velocity>)<x>.*?</z>", r"\1<x>0</x><y>0</y><z>0</z>", count=0),
        "geolocation grid again",
    ),
    "gain 0": (swap("calibration", r"<sigmaNought>\S+", "<sigmaNought>0"), "not positive"),
    "negative noise": (swap("noise", r"<noiseRangeLut>\S+", "<noiseRangeLut>-5e4"), "negative"),
    "NaN in the noise": (swap("noise", r"<noiseRangeLut>\S+", "<noiseRangeLut>nan"), "not finite"),
    "no calibration vectors": (
        swap("calibration", r"<calibrationVector>.*</calibrationVector>", ""),
        "0 vectors",
    ),
    "azimuth blocks of half the swath": (
        swap("noise", r"<noiseAzimuthVector>.*?</noiseAzimuthVector>", ""),
        "azimuth blocks",
    ),
    "thousands of azimuth blocks": (
        swap(
            "noise",
            "</noiseAzimuthVectorList>",
            "<noiseAzimuthVector/>" * 2000 + "</noiseAzimuthVectorList>",
        ),
        "2002 azimuth blocks",
    ),
    "thousands of vectors": (
        swap(
            "calibration",
            "</calibrationVectorList>",
            "<calibrationVector/>" * 2000 + "</calibrationVectorList>",
        ),
        "vectors <calibrationVectorList",
    ),
    "azimuth block cut": (swap("noise", r"<line>0 10 20", "<line>0 10"), "azimuth block"),
    # hostile XML and names
    "billion laughs": (put("annotation", LAUGHS), "entities"),
    "external entity": (put("manifest.safe", OUTSIDE), "entities"),
    "unknown encoding": (
        put("annotation", b'<?xml version="1.0" encoding="klingon"?><product/>'),
        "not well-formed",
    ),
    "path upwards": (
        swap("manifest.safe", r'href="\./', 'href="../../'),
        "not a file of the product",
    ),
    "absolute path": (swap("manifest.safe", r'href="[^"]*', 'href="/etc/passwd'), "not a file"),
    "path through GDAL": (
        swap("manifest.safe", r'href="\./measurement', 'href="/vsicurl/http://x/measurement'),
        "not a file of the product",
    ),
    "file twice": (
        swap("manifest.safe", r"(<dataObject .*?</dataObject>)", r"\1\1"),
        "two annotation files",
    ),
    "no polarisation in a name": (
        swap(
            "manifest.safe", r'href="\./annotation/s1a-ew-grd-hh', 'href="./annotation/s1a-ew-grd'
        ),
        "no polarisation",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_folder(tmp_path, kind):
    change, *words = DAMAGE[kind]
    files = TINY.files()
    change(files)
    folder = write_folder(files, tmp_path / f"{TINY.name}.SAFE")
    before = sorted(tmp_path.rglob("*"))
    refused(folder, *words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "kind", ["no manifest", "cut annotation", "cut pixels", "billion laughs", "path upwards"]
)
def test_damaged_in_a_zip(tmp_path, kind):
    change, *_ = DAMAGE[kind]
    files = TINY.files()
    change(files)
    refused(write_zip(files, tmp_path / f"{TINY.name}.zip", f"{TINY.name}.SAFE/"))


def test_catalogue_goes_on(tmp_path):
    """Each damaged product is listed with its reason beside the whole one."""
    write_folder(TINY.files(), tmp_path / f"{TINY.name}.SAFE")
    for number, kind in enumerate(("cut pixels", "billion laughs", "no noise")):
        files = TINY.files()
        DAMAGE[kind][0](files)
        write_folder(files, tmp_path / f"{TINY.name[:-1]}{number}.SAFE")
    scenes, unreadable = find_scenes([tmp_path])
    assert [scene.id for scene in scenes] == [TINY.name]
    assert len(unreadable) == 3
    assert all(str(one.path) in one.reason and "\n" not in one.reason for one in unreadable)


def zipped(tmp_path):
    return write_zip(TINY.files(), tmp_path / f"{TINY.name}.zip", f"{TINY.name}.SAFE/")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_zip(tmp_path, share):
    path = zipped(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "not a readable zip")


@pytest.mark.parametrize("name", ["../../evil.txt", "/evil.txt", "a\\..\\..\\evil.txt"])
def test_zip_that_leaves_its_place(tmp_path, name):
    path = zipped(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = sorted(tmp_path.parent.rglob("*"))
    refused(path, "leaves the product")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_zip_with_a_name_twice(tmp_path):
    path = zipped(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"{TINY.name}.SAFE/manifest.safe", b"another")
    refused(path, "twice")


def test_zip_with_two_products(tmp_path):
    path = zipped(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.SAFE/manifest.safe", b"another")
    refused(path, "2 manifests")


def test_zip_of_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_files, "MAX_MEMBERS", 5)
    refused(zipped(tmp_path), "files; a product has fewer")


def test_zip_with_a_password(tmp_path):
    path = zipped(tmp_path)
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), bytes(content)):
            content[found.start() + place] |= 1
    path.write_bytes(content)
    refused(path, "not a readable zip")


def test_zip_with_a_broken_member(tmp_path):
    """Bytes in the middle of the manifest's compressed data changed: its checksum tells."""
    files = TINY.files()
    path = write_zip(files, tmp_path / f"{TINY.name}.zip", compression=zipfile.ZIP_STORED)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"<dataObjectSection>", b"<dataObjectSectIon>", 1))
    refused(path, "manifest.safe")


@pytest.mark.parametrize("lie", [False, True], ids=["told", "hidden"])
def test_zip_bomb_takes_no_memory(tmp_path, lie):
    """200 MB of blanks in 200 kB; the hidden one tells a small size in the zip's directory."""
    files = TINY.files()
    files[HH["annotation"]] = b"<product>" + bytes(0) + b" " * 200_000_000
    path = write_zip(files, tmp_path / f"{TINY.name}.zip")
    del files
    if lie:
        content = path.read_bytes()
        path.write_bytes(content.replace(struct.pack("<I", 200_000_009), struct.pack("<I", 1000)))
    tracemalloc.start()
    try:
        refused(path, HH["annotation"])
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_XML_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["manifest.safe", HH["annotation"], HV["noise"]])
def test_large_xml_in_a_folder(tmp_path, name):
    folder = write_folder(TINY.files(), tmp_path / f"{TINY.name}.SAFE")
    os.truncate(folder / name, 100 * MAX_XML_BYTES)
    refused(folder, f"at most {MAX_XML_BYTES}")


def test_special_files_are_not_read(tmp_path):
    """A pipe would be waited for without end."""
    folder = write_folder(TINY.files(), tmp_path / f"{TINY.name}.SAFE")
    (folder / HH["noise"]).unlink()
    os.mkfifo(folder / HH["noise"])
    refused(folder, "missing")


def test_damaged_blocks_of_pixels_are_told_when_read(tmp_path):
    tiny = Tiny(cog=True)
    files = tiny.files()
    name = tiny.names("HV")["measurement"]
    content = bytearray(files[name])
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    files[name] = bytes(content)
    scene = open_scene(write_folder(files, tmp_path / f"{TINY.name}.SAFE"))
    assert np.isfinite(read_band(scene, "HH")).any()
    with pytest.raises(SceneError, match=r"hv.*pixels cannot be read") as caught:
        read_band(scene, "HV")
    assert "\n" not in str(caught.value)


def test_a_zip_in_a_zip(tmp_path):
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", zipped(tmp_path).read_bytes())
    path = tmp_path / f"{TINY.name}_2.zip"
    path.write_bytes(outer.getvalue())
    refused(path, "0 manifests")


def test_blocks_too_large_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "MAX_BLOCK_PIXELS", 64 * 64 - 1)
    tiny = Tiny(cog=True)
    refused(write_folder(tiny.files(), tmp_path / f"{TINY.name}.SAFE"), "blocks of 64 x 64")


@pytest.mark.parametrize("ending", [".SAFE", ".zip"])
def test_a_catalogued_product_that_is_gone(tmp_path, ending):
    for read in (find_product, safe.safe_georeference):
        with pytest.raises(SceneError, match="no such file or folder"):
            read(tmp_path / f"{TINY.name}{ending}")


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("3.52", (3, 52)),
        ("²", ()),
        ("3." + "1" * 5000, ()),
        ("3.", ()),
        ("three", ()),
        ("٣.٥", ()),
    ],
)
def test_a_version_that_is_none_is_not_told(tmp_path, version, told):
    files = TINY.files()
    software = f'<software name="Sentinel-1 IPF" version="{version}"/>'
    swap("manifest.safe", "</xfdu:XFDU>", f"{software}</xfdu:XFDU>")(files)
    folder = write_folder(files, tmp_path / f"{TINY.name}.SAFE")
    assert find_product(folder).processor == told


def test_a_product_of_hours_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(scene, "MAX_DURATION", timedelta(0))
    refused(write_folder(TINY.files(), tmp_path / f"{TINY.name}.SAFE"), "minutes at most")
