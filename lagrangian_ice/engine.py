"""Where independent tasks run: here and now, in threads, in processes or on a Dask cluster.

Everything is a :class:`concurrent.futures.Executor`; results do not depend on which.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from lagrangian_ice.errors import WorkspaceError, reason_of

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

log = logging.getLogger(__name__)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MOST_THREADS = 8
_sharing = threading.local()
"""Among how many tasks side by side the threads are shared, where a thread runs one of them."""
_MOST_DEATHS = 3
IMPORT_TURN = 1e-4
"""Seconds that a thread keeps the interpreter while a module is imported ahead."""
_MALLOC_OPTIONS = ((-8, 1), (-3, 1 << 30), (-1, 2**31 - 1))
"""Of malloc.h: heaps; least bytes of a mapping of its own, and of a heap's end to hand back."""
SELDOM = 1000
"""Looks at the younger objects for each look at all."""
_PATIENCE = 30.0
"""Seconds to wait for a scheduler."""
_LOOK_AGAIN = 0.1
"""Seconds."""
_WORK = "lagrangian_ice.parcels.worker"
"""What worker processes find loaded."""

Kind = Literal["processes", "threads"]


class Rank(IntEnum):
    """Which of the tasks that wait gets the next worker: the lowest, of these the oldest."""

    NOW = 0
    SOON = 1
    LATER = 2


