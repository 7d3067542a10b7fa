"""The mechanics that all transitions share: lock rows, write the new state, keep the books.

``queue.py`` and ``lifecycle.py`` decide what moves; here it is written, always in this order and
in one transaction: tasks (by id), attempts, failures, tallies, throughput. That order is the order
of locks, so two moves never wait for each other in a circle.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from runs import attempts, failures, retries
from runs.attempts import Ending
from runs.dialect import as_list, as_records, as_told, fetch, run_sql
from runs.models import Run
from runs.prepared import Prepared
from runs.states import Outcome, TaskState
from runs.tallies import Counts, micro


class Row(NamedTuple):
    """A locked task as it stands before a move. ``age``: seconds since its attempt started."""

    id: int
    number: int
    state: TaskState
    percent: float
    attempt: int
    worker_id: int | None
    age: float | None
    forgiven: int = 0


STATES = tuple(TaskState)
"""By their number; to look one up here is ten times as fast as to make one."""
ROWS = "SELECT id, number, state, percent, attempt, worker_id, {age}, forgiven FROM runs_task"
LOCK_ONE = Prepared(f"{ROWS} WHERE id = %s {{for_update}}")
LOCK = ROWS + " WHERE run_id = %s AND <condition> ORDER BY id {for_update}"
WINDOW = "id BETWEEN %s AND %s"
IN_STATE = "state = %s"
THESE = "id {in_list}"
HELD_BY = "state = 1 AND worker_id = %s"
OVERDUE = "state = 1 AND started < {long_ago}"
SOME = """id IN (
    SELECT id FROM runs_task WHERE run_id = %s AND state = %s ORDER BY not_before, number LIMIT %s
)"""


def lock(run_id: int, condition: str, *values: object) -> list[Row]:
    """Lock the tasks of a run that meet a condition (``THESE``, ``WINDOW``, …), read them.

    Numbers are given as ids, see ``models.task_id``.

    Waits for others' locks: what it returns is the newest truth and stays so until the commit.
    """
    return as_rows(fetch(LOCK.replace("<condition>", condition), [run_id, *values]))


ANY = "SELECT 1 FROM runs_task WHERE run_id = %s AND <condition> AND state {in_list} LIMIT 1"


def any_of(run_id: int, states: Iterable[TaskState], condition: str, *values: object) -> bool:
    """Whether any task of a run that meets a condition is in one of the states."""
    bound = [run_id, *values, as_list([int(state) for state in states])]
    return bool(fetch(ANY.replace("<condition>", condition), bound))


def lock_one(id: int) -> list[Row]:
    """Lock one task and read it; empty where it is gone. It waits as ``lock`` does."""
    return as_rows(fetch(LOCK_ONE, [id]))


def as_rows(found: list[tuple[Any, ...]]) -> list[Row]:
    """What was fetched as rows."""
    return [Row(id, number, STATES[state], *rest) for id, number, state, *rest in found]


REQUEUE = """
UPDATE runs_task SET state = 0, worker_id = NULL, percent = COALESCE(%s, percent),
    forgiven = attempt, not_before = 0, updated = {now}
WHERE id {in_list}
"""
CANCEL = """
UPDATE runs_task SET state = 4, not_before = 0, updated = {now} WHERE id {in_list}
"""
LOWER_FLOOR = "UPDATE runs_run SET claim_floor = %s WHERE id = %s AND claim_floor > %s"


def requeue(
    run: Run, rows: Sequence[Row], *, percent: float | None = None, outcome: Outcome, why: str
) -> Counts:
    """Put locked tasks back to waiting at a person's wish, and close their attempts.

    What the tasks have spent of their attempts is forgiven.

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
    change.move(states(rows), TaskState.WAITING, percent)
    _close(rows, outcome, why, change)
    _forget_failures(run, rows)
    run_sql(REQUEUE, [percent, as_list([row.id for row in rows])])
    lowest = min(row.number for row in rows)
    run_sql(LOWER_FLOOR, [lowest, run.id, lowest])
    return change


