"""The samples in products/ are as the program writes them today, and the page on them works."""

from __future__ import annotations

import re
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from lagrangian_ice.grid import xy_to_lonlat
from lagrangian_ice.output.products import deform_file
from lagrangian_ice.output.reading import read_deformation, read_pairs, read_trajectories
from lagrangian_ice.output.variables import PRODUCTS

ROOT = Path(__file__).parents[3]
AGAIN = "stale: make the samples again, see products/README.md"


def sample(key):
    (path,) = (ROOT / "products" / "sample").glob(f"*_{key}.nc")
    return path


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)
def test_samples_have_todays_variables_and_attributes(product):
    with netCDF4.Dataset(sample(product.key)) as dataset:
        assert list(dataset.variables) == [variable.name for variable in product.variables], AGAIN
        for variable in product.variables:
            found = dataset[variable.name]
            assert found.dtype.str[1:] == variable.dtype, AGAIN
            assert found.dimensions == variable.dimensions, AGAIN
            attributes = {key: found.getncattr(key) for key in found.ncattrs()}
            for key, value in variable.attributes.items():
                np.testing.assert_array_equal(attributes[key], value, AGAIN)
        assert dataset.title == product.title
        assert dataset.summary == product.summary
    assert sample(product.key).stat().st_size < 300_000


def test_the_sample_of_deformation_is_that_of_the_trajectories(tmp_path):
    deform_file(sample("LP"), tmp_path / "again_DP.nc")
    for one, two in zip(
        read_deformation(tmp_path / "again_DP.nc"), read_deformation(sample("DP")), strict=True
    ):
        assert list(one) == list(two)
        for name in one:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-6, atol=1e-12, err_msg=AGAIN)


def test_the_samples_agree_with_one_another():
    seen, pairs = read_trajectories(sample("LP")), read_pairs(sample("PD"))
    assert seen["parcel_id"].nunique() > 100
    np.testing.assert_allclose(
        xy_to_lonlat(seen[["x", "y"]].to_numpy()), seen[["lon", "lat"]], atol=1e-9
    )
    ends = {(i, round(t)) for i, t in zip(seen["parcel_id"], seen["time"], strict=True)}
    tracked = pairs[pairs["status"] == 0]
    found = [
        (i, round(t)) in ends for i, t in zip(tracked["trajectory"], tracked["time0"], strict=True)
    ]
    assert np.mean(found) > 0.9


def test_the_page_on_the_samples_works(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "products" / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(program, "products/README.md", "exec"), {})  # noqa: S102 (our own page)
    assert "per day" in capsys.readouterr().out
    for name in re.findall(r"\]\(([\w./]+)\)", text):
        assert (ROOT / "products" / name).exists(), name
