import os
import signal
import sys
import time

import pytest

from lagrangian_ice.engine import (
    SerialExecutor,
    Stopwatch,
    executor,
    in_order,
    limit_threads,
    thread_count,
)
from lagrangian_ice.errors import SceneError


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
    with executor(2) as pool:
        results = list(in_order(pool, process_of, range(4), 4))
    assert [number for number, _ in results] == [0, 1, 2, 3]
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_comes_with_its_result(workers):
    with executor(workers) as pool, pytest.raises(SceneError, match="7 is broken"):
        list(in_order(pool, fails, [7], 1))


def test_a_worker_that_dies_loses_nothing(monkeypatch):
    monkeypatch.setenv("LAGRANGIAN_ICE_TEST_PARENT", str(os.getpid()))
    with executor(2) as pool:
        assert list(in_order(pool, dies, range(6), 2)) == list(range(6))


@pytest.mark.parametrize("call", [lambda: executor(0).__enter__(), lambda: limit_threads(0)])
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
