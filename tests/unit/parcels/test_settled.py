"""What is told of later passes comes true, whatever those before them show."""

import numpy as np
from drifting_ice import WHOLE, Ice, See, planted, same_question, stream
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.plan import Outline
from lagrangian_ice.parcels.settled import Coming, settled
from lagrangian_ice.settings import ParcelSettings

WEST = (-1_000.0, -1_000.0, 21_000.0, 31_000.0)
EAST = (29_000.0, -1_000.0, 51_000.0, 31_000.0)
FAR_EAST = (129_000.0, -1_000.0, 151_000.0, 31_000.0)
SETTINGS = ParcelSettings(
    birth_margin=0, reseed=False, confirm_doubt=1000, faint_correlation=1, closure_days=0
)
"""Only the first step of a pass asks."""
STREAMS = [stream()]
FASTEST = 0.6


def coming(see):
    outline = Outline(f"pass_{see.day:g}", see.start, see.start, box(*see.bounds))
    return Coming(outline, see.image().grid)


def told(parcels, sees):
    return list(settled(parcels, [coming(see) for see in sees], SETTINGS, FASTEST))


def test_who_is_not_looked_for_before_is_known():
    ice = Ice(velocity=(0.0, 0.0))
    seen = ice.born(See(0, WEST), SETTINGS).parcels
    near, far = planted(WHOLE, 100), planted(FAR_EAST, 200)
    parcels = t.joined(t.joined(seen, near.take(near.xy[:, 0] > 2.5e4)), far)
    # West is too young for what comes first, but not for what comes then.
    sees = [See(0.3, EAST), See(0.6, WEST)]
    ((target, wanted),) = told(parcels, sees)
    assert target == "pass_0.6"
    assert wanted.source_pass == 0
    for index, see in enumerate(sees, start=1):
        parcels = ice.fold(parcels, index, see, STREAMS, SETTINGS, 1000).parcels
    (asked,) = [one for index, one in ice.asked if ice.passes[index] is sees[1]]
    assert same_question(asked, wanted)


def test_who_is_looked_for_before_is_not_told_of():
    ice = Ice(velocity=(0.0, 0.0))
    parcels = ice.born(See(0, WHOLE), SETTINGS).parcels
    assert told(parcels, [See(1, WEST), See(1.2, WHOLE)]) == []
    # Too far away to be looked for.
    ((target, wanted),) = told(parcels, [See(1, FAR_EAST), See(1.2, WHOLE)])
    assert (target, len(wanted.xy)) == ("pass_1.2", 24)


def test_the_pass_at_hand_asks_for_itself():
    parcels = Ice().born(See(0, WHOLE), SETTINGS).parcels
    assert told(parcels, [See(1, WHOLE)]) == []
    assert told(parcels, []) == []


def test_who_will_have_been_lost_is_not_told_of():
    parcels = Ice().born(See(0, WHOLE), SETTINGS).parcels
    assert told(parcels, [See(1, FAR_EAST), See(5, WHOLE)]) == []


STEPS = st.tuples(st.floats(0.05, 0.9), st.sampled_from([WEST, EAST, WHOLE, FAR_EAST]))


@given(
    st.lists(STEPS, min_size=3, max_size=9),
    st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)),
)
def test_what_is_told_is_what_is_asked(steps, velocity):
    hidden = ((9_000.0, 9_000.0, 12_000.0, 11_000.0),)
    ice = Ice(velocity, hidden)
    days = np.cumsum([step for step, _ in steps]).tolist()
    sees = [See(day, bounds) for day, (_, bounds) in zip(days, steps, strict=True)]
    parcels, expected = planted((-1_000.0, -1_000.0, 151_000.0, 31_000.0)), []
    for index, see in enumerate(sees):
        expected += told(parcels, sees[index : index + 4])
        parcels = ice.fold(parcels, index, see, STREAMS, SETTINGS, 1000).parcels
    for target, wanted in expected:
        asked = [one for index, one in ice.asked if f"pass_{sees[index].day:g}" == target]
        here = [one for one in asked if one.source_pass == wanted.source_pass]
        # Who stands on the rim of a pass may not be on its pixels: then none is asked for.
        assert all(same_question(one, wanted) for one in here)
