"""The sweep: gives up lost workers, ends overdue attempts, wakes tasks, closes windows.

No daemon is needed: any exchange sweeps now and then, ``manage.py sweep`` does the same from cron.
Of all processes one at a time sweeps, every few seconds: whoever moves the one row of SweepLock on.
Each step is bounded; what is left over is the next sweep's.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import InterfaceError, InternalError, OperationalError, transaction

from runs import lifecycle, moves, steering, tallies, throughput
from runs.attempts import Ending
from runs.dialect import as_list, fetch, run_sql
from runs.errors import FarmError
from runs.models import Run, SweepLock, Worker
from runs.retrying import rerun_on_conflict
from runs.states import Outcome
from runs.tallies import Counts

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two sweeps of a database."""
MOST = 1000
"""Workers, runs or tasks that one step of one sweep takes on."""
SILENT_AT_LEAST = 30
"""A worker is lost after three of its intervals, and never before so many seconds."""
NOTED = 10
"""Seconds within which a worker's calls are noted once."""

PIECES = 4
"""Pieces of a run that one sweep cancels or deletes: it rides on somebody's call."""
UNDISTURBED = timedelta(minutes=15)
"""A deletion that is so old has been cut short."""
AWAY = 600
"""Seconds without a sweep after which the farm was away, for callers that promised nothing."""

_next = 0.0

TURN = """
UPDATE runs_sweeplock SET began = {now},
    resumed = CASE WHEN began < {long_ago} THEN {now} ELSE resumed END
WHERE began < {sweep_before}
"""


@dataclass
class Swept:
    """What a sweep did; ``failed``: what it passed over, for it could not be done."""

    lost_workers: int = 0
    lost_tasks: int = 0
    overdue: int = 0
    woken: int = 0
    expired: int = 0
    cancelled: int = 0
    deleted: int = 0
    failed: int = 0

    @contextmanager
    def going_on(self, what: str) -> Iterator[None]:
        """Log what fails within, and go on: one row that is bad must not end a sweep.

        Raises:
            OperationalError, InterfaceError, InternalError: the database is away or takes no
                writes, so that what comes after would fail, too.
        """
        try:
            yield
        except (OperationalError, InterfaceError, InternalError):
            raise
        except Exception:
            self.failed += 1
            log.exception("The sweep passed over %s", what)


def sweep_now_and_then(heartbeat: float | None) -> Swept | None:
    """Sweep if it is time and nobody else does; never in the way of the call that it rides on.

    Args:
        heartbeat: the seconds between signs of life that the caller promised, if it did.
    """
    global _next
    now = time.monotonic()
    if now < _next:
        return None
    _next = now + EVERY
    try:
        return sweep() if my_turn(heartbeat) else None
    # A claim that it rides on is made: nothing may refuse it now. InternalError: PostgreSQL takes
    # no writes.
    except (FarmError, OperationalError, InternalError) as error:
        log.warning("The sweep was cut short: %s", error)
        return None


def my_turn(heartbeat: float | None = None) -> bool:
    """Take the next sweep, unless somebody took it within the last seconds.

    Where the last one is so long ago that the caller would be lost by now, had it been silent since
    then of its own accord, the farm itself was away; so nobody else's silence counts from before,
    and a thousand workers that come back one after the other find their tasks still theirs.
    """
    if not SweepLock.objects.exists():
        SweepLock.objects.get_or_create(pk=1)
    away = AWAY if heartbeat is None else max(SILENT_AT_LEAST, 3 * heartbeat)
    return bool(run_sql(TURN, [away]))


def is_heard() -> bool:
    """Whether workers reach the farm these days: one of their calls swept within the last minute.

    Where none does, their silence tells nothing: the web server may be away while the database and
    a sweep from cron are not. Their tasks lose no time by that, for there is nobody to take them.
    """
    return bool(fetch("SELECT 1 FROM runs_sweeplock WHERE began > {a_minute_ago}", []))


