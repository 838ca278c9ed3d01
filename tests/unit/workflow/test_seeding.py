"""When another stream may begin."""

from datetime import UTC, datetime

import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, stream

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.workflow.seeding import _check_new_stream


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
