"""Results, failures and attempts of a run as streams: one page of rows in memory at a time."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runs.attempts import essence
from runs.dialect import as_datetime, fetch
from runs.models import Run
from runs.states import Outcome, TaskState

PAGE = 1000

# The last attempt of each task in a final state, by number: an index scan from where the page ends.
ENDED = """
SELECT t.number, a.attempt, w.hostname, a.started, a.ended,
    a.exit_code, a.output, a.error, a.fingerprint, a.log_tail
FROM runs_task AS t
JOIN runs_attempt AS a ON a.run_id = t.run_id AND a.number = t.number AND a.attempt = t.attempt
LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE t.run_id = %s AND t.state = %s AND t.number > %s
ORDER BY t.number LIMIT %s
"""
RESULT_FIELDS = ("task", "attempt", "host", "started", "ended", "output")
FAILURE_FIELDS = (
    "task", "attempt", "host", "started", "ended", "exitCode", "error", "fingerprint", "log",
)  # fmt: skip
Row = dict[str, Any]


def results(run: Run) -> Iterator[Row]:
    """The outputs of the tasks that are done, by number."""
    return _stream(run, TaskState.DONE, RESULT_FIELDS)


def failures(run: Run) -> Iterator[Row]:
    """The errors of the tasks that are failed, by number."""
    return _stream(run, TaskState.FAILED, FAILURE_FIELDS)


def _stream(run: Run, state: TaskState, fields: tuple[str, ...]) -> Iterator[Row]:
    """The last attempts of the tasks in a state, page after page."""
    after = -1
    while rows := fetch(ENDED, [run.id, int(state), after, PAGE]):
        for row in rows:
            shown = show(row)
            yield {name: shown[name] for name in fields}
        after = rows[-1][0]


def show(row: tuple[Any, ...]) -> Row:
    """A row of ``ENDED`` with its names."""
    number, attempt, host, started, ended, code, output, error, fingerprint, log = row
    return {
        "task": number,
        "attempt": attempt,
        "host": host,
        "started": moment(started),
        "ended": moment(ended),
        "exitCode": code,
        "output": None if output is None else json.loads(output),
        "error": error,
        "fingerprint": fingerprint,
        "log": log,
    }


def moment(value: Any) -> str | None:
    """A moment as ISO 8601 text in UTC."""
    at = as_datetime(value)
    return at.isoformat() if at else None


def as_ndjson(rows: Iterator[Row]) -> Iterator[str]:
    """Rows as lines of JSON."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def as_csv(rows: Iterator[Row], fields: tuple[str, ...]) -> Iterator[str]:
    """Rows as CSV with a head; what is no plain value stands there as JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(fields)
    for row in rows:
        writer.writerow(
            [json.dumps(one) if isinstance(one, dict | list) else one for one in row.values()]
        )
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


ATTEMPTS = """
SELECT a.number, a.attempt, w.hostname, a.started, a.ended,
    a.exit_code, a.output, a.error, a.fingerprint, a.log_tail, a.outcome
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE a.run_id = %s AND (a.number, a.attempt) > (%s, %s)
ORDER BY a.number, a.attempt LIMIT %s
"""


def attempts(run: Run, *, after: tuple[int, int] = (-1, 0), limit: int = 100) -> list[Row]:
    """The run's ended attempts by task number and attempt, from after one of them on."""
    return [
        {**show(row[:10]), "outcome": Outcome(row[10]).label}
        for row in fetch(ATTEMPTS, [run.id, *after, limit])
    ]


GROUPS = """
SELECT a.fingerprint, COUNT(*), MIN(a.ended), MAX(a.ended), MAX(a.id)
FROM runs_attempt AS a JOIN runs_task AS t
    ON t.run_id = a.run_id AND t.number = a.number AND t.attempt = a.attempt AND t.state = 3
WHERE a.run_id = %s AND a.fingerprint IS NOT NULL
GROUP BY a.fingerprint ORDER BY COUNT(*) DESC, a.fingerprint LIMIT %s
"""
EXAMPLE = "SELECT number, error FROM runs_attempt WHERE id = %s"
HOSTS = """
SELECT w.hostname, COUNT(*) FROM (
    SELECT worker_id FROM runs_attempt WHERE run_id = %s AND fingerprint = %s LIMIT 10000
) AS a JOIN runs_worker AS w ON w.id = a.worker_id
GROUP BY w.hostname ORDER BY COUNT(*) DESC, w.hostname LIMIT 20
"""


@dataclass(frozen=True)
class Group:
    """Failed tasks with the same error: how many, when first and last, where, and one in full."""

    fingerprint: int
    count: int
    first: str | None
    last: str | None
    essence: str
    task: int
    error: str | None
    hosts: dict[str, int]


def failure_groups(run: Run, *, limit: int = 50) -> list[Group]:
    """The run's failed tasks by the fingerprint of their error, the most frequent first."""
    return [_group(run, *row) for row in fetch(GROUPS, [run.id, limit])]


def _group(run: Run, fingerprint: int, count: int, first: Any, last: Any, example: int) -> Group:
    """Put one group together."""
    task, error = fetch(EXAMPLE, [example])[0]
    hosts = dict(fetch(HOSTS, [run.id, fingerprint]))
    return Group(
        fingerprint, count, moment(first), moment(last), essence(error), task, error, hosts
    )


Stream = Callable[[Run], Iterator[Row]]
