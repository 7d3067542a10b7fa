"""The mechanics that all transitions share: lock rows, write the new state, keep the books.

``queue.py`` and ``lifecycle.py`` decide what moves; here it is written, always in this order and
in one transaction: tasks (by id), attempts, tallies, throughput. That order is the order of locks,
so two moves never wait for each other in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runs.dialect import as_list, fetch, run_sql
from runs.models import Run
from runs.states import Outcome, TaskState
from runs.tallies import Counts, current_slot, micro


@dataclass(frozen=True, slots=True)
class Row:
    """A locked task as it stands before a move. ``age``: seconds since its attempt started."""

    id: int
    number: int
    state: TaskState
    percent: float
    attempt: int
    worker_id: int | None
    age: float | None


LOCK = """
SELECT id, number, state, percent, attempt, worker_id, {{age}} FROM runs_task
WHERE run_id = %s AND {condition}
ORDER BY id {{for_update}}
"""
ONE = "number = %s"
WINDOW = "number BETWEEN %s AND %s"
IN_STATE = "state = %s"


def lock(run_id: int, condition: str, *values: object) -> list[Row]:
    """Lock the tasks of a run that meet a condition (``ONE``, ``WINDOW``, ``IN_STATE``), read them.

    Waits for others' locks: what it returns is the newest truth and stays so until the commit.
    """
    found = fetch(LOCK.format(condition=condition), [run_id, *values])
    return [
        Row(id, number, TaskState(state), percent, attempt, worker, age)
        for id, number, state, percent, attempt, worker, age in found
    ]


CLOSE = """
INSERT INTO runs_attempt (run_id, number, attempt, worker_id, started, ended, outcome, error)
SELECT run_id, number, attempt, worker_id, started, {ended}, %s, %s
FROM runs_task WHERE id {in_list}
"""


def close_attempts(rows: Sequence[Row], outcome: Outcome, *, error: str | None = None) -> None:
    """Write down how the open attempts of these tasks ended; tasks without one are passed over."""
    open_ids = [row.id for row in rows if row.state == TaskState.COMPUTING]
    if open_ids:
        run_sql(CLOSE, [outcome, error, as_list(open_ids)])


REQUEUE = """
UPDATE runs_task SET state = 0, worker_id = NULL, percent = COALESCE(%s, percent), updated = {now}
WHERE id {in_list}
"""
LOWER_FLOOR = "UPDATE runs_run SET claim_floor = %s WHERE id = %s AND claim_floor > %s"


def requeue(
    run: Run, rows: Sequence[Row], *, percent: float | None = None, outcome: Outcome, why: str
) -> Counts:
    """Put locked tasks back to waiting and close their attempts.

    Args:
        run: their run.
        rows: the tasks, in any state.
        percent: what they start from; None keeps what each has.
        outcome: how the attempts of those that were computing ended.
        why: the reason, kept on those attempts.

    Returns:
        The change of the run's counts, for ``tallies.add``.
    """
    change = Counts()
    if not rows:
        return change
    for row in rows:
        after = row.percent if percent is None else percent
        change.move(row.state, TaskState.WAITING, before=row.percent, after=after)
    close_attempts(rows, outcome, error=why)
    run_sql(REQUEUE, [percent, as_list([row.id for row in rows])])
    lowest = min(row.number for row in rows)
    run_sql(LOWER_FLOOR, [lowest, run.id, lowest])
    return change


FINISH = """
UPDATE runs_task SET state = %s, percent = COALESCE(%s, percent), updated = {now}
WHERE id {in_list}
"""
OUTCOMES = {
    Outcome.DONE: (TaskState.DONE, 100.0),
    Outcome.FAILED: (TaskState.FAILED, None),
}


def finish(
    rows: Sequence[Row], outcome: Outcome, *, change: Counts, error: str | None = None
) -> Counts:
    """End the attempts of locked, computing tasks: done at 100 %, or failed where they stand.

    Returns:
        ``change``, to which it added its own change of the run's counts.
    """
    end, percent = OUTCOMES[outcome]
    for row in rows:
        after = row.percent if percent is None else percent
        change.move(row.state, end, before=row.percent, after=after)
    close_attempts(rows, outcome, error=error)
    run_sql(FINISH, [end, percent, as_list([row.id for row in rows])])
    return change


BY_HAND = """
UPDATE runs_task SET state = 1, attempt = attempt + 1, started = {now}, updated = {now}
WHERE id = %s
"""


def take_by_hand(row: Row, change: Counts) -> Row:
    """Make a locked, waiting task computing without a worker; notes it in ``change``."""
    run_sql(BY_HAND, [row.id])
    change.move(row.state, TaskState.COMPUTING, before=row.percent, after=row.percent)
    return replace(row, state=TaskState.COMPUTING, attempt=row.attempt + 1, age=0.0)


SET_PERCENT = "UPDATE runs_task SET percent = %s, updated = {now} WHERE id = %s"


def set_percent(row: Row, percent: float) -> Counts:
    """Note the percentage of a locked task that is not done.

    Returns:
        The change of the run's counts: only settled tasks (here: waiting ones) have any.
    """
    run_sql(SET_PERCENT, [percent, row.id])
    settled = row.state != TaskState.COMPUTING
    return Counts(settled_percent=micro(percent) - micro(row.percent) if settled else 0)


THROUGHPUT = """
INSERT INTO runs_throughput AS t (run_id, minute, slot, done, failed, seconds)
VALUES (%s, {minute}, %s, %s, %s, %s)
ON CONFLICT (run_id, minute, slot) DO UPDATE SET
    done = t.done + excluded.done,
    failed = t.failed + excluded.failed,
    seconds = t.seconds + excluded.seconds
"""


def count_throughput(run_id: int, *, done: int = 0, failed: int = 0, seconds: float) -> None:
    """Add ended attempts to the run's present minute."""
    slot, _ = current_slot()
    run_sql(THROUGHPUT, [run_id, slot, done, failed, seconds])
