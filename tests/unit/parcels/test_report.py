"""What a run's report counts."""

from dataclasses import replace

import numpy as np
import pytest
from drifting_ice import WHOLE, Ice, See

from lagrangian_ice.parcels.population import EndReason
from lagrangian_ice.parcels.quality import WORST
from lagrangian_ice.parcels.view import Ends
from lagrangian_ice.report import PassReport
from lagrangian_ice.settings import ParcelSettings


@pytest.mark.parametrize("flags", [(0, 0), (2, 2), (WORST, 0), (WORST, WORST)])
def test_of_the_checked_those_of_the_worst_flag_of_all_are_counted(flags):
    fold = Ice().followed([See(0, WHOLE)], ParcelSettings())[0]
    count = len(fold.observations.parcel_id)
    closure = np.full(count, np.nan)
    closure[:2] = 100.0
    q_flag = np.zeros(count, np.int8)
    q_flag[:2] = flags
    q_flag[2] = WORST
    seen = replace(fold.observations, closure=closure, q_flag=q_flag)
    told = PassReport("pass", "")
    told.count(replace(fold, observations=seen))
    assert told.checked == 2
    assert told.disagreeing == flags.count(WORST)


def test_seeds_that_no_pass_showed_are_told_from_parcels():
    fold = Ice().followed([See(0, WHOLE)], ParcelSettings())[0]
    reason = np.array([EndReason.NOT_BORN, EndReason.NOT_COVERED], np.int8)
    told = PassReport("pass", "")
    told.count(replace(fold, ends=Ends(np.array([1, 2]), reason, np.zeros(2))))
    assert told.ended == {"not_covered": 1, "not_born": 1}
