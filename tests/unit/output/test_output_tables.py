"""One table of variables: CDL files, docs and writers agree with it; names of files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.deformation.triangles import QualityFlag
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.output.documentation import cdl, markdown, with_tables
from lagrangian_ice.output.names import dates_of, product_name, products_of, stream_letter
from lagrangian_ice.output.variables import DEFORMATION, PAIRS, PRODUCTS, TRAJECTORIES
from lagrangian_ice.times import Window

DAY = 86400.0
ROOT = Path(__file__).parents[3]
REFRESH = "stale: run lagrangian_ice.output.documentation.refresh (see docs/formats.md)"

CONTRACT = {
    "LP": "trajectory gpid stream seed_row seed_col n_obs birth_time death_time death_reason time "
    "lon lat x y x_standard_error y_standard_error xy_error_covariance "
    "geolocation_standard_error correlation rotation q_flag image_index distance_to_coast "
    "image_id image_time image_pass image_orbit image_polarisation crs",
    "DP": "trajectory time_start time_end x y dx dy time divergence shear vorticity "
    "total_deformation dudx dudy dvdx dvdy divergence_standard_error shear_standard_error "
    "vorticity_standard_error total_deformation_standard_error dudx_standard_error "
    "dudy_standard_error dvdx_standard_error dvdy_standard_error signal_to_noise area area_true "
    "smallest_angle pair_index quality_flag divergence_smoothed shear_smoothed",
}


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)
def test_cdl_is_printed_from_the_table(product):
    path = ROOT / "products" / f"{product.key}.cdl"
    assert path.read_text(encoding="utf-8") == cdl(product), REFRESH


def test_docs_are_printed_from_the_table():
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert text == with_tables(text), REFRESH


def test_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="LP table"):
        with_tables("# Nothing here\n")


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)
def test_each_product_has_its_page(product):
    assert (ROOT / "products" / f"{product.key}.md").is_file()


@pytest.mark.parametrize("key", CONTRACT)
def test_names_that_users_rely_on(key):
    product = next(product for product in PRODUCTS if product.key == key)
    names = [variable.name for variable in product.variables]
    assert len(names) == len(set(names))
    assert set(CONTRACT[key].split()) <= set(names)


def test_positions_and_times_are_not_rounded():
    for product in PRODUCTS:
        for variable in product.variables:
            if variable.units == "m" and "coordinate" in variable.standard_name:
                assert variable.dtype == "f8", variable.name
            if variable.standard_name == "time":
                assert variable.dtype == "f8"
                assert variable.units == "seconds since 1970-01-01 00:00:00"


def test_flags_come_from_the_enumerations():
    status = PAIRS.variable("status").attributes
    assert status["flag_values"] == [int(value) for value in Status]
    assert status["flag_meanings"].split()[0] == "tracked"
    quality = DEFORMATION.variable("quality_flag").attributes
    assert quality["flag_masks"] == [1, 2, 4, 8, 16]
    assert quality["flag_meanings"].split() == [flag.name.lower() for flag in QualityFlag]


def test_every_attribute_that_names_a_variable_names_one_that_exists():
    for product in PRODUCTS:
        names = {variable.name for variable in product.variables}
        for variable in product.variables:
            for key in ("coordinates", "ancillary_variables", "grid_mapping", "mesh"):
                named = set(str(variable.attributes.get(key, "")).split())
                assert named <= names, (product.key, variable.name, key)


def test_unknown_variable():
    with pytest.raises(ValueError, match="'depth'"):
        TRAJECTORIES.variable("depth")


def test_markdown_names_every_variable():
    text = markdown(DEFORMATION)
    for variable in DEFORMATION.variables:
        assert re.search(rf"^\| `{variable.name}` \|", text, re.M)


@pytest.mark.parametrize(
    ("stream", "letters"), [(0, "a"), (1, "b"), (25, "z"), (26, "aa"), (701, "zz"), (702, "aaa")]
)
def test_stream_letters(stream, letters):
    assert stream_letter(stream) == letters


def test_negative_stream():
    with pytest.raises(ValueError, match="-1"):
        stream_letter(-1)


def test_product_names(tmp_path):
    name = product_name(0, dates_of(1609459200.0, 1609718399.0), "0.1.0", "LP")
    assert name == "lagrangian_ice_a_20210101_20210103_v0.1.0_LP.nc"
    nothing = product_name(1, dates_of(np.nan, np.nan), "0.1.0", "DP")
    assert nothing == "lagrangian_ice_b_none_none_v0.1.0_DP.nc"
    part = product_name(0, "20210101T060000_20210101", "0.1.0", "PD")
    for path in (name, nothing, part, "lagrangian_ice_a_of_mine_LP.nc"):
        (tmp_path / path).touch()
    assert [path.name for path in products_of(tmp_path, 0, "LP")] == [name]
    assert [path.name for path in products_of(tmp_path, 1, "DP")] == [nothing]
    assert [path.name for path in products_of(tmp_path, 0, "PD")] == [part]


@pytest.mark.parametrize(
    ("start", "end", "dates"),
    [
        (-np.inf, np.inf, "20210101_20210103"),
        (DAY, 2 * DAY, "20210102_20210102"),
        (-DAY, 5 * DAY, "20210101_20210103"),
        (DAY + 3600, 2 * DAY, "20210102T010000_20210102"),
        (DAY, DAY + 3600, "20210102_20210102T010000"),
        # with the last pass of the day and without
        (-np.inf, 2 * DAY + 90, "20210101_20210103T000130"),
    ],
)
def test_parts_of_a_day_have_names_of_their_own(start, end, dates):
    first = 1609459200.0
    window = Window(first + start, first + end)
    assert dates_of(first + 60, first + 2.9 * DAY, window) == dates
