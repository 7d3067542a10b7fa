"""Exact counts of a run, kept up with every transition, read in O(1).

Tasks by state, and attempts by how they ended.

Each writer adds its change to a slot of its own, in the transaction that moves the tasks, so
there is no hot row; a read sums the slots. A slot is left for a fresh one after some hundred
writes: while somebody holds an old snapshot open (any ``pg_dump`` does) PostgreSQL cannot drop the
versions that a row leaves behind, and finding the newest of 100,000 versions would slow every
claim. ``fold`` puts the slots of quiet writers together again.
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime

from django.db import connection, transaction

from runs.dialect import as_datetime, as_list, fetch, run_sql
from runs.models import Tally
from runs.prepared import Prepared
from runs.states import Outcome, TaskState

MILLION = 1_000_000
SLOT_LIFETIME = 500
"""Writes of this process before it takes a fresh slot."""
FOLD_ABOVE = 64
"""A run with more slots than this is worth folding."""

COLUMNS = (
    "waiting", "computing", "done", "failed", "cancelled", "settled_percent", "stale",
    "ended_done", "ended_failed", "ended_lost", "ended_timeout", "ended_released",
    "ended_cancelled",
)  # fmt: skip
ADD = Prepared(f"""
INSERT INTO runs_tally AS t (run_id, slot, {", ".join(COLUMNS)}, updated)
VALUES (%s, %s, {", ".join(["%s"] * len(COLUMNS))}, {{now}})
ON CONFLICT (run_id, slot) DO UPDATE SET
    {", ".join(f"{name} = t.{name} + excluded.{name}" for name in COLUMNS)},
    updated = excluded.updated
""")


@dataclass
class Counts:
    """How many tasks of a run are in which state, or by how many that changes.

    ``settled_percent`` sums the percentages of the tasks that are not computing, in millionths of
    a percent, so that sums are exact; progress of a computing task is no transition and costs no
    write here. ``stale`` counts refused reports, ``ended_…`` the attempts by their outcome.
    """

    waiting: int = 0
    computing: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    settled_percent: int = 0
    stale: int = 0
    ended_done: int = 0
    ended_failed: int = 0
    ended_lost: int = 0
    ended_timeout: int = 0
    ended_released: int = 0
    ended_cancelled: int = 0

    @property
    def total(self) -> int:
        """All tasks of the run."""
        return self.waiting + self.computing + self.done + self.failed + self.cancelled

    @property
    def over(self) -> bool:
        """Nothing waits and nothing computes."""
        return self.waiting + self.computing == 0

    def of(self, state: TaskState) -> int:
        """The count of one state."""
        return int(getattr(self, state.label))

    def ended(self, outcome: Outcome) -> int:
        """How many attempts ended so."""
        return int(getattr(self, f"ended_{outcome.label}"))

    def end(self, outcome: Outcome, attempts: int) -> None:
        """Note that so many attempts ended so."""
        setattr(self, f"ended_{outcome.label}", self.ended(outcome) + attempts)

    def move(
        self, tasks: list[tuple[TaskState, float]], end: TaskState, percent: float | None
    ) -> None:
        """Note that tasks, each in its state at its percentage, went to ``end``.

        Args:
            tasks: state and percentage of each.
            end: where they went.
            percent: what all have there; None: each keeps its own.
        """
        for start, count in Counter([start for start, _ in tasks]).items():
            setattr(self, start.label, self.of(start) - count)
        setattr(self, end.label, self.of(end) + len(tasks))
        settled = [micro(own) for start, own in tasks if start != TaskState.COMPUTING]
        self.settled_percent -= sum(settled)
        if end == TaskState.COMPUTING:
            return
        if percent is None:
            self.settled_percent += sum([micro(own) for _, own in tasks])
        else:
            self.settled_percent += len(tasks) * micro(percent)


def micro(percent: float) -> int:
    """A percentage in whole millionths of a percent, rounded down as the recount in SQL does."""
    return int(percent * MILLION)


class _Slot(threading.local):
    """The present slot of this thread: two that share one would wait for each other."""

    number = 0
    left = 0
    pid = 0


_slot = _Slot()


def current_slot() -> tuple[int, bool]:
    """This thread's slot, and whether it is a fresh one: it is after ``SLOT_LIFETIME`` writes."""
    fresh = _slot.left <= 0 or _slot.pid != os.getpid()
    if fresh:
        _slot.number = random.SystemRandom().randrange(1, 2**31)
        _slot.left = SLOT_LIFETIME
        _slot.pid = os.getpid()
    _slot.left -= 1
    return _slot.number, fresh


