import gc
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from lagrangian_ice.engine import (
    Rank,
    SerialExecutor,
    Stopwatch,
    Tasks,
    Workers,
    chunks,
    import_ahead,
    in_order,
    limit_threads,
    look_for_garbage_rarely,
    one_thread,
    side_by_side,
    tasks,
    thread_count,
    thread_map,
)
from lagrangian_ice.errors import SceneError, WorkspaceError


def double(number):
    return 2 * number


def process_of(number):
    return number, os.getpid()


def fails(number):
    raise SceneError(f"{number} is broken")


def dies(number):
    if os.environ.get("LAGRANGIAN_ICE_TEST_PARENT") != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("ahead", [0, 1, 10])
def test_results_come_in_order_and_not_too_early(ahead):
    asked = []

    def items():
        for number in range(5):
            asked.append(number)
            yield number

    results = in_order(SerialExecutor(), double, items(), ahead)
    early = [len(asked) - 1 - result // 2 for result in results]
    assert len(early) == 5
    assert max(early) == min(ahead, 4)


def test_processes_do_the_work_elsewhere():
    with tasks(Workers(2)) as pool:
        results = list(in_order(pool, process_of, range(4), 4))
    assert [number for number, _ in results] == [0, 1, 2, 3]
    assert os.getpid() not in {process for _, process in results}


def of_worker(names):
    return [name in sys.modules for name in names], os.environ["OMP_NUM_THREADS"]


def interrupts(_number):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_interrupt_is_the_callers_alone():
    with tasks(Workers(2)) as both:
        assert list(in_order(both, interrupts, range(4), 4)) == [True] * 4
    assert not interrupts(0)


def test_workers_that_are_being_started_are_started_first():
    """What half of a worker is left of a parent that has ended tells of itself in a trace."""
    program = (
        "import signal, time\n"
        "from lagrangian_ice.engine import Workers, tasks\n"
        # a shell's background job, as these tests may be, ignores it
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with tasks(Workers(2)) as both:\n"
        "    print('now', flush=True)\n"
        "    both.submit(abs, -1)\n"
        "    both.submit(abs, -1)\n"
        "    time.sleep(60)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout.readline() == "now\n"
    time.sleep(0.2)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert "multiprocessing" not in said
    assert said.splitlines()[-1].strip() == "KeyboardInterrupt"


def test_workers_find_loaded_what_they_need_and_the_caller_stays_as_it_was(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    workers = Workers(2)
    workers.load_ahead()
    with tasks(workers) as pool:
        loaded, threads = pool.submit(of_worker, ["torch", "lagrangian_ice.parcels.pairs"]).result()
    assert loaded == [True, True]
    assert threads == "1"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_what_works_here_loads_nothing_elsewhere(monkeypatch):
    def refuse():
        raise AssertionError

    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", refuse)
    for workers in (Workers(), Workers(2, "threads"), Workers(1, "processes", "tcp://a:8786")):
        workers.load_ahead()


@pytest.mark.parametrize("workers", [Workers(), Workers(2), Workers(2, "threads")])
def test_an_error_of_a_task_comes_with_its_result(workers):
    with tasks(workers) as pool, pytest.raises(SceneError, match="7 is broken"):
        list(in_order(pool, fails, [7], 1))


def dies_once(place):
    path, number = place
    mark = path / f"died-{number}"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def test_a_worker_that_dies_loses_nothing(tmp_path):
    with tasks(Workers(2)) as pool:
        results = list(in_order(pool, dies_once, [(tmp_path, i) for i in range(8)], 8))
        assert [number for number, _ in results] == list(range(8))
        assert os.getpid() not in {process for _, process in results}
        # What replaces the workers works on.
        assert pool.submit(double, 4).result() == 8


def threads_of(_number):
    import torch

    return torch.get_num_threads()


def test_one_worker_computes_with_one_thread_as_others_do():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with tasks(Workers(1)) as pool:
            assert pool.submit(threads_of, 0).result() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_task_that_kills_every_worker_is_done_here(monkeypatch):
    monkeypatch.setenv("LAGRANGIAN_ICE_TEST_PARENT", str(os.getpid()))
    with tasks(Workers(2)) as pool:
        assert list(in_order(pool, dies, range(2), 2)) == [0, 1]


class Gate:
    """An executor that one task holds up, and that notes what it starts."""

    def __init__(self):
        self.open = threading.Event()
        self.started = []

    def task(self, name):
        self.started.append(name)
        self.open.wait(10)
        return name


@contextmanager
def held_up(*names):
    """Tasks of one worker, of which the first holds up the others."""
    gate = Gate()
    with ThreadPoolExecutor(1) as threads:
        pool = Tasks(lambda: threads, 1)
        yield gate, pool, [pool.submit(gate.task, name) for name in names]


def test_the_lowest_rank_gets_the_next_free_worker():
    with held_up("first", "late", "later") as (gate, pool, jobs):
        jobs.append(pool.submit(gate.task, "soon", rank=Rank.SOON))
        jobs.append(pool.submit(gate.task, "now", rank=Rank.NOW))
        gate.open.set()
        assert [job.result() for job in jobs] == ["first", "late", "later", "soon", "now"]
    assert gate.started == ["first", "now", "soon", "late", "later"]


def test_a_task_that_waits_can_be_hurried():
    with held_up("first", "late", "later") as (gate, pool, jobs):
        # What runs already is not started twice.
        pool.hurry(jobs[0])
        pool.hurry(jobs[2])
        gate.open.set()
        assert [job.result() for job in jobs] == ["first", "late", "later"]
        pool.hurry(jobs[1])
    assert gate.started == ["first", "later", "late"]


def test_a_task_that_waits_can_be_dropped():
    with held_up("first", "late", "later") as (gate, pool, jobs):
        # What runs already comes to its end.
        pool.drop(jobs[0])
        pool.drop(jobs[1])
        gate.open.set()
        assert [jobs[0].result(), jobs[2].result()] == ["first", "later"]
        pool.drop(jobs[2])
    assert gate.started == ["first", "later"]
    assert not jobs[1].future.done()


def notes_and_dies(path):
    with path.open("a") as file:
        file.write("x")
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dropped_task_whose_worker_dies_is_not_done_again(tmp_path):
    path = tmp_path / "begun"
    with tasks(Workers(2)) as pool:
        job = pool.submit(notes_and_dies, path)
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        pool.drop(job)
        while pool._running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pool.submit(double, 2).result() == 4
    assert path.read_text() == "x"


def test_a_job_that_is_done_may_hand_in_more():
    with tasks(Workers(2, "threads")) as pool:
        more = []
        first = pool.submit(double, 1)
        first.future.add_done_callback(lambda done: more.append(pool.submit(double, done.result())))
        assert first.result() == 2
        deadline = time.monotonic() + 10
        while not more and time.monotonic() < deadline:
            time.sleep(0.01)
        assert more[0].result() == 4


def test_nothing_begins_when_all_is_closed():
    gate = Gate()
    with tasks(Workers(2, "threads")) as pool:
        job = pool.submit(gate.task, "first")
        job.future.add_done_callback(lambda _: pool.submit(gate.task, "more"))
        threading.Timer(0.2, gate.open.set).start()
    assert gate.started == ["first"]


def test_threads_work_in_this_process():
    with tasks(Workers(2, "threads")) as pool:
        results = list(in_order(pool, process_of, range(4), 4))
    assert results == [(number, os.getpid()) for number in range(4)]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    ) as running:
        yield running


def test_a_cluster_does_the_work_elsewhere(cluster):
    with tasks(Workers(scheduler=cluster.scheduler_address)) as pool:
        assert pool.slots == 2
        results = list(in_order(pool, process_of, range(4), 4))
        assert [number for number, _ in results] == [0, 1, 2, 3]
        assert os.getpid() not in {process for _, process in results}
        with pytest.raises(SceneError, match="7 is broken"):
            pool.submit(fails, 7).result()


def test_a_worker_of_a_cluster_that_dies_loses_nothing(cluster, tmp_path):
    with tasks(Workers(scheduler=cluster.scheduler_address)) as pool:
        results = list(in_order(pool, dies_once, [(tmp_path, i) for i in range(6)], 6))
    assert [number for number, _ in results] == list(range(6))


def slow(number):
    time.sleep(0.5)
    return number


def test_where_the_cluster_is_gone_the_work_is_done_here(monkeypatch, caplog):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("lagrangian_ice.engine._PATIENCE", 2)
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as own,
        tasks(Workers(scheduler=own.scheduler_address)) as pool,
    ):
        jobs = [pool.submit(slow, number) for number in range(4)]
        own.close()
        assert [job.result() for job in jobs] == [0, 1, 2, 3]
        assert pool.submit(double, 4).result() == 8
    assert "it is done here" in caplog.text


def test_a_task_that_no_executor_takes_is_done_here():
    class Closed(SerialExecutor):
        def submit(self, fn, /, *args, **kwargs):
            raise BrokenExecutor("closed")

    pool = Tasks(Closed, 1)
    assert [pool.submit(double, number).result() for number in (1, 2)] == [2, 4]


def test_without_a_cluster_it_says_so(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("lagrangian_ice.engine._PATIENCE", 0.5)
    with (
        pytest.raises(WorkspaceError, match=r"scheduler tcp://127\.0\.0\.1:9: cannot be used"),
        tasks(Workers(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(WorkspaceError, match=r"lagrangian-ice\[dask\]"),
        tasks(Workers(scheduler="tcp://127.0.0.1:8786")),
    ):
        pass


@pytest.mark.parametrize("call", [lambda: Workers(0), lambda: limit_threads(0)])
def test_less_than_one_is_refused(call):
    with pytest.raises(ValueError, match="use 1 or more"):
        call()


def test_threads_reach_the_libraries(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    seen = []
    library = type("Library", (), {"set_num_threads": staticmethod(seen.append)})
    monkeypatch.setitem(sys.modules, "torch", library)
    limit_threads(3)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert seen == [3]


def test_stages_add_up():
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("a"):
            time.sleep(0.01)
    with watch.stage("b"):
        pass
    report = watch.report()
    assert report["seconds"]["a"] >= 0.02
    assert report["total_seconds"] == sum(report["seconds"].values())
    assert report["peak_memory_mib"] > 1


def test_threads_are_as_many_as_told_or_there_are(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert thread_count() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert 1 <= thread_count() <= 8


def test_tasks_side_by_side_share_the_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")

    def threads(item):
        return item, thread_count()

    assert side_by_side(threads, [5]) == [(5, 4)]
    assert side_by_side(threads, [5, 6]) == [(5, 2), (6, 2)]
    assert side_by_side(threads, range(9)) == [(item, 1) for item in range(9)]
    assert side_by_side(threads, []) == []
    assert thread_count() == 4


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 33, 64, 1500])
def test_chunks_are_all_of_it_in_nearly_equal_parts(count):
    parts = chunks(count, 32)
    items = np.arange(count)
    sizes = [len(items[part]) for part in parts]
    assert np.concatenate([items[part] for part in parts]).tolist() == items.tolist()
    assert max(sizes) <= 32
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == 1 if count <= 8 else len(parts) % 2 == 0


def test_import_ahead_loads_a_module_and_says_nothing_of_one_that_is_not_there(capfd):
    sys.modules.pop("colorsys", None)
    for name in ("no_such_module_at_all", "colorsys"):
        import_ahead(name)
    deadline = time.monotonic() + 10
    while "colorsys" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "colorsys" in sys.modules
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_freed_memory_is_kept_for_the_next_array():
    """Twenty arrays of 32 MB one after the other fault the pages of none, not of twenty."""
    program = (
        "import resource, sys; from lagrangian_ice.engine import keep_memory\n"
        "if sys.argv[1] == 'keep': keep_memory()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "bytearray(1 << 25), bytearray(1 << 25)\n"
        "before = faults()\n"
        "for _ in range(20): bytearray(1 << 25)\n"
        "print(faults() - before)"
    )
    kept, mapped = (
        int(subprocess.run([sys.executable, "-c", program, how], capture_output=True).stdout)
        for how in ("keep", "leave")
    )
    assert kept < 0.1 * mapped


def test_what_stays_is_seldom_searched_for_garbage():
    before = gc.get_threshold()
    try:
        look_for_garbage_rarely()
        assert gc.get_threshold() == (*before[:2], 1000)
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)


def test_half_loaded_torch_is_left_alone(monkeypatch):
    """Threads are limited while another thread is still importing it."""
    half = ModuleType("torch")
    half.__spec__ = SimpleNamespace(_initializing=True)
    monkeypatch.setitem(sys.modules, "torch", half)
    with one_thread():
        assert list(thread_map(str, [1, 2])) == ["1", "2"]


class Refusing(SerialExecutor):
    """Takes one task that is never done, because its worker dies, and no other after it."""

    def __init__(self, first, then):
        self.first, self.then, self.count = first, then, 0

    def submit(self, fn, /, *args, **kwargs):
        self.count += 1
        if self.count > 1:
            raise self.then
        future = Future()
        if self.first is not None:
            future.set_exception(self.first)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("first", [None, BrokenExecutor("died")])
@pytest.mark.parametrize(
    "then", [OSError(12, "no memory"), RuntimeError("can't start new thread")], ids=str
)
def test_where_no_worker_can_be_started_the_work_is_done_here(first, then, caplog):
    executor = Refusing(first, then)
    pool = Tasks(lambda: executor, 1)
    jobs = [pool.submit(double, number) for number in (1, 2, 3)]
    assert [job.future.exception(10) is None for job in jobs].count(False) >= 2
    assert [job.result() for job in jobs] == [2, 4, 6]
    assert "no worker can be started" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no memory"), OSError(28, "disk full")], ids=str)
@pytest.mark.parametrize("workers", [Workers(1), Workers(2, "threads")], ids=["here", "threads"])
def test_a_task_that_fails_is_not_taken_for_a_worker_that_does_not_start(error, workers, caplog):
    calls = []

    def fail(item):
        calls.append(item)
        raise error

    with tasks(workers) as pool, pytest.raises(type(error)) as caught:
        pool.submit(fail, 1).result()
    assert caught.value is error
    assert calls == [1]
    assert caplog.text == ""
