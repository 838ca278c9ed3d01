"""The page: self-contained, safe with hostile text, true to the files; and in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from importlib.resources import files

import netCDF4
import numpy as np
import pytest
from browser import BROWSER, Browser
from matplotlib import image as images
from product_frames import DAY, START, make_frames, write_frames

from lagrangian_ice.cli import run
from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.output.products import deform_file
from lagrangian_ice.output.reading import read_deformation, read_trajectories
from lagrangian_ice.plots import coastline, page, page_data, page_reading
from lagrangian_ice.plots.page import write_page
from lagrangian_ice.times import Window

EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'> @DATA@ &amp;"
MARK = (200, 85, 61)
KINDS = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "i1": "<i1"}


def eastern_land(grid):
    """Land where x is beyond 60 km, and an island."""
    rows, cols = grid.shape
    nodes = np.stack(np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij"), axis=-1)
    xy = grid.xy(nodes.reshape(-1, 2))
    island = np.hypot(xy[:, 0] + 60e3, xy[:, 1] + 900e3) < 12e3
    return ((xy[:, 0] > 60e3) | island).reshape(rows, cols)


@pytest.fixture(scope="module", autouse=True)
def land_in_the_east():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coastline, "land_mask", eastern_land)
        yield


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace") / "products"
    return write_frames(folder, make_frames(side=8, count=5))


@pytest.fixture(scope="module")
def hostile(products, tmp_path_factory):
    """The products with markup in every text that reaches the page."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for kind in ("LP", "DP"):
        path = folder / f"hostile_{kind}.nc"
        path.write_bytes(products[kind].read_bytes())
        with netCDF4.Dataset(path, "a") as dataset:
            for name in ("title", "acknowledgement", "institution", "creator_name", "license"):
                dataset.setncattr(name, EVIL)
            names = dataset["image_pass"]
            names.set_auto_chartostring(False)
            length = names.shape[1]
            names[:] = np.frombuffer(
                EVIL[:length].ljust(length).encode() * names.shape[0], "S1"
            ).reshape(names.shape)
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def written(products, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "page.html"
    return write_page([products["LP"], products["DP"]], out)


class Parts(HTMLParser):
    """Scripts and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.addresses, self.tags = [], [], []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        if tag == "script":
            self.scripts.append([found, ""])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1][1] += data

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")


def parts_of(path):
    return Parts(path.read_text(encoding="utf-8"))


def contents(path):
    scripts = {given.get("id"): text for given, text in parts_of(path).scripts}
    return json.loads(scripts["page"]), zlib.decompress(base64.b64decode(scripts["data"]))


def column(path, table, name):
    found, data = contents(path)
    told = next(entry for entry in found[table] if entry["name"] == name)
    values = np.frombuffer(data, KINDS[told["type"]], told["count"], told["offset"])
    values = np.cumsum(values.astype(np.int64)) if told.get("delta") else values
    return values * told.get("factor", 1) + told.get("add", 0)


def test_the_page_needs_nothing_but_itself(written):
    parts = parts_of(written.path)
    assert parts.addresses == []
    text = written.path.read_text(encoding="utf-8")
    assert not re.search(r"(?i)https?://|@import|url\(|fetch\(|XMLHttpRequest|eval\(", text)
    kinds = [given.get("type", "code") for given, _ in parts.scripts]
    assert kinds == ["application/json", "text/plain", "code"]
    script = parts.scripts[2][1]
    assert script == (files("lagrangian_ice.plots") / "assets" / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in parts.policy
    assert parts.policy.startswith("default-src 'none'")
    assert "unsafe" not in parts.policy
    assert written.path.stat().st_size < 300_000


def test_the_script_writes_texts_as_texts_only():
    script = (files("lagrangian_ice.plots") / "assets" / "page.js").read_text("utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|Function\(", script
    )
    html = (files("lagrangian_ice.plots") / "assets" / "page.html").read_text("utf-8")
    ids = set(re.findall(r'id="([a-z-]+)"', html))
    asked = set(re.findall(r'\$\("([a-z-]+)"\)', script))
    assert asked <= ids
    for key in ("line", "face"):
        for end in ("colour", "low", "high", "log", "what"):
            assert f"{key}-{end}" in ids


def test_the_page_holds_what_the_trajectories_hold(written, products):
    table = read_trajectories(products["LP"])
    path = written.path
    assert written.parcels == table["parcel_id"].nunique()
    for name in ("x", "y", "time"):
        found = column(path, "observations", name)
        np.testing.assert_allclose(found, table[name], atol=0.0501, rtol=0)
    for name in ("x_standard_error", "correlation", "rotation", "xy_error_covariance"):
        found = column(path, "observations", name)
        np.testing.assert_allclose(found, table[name], rtol=2.5e-4)
    ids = column(path, "parcels", "trajectory")[column(path, "observations", "parcel").astype(int)]
    np.testing.assert_array_equal(ids, table["parcel_id"])
    names = {entry["name"] for entry in contents(path)[0]["observations"]}
    assert names >= {"q_flag", "peak_ratio", "geolocation_standard_error", "distance_to_coast"}


def test_the_page_holds_what_the_triangles_hold(written, products):
    nodes, faces = read_deformation(products["DP"])
    path = written.path
    for key, name in zip("abc", ("node_1", "node_2", "node_3"), strict=True):
        rows = column(path, "faces", key).astype(int)
        x = column(path, "nodes", "x")[rows]
        np.testing.assert_allclose(x, nodes["x"].to_numpy()[faces[name]], atol=0.0501)
    for name in ("divergence", "shear_standard_error", "dudy"):
        found = column(path, "faces", name)
        np.testing.assert_allclose(found, faces[name] * DAY, rtol=2.5e-4)
    np.testing.assert_array_equal(column(path, "faces", "quality_flag"), faces["quality_flag"])


def test_a_window_chooses(products, tmp_path):
    window = Window(START + 1.5 * DAY, START + 3.5 * DAY)
    some = write_page([products["LP"], products["DP"]], tmp_path / "some.html", window)
    time = column(some.path, "observations", "time")
    assert window.start <= time.min() < time.max() < window.end
    with pytest.raises(ProductError, match="in the time asked for"):
        write_page([products["LP"]], tmp_path / "none.html", Window(START + 900 * DAY))
    assert not (tmp_path / "none.html").exists()


def test_too_much_is_thinned_and_says_so(products, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_OBSERVATIONS", 80)
    monkeypatch.setattr(page, "MOST_TRIANGLES", 150)
    table = read_trajectories(products["LP"])
    thin = write_page([products["LP"], products["DP"]], tmp_path / "thin.html")
    step = -(-len(table) // 80)
    assert thin.parcels == -(-table["parcel_id"].nunique() // step)
    assert thin.notes[0].startswith(f"One parcel in {step} is shown")
    assert "One pair of passes in" in thin.notes[1]
    assert set(thin.notes) <= set(contents(thin.path)[0]["notes"])
    kept = set(column(thin.path, "parcels", "trajectory"))
    assert kept == set(np.unique(table["parcel_id"])[::step])
    rows = column(thin.path, "faces", "a").astype(int)
    assert rows.max() < len(column(thin.path, "nodes", "x"))


def test_rounding_keeps_four_digits_and_what_is_missing():
    values = np.array([1.0, -3.14159265, 1e-7, 0.0, np.nan, np.inf, 65537.0])
    found = page_data.rounded(values)
    np.testing.assert_allclose(found[:4], values[:4], rtol=1.3e-4)
    assert np.isnan(found[4:6]).all()
    assert np.all(found[[0, 1, 2, 6]].view(np.uint32) & 0x7FF == 0)


def test_the_coastline_is_the_edge_of_the_land():
    shore = coastline.coastline((-150e3, -1050e3, 150e3, -750e3), 300)
    assert len(shore.rings) == 2
    island = min(shore.rings, key=np.ptp) * shore.unit
    radius = np.hypot(island[:, 0] + 60e3, island[:, 1] + 900e3)
    np.testing.assert_allclose(radius, 12e3, atol=1500)
    coast = max(shore.rings, key=np.ptp)[:, 0] * shore.unit
    assert coast.min() == pytest.approx(60e3, abs=1500)


def test_hostile_texts_stay_texts(hostile, tmp_path):
    out = write_page(hostile, tmp_path / "hostile.html").path
    parts = parts_of(out)
    assert len(parts.scripts) == 3
    assert "img" not in parts.tags
    assert contents(out)[0]["title"] == EVIL
    assert out.read_text(encoding="utf-8").count("window.hacked=1</script>") == 0


def test_wrong_files_in_one_line(products, tmp_path):
    with pytest.raises(ProductError, match="no such file"):
        write_page([tmp_path / "absent_LP.nc"], tmp_path / "a.html")
    with pytest.raises(ProductError, match=r"not a _LP\.nc product"):
        write_page([products["PD"]], tmp_path / "a.html")
    with pytest.raises(ProductError, match="no product is given"):
        write_page([], tmp_path / "a.html")
    (tmp_path / "text_LP.nc").write_text("no")
    with pytest.raises(ProductError, match="not a readable NetCDF file"):
        write_page([tmp_path / "text_LP.nc"], tmp_path / "a.html")


def test_the_command_takes_the_workspace_or_files(products, tmp_path, capsys):
    workspace = str(products["LP"].parents[1])
    out = tmp_path / "page.html"
    assert run(["--workspace", workspace, "view", "--out", str(out)]) == 0
    assert "64 parcels" in capsys.readouterr().out
    alone = ["view", str(products["DP"]), "--start", "2021-01-02", "--out", str(out)]
    assert run(alone) == 0
    assert capsys.readouterr().out.startswith("0 parcels")
    assert run(["--workspace", str(tmp_path), "view", "--out", str(out)]) == 1
    assert "run `advance` first" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome on this machine")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def counts(browser):
    browser.drawn()
    names = ("triangles", "segments", "dots")
    return [int(browser(f"document.getElementById('map').dataset.{name}")) for name in names]


def choose(browser, what, value):
    browser(
        f"(() => {{ const box = document.getElementById('{what}'); box.value = '{value}';"
        "box.dispatchEvent(new Event('change')); box.dispatchEvent(new Event('input')); })()"
    )
    browser.drawn()


def test_in_a_browser_it_draws_without_a_request(browser, written, products, tmp_path):
    browser.open(written.path)
    assert browser("document.documentElement.dataset.ready") == "true"
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []
    table = read_trajectories(products["LP"])
    triangles, segments, dots = counts(browser)
    assert segments == len(table) - written.parcels
    assert dots == written.parcels
    assert triangles > 30
    pixels = images.imread(browser.screenshot(tmp_path / "page.png"))[..., :3]
    colours = (np.round(pixels * 255).astype(int) @ [65536, 256, 1]).ravel()
    assert np.count_nonzero(colours == 0xD8D3C8) > 5000  # land
    assert np.count_nonzero(colours == 0xF3F6F9) > 50000  # water
    assert len(np.unique(colours)) > 300


def test_in_a_browser_time_moves(browser, written):
    browser.open(written.path)
    whole = counts(browser)
    choose(browser, "time", START + 0.5 * DAY)
    early = counts(browser)
    assert early[1] == 0
    assert early[2] == whole[2]
    assert browser("document.getElementById('now').textContent") == "2021-01-01 12:00:00 UTC"
    browser("document.getElementById('forth').click()")
    assert 0 < counts(browser)[1] < whole[1]
    browser("document.getElementById('back').click()")
    assert counts(browser)[1] == 0


def test_in_a_browser_a_click_tells_a_parcel(browser, written, products):
    browser.open(written.path)
    table = read_trajectories(products["LP"])
    own = table[table["parcel_id"] == 20]
    left, top = browser("lagrangianIce.screen(20)")
    box = browser("(() => { const b = document.getElementById('map').getBoundingClientRect();"
                  "return [b.left, b.top]; })()")  # fmt: skip
    browser.click(left + box[0], top + box[1])
    text = browser("document.getElementById('details').innerText")
    assert "Parcel 20" in text
    rows = browser(
        "[...document.querySelectorAll('#details tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert len(rows) == len(own)
    heads = browser("[...document.querySelectorAll('#details th')].map(head => head.title)")
    assert "accumulated since the parcel's birth" in heads[3]
    assert "Lower is better" in heads[6]
    # a ring around it in a colour of its own, with a white rim
    around = browser(
        "(() => { const map = document.getElementById('map'), dots = window.devicePixelRatio || 1;"
        f"const pixels = map.getContext('2d').getImageData(({left} + 4) * dots, {top} * dots,"
        "10 * dots, 1).data; return Array.from(pixels); })()"
    )
    colours = [tuple(around[k : k + 3]) for k in range(0, len(around), 4)]
    assert any(max(abs(a - b) for a, b in zip(c, MARK, strict=True)) < 30 for c in colours)
    assert any(min(c) > 240 for c in colours)
    for row, (_, one) in zip(rows, own.iterrows(), strict=True):
        seconds = np.datetime64(row[0].replace(" ", "T")).astype("datetime64[s]").astype(int)
        assert abs(seconds - one["time"]) <= 1
        assert float(row[1]) == pytest.approx(one["x"] / 1e3, abs=6e-4)
        assert float(row[3]) == pytest.approx(one["x_standard_error"], rel=6e-3)
        assert row[6] == "0 good"
        assert row[7].startswith("S1A_")
    browser.drawn()
    assert "parcel=20" in browser("new Promise(done => setTimeout(() => done(location.hash), 500))")


def test_in_a_browser_a_click_tells_a_triangle(browser, written, products):
    browser.open(written.path)
    browser("document.getElementById('lines').click()")
    nodes, faces = read_deformation(products["DP"])
    inside = np.flatnonzero((faces["quality_flag"] & 27) == 0)
    last = inside[np.argmax(nodes["time_end"].to_numpy()[faces["node_1"].to_numpy()[inside]])]
    left, top = browser(f"lagrangianIce.screenOfFace({last})")
    box = browser("(() => { const b = document.getElementById('map').getBoundingClientRect();"
                  "return [b.left, b.top]; })()")  # fmt: skip
    browser.click(left + box[0], top + box[1])
    text = browser("document.getElementById('details').innerText")
    assert "Triangle" in text
    told = re.search(r"Divergence of the ice velocity\s+(\S+) ± (\S+) per day", text)
    assert float(told[1]) == pytest.approx(faces["divergence"][last] * DAY, rel=1e-3)
    assert float(told[2]) == pytest.approx(faces["divergence_standard_error"][last] * DAY, rel=6e-3)


def test_in_a_browser_every_variable_colours(browser, written):
    browser.open(written.path)
    for key in ("line", "face"):
        names = browser(
            f"[...document.getElementById('{key}-colour').options].map(option => option.value)"
        )
        assert len(names) > 10
        for name in names:
            choose(browser, f"{key}-colour", name)
            shown = browser("[...document.querySelectorAll('.bar')].map(b => b.dataset.variable)")
            assert name in shown
    assert browser.complaints() == []


def test_in_a_browser_places_are_those_of_the_map(browser, written):
    browser.open(written.path)
    xy = np.array([[0.0, -900e3], [-985e3, 260e3], [1.2e6, 2.1e6], [3.0, 4.0]])
    for (x, y), (lon, lat) in zip(xy, xy_to_lonlat(xy), strict=True):
        assert browser(f"lagrangianIce.lonLat({x}, {y})") == pytest.approx([lon, lat], abs=1e-9)
    rim = np.hypot(*lonlat_to_xy(np.array([[10.0, 75.0]]))[0])
    assert browser("lagrangianIce.radius(75)") == pytest.approx(rim, abs=1e-3)


def test_in_a_browser_hostile_texts_do_nothing(browser, hostile, tmp_path):
    out = write_page(hostile, tmp_path / "hostile.html").path
    browser.open(out)
    assert browser("document.documentElement.dataset.ready") == "true"
    assert browser("typeof window.hacked") == "undefined"
    assert browser("document.images.length") == 0
    assert browser("document.getElementById('title').textContent") == EVIL
    assert browser("document.title") == EVIL
    assert EVIL in browser("document.getElementById('notes').textContent")


def test_in_a_browser_a_broken_page_says_so(browser, written, tmp_path):
    broken = tmp_path / "broken.html"
    text = written.path.read_text(encoding="utf-8")
    broken.write_text(text.replace('id="data">', 'id="data">AAAA'), encoding="utf-8")
    browser.open(broken)
    assert browser("document.documentElement.dataset.ready") == "failed"
    assert "could not be drawn" in browser("document.getElementById('details').textContent")


def test_the_address_brings_a_view_back(browser, written):
    browser.open(written.path, "#time=2021-01-03T00:00:00&colour=correlation&parcel=12")
    assert browser("document.getElementById('line-colour').value") == "correlation"
    assert browser("document.getElementById('now').textContent").startswith("2021-01-03 00:00:00")
    assert "Parcel 12" in browser("document.getElementById('details').innerText")


def test_a_file_without_a_pair_in_the_window_is_no_obstacle(products, tmp_path):
    """As of a stream that has just begun: all files are named on the command line, or none."""
    early = tmp_path / "early_DP.nc"
    deform_file(products["LP"], early, window=Window(end=START + 3.5 * DAY))
    none = tmp_path / "none_DP.nc"
    deform_file(products["LP"], none, window=Window(end=START))
    late = Window(start=START + 3.8 * DAY)
    alone = page_reading.read_mesh([products["DP"]], late, 10**6)
    for paths in ([early, products["DP"]], [none, products["DP"]], [products["DP"], none]):
        found = page_reading.read_mesh(paths, late, 10**6)
        assert len(found.faces) == len(alone.faces) > 0
        assert found.attributes == alone.attributes
    everything = page_reading.read_mesh([products["DP"], early, none], Window(), 10**6)
    whole = page_reading.read_mesh([products["DP"]], Window(), 10**6)
    assert everything.faces["pair"].max() > whole.faces["pair"].max()
    assert page_reading.read_mesh([none], Window(), 10**6) is None


def test_times_years_apart_are_exact_on_the_page():
    times = np.array([0.0, 1.0, 8 * 366 * DAY]) + START
    block = page_data.Block()
    assert not page_data.steps(block, "time", times, START).get("delta")
    assert page_data.steps(block, "time", times[:2], START)["delta"]
