from datetime import UTC, datetime, timedelta

import pytest
from made_scenes import made_scene
from shapely import box

from lagrangian_ice.scenes.passes import group_passes

DAY0 = datetime(2021, 1, 1, tzinfo=UTC)


def scene(name, hours, bounds, pass_id=None):
    start = DAY0 + timedelta(hours=hours)
    return made_scene(name, start, pass_id=pass_id or name, footprint=box(*bounds))


def test_frames_of_a_datatake_are_one_pass():
    frames = [
        scene("b", 0.02, (0, -100, 100, 0), "P"),
        scene("a", 0.0, (0, 0, 100, 100), "P"),
        scene("c", 24.0, (0, 0, 100, 100), "Q"),
    ]
    first, second = group_passes(frames)
    assert [frame.id for frame in first.scenes] == ["a", "b"]
    assert first.start == frames[1].start
    assert first.stop == frames[0].stop
    assert first.footprint.area == pytest.approx(20_000)
    assert second.id == "Q"


def test_order_of_scenes_does_not_matter():
    frames = [scene(name, hour, (0, 0, 1, 1)) for name, hour in [("a", 5), ("b", 1), ("c", 1)]]
    assert [one.id for one in group_passes(frames)] == ["b", "c", "a"]
    assert group_passes(frames) == group_passes(frames[::-1])


def test_no_scenes_no_passes():
    assert group_passes([]) == []
