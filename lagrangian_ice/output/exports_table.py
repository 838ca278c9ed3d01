"""What every export is made from: chosen observations of one or more trajectory files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import MAP_CRS, Float, transform, xy_to_lonlat
from lagrangian_ice.output.reading import open_product, read_passes
from lagrangian_ice.output.variables import TRAJECTORIES

RGPS_CRS = "EPSG:3411"
"""Map of RGPS: Hughes 1980 ellipsoid, standard parallel 70 N, 45 W down."""
NEXTSIM_CRS = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-45 +a=6378273 +b=6356889.448910593"
"""Map of the neXtSIM meshes."""


@dataclass(frozen=True)
class Chosen:
    """Observations chosen for export, of all streams.

    Attributes
    ----------
    observations : DataFrame
        ``parcel_id, stream, image, time, x, y, q_flag``, by parcel and time; time in seconds
        since 1970, EPSG:3413 metres; ``image`` is a row of ``images``.
    parcels : DataFrame
        ``stream, birth_time, death_time`` (NaN: not ended), ``exported`` (number of its
        observations here), indexed by ``parcel_id``.
    images : DataFrame
        ``pass_id, time`` of the passes of the observations, in time order. One row a pass
        (datatake), not one a frame.
    """

    observations: pd.DataFrame
    parcels: pd.DataFrame
    images: pd.DataFrame

    def xy(self, crs: str) -> Float:
        """Positions (N, 2) of the observations on another map, metres.

        Raises
        ------
        ValueError
            If the CRS is unknown or not projected in metres.
        """
        return project(self.observations[["x", "y"]].to_numpy(np.float64), crs)

    def lonlat(self) -> Float:
        """Longitude, latitude (N, 2) of the observations, degrees (WGS84)."""
        return xy_to_lonlat(self.observations[["x", "y"]].to_numpy(np.float64))


def project(xy: Float, crs: str) -> Float:
    """Map positions (N, 2) from EPSG:3413 to another map in metres.

    Raises
    ------
    ValueError
        If the CRS is unknown or not projected in metres.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        wanted = CRS.from_user_input(crs)
    except CRSError:
        raise ValueError(f"CRS {crs!r} is unknown; give for example EPSG:3413") from None
    if not wanted.is_projected or any(axis.unit_name != "metre" for axis in wanted.axis_info[:2]):
        raise ValueError(f"CRS {crs!r} is not a map in metres; give for example EPSG:3413")
    return xy if crs == MAP_CRS else transform(xy, MAP_CRS, crs)


def choose(
    paths: Sequence[str | Path],
    start: float | None = None,
    end: float | None = None,
    stream: int | None = None,
) -> Chosen:
    """Read the observations of trajectory files that are to be exported.

    Parameters
    ----------
    paths : sequence of path
        ``_LP.nc`` of one workspace, at most one a stream.
    start, end : float, optional
        Observations from ``start`` on and before ``end``, seconds since 1970.
    stream : int, optional
        This one alone; 0 is stream a.

    Raises
    ------
    ProductError
        If a file is not a trajectory product, two files hold the same parcel, or nothing is
        left.
    """
    parts = [_read(Path(path), start, end, stream) for path in paths]
    if not parts:
        raise ProductError("no trajectory file is given; name at least one _LP.nc")
    observations = pd.concat([part[0] for part in parts], ignore_index=True)
    parcels = pd.concat([part[1] for part in parts])
    if parcels.index.has_duplicates:
        twice = parcels.index[parcels.index.duplicated()][0]
        raise ProductError(
            f"parcel {twice} is in two of {', '.join(str(path) for path in paths)}; give the "
            "newest file of each stream alone"
        )
    if observations.empty:
        raise ProductError(
            f"{', '.join(str(path) for path in paths)}: no observation in the times and stream "
            "asked for"
        )
    observations = observations.sort_values(["parcel_id", "time"], ignore_index=True)
    return _with_images(observations, parcels)


def _read(
    path: Path, start: float | None, end: float | None, stream: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    with open_product(path, TRAJECTORIES, decode_times=False) as dataset:
        time = dataset["time"].to_numpy()
        known = np.isfinite(time)
        if stream is not None:
            known &= (dataset["stream"].to_numpy() == stream)[:, None]
        with np.errstate(invalid="ignore"):
            known &= time >= (-np.inf if start is None else start)
            known &= time < (np.inf if end is None else end)
        row, col = np.nonzero(known)
        ids = dataset["trajectory"].to_numpy().astype(np.int64)
        streams = dataset["stream"].to_numpy().astype(np.int64)
        passes = read_passes(dataset)
        image = dataset["image_index"].to_numpy()[row, col].astype(np.int64)
        observations = pd.DataFrame(
            {
                "parcel_id": ids[row],
                "stream": streams[row],
                "time": time[row, col],
                "x": dataset["x"].to_numpy()[row, col],
                "y": dataset["y"].to_numpy()[row, col],
                "q_flag": dataset["q_flag"].to_numpy()[row, col].astype(np.int64),
                "pass_id": passes["pass_id"].to_numpy()[image],
                "pass_time": passes["time"].to_numpy()[image],
            }
        )
        parcels = pd.DataFrame(
            {
                "stream": streams,
                "birth_time": dataset["birth_time"].to_numpy(),
                "death_time": dataset["death_time"].to_numpy(),
            },
            index=pd.Index(ids, name="parcel_id"),
        )
    return observations, parcels[parcels.index.isin(observations["parcel_id"])]


def _with_images(observations: pd.DataFrame, parcels: pd.DataFrame) -> Chosen:
    """Give the passes of all files numbers in time order."""
    images = observations[["pass_id", "pass_time"]].drop_duplicates("pass_id")
    images = images.sort_values(["pass_time", "pass_id"], ignore_index=True)
    number = pd.Series(images.index.to_numpy(), index=images["pass_id"])
    parcels = parcels.sort_index()
    parcels["exported"] = observations.groupby("parcel_id").size()
    observations.insert(2, "image", number.loc[observations["pass_id"]].to_numpy(np.int64))
    return Chosen(
        observations.drop(columns=["pass_id", "pass_time"]),
        parcels,
        images.rename(columns={"pass_time": "time"}),
    )
