"""The queue: claims hand tasks out, reports bring them back. The hot path of the farm.

Claim: waiting → computing, lowest number first, under row locks with SKIP LOCKED: two workers never
get the same task and never wait for each other. Report: progress, done or failed, only for the
attempt that holds the task; anything later is stale, refused and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from runs import attempts, moves, tallies, throughput
from runs.attempts import Ending
from runs.dialect import as_list, database_now, fetch, run_sql
from runs.errors import RunNotFound, StaleReport, StateConflict, TaskNotFound
from runs.models import Run, Worker, task_id
from runs.prepared import Prepared
from runs.retrying import rerun_on_conflict
from runs.states import Outcome, RunState, TaskState
from runs.tallies import Counts

FLOOR_STEP = 500
"""How far claims get ahead of the floor before it is raised: a claim walks over at most so many
dead index entries (some 20 µs), and the run's row is rewritten once in so many claims."""


class Claim(NamedTuple):
    """One task handed to a worker.

    ``id`` is its row's, ``number`` the one in the run, ``percent`` what an earlier attempt got
    done, ``attempt`` the number of this attempt, from 1.
    """

    id: int
    number: int
    percent: float
    attempt: int


# The subquery is materialized, else the planner may run it once per row and claim more than it
# should. The row locks are taken in the order of the numbers, which is that of the ids. The columns
# are compared together so that only the index task_in_state can serve: with state = 0 beside
# number >= %s the planner may take the index of the numbers, while its statistics are behind, and
# walk over a million finished tasks to find a waiting one.
TAKE = """
WITH picked AS {{materialized}} (
    SELECT id FROM runs_task WHERE run_id = %s AND {condition}
    ORDER BY state, not_before, number LIMIT %s {{skip_locked}}
)
UPDATE runs_task SET state = 1, not_before = 0, attempt = attempt + 1, worker_id = %s,
    started = {{now}}, updated = {{now}}
WHERE id {{among_picked}}
RETURNING id, number, percent, attempt
"""
KEY = "(state, not_before, number)"
READY = TAKE.format(condition=f"{KEY} >= (0, 0, %s) AND {KEY} < (0, 0, %s)")
# Tasks whose backoff is over. They come after the others, unless a sweep has made them ready.
DUE = TAKE.format(
    condition=f"{KEY} >= (0, 1, 0) AND (state, not_before) <= (0, {{clock}}) AND number < %s"
)
RAISE_FLOOR = "UPDATE runs_run SET claim_floor = %s WHERE id = %s AND claim_floor = %s"
NOTE_START = "UPDATE runs_run SET started = {now} WHERE id = %s AND started IS NULL"


def claim(*, run: Run, worker: Worker, want: int = 1) -> list[Claim]:
    """Hand up to ``want`` waiting tasks of the run to the worker, lowest numbers first.

    Returns:
        The claimed tasks in the order of their numbers; empty where nothing waits, or where the
        run is paused, cancelled or outside its window.
    """
    return exchange(run=run, worker=worker, want=want).claims


def hands_out(run: Run) -> bool:
    """Whether the run hands out tasks now: it is active and inside its window."""
    if run.state != RunState.ACTIVE:
        return False
    if run.start_after is None and run.expire_at is None:
        return True
    now = database_now()
    begun = run.start_after is None or run.start_after <= now
    return begun and (run.expire_at is None or now < run.expire_at)


def claim_end(run: Run) -> int:
    """The number before which tasks are handed out: the canaries' while they are not through."""
    if run.released or run.canary_tasks is None:
        return run.num_tasks
    return min(run.canary_tasks, run.num_tasks)


class Report(NamedTuple):
    """A worker's word on one of its attempts: how far it is, or how it ended."""

    number: int
    attempt: int
    percent: float | None = None
    ending: Ending | None = None


@dataclass
class Exchanged:
    """What an exchange did: tasks handed out, reports refused, tasks failed for good, counts."""

    claims: list[Claim] = field(default_factory=list)
    stale: list[Report] = field(default_factory=list)
    failed: list[moves.Row] = field(default_factory=list)
    ended: int = 0


