"""Worker processes that end with their parent, however it ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, TypeVar

from mtut_bench.errors import MtutBenchError

__all__ = ["run_parallel"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Generator[tuple[Task, Result], None, None]:
    """Yield (task, result) as tasks end; in this process where one worker is asked for.

    Close the generator (``contextlib.closing``) where its loop may be left early, by ctrl-C too:
    that ends the workers at once.

    Args:
        function: picklable; must not depend on the order of tasks.
        tasks: picklable arguments.
        workers: number of processes.

    Raises:
        MtutBenchError: a worker was killed (out of memory, for instance).
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, function(task)
        return
    # Spawned, not forked: neither zarr's event loop nor OpenCV's threads survive a fork reliably.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_follow_parent
    )
    try:
        with _interrupts_held():
            futures = {executor.submit(function, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise MtutBenchError(
            "a worker process was killed, perhaps out of memory",
            "Run the command again with fewer --workers; finished work is kept.",
        ) from error
    except BaseException:
        # Waiting for units of many seconds would make ctrl-C look broken; killing is safe here.
        for process in multiprocessing.active_children():
            process.kill()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold ctrl-C and SIGTERM back for a block; processes started in it never get ctrl-C.

    Interrupted between a process and what it is told to do, both would end in tracebacks. Blocking
    the signals alone is not enough: another thread may take one, and Python then calls the
    handler in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for number in handlers:
        signal.signal(number, lambda received, frame: held.append(received))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for received in held:
            signal.raise_signal(received)


def _follow_parent() -> None:
    """Ignore ctrl-C (the parent acts on it) and exit when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
