import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lagrangian_ice.scenes.names import (
    find_platform,
    find_polarisations,
    printable,
    read_name,
)

LONG = "S1B_EW_GRDM_1SDH_20200301T083237_20200301T083346_020496_026D68_5471"


def test_sentinel1_name_tells_everything():
    facts = read_name(f"{LONG}.SAFE")
    assert (facts.platform, facts.orbit, facts.datatake) == ("S1B", 20496, "026D68")
    assert facts.start == datetime(2020, 3, 1, 8, 32, 37, tzinfo=UTC)
    assert facts.stop == datetime(2020, 3, 1, 8, 33, 46, tzinfo=UTC)
    assert facts.product == ("HH", "HV")


def test_prefix_and_suffix_do_not_hide_a_sentinel1_name():
    facts = read_name(f"clip_HH_{LONG}_adjusted.tif")
    assert (facts.platform, facts.datatake, facts.polarisations) == ("S1B", "026D68", ("HH",))


def test_short_name_has_a_start_and_no_stop():
    facts = read_name("S1B_EW_GRDM_1SDH_20200123T120618.tif")
    assert facts.start == datetime(2020, 1, 23, 12, 6, 18, tzinfo=UTC)
    assert facts.stop is None
    assert facts.datatake == ""
    assert facts.orbit == -1


def test_two_times_without_datatake_are_not_start_and_stop():
    facts = read_name("pair_20200301T083237_20200302T083237_HH.tif")
    assert facts.stop is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ice_20210101T120000_HV.tif", ("HV",)),
        ("ice-hh-20210101T120000.tif", ("HH",)),
        ("HV_hh_20210101T120000.tif", ("HV", "HH")),
        ("northern_20210101T120000.tif", ()),
        ("WHHV_20210101T120000.tif", ()),
    ],
)
def test_polarisation_is_a_word_of_its_own(name, expected):
    assert read_name(name).polarisations == expected


def test_impossible_time_is_not_a_time():
    assert read_name("scene_20201341T256199.tif").start is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"Short_Name": "SENTINEL-1B"}', "S1B"),
        ("Sentinel-1A", "S1A"),
        ("S1C", "S1C"),
        ("SENTINEL-2A", ""),
        ("", ""),
    ],
)
def test_platform_from_text(text, expected):
    assert find_platform(text) == expected


def test_polarisation_from_band_name():
    assert find_polarisations("sigma0_HV") == ("HV",)
    assert find_polarisations("HH/HV, HH") == ("HH", "HV")


def test_paths_are_made_printable():
    assert printable(Path("/archive/Îles/a.tif")) == Path("/archive/Îles/a.tif")
    assert str(printable(Path(os.fsdecode(b"/archive/\xff\xc3\xae.tif")))) == r"/archive/\xffî.tif"
