from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from made_scenes import made_scene
from shapely import box

from lagrangian_ice.parcels.queue import queue, repetitions
from lagrangian_ice.times import to_seconds

BEGUN = datetime(2021, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_scene(name, hours, seconds=0.0):
    start = BEGUN + hours * HOUR + timedelta(seconds=seconds)
    return made_scene(name, start, pass_id=f"pass_{hours}")


def after(hours):
    return to_seconds(BEGUN + hours * HOUR)


def sorted_scenes(scenes, taken=(), clock=0, **more):
    """What waits and what is late, by names of passes and scenes."""
    done = {scene.pass_id: to_seconds(scene.start) for scene in scenes if scene.id in taken}
    limit = None if clock is None else after(clock)
    found = queue(scenes, taken, done, limit, after(0), **more)
    return [one.id for one in found.waiting], [scene.id for scene in found.late]


def test_what_comes_at_the_clock_waits_and_what_came_before_it_is_late():
    scenes = [a_scene("c", 7), a_scene("b", 6), a_scene("a", 5)]
    assert sorted_scenes(scenes, clock=6) == (["pass_6", "pass_7"], ["a"])
    assert sorted_scenes(scenes, clock=None) == (["pass_5", "pass_6", "pass_7"], [])


def test_what_is_older_than_the_first_seed_is_neither():
    scenes = [a_scene("before", -1), a_scene("at", 0)]
    assert sorted_scenes(scenes) == (["pass_0"], [])
    assert sorted_scenes(scenes, clock=2) == ([], ["at"])


def test_nothing_slips_in_before_a_pass_that_is_done_beyond_the_clock():
    scenes = [a_scene("done", 6), a_scene("before", 5), a_scene("later", 7)]
    assert sorted_scenes(scenes, taken=["done"]) == (["pass_7"], ["before"])


def test_a_further_frame_of_a_pass_that_is_done_is_late():
    first = a_scene("first", 6)
    second = replace(a_scene("second", 6, seconds=60), pass_id=first.pass_id)
    assert sorted_scenes([first, second], taken=["first"]) == ([], ["second"])


def test_repetitions_wait_for_nothing():
    scenes = [a_scene("first", 6), a_scene("again", 6)]
    assert sorted_scenes(scenes, hidden=scenes[1:]) == (["pass_6"], [])
    found = queue(scenes, [], {}, after(0), after(0), hidden=scenes[1:])
    assert [scene.id for scene in found.waiting[0].scenes] == ["first"]
    assert found.repeated == scenes[1:]


def test_the_first_catalogued_is_the_one_that_is_repeated():
    scenes = [a_scene("a", 6), a_scene("b", 6, seconds=0.5), a_scene("c", 6)]
    found = repetitions(scenes, {"a": 3, "b": 1, "c": 2})
    assert {name: first.id for name, first in found.items()} == {"a": "b", "c": "b"}


@pytest.mark.parametrize(
    "changes",
    [
        {"start": BEGUN + 6 * HOUR + timedelta(seconds=3)},
        {"stop": BEGUN + 6 * HOUR + timedelta(seconds=63)},
        {"polarisations": ("HH",)},
        {"footprint": box(0, 0, 1000, 1500)},
        {"footprint": box(0, 600, 1000, 2600)},
        {"pass_id": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_frames_are_no_repetitions(changes):
    first = a_scene("first", 6)
    other = replace(first, id="other", **changes)
    assert repetitions([first, other], {"first": 1, "other": 2}) == {}


def test_the_same_frame_with_another_outline_and_times_is_one():
    first = a_scene("first", 6)
    moved = timedelta(seconds=1.9)
    again = replace(
        first,
        id="again",
        start=first.start - moved,
        stop=first.stop + moved,
        footprint=box(0, 0, 1000, 1700),
    )
    assert repetitions([first, again], {"first": 1, "again": 2}) == {"again": first}
