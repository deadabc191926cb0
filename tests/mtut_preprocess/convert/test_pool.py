import multiprocessing
import os
import signal
from contextlib import closing

import pytest

from mtut_bench.errors import MtutBenchError
from mtut_preprocess.convert.pool import run_parallel


def double(task):
    return 2 * task


def die(task):
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def answer_or_wait(task):
    if task:
        signal.pause()
    return multiprocessing.current_process().pid


def ctrl_c_is_held_back(_):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_task_is_answered_once(workers):
    assert sorted(run_parallel(double, range(5), workers)) == [(i, 2 * i) for i in range(5)]


def test_killed_worker_is_one_error_with_a_hint():
    with pytest.raises(MtutBenchError, match="a worker process was killed") as caught:
        list(run_parallel(die, range(4), 2))
    assert "fewer --workers" in caught.value.hint
    assert multiprocessing.active_children() == []


def test_leaving_the_loop_ends_busy_workers_at_once():
    with closing(run_parallel(answer_or_wait, [0, 1, 2], 2)) as results:
        next(results)
        assert multiprocessing.active_children()
    assert multiprocessing.active_children() == []


def test_ctrl_c_reaches_no_worker_and_still_reaches_this_process():
    assert all(held for _, held in run_parallel(ctrl_c_is_held_back, range(2), 2))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
