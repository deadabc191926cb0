"""Tasks and who does them: shared artefacts first, runs when theirs are there.

A task is known by its id, says which others it needs, and gives the same result wherever it is
done. An engine takes tasks and a function that does one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtut_bench.errors import BusyError
from mtut_bench.runs.plan import RunPlan

__all__ = ["Engine", "Task", "in_turn", "tasks_of"]

_PAUSE_S = 0.5
"""Between two looks at tasks that other processes are at."""


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
"""Does tasks, given what does one and who is told what happens; see :func:`in_turn`."""


def tasks_of(plans: Sequence[RunPlan]) -> list[Task]:
    """Return what is to be done for some runs: before each run the artefacts that are missing.

    Args:
        plans: runs; of one that is done only the run itself is a task, so that it is checked.
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
    """Do tasks one after the other in this process, the first that can be done.

    One that another process is at is left to it while there is anything else to do; after that its
    end is waited for.

    Args:
        tasks: those that a task needs stand before it.
        do: does one; raises BusyError where another process is at it.
        say: is told, once, that a task is left to another process.
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
                    say(f"  {error.what}; left to it for now")
                    busy.add(task.id)
                continue
            done.add(task.id)
            left.remove(task)
            break
        else:
            time.sleep(_PAUSE_S)