def _close(rows: Sequence[Row], outcome: Outcome, why: str, change: Counts) -> None:
    """Close the open attempts among locked tasks, all in the same way."""
    open_attempts = computing(rows)
    attempts.close(open_attempts, outcome, error=why)
    change.end(outcome, len(open_attempts))


def _forget_failures(run: Run, rows: Sequence[Row]) -> None:
    """Take the failed ones among locked tasks out of the counts by error."""
    gone = failures.of_tasks([row.id for row in rows if row.state == TaskState.FAILED])
    failures.add(run.id, Counter({one: -count for one, count in gone.items()}))


FINISH = Prepared("""
UPDATE runs_task SET state = %s, percent = COALESCE(%s, percent), updated = {now}
WHERE id {in_list}
""")
# A task that has ended keeps when its last attempt really began and ended: the map shows how long.
FINISH_TOLD = """
UPDATE runs_task SET state = %s, percent = COALESCE(%s, percent),
    started = {started_told}, updated = {ended_told}
FROM {told} WHERE runs_task.id = told.id
"""
PUT_OFF = """
UPDATE runs_task SET state = 0, worker_id = NULL, not_before = {clock} + %s, updated = {now}
WHERE id {in_list}
"""
RELEASE = """
UPDATE runs_task SET state = 0, worker_id = NULL, updated = {now} WHERE id {in_list}
"""


def end(run: Run, ended: dict[int, tuple[Row, Ending]], *, change: Counts) -> list[Row]:
    """End the attempts of locked, computing tasks, each in its way, and move the tasks on.

    Done is done; released waits again; a failed, lost or overdue one waits again, after a while,
    as long as the run's policy leaves it an attempt, else it is failed.

    Args:
        run: their run, with its policy.
        ended: id → (task, ending).
        change: takes up the change of the run's counts, for ``tallies.add``.

    Returns:
        The tasks that are failed for good now.
    """
    endings = {id: ending for id, (_, ending) in ended.items()}
    attempts.close_each(endings)
    groups: dict[Outcome, list[Row]] = {}
    for row, ending in ended.values():
        groups.setdefault(ending.outcome, []).append(row)
    failed: list[Row] = []
    for outcome, rows in groups.items():
        change.end(outcome, len(rows))
        if outcome == Outcome.DONE:
            _finish(rows, TaskState.DONE, 100.0, change, endings)
        elif outcome == Outcome.RELEASED:
            _wait_again(run, rows, change)
        else:
            failed += _retry_or_fail(run, rows, outcome, change, endings)
    if failed:
        errors = (attempts.fingerprint(ended[row.id][1].error) for row in failed)
        failures.add(run.id, Counter(errors))
    return failed


def _finish(
    rows: Sequence[Row],
    state: TaskState,
    percent: float | None,
    change: Counts,
    endings: dict[int, Ending] | None = None,
) -> None:
    """Write a final state, and when the attempts that led to it began and ended, if it is told."""
    change.move(states(rows), state, percent)
    times = attempts.told({row.id: endings[row.id] for row in rows}) if endings else None
    if times is None:
        run_sql(FINISH, [state, percent, as_list([row.id for row in rows])])
    else:
        run_sql(FINISH_TOLD, [state, percent, *as_told(times)])


def _wait_again(run: Run, rows: Sequence[Row], change: Counts, delay: int = 0) -> None:
    """Requeue tasks that keep their percentage, at once or after ``delay`` seconds."""
    change.move(states(rows), TaskState.WAITING, None)
    ids = as_list([row.id for row in rows])
    if delay:
        run_sql(PUT_OFF, [delay, ids])
        return
    run_sql(RELEASE, [ids])
    lowest = min(row.number for row in rows)
    run_sql(LOWER_FLOOR, [lowest, run.id, lowest])


