"""What is quoted in a message is one line, and not too long."""

import errno
import os

import pytest

from lagrangian_ice.errors import LONGEST_SAYING, reason_of, shortened


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.nc"), "No space left on device"),
        (OSError("cut short"), "cut short"),
        (ValueError("two\n  lines"), "two lines"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(error, said):
    assert reason_of(error) == said


def test_long_sayings_are_cut():
    assert len(reason_of(RuntimeError("x" * 10_000))) == LONGEST_SAYING + 3
    assert shortened("abcdef", 3) == "abc..."
    assert shortened("abc", 3) == "abc"
