"""What is asked of the match of two passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lagrangian_ice.parcels.pairs import PairTask, match_images, mcc_settings
from lagrangian_ice.parcels.prepare import Task
from lagrangian_ice.settings import MccSettings, ParcelSettings, Settings


def test_parcels_are_followed_with_more_doubt():
    assert mcc_settings(Settings()) == MccSettings(faint=1.0, thorough=False)


def test_what_is_asked_of_every_match_is_not_eased():
    strict = Settings(mcc=MccSettings(faint=0.5))
    assert mcc_settings(strict).faint == 0.5
    for both in (True, False):
        given = Settings(mcc=MccSettings(thorough=both), parcels=ParcelSettings(thorough=True))
        assert mcc_settings(given).thorough == both


def test_a_pair_serves_who_asks_the_very_same():
    source, target = (
        Task((), Settings(), Path("cache"), Path("templates"), 0, key) for key in "ab"
    )
    xy = np.arange(6.0).reshape(3, 2)
    one = PairTask(("a", "b"), source, target, xy, Settings(), match_images)
    assert one.same_as(replace(one, xy=xy.copy(), settings=Settings()))
    slower = Settings(mcc=MccSettings(min_correlation=0.3))
    for change in (
        {"xy": xy + 1e-9},
        {"xy": xy[:2]},
        {"few": True},
        {"settings": slower},
        {"source": target},
        {"names": ("a", "c")},
    ):
        assert not one.same_as(replace(one, **change))
