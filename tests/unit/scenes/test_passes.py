from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shapely import box

from lagrangian_ice.scenes.passes import group_passes, overlapping_pairs
from lagrangian_ice.scenes.scene import Scene

DAY0 = datetime(2021, 1, 1, tzinfo=UTC)


def scene(name, hours, bounds, pass_id=None):
    start = DAY0 + timedelta(hours=hours)
    return Scene(
        id=name,
        path=Path(f"{name}.tif"),
        kind="geotiff",
        start=start,
        stop=start + timedelta(minutes=1),
        pass_id=pass_id or name,
        platform="S1A",
        orbit=1,
        polarisations=("HH",),
        units="db",
        shape=(10, 10),
        pixel=100.0,
        footprint=box(*bounds),
    )


def names(pairs):
    return [(a.id, b.id) for a, b in pairs]


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


def test_pairs_by_time_and_overlap():
    passes = group_passes(
        [
            scene("a", 0, (0, 0, 100, 100)),
            scene("b", 24, (50, 0, 150, 100)),
            scene("c", 30, (95, 0, 195, 100)),
            scene("d", 200, (0, 0, 100, 100)),
            scene("e", 24, (1000, 0, 1100, 100)),
        ]
    )
    assert names(overlapping_pairs(passes, 12, 96, 0.2)) == [("a", "b")]
    assert names(overlapping_pairs(passes, 0, 96, 0.2)) == [("a", "b"), ("b", "c")]
    assert names(overlapping_pairs(passes, 12, 96, 0.0)) == [("a", "b"), ("a", "c")]
    assert names(overlapping_pairs(passes, 12, 400, 1.0)) == [("a", "d")]


def test_share_is_of_the_smaller_footprint():
    passes = group_passes([scene("a", 0, (0, 0, 1000, 1000)), scene("b", 24, (0, 0, 10, 10))])
    assert names(overlapping_pairs(passes, 0, 48, 1.0)) == [("a", "b")]


def test_touching_passes_do_not_overlap():
    passes = group_passes([scene("a", 0, (0, 0, 10, 10)), scene("b", 24, (10, 0, 20, 10))])
    assert overlapping_pairs(passes, 0, 48, 0.0) == []


def test_simultaneous_passes_are_one_pair():
    passes = group_passes([scene("a", 0, (0, 0, 10, 10)), scene("b", 0, (0, 0, 10, 10))])
    assert len(overlapping_pairs(passes, 0, 48, 0.0)) == 1


def test_no_passes_no_pairs():
    assert group_passes([]) == []
    assert overlapping_pairs([], 0, 48, 0.0) == []


@pytest.mark.parametrize("wrong", [(-1, 5, 0.1), (5, 1, 0.1), (0, 5, 1.5)])
def test_wrong_limits(wrong):
    with pytest.raises(ValueError, match="allowed"):
        overlapping_pairs([], *wrong)
