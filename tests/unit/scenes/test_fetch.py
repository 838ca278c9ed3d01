"""Search and download through the real library and real HTTP, from a server on this machine."""

import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from archive_server import TOKEN, USER, WORD, Archive, serving

from lagrangian_ice.cli import run
from lagrangian_ice.errors import FetchError
from lagrangian_ice.scenes import fetch
from lagrangian_ice.scenes.fetch import download, log_in, search

START, END = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 1, 3, tzinfo=UTC)
NEAR = "S1A_EW_GRDM_1SDH_20210101T063000_20210101T063100_046117_058549_BB15"
FAR = "S1B_EW_GRDM_1SDH_20210102T063000_20210102T063100_025117_02FFAA_01C2"
DATELINE = "S1C_EW_GRDM_1SDH_20210102T183000_20210102T183100_000117_00FFAA_01C3"
AREA = "POLYGON((15 79, 25 79, 25 81, 15 81, 15 79))"
CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch, tmp_path):
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"EARTHDATA_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.0)


@pytest.fixture
def archive():
    found = Archive()
    found.add(FAR, b"far", [(-80, 70), (-60, 70), (-60, 74), (-80, 74), (-80, 70)])
    found.add(NEAR, CONTENT, [(18, 80), (30, 80), (30, 84), (18, 84), (18, 80)])
    found.add(DATELINE, b"date", [(175, 78), (-175, 78), (-175, 82), (175, 82), (175, 78)])
    return found


@pytest.fixture
def session(archive):
    with serving(archive) as one:
        yield one


