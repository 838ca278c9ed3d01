import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, record, stream
from made_scenes import made_scene

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.matching.vectors import nothing_seen
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.population import State
from lagrangian_ice.parcels.schema import DATABASE, locked
from lagrangian_ice.parcels.store import NewScenes, Store
from lagrangian_ice.settings import ParcelSettings
from lagrangian_ice.workflow.run import horizon

WEST = (-1_000.0, -1_000.0, 24_000.0, 31_000.0)
SETTINGS = ParcelSettings(birth_margin=0)
SEASON = [
    See(0.1, WEST),
    See(0.2, WHOLE, holes=((9_500.0, 9_500.0, 10_500.0, 10_500.0),)),
    See(1.1, WHOLE, land=((32_000.0, 9_000.0, 35_000.0, 13_000.0),)),
    See(2.0, WEST),
    See(2.9, WHOLE),
    See(4.2, WEST),
    See(6.5, WHOLE),
]


def ice():
    return Ice(velocity=(0.04, 0.02), hidden=((9_000.0, 9_000.0, 16_000.0, 22_000.0),))


def a_scene(name="s1", day=1):
    return made_scene(name, datetime(2021, 1, day, 5, tzinfo=UTC))


def seeded(folder, day=0.0):
    folder.mkdir(exist_ok=True)
    store = Store(folder, writable=True, create=True)
    row, col = t.nodes_within(WHOLE, 1e4)
    store.seed(stream(day=day), row, col, '{"a": 1}')
    return store


def run(store, passes, moment=None):
    world = ice()
    for index, see in enumerate(SEASON):
        world.passes[index] = see
    for see in passes:
        world.process(store, see, SETTINGS)
    if moment is not None:
        world.pass_time(store, moment, SETTINGS)
    return store


def stacked(parts):
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def everything(store):
    observations = list(store.observation_chunks())
    vectors = list(store.vector_chunks())
    return {
        "passes": store.passes(),
        "parcels": store.parcels(),
        "pairs": store.pairs(),
        "observations": stacked(observations),
        "vectors": stacked(vectors),
    }


def assert_same(first, second):
    for name, frame in everything(first).items():
        pd.testing.assert_frame_equal(frame, everything(second)[name], check_exact=True)


