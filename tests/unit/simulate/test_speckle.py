import numpy as np
import pytest
from scipy import stats

from lagrangian_ice.simulate.speckle import effective_looks, response_width, speckle


@pytest.mark.parametrize(("looks", "correlation"), [(1.0, 0.0), (11.0, 0.0), (11.0, 0.9)])
def test_mean_variance_and_distribution(looks: float, correlation: float) -> None:
    factors = speckle((600, 600), np.random.default_rng(3), looks, correlation)
    assert factors.dtype == np.float32
    assert factors.min() >= 0
    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    assert factors.var() * looks == pytest.approx(1.0, abs=0.04)
    sample = factors[::10, ::10].ravel()
    assert stats.kstest(sample, stats.gamma(looks, scale=1 / looks).cdf).pvalue > 1e-3


def test_neighbours_correlate_as_the_response_says() -> None:
    width = 1.2
    factors = speckle((500, 500), np.random.default_rng(1), 11.0, width)
    for lag in (1, 2):
        measured = np.corrcoef(factors[:, :-lag].ravel(), factors[:, lag:].ravel())[0, 1]
        assert measured == pytest.approx(np.exp(-(lag**2) / (4 * width**2)), abs=0.03)


def test_width_of_the_response() -> None:
    assert response_width(40.0) == pytest.approx(((90 / 2.3548) ** 2 + 40**2 / 12) ** 0.5 / 40)


def test_averaging_gains_fewer_looks_than_pixels() -> None:
    assert effective_looks(40.0) == 11.0
    assert 11.0 < effective_looks(100.0) < 11.0 * (100 / 40) ** 2
    fine = speckle((1000, 1000), np.random.default_rng(0), 11.0, response_width(40.0))
    coarse = fine.reshape(200, 5, 200, 5).mean(axis=(1, 3))
    assert 1 / coarse.var() == pytest.approx(effective_looks(200.0), rel=0.12)


@pytest.mark.parametrize(("looks", "correlation"), [(0.2, 0.0), (11.0, -1.0), (float("nan"), 0.0)])
def test_wrong_arguments_are_named(looks: float, correlation: float) -> None:
    with pytest.raises(ValueError, match=r"looks|correlation"):
        speckle((4, 4), np.random.default_rng(0), looks, correlation)
