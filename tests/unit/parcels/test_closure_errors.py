"""What is stated of errors after closures, against their spread."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from drifting_ice import Ice, See, planted, stream

from lagrangian_ice.settings import ParcelSettings

SPACING = 1000.0
WHOLE = (-500.0, -500.0, 60_500.0, 60_500.0)
SETTINGS = ParcelSettings(
    birth_margin=0, reseed=False, merge_distance=0, max_fold_side=0, closure_days=3.0
)
STEP = 20.0
"""Standard error of a match over a day, metres."""


@dataclass
class Noisy(Ice):
    """Still ice whose matches have independent errors, larger over three days."""

    velocity: tuple[float, float] = (0.0, 0.0)
    longer: float = 1.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        apart = self.passes[target].day - self.passes[source].day
        sigma = STEP * (self.longer if apart > 2 else 1.0)
        end = xy + self.rng.normal(0, sigma, xy.shape)
        found = vectors.tracked
        covariance = np.where(found, sigma**2, np.nan)[:, None, None] * np.eye(2)
        return replace(vectors, xy1=np.where(found[:, None], end, np.nan), covariance=covariance)


def trajectories(longer, days=13):
    """Errors (days, N, 2) and stated variances (days, N) of parcels seen every day."""
    ice, streams = Noisy(longer=longer), [stream(spacing=SPACING)]
    parcels = planted(WHOLE, spacing=SPACING)
    seeds = parcels.xy
    errors, variances = [], []
    for day in range(days):
        fold = ice.fold(parcels, day, See(day, WHOLE), streams, SETTINGS, 10**6)
        parcels = fold.parcels
        seen = fold.observations
        errors.append(np.full(seeds.shape, np.nan))
        variances.append(np.full(len(seeds), np.nan))
        rows = seen.parcel_id - 1
        errors[-1][rows] = seen.xy - seeds[rows]
        variances[-1][rows] = seen.covariance[:, 0, 0]
    return np.array(errors), np.array(variances)


def stated_over_spread(errors, variances, lag):
    """Root of the mean stated variance of displacements over their spread."""
    moved, stated = errors[lag:] - errors[:-lag], variances[lag:] - variances[:-lag]
    return np.sqrt(np.nanmean(stated) / np.nanmean(moved**2))


@pytest.mark.parametrize("longer", [1.0, 1.5])
def test_displacements_over_the_nominal_time_state_their_spread(longer):
    errors, variances = trajectories(longer)
    assert np.isfinite(errors).mean() > 0.9
    assert stated_over_spread(errors, variances, 3) == pytest.approx(1.0, abs=0.03)
    # Over a day it is too small, over six days too large: it is one number for all phases.
    assert 0.75 < stated_over_spread(errors, variances, 1) < 0.85
    assert 1.1 < stated_over_spread(errors, variances, 6) < 1.3


def test_since_birth_more_is_stated_than_there_is():
    errors, variances = trajectories(1.0)
    ratio = np.sqrt(np.nanmean(variances[12]) / np.nanmean(errors[12] ** 2))
    # Four direct steps in place of twelve.
    assert ratio == pytest.approx(np.sqrt(3), abs=0.06)


def test_it_never_shrinks():
    _, variances = trajectories(1.5)
    steps = np.diff(variances, axis=0)
    assert (steps[np.isfinite(steps)] > 0).all()