def test_scenes_come_back_as_they_went_in(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        assert (
            store.add_scenes(NewScenes([a_scene("b", 2), a_scene("a", 1)], {Path("/x"): "broken"}))
            == 2
        )
        assert store.add_scenes(NewScenes([a_scene("b", 2)])) == 0
        assert store.scenes() == [a_scene("a", 1), a_scene("b", 2)]
        assert store.unreadable() == {Path("/x"): "broken"}


def test_a_repaired_scene_is_no_longer_unreadable(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        store.add_scenes(NewScenes(unreadable={a_scene().path: "broken"}))
        store.add_scenes(NewScenes([a_scene()]))
        assert store.unreadable() == {}


def test_the_population_read_back_is_the_population_folded(tmp_path):
    world = ice()
    with seeded(tmp_path) as store:
        for see in SEASON:
            fold = world.process(store, see, SETTINGS)
            again = store.living()
            for name in vars(again):
                np.testing.assert_array_equal(getattr(again, name), getattr(fold.parcels, name))
        states = set(again.state.tolist())
    assert states == {State.ALIVE, State.DORMANT}


def test_ends_do_not_depend_on_how_the_days_are_divided(tmp_path):
    with seeded(tmp_path / "once") as once, seeded(tmp_path / "daily") as daily:
        run(once, SEASON, T0 + 12 * DAY)
        world = ice()
        for day in range(12):
            for see in SEASON:
                if day <= see.day < day + 1:
                    world.process(daily, see, SETTINGS)
            world.pass_time(daily, T0 + (day + 1) * DAY, SETTINGS)
        assert_same(once, daily)
        assert set(everything(once)["parcels"]["end_reason"]) == {1, 2, 5}


def test_taking_back_and_going_on_gives_the_same(tmp_path):
    with seeded(tmp_path / "a") as straight, seeded(tmp_path / "b") as back:
        run(straight, SEASON, T0 + 12 * DAY)
        run(back, SEASON, T0 + 12 * DAY)
        back.set_clock(T0 + 12 * DAY, "{}")
        assert back.take_back(T0 + 2 * DAY, T0 + 12 * DAY) == 4
        assert back.clock == T0 + 2 * DAY
        assert back.goal == T0 + 12 * DAY
        run(back, SEASON[3:], T0 + 12 * DAY)
        assert_same(straight, back)
        back.set_clock(T0 + 12 * DAY, "{}")
        assert back.goal is None
        assert back.damage() == []


def test_taking_back_to_the_seed_leaves_all_waiting(tmp_path):
    with seeded(tmp_path) as store:
        run(store, SEASON, T0 + 12 * DAY)
        store.take_back(T0, T0 + 12 * DAY)
        living = store.living()
        assert (living.state == State.PENDING).all()
        assert len(living) == 24
        assert len(store.parcels()) == 24


def test_trajectories_come_whole_and_in_order_in_small_chunks(tmp_path, monkeypatch):
    with seeded(tmp_path) as store:
        run(store, SEASON)
        whole = stacked(list(store.observation_chunks(0)))
        vectors = stacked(list(store.vector_chunks(0)))
        monkeypatch.setattr("lagrangian_ice.parcels.store.CHUNK_ROWS", 9)
        parts = list(store.observation_chunks(0))
        vector_parts = list(store.vector_chunks(0))
        assert list(store.observation_chunks(1)) == []
    assert len(parts) > 3
    assert sum(set(part["parcel_id"]) == set() for part in parts) == 0
    pd.testing.assert_frame_equal(stacked(parts), whole, check_exact=True)
    pd.testing.assert_frame_equal(stacked(vector_parts), vectors, check_exact=True)
    order = list(zip(whole["parcel_id"], whole["time"], strict=True))
    assert order == sorted(order)
    ids = [set(part["parcel_id"]) for part in parts]
    assert sum(map(len, ids)) == len(set.union(*ids))


def test_frames_hold_what_was_folded(tmp_path):
    with seeded(tmp_path) as store:
        run(store, SEASON[:3])
        frames = everything(store)
    births = frames["observations"]["source_pass_index"] == -1
    assert frames["observations"].loc[births, "mcc"].isna().all()
    assert (frames["observations"].loc[births, ["var_x", "var_y", "cov_xy"]] == 0).all(axis=None)
    assert (frames["observations"].loc[~births, "var_x"] == 900.0).all()
    untracked = frames["vectors"]["status"] != 0
    assert untracked.any()
    assert frames["vectors"].loc[untracked, ["x1", "y1", "var_x", "time1"]].isna().all(axis=None)
    counts = frames["observations"].groupby("parcel_id").size()
    parcels = frames["parcels"].set_index("parcel_id")
    assert parcels.loc[counts.index, "n_obs"].tolist() == counts.tolist()


def test_a_failed_pass_is_kept_with_its_reason(tmp_path):
    with seeded(tmp_path) as store:
        store.add_scenes(NewScenes([a_scene()]))
        failed = record(0, SEASON[0])
        failed = type(failed)(**{**vars(failed), "time": np.nan, "failed": {"s1": "cut short"}})
        store.add_failed_pass(failed, "cut short")
        assert store.passes()["reason"].tolist() == ["cut short"]
        assert store.pass_scenes() == {"s1": "cut short"}


def test_a_pass_is_kept_whole_or_not_at_all(tmp_path):
    with seeded(tmp_path) as store:
        run(store, SEASON[:2])
        before = everything(store)
        world = ice()
        world.passes = dict(enumerate(SEASON[:2]))
        fold = world.fold(store.living(), 2, SEASON[2], store.streams(), SETTINGS, 1000)
        broken = type(fold.ends)(np.array([777_777]), np.array([1], np.int8), np.array([T0]))
        with pytest.raises(WorkspaceError, match="FOREIGN KEY"):
            store.add_fold(
                record(2, SEASON[2]), type(fold)(**{**vars(fold), "ends": broken}), "{}", ""
            )
        for name, frame in everything(store).items():
            pd.testing.assert_frame_equal(frame, before[name])


def test_without_a_workspace_nothing_is_made(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(WorkspaceError, match="no workspace here"):
            Store(folder, writable=True)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(WorkspaceError, match="schema is 0"):
        Store(tmp_path, writable=True)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / DATABASE).write_text("hello, this is not a database, not at all, " * 30)
    with pytest.raises(WorkspaceError, match="not a database"):
        Store(tmp_path, writable=True)


def test_a_file_in_place_of_the_workspace_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(WorkspaceError, match="is a file"):
        Store(path)
    with pytest.raises(WorkspaceError, match="is a file"), locked(path):
        pass


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    program = f"""
        from pathlib import Path
        from lagrangian_ice.parcels.schema import locked
        with locked(Path({str(tmp_path)!r}), create=True):
            print("held", flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(WorkspaceError, match="another lagrangian-ice"),
            locked(tmp_path, create=True),
        ):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with locked(tmp_path, create=True):
        pass


def test_reading_needs_no_lock_and_writes_nothing(tmp_path):
    with seeded(tmp_path) as writer, Store(tmp_path) as reader:
        assert reader.clock == T0
        for write in (reader._insert_scenes, lambda _: reader._set_meta("clock", "1.0")):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                write(NewScenes([a_scene()], {Path("/x"): "broken"}))
        writer.set_clock(T0 + DAY, "{}")
    with Store(tmp_path) as reader:
        assert reader.clock == T0 + DAY


@pytest.mark.parametrize("first", ["passes", "pairs", "scenes", "parcels"])
def test_who_reads_sees_one_moment(tmp_path, first):
    """An export beside `advance` or `rebuild` met passes that its own list had not."""
    with run(seeded(tmp_path), SEASON[:4]) as writer:
        before = everything(writer)
        with Store(tmp_path) as reader:
            getattr(reader, first)()
            assert writer.take_back(T0 + 1.05 * DAY, T0 + 3 * DAY) == 2
            for name, frame in everything(reader).items():
                pd.testing.assert_frame_equal(frame, before[name], check_exact=True)
        with Store(tmp_path) as reader:
            assert len(reader.passes()) == 2


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE scenes SET footprint = x'00'", "scene"),
        ("UPDATE scenes SET start = 'abc'", "scene"),
        ("UPDATE meta SET value = '{' WHERE key = 'settings'", "settings"),
        ("UPDATE meta SET value = 'abc' WHERE key = 'clock'", "clock"),
        ("DELETE FROM meta", "no clock"),
        ("UPDATE pairs SET vectors = x'00ff'", "vectors of pair 1"),
        ("UPDATE observations SET x = 'abc' WHERE pass_index = 0", "12 observations"),
    ],
)
def test_values_that_cannot_be_read_are_damage(tmp_path, statement, told):
    with seeded(tmp_path) as store:
        store.add_scenes(NewScenes([a_scene()]))
        store.set_clock(T0, "{}")
        run(store, SEASON)
        assert store.damage() == []
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute(statement)
    db.close()
    with Store(tmp_path) as store:
        found = "; ".join(store.damage())
    assert told in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE scenes SET footprint = x'00'", Store.scenes),
        ("UPDATE meta SET value = '{' WHERE key = 'settings'", Store.recalled_settings),
        ("UPDATE meta SET value = 'abc' WHERE key = 'clock'", lambda store: store.clock),
        ("UPDATE observations SET x = 'abc'", Store.living),
        ("UPDATE observations SET x = 'abc'", lambda store: list(store.observation_chunks())),
    ],
)
def test_a_damaged_value_is_one_line_with_the_file_and_a_remedy(tmp_path, statement, read):
    with seeded(tmp_path) as store:
        store.add_scenes(NewScenes([a_scene()]))
        store.set_clock(T0, "{}")
        run(store, SEASON)
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute(statement)
    db.close()
    with Store(tmp_path) as store, pytest.raises(WorkspaceError, match="restore a copy") as told:
        read(store)
    assert str(tmp_path / DATABASE) in str(told.value)
    assert "\n" not in str(told.value)


def test_taking_back_to_the_moment_of_an_end_undoes_it(tmp_path):
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        world.process(store, See(0.1, WHOLE), SETTINGS)
        before = store.living()
        world.pass_time(store, T0 + 9 * DAY, SETTINGS)
        assert len(store.living()) == 0
        end = float(store.parcels()["death_time"].unique()[0])
        store.take_back(end, T0 + 9 * DAY)
        np.testing.assert_array_equal(store.living().parcel_id, before.parcel_id)
        world.pass_time(store, T0 + 9 * DAY, SETTINGS)
        store.take_back(end + 1, T0 + 9 * DAY)
        world.pass_time(store, end + 1, SETTINGS)
        assert len(store.living()) == 0
        # Noticed before the moment, it stays.
        store.take_back(end + 2, T0 + 9 * DAY)
        assert len(store.living()) == 0


def test_taking_back_undoes_ends_by_other_rules_that_lie_before_the_moment(tmp_path):
    """One call with a wrong `max_gap_days` killed parcels for good."""
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        world.process(store, See(0.1, WHOLE), SETTINGS)
        before = store.living()
        hasty = SETTINGS.model_copy(update={"max_gap_days": 0.5})
        world.process(store, See(2.0, WEST), hasty)
        assert len(store.living()) < len(before)
        store.take_back(T0 + 2 * DAY, T0 + 2 * DAY)
        np.testing.assert_array_equal(store.living().parcel_id, before.parcel_id)
        world.pass_time(store, T0 + 2 * DAY, hasty)
        assert len(store.living()) == 0
        store.take_back(T0 + 2 * DAY, T0 + 2 * DAY)
        np.testing.assert_array_equal(store.living().parcel_id, before.parcel_id)


def test_those_that_no_pass_ever_showed_are_counted(tmp_path):
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        world.process(store, See(0.1, WEST), SETTINGS)
        world.pass_time(store, T0 + 9 * DAY, SETTINGS)
        frame = store.parcels()
        reasons, never_seen = store.end_reasons()
        assert never_seen == (frame["n_obs"] == 0).sum() > 0
        assert sum(count for _, count in reasons) == (frame["n_obs"] > 0).sum() > 0


def test_scenes_that_come_later_are_catalogued_later(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        store.add_scenes(NewScenes([a_scene("b", 2), a_scene("c", 3)]))
        store.add_scenes(NewScenes([a_scene("c", 3), a_scene("a", 1)]))
        order = store.order_added()
        assert sorted(order, key=lambda name: order[name]) == ["b", "c", "a"]
        assert len(set(order.values())) == 3


def test_a_file_that_is_gone_is_no_longer_unreadable(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        store.add_scenes(NewScenes(unreadable={Path("/x"): "broken", Path("/y"): "broken"}))
        store.add_scenes(NewScenes(gone=[Path("/x")]))
        assert store.unreadable() == {Path("/y"): "broken"}


@pytest.mark.parametrize(("horizon", "known"), [(3.0, True), (2.9, False)])
def test_earlier_sightings_are_looked_for_up_to_the_horizon(tmp_path, horizon, known):
    settings = ParcelSettings(birth_margin=0, closure_days=10)
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        for day in (0, 3):
            world.process(store, See(day, WHOLE), settings)
        living = store.living(horizon * DAY)
    assert (living.pass_index == 1).all()
    assert (living.earlier_pass == (0 if known else -1)).all()
    # Without an older one the last sighting is the reference.
    assert (living.reference_pass == (0 if known else 1)).all()
    np.testing.assert_array_equal(living.reference_time, T0 + (0 if known else 3 * DAY))


def test_a_second_stream_leaves_the_clock_where_it_is(tmp_path):
    with seeded(tmp_path) as store:
        store.set_clock(T0 + 2 * DAY, "{}")
        row, col = t.nodes_within(WHOLE, 1e4)
        store.seed(stream(1, day=5.0), row, col, '{"b": 2}')
        assert store.clock == T0 + 2 * DAY
        assert store.settings == '{"b": 2}'
        assert [one.stream for one in store.streams()] == [0, 1]


def two_streams(folder):
    """A store in which two streams were seen by one pass, and by a second."""
    store = seeded(folder)
    row, col = t.nodes_within((-1.0, -1.0, 15_000.0, 15_000.0), 1e4)
    store.seed(stream(1), row, col, "{}")
    world = Ice(velocity=(0.0, 0.0))
    settings = ParcelSettings(birth_margin=0, merge_distance=0)
    for day in (0, 1):
        world.process(store, See(day, WHOLE), settings)
    return store


def test_chunks_of_a_stream_hold_its_parcels_alone(tmp_path):
    with two_streams(tmp_path) as store:
        of = store.parcels().set_index("parcel_id")["stream"]
        for number, count in ((0, 24), (1, 4)):
            for chunks, times in ((store.observation_chunks, 2), (store.vector_chunks, 1)):
                (frame,) = chunks(number)
                assert (of.loc[frame["parcel_id"]] == number).all()
                assert len(frame) == times * count
        (both,) = store.observation_chunks()
        assert len(both) == 2 * 28


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 65])
def test_rows_are_kept_however_many_there_are(tmp_path, count):
    with seeded(tmp_path) as store:
        store.add_scenes(NewScenes([a_scene(f"s{n:03d}") for n in range(count)]))
        assert [scene.id for scene in store.scenes()] == [f"s{n:03d}" for n in range(count)]


def test_a_pass_that_starts_at_the_moment_is_taken_back(tmp_path):
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        for day in (0, 1, 2):
            world.process(store, See(day, WHOLE), SETTINGS)
        assert store.take_back(T0 + DAY, T0 + 3 * DAY) == 2
        assert store.passes()["start"].tolist() == [T0]


def test_the_goal_is_reached_when_the_clock_comes_to_it(tmp_path):
    with seeded(tmp_path) as store:
        store.take_back(T0, T0 + 3 * DAY)
        store.set_clock(T0 + 2 * DAY, "{}")
        assert store.goal == T0 + 3 * DAY
        store.set_clock(T0 + 3 * DAY, "{}")
        assert store.goal is None


def test_a_scene_that_is_known_stays_as_it_was_catalogued(tmp_path):
    with Store(tmp_path, writable=True, create=True) as store:
        store.add_scenes(NewScenes([a_scene()]))
        order = store.order_added()
        other = replace(a_scene(), path=Path("/elsewhere/s1.tif"), orbit=8)
        assert store.add_scenes(NewScenes([other])) == 0
        assert store.scenes() == [a_scene()]
        assert store.order_added() == order


def test_vectors_come_in_order_of_the_parcels(tmp_path):
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        world.process(store, See(0, WHOLE), SETTINGS)
        parcels = store.living()
        shuffled = parcels.take(np.random.default_rng(1).permutation(len(parcels)))
        see = See(1, WHOLE)
        fold = world.fold(shuffled, 1, see, store.streams(), SETTINGS, 1000)
        store.add_fold(record(1, see), fold, "{}", "")
        (frame,) = store.vector_chunks()
    assert frame["parcel_id"].tolist() == sorted(parcels.parcel_id.tolist())


def test_streams_are_told_apart_where_their_ids_are_mixed(tmp_path):
    settings = ParcelSettings(birth_margin=0, merge_distance=0)
    with seeded(tmp_path) as store:
        row, col = t.nodes_within((-1.0, -1.0, 15_000.0, 15_000.0), 1e4)
        store.seed(stream(1, day=2.0), row, col, "{}")
        world = Ice(velocity=(0.1, 0.0))
        # Until the second begins, empty cells are of the first: ids beyond those of the second.
        for day in (0, 1, 2.1):
            world.process(store, See(day, WHOLE), settings)
        parcels = store.parcels()
        seen = parcels[parcels["n_obs"] > 0].set_index("parcel_id")
        ids = {number: set(seen.index[seen["stream"] == number]) for number in (0, 1)}
        assert max(ids[0]) > min(ids[1])
        for number in (0, 1):
            (frame,) = store.observation_chunks(number)
            assert set(frame["parcel_id"]) == ids[number]


def test_an_end_of_time_stays_though_the_pass_that_noticed_is_taken_back(tmp_path):
    with seeded(tmp_path) as store:
        world = Ice(velocity=(0.0, 0.0))
        world.process(store, See(0, WHOLE), SETTINGS)
        # All end on day 4; the pass of day 6 notices, and seeds the empty cells.
        world.process(store, See(6, WHOLE), SETTINGS)
        store.take_back(T0 + 5 * DAY, T0 + 6 * DAY)
        world.pass_time(store, T0 + 5 * DAY, SETTINGS)
        assert store.parcels()["death_time"].tolist() == [T0 + 4 * DAY] * 24
        assert len(store.living()) == 0


def test_the_latest_pass_counts_whatever_the_clock_says(tmp_path):
    with seeded(tmp_path) as store:
        assert store.latest_pass() == -np.inf
        world = Ice()
        for day in (0, 3):
            world.process(store, See(day, WHOLE), SETTINGS)
        assert store.latest_pass() == T0 + 3 * DAY


@dataclass
class OfOldTemplates(Ice):
    """Ice at rest that is found surely from every sixth pass alone."""

    velocity: tuple[float, float] = (0.0, 0.0)

    def answer(self, one, target):
        vectors = self.match(one.source_pass, target, one.xy)
        if one.source_pass % 6 == 0:
            return vectors
        if one.source_pass == target - 1:
            return replace(vectors, covariance=vectors.covariance * 400.0)
        return nothing_seen(one.xy)


def test_what_is_found_from_an_old_reference_alone_has_another_before_it_is_forgotten(tmp_path):
    settings = ParcelSettings(birth_margin=0, reseed=False)
    beyond = horizon(settings)
    with seeded(tmp_path) as store:
        world = OfOldTemplates()
        for day in range(20):
            fold = world.process(store, See(day, WHOLE), settings)
            again = store.living(beyond)
            for name in vars(again):
                np.testing.assert_array_equal(getattr(again, name), getattr(fold.parcels, name))
            oldest = T0 + day * DAY - fold.parcels.reference_time.min()
            assert oldest <= 2 * settings.closure_days * DAY
    assert set(fold.observations.source_pass) == {18}
    assert len(fold.observations.parcel_id) == 24


class Later(See):
    """A pass that sees its parcels at its end."""

    def image(self):
        image = super().image()
        return replace(image, node_time=image.node_time + 50.0)


class SeenLater(Ice):
    """Ice at rest that is seen at the end of each pass."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        return replace(vectors, xy1=xy, time0=vectors.time0 + 50, time1=vectors.time1 + 50)


def test_seen_in_the_course_of_passes_the_sighting_before_the_last_is_read_back(tmp_path):
    """Each is seen at the end of a pass; 4 days, the longest gap, are between them."""
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=0)
    with seeded(tmp_path) as store:
        world, between = SeenLater(), 4 + 20 / DAY
        for number in range(2):
            world.process(store, Later(number * between, WHOLE), settings)
        world.hidden = (WHOLE,)
        fold = world.process(store, Later(2 * between, WHOLE), settings)
        again = store.living(horizon(settings))
    assert set(fold.parcels.earlier_pass) == {0}
    np.testing.assert_array_equal(again.earlier_pass, fold.parcels.earlier_pass)
