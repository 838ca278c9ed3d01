"""Trajectories as a contiguous ragged array, in memory, as clouddrift works on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from lagrangian_ice.errors import ProductError

_TABLE = ("trajectory", "obs")


def to_ragged(dataset: xr.Dataset) -> xr.Dataset:
    """Contiguous ragged form of an opened trajectory product.

    Parameters
    ----------
    dataset : xarray.Dataset
        As :func:`lagrangian_ice.open_trajectories` gives it, dimensions (trajectory, obs).

    Returns
    -------
    xarray.Dataset
        Dimensions ``traj`` and ``obs``: the observations of one parcel after those of another.
        ``id`` (parcel) and ``rowsize`` (its number of observations) over ``traj``, with the
        other variables of parcels; ``time, lon, lat, x, y`` and so on over ``obs``; ``time``,
        ``lon``, ``lat`` and ``id`` are coordinates. Image variables are as they were.
        ``clouddrift.ragged.apply_ragged(f, [ds.x, ds.y], ds.rowsize)`` takes it.

    Raises
    ------
    ProductError
        If the dataset is not a trajectory product.
    """
    missing = [name for name in ("trajectory", "time", "x", "y") if name not in dataset.variables]
    if missing or dataset["time"].dims != _TABLE:
        raise ProductError(
            "dataset is not a trajectory product (trajectory, obs); open one with open_trajectories"
        )
    time = dataset["time"].to_numpy()
    known = ~np.isnat(time) if np.issubdtype(time.dtype, np.datetime64) else np.isfinite(time)
    found: dict[str, Any] = {}
    for key, variable in dataset.variables.items():
        name = str(key)
        if variable.dims == _TABLE:
            found[name] = (("obs",), variable.to_numpy()[known], variable.attrs)
        elif variable.dims == ("trajectory",):
            found["id" if name == "trajectory" else name] = (
                ("traj",),
                variable.to_numpy(),
                variable.attrs,
            )
        else:
            found[name] = (variable.dims, variable.to_numpy(), variable.attrs)
    found["rowsize"] = (
        ("traj",),
        known.sum(axis=1),
        {"long_name": "number of observations", "sample_dimension": "obs"},
    )
    ragged = xr.Dataset(found, attrs=dataset.attrs)
    return ragged.set_coords([name for name in ("id", "time", "lon", "lat") if name in ragged])
