"""Small frames as the store hands them to the writers, for the tests of products and plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lagrangian_ice.output.attributes import Header
from lagrangian_ice.output.products import Records, dates_of_streams, write_products
from lagrangian_ice.settings import ProductSettings, Settings
from lagrangian_ice.times import ALWAYS

DAY = 86400.0
START = 1609459200.0  # 2021-01-01T00:00:00Z
SETTINGS = Settings(product=ProductSettings(creator_name="A group", institution="An institute"))
HEADER = Header(SETTINGS, weights_sha256="0" * 64, history="lagrangian-ice advance --days 3")


@dataclass(frozen=True)
class Frames:
    passes: pd.DataFrame
    parcels: pd.DataFrame
    observations: pd.DataFrame
    pairs: pd.DataFrame
    vectors: pd.DataFrame

    def chunks(self, size=7):
        """Observations in frames of ``size`` whole trajectories."""
        ids = np.sort(self.observations["parcel_id"].unique())
        for first in range(0, len(ids), size):
            wanted = ids[first : first + size]
            yield self.observations[self.observations["parcel_id"].isin(wanted)]


def make_passes(count=5):
    time = START + np.arange(count) * DAY + 3600.0
    return pd.DataFrame(
        {
            "pass_index": np.arange(count),
            "pass_id": [f"S1A_{index:06d}" for index in range(count)],
            "time": time + 30,
            "start": time,
            "stop": time + 60,
            "platform": "S1A",
            "orbit": np.where(np.arange(count) == 1, -1, 36000 + np.arange(count)),
            "polarisations": "HH,HV",
            "scene_ids": [(f"SCENE_{index}_A", f"SCENE_{index}_B") for index in range(count)],
        }
    )


def field_velocity(xy):
    """A slow turn with a crack along x = 0 that opens."""
    centre = np.array([0.0, -900e3])
    turn = (xy - centre) @ np.array([[0.0, 4e-7], [-4e-7, 0.0]])
    return turn + np.array([0.05, -0.08]) + np.where(xy[:, :1] > 0, [0.02, 0.01], [0.0, 0.0])


def make_frames(side=8, count=5, spacing=10e3):
    """Parcels of a lattice over some daily passes; one in nine ends early."""
    passes = make_passes(count)
    row, col = (index.ravel() for index in np.mgrid[:side, :side])
    start = np.stack([col - side / 2, row - side / 2], axis=1) * spacing + [0.0, -900e3]
    velocity = field_velocity(start)
    ids = np.arange(len(row), dtype=np.int64) + 1
    ended = ids % 9 == 0
    parts = []
    for index in range(count):
        seen = ~ended | (index < 2)
        time = passes["time"][index] + row * 1.4
        variance = 400.0 * index
        parts.append(
            pd.DataFrame(
                {
                    "parcel_id": ids,
                    "pass_index": index,
                    "time": time,
                    "x": start[:, 0] + velocity[:, 0] * (time - START),
                    "y": start[:, 1] + velocity[:, 1] * (time - START),
                    "var_x": variance,
                    "var_y": variance * 1.2,
                    "cov_xy": variance * 0.1,
                    "mcc": np.nan if index == 0 else 0.7,
                    "peak_ratio": np.nan if index == 0 else 0.5,
                    "rotation": np.nan if index == 0 else 1.5,
                    "q_flag": 0,
                    "source_pass_index": -1 if index == 0 else index - 1,
                }
            )[seen]
        )
    observations = pd.concat(parts).sort_values(["parcel_id", "time"], ignore_index=True)
    n_obs = observations.groupby("parcel_id").size()
    parcels = pd.DataFrame(
        {
            "parcel_id": ids,
            "stream": 0,
            "seed_row": row,
            "seed_col": col,
            "birth_time": observations.groupby("parcel_id")["time"].min().to_numpy(),
            "death_time": np.where(ended, passes["time"][count - 1], np.nan),
            "end_reason": np.where(ended, 1, 0),
            "n_obs": n_obs.to_numpy(),
        }
    )
    pairs = pd.DataFrame(
        {
            "pair_index": np.arange(count - 1),
            "source_pass_index": np.arange(count - 1),
            "target_pass_index": np.arange(1, count),
        }
    )
    links = [_vectors_of(parts[index], parts[index + 1], index) for index in range(count - 1)]
    vectors = pd.concat(links, ignore_index=True)
    return Frames(passes, parcels, observations, pairs, vectors)


def _vectors_of(source, target, index):
    both = source.merge(target, on="parcel_id", how="left", suffixes=("0", "1"))
    tracked = both["x1"].notna()
    return pd.DataFrame(
        {
            "pair_index": index,
            "parcel_id": both["parcel_id"],
            "x0": both["x0"],
            "y0": both["y0"],
            "x1": both["x1"],
            "y1": both["y1"],
            "var_x": np.where(tracked, 400.0, np.nan),
            "var_y": np.where(tracked, 480.0, np.nan),
            "cov_xy": np.where(tracked, 40.0, np.nan),
            "first_guess_x": both["x0"] + 300,
            "first_guess_y": both["y0"] - 300,
            "first_guess_error": 250.0,
            "mcc": np.where(tracked, 0.7, 0.1),
            "peak_ratio": 0.5,
            "rotation": np.where(tracked, 1.5, np.nan),
            "strain_xx": np.where(tracked, 0.001, np.nan),
            "strain_yy": np.where(tracked, -0.001, np.nan),
            "strain_xy": np.where(tracked, 0.0, np.nan),
            "status": np.where(tracked, 0, 6),
            "time0": both["time0"],
            "time1": both["time1"],
        }
    )


def write_all(directory, frames, header=HEADER):
    """Paths of all three products of one stream."""
    return write_products(directory, header, records_of(frames))


def records_of(frames, window=ALWAYS):
    """What the writers take, of one stream."""
    return Records(
        frames.passes,
        frames.parcels,
        lambda stream: frames.chunks(),
        frames.pairs,
        lambda stream: [frames.vectors],
        dates_of_streams(frames.passes, frames.parcels, window),
    )


def write_frames(directory, frames):
    """All three products of one stream; their paths by LP, DP and PD."""
    return {path.name[-5:-3]: path for path in write_all(directory, frames)}
