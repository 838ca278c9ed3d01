"""What runs ahead of the fold, and in which order."""

import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.engine import SerialExecutor, Tasks, Workers, tasks
from lagrangian_ice.errors import SceneError
from lagrangian_ice.parcels.pairs import PairTask, match_images
from lagrangian_ice.parcels.prepare import Prepared, Task
from lagrangian_ice.settings import FirstGuessSettings, Settings
from lagrangian_ice.workflow import ahead as home
from lagrangian_ice.workflow.ahead import Ahead

FOLDER = Path("nowhere")
NAMES = ("a", "b", "c", "d", "e", "f")


class Recorder:
    """Stands in for the two kinds of work; notes what is begun."""

    def __init__(self, monkeypatch):
        self.begun = []
        self.hold = {}
        self.broken = ""
        monkeypatch.setattr(home, "prepare", self.image)
        monkeypatch.setattr(home, "match_ahead", self.field)
        monkeypatch.setattr(home, "match_pair", self.pair)

    def image(self, task):
        (name,) = task.scenes
        self.begun.append(name)
        self.hold.get(name, threading.Event()).wait(5 if name in self.hold else 0)
        if name == "broken":
            return Prepared((), {"broken": "cannot be read"})
        if name == "full":
            raise SceneError("no room")
        return Prepared(task.scenes, {}, f"key_{name}", 1.0)

    def field(self, task):
        assert task.source.key
        assert task.target.key
        name = task.source.key[-1] + task.target.key[-1]
        self.begun.append(name)
        if name == self.broken:
            raise SceneError("no room")
        self.hold.get(name, threading.Event()).wait(5 if name in self.hold else 0)
        return float(len(self.begun))

    def pair(self, task):
        name = "-".join(task.names)
        self.begun.append(name)
        self.hold.get(name, threading.Event()).wait(5 if name in self.hold else 0)
        return name


@pytest.fixture
def work(monkeypatch):
    return Recorder(monkeypatch)


def waiting(names=NAMES):
    return [(name, Task((name,), Settings(), FOLDER, FOLDER, 0)) for name in names]


def made(pool, names=NAMES):
    return Ahead(pool, waiting(names), FirstGuessSettings())


def done(name):
    return Task((name,), Settings(), FOLDER, FOLDER, 0, f"key_{name}")


def add(ahead, names):
    """Processed passes, which may be sources."""
    for name in names:
        ahead.add(name, done(name))


@contextmanager
def one_at_a_time():
    """One worker, but told to run ahead."""
    with ThreadPoolExecutor(1) as threads:
        ahead = made(Tasks(lambda: threads, 1))
        ahead.depth = 3
        yield ahead


def test_one_worker_makes_each_image_when_it_is_needed(work):
    ahead = made(Tasks(SerialExecutor, 1))
    ahead.expect([("a", "b", 0.6)])
    assert ahead.image(0).key == "key_a"
    assert work.begun == ["a"]
    ahead.image(1)
    assert work.begun == ["a", "b"]
    assert list(ahead.fields([("a", "b", 0.6)])) == [0.0]


def test_more_workers_run_ahead_so_far(work):
    with tasks(Workers(2, "threads")) as pool:
        names = [f"p{i}" for i in range(20)]
        ahead = made(pool, names)
        assert ahead.depth == 4
        for number in (0, 1, 4):
            assert ahead.image(number).key == f"key_p{number}"
            # All up to there are begun, and none beyond.
            ahead._images[-1].result()
            assert sorted(work.begun) == sorted(names[: number + 5])


