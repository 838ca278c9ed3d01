"""UTC times."""

from datetime import UTC, datetime

import numpy as np
import pytest

from lagrangian_ice.times import from_seconds, iso, parse_utc, to_datetime64, to_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-01-01", datetime(2021, 1, 1, tzinfo=UTC)),
        ("2021-01-01T12:30:00Z", datetime(2021, 1, 1, 12, 30, tzinfo=UTC)),
        ("20210101T123000", datetime(2021, 1, 1, 12, 30, tzinfo=UTC)),
        ("2021-01-01T14:30:00+02:00", datetime(2021, 1, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_times_without_a_zone_are_utc(text, expected):
    assert parse_utc(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2021-13-01", "2021-02-30"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_utc(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "9" * 5000]
)
def test_times_out_of_the_calendar_are_refused_in_a_short_line(text):
    with pytest.raises(ValueError, match="ISO 8601") as caught:
        parse_utc(text)
    assert len(str(caught.value)) < 200


def test_seconds_come_back():
    moment = datetime(2020, 2, 29, 23, 59, 59, 250_000, tzinfo=UTC)
    assert from_seconds(to_seconds(moment)) == moment


def test_iso_has_milliseconds_and_rolls_over():
    assert iso(to_seconds(datetime(2020, 12, 31, tzinfo=UTC)) + 86399.9996) == (
        "2021-01-01T00:00:00.000Z"
    )


def test_missing_times_stay_missing():
    moments = to_datetime64(np.array([0.0, np.nan]))
    assert moments[0] == np.datetime64("1970-01-01")
    assert np.isnat(moments[1])
