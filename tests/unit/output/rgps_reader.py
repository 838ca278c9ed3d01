"""Reader of the binary Lagrangian motion product of RGPS, for the tests of its writer."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from lagrangian_ice.output import exports_rgps as layout
from lagrangian_ice.times import SECONDS_PER_DAY


class RgpsMotion(NamedTuple):
    """What a file holds: times in seconds since 1970, EPSG:3411 metres."""

    images: pd.DataFrame
    parcels: pd.DataFrame
    observations: pd.DataFrame


def seconds_of(year, day):
    """Seconds since 1970 of years and 1-based days; NaN where the year is negative."""
    years = np.asarray(year, np.int64)
    begin = (np.maximum(years, 1970) - 1970).astype("datetime64[Y]").astype("datetime64[s]")
    found = begin.astype(np.int64) + (np.asarray(day, np.float64) - 1.0) * SECONDS_PER_DAY
    return np.where(years < 0, np.nan, found)


def read_rgps_lp(path):
    """Read all of a file; it must end with its last record."""
    data = path.read_bytes()
    at = 0

    def records(kind, count):
        nonlocal at
        found = np.frombuffer(data, kind, count, at)
        at += found.nbytes
        return found

    head = records(layout._HEADER, 1)[0]
    images = records(layout._IMAGE, int(head["n_images"]))
    heads, parts = [], []
    for _ in range(int(head["n_trajectories"])):
        heads.append(records(layout._TRAJECTORY, 1)[0])
        parts.append(records(layout._OBSERVATION, int(heads[-1]["n_obs"])))
    assert at == len(data)
    heads, rows = np.array(heads), np.concatenate(parts)
    gpid = heads["gpid"].astype(np.int64)
    return RgpsMotion(
        pd.DataFrame(
            {
                "image_id": [name.decode("ascii") for name in images["id"]],
                "time": seconds_of(images["year"], images["time"]),
            }
        ),
        pd.DataFrame(
            {"death_time": seconds_of(heads["death_year"], heads["death_time"])}, index=gpid
        ),
        pd.DataFrame(
            {
                "gpid": np.repeat(gpid, heads["n_obs"].astype(np.int64)),
                "time": seconds_of(rows["year"], rows["time"]),
            }
        ),
    )
