"""What is true of a simulated archive, and its file ``truth.nc``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import ArrayLike
from pyproj import CRS

from lagrangian_ice.errors import ProductError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.grid import MAP_CRS, Float
from lagrangian_ice.simulate.motion import IceMotion
from lagrangian_ice.simulate.orbit import Orbit
from lagrangian_ice.simulate.radar_swath import RadarSwath
from lagrangian_ice.simulate.swath import Swath
from lagrangian_ice.times import TIME_UNITS
from lagrangian_ice.validation.truth import TrueSightings

TRUTH_NAME = "truth.nc"
MISSING = float("nan")

AnySwath = Swath | RadarSwath


@dataclass(frozen=True)
class Truth:
    """Motion of the ice and the passes that saw it.

    Attributes
    ----------
    motion : IceMotion
        Exact positions at all times.
    swaths : tuple of Swath or RadarSwath
        Whole passes in time order.
    """

    motion: IceMotion
    swaths: tuple[AnySwath, ...]

    def position(self, xy: ArrayLike, time: ArrayLike, later: ArrayLike) -> Float:
        """Where the ice that is at map positions at one time is at another.

        Parameters
        ----------
        xy : (N, 2) array_like
            Metres.
        time, later : float or (N,) array_like
            Seconds since 1970.

        Returns
        -------
        (N, 2) float64
            Metres; NaN where ``xy`` is in an open lead.
        """
        return self.motion.advected(xy, time, later)

    def velocity_gradient(self, xy: ArrayLike, time: ArrayLike) -> Float:
        """Velocity gradient (N, 2, 2) of the ice at map positions (N, 2) at time(s), s-1."""
        material, _ = self.motion.material(xy, time)
        return self.motion.velocity_gradient(material, time)

    def sightings(self, xy: ArrayLike, time: ArrayLike, inset: float = 0.0) -> TrueSightings:
        """When and where the passes see the ice that is at map positions at time(s).

        Parameters
        ----------
        xy : (N, 2) array_like
            Metres.
        time : float or (N,) array_like
            Seconds since 1970.
        inset : float
            Least distance from the edge of a pass for the ice to count as inside, metres.

        Returns
        -------
        TrueSightings
            Times and places are those of the nearest line where the ice is outside of a pass.
        """
        material, _ = self.motion.material(xy, time)
        times = np.empty((len(material), len(self.swaths)))
        places = np.empty((*times.shape, 2))
        inside, on_top = np.zeros(times.shape, dtype=bool), np.zeros(times.shape, dtype=bool)
        for index, swath in enumerate(self.swaths):
            times[:, index], places[:, index] = self._seen_by(swath, material)
            inside[:, index] = swath.contains(places[:, index], inset)
            on_top[:, index] = self.motion.visible(material, times[:, index])
        return TrueSightings(times, places, inside, on_top)

    def _seen_by(self, swath: AnySwath, material: Float) -> tuple[Float, Float]:
        """Solve for the time at which a line lies on the moving ice."""
        times = np.full(len(material), 0.5 * (swath.start + swath.stop))
        # Ice moves by less than 1e-4 of the beam's speed: each step gains four digits.
        for _ in range(4):
            places = self.motion.position(material, times)
            row = np.clip(swath.rowcol(places)[:, 0], 0, swath.shape[0] - 1)
            times = np.where(np.isfinite(row), swath.line_time(row), times)
        return times, self.motion.position(material, times)


def write_truth(path: Path, truth: Truth, points: Float) -> None:
    """Write trajectories and velocity gradients of material points, and the motion itself.

    Parameters
    ----------
    path : Path
        NetCDF file; appears when complete.
    truth : Truth
        What is true.
    points : (N, 2) float64
        Positions at the motion's reference time, metres.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    try:
        with in_place(path) as partial, netCDF4.Dataset(partial, "w", format="NETCDF4") as dataset:
            _fill(dataset, truth, points)
    except OSError as error:
        raise ProductError(f"{path}: cannot be written ({error})") from None


def _fill(dataset: netCDF4.Dataset, truth: Truth, points: Float) -> None:
    time0 = truth.motion.reference_time
    times, places, inside, on_top = truth.sightings(points, time0)
    dataset.Conventions = "CF-1.11"
    dataset.title = "True trajectories and velocity gradients of simulated sea ice"
    dataset.motion = truth.motion.as_json()
    dataset.passes = json.dumps([dataclasses.asdict(swath) for swath in truth.swaths])
    dataset.createDimension("point", len(points))
    dataset.createDimension("pass", len(truth.swaths))
    crs = dataset.createVariable("crs", "i4")
    crs.long_name, crs.crs_wkt = f"map of all positions, {MAP_CRS}", _wkt()
    _put(dataset, "reference_time", (), np.asarray(time0), TIME_UNITS, "time that names points")
    for name, values in (("start", "start"), ("stop", "stop")):
        seconds = np.array([getattr(swath, values) for swath in truth.swaths])
        _put(dataset, f"pass_{name}", ("pass",), seconds, TIME_UNITS, f"{name} of the pass")
    both = ("point", "pass")
    _put(dataset, "time", both, times, TIME_UNITS, "time of the image line that sees the point")
    for axis, name in enumerate("xy"):
        start = f"{name} of the point at the reference time"
        _put(dataset, f"{name}0", ("point",), points[:, axis], "m", start)
        _put(dataset, name, both, places[..., axis], "m", f"{name} of the point at its time")
    gradients = np.stack(
        [truth.motion.velocity_gradient(points, times[:, k]) for k in range(times.shape[1])], axis=1
    )
    for row, velocity in enumerate("uv"):
        for col, along in enumerate("xy"):
            text = f"derivative of velocity component {velocity} along {along}"
            _put(dataset, f"d{velocity}d{along}", both, gradients[..., row, col], "s-1", text)
    flag = dataset.createVariable("seen", "i1", both, zlib=True)
    flag.long_name = "whether the point is inside the pass and not below other ice"
    flag.flag_values, flag.flag_meanings = np.array([0, 1], np.int8), "not_seen seen"
    flag[:] = (inside & on_top).astype(np.int8)


def _put(
    dataset: netCDF4.Dataset,
    name: str,
    dimensions: tuple[str, ...],
    values: Float,
    units: str,
    long_name: str,
) -> None:
    variable = dataset.createVariable(
        name, "f8", dimensions, zlib=bool(dimensions), fill_value=MISSING
    )
    variable.units, variable.long_name = units, long_name
    variable[...] = values


def _wkt() -> str:
    return str(CRS.from_user_input(MAP_CRS).to_wkt())


def load_truth(path: Path) -> Truth:
    """Read a ``truth.nc``.

    Raises
    ------
    ProductError
        If the file is missing, not NetCDF or holds no motion.
    """
    if not path.is_file():
        raise ProductError(f"{path}: no such file; give the {TRUTH_NAME} of a simulated archive")
    try:
        with netCDF4.Dataset(path) as dataset:
            motion = IceMotion.from_json(dataset.getncattr("motion"))
            passes = json.loads(dataset.getncattr("passes"))
    except (OSError, AttributeError, ValueError) as error:
        raise ProductError(
            f"{path}: not a truth file of a simulated archive ({reason_of(error)})"
        ) from None
    return Truth(motion, tuple(_swath(fields) for fields in passes))


def _swath(fields: dict[str, Any]) -> AnySwath:
    fields = {**fields, "shape": tuple(fields["shape"])}
    if "orbit" in fields:
        return RadarSwath(**{**fields, "orbit": Orbit(**fields["orbit"])})
    return Swath(**fields)