def sweep(*, give_up_silent: bool = True) -> Swept:
    """Do all steps once; those that take time go a part of their way.

    Args:
        give_up_silent: whether silent workers are given up; see ``is_heard``.
    """
    began = time.monotonic()
    swept = Swept()
    steps = (_end_overdue_runs, _wake, _expire, _finish_cancelled, _finish_deleted)
    for step in (_give_up_silent, *steps) if give_up_silent else steps:
        with swept.going_on(f"the step {step.__name__}"):
            step(swept)
    lasted = time.monotonic() - began
    run_sql(COUNT_SWEEP, [AGES, AGES, lasted, lasted])
    return swept


def _give_up_silent(swept: Swept) -> None:
    """Give up the silent workers."""
    for worker_id in silent_workers():
        with swept.going_on(f"worker {worker_id}"):
            lost = give_up(worker_id)
            swept.lost_workers += lost is not None
            swept.lost_tasks += lost or 0


def _end_overdue_runs(swept: Swept) -> None:
    """End what takes longer than its run allows."""
    for (run_id,) in fetch(OVERDUE, [MOST]):
        with swept.going_on(f"what is overdue of run {run_id}"):
            swept.overdue += end_overdue(Run.objects.get(pk=run_id))


def _wake(swept: Swept) -> None:
    """Wake the tasks whose backoff is over."""
    swept.woken = wake()


def _expire(swept: Swept) -> None:
    """Close the runs whose time is up."""
    for run_id in steering.late_runs():
        with swept.going_on(f"the window of run {run_id}"):
            steering.expire(run_id)
            swept.expired += 1


def _finish_cancelled(swept: Swept) -> None:
    """Go on with cancelling, some pieces in all."""
    left = steering.PIECES
    for run_id in steering.cancelled_runs():
        if not left:
            break
        with swept.going_on(f"the cancelled run {run_id}"):
            called_off, pieces = steering.go_on_cancelling(run_id, left)
            swept.cancelled += called_off
            left -= pieces


def _finish_deleted(swept: Swept) -> None:
    """Go on with a deletion that was cut short."""
    swept.deleted = lifecycle.sweep_deleted(after=UNDISTURBED, pieces=PIECES)


AGES = 10 * 365 * 86_400
"""Seconds: where no worker has ever called, a sweep from cron is not to look like one of theirs."""
COUNT_SWEEP = """
INSERT INTO runs_sweeplock AS s
    (id, began, resumed, ended, sweeps, seconds, last_seconds, lost_workers)
VALUES (1, {long_ago}, {long_ago}, {now}, 1, %s, %s, 0)
ON CONFLICT (id) DO UPDATE SET
    ended = excluded.ended, sweeps = s.sweeps + 1, seconds = s.seconds + excluded.seconds,
    last_seconds = excluded.last_seconds
"""

SILENT = """
SELECT id FROM runs_worker
WHERE heartbeat IS NOT NULL AND gone IS NULL
    AND last_seen < {half_a_minute_ago} AND last_seen < {silent_since}
    AND NOT EXISTS (SELECT 1 FROM runs_sweeplock WHERE resumed >= {silent_since})
ORDER BY last_seen LIMIT %s
"""


def bears(heartbeat: int) -> timedelta:
    """After how long a silence a worker counts as lost, as in ``silent_since``.

    Args:
        heartbeat: the seconds between signs of life that it promised.
    """
    return timedelta(seconds=max(SILENT_AT_LEAST, 3 * heartbeat) + NOTED)


def silent_workers() -> list[int]:
    """The workers that promised a heartbeat and have been silent for three of them."""
    return [row[0] for row in fetch(SILENT, [MOST])]


STILL_SILENT = """
SELECT id FROM runs_worker
WHERE id = %s AND gone IS NULL AND last_seen < {silent_since} {for_update}
"""
# Last in its transaction, so that whose turn it is waits for no more than its commit.
COUNT_LOST = "UPDATE runs_sweeplock SET lost_workers = lost_workers + 1"
RUNS_HELD = """
SELECT DISTINCT run_id FROM runs_task WHERE worker_id = %s AND state = 1 ORDER BY run_id
"""