def add(run_id: int, change: Counts) -> None:
    """Add a change to the run's counts; call it in the transaction that makes the change."""
    slot, fresh = current_slot()
    run_sql(ADD, [run_id, slot, *(getattr(change, name) for name in COLUMNS)])
    if fresh:
        transaction.on_commit(lambda: fold_if_many(run_id))


def read(run_id: int) -> Counts:
    """The run's counts by state, in one query whatever the number of tasks."""
    return read_many([run_id]).get(run_id, Counts())


def read_many(run_ids: list[int]) -> dict[int, Counts]:
    """The counts of several runs in one query."""
    return {run_id: kept.counts for run_id, kept in look(run_ids).items()}


@dataclass(frozen=True)
class Kept:
    """The counts of a run and when one of its tasks last changed its state."""

    counts: Counts
    moved: datetime | None


LOOK = Prepared(f"""
SELECT run_id, MAX(updated), {", ".join(f"SUM({name})" for name in COLUMNS)}
FROM runs_tally WHERE run_id {{in_list}} GROUP BY run_id
""")


def look(run_ids: list[int]) -> dict[int, Kept]:
    """Counts and last movement of several runs in one query."""
    return {
        run_id: Kept(
            counts=Counts(**dict(zip(COLUMNS, (int(one) for one in sums), strict=True))),
            moved=as_datetime(moved),
        )
        for run_id, moved, *sums in fetch(LOOK, [as_list(run_ids)])
    }


LOCK_SLOTS = """
SELECT id FROM runs_tally WHERE run_id = %s ORDER BY id {for_update}
"""
FOLD = f"""
INSERT INTO runs_tally (run_id, slot, {", ".join(COLUMNS)}, updated)
SELECT run_id, %s, {", ".join(f"SUM({name})" for name in COLUMNS)}, MAX(updated)
FROM runs_tally
WHERE id {{in_list}} AND EXISTS (
    SELECT 1 FROM runs_run WHERE runs_run.id = runs_tally.run_id AND deleted IS NULL
)
GROUP BY run_id
"""


def fold(run_id: int) -> int:
    """Put all slots of a run together into one; exact at every moment.

    Returns:
        How many slots there were.
    """
    with transaction.atomic():
        ids = [row[0] for row in fetch(LOCK_SLOTS, [run_id])]
        if len(ids) > 1:
            fresh = random.SystemRandom().randrange(1, 2**31)
            run_sql(FOLD, [fresh, as_list(ids)])
            Tally.objects.filter(id__in=ids).delete()
    return len(ids)


def fold_if_many(run_id: int) -> None:
    """Fold the run's slots where there are many; a writer does this when it takes a fresh slot."""
    if Tally.objects.filter(run=run_id).count() > FOLD_ABOVE:
        fold(run_id)


RECOUNT = """
SELECT state, COUNT(*), COALESCE(SUM({micro}), 0) FROM runs_task WHERE run_id = %s GROUP BY state
"""
RECOUNT_ENDS = "SELECT outcome, COUNT(*) FROM runs_attempt WHERE run_id = %s GROUP BY outcome"


def recount(run_id: int) -> Counts:
    """Count tasks and attempts one by one: the truth for the tallies. Slow on purpose."""
    counts = Counts()
    for state, count, percent in fetch(RECOUNT, [run_id]):
        setattr(counts, TaskState(state).label, count)
        if state != TaskState.COMPUTING:
            counts.settled_percent += int(percent)
    for outcome, count in fetch(RECOUNT_ENDS, [run_id]):
        counts.end(Outcome(outcome), count)
    return counts


@contextmanager
def one_snapshot() -> Iterator[None]:
    """A transaction in which all reads see the same moment."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def differences(kept: Counts, counted: Counts) -> dict[str, tuple[int, int]]:
    """Where kept and counted differ: name → (kept, counted). Stale reports cannot be recounted."""
    return {
        field.name: (getattr(kept, field.name), getattr(counted, field.name))
        for field in fields(Counts)
        if field.name != "stale" and getattr(kept, field.name) != getattr(counted, field.name)
    }
