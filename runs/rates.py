"""What a run got done in each minute: for the chart, the rate and the hours of work spent."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from runs.dialect import as_datetime, as_list, fetch
from runs.models import Run

MOST_ROWS = 50_000
"""Rows that one look reads: a minute has one for each process that wrote in it, about."""
LONGEST = timedelta(hours=24)
RECENT = 10
"""Minutes that the present rate is taken from."""

# The index that the table is unique by leads from the newest minute backward.
READ = """
SELECT minute, SUM(done), SUM(failed), SUM(seconds) FROM (
    SELECT minute, done, failed, seconds FROM runs_throughput
    WHERE run_id = %s ORDER BY minute DESC LIMIT %s
) AS latest
GROUP BY minute ORDER BY minute
"""
SPENT = """
SELECT SUM(seconds), SUM(done + failed), COUNT(*) FROM (
    SELECT seconds, done, failed FROM runs_throughput WHERE run_id = %s LIMIT %s
) AS kept
"""
SINCE = """
SELECT run_id, SUM(done), SUM(failed), MIN(minute) FROM runs_throughput
WHERE run_id {in_list} AND minute >= %s GROUP BY run_id
"""


@dataclass(frozen=True, slots=True)
class Minute:
    """What ended in a minute, or in several from ``at`` on. ``seconds`` of work were in it."""

    at: datetime
    done: int
    failed: int
    seconds: float


def minutes(run: Run) -> list[Minute]:
    """The minutes in which something ended within the run's last day of work, oldest first."""
    rows = fetch(READ, [run.id, MOST_ROWS])
    found = [
        Minute(at, int(done), int(failed), float(seconds))
        for minute, done, failed, seconds in rows
        if (at := as_datetime(minute)) is not None
    ]
    return [one for one in found if one.at > found[-1].at - LONGEST]


def buckets(found: list[Minute], *, end: datetime, most: int = 120) -> tuple[list[Minute], int]:
    """Equal stretches of time up to ``end``, at most so many, empty ones included.

    Returns:
        The stretches, oldest first, and how many minutes each is long.
    """
    if not found:
        return [], 1
    first = found[0].at
    whole = int((max(end, found[-1].at) - first).total_seconds() // 60) + 1
    step = next(size for size in STEPS if whole <= most * size or size == STEPS[-1])
    count = -(-whole // step)
    sums = [[0, 0, 0.0] for _ in range(count)]
    for one in found:
        kept = sums[int((one.at - first).total_seconds() // 60) // step]
        kept[0] += one.done
        kept[1] += one.failed
        kept[2] += one.seconds
    return [
        Minute(first + timedelta(minutes=step * place), int(done), int(failed), seconds)
        for place, (done, failed, seconds) in enumerate(sums)
    ], step


STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440)


def per_minute(run: Run, found: list[Minute]) -> float | None:
    """Tasks that ended per minute lately; None where none did."""
    since = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=RECENT)
    recent = [one for one in found if one.at >= since]
    ended = sum(one.done + one.failed for one in recent)
    return ended / length(run, recent[0].at) if ended else None


def length(run: Run, first: datetime) -> float:
    """Minutes from the start of a minute until now; one in which the run started is shorter."""
    begun = max(first, run.started or first)
    return max((timezone.now() - begun).total_seconds() / 60, 1 / 60)


def lately(runs: Sequence[Run]) -> dict[int, float]:
    """Tasks per minute of several runs, in one query; those in which nothing ended are missing."""
    if not runs:
        return {}
    since = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=RECENT)
    by_id = {run.id: run for run in runs}
    rates = {}
    for run_id, done, failed, first in fetch(SINCE, [as_list(list(by_id)), since]):
        at = as_datetime(first)
        if at and done + failed:
            rates[run_id] = float(done + failed) / length(by_id[run_id], at)
    return rates


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of work in ended attempts; ``whole`` unless there was too much to add up."""

    seconds: float
    whole: bool


FRESH = 30.0
MOST_SPENT = 100_000
CAPACITY = 256
_spent: OrderedDict[int, tuple[float, Spent]] = OrderedDict()


def spent(run: Run) -> Spent:
    """The work in all ended attempts, at most half a minute old."""
    kept = _spent.get(run.id)
    if kept is None or time.monotonic() - kept[0] > FRESH:
        seconds, _, rows = fetch(SPENT, [run.id, MOST_SPENT])[0]
        kept = time.monotonic(), Spent(float(seconds or 0), rows < MOST_SPENT)
        _spent[run.id] = kept
        while len(_spent) > CAPACITY:
            _spent.popitem(last=False)
    return kept[1]


def forget() -> None:
    """Forget what was added up; for tests."""
    _spent.clear()
