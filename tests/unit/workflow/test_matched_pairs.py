"""What is asked of the match of two passes."""

import pytest

from lagrangian_ice.settings import MccSettings, ParcelSettings, Settings
from lagrangian_ice.simulate.pairs import PairCase, known_motion_pair
from lagrangian_ice.workflow.pairs import mcc_settings


@pytest.mark.parametrize(("days", "odds"), [(1.0, 0.0), (4.0, 5.0)])
def test_passes_long_apart_must_show_the_middle_of_a_template(days, odds):
    pair = known_motion_pair(1, PairCase(days=days), shape=(200, 230))
    settings = Settings(parcels=ParcelSettings(min_odds=5.0, sure_within_hours=70.0))
    for first, second in ((pair.source, pair.target), (pair.target, pair.source)):
        asked = MccSettings(min_odds=odds, faint=1.0, thorough=False)
        assert mcc_settings(settings, first, second) == asked


def test_what_is_asked_of_every_match_is_not_eased():
    pair = known_motion_pair(1, PairCase(days=4.0), shape=(200, 230))
    settings = Settings(mcc=MccSettings(min_odds=9.0), parcels=ParcelSettings(min_odds=5.0))
    assert mcc_settings(settings, pair.source, pair.target).min_odds == 9.0
    strict = Settings(mcc=MccSettings(faint=0.5))
    assert mcc_settings(strict, pair.source, pair.target).faint == 0.5
    for both in (True, False):
        given = Settings(mcc=MccSettings(thorough=both), parcels=ParcelSettings(thorough=True))
        assert mcc_settings(given, pair.source, pair.target).thorough == both
