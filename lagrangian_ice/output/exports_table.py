"""What every export is made from: chosen observations of one or more trajectory files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import MAP_CRS, Float, transform, xy_to_lonlat
from lagrangian_ice.output.reading import read_passes, reading
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.times import ALWAYS, Window

RGPS_CRS = "EPSG:3411"
"""Map of RGPS: Hughes 1980 ellipsoid, standard parallel 70 N, 45 W down."""
NEXTSIM_CRS = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-45 +a=6378273 +b=6356889.448910593"
"""Map of the neXtSIM meshes."""


class NoObservationError(ProductError):
    """The files hold nothing of what was asked for."""


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
    window: Window = ALWAYS,
    stream: int | None = None,
) -> Chosen:
    """Read the observations of trajectory files that are to be exported.

    Parameters
    ----------
    paths : sequence of path
        ``_LP.nc`` of one workspace, at most one a stream.
    window : Window
        Of the times of observations.
    stream : int, optional
        This one alone; 0 is stream a.

    Raises
    ------
    ProductError
        If a file is not a trajectory product or two files hold the same parcel;
        :class:`NoObservationError` if nothing is left.
    """
    parts = [_read(Path(path), window, stream) for path in paths]
    if not parts:
        raise ProductError("no trajectory file is given; name at least one _LP.nc")
    parcels = pd.concat([part[1] for part in parts])
    if parcels.index.has_duplicates:
        twice = parcels.index[parcels.index.duplicated()][0]
        raise ProductError(
            f"parcel {twice} is in two of {', '.join(str(path) for path in paths)}; give the "
            "newest file of each stream alone"
        )
    if not any(len(part[0]) for part in parts):
        raise NoObservationError(
            f"{', '.join(str(path) for path in paths)}: no observation in the times and stream "
            "asked for"
        )
    images, numbers = _join_images([part[2] for part in parts])
    for (table, _, _), number in zip(parts, numbers, strict=True):
        table["image"] = number[table["image"].to_numpy()]
    # a season is long: it is copied only where it must be
    tables = [part[0] for part in parts]
    observations = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    observations = _in_order(observations)
    parcels = parcels.sort_index()
    parcels["exported"] = observations.groupby("parcel_id").size()
    return _seen_images(Chosen(observations, parcels, images))


def _read(
    path: Path, window: Window, stream: int | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Observations, parcels and passes of a file; ``image`` is a row of its own passes."""
    with reading(path, TRAJECTORIES) as dataset:
        time = dataset["time"].to_numpy()
        x = dataset["x"].to_numpy()
        known = np.isfinite(time) & np.isfinite(x)
        if stream is not None:
            known &= (dataset["stream"].to_numpy() == stream)[:, None]
        known &= window.holds(time)
        count = known.sum(axis=1)
        ids = dataset["trajectory"].to_numpy().astype(np.int64)
        streams = dataset["stream"].to_numpy().astype(np.int64)
        observations = pd.DataFrame(
            {
                "parcel_id": np.repeat(ids, count),
                "stream": np.repeat(streams, count),
                "image": dataset["image_index"].to_numpy()[known].astype(np.int64),
                "time": time[known],
                "x": x[known],
                "y": dataset["y"].to_numpy()[known],
                "q_flag": dataset["q_flag"].to_numpy()[known].astype(np.int64),
            },
            copy=False,
        )
        parcels = pd.DataFrame(
            {
                "stream": streams,
                "birth_time": dataset["birth_time"].to_numpy(),
                "death_time": dataset["death_time"].to_numpy(),
            },
            index=pd.Index(ids, name="parcel_id"),
        )
        passes = read_passes(dataset)[["pass_id", "time"]]
    return observations, parcels[count > 0], passes


def _join_images(
    parts: Sequence[pd.DataFrame],
) -> tuple[pd.DataFrame, list[NDArray[np.int64]]]:
    """Put the passes of all files in time order; also give the new number of each file's own."""
    images = pd.concat(parts, ignore_index=True).drop_duplicates("pass_id")
    images = images.sort_values(["time", "pass_id"], ignore_index=True)
    number = pd.Series(images.index.to_numpy(), index=images["pass_id"])
    return images, [number.loc[part["pass_id"]].to_numpy(np.int64) for part in parts]


def _in_order(observations: pd.DataFrame) -> pd.DataFrame:
    """By parcel and time, as the files of ours are."""
    ids, time = observations["parcel_id"].to_numpy(), observations["time"].to_numpy()
    later = (ids[1:] > ids[:-1]) | ((ids[1:] == ids[:-1]) & (time[1:] >= time[:-1]))
    if later.all():
        return observations
    return observations.sort_values(["parcel_id", "time"], ignore_index=True)


def _seen_images(chosen: Chosen) -> Chosen:
    """Only the passes that have an observation, numbered anew."""
    image = chosen.observations["image"].to_numpy()
    seen = np.zeros(len(chosen.images), bool)
    seen[image] = True
    chosen.observations["image"] = (np.cumsum(seen) - 1)[image]
    return replace(chosen, images=chosen.images[seen].reset_index(drop=True))
