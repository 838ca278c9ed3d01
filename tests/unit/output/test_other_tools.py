"""The tools that modellers use open the files and find what we find.

uxarray and clouddrift are heavy (700 MB) and not in the test extra: their tests are skipped
unless the extra ``interop`` is installed.
"""

from __future__ import annotations

import importlib
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from product_frames import make_frames, write_frames
from pyproj import Geod

import lagrangian_ice as li


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    frames = make_frames()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
        )
        return write_frames(tmp_path_factory.mktemp("products"), frames)


def heavy_tool(name):
    if find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed; it is in the extra interop")
    return tool(name)


def tool(name):
    with warnings.catch_warnings():
        # what they warn of while they are imported is theirs
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@pytest.mark.filterwarnings("ignore")
def test_trajan_has_our_speeds(paths):
    tool("trajan")
    with xr.open_dataset(paths["LP"]) as dataset:
        speed = dataset.traj.speed().to_numpy()
        lon, lat = dataset["lon"].to_numpy(), dataset["lat"].to_numpy()
        seconds = np.diff(dataset["time"].to_numpy()) / np.timedelta64(1, "ns") / 1e9
    _, _, metres = Geod(ellps="WGS84").inv(lon[:, :-1], lat[:, :-1], lon[:, 1:], lat[:, 1:])
    known = np.isfinite(seconds)
    assert known.sum() > 100
    np.testing.assert_allclose(speed[:, :-1][known], (metres / seconds)[known], rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_xugrid_opens_the_mesh(paths):
    xugrid = tool("xugrid")
    opened = xugrid.open_dataset(paths["DP"])
    assert opened.ugrid.grid.n_face == opened["divergence"].size > 100
    np.testing.assert_allclose(opened.ugrid.grid.area, opened["area"], rtol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_uxarray_opens_the_mesh(paths):
    uxarray = heavy_tool("uxarray")
    opened = uxarray.open_dataset(paths["DP"], paths["DP"])
    assert opened.uxgrid.n_face == opened["shear"].size > 100
    assert set(opened["shear"].dims) == {"n_face"}


@pytest.mark.filterwarnings("ignore")
def test_clouddrift_takes_our_ragged_rows(paths):
    ragged_tools = heavy_tool("clouddrift.ragged")
    with li.open_trajectories(paths["LP"]) as dataset:
        ragged = li.to_ragged(dataset)
        mean = np.nanmean(dataset["x"].to_numpy(), axis=1)
    found = ragged_tools.apply_ragged(np.mean, ragged["x"].to_numpy(), ragged["rowsize"].to_numpy())
    np.testing.assert_allclose(found, mean)
    one = ragged_tools.subset(ragged, {"id": [17]}, row_dim_name="traj")
    assert one.sizes["obs"] == int(ragged["rowsize"].sel(traj=16))
