"""Longest first: an order of tasks that keeps all processes busy to the end of a run.

Longest processing time first (Graham, 1969, SIAM J. Appl. Math. 17): the makespan is at most 4/3 of
the best possible, and far nearer where there are many tasks per process.
"""

from __future__ import annotations

import math

from .._answers import Json
from .._errors import InvalidArgumentError
from .._run import Run

LINE = "_line"
"""The key under which the input of a task that was moved keeps its place in the list."""


def longest_first(tasks: list[Json], column: str | None, like: Run | None) -> list[Json]:
    """Put long tasks first.

    Args:
        tasks: an input per task, in the order of the list.
        column: the column (key of the inputs) that tells what a task costs, in any unit.
        like: an earlier run of the same list, whose times tell it.

    Returns:
        the same tasks in another order; each input tells its place in the list as `_line`.

    Raises:
        InvalidArgumentError: neither or both are given, or the costs make no sense.
    """
    if (column is None) == (like is None):
        raise InvalidArgumentError(
            "--order cost needs either --cost COLUMN, or --like RUN: an earlier run of this list."
        )
    if like is not None:
        costs = _measured(like, len(tasks))
    else:
        costs = [_cost(task, str(column), line) for line, task in enumerate(tasks)]
    order = sorted(range(len(tasks)), key=lambda line: (-costs[line], line))
    return [{**_as_object(tasks[line]), LINE: line} for line in order]


def _as_object(task: Json) -> dict[str, Json]:
    return task if isinstance(task, dict) else {"command": task}


def _cost(task: Json, column: str, line: int) -> float:
    if not isinstance(task, dict) or column not in task:
        there = f"; there are: {', '.join(task)}" if isinstance(task, dict) else ""
        raise InvalidArgumentError(f"Task {line} has no column {column!r}{there}.")
    try:
        cost = float(task[column])
    except (TypeError, ValueError):
        cost = math.nan
    if not math.isfinite(cost):
        raise InvalidArgumentError(
            f"Task {line}: {column} is {task[column]!r}, which is no number."
        )
    return cost


def _measured(like: Run, count: int) -> list[float]:
    """Seconds per line of the list; lines that were not done then count as the mean."""
    seconds: dict[Json, float] = {}
    for row in like.results():
        output = row["output"]
        if isinstance(output, dict) and isinstance(output.get("seconds"), (int, float)):
            line = output.get("line", row["task"])
            seconds[line] = float(output["seconds"])
    if not seconds:
        raise InvalidArgumentError(
            f"{_named(like)} has measured nothing: no command of it has been done by "
            "'taskfarm work'."
        )
    if max(seconds) >= count:
        raise InvalidArgumentError(
            f"{_named(like)} has more tasks than this list has lines ({count}), so it was another "
            "list."
        )
    mean = sum(seconds.values()) / len(seconds)
    return [seconds.get(line, mean) for line in range(count)]


def _named(run: Run) -> str:
    """A run as people know it: by its name, if it has one."""
    return f"Run {run.info()['name'] or run.uuid[:12]}"
