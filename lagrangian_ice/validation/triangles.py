"""Triangles of many pairs of passes, which of them count, and where they are read from.

Rates are per day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.deformation.pairs import Patch, Sightings, deform
from lagrangian_ice.deformation.triangles import UNFIT
from lagrangian_ice.grid import Float
from lagrangian_ice.output.coast import distance_to_coast
from lagrangian_ice.output.products import header_of
from lagrangian_ice.output.reading import (
    read_deformation,
    read_passes,
    read_sightings,
    reading,
)
from lagrangian_ice.output.variables import TRAJECTORIES
from lagrangian_ice.settings import DeformationSettings
from lagrangian_ice.times import ALWAYS, SECONDS_PER_DAY, Window
from lagrangian_ice.validation.confidence import group_sums

MOST = 3_000_000
"""Triangles of a trajectory file that are made, about; 100 bytes each."""
TRIANGLES_OF_OBSERVATION = 2


@dataclass(frozen=True)
class StatisticsOptions:
    """Which triangles count.

    Attributes
    ----------
    min_days, max_days : float
        Between the two passes.
    min_area, max_area : float
        Of a triangle, m2.
    min_coast : float
        Least distance of the centre to land, m; 0 asks for none.
    """

    min_days: float = 0.0
    max_days: float = 4.5
    min_area: float = 5e6
    max_area: float = 400e6
    min_coast: float = 0.0

    def __post_init__(self) -> None:
        if not self.min_coast >= 0:
            raise ValueError(f"min_coast {self.min_coast} m: allowed is 0 or more")
        for name in ("days", "area"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if not 0 <= low < high:
                raise ValueError(f"{name} {low} to {high}: allowed is 0 <= min < max")

    @property
    def told(self) -> str:
        """For a message."""
        coast = f", {self.min_coast / 1e3:g} km or more off the coast" if self.min_coast else ""
        return (
            f"of {self.min_days:g} to {self.max_days:g} days and {self.min_area / 1e6:g} to "
            f"{self.max_area / 1e6:g} km2{coast}"
        )

    @property
    def table(self) -> dict[str, float | None]:
        """For JSON; None is no limit."""
        return {key: value if np.isfinite(value) else None for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Triangles:
    """F triangles of many pairs of passes.

    Attributes
    ----------
    pair : (F,) int64
        Pair of passes.
    xy : (F, 2) float64
        Centres, metres.
    gradients : (F, 2, 2) float64
        Velocity gradients, per day.
    area : (F,) float64
        m2.
    days : (F,) float64
        Between the two passes.
    variance : (F, 3) float64
        Of the errors of divergence, shear and total deformation, per day squared; NaN unknown.
    time : (F,) float64
        At which the pair ends, seconds since 1970.
    """

    pair: NDArray[np.int64]
    xy: Float
    gradients: Float
    area: Float
    days: Float
    variance: Float
    time: Float

    def __len__(self) -> int:
        """Count the triangles."""
        return len(self.pair)

    def __getitem__(self, rows: Any) -> Triangles:
        """Choose some."""
        return Triangles(
            self.pair[rows],
            self.xy[rows],
            self.gradients[rows],
            self.area[rows],
            self.days[rows],
            self.variance[rows],
            self.time[rows],
        )

    def chosen(self, options: StatisticsOptions) -> Triangles:
        """Keep those that count."""
        good = (self.days >= options.min_days) & (self.days <= options.max_days)
        good &= (self.area >= options.min_area) & (self.area <= options.max_area)
        good &= np.isfinite(self.gradients).all(axis=(1, 2))
        if options.min_coast > 0:
            near = np.zeros(len(self), bool)
            near[good] = distance_to_coast(self.xy[good]) < options.min_coast
            good &= ~near
        return self[good]

    @classmethod
    def join(cls, parts: Sequence[Triangles]) -> Triangles:
        """Put patches together."""
        empty = np.zeros(0)
        nothing = cls(
            np.zeros(0, np.int64),
            np.zeros((0, 2)),
            np.zeros((0, 2, 2)),
            empty,
            empty,
            np.zeros((0, 3)),
            empty,
        )
        whole = [nothing, *parts]
        names = ("pair", "xy", "gradients", "area", "days", "variance", "time")
        return cls(*(np.concatenate([getattr(part, name) for part in whole]) for name in names))

    @classmethod
    def of_patch(
        cls, patch: Patch, pair: int, gradients: Float | None = None, with_errors: bool = True
    ) -> Triangles:
        """Triangles of a patch that are fit to be judged.

        Parameters
        ----------
        patch : Patch
            Between two passes.
        pair : int
            Its number.
        gradients : (F, 2, 2) float64, optional
            Instead of the patch's own, s-1, for example of a model.
        with_errors : bool
            False leaves the variance unknown, at a third of the time.
        """
        fit = (patch.quality_flag & UNFIT) == 0
        found = patch.gradients if gradients is None else gradients
        fit &= np.isfinite(found).all(axis=(1, 2))
        variance = np.full((len(fit), 3), np.nan)
        if with_errors:
            stated = patch.errors
            names = (stated.divergence, stated.shear, stated.total_deformation)
            variance = np.stack(names, axis=1) ** 2 * SECONDS_PER_DAY**2
        days = (patch.time1 - patch.time0)[patch.vertices].mean(axis=1) / SECONDS_PER_DAY
        return cls(
            np.full(int(fit.sum()), pair, np.int64),
            patch.xy0[patch.vertices].mean(axis=1)[fit],
            found[fit] * SECONDS_PER_DAY,
            patch.area[fit],
            days[fit],
            variance[fit],
            patch.time1[patch.vertices].mean(axis=1)[fit],
        )


def read_deformation_triangles(path: Path) -> Triangles:
    """Triangles of a deformation product.

    Raises
    ------
    ProductError
        If it is not one.
    """
    nodes, faces = read_deformation(path)
    corners = faces[["node_1", "node_2", "node_3"]].to_numpy(np.int64)
    spans = (nodes["time_end"] - nodes["time_start"]).to_numpy(np.float64)
    gradients = faces[["dudx", "dudy", "dvdx", "dvdy"]].to_numpy(np.float64).reshape(-1, 2, 2)
    names = [f"{key}_standard_error" for key in ("divergence", "shear", "total_deformation")]
    fit = (faces["quality_flag"].to_numpy().astype(np.int64) & UNFIT) == 0
    found = Triangles(
        faces["pair_index"].to_numpy().astype(np.int64),
        nodes[["x", "y"]].to_numpy(np.float64)[corners].mean(axis=1),
        gradients * SECONDS_PER_DAY,
        faces["area"].to_numpy(np.float64),
        spans[corners].mean(axis=1) / SECONDS_PER_DAY,
        faces[names].to_numpy(np.float64) ** 2 * SECONDS_PER_DAY**2,
        nodes["time_end"].to_numpy(np.float64)[corners].mean(axis=1),
    )
    return found[fit]


@dataclass(frozen=True)
class Record:
    """What a trajectory file holds for triangles of any time apart.

    Attributes
    ----------
    sightings : list of Sightings
        Of every stream.
    times : (P,) float64
        Of the passes, seconds since 1970.
    settings : DeformationSettings
        Those that the file was made with, without smoothing.
    every : int
        Of so many days one is looked at: patches of successive days overlap and say little new,
        and those of a season do not fit into memory.
    """

    sightings: list[Sightings]
    times: Float
    settings: DeformationSettings
    every: int

    @classmethod
    def of(cls, path: Path) -> Record:
        """Read it.

        Raises
        ------
        ProductError
            If the file is not a trajectory product or its settings are damaged.
        """
        with reading(path, TRAJECTORIES) as dataset:
            times = read_passes(dataset)["time"].to_numpy(np.float64)
            streams = np.unique(dataset["stream"].to_numpy())
            sightings = [read_sightings(dataset, int(stream)) for stream in streams]
            settings = header_of(dict(dataset.attrs), path).settings.deformation
        count = sum(len(part) for part in sightings)
        every = max(1, -(-TRIANGLES_OF_OBSERVATION * count // MOST))
        return cls(sightings, times, settings.model_copy(update={"smoothing_steps": 0}), every)

    def patches(self, days: float | None = None, inside: Window = ALWAYS) -> Iterator[Patch]:
        """Patches between passes some days apart (None: as the file was made) inside a window."""
        settings = self.settings
        if days is not None:
            settings = settings.model_copy(update={"nominal_days": days})
        for part in self.sightings:
            chosen = part if inside == ALWAYS else part[inside.holds(part.time)]
            yield from deform(chosen, self.times, settings, self.ends)

    def triangles(self, days: float | None = None, with_errors: bool = True) -> Triangles:
        """Triangles of all patches between passes some days apart."""
        parts = [
            Triangles.of_patch(patch, number, with_errors=with_errors)
            for number, patch in enumerate(self.patches(days))
        ]
        return Triangles.join(parts)

    @property
    def ends(self) -> NDArray[np.bool_]:
        """Passes (P,) at which patches may end."""
        if not len(self.times):
            return np.zeros(0, bool)
        day = np.floor((self.times - self.times.min()) / SECONDS_PER_DAY)
        return np.asarray(day % self.every == 0)


def pair_times(triangles: Triangles) -> tuple[NDArray[np.int64], Float, float]:
    """Pairs (P,) in ascending order, when each ends (P,), and their median length, seconds."""
    pairs, ends = group_sums(
        triangles.pair, np.stack([np.ones(len(triangles)), triangles.time], axis=1)
    )
    length = float(np.median(triangles.days)) * SECONDS_PER_DAY if len(triangles) else 1.0
    return pairs, ends[:, 1] / ends[:, 0], max(length, 1.0)
