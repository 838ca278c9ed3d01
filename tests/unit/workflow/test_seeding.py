"""When another stream may begin."""

import logging
from datetime import UTC, datetime

import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, stream
from made_scenes import made_scene

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.workflow.seeding import (
    _check_new_stream,
    _pixel_of_most,
    _SeedPlan,
    _tell_of_pixels,
)


def at(day):
    return datetime.fromtimestamp(T0 + day * DAY, UTC)


def test_a_stream_begins_after_all_passes_that_are_done_those_of_a_killed_run_too(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        _check_new_stream(store, tmp_path, at(0), wanted=False)
        store.seed(stream(), *t.nodes_within(WHOLE, 1e4), "{}")
        with pytest.raises(WorkspaceError, match="is seeded already"):
            _check_new_stream(store, tmp_path, at(0), wanted=False)
        world = Ice()
        for day in range(5):
            world.process(store, See(day, WHOLE), ParcelSettings(birth_margin=0))
        # The clock moves at the end of a run, and this one was killed before.
        assert store.clock is None or store.clock <= T0
        with pytest.raises(WorkspaceError, match=r"processed until 2021-01-05T.* at 2021-01-04"):
            _check_new_stream(store, tmp_path, at(3), wanted=True)
        _check_new_stream(store, tmp_path, at(5), wanted=True)
        store.set_clock(T0 + 6 * DAY, "{}")
        with pytest.raises(WorkspaceError, match="processed until 2021-01-07"):
            _check_new_stream(store, tmp_path, at(5), wanted=True)


def of_pixels(*pixels):
    return [made_scene(f"s{number}", at(0), pixel=pixel) for number, pixel in enumerate(pixels)]


@pytest.mark.parametrize(
    ("pixels", "chosen"),
    [
        ((40.0, 40.0, 1500.0), 100.0),
        ((210.4, 210.0, 1500.0), 210.0),
        ((40.0,), 100.0),
        ((243.0, 210.0), 210.0),
    ],
)
def test_one_coarse_scene_does_not_set_the_pixel_of_a_season(pixels, chosen):
    assert _pixel_of_most(of_pixels(*pixels), 100.0) == chosen


def test_what_is_tracked_at_another_pixel_is_told(caplog):
    scenes = of_pixels(210.0, 1500.0)
    with caplog.at_level(logging.INFO):
        _tell_of_pixels(_SeedPlan(None, None, 210.0, scenes[1:]), 100.0)
    assert "tracked at 210 m, the pixel of most scenes, not at 100 m" in caplog.text
    assert f"{scenes[1].path}: pixels of 1500 m, coarser than the 210 m" in caplog.text
