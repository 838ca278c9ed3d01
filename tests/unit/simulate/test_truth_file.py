from pathlib import Path

import netCDF4
import numpy as np
import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.simulate.motion import random_motion
from lagrangian_ice.simulate.swath import Swath
from lagrangian_ice.simulate.truth import Truth, load_truth, write_truth

START = 1.6e9
SWATH = Swath(-150.0, 80.0, 305.0, 200.0, (300, 250), START + 86400.0, 25.0, 33.0)


def make_truth() -> Truth:
    x, y = SWATH.xy([150.0, 125.0])
    bounds = (x - 60e3, y - 60e3, x + 60e3, y + 60e3)
    return Truth(random_motion(bounds, START, 2.0, np.random.default_rng(0)), (SWATH,))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    truth = make_truth()
    points = SWATH.xy([[100.0, 100.0], [200.0, 50.0]])
    write_truth(tmp_path / "truth.nc", truth, points)
    again = load_truth(tmp_path / "truth.nc")
    assert again.swaths == truth.swaths
    later = START + 1e5
    assert np.array_equal(
        again.position(points, START, later), truth.position(points, START, later)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["truth.nc"]


def test_sightings_are_inset_from_the_edges() -> None:
    truth = make_truth()
    rowcol = np.array([[150.0, 125.0], [2.0, 100.0], [150.0, 248.0], [-5.0, 100.0]])
    time = SWATH.line_time(np.clip(rowcol[:, 0], 0, None))
    found = truth.sightings(SWATH.xy(rowcol), time)
    ice = np.isfinite(found.xy[:, 0, 0])
    assert ice.sum() >= 3
    assert found.inside[:, 0].tolist() == (ice & [True, True, True, False]).tolist()
    assert np.array_equal(found.on_top[:, 0], ice)
    assert np.abs(found.time[:3, 0] - time[:3])[ice[:3]].max() < 1e-3
    inner = truth.sightings(SWATH.xy(rowcol), time, inset=1000.0)
    assert inner.inside[:, 0].tolist() == (ice & [True, False, False, False]).tolist()


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"no such file"):
        load_truth(tmp_path / "none.nc")
    text = tmp_path / "text.nc"
    text.write_text("no")
    with pytest.raises(ProductError, match=r"text\.nc: not a truth file"):
        load_truth(text)
    netCDF4.Dataset(tmp_path / "other.nc", "w").close()
    with pytest.raises(ProductError, match=r"other\.nc: not a truth file"):
        load_truth(tmp_path / "other.nc")
    with pytest.raises(ProductError, match="cannot be written"):
        write_truth(tmp_path / "no" / "truth.nc", make_truth(), np.zeros((1, 2)))