@rerun_on_conflict
def exchange(
    *, run: Run, worker: Worker, reports: Sequence[Report] = (), want: int = 0
) -> Exchanged:
    """Take a worker's reports in and hand tasks out, in one transaction.

    Reports name their attempt, and count only if it still is the task's current one and this
    worker's. One that has been recorded before is accepted again, so that a worker whose answer
    was lost may repeat itself. Anything else is stale: counted, never applied.
    """
    done = Exchanged()
    change, totals = Counts(), Ended()
    claiming = want > 0 and hands_out(run)
    with transaction.atomic():
        if reports:
            _take_reports(run, worker, reports, done, change, totals)
        if claiming:
            done.claims = _take(run, worker, want, change)
        if change != Counts():
            tallies.add(run.id, change)
        if totals.count:
            throughput.count(run.id, done=totals.done, failed=totals.failed, seconds=totals.seconds)
    done.ended = totals.count
    if done.claims:
        _note_claims(run, done.claims)
    return done


@dataclass
class Ended:
    """What the attempts that ended in an exchange add up to."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    count: int = 0

    def note(self, ending: Ending, age: float) -> None:
        """Count one attempt; ``age``: seconds since it was handed out. It took no longer."""
        self.count += 1
        self.done += ending.outcome == Outcome.DONE
        self.failed += ending.outcome == Outcome.FAILED
        self.seconds += age if ending.took is None else min(ending.took, age)


def _take_reports(
    run: Run,
    worker: Worker,
    reports: Sequence[Report],
    done: Exchanged,
    change: Counts,
    totals: Ended,
) -> None:
    """Lock the reported tasks, sort the reports, apply those that count."""
    numbers = sorted({one.number for one in reports if 0 <= one.number < run.num_tasks})
    ids = as_list([task_id(run.id, number) for number in numbers])
    rows = {row.number: row for row in moves.lock(run.id, moves.THESE, ids)}
    ended: dict[int, tuple[moves.Row, Ending]] = {}
    moved: dict[int, float] = {}
    late: list[Report] = []
    for one in reports:
        row = rows.get(one.number)
        if row is None or not holds(worker, row, one) or row.id in ended:
            late.append(one)
        elif one.ending is not None:
            moved.pop(row.id, None)
            if one.percent is not None and one.ending.outcome != Outcome.DONE:
                moved[row.id] = one.percent
                row = row._replace(percent=one.percent)
            ended[row.id] = (row, one.ending)
            totals.note(one.ending, row.age or 0.0)
        elif one.percent is not None:
            moved[row.id] = one.percent
    if moved:
        moves.set_percents(moved)
    if ended:
        done.failed = moves.end(run, ended, change=change)
    done.stale = _really_stale(run, worker, late, ended)
    change.stale += len(done.stale)


def holds(worker: Worker, row: moves.Row, report: Report) -> bool:
    """Whether the report speaks of the task's current attempt, and from its worker."""
    return (
        row.state == TaskState.COMPUTING
        and row.attempt == report.attempt
        and row.worker_id == worker.id
    )


def _really_stale(
    run: Run,
    worker: Worker,
    late: list[Report],
    ended: dict[int, tuple[moves.Row, Ending]],
) -> list[Report]:
    """Of the reports that did not count, those that are no repetition of one that did."""
    if not late:
        return []
    known = attempts.recorded(run.id, worker.id, [(one.number, one.attempt) for one in late])
    return [
        one
        for one in late
        if (one.number, one.attempt) not in known
        or (one.ending is not None and known[one.number, one.attempt] != one.ending.outcome)
    ]


