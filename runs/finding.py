"""Tasks of a selection by number, page after page, each at a bounded cost.

Hosts, errors and ages stand in no index beside the number. So a page looks through the next tasks
of the run, ``WINDOW`` at most, and says how far it has got where that gave less than a page.
"""

from dataclasses import dataclass, field
from typing import Any

from runs.counting import with_ids, with_numbers
from runs.dialect import fetch
from runs.models import Run, Task, task_id
from runs.selection import Selection
from runs.states import TaskState
from runs.tallies import Counts

WINDOW = 20_000
"""Tasks that one page looks through."""

# The conditions of a selection speak of runs_task; here that is the window alone.
LOOKED_AT = """
    SELECT id, run_id, number, attempt, worker_id, updated FROM runs_task
    WHERE {which}{numbers} ORDER BY {key} LIMIT %s
"""
OF_A_STATE = "run_id = %s AND state = %s AND not_before = 0 AND number >= %s"
FIND = "SELECT id FROM ({inner}) AS runs_task WHERE 1 = 1{conditions} ORDER BY number LIMIT %s"
END = "SELECT MAX(number), COUNT(*) FROM ({inner}) AS runs_task"


@dataclass(frozen=True)
class Found:
    """Tasks by number; ``following`` is where the next page starts, None at the end.

    ``through``: the last number that was looked at, where fewer than a page were found before it.
    """

    tasks: list[Task] = field(default_factory=list)
    following: int | None = None
    through: int | None = None


def find(run: Run, counts: Counts, selection: Selection, *, first: int, limit: int) -> Found:
    """The tasks of a selection from number ``first`` on: at most three queries."""
    states = [state for state in selection.states or tuple(TaskState) if counts.of(state) > 0]
    if not states:
        return Found()
    inner, values = window(run, selection, states, first)
    conditions, more = selection.condition()
    statement = FIND.replace("{inner}", inner).replace("{conditions}", conditions)
    ids = [row[0] for row in fetch(statement, [*values, *more, limit + 1])]
    tasks = list(Task.objects.filter(id__in=ids).select_related("worker").order_by("number"))
    if len(tasks) > limit:
        return Found(tasks[:limit], tasks[limit].number)
    last, looked_at = fetch(END.replace("{inner}", inner), values)[0]
    if looked_at < WINDOW:
        return Found(tasks)
    return Found(tasks, last + 1, last)


def window(
    run: Run, selection: Selection, states: list[TaskState], first: int
) -> tuple[str, list[Any]]:
    """The tasks that a page looks through, with the values: by the index of one state, or by id."""
    if selection.states and len(states) == 1 and states[0] != TaskState.WAITING:
        which, key = OF_A_STATE, "number"
        values: list[Any] = [run.id, states[0], first]
        numbers, bounds = with_numbers(selection.numbers)
    else:
        which, key = "id >= %s AND id < %s" + in_states(selection, states), "id"
        values = [task_id(run.id, min(first, run.num_tasks)), task_id(run.id, run.num_tasks)]
        numbers, bounds = with_ids(run, selection.numbers)
    inner = LOOKED_AT.format(which=which, numbers=numbers, key=key)
    return inner, [*values, *bounds, WINDOW]


def in_states(selection: Selection, states: list[TaskState]) -> str:
    """The condition for the states of a selection."""
    if not selection.states:
        return ""
    return f" AND state IN ({', '.join(str(int(state)) for state in states)})"
