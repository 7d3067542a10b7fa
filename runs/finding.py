"""Tasks of a selection by number, page after page, each at a bounded cost.

Hosts, errors and ages stand in no index beside the number. So a page looks through the next tasks
of the run, ``WINDOW`` at most, and says how far it has got where that gave less than a page.
"""

from dataclasses import dataclass, field

from runs.counting import of_numbers
from runs.dialect import fetch
from runs.models import Run, Task
from runs.selection import Selection
from runs.states import TaskState
from runs.tallies import Counts

WINDOW = 20_000
"""Tasks that one page looks through."""

# The conditions of a selection speak of runs_task; here that is the window alone.
INNER = """
    SELECT id, run_id, number, attempt, worker_id, updated FROM runs_task
    WHERE run_id = %s AND number >= %s{states}{numbers} ORDER BY number LIMIT %s
"""
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
    numbers, bounds = of_numbers(selection.numbers)
    inner = INNER.replace("{numbers}", numbers).replace("{states}", in_states(selection, states))
    values = [run.id, first, *bounds, WINDOW]
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


def in_states(selection: Selection, states: list[TaskState]) -> str:
    """The condition for the states of a selection; one that is not waiting is read by its index."""
    if not selection.states:
        return ""
    settled = "" if TaskState.WAITING in states else " AND not_before = 0"
    return f" AND state IN ({', '.join(str(int(state)) for state in states)}){settled}"
