"""The queue: claims hand tasks out, reports bring them back. The hot path of the farm.

Claim: waiting → computing, lowest number first, under row locks with SKIP LOCKED: two workers never
get the same task and never wait for each other. Report: progress, done or failed, only for the
attempt that holds the task; anything later is stale, refused and counted.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import moves, tallies
from runs.dialect import as_list, fetch, run_sql
from runs.errors import RunNotFound, StaleReport, StateConflict, TaskNotFound
from runs.models import Run, Worker
from runs.retrying import rerun_on_conflict
from runs.states import Outcome, RunState, TaskState
from runs.tallies import Counts

FLOOR_STEP = 500
"""How far claims get ahead of the floor before it is raised: a claim walks over at most so many
dead index entries (some 20 µs), and the run's row is rewritten once in so many claims."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One task handed to a worker.

    ``id`` is its row's, ``number`` the one in the run, ``percent`` what an earlier attempt got
    done, ``attempt`` the number of this attempt, from 1.
    """

    id: int
    number: int
    percent: float
    attempt: int


# The subquery is materialized, else the planner may run it once per row and claim more than it
# should. The row locks are taken in the order of the numbers, which is that of the ids. The pairs
# are compared as pairs so that only the index task_by_state can serve: with state = 0 beside
# number >= %s the planner may take the index of the numbers, while its statistics are behind, and
# walk over a million finished tasks to find a waiting one.
TAKE = """
WITH picked AS {materialized} (
    SELECT id FROM runs_task
    WHERE run_id = %s AND (state, number) >= (0, %s) AND (state, number) < (0, %s)
    ORDER BY state, number LIMIT %s {skip_locked}
)
UPDATE runs_task SET
    state = 1, attempt = attempt + 1, worker_id = %s, started = {now}, updated = {now}
