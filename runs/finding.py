"""Tasks of a selection by number, page after page, each at a bounded cost.

Hosts, errors and ages stand in no index beside the number. So a page looks through the next tasks
of the run, few at first, more where they gave less than a page, ``WINDOWS`` at most; and it says
how far it has got where even that was too little.
"""

from dataclasses import dataclass, field
from typing import Any

from runs.counting import with_ids, with_numbers
from runs.dialect import fetch
from runs.models import Run, Task, task_id
from runs.selection import Selection
from runs.states import TaskState
from runs.tallies import Counts

WINDOWS = (400, 3_600, 16_000)
"""Tasks that one page looks through, step by step."""

# The conditions of a selection speak of runs_task; here that is the window alone. Each state is
# read from its own part of the index, and so are the waiting ones that are put off.
BY_ID = """
SELECT id, run_id, number, attempt, worker_id, updated FROM runs_task
WHERE id >= %s AND id < %s{numbers} ORDER BY id LIMIT %s
"""
OF_A_STATE = """
SELECT * FROM (
    SELECT id, run_id, number, attempt, worker_id, updated FROM runs_task
    WHERE run_id = %s AND state = %s AND not_before {held} AND number >= %s{numbers}
    ORDER BY number LIMIT %s
) AS part{place}
"""
TOGETHER = "SELECT * FROM ({parts}) AS parts ORDER BY number LIMIT %s"
# Last the end of the window: how many it has, and their highest number.
FIND = """
WITH looked_at AS {materialized} ({inner})
SELECT id, 0 FROM (
    SELECT id FROM looked_at AS runs_task WHERE 1 = 1{conditions} ORDER BY number LIMIT %s
) AS found
UNION ALL SELECT -COUNT(*), MAX(number) FROM looked_at
"""


@dataclass(frozen=True)
class Found:
    """Tasks by number; ``following`` is where the next page starts, None at the end.

    ``through``: the last number that was looked at, where fewer than a page were found before it.
    """

    tasks: list[Task] = field(default_factory=list)
    following: int | None = None
    through: int | None = None


def find(run: Run, counts: Counts, selection: Selection, *, first: int, limit: int) -> Found:
    """The tasks of a selection from number ``first`` on: a query for each window, and one more."""
    states = [state for state in selection.states or tuple(TaskState) if counts.of(state) > 0]
    if not states:
        return Found()
    ids: list[int] = []
    following: int | None = first
    for size in WINDOWS:
        if following is None or len(ids) > limit:
            break
        start = following
        found, following = look(run, selection, states, first=start, size=size, limit=limit + 1)
        ids += found
    tasks = list(
        Task.objects.filter(id__in=ids[: limit + 1]).select_related("worker").order_by("number")
    )
    if len(tasks) > limit:
        return Found(tasks[:limit], tasks[limit].number)
    return Found(tasks, following, None if following is None else following - 1)


def look(
    run: Run, selection: Selection, states: list[TaskState], *, first: int, size: int, limit: int
) -> tuple[list[int], int | None]:
    """Look through one window: the ids found there, and where the next begins; None at the end."""
    inner, values = window(run, selection, states, first, size)
    conditions, more = selection.condition()
    statement = FIND.replace("{inner}", inner).replace("{conditions}", conditions)
    rows = fetch(statement, [*values, *more, limit])
    looked_at, last = next(row for row in rows if row[0] <= 0)
    return [row[0] for row in rows if row[0] > 0], last + 1 if -looked_at >= size else None


def window(
    run: Run, selection: Selection, states: list[TaskState], first: int, size: int
) -> tuple[str, list[Any]]:
    """The tasks of a window, with the values: by the index of their states, or by id."""
    if not selection.states:
        numbers, bounds = with_ids(run, following_of(selection.numbers, first, size))
        ids = [task_id(run.id, min(first, run.num_tasks)), task_id(run.id, run.num_tasks)]
        return BY_ID.format(numbers=numbers), [*ids, *bounds, size]
    numbers, bounds = with_numbers(selection.numbers)
    held = [(state, "= 0") for state in states]
    if TaskState.WAITING in states:
        held.append((TaskState.WAITING, "> 0"))
    parts = [
        OF_A_STATE.format(held=how, numbers=numbers, place=place)
        for place, (_, how) in enumerate(held)
    ]
    values = [value for state, _ in held for value in (run.id, state, first, *bounds, size)]
    return TOGETHER.format(parts=" UNION ALL ".join(parts)), [*values, size]


def following_of(
    ranges: tuple[tuple[int, int], ...], first: int, count: int
) -> tuple[tuple[int, int], ...]:
    """The first so many numbers of some ranges from ``first`` on; nothing far behind is asked for.

    Ranges that all end before it stay as they are, for no ranges would mean all numbers.
    """
    kept: list[tuple[int, int]] = []
    for start, end in ranges:
        start = max(start, first)
        if start <= end and count > 0:
            kept.append((start, min(end, start + count - 1)))
            count -= kept[-1][1] - start + 1
    return tuple(kept) or ranges