class SerialExecutor(Executor):
    """Runs every task at once, in the calling process, with one thread as a worker does."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn`` now; its own error is kept for ``result()``."""
        future: Future[T] = Future()
        try:
            future.set_result(with_one_thread(fn, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as every executor does
            future.set_exception(error)
        return future


class Job(Generic[A, T]):
    """A task that was handed in; its result comes from :meth:`result`."""

    def __init__(self, function: Callable[[A], T], item: A, rank: Rank) -> None:
        self.function = function
        self.item = item
        self.rank = rank
        self.deaths = 0
        self.wanted = True
        self.future: Future[T] = Future()

    def result(self) -> T:
        """Wait for the result; a task that workers died of again and again is done here.

        Raises
        ------
        LagrangianIceError
            The task's own.
        """
        try:
            return self.future.result()
        except BrokenExecutor as error:
            log.warning("no worker did a task (%s); it is done here", reason_of(error))
            return with_one_thread(self.function, self.item)


class Tasks:
    """Independent tasks on any executor, by rank, a worker's death survived.

    As many tasks as there are workers are with the executor; the rest waits here, so that the
    one of the lowest rank gets the next worker that is free.

    Parameters
    ----------
    start : callable
        Makes the executor, again when it has broken.
    slots : int
        Workers.

    Attributes
    ----------
    lock : RLock
        Held while jobs are handed in or have come to their end. Who hands in more jobs when one
        is done guards what it knows with it, too.
    """

    def __init__(self, start: Callable[[], Executor], slots: int) -> None:
        self.slots = slots
        self._start = start
        self._executor = start()
        self.lock = threading.RLock()
        self._waiting: dict[Rank, deque[Job[Any, Any]]] = {rank: deque() for rank in Rank}
        self._running = 0
        self._closed = False

    def submit(self, function: Callable[[A], T], item: A, *, rank: Rank = Rank.LATER) -> Job[A, T]:
        """Hand in ``function(item)``; both must be picklable unless all runs in one process."""
        job = Job(function, item, rank)
        with self.lock:
            self._waiting[rank].append(job)
            self._feed()
        return job

    def hurry(self, job: Job[Any, Any]) -> None:
        """Let a job be of the first rank, if it waits still."""
        with self.lock:
            if job in self._waiting[job.rank]:
                self._waiting[job.rank].remove(job)
                job.rank = Rank.NOW
                self._waiting[job.rank].append(job)

    def drop(self, job: Job[Any, Any]) -> None:
        """Forget a job whose result nobody wants; if it runs, it is not done again."""
        with self.lock:
            job.wanted = False
            if job in self._waiting[job.rank]:
                self._waiting[job.rank].remove(job)

    def close(self) -> None:
        """Drop what waits, wait for what runs and end the workers."""
        with self.lock:
            self._closed = True
            for queue in self._waiting.values():
                queue.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _feed(self) -> None:
        while self._running < self.slots and not self._closed:
            queue = next((queue for queue in self._waiting.values() if queue), None)
            if queue is None:
                return
            job = queue.popleft()
            try:
                future = self._handed_over(job)
            except BrokenExecutor as error:
                # Nor does a new one take it: a cluster that is gone. Who waits must be told.
                job.future.set_exception(error)
                continue
            self._running += 1
            future.add_done_callback(partial(self._done, job, self._executor))

    def _handed_over(self, job: Job[Any, Any]) -> Future[Any]:
        try:
            try:
                return self._executor.submit(job.function, job.item)
            except BrokenExecutor:
                self._restart(self._executor)
                return self._executor.submit(job.function, job.item)
        except (OSError, RuntimeError) as error:
            # No memory or no room for another process or thread.
            raise BrokenExecutor(f"no worker can be started: {reason_of(error)}") from error

    def _done(self, job: Job[Any, Any], used: Executor, future: Future[Any]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            # From a thread of its own: an executor that breaks holds its lock while it tells.
            threading.Thread(target=self._again, args=(job, used, error), daemon=True).start()
            return
        with self.lock:
            self._running -= 1
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(future.result())
            self._feed()

    def _again(self, job: Job[Any, Any], used: Executor, error: BrokenExecutor) -> None:
        """Hand in a job again whose worker died, a few times."""
        with self.lock:
            self._running -= 1
            if self._closed:
                return
            self._restart(used)
            job.deaths += 1
            if job.deaths >= _MOST_DEATHS:
                job.future.set_exception(error)
            elif job.wanted:
                self._waiting[job.rank].appendleft(job)
            self._feed()

    def _restart(self, used: Executor) -> None:
        """Replace an executor that broke, unless that has been done."""
        if used is self._executor:
            log.warning("a worker died; its tasks are handed in again")
            used.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start()


@dataclass(frozen=True)
class Workers:
    """Where tasks shall run.

    Attributes
    ----------
    count : int
        At least 1; each computes with one thread. One alone works in the calling process.
    kind : {"processes", "threads"}
        Of several workers on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, used instead. Its workers must see the scenes and
        the workspace under the same paths.
    """

    count: int = 1
    kind: Kind = "processes"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"workers {self.count} is not allowed; use 1 or more")

    @property
    def here(self) -> bool:
        """Whether tasks run in the calling process."""
        return self.scheduler is None and (self.count == 1 or self.kind == "threads")

    def load_ahead(self) -> None:
        """Begin to load what worker processes need, beside what the caller loads himself.

        All are forked of one server that has loaded it and has run none of it: that costs
        seconds once, not for each of them.
        """
        if self.scheduler is not None or self.here:
            return
        multiprocessing.set_forkserver_preload([_WORK])
        # Libraries start their threads when they are loaded; a fork must not have any.
        with _environment(dict.fromkeys(_THREAD_VARIABLES, "1")):
            _start_server()


def _start_server() -> None:
    """Start the process that workers are forked of, unless it runs; Ctrl-C never comes to it.

    It reaches the whole group; the parent tells its workers when to stop.
    """
    # The tracker would let Ctrl-C through again when it is started.
    resource_tracker.ensure_running()
    with _blocked(signal.SIGINT):
        forkserver.ensure_running()


@contextmanager
def _blocked(*signals: signal.Signals) -> Iterator[None]:
    """Let signals wait, as they do for good in the processes that are started inside."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes(ProcessPoolExecutor):
    """Worker processes that are started without being interrupted.

    One that is half started when its parent ends is told of in a trace.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # A server that was started inside would keep SIGTERM from its workers for good.
        _start_server()
        with _blocked(signal.SIGINT, signal.SIGTERM):
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Variables for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def tasks(workers: Workers) -> Iterator[Tasks]:
    """Start the workers and end them.

    Raises
    ------
    WorkspaceError
        If the scheduler cannot be reached or has no worker, or Dask is not installed.
    """
    count = workers.count
    start: Callable[[], Executor] = SerialExecutor
    if workers.here:
        keep_memory()
    with ExitStack() as stack:
        if workers.scheduler is not None:
            start, count = stack.enter_context(_dask(workers.scheduler))
        elif count > 1 and workers.kind == "threads":
            load_torch()
            stack.enter_context(one_thread())
            start = partial(ThreadPoolExecutor, count, initializer=_one_thread_here)
        elif count > 1:
            # Not of this process: a fork of one that has run torch's threads can hang.
            workers.load_ahead()
            fork = multiprocessing.get_context("forkserver")
            start = partial(_Processes, count, mp_context=fork, initializer=_start_worker)
        handed_in = Tasks(start, count)
        stack.callback(handed_in.close)
        yield handed_in


@contextmanager
def _dask(address: str) -> Iterator[tuple[Callable[[], Executor], int]]:
    """Executor on a running cluster, and its number of threads."""
    try:
        from distributed import Client
    except ImportError:
        raise WorkspaceError(
            f"scheduler {address}: Dask is not installed; pip install 'lagrangian-ice[dask]'"
        ) from None
    try:
        client: Any = Client(address, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkspaceError(f"scheduler {address}: cannot be used ({reason_of(error)})") from None
    with client:
        # Two tasks with the same arguments are two tasks: the files may have changed.
        yield partial(_DaskExecutor, client), max(1, sum(client.nthreads().values()))


class _DaskExecutor(Executor):
    """A cluster as an executor whose workers die the way those of a process pool do."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # What is handed in while a lost scheduler is looked for is never heard of again.
        while self._client.status == "connecting":
            time.sleep(_LOOK_AGAIN)
        if self._client.status != "running":
            raise BrokenExecutor("the scheduler is gone")
        future: Future[T] = Future()
        try:
            remote = self._client.submit(with_one_thread, fn, *args, **kwargs, pure=False)
            remote.add_done_callback(partial(_hand_back, future))
        except Exception as error:  # noqa: BLE001  a client that is closed has many ways to say so
            raise BrokenExecutor(f"the cluster takes no task: {reason_of(error)}") from None
        return future


def with_one_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function with one thread of torch, wherever it runs: sums depend on their number."""
    load_torch()
    with one_thread():
        return function(*args, **kwargs)


def _hand_back(future: Future[Any], remote: Any) -> None:
    from distributed import KilledWorker

    error = remote.exception() if remote.status == "error" else None
    if isinstance(error, KilledWorker) or remote.status in ("lost", "cancelled"):
        future.set_exception(BrokenExecutor(str(error or remote.status)))
    elif error is not None:
        future.set_exception(error)
    else:
        try:
            future.set_result(remote.result())
        except Exception as lost:  # noqa: BLE001  whatever it is: who waits must not wait for ever
            future.set_exception(BrokenExecutor(f"a result is lost: {reason_of(lost)}"))


def in_order(
    pool: Executor | Tasks, function: Callable[[A], T], items: Iterable[A], ahead: int
) -> Iterator[T]:
    """Results of ``function(item)`` in the order of the items.

    At most ``ahead`` items are submitted before their turn; with 0 each only when it has come.
    """
    waiting: deque[Future[T] | Job[A, T]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


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
    one_blas_thread()
    for library, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if library in sys.modules:
            getattr(sys.modules[library], setter)(count)


def one_blas_thread() -> None:
    """Let numpy's and scipy's linear algebra use one thread; before they are loaded.

    Its systems are small here, and threads of OpenBLAS wait busily for the next one on
    processors that have other work: a third of the geocoding's time.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def thread_count() -> int:
    """Threads that numeric work may use here: the processors, less where told or shared."""
    told = os.environ.get(_THREAD_VARIABLES[0], "")
    processors = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    count = min(int(told) if told.isdigit() else _MOST_THREADS, processors)
    return max(1, count // getattr(_sharing, "among", 1))


def side_by_side(function: Callable[[A], T], items: Sequence[A]) -> list[T]:
    """Results of ``function(item)`` in order, of a few large tasks that share the threads."""
    count = max(1, min(len(items), thread_count()))

    def share(item: A) -> T:
        _sharing.among = count
        return function(item)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(share, items))


def keep_memory() -> None:
    """Let glibc keep freed memory for the next array, from one heap for all threads.

    Left to itself it hands large arrays back to the system at once, and every page of the next
    one is a fault: two seconds of a pair's time. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC_OPTIONS:
            mallopt(option, value)


def import_ahead(module: str) -> None:
    """Begin to import a module beside other work: torch takes a second to load.

    Meanwhile the interpreter's threads take turns fifty times as often: each call of the other
    work that comes back from a library would wait 5 ms for the import.
    """

    def load() -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(IMPORT_TURN)
        try:
            # Whoever needs it imports it again, and is told what is wrong with it.
            with suppress(ImportError):
                import_module(module)
        finally:
            sys.setswitchinterval(before)

    threading.Thread(target=load, daemon=True).start()


def look_for_garbage_rarely() -> None:
    """Look through everything that lives only after millions of new objects.

    A million objects that libraries make when they are loaded stay. Python would look through
    them again and again on the way, for a third of the time that all imports take.
    """
    youngest, younger, _ = gc.get_threshold()
    gc.set_threshold(youngest, younger, SELDOM)


def load_torch() -> None:
    """Load torch now: :func:`one_thread` holds for it only where it has been loaded."""
    import_module("torch")


def _torch() -> ModuleType | None:
    """Return torch where it has been loaded, all of it."""
    module = sys.modules.get("torch")
    half = getattr(getattr(module, "__spec__", None), "_initializing", False)
    return None if half else module


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside.

    Sums depend on how many threads share them, in the last bit: what is computed here and in
    a worker process must not differ.
    """
    torch = _torch()
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
    torch = _torch()
    count = torch.get_num_threads() if torch is not None else 1
    with one_thread():
        if count == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(count) as pool:
            yield from in_order(pool, function, items, 2 * count)


def chunks(count: int, most: int) -> list[slice]:
    """Nearly equal parts, of ``most`` at most, of so many items; an empty one where there are none.

    An even number of them unless they are few, so that no thread waits long for the last.
    """
    number = max(-(-count // most), 1)
    number += number % 2 if 4 * count > most else 0
    return [slice(count * n // number, count * (n + 1) // number) for n in range(number)]


def _one_thread_here() -> None:
    """Torch counts its threads for each thread that calls it."""
    torch = _torch()
    if torch is not None:
        torch.set_num_threads(1)


def _start_worker() -> None:
    keep_memory()
    limit_threads(1)
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
        return {
            "seconds": dict(self.seconds),
            "total_seconds": sum(self.seconds.values()),
            "peak_memory_mib": peak_memory_mib(),
        }


def peak_memory_mib() -> float:
    """Most memory that this process has held, MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would begin with what the parent held when it forked.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) / 1024.0
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    unit = 1024.0**2 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
