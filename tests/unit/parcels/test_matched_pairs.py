"""What is asked of the match of two passes."""

from lagrangian_ice.parcels.pairs import mcc_settings
from lagrangian_ice.settings import MccSettings, ParcelSettings, Settings


def test_parcels_are_followed_with_more_doubt():
    assert mcc_settings(Settings()) == MccSettings(faint=1.0, thorough=False)


def test_what_is_asked_of_every_match_is_not_eased():
    strict = Settings(mcc=MccSettings(faint=0.5))
    assert mcc_settings(strict).faint == 0.5
    for both in (True, False):
        given = Settings(mcc=MccSettings(thorough=both), parcels=ParcelSettings(thorough=True))
        assert mcc_settings(given).thorough == both
