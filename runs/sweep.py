"""The sweep: gives up lost workers, ends overdue attempts, wakes tasks, closes windows.

No daemon is needed: any exchange sweeps now and then, ``manage.py sweep`` does the same from cron.
Of all processes one at a time sweeps, every few seconds: whoever moves the one row of SweepLock on.
Each step is bounded; what is left over is the next sweep's.
"""

import logging
import time
from dataclasses import dataclass

from django.db import OperationalError, transaction

from runs import lifecycle, moves, steering, tallies
from runs.attempts import Ending
from runs.dialect import as_list, fetch, run_sql
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

_next = 0.0

TURN = "UPDATE runs_sweeplock SET began = {now} WHERE began < {sweep_before}"


@dataclass
class Swept:
    """What a sweep did."""

    lost_workers: int = 0
    lost_tasks: int = 0
    overdue: int = 0
    woken: int = 0
    expired: int = 0
    deleted: int = 0


def sweep_now_and_then() -> Swept | None:
    """Sweep if it is time and nobody else does; never in the way of the call that it rides on."""
    global _next
    now = time.monotonic()
    if now < _next:
        return None
    _next = now + EVERY
    try:
        return sweep() if my_turn() else None
    except OperationalError as error:
        log.warning("The sweep was cut short: %s", error)
        return None


def my_turn() -> bool:
    """Take the next sweep, unless somebody took it within the last seconds."""
    if not SweepLock.objects.exists():
        SweepLock.objects.get_or_create(pk=1)
    return bool(run_sql(TURN, []))


def sweep() -> Swept:
    """Do all steps once."""
    swept = Swept()
    for worker_id in silent_workers():
        lost = give_up(worker_id)
        swept.lost_workers += lost is not None
        swept.lost_tasks += lost or 0
    for run in Run.objects.kept().filter(task_timeout__isnull=False, state="active")[:MOST]:
        swept.overdue += end_overdue(run)
    swept.woken = wake()
    swept.expired = steering.expire_runs()
    swept.deleted = lifecycle.sweep_deleted()
    return swept


SILENT = """
SELECT id FROM runs_worker
WHERE heartbeat IS NOT NULL AND gone IS NULL AND last_seen < {silent_since}
ORDER BY last_seen LIMIT %s
"""


def silent_workers() -> list[int]:
    """The workers that promised a heartbeat and have been silent for three of them."""
    return [row[0] for row in fetch(SILENT, [MOST])]


STILL_SILENT = """
SELECT id FROM runs_worker
WHERE id = %s AND gone IS NULL AND last_seen < {silent_since} {for_update}
"""
RUNS_HELD = "SELECT DISTINCT run_id FROM runs_task WHERE worker_id = %s AND state = 1"


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
        moves.count_throughput(run.id, failed=0, seconds=sum(row.age or 0.0 for row in rows))
    return len(rows), bool(failed)


WHY = {
    Outcome.LOST: "The worker fell silent.",
    Outcome.TIMEOUT: "The attempt took longer than the run allows.",
    Outcome.RELEASED: "The worker gave the task back.",
}


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
WHERE run_id = %s AND state = 0 AND not_before BETWEEN 1 AND {clock}
ORDER BY id LIMIT %s {skip_locked}
"""
WAKE = "UPDATE runs_task SET not_before = 0 WHERE id {in_list}"


def wake() -> int:
    """Let tasks whose backoff is over wait like all others; answers how many."""
    retrying = Run.objects.kept().filter(error_attempts__gt=1, backoff__gt=0, state="active")
    return sum(wake_run(run) for run in retrying[:MOST])


@rerun_on_conflict
def wake_run(run: Run) -> int:
    """Wake the tasks of one run."""
    with transaction.atomic():
        rows = fetch(DUE, [run.id, MOST])
        if rows:
            lowest = min(row[2] for row in rows)
            run_sql(WAKE, [as_list([row[1] for row in rows])])
            run_sql(moves.LOWER_FLOOR, [lowest, run.id, lowest])
    return len(rows)


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
