"""A sample of a run's ended attempts: what says how long tasks take and where, at a bounded cost.

Tasks are handed out by number, so that those which have been tried are the low ones. Numbers are
drawn from among them, evenly; what an index finds for a few hundred
numbers costs the same in a run of ten million as in one of ten thousand.
"""

import random
from dataclasses import dataclass
from datetime import datetime

from runs.dialect import as_datetime, as_list, fetch
from runs.models import Run
from runs.states import Outcome
from runs.tallies import Counts

SIZE = 400
NEIGHBOURS = 8
"""Drawn at once where only times matter."""
MOST_PER_NUMBER = 5
"""Attempts per drawn number, on the average, that are looked at."""

READ = """
SELECT a.number, a.outcome, a.started, a.ended, w.hostname
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE a.run_id = %s AND a.number {in_list}
ORDER BY a.number, a.attempt LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One ended attempt: of which task, how it ended, after how many seconds, on which host."""

    number: int
    outcome: Outcome
    seconds: float
    host: str


def draw(run: Run, counts: Counts, size: int = SIZE, *, together: int = 1) -> list[Sampled]:
    """Ended attempts of the run by number: all of a small run, a sample of a large one.

    Args:
        run: whose.
        counts: its tallies.
        size: how many numbers are drawn.
        together: neighbours that are drawn at once. They lie together, so that eight cost little
            more than one; but they may be the tasks of one worker, and tell little of hosts.
    """
    return read(run, tried(run, counts, size, together), size)


def read(run: Run, numbers: list[int], size: int) -> list[Sampled]:
    """The ended attempts at some tasks, in one query."""
    if not numbers:
        return []
    rows = fetch(READ, [run.id, as_list(numbers), size * MOST_PER_NUMBER])
    return [
        Sampled(number, Outcome(outcome), span(as_datetime(start), as_datetime(end)), host or "")
        for number, outcome, start, end, host in rows
    ]


def tried(run: Run, counts: Counts, size: int, together: int = 1) -> list[int]:
    """Numbers that have probably been tried, at most ``size``, spread evenly."""
    end = max(run.num_tasks - counts.waiting, min(run.claim_floor, run.num_tasks))
    if not end and run.started is not None:
        end = run.num_tasks
    return even(end, size, together)


def even(end: int, size: int, together: int = 1) -> list[int]:
    """Numbers below ``end``, at most ``size``, some neighbours of each equal part; always the same.

    Args:
        end: the first number that is not drawn any more.
        size: how many are drawn, a multiple of ``together``.
        together: how many neighbours at once.
    """
    if end <= size:
        return list(range(end))
    dice, parts = random.Random(end), size // together
    firsts = (
        dice.randrange(end * part // parts, end * (part + 1) // parts - together + 1)
        for part in range(parts)
    )
    return [number for first in firsts for number in range(first, first + together)]


def span(start: datetime | None, end: datetime | None) -> float:
    """Seconds between two moments; 0 where one is missing."""
    return (end - start).total_seconds() if start and end else 0.0