@pytest.fixture
def allowed(session, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    log_in(session)
    return session


@pytest.fixture
def product(session):
    return search(AREA, START, END, session)[0]


def test_products_that_touch_the_area(archive, session):
    (found,) = search(AREA, START, END, session)
    assert (found.name, found.size) == (NEAR, len(CONTENT))
    assert found.md5 == archive.md5[NEAR]
    assert archive.asked["bounding_box"] == ["-180,79.000000,180,81.000000"]
    assert "2021-01-01T00:00:00Z,2021-01-03T00:00:00Z" in archive.asked["temporal"][0]
    collections = archive.asked["shortName"]
    assert {f"SENTINEL-1{unit}_DP_GRD_MEDIUM" for unit in "ABCD"} <= set(collections)
    assert {f"SENTINEL-1{unit}_SP_GRD_MEDIUM" for unit in "AB"} <= set(collections)
    assert archive.asked["attribute[]"] == ["string,BEAM_MODE,EW"]


@pytest.mark.parametrize(
    ("area", "names"),
    [
        ("POLYGON((178 79, 182 79, 182 80, 178 80, 178 79))", [DATELINE]),
        ("POLYGON((-180 60, 180 60, 180 90, -180 90, -180 60))", [NEAR, FAR, DATELINE]),
        ("POLYGON((100 79, 110 79, 110 80, 100 80, 100 79))", []),
    ],
)
def test_areas_across_the_antimeridian_and_the_pole(session, area, names):
    assert [one.name for one in search(area, START, END, session)] == names


def test_names_and_hosts_that_are_not_the_archives_are_left_out(archive, session):
    archive.hosts = "evil.example"
    assert search(AREA, START, END, session) == []
    archive.hosts = "datapool.asf.alaska.edu"
    name = NEAR.replace("EW_GRDM", "IW_GRDH")
    archive.add(name, b"x", archive.rings[NEAR])
    assert [one.name for one in search(AREA, START, END, session)] == [NEAR]


def test_a_search_that_fails_is_told_in_one_line(archive, session):
    archive.search_status = 400
    with pytest.raises(FetchError, match=r"cannot be searched: .*no luck") as caught:
        search(AREA, START, END, session)
    assert "\n" not in str(caught.value)


def test_end_before_start(session):
    with pytest.raises(ValueError, match="not after"):
        search(AREA, END, START, session)


def test_download(archive, allowed, product, tmp_path):
    assert download(product, tmp_path, allowed)
    path = tmp_path / f"{NEAR}.zip"
    assert path.read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    before = len(archive.log)
    assert not download(product, tmp_path, allowed)
    assert len(archive.log) == before


def test_credentials_are_not_shown_to_the_store_that_the_archive_leads_to(
    archive, allowed, product, tmp_path
):
    download(product, tmp_path, allowed)
    shown = {host: told for host, path, told in archive.log if "GRD_MD" in path or "signed" in path}
    assert shown["datapool.asf.alaska.edu"] == f"Bearer {TOKEN}"
    assert shown["archive.s3.us-west-2.amazonaws.com"] == ""


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_gone_on_from(archive, allowed, product, tmp_path, ranges):
    archive.break_after, archive.breaks, archive.ranges = 2_200_000, 2, ranges
    assert download(product, tmp_path, allowed)
    assert (tmp_path / f"{NEAR}.zip").read_bytes() == CONTENT


def test_a_killed_download_is_gone_on_from(archive, allowed, product, tmp_path):
    archive.break_after, archive.breaks = 0, 100
    partial = tmp_path / f".{NEAR}.zip.part"
    partial.write_bytes(CONTENT[:1_000_000])
    with pytest.raises(FetchError, match="1000000 of 3000000 bytes"):
        download(product, tmp_path, allowed)
    assert partial.stat().st_size == 1_000_000
    archive.breaks = 0
    assert download(product, tmp_path, allowed)
    assert (tmp_path / f"{NEAR}.zip").read_bytes() == CONTENT
    assert not partial.exists()


def test_a_wrong_check_sum_is_not_kept(archive, allowed, product, tmp_path):
    archive.files[NEAR] = CONTENT[:-1] + b"?"
    with pytest.raises(FetchError, match="not what the archive tells"):
        download(product, tmp_path, allowed)
    assert list(tmp_path.iterdir()) == []


def test_refused_credentials(session, product, tmp_path, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "stale")
    log_in(session)
    with pytest.raises(FetchError, match=r"refuses the credentials.*EARTHDATA_TOKEN"):
        download(product, tmp_path, session)


def test_user_and_password_of_the_environment(session, product, tmp_path, monkeypatch):
    monkeypatch.setenv("EARTHDATA_USERNAME", USER)
    monkeypatch.setenv("EARTHDATA_PASSWORD", WORD)
    log_in(session)
    assert download(product, tmp_path, session)


def test_netrc(session, product, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine urs.earthdata.nasa.gov login {USER} password {WORD}\n")
    netrc.chmod(0o600)
    log_in(session)
    assert download(product, tmp_path / ".", session)


def test_a_wrong_password(session, monkeypatch):
    monkeypatch.setenv("EARTHDATA_USERNAME", USER)
    monkeypatch.setenv("EARTHDATA_PASSWORD", "wrong")
    with pytest.raises(FetchError, match=r"log-in at urs.earthdata.nasa.gov failed") as caught:
        log_in(session)
    assert "wrong" not in str(caught.value).split("failed")[0]


def test_no_credentials(session):
    with pytest.raises(FetchError, match=r"no credentials for downloads: set EARTHDATA_TOKEN"):
        log_in(session)


def test_the_command(archive, session, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "new_session", lambda: session)
    words = ["scenes", "fetch", "--area", AREA, "--start", "2021-01-01", "--end", "2021-01-03"]
    assert run([*words, "--dry-run"]) == 0
    assert NEAR in capsys.readouterr().out
    assert run(words) == 1
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    out = tmp_path / "new" / "folder"
    assert run([*words, "--out", str(out)]) == 0
    assert "downloaded" in capsys.readouterr().out
    assert run([*words, "--out", str(out)]) == 0
    assert "there already" in capsys.readouterr().out
    (out / f"{NEAR}.zip").unlink()
    archive.md5[NEAR] = "0" * 32
    assert run([*words, "--out", str(out)]) == 3
    assert "not what the archive tells" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "asf_search", None)
    words = ["scenes", "fetch", "--area", AREA, "--start", "2021-01-01", "--end", "2021-01-03"]
    assert run(words) == 1
    assert "pip install 'lagrangian-ice[fetch]'" in capsys.readouterr().err
