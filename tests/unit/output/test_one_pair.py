"""The vectors of one pair as NetCDF."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.output.one_pair import write_vectors_nc
from lagrangian_ice.points import COLUMNS
from lagrangian_ice.settings import Settings


def test_netcdf_holds_the_same_as_the_csv(some_vectors, tmp_path):
    write_vectors_nc(tmp_path / "v.nc", some_vectors, Settings(), {"scene_ids": "a,b"})
    with xr.open_dataset(tmp_path / "v.nc") as dataset:
        assert dataset["x1"].values[0] == 11.25
        for name in ("x1", "mcc", "peak_ratio", "rotation"):
            assert np.isnan(dataset[name].values[1])
        assert dataset["status"].values.tolist() == [0, 6]
        assert dataset["time1"].values[0] == np.datetime64("2020-09-14T12:26:40")
        assert {*COLUMNS, "lon0", "lat0", "crs"} == set(dataset.variables)
        assert dataset["x0"].dims == ("point",)
        assert dataset["sigma_x"].values[0] == 3.0
        assert dataset.attrs["scene_ids"] == "a,b"
        places = np.stack([dataset["lon0"], dataset["lat0"]], axis=1)
        np.testing.assert_allclose(lonlat_to_xy(places), some_vectors.xy0, atol=1e-3)


def test_the_netcdf_passes_the_checker(some_vectors, cf_faults, tmp_path):
    write_vectors_nc(tmp_path / "v.nc", some_vectors, Settings(), {"scene_ids": "a,b"})
    found = cf_faults(tmp_path / "v.nc")
    assert not found["high"] + found["medium"], found


def test_a_full_disk_is_one_line_and_leaves_nothing(some_vectors, tmp_path, monkeypatch):
    def full(*_args, **_more):
        raise RuntimeError("NetCDF: HDF error")  # as netCDF4 tells of it

    monkeypatch.setattr("lagrangian_ice.output.one_pair.define", full)
    with pytest.raises(ProductError, match=r"v\.nc: cannot be written \(NetCDF: HDF error\)"):
        write_vectors_nc(tmp_path / "v.nc", some_vectors, Settings(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_full_disk_does_not_take_is_told_so(some_vectors, tmp_path, monkeypatch):
    """NetCDF says that nobody may write there."""

    def refused(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lagrangian_ice.output.one_pair.define", refused)
    with pytest.raises(ProductError, match="Permission denied"):
        write_vectors_nc(tmp_path / "v.nc", some_vectors, Settings(), {})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ProductError, match="No space left"):
        write_vectors_nc(tmp_path / "v.nc", some_vectors, Settings(), {})
