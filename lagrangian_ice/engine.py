"""Where independent tasks run: here and now, or in worker processes.

Everything is a :class:`concurrent.futures.Executor`; results do not depend on which.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from lagrangian_ice.errors import LagrangianIceError

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

log = logging.getLogger(__name__)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MOST_THREADS = 8


class SerialExecutor(Executor):
    """Runs every task at once, in the calling process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn`` now; its own error is kept for ``result()``."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except LagrangianIceError as error:
            future.set_exception(error)
        return future


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """Run serially for one worker, else in a pool of processes with one thread each.

    Parameters
    ----------
    workers : int
        At least 1.

    Raises
    ------
    ValueError
        If ``workers`` is less than 1.
    """
    if workers < 1:
        raise ValueError(f"workers {workers} is not allowed; use 1 or more")
    if workers == 1:
        yield SerialExecutor()
        return
    pool = ProcessPoolExecutor(
        workers,
        # Spawned, because a fork of a process that has run torch's threads can hang.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: Executor, function: Callable[[A], T], items: Iterable[A], ahead: int
) -> Iterator[T]:
    """Results of ``function(item)`` in the order of the items.

    At most ``ahead`` items are submitted before their turn; with 0 each only when it has come.
    What a worker that died leaves undone is done here.
    """
    waiting: deque[tuple[A, Future[T] | None]] = deque()
    for item in items:
        waiting.append((item, _submitted(pool, function, item)))
        if len(waiting) > ahead:
            yield _result(function, *waiting.popleft())
    while waiting:
        yield _result(function, *waiting.popleft())


def _submitted(pool: Executor, function: Callable[[A], T], item: A) -> Future[T] | None:
    try:
        return pool.submit(function, item)
    except BrokenExecutor:
        return None


def _result(function: Callable[[A], T], item: A, future: Future[T] | None) -> T:
    try:
        if future is not None:
            return future.result()
    except BrokenExecutor:
        log.warning("a worker process died; its task is done here")
    return function(item)


def limit_threads(count: int) -> None:
    """Let numeric libraries use ``count`` threads; to be called before they are loaded.

    Raises
    ------
    ValueError
        If ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"threads {count} is not allowed; use 1 or more")
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(count)
    for library, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if library in sys.modules:
            getattr(sys.modules[library], setter)(count)


def thread_count() -> int:
    """Threads that numeric work of the package may use: the processors, or less where told."""
    told = os.environ.get(_THREAD_VARIABLES[0], "")
    processors = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    return max(1, min(int(told) if told.isdigit() else _MOST_THREADS, processors))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside.

    Sums depend on how many threads share them, in the last bit: what is computed here and in
    a worker process must not differ.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 1
    if torch is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def thread_map(function: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
    """Results of ``function(item)`` in order, on as many threads as torch was given.

    Inside, each call has one torch thread: many small operations side by side are quicker than
    each of them shared, above all on a busy machine, and no sum depends on the number of threads.
    """
    torch = sys.modules.get("torch")
    count = torch.get_num_threads() if torch is not None else 1
    with one_thread():
        if count == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(count) as pool:
            yield from in_order(pool, function, items, 2 * count)


def _start_worker() -> None:
    limit_threads(1)
    # Ctrl-C reaches the whole group; the parent tells its workers when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent is gone: a worker would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Stopwatch:
    """Wall seconds of named stages, added up over their uses."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside under ``name``."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def report(self) -> dict[str, object]:
        """Seconds of each stage, their total and the process's peak memory in MiB."""
        # Linux counts ru_maxrss in KiB, macOS in bytes.
        unit = 1024.0**2 if sys.platform == "darwin" else 1024.0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {
            "seconds": dict(self.seconds),
            "total_seconds": sum(self.seconds.values()),
            "peak_memory_mib": peak,
        }
