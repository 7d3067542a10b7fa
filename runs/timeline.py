"""When which worker did what: the attempts at a range of tasks, as rows of bars over time.

Attempts stand in the order of task numbers, which are handed out one after the other; so a range
of numbers is a stretch of time, about, and costs the same in every run.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from runs import busy
from runs.dialect import as_datetime, fetch
from runs.models import Run
from runs.states import Outcome

MOST = 1_000
"""Bars of one picture."""
MOST_ROWS = 40
PAGE = 2_000
SLACK = timedelta(milliseconds=50)
"""By so much may two attempts of one lane overlap: two clocks have told of them."""

ENDED = """
SELECT a.number, a.attempt, a.started, a.ended, a.outcome, a.worker_id, w.hostname, w.pid
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE a.run_id = %s AND a.number BETWEEN %s AND %s ORDER BY a.number, a.attempt LIMIT %s
"""
OPEN = """
SELECT t.number, t.attempt, t.started, NULL, 0, t.worker_id, w.hostname, w.pid
FROM runs_task AS t LEFT JOIN runs_worker AS w ON w.id = t.worker_id
WHERE t.run_id = %s AND t.state = 1 AND t.not_before = 0 AND t.number BETWEEN %s AND %s
ORDER BY t.number LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt in a row; ``outcome`` is ``computing`` while it is open."""

    number: int
    attempt: int
    start: datetime
    end: datetime
    outcome: str


def take_lane(ends: list[datetime], start: datetime, end: datetime) -> int:
    """The first of a worker's lanes that is free for an attempt: it may work on several at a time.

    Args:
        ends: until when each lane is taken; changed, and longer where none was free.
        start: of the attempt.
        end: of the attempt.
    """
    free = (lane for lane, until in enumerate(ends) if until <= start + SLACK)
    lane = next(free, len(ends))
    ends[lane : lane + 1] = [end]
    return lane


@dataclass
class Row:
    """A worker and its attempts. ``busy``: the share of the time from its first to its last."""

    worker: str
    bars: list[Bar] = field(default_factory=list)
    host: str = ""

    @property
    def seconds(self) -> float:
        """What it worked, where no two attempts of it overlap: tasks are fetched ahead."""
        return busy.worked((bar.start, bar.end) for bar in self.bars)

    @property
    def busy(self) -> float:
        """In per cent."""
        first = min(bar.start for bar in self.bars)
        last = max(bar.end for bar in self.bars)
        length = (last - first).total_seconds()
        return min(100 * self.seconds / length, 100.0) if length > 0 else 100.0


def rows(run: Run, first: int, last: int) -> list[Row]:
    """The attempts at the tasks of a range by worker, those with most first: two queries."""
    found = fetch(ENDED, [run.id, first, last, MOST])
    left = MOST - len(found)
    if left > 0:
        found += fetch(OPEN, [run.id, first, last, left])
    now, kept = timezone.now(), dict[Any, Row]()
    for number, attempt, start, end, outcome, worker, host, pid in found:
        started = as_datetime(start)
        if started is None:
            continue
        name = f"{host}:{pid}" if host else "by hand"
        row = kept.setdefault(worker, Row(name, host=host or ""))
        how = Outcome(outcome).label if outcome else "computing"
        row.bars.append(Bar(number, attempt, started, as_datetime(end) or now, how))
    most = sorted(kept.values(), key=lambda row: -len(row.bars))[:MOST_ROWS]
    return sorted(most, key=lambda row: row.worker)


def trace(run: Run, first: int, last: int) -> Iterator[str]:
    """The ended attempts as a trace that Perfetto and Chrome read, in constant memory."""
    yield '{"displayTimeUnit": "ms", "traceEvents": [\n'
    known: dict[int, list[datetime]] = {}
    after, begun = (first, 0), False
    while found := fetch(NEXT, [run.id, *after, last, PAGE]):
        for row in found:
            for event in events(row, known):
                yield (",\n" if begun else "") + json.dumps(event)
                begun = True
        after = found[-1][0], found[-1][1]
    yield "\n]}\n"


NEXT = """
SELECT a.number, a.attempt, a.started, a.ended, a.outcome, a.worker_id, w.hostname, w.pid
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE a.run_id = %s AND (a.number, a.attempt) > (%s, %s) AND a.number <= %s
ORDER BY a.number, a.attempt LIMIT %s
"""


def events(row: tuple[Any, ...], known: dict[int, list[datetime]]) -> Iterator[dict[str, Any]]:
    """The events of one attempt; the first one of a worker tells its name.

    Args:
        row: what was fetched.
        known: the lanes of the workers so far, see ``take_lane``.
    """
    number, attempt, start, end, outcome, worker, host, pid = row
    started, ended = as_datetime(start), as_datetime(end)
    if started is None or ended is None:
        return
    worker = worker or 0
    if worker not in known:
        known[worker] = []
        name = f"{host}:{pid}" if host else "by hand"
        yield {"ph": "M", "name": "process_name", "pid": worker, "args": {"name": name}}
    yield {
        "ph": "X",
        "name": f"task {number}",
        "cat": Outcome(outcome).label,
        "pid": worker,
        "tid": 1 + take_lane(known[worker], started, ended),
        "ts": int(started.timestamp() * 1_000_000),
        "dur": int((ended - started).total_seconds() * 1_000_000),
        "args": {"attempt": attempt, "outcome": Outcome(outcome).label},
    }
