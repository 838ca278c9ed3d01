"""Trajectories as contiguous ragged arrays, and what the package makes public."""

import numpy as np
import pytest
import xarray as xr
from product_frames import HEADER, make_frames

import lagrangian_ice as li
from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.output.trajectories import write_trajectories


@pytest.fixture
def product(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
    )
    frames = make_frames()
    path = tmp_path / "a_LP.nc"
    write_trajectories(path, HEADER, frames.passes, frames.parcels, frames.chunks())
    return path


def test_ragged_rows_are_the_observations_of_each_parcel(product):
    with li.open_trajectories(product) as dataset:
        ragged = li.to_ragged(dataset)
    table = read_trajectories(product)
    np.testing.assert_array_equal(np.repeat(ragged["id"], ragged["rowsize"]), table["parcel_id"])
    np.testing.assert_array_equal(ragged["x"], table["x"])
    assert ragged["rowsize"].dims == ragged["id"].dims == ("traj",)
    assert set(ragged["rowsize"].to_numpy()) == {2, 5}
    assert not np.isnat(ragged["time"].to_numpy()).any()
    parts = np.split(ragged["x"].to_numpy(), np.cumsum(ragged["rowsize"].to_numpy())[:-1])
    assert [len(part) for part in parts] == ragged["n_obs"].to_numpy().tolist()


def test_another_dataset_is_refused():
    with pytest.raises(ProductError, match="not a trajectory product"):
        li.to_ragged(xr.Dataset({"a": 1}))


def test_strain_rates_are_public_and_do_not_depend_on_the_order_of_vertices():
    xy0 = np.array([[[0.0, 0.0], [10e3, 0.0], [0.0, 10e3]]])
    gradient = np.array([[2e-7, -1e-7], [3e-7, 4e-7]])
    dt = np.array([[86400.0, 86500.0, 86300.0]])
    xy1 = xy0 + (xy0 @ gradient.T) * dt[..., None]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        found = li.strain_rates(xy0[:, order], xy1[:, order], dt[:, order])
        np.testing.assert_allclose(found[0], gradient, atol=1e-18)


def test_every_public_name_can_be_had():
    for name in li.__all__:
        assert getattr(li, name) is not None
