from datetime import timedelta

import numpy as np
import pytest
from drifting_ice import DAY, T0, Ice, See, planted, stream
from shapely import box

from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.concentration import IceField, RegularCells
from lagrangian_ice.parcels.plan import Outline, plan
from lagrangian_ice.parcels.view import HOUR
from lagrangian_ice.scenes.passes import Pass
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.times import from_seconds

WHOLE = (-250.0, -250.0, 50_250.0, 30_250.0)
WEST = (-250.0, -250.0, 20_250.0, 30_250.0)
EAST = (20_250.0, -250.0, 50_250.0, 30_250.0)
SEASON = [
    *(See(0, WEST), See(0.1, EAST), See(0.9, WHOLE), See(1.2, EAST), See(1.7, WEST)),
    *(See(2.5, EAST), See(3.2, WHOLE), See(4.0, WEST), See(4.7, WHOLE)),
]
STREAMS = [stream()]
SETTINGS = ParcelSettings(birth_margin=0, reseed=False)


def as_pass(see):
    start = from_seconds(see.start)
    return Pass(f"pass_{see.day:g}", (), start, start + timedelta(seconds=0), box(*see.bounds))


@pytest.mark.parametrize("done", [0, 1, 4])
def test_where_ice_lies_still_the_plan_comes_true(done):
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=1.5)
    ice = Ice(velocity=(0.0, 0.0))
    parcels, expected = planted(WHOLE), []
    outlines = {}
    state = parcels
    for index, see in enumerate(SEASON):
        if index == done:
            state = parcels
        if index < done:
            outlines[index] = Outline(f"pass_{see.day:g}", see.start, see.start, box(*see.bounds))
        fold = ice.fold(parcels, index, see, STREAMS, settings, 1000)
        parcels = fold.parcels
        born = int((fold.observations.source_pass < 0).sum())
        pairs = sorted((SEASON[p.source_pass].day, len(p.parcel_id)) for p in fold.pairs)
        expected.append((f"pass_{see.day:g}", born, pairs))
    planned = list(
        plan(state, [as_pass(see) for see in SEASON[done:]], outlines, STREAMS, settings)
    )
    found = [
        (
            one.id,
            one.born,
            sorted((float(pair.source.removeprefix("pass_")), pair.parcels) for pair in one.pairs),
        )
        for one in planned
    ]
    assert found == expected[done:]
    assert {pair.purpose for one in planned for pair in one.pairs} == {"follow", "check"}


def test_a_pair_tells_time_apart_and_overlap():
    settings = ParcelSettings(birth_margin=0, reseed=False)
    passes = [as_pass(See(0, WEST)), as_pass(See(1, WHOLE))]
    first, second = plan(planted(WHOLE), passes, {}, STREAMS, settings)
    assert first.pairs == ()
    (pair,) = second.pairs
    assert (pair.source, pair.target, pair.purpose) == ("pass_0", "pass_1", "follow")
    assert pair.hours == DAY / HOUR
    assert pair.overlap == box(*WEST).area
    assert pair.parcels == 12


def test_empty_cells_are_planned_to_be_seeded():
    settings = ParcelSettings(birth_margin=0)
    nothing = t.no_parcels()
    at_sea = (-5_000.0, 5_000.0, 25_000.0, 25_000.0)
    (one,) = plan(nothing, [as_pass(See(0, at_sea))], {}, [stream(day=-1.0)], settings)
    assert one.born == 3 * 2
    assert one.start == T0


class Edge:
    """Stands in for fields of concentration: no ice west of 15 km."""

    def at(self, _seconds):
        cells = RegularCells("EPSG:3413", (-5e4, -5e4), (1e3, 1e3), (151, 151))
        x = np.tile(np.arange(-50_000.0, 100_001.0, 1e3), (151, 1))
        return IceField(T0, cells, np.where(x < 15_000.0, 0.0, 1.0).ravel())


def test_nobody_is_planned_to_be_born_in_open_water():
    (one,) = plan(planted(WHOLE), [as_pass(See(0, WHOLE))], {}, STREAMS, SETTINGS, 0.0, Edge())
    assert one.born == 24 - 8


def test_nobody_is_planned_to_be_born_near_the_edge_of_a_pass():
    (one,) = plan(planted(WHOLE), [as_pass(See(0, WHOLE))], {}, STREAMS, SETTINGS, 5_000.0)
    assert one.born == 4 * 2


def test_no_empty_cell_is_planned_to_be_seeded_on_land():
    x, y = np.round(lonlat_to_xy(np.array([-40.0, 75.0])) / 1e4) * 1e4
    greenland = (x - 25_000.0, y - 25_000.0, x + 25_000.0, y + 25_000.0)
    settings = ParcelSettings(birth_margin=0)
    (one,) = plan(t.no_parcels(), [as_pass(See(0, greenland))], {}, [stream()], settings)
    assert one.born == 0


def test_who_will_have_waited_too_long_by_a_pass_holds_no_cell_of_it():
    # Its last chance to be born is three days after the seed; the cells are free then.
    settings = ParcelSettings(birth_margin=0)
    (one,) = plan(planted(WHOLE), [as_pass(See(3.5, WHOLE))], {}, STREAMS, settings)
    assert one.born == 24


def test_a_pair_holds_all_that_will_be_looked_for_and_a_pass_follows_the_last_index():
    ids = np.arange(1, 25)
    parcels = t.born(planted(WHOLE), ids, np.full(24, T0), 1)
    done = {1: Outline("done", T0, T0, box(*WHOLE))}
    passes = [as_pass(See(1, WEST)), as_pass(See(2, WHOLE))]
    first, second = plan(parcels, passes, done, STREAMS, SETTINGS)
    (pair,) = first.pairs
    # Those in the east may have drifted in, and are looked for as well.
    assert (pair.source, pair.parcels, len(pair.xy)) == ("done", 12, 24)
    assert {(one.source, one.parcels, len(one.xy)) for one in second.pairs} == {
        ("done", 12, 12),
        ("pass_1", 12, 12),
    }


def test_a_pass_narrower_than_both_margins_bears_nobody():
    settings = ParcelSettings(birth_margin=0)
    narrow = See(0, (0.0, 0.0, 3000.0, 100_000.0))
    (planned,) = plan(t.no_parcels(), [as_pass(narrow)], {}, STREAMS, settings, 1600.0)
    assert planned.born == 0
