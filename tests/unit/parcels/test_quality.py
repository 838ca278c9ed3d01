from dataclasses import replace

import numpy as np
import pytest
from drifting_ice import WHOLE, Ice, See

from lagrangian_ice.parcels.quality import doubt, quality_flags, sure
from lagrangian_ice.settings import ParcelSettings

SIGMA, DAYS = 40.0, 2.0
PIXEL = 100.0


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


def flag(mcc=0.5, peak_ratio=0.8, var_x=PIXEL**2, var_y=0.0, cov=0.0):
    covariance = np.array([[[var_x, cov], [cov, var_y]]])
    return quality_flags(np.array([mcc]), np.array([peak_ratio]), covariance, PIXEL).tolist()


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ({}, 0),
        ({"mcc": 0.499}, 1),
        ({"peak_ratio": 0.801}, 1),
        ({"var_x": 1.01 * PIXEL**2}, 1),
        ({"var_x": 0.0, "var_y": 1.01 * PIXEL**2}, 1),
        ({"mcc": 0.499, "peak_ratio": 0.801}, 2),
        ({"mcc": np.nan, "peak_ratio": np.nan, "var_x": np.nan}, 3),
    ],
)
def test_a_flag_counts_what_is_weak_or_unknown(values, flags):
    assert flag(**values) == [flags]


def test_the_error_is_that_along_the_larger_axis():
    """Of 0.6 px2 along x and y and as much between them, it is 1.1 pixels across."""
    assert flag(var_x=0.6 * PIXEL**2, var_y=0.6 * PIXEL**2, cov=0.6 * PIXEL**2) == [1]
    assert flag(var_x=0.6 * PIXEL**2, var_y=0.6 * PIXEL**2, cov=-0.6 * PIXEL**2) == [1]
    assert flag(var_x=0.6 * PIXEL**2, var_y=0.6 * PIXEL**2) == [0]


@pytest.mark.parametrize(
    ("mcc", "error", "believed"),
    [
        (0.8, 0.74, True),
        (0.8, 0.76, False),
        (0.45, 0.76, False),
        (0.225, 4 * 0.74, True),
        (0.225, 4 * 0.76, False),
        (0.1, 20.25 * 0.74, True),
        (0.05, 20.25 * 0.74, True),
        (0.05, 20.25 * 0.76, False),
    ],
)
def test_of_less_correlation_the_error_may_be_larger_down_to_a_tenth(mcc, error, believed):
    settings = ParcelSettings(max_step_error=0.75)
    ice = Ice(velocity=(0.0, 0.0), sigma=error * PIXEL, passes={0: See(0, WHOLE), 1: See(1, WHOLE)})
    vectors = ice.match(0, 1, np.array([[1e4, 1e4]]))
    vectors = replace(vectors, mcc=np.array([mcc]), first_guess_error=np.zeros(1))
    assert sure(vectors, settings, PIXEL).tolist() == [believed]