WHERE id IN (SELECT id FROM picked)
RETURNING id, number, percent, attempt
"""
RAISE_FLOOR = "UPDATE runs_run SET claim_floor = %s WHERE id = %s AND claim_floor = %s"
NOTE_START = "UPDATE runs_run SET started = {now} WHERE id = %s AND started IS NULL"


def claim(*, run: Run, worker: Worker, want: int = 1) -> list[Claim]:
    """Hand up to ``want`` waiting tasks of the run to the worker, lowest numbers first.

    Returns:
        The claimed tasks in the order of their numbers; empty where nothing waits, or where the
        run is paused or cancelled.
    """
    if run.state != RunState.ACTIVE or want < 1:
        return []
    claims = _take(run, worker, run.claim_floor, run.num_tasks, want)
    if claims:
        _raise_floor(run, claims[0].number)
    elif run.claim_floor > 0 and tallies.read(run.id).waiting > 0:
        # The floor is a hint: before the answer is "nothing", look below it.
        claims = _take(run, worker, 0, run.claim_floor, want)
    return claims


@rerun_on_conflict
def _take(run: Run, worker: Worker, first: int, end: int, want: int) -> list[Claim]:
    """Claim from the numbers ``first`` to ``end - 1``, in a transaction of its own."""
    with transaction.atomic():
        rows = fetch(TAKE, [run.id, first, end, want, worker.id])
        if not rows:
            return []
        claims = sorted((Claim(*row) for row in rows), key=lambda one: one.number)
        settled = sum(tallies.micro(one.percent) for one in claims)
        count = len(claims)
        tallies.add(run.id, Counts(waiting=-count, computing=count, settled_percent=-settled))
        if run.started is None:
            run_sql(NOTE_START, [run.id])
    return claims


def _raise_floor(run: Run, lowest: int) -> None:
    """Raise the floor to ``lowest`` where it lags far behind.

    After the claim's commit, so that no claim ever holds a lock on the run's row; and only if it
    is still what this claim saw, so that a requeue that lowered it meanwhile wins.
    """
    if lowest - run.claim_floor >= FLOOR_STEP:
        run_sql(RAISE_FLOOR, [lowest, run.id, run.claim_floor])


# The whole of a worker's most frequent call in one statement; its condition on the run is that of
# RunQuerySet.visible_to.
NOTE_PROGRESS = """
UPDATE runs_task SET percent = %s, updated = {now}
WHERE state = 1 AND number = %s AND run_id = (
    SELECT id FROM runs_run
    WHERE uuid = %s AND deleted IS NULL AND (owner_id = %s OR %s OR group_id {in_list})
)
"""


def note_progress(*, user: Any, run_uuid: UUID, number: int, percent: float) -> bool:
    """Note progress of a computing task, if the user may work on its run.

    Returns:
        False where there is no such run or task, or the task is not computing: then nothing was
        changed, and ``report_progress`` tells why, or takes it.
    """
    given = [percent, number, run_uuid.hex, user.pk, user.is_staff, as_list(user.group_ids)]
    return bool(run_sql(NOTE_PROGRESS, given))


PROGRESS = """
UPDATE runs_task SET percent = %s, updated = {now}
WHERE run_id = %s AND number = %s AND state = 1
"""


def report_progress(*, run: Run, number: int, percent: float) -> None:
    """Note how far the current attempt at a task has got, in percent of the task.

    Raises:
        TaskNotFound: the number is outside the run.
        StaleReport: nobody computes the task any more: it is done, failed or cancelled.
    """
    check_number(run, number)
    if run_sql(PROGRESS, [percent, run.id, number]):
        return
    _settle_progress(run, number, percent)


@rerun_on_conflict
def _settle_progress(run: Run, number: int, percent: float) -> None:
    """Progress of a task that was not computing a moment ago: a waiting one takes it, too."""
    with transaction.atomic():
        row = lock_one(run, number)
        accepted = row.state in (TaskState.WAITING, TaskState.COMPUTING)
        repeated_last_word = row.state == TaskState.DONE and percent == 100
        if accepted:
            tallies.add(run.id, moves.set_percent(row, percent))
        elif not repeated_last_word:
            tallies.add(run.id, Counts(stale=1))
    if not accepted and not repeated_last_word:
        raise stale(row, f"{percent:g} %")


def check_number(run: Run, number: int) -> None:
    """Refuse a number outside the run, before the database meets one that it cannot hold.

    Raises:
        TaskNotFound: it is outside.
    """
    if not 0 <= number < run.num_tasks:
        raise TaskNotFound(number, run.num_tasks)


def lock_one(run: Run, number: int) -> moves.Row:
    """Lock one task.

    Raises:
        TaskNotFound: the number is outside the run.
        RunNotFound: the run has been deleted meanwhile.
    """
    check_number(run, number)
    rows = moves.lock(run.id, moves.ONE, number)
    if not rows:
        raise RunNotFound(run.uuid.hex)
    return rows[0]


def stale(row: moves.Row, what: str) -> StaleReport:
    """The refusal of a report that came too late; the caller has counted it."""
    return StaleReport(
        f"Task {row.number} is {row.state.label}, so {what} was not noted: the attempt that this "
        "report belongs to is over. Restart the task if it is to be computed again."
    )


@rerun_on_conflict
def report_outcome(*, run: Run, number: int, outcome: Outcome, error: str | None = None) -> None:
    """Note that the current attempt at a task ended: done, or failed with ``error``.

    A repeated report of the same outcome is accepted as before and changes nothing. A waiting task
    may be reported done, too: that is how a script marks what was computed elsewhere; it counts as
    an attempt without a worker.

    Raises:
        TaskNotFound: the number is outside the run.
        StaleReport: the task ended otherwise meanwhile.
    """
    end, _ = moves.OUTCOMES[outcome]
    with transaction.atomic():
        row = lock_one(run, number)
        accepted = row.state in (TaskState.WAITING, TaskState.COMPUTING)
        if accepted:
            _end_attempt(run, row, outcome, error)
        elif row.state != end:
            tallies.add(run.id, Counts(stale=1))
    if not accepted and row.state != end:
        raise stale(row, f"the outcome {outcome.label}")


def _end_attempt(run: Run, row: moves.Row, outcome: Outcome, error: str | None) -> None:
    """Finish a locked task, taking it by hand first where it still waits, and keep the books."""
    change = Counts()
    if row.state == TaskState.WAITING:
        row = moves.take_by_hand(row, change)
    tallies.add(run.id, moves.finish([row], outcome, change=change, error=error))
    moves.count_throughput(
        run.id,
        done=int(outcome == Outcome.DONE),
        failed=int(outcome == Outcome.FAILED),
        seconds=row.age or 0.0,
    )


@rerun_on_conflict
def begin_by_hand(*, run: Run, number: int, percent: float | None = None) -> None:
    """Mark one task as computing without a worker: the documented PUT of ``computing``.

    A task that is computing already stays with its worker and only takes the percentage.

    Raises:
        TaskNotFound: the number is outside the run.
        StateConflict: the task is done, failed or cancelled: it must be restarted first.
    """
    with transaction.atomic():
        row = lock_one(run, number)
        if row.state not in (TaskState.WAITING, TaskState.COMPUTING):
            raise StateConflict(
                f"Task {number} is {row.state.label}: "
                "set it to waiting before it is computed again."
            )
        change = Counts()
        if row.state == TaskState.WAITING:
            row = moves.take_by_hand(row, change)
        if percent is not None:
            moves.set_percent(row, percent)
        tallies.add(run.id, change)
