"""Tasks and engines: shared artefacts first, then the runs that need them.

A task has an id and needs others; its result is the same wherever it is done. An engine takes tasks
and a function that does one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtut_bench.errors import BusyError
from mtut_bench.runs.plan import RunPlan

__all__ = ["Engine", "Task", "in_turn", "tasks_of"]

_PAUSE_S = 0.5
"""Between two looks at tasks that other processes are doing."""


@dataclass(frozen=True)
class Task:
    """One run, or one artefact that runs share.

    Attributes:
        id: of the artefact or run, 64 hexadecimal digits.
        plan: of the run, or of the first that asks for the artefact.
        shared: name of the artefact in the plan; "" for the run itself.
        needs: ids of tasks that must be done before.
    """

    id: str
    plan: RunPlan
    shared: str = ""
    needs: tuple[str, ...] = ()


Engine = Callable[[Sequence[Task], Callable[[Task], None], Callable[[str], object]], None]
"""Takes tasks, what does one, and what prints a line; see :func:`in_turn`."""


def tasks_of(plans: Sequence[RunPlan]) -> list[Task]:
    """Return the tasks of some runs: before each the shared artefacts that are missing.

    A finished run is a task too, so that its result is checked.
    """
    tasks: dict[str, Task] = {}
    for plan in plans:
        names = () if plan.done() else tuple(n for n in plan.shared_keys if not plan.stage_done(n))
        for name in names:
            key = plan.stage_id(name)
            tasks.setdefault(key, Task(key, plan, name))
        needs = tuple(plan.stage_id(name) for name in names)
        tasks[plan.run_id] = Task(plan.run_id, plan, needs=needs)
    return list(tasks.values())


def in_turn(
    tasks: Sequence[Task], do: Callable[[Task], None], say: Callable[[str], object]
) -> None:
    """Do tasks one after the other in this process.

    A task of another process is skipped while there is anything else to do, then waited for.

    Args:
        tasks: a task stands behind those that it needs.
        do: does one; raises BusyError where another process is doing it.
        say: prints, once, that a task is left to another process.
    """
    left = list(tasks)
    ids, done = {task.id for task in tasks}, set[str]()
    busy: set[str] = set()
    while left:
        for task in left:
            if not done >= ids.intersection(task.needs):
                continue
            try:
                do(task)
            except BusyError as error:
                if task.id not in busy:
                    say(f"  {error.what}; skipped for now")
                    busy.add(task.id)
                continue
            done.add(task.id)
            left.remove(task)
            break
        else:
            time.sleep(_PAUSE_S)