def _retry_or_fail(
    run: Run, rows: Sequence[Row], outcome: Outcome, change: Counts, endings: dict[int, Ending]
) -> list[Row]:
    """Requeue the tasks that have an attempt of this kind left; the others are failed."""
    spent = retries.exhausted(run, rows, outcome)
    left: dict[int, list[Row]] = {}
    for row in rows:
        if row.id not in spent:
            left.setdefault(retries.delay(run, row, outcome), []).append(row)
    for delay, together in left.items():
        _wait_again(run, together, change, delay)
    failed = [row for row in rows if row.id in spent]
    if failed:
        _finish(failed, TaskState.FAILED, None, change, endings)
    return failed


def cancel(rows: Sequence[Row], *, why: str) -> Counts:
    """Call locked tasks off that wait or compute; open attempts are closed as cancelled.

    Returns:
        The change of the run's counts, for ``tallies.add``.
    """
    change = Counts()
    _close(rows, Outcome.CANCELLED, why, change)
    change.move(states(rows), TaskState.CANCELLED, None)
    run_sql(CANCEL, [as_list([row.id for row in rows])])
    return change


# As their last attempts have it. One that was cancelled while it waited had no worker.
RESTORE = """
UPDATE runs_task SET worker_id = a.worker_id, started = a.started, updated = a.ended
FROM runs_attempt AS a
WHERE runs_task.id {in_list} AND a.run_id = runs_task.run_id AND a.number = runs_task.number
    AND a.attempt = runs_task.attempt AND (state <> 4 OR a.outcome = 6)
"""


def put_back(run: Run, rows: Sequence[Row], state: TaskState) -> Counts:
    """Take a requeue back: locked, waiting tasks become done, failed or cancelled again.

    Returns:
        The change of the run's counts, for ``tallies.add``.
    """
    change = Counts()
    percent = 100.0 if state == TaskState.DONE else None
    _finish(rows, state, percent, change)
    run_sql(RESTORE, [as_list([row.id for row in rows])])
    if state == TaskState.FAILED:
        failures.add(run.id, failures.of_tasks([row.id for row in rows]))
    return change


def states(rows: Sequence[Row]) -> list[tuple[TaskState, float]]:
    """State and percentage of each, for ``Counts.move``."""
    return [(row.state, row.percent) for row in rows]


def computing(rows: Sequence[Row]) -> list[int]:
    """The ids of those tasks that have an open attempt."""
    return [row.id for row in rows if row.state == TaskState.COMPUTING]


BY_HAND = """
UPDATE runs_task SET state = 1, not_before = 0, attempt = attempt + 1,
    started = {now}, updated = {now}
WHERE id = %s
"""


def take_by_hand(row: Row, change: Counts) -> Row:
    """Make a locked, waiting task computing without a worker; notes it in ``change``."""
    run_sql(BY_HAND, [row.id])
    change.move(states([row]), TaskState.COMPUTING, None)
    return row._replace(state=TaskState.COMPUTING, attempt=row.attempt + 1, age=0.0)


SET_PERCENT = "UPDATE runs_task SET percent = %s, updated = {now} WHERE id = %s"


def set_percent(row: Row, percent: float) -> Counts:
    """Note the percentage of a locked task that is not done.

    Returns:
        The change of the run's counts: only settled tasks (here: waiting ones) have any.
    """
    run_sql(SET_PERCENT, [percent, row.id])
    settled = row.state != TaskState.COMPUTING
    return Counts(settled_percent=micro(percent) - micro(row.percent) if settled else 0)


SET_PERCENTS = """
UPDATE runs_task SET updated = {now}, percent = (
    SELECT told.percent FROM {records} WHERE told.id = runs_task.id
)
WHERE id {in_list}
"""


def set_percents(percents: dict[int, float]) -> None:
    """Note the percentages of many locked, computing tasks: id → percent."""
    rows = [{"id": id, "percent": percent} for id, percent in percents.items()]
    fields = {"id": "bigint", "percent": "float8"}
    statement, value = as_records(SET_PERCENTS, "told", fields, rows)
    run_sql(statement, [value, as_list(list(percents))])
