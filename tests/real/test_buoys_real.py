"""Vectors of an operational tracker against the buoys that drifted among them."""

import os
from pathlib import Path

import pytest

from lagrangian_ice.validation.buoys import BuoyOptions, validate_buoys
from lagrangian_ice.validation.import_vectors import import_vectors

FOLDER = os.environ.get("LAGRANGIAN_ICE_TEST_DATA", "")
DATA = Path(FOLDER) / "validation"
VECTORS, BUOYS = DATA / "sar_vectors_20200301-07.csv.gz", DATA / "mosaic_buoys_20200301-11.csv.gz"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (FOLDER and VECTORS.is_file()), reason="real data are not there"),
]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "operational_LP.nc"
    assert import_vectors(VECTORS, path) == 9169
    return path


def test_vectors_within_four_kilometres_of_a_buoy(imported):
    """Most of the network drifts nearer to the pole than the vectors reach: only five are left."""
    scores, compared = validate_buoys(imported, BUOYS)
    assert scores["all"]["count"] == 5
    assert scores["all"]["median_distance"] == pytest.approx(109, abs=1)
    assert compared["hours"].between(6, 96).all()


def test_vectors_within_fifteen_kilometres_of_a_buoy(imported):
    scores, _ = validate_buoys(imported, BUOYS, BuoyOptions(max_distance=15000.0))
    assert scores["all"]["count"] == 75
    assert scores["all"]["median_distance"] == pytest.approx(134, abs=1)
    assert scores["all"]["distance_percentiles"]["p90"] == pytest.approx(335, abs=2)
    assert scores["stated_error"]["count"] == 0