@rerun_on_conflict
def give_up(worker_id: int) -> int | None:
    """Requeue what a silent worker holds, with cause lost.

    Tasks are locked first, the worker last, as everywhere; if it has spoken meanwhile, or another
    sweep was faster, nothing is changed.

    Returns:
        How many tasks it held; None where it was not lost after all.
    """
    ended = 0
    failed: list[Run] = []
    with transaction.atomic():
        for (run_id,) in fetch(RUNS_HELD, [worker_id]):
            run = Run.objects.get(pk=run_id)
            count, hopeless = end_all(run, moves.HELD_BY, worker_id, outcome=Outcome.LOST)
            ended += count
            failed += [run] if hopeless else []
        if not fetch(STILL_SILENT, [worker_id]):
            transaction.set_rollback(True)
            return None
        run_sql("UPDATE runs_worker SET gone = {now} WHERE id = %s", [worker_id])
        run_sql(COUNT_LOST, [])
    for run in failed:
        steering.enforce_policy(run, failed=True)
    return ended


def end_all(run: Run, condition: str, *values: object, outcome: Outcome) -> tuple[int, bool]:
    """End the attempts at all computing tasks that meet a condition, in the same way.

    Returns:
        How many there were, and whether any is failed for good.
    """
    rows = moves.lock(run.id, condition, *values)
    change = Counts()
    ending = Ending(outcome, error=WHY[outcome])
    failed = moves.end(run, {row.id: (row, ending) for row in rows}, change=change)
    if rows:
        tallies.add(run.id, change)
        throughput.count(run.id, failed=0, seconds=sum(row.age or 0.0 for row in rows))
    return len(rows), bool(failed)


WHY = {
    Outcome.LOST: "The worker fell silent.",
    Outcome.TIMEOUT: "The attempt took longer than the run allows.",
    Outcome.RELEASED: "The worker gave the task back.",
}


# All tasks in hand lie in the small index task_held.
OVERDUE = """
SELECT DISTINCT t.run_id FROM runs_task AS t JOIN runs_run AS r ON r.id = t.run_id
WHERE t.state = 1 AND r.task_timeout IS NOT NULL AND r.deleted IS NULL
    AND t.started < {timed_out}
LIMIT %s
"""


def end_overdue(run: Run) -> int:
    """End the attempts that take longer than the run allows; answers how many."""
    count, failed = _end_overdue(run)
    if failed:
        steering.enforce_policy(run, failed=True)
    return count


@rerun_on_conflict
def _end_overdue(run: Run) -> tuple[int, bool]:
    """End them in a transaction of its own."""
    with transaction.atomic():
        return end_all(run, moves.OVERDUE, run.task_timeout, outcome=Outcome.TIMEOUT)


DUE = """
SELECT run_id, id, number FROM runs_task
WHERE state = 0 AND not_before > 0 AND not_before <= {clock}
ORDER BY not_before LIMIT %s {skip_locked}
"""
WAKE = "UPDATE runs_task SET not_before = 0 WHERE id {in_list}"


@rerun_on_conflict
def wake() -> int:
    """Let tasks whose backoff is over wait like all others; answers how many."""
    with transaction.atomic():
        rows = fetch(DUE, [MOST])
        lowest: dict[int, int] = {}
        for run_id, _, number in rows:
            lowest[run_id] = min(number, lowest.get(run_id, number))
        if rows:
            run_sql(WAKE, [as_list([row[1] for row in rows])])
        for run_id in sorted(lowest):
            run_sql(moves.LOWER_FLOOR, [lowest[run_id], run_id, lowest[run_id]])
    return len(rows)


@rerun_on_conflict
def let_go(worker: Worker, run_id: int) -> int:
    """Release what a worker holds of a run that its user may not see any more; how many tasks.

    Its reports on them are not taken, and as long as it shows that it lives they would be held.
    """
    with transaction.atomic():
        run = Run.objects.filter(pk=run_id, deleted=None).first()
        if run is None:
            return 0
        return end_all(run, moves.HELD_BY, worker.id, outcome=Outcome.RELEASED)[0]


@rerun_on_conflict
def sign_off(worker: Worker) -> int:
    """A worker says good-bye: what it holds waits again; answers how many tasks."""
    released = 0
    with transaction.atomic():
        for (run_id,) in fetch(RUNS_HELD, [worker.id]):
            run = Run.objects.get(pk=run_id)
            count, _ = end_all(run, moves.HELD_BY, worker.id, outcome=Outcome.RELEASED)
            released += count
        run_sql("UPDATE runs_worker SET gone = {now} WHERE id = %s", [worker.id])
    return released