def _take(run: Run, worker: Worker, want: int, change: Counts) -> list[Claim]:
    """Claim in the transaction of the caller: from the floor on, then below it, then what is due.

    The floor is a hint: before the answer is "nothing", a claim looks below it. Where the counts
    say that nothing waits it need not look at all.
    """
    end = claim_end(run)
    rows = fetch(READY, [run.id, run.claim_floor, end, want, worker.id])
    if not rows and tallies.read(run.id).waiting + change.waiting > 0:
        if run.claim_floor > 0:
            rows = fetch(READY, [run.id, 0, min(run.claim_floor, end), want, worker.id])
        if not rows:
            rows = fetch(DUE, [run.id, end, want, worker.id])
    claims = sorted((Claim(*row) for row in rows), key=lambda one: one.number)
    change.waiting -= len(claims)
    change.computing += len(claims)
    change.settled_percent -= sum(tallies.micro(one.percent) for one in claims)
    return claims


def _note_claims(run: Run, claims: list[Claim]) -> None:
    """After the commit of a claim: note the run's start, and raise the floor where it lags.

    After it, so that no claim ever holds a lock on the run's row. The floor is raised only if it is
    still what this claim saw, so that a requeue that lowered it meanwhile wins.
    """
    if run.started is None:
        run_sql(NOTE_START, [run.id])
    lowest = claims[0].number
    if lowest - run.claim_floor >= FLOOR_STEP:
        run_sql(RAISE_FLOOR, [lowest, run.id, run.claim_floor])


# The whole of a worker's most frequent call in one statement; its condition on the run is that of
# RunQuerySet.visible_to. A percentage is no state: should the database's machine lose its power,
# those of the last half second may be older ones, and no call waits for the disk. (state + 0: no
# index of the computing tasks is to serve, however few they were when this was planned.)
NOTE_PROGRESS = Prepared("""
UPDATE runs_task SET percent = %s, updated = {now}
WHERE state + 0 = 1 AND id = %s + (
    SELECT id * 4294967296 FROM runs_run
    WHERE uuid = %s AND deleted IS NULL AND (owner_id = %s OR %s OR group_id {in_list})
) AND {unhurried}
""")


def note_progress(*, user: Any, run_uuid: UUID, number: int, percent: float) -> bool:
    """Note progress of a computing task, if the user may work on its run.

    Returns:
        False where there is no such run or task, or the task is not computing: then nothing was
        changed, and ``report_progress`` tells why, or takes it.
    """
    given = [percent, number, run_uuid.hex, user.pk, user.is_staff, as_list(user.group_ids)]
    return bool(run_sql(NOTE_PROGRESS, given))


PROGRESS = Prepared("""
UPDATE runs_task SET percent = %s, updated = {now}
WHERE id = %s AND state + 0 = 1 AND {unhurried}
""")


def report_progress(*, run: Run, number: int, percent: float) -> None:
    """Note how far the current attempt at a task has got, in percent of the task.

    Raises:
        TaskNotFound: the number is outside the run.
        StaleReport: nobody computes the task any more: it is done, failed or cancelled.
    """
    check_number(run, number)
    if run_sql(PROGRESS, [percent, task_id(run.id, number)]):
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
    rows = moves.lock_one(task_id(run.id, number))
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
    end = {Outcome.DONE: TaskState.DONE, Outcome.FAILED: TaskState.FAILED}[outcome]
    with transaction.atomic():
        row = lock_one(run, number)
        accepted = row.state in (TaskState.WAITING, TaskState.COMPUTING)
        if accepted:
            _end_attempt(run, row, Ending(outcome, error=error))
        elif row.state != end:
            tallies.add(run.id, Counts(stale=1))
    if not accepted and row.state != end:
        raise stale(row, f"the outcome {outcome.label}")


def _end_attempt(run: Run, row: moves.Row, ending: Ending) -> None:
    """End the attempt at a locked task, taking it by hand first where it waits; keep the books."""
    change = Counts()
    if row.state == TaskState.WAITING:
        row = moves.take_by_hand(row, change)
    moves.end(run, {row.id: (row, ending)}, change=change)
    tallies.add(run.id, change)
    throughput.count(
        run.id,
        done=int(ending.outcome == Outcome.DONE),
        failed=int(ending.outcome == Outcome.FAILED),
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
