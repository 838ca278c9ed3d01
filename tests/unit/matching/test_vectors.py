import numpy as np
import pytest

from lagrangian_ice.matching.vectors import Status, Vectors


def vectors(count=3, **given):
    nothing = np.zeros(count)
    columns = {
        "xy0": np.zeros((count, 2)),
        "xy1": np.ones((count, 2)),
        "covariance": np.array([9.0, 4.0]) * np.eye(2) * np.arange(1, count + 1)[:, None, None],
        "first_guess": np.ones((count, 2)),
        "first_guess_error": nothing,
        "first_guess_rotation": nothing,
        "mcc": np.full(count, 0.8),
        "peak_ratio": nothing,
        "rotation": nothing,
        "strain": np.zeros((count, 3)),
        "status": np.full(count, Status.TRACKED, np.int8),
        "time0": nothing,
        "time1": nothing + 5.0,
    }
    return Vectors(**columns | given)


def test_columns_must_be_of_one_length():
    with pytest.raises(ValueError, match="mcc has 2 rows, xy0 has 3"):
        vectors(mcc=np.zeros(2))


def test_the_standard_error_is_that_of_the_direction_that_is_known_least():
    aslant = np.array([[[5.0, 4.0], [4.0, 5.0]]])
    np.testing.assert_allclose(vectors(1, covariance=aslant).standard_error, [3.0])
    np.testing.assert_allclose(vectors().standard_error, [3.0, np.sqrt(18), np.sqrt(27)])
    missing = vectors(covariance=np.full((3, 2, 2), np.nan))
    assert np.isnan(missing.standard_error).all()
    assert vectors(0).standard_error.shape == (0,)


@pytest.mark.parametrize("which", [np.array([1]), np.array([False, True, False])])
def test_an_outlier_has_no_end(which):
    before = vectors()
    after = before.without(which)
    assert after.status.tolist() == [Status.TRACKED, Status.OUTLIER, Status.TRACKED]
    for name in ("xy1", "covariance", "time1"):
        assert np.isnan(getattr(after, name)[1]).all()
        np.testing.assert_array_equal(getattr(after, name)[[0, 2]], getattr(before, name)[[0, 2]])
    np.testing.assert_array_equal(after.mcc, before.mcc)
    assert before.tracked.all()
