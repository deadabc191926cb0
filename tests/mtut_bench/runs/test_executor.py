from collections import Counter
from types import SimpleNamespace

import pytest

from mtut_bench.errors import BusyError
from mtut_bench.runs import executor
from mtut_bench.runs.executor import Task, in_turn, tasks_of


def task(name, *needs):
    return Task(name, SimpleNamespace(), needs=needs)


class Work:
    """Does tasks; some are at another process the first few times."""

    def __init__(self, **busy):
        self.done, self.said, self.busy = [], [], Counter(busy)

    def do(self, one):
        if self.busy[one.id] > 0:
            self.busy[one.id] -= 1
            raise BusyError(f"{one.id} is in use", "")
        self.done.append(one.id)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Return the pauses that were made; none takes time."""
    made = []
    monkeypatch.setattr(executor.time, "sleep", made.append)
    return made


STAGES = [task("rgb"), task("depth"), task("i3d", "rgb", "depth"), task("mtut", "rgb", "depth")]


def test_tasks_are_done_in_their_order(pauses):
    work = Work()
    in_turn(STAGES, work.do, work.said.append)
    assert work.done == ["rgb", "depth", "i3d", "mtut"]
    assert pauses == work.said == []


def test_what_another_process_is_at_is_left_to_it_while_there_is_anything_else(pauses):
    work = Work(rgb=3)
    in_turn([*STAGES, task("flow"), task("c3d", "flow")], work.do, work.said.append)
    # rgb is tried again after each other task, and found free before the last.
    assert work.done == ["depth", "flow", "c3d", "rgb", "i3d", "mtut"]
    assert pauses == []
    assert len(work.said) == 1
    assert "rgb is in use" in work.said[0]


def test_where_nothing_else_is_left_the_other_process_is_waited_for(pauses):
    work = Work(rgb=9, i3d=2)
    in_turn(STAGES, work.do, work.said.append)
    assert work.done == ["depth", "rgb", "mtut", "i3d"]
    assert len(pauses) == 8 + 1  # for rgb, then for i3d
    assert len(work.said) == 2


def test_a_need_that_is_no_task_is_there_already():
    work = Work()
    in_turn([task("run", "made before")], work.do, work.said.append)
    assert work.done == ["run"]


def test_another_fault_ends_the_work():
    def do(one):
        raise ValueError(one.id)

    with pytest.raises(ValueError, match="rgb"):
        in_turn(STAGES, do, print)


def test_each_stage_is_a_task_once_before_the_first_run_that_needs_it(plan_with):
    plans = [plan_with(method=name) for name in ("i3d", "mtut")]
    tasks = tasks_of(plans)
    assert [one.shared for one in tasks] == ["rgb", "depth", "", ""]
    assert [one.id for one in tasks[:2]] == [plans[1].stage_id(m) for m in ("rgb", "depth")]
    assert tasks[3].needs == (tasks[0].id, tasks[1].id)


def test_a_run_that_is_done_needs_no_stage(plan_with):
    plan = plan_with()
    plan.folder.mkdir(parents=True)
    (plan.folder / "manifest.json").touch()
    (only,) = tasks_of([plan])
    assert (only.id, only.needs) == (plan.run_id, ())
