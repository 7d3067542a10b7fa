"""Results, failures and attempts of a run as streams: one page of rows in memory at a time."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from runs import plain
from runs.dialect import as_datetime, fetch
from runs.models import Run
from runs.states import Outcome, TaskState

PAGE = 1000

# The last attempt of each task in a final state, by number: a scan of the index task_in_state from
# where the page ends. Only waiting tasks have another not_before than 0.
ENDED = """
SELECT t.number, a.attempt, w.hostname, a.started, a.ended,
    a.exit_code, a.output, a.error, a.fingerprint, a.log_tail
FROM runs_task AS t
JOIN runs_attempt AS a ON a.run_id = t.run_id AND a.number = t.number AND a.attempt = t.attempt
LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE t.run_id = %s AND t.state = %s AND t.not_before = 0 AND t.number > %s
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
        "output": None if output is None else plain.read_back(output),
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
        writer.writerow([cell(one) for one in row.values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text starts that a spreadsheet would calculate."""


def cell(value: Any) -> Any:
    """A value as a cell: a text that looks like a formula gets a quote, so that none is run."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


ATTEMPTS = """
SELECT a.number, a.attempt, w.hostname, a.started, a.ended,
    a.exit_code, a.output, a.error, a.fingerprint, a.log_tail, a.outcome
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id
WHERE a.run_id = %s AND (a.number, a.attempt) > (%s, %s)
ORDER BY a.number, a.attempt LIMIT %s
"""


MOST_ATTEMPTS = 10_000
"""Attempts at one task that are shown."""


def attempts(run: Run, *, after: int = -1, limit: int = 100) -> tuple[list[Row], bool]:
    """The run's ended attempts by task number and attempt, after those of a task.

    The attempts at one task are never torn apart: there are fewer than ``limit`` rows where the
    last task's would not all fit, and more where a single task has more.

    Returns:
        The rows, and whether there are more.
    """
    rows = fetch(ATTEMPTS, [run.id, after, LAST, limit + 1])
    more = len(rows) > limit
    if more:
        cut = rows[limit][0]
        rows = [row for row in rows if row[0] < cut]
    if more and not rows:
        rows = fetch(ATTEMPTS, [run.id, cut, 0, MOST_ATTEMPTS])
        rows = [row for row in rows if row[0] == cut]
    return [{**show(row[:10]), "outcome": Outcome(row[10]).label} for row in rows], more


LAST = 2**31 - 1
"""The largest attempt number that there can be."""
