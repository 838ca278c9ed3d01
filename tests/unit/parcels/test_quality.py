from dataclasses import replace

import numpy as np
import pytest
from drifting_ice import WHOLE, Ice, See

from lagrangian_ice.parcels.quality import doubt, quality_flags

SIGMA, DAYS = 40.0, 2.0


def vectors(**changes):
    """Two vectors of two days: the ice around has turned by 1.5 degrees, they by as much."""
    ice = Ice(velocity=(0.0, 0.0), sigma=SIGMA, passes={0: See(0, WHOLE), 1: See(DAYS, WHOLE)})
    return replace(ice.match(0, 1, np.array([[1e4, 1e4], [2e4, 1e4]])), **changes)


def test_what_turned_as_the_ice_around_is_in_no_doubt():
    np.testing.assert_allclose(doubt(vectors()), 0.0)


@pytest.mark.parametrize(
    ("rotation", "around", "turned"),
    [(0.0, 20.0, 0.0), (30.0, 20.0, 10.0), (5.0, -20.0, 5.0), (-179.0, 178.0, 3.0)],
    ids=["still", "more than around", "the other way", "across 180 degrees"],
)
def test_what_turned_otherwise_is(rotation, around, turned):
    some = vectors(rotation=np.full(2, rotation), first_guess_rotation=np.full(2, around))
    np.testing.assert_allclose(doubt(some), SIGMA * DAYS * np.radians(turned), atol=1e-9)


def test_so_is_what_was_strained_and_the_more_the_longer_and_the_less_sure():
    strain = np.array([[0.03, 0.0, 0.04], [0.0, 0.0, 0.0]])
    some = vectors(strain=strain)
    np.testing.assert_allclose(doubt(some), [SIGMA * DAYS * 0.05, 0.0])
    longer = replace(some, time1=some.time1 + 86400.0, covariance=4 * some.covariance)
    np.testing.assert_allclose(doubt(longer), [2 * SIGMA * (DAYS + 1) * 0.05, 0.0])
    backwards = replace(some, time0=some.time1, time1=some.time0)
    np.testing.assert_allclose(doubt(backwards), doubt(some))


def test_what_has_no_end_has_no_doubt():
    assert np.isnan(doubt(vectors().without(np.array([0])))).tolist() == [True, False]
    assert doubt(vectors().take(slice(0, 0))).shape == (0,)


@pytest.mark.parametrize(
    ("mcc", "peak_ratio", "deviation", "flag"),
    [
        (0.5, 0.8, 100.0, 0),
        (0.499, 0.8, 100.0, 1),
        (0.5, 0.801, 100.0, 1),
        (0.5, 0.8, 100.1, 1),
        (0.499, 0.801, 100.0, 2),
        (0.499, 0.801, 100.1, 3),
        (np.nan, np.nan, np.nan, 3),
    ],
)
def test_what_is_weak_is_counted(mcc, peak_ratio, deviation, flag):
    # the larger axis of the ellipse lies across the map's axes
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    covariance = turn @ np.diag([deviation**2, 25.0]) @ turn.T
    flags = quality_flags(np.array([mcc]), np.array([peak_ratio]), covariance[None], 100.0 + 1e-9)
    assert flags.tolist() == [flag]
