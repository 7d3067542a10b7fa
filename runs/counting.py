"""How many tasks a selection would touch: asked before an operation over it, at a bounded cost."""

from dataclasses import dataclass
from typing import Any

from runs.dialect import fetch
from runs.models import Run, task_id
from runs.selection import Selection
from runs.states import TaskState
from runs.tallies import Counts

MOST = 50_000
"""Tasks of a state that are counted by number; where there are more, the count is a least."""
MOST_READ = 2_500
"""The same where each has to be read: for its host, its error, its age."""


@dataclass(frozen=True, slots=True)
class Touched:
    """How many tasks; ``exact`` unless there are too many to look at one by one."""

    count: int
    exact: bool = True


# The tasks of the numbers first, in the order of the index of states, which has them together; then
# those of them that meet the other conditions.
COUNT = """
SELECT COUNT(*), COUNT(CASE WHEN 1 = 1{conditions} THEN 1 END) FROM ({parts}) AS runs_task
"""
PART = """
SELECT * FROM (
    SELECT {columns} FROM runs_task
    WHERE run_id = %s AND state = %s AND not_before {held}{numbers}
    ORDER BY not_before, number LIMIT %s
) AS part{place}
"""
BY_NUMBER = "run_id, number"
READ = "run_id, number, attempt, worker_id, updated"
OF_ERROR = "SELECT SUM(count) FROM runs_failuretally WHERE run_id = %s AND fingerprint = %s"
FAILED_ONLY = (TaskState.FAILED,)


def count(
    run: Run, counts: Counts, selection: Selection, states: tuple[TaskState, ...]
) -> dict[TaskState, Touched]:
    """The tasks of a selection by state.

    Args:
        run: whose tasks.
        counts: its tallies.
        selection: which of them.
        states: those that count where the selection names none.
    """
    states = selection.states or states
    if not selection.narrow:
        return {state: Touched(counts.of(state)) for state in states}
    only_error = selection == Selection(states=FAILED_ONLY, fingerprint=selection.fingerprint)
    if only_error:
        found = fetch(OF_ERROR, [run.id, selection.fingerprint])[0][0]
        return {TaskState.FAILED: Touched(max(int(found or 0), 0))}
    return {
        state: count_state(run, state, selection) if counts.of(state) > 0 else Touched(0)
        for state in states
    }


def count_state(run: Run, state: TaskState, selection: Selection) -> Touched:
    """The tasks of a selection that are in one state."""
    conditions, values = selection.condition()
    most, columns = (MOST_READ, READ) if conditions else (MOST, BY_NUMBER)
    numbers, bounds = with_numbers(selection.numbers)
    # Only waiting tasks are ever in backoff, which stands before the number in the index.
    held = ("= 0", "> 0") if state == TaskState.WAITING else ("= 0",)
    parts = " UNION ALL ".join(
        PART.format(columns=columns, held=how, numbers=numbers, place=place)
        for place, how in enumerate(held)
    )
    statement = COUNT.replace("{conditions}", conditions).replace("{parts}", parts)
    asked = [run.id, state, *bounds, most + 1] * len(held)
    looked_at, found = fetch(statement, [*values, *asked])[0]
    return Touched(min(found, most), looked_at <= most)


def with_numbers(
    ranges: tuple[tuple[int, int], ...], column: str = "number"
) -> tuple[str, list[Any]]:
    """The condition for ranges of numbers, with its values; empty for all."""
    if not ranges:
        return "", []
    either = any_of([f"{column} BETWEEN %s AND %s"] * len(ranges))
    return f" AND {either}", [bound for pair in ranges for bound in pair]


def any_of(conditions: list[str]) -> str:
    """Any of the conditions, halved again and again: SQLite takes a chain of 1,000 for too deep."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({any_of(conditions[:half])} OR {any_of(conditions[half:])})"


def with_ids(run: Run, ranges: tuple[tuple[int, int], ...]) -> tuple[str, list[Any]]:
    """The same where tasks are found by their ids."""
    ids = tuple((task_id(run.id, first), task_id(run.id, last)) for first, last in ranges)
    return with_numbers(ids, "id")


def total(found: dict[TaskState, Touched]) -> Touched:
    """All states together."""
    exact = all(one.exact for one in found.values())
    return Touched(sum(one.count for one in found.values()), exact)