def test_a_field_begins_when_both_images_are_there(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        add(ahead, "z")
        work.hold["b"] = threading.Event()
        ahead.expect([("z", "a", 0.6), ("a", "b", 0.6)])
        ahead.image(0)
        (seconds,) = ahead.fields([("z", "a", 0.6)])
        assert seconds > 0
        assert "ab" not in work.begun
        work.hold["b"].set()
        ahead.image(1)
        assert next(iter(ahead.fields([("a", "b", 0.6)]))) > 0
        assert work.begun.index("ab") > work.begun.index("b")
        # What has been asked for is not begun again.
        ahead.image(5)
        assert work.begun.count("ab") == work.begun.count("za") == 1


def test_the_fields_that_the_fold_waits_for_come_first(work):
    with one_at_a_time() as ahead:
        work.hold["d"] = threading.Event()
        for number in range(3):
            ahead.image(number)
        ahead.image(0)
        ahead.expect([("a", "b", 0.6), ("a", "c", 0.6), ("b", "c", 0.6)])
        found = ahead.fields([("b", "c", 0.6), ("a", "z", 0.6)])
        work.hold["d"].set()
        assert [one > 0 for one in found] == [True, False]
        order = [name for name in work.begun if len(name) == 2]
        assert order[0] == "bc"


def test_what_cannot_be_read_is_no_source_and_tells_in_its_turn(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool, ("broken", "full", "c"))
        ahead.expect([("broken", "c", 0.6), ("full", "c", 0.6)])
        assert ahead.image(0).failed == {"broken": "cannot be read"}
        with pytest.raises(SceneError, match="no room"):
            ahead.image(1)
        assert ahead.image(2).key == "key_c"
        assert list(ahead.fields([("broken", "c", 0.6), ("full", "c", 0.6)])) == [0.0, 0.0]
        assert not [name for name in work.begun if len(name) == 2]


def test_who_only_hands_tasks_in_does_not_load_torch():
    code = "import sys, lagrangian_ice.workflow; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_field_that_two_need_at_once_is_found_once(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        add(ahead, "xy")
        found = list(ahead.fields([("x", "y", 0.6), ("x", "y", 0.6), ("y", "x", 0.6)]))
        assert work.begun == ["xy"]
        assert [one > 0 for one in found] == [True, False, False]


def pair_of(source="x", target="y", count=3, few=False):
    xy = np.arange(2.0 * count).reshape(count, 2)
    names = (source, target)
    return PairTask(names, done(source), done(target), xy, Settings(), match_images, few)


@pytest.mark.parametrize("few", [True, False])
def test_a_pair_is_matched_before_it_is_asked_for(work, few):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        add(ahead, "xy")
        pair = pair_of(few=few)
        ahead.match(pair)
        ahead.match(pair_of(few=few))
        deadline = time.monotonic() + 5
        while "x-y" not in work.begun and time.monotonic() < deadline:
            time.sleep(0.01)
        job = ahead.matched(pair_of(few=few))
        assert job.result() == "x-y"
        # Its field is found first, and only where it needs one of the whole pass.
        assert work.begun == (["x-y"] if few else ["xy", "x-y"])
        # Who asks again, in another round, asks something else.
        assert ahead.matched(pair) is None


def test_a_pair_serves_no_other_question(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        ahead.match(pair_of(count=3, few=True))
        assert ahead.matched(pair_of(count=2, few=True)) is None
        # It waits for who asks exactly this, in a later step.
        assert ahead.matched(pair_of(count=3, few=True)).result() == "x-y"


def test_one_worker_matches_no_pair_before_it_is_asked_for(work):
    ahead = made(Tasks(SerialExecutor, 1))
    ahead.match(pair_of(few=True))
    assert ahead.matched(pair_of(few=True)) is None
    assert work.begun == []


def test_a_pair_whose_field_is_awaited_is_left_to_who_asks(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        add(ahead, "xy")
        work.hold["xy"] = threading.Event()
        ahead.match(pair_of())
        assert ahead.matched(pair_of()) is None
        work.hold["xy"].set()
        assert list(ahead.fields([("x", "y", 0.6)])) != [0.0]
    assert work.begun == ["xy"]


def test_a_pair_that_is_asked_for_comes_first(work):
    with one_at_a_time() as ahead:
        work.hold["v-y"] = threading.Event()
        for source in "vwx":
            ahead.match(pair_of(source, "y", few=True))
        job = ahead.matched(pair_of("x", "y", few=True))
        work.hold["v-y"].set()
        assert job.result() == "x-y"
        assert ahead.matched(pair_of("w", "y", few=True)).result() == "w-y"
    assert work.begun == ["v-y", "x-y", "w-y"]


def test_a_pair_without_a_field_is_left_to_who_asks(work):
    with tasks(Workers(2, "threads")) as pool:
        ahead = made(pool)
        add(ahead, ("full", "y"))
        work.broken = "ly"
        ahead.match(pair_of("full", "y"))
        with pytest.raises(SceneError, match="no room"):
            list(ahead.fields([("full", "y", 0.6)]))
        assert ahead.matched(pair_of("full", "y")) is None
    assert work.begun == ["ly"]


def test_nothing_is_left_of_what_a_pass_did_not_ask_for(work):
    with one_at_a_time() as ahead:
        add(ahead, "vxyz")
        work.hold["vy"] = threading.Event()
        pair = pair_of("v", "y")
        gone = weakref.ref(pair)
        ahead.match(pair)
        ahead.match(pair_of("x", "y"))
        ahead.match(pair_of("x", "z"))
        ahead.forget("y")
        work.hold["vy"].set()
        while (job := ahead.matched(pair_of("x", "z"))) is None:
            ahead.match(pair_of("x", "z"))
            time.sleep(0.01)
        assert job.result() == "x-z"
        # The field that ran comes to its end, the one that waited never begins.
        assert work.begun[0] == "vy"
        assert "xy" not in work.begun
        assert "v-y" not in work.begun
        del pair
        assert gone() is None


def test_pairs_that_a_pass_did_not_ask_for_are_dropped(work):
    with one_at_a_time() as ahead:
        work.hold["x-y"] = threading.Event()
        ahead.match(pair_of("x", "y", few=True))
        ahead.match(pair_of("v", "y", few=True))
        ahead.match(pair_of("x", "z", few=True))
        ahead.forget("y")
        work.hold["x-y"].set()
        assert ahead.matched(pair_of("x", "z", few=True)).result() == "x-z"
        assert ahead.matched(pair_of("x", "y", few=True)) is None
    assert work.begun == ["x-y", "x-z"]
