"""Attempts: written once, when they end, with what came of them."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from runs.dialect import Told, as_list, as_records, as_told, fetch, run_sql
from runs.prepared import Prepared
from runs.states import Outcome

MOST_OUTPUT = 256 * 1024
MOST_ERROR = 64 * 1024
MOST_LOG = 64 * 1024


class Ending(NamedTuple):
    """How an attempt ended, as its worker tells it; all texts may be missing.

    ``output`` is JSON; ``log_tail`` the last of what it printed. ``took`` is how long it took,
    ``ago`` how long ago it ended, in seconds by the worker's clock; without ``took`` the attempt
    has lasted from when it was handed out until now.
    """

    outcome: Outcome
    exit_code: int | None = None
    output: str | None = None
    error: str | None = None
    log_tail: str | None = None
    took: float | None = None
    ago: float = 0.0

    @property
    def plain(self) -> bool:
        """Nothing but the outcome and the time is told."""
        return (
            self.exit_code is None
            and self.output is None
            and self.error is None
            and self.log_tail is None
        )


CLOSE = Prepared("""
INSERT INTO runs_attempt
    (run_id, number, attempt, worker_id, started, ended, outcome, error, fingerprint)
SELECT run_id, number, attempt, worker_id, started, {ended}, %s, %s, %s
FROM runs_task WHERE id {in_list}
""")
CLOSE_TOLD = """
INSERT INTO runs_attempt
    (run_id, number, attempt, worker_id, started, ended, outcome, fingerprint)
SELECT run_id, number, attempt, worker_id, {started_told}, {ended_told}, %s, %s
FROM {told} JOIN runs_task ON runs_task.id = told.id
"""
CLOSE_EACH = """
INSERT INTO runs_attempt
    (run_id, number, attempt, worker_id, started, ended,
     outcome, exit_code, output, error, log_tail, fingerprint)
SELECT run_id, number, runs_task.attempt, worker_id, {started_told}, {ended_told},
    told.outcome, told.exit_code, told.output, told.error, told.log_tail, told.fingerprint
FROM runs_task JOIN {records} ON told.id = runs_task.id
"""
FIELDS = {
    "id": "bigint",
    "outcome": "int",
    "exit_code": "int",
    "output": "text",
    "error": "text",
    "log_tail": "text",
    "fingerprint": "bigint",
    "took": "float8",
    "ago": "float8",
}


def close(ids: Sequence[int], outcome: Outcome, *, error: str | None = None) -> None:
    """Write down that the open attempts of these locked tasks all ended in the same way."""
    if ids:
        print_of = fingerprint(error) if outcome in BAD else None
        run_sql(CLOSE, [outcome, error, print_of, as_list(list(ids))])


def close_each(endings: dict[int, Ending]) -> None:
    """Write down how the open attempts of locked tasks ended: id of the task → ending."""
    by_outcome: dict[Outcome, dict[int, Ending]] = {}
    records: list[dict[str, object]] = []
    for id, ending in endings.items():
        if ending.plain:
            by_outcome.setdefault(ending.outcome, {})[id] = ending
        else:
            records.append(record(id, ending))
    for outcome, plain in by_outcome.items():
        close_plain(plain, outcome)
    if records:
        statement, value = as_records(CLOSE_EACH, "told", FIELDS, records)
        run_sql(statement, [value])


def close_plain(endings: dict[int, Ending], outcome: Outcome) -> None:
    """Write down that open attempts ended in the same way, each after its own time."""
    times = told(endings)
    if times is None:
        close(list(endings), outcome)
        return
    print_of = fingerprint(None) if outcome in BAD else None
    run_sql(CLOSE_TOLD, [outcome, print_of, *as_told(times)])


def told(endings: dict[int, Ending]) -> list[Told] | None:
    """What is told of the times of attempts; None where nothing is."""
    if all(ending.took is None for ending in endings.values()):
        return None
    return [(id, ending.took, ending.ago) for id, ending in endings.items()]


BAD = (Outcome.FAILED, Outcome.LOST, Outcome.TIMEOUT)


def record(id: int, ending: Ending) -> dict[str, object]:
    """An ending as a row; texts are cut to what an attempt keeps, errors and logs to their end."""
    return {
        "id": id,
        "outcome": int(ending.outcome),
        "exit_code": ending.exit_code,
        "output": ending.output,
        "error": clean(tail(ending.error, MOST_ERROR)),
        "log_tail": clean(tail(ending.log_tail, MOST_LOG)),
        "fingerprint": fingerprint(ending.error) if ending.outcome in BAD else None,
        "took": ending.took,
        "ago": ending.ago,
    }


def tail(text: str | None, most: int) -> str | None:
    """The last ``most`` characters of a text, marked where it was cut."""
    if text is None or len(text) <= most:
        return text
    return f"[… {len(text) - most} characters cut]\n{text[-most:]}"


def clean(text: str | None) -> str | None:
    """The text without NUL and half surrogate pairs, which no database keeps."""
    if text is None:
        return None
    return text.replace("\x00", "�").encode(errors="replace").decode()


# An exit code is no value: it tells errors apart. (No number begins after a digit: not 3 of 13.)
NUMBERS = re.compile(r"(?<!exit code )(?<!exit code -)(?<!\d)(0x[0-9a-fA-F]+|\d+(\.\d+)?)")
PATHS = re.compile(r"(/[\w.\-]+){2,}")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def headline(error: str | None) -> str:
    """The line that tells most: the last one, of a traceback the exception's type and message."""
    lines = [line for line in (error or "").strip().splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else "no message"


def essence(error: str | None) -> str:
    """What makes two errors the same: the last line without numbers, paths and quoted values.

    The number of "exit code 3" stays.
    """
    last = headline(error)
    for pattern, mark in ((QUOTED, "'…'"), (PATHS, "…"), (NUMBERS, "#")):
        last = pattern.sub(mark, last)
    return last


LAST_WITH = """
SELECT error FROM runs_attempt WHERE run_id = %s AND fingerprint = %s ORDER BY id DESC LIMIT 1
"""


def named(run_id: int, fingerprint: int | None) -> dict[str, str]:
    """What a selection by this fingerprint is called, if any attempt has ended with it."""
    if fingerprint is None:
        return {}
    found = fetch(LAST_WITH, [run_id, fingerprint])
    return {"error": essence(found[0][0])} if found else {}


def fingerprint(error: str | None) -> int:
    """The same number for the same error (see ``essence``), from 0 to 2**32 - 1."""
    return zlib.crc32(essence(error).encode(errors="replace"))


COUNT_ENDS = """
SELECT a.number, COUNT(*) FROM runs_attempt AS a JOIN runs_task AS t
    ON t.id = a.run_id * 4294967296 + a.number
WHERE a.run_id = %s AND a.outcome = %s AND a.attempt > t.forgiven AND a.number {in_list}
GROUP BY a.number
"""


def count_ends(run_id: int, numbers: list[int], outcome: Outcome) -> Counter[int]:
    """How often the tasks' attempts have ended in this way since a person last restarted them."""
    return Counter(dict(fetch(COUNT_ENDS, [run_id, outcome, as_list(numbers)])))


# A cross join, which SQLite takes in this order: from each report to its attempt. Left to itself it
# looks through all reports for each of the worker's attempts.
REPEATED = """
SELECT told.number, told.attempt, a.outcome FROM {records} CROSS JOIN runs_attempt AS a
WHERE a.run_id = %s AND a.number = told.number AND a.attempt = told.attempt AND a.worker_id = %s
"""


def recorded(
    run_id: int, worker_id: int, attempts: list[tuple[int, int]]
) -> dict[tuple[int, int], Outcome]:
    """How a worker's attempts, named by task number and attempt, have been recorded already."""
    if not attempts:
        return {}
    rows = [{"number": number, "attempt": attempt} for number, attempt in attempts]
    statement, value = as_records(REPEATED, "told", {"number": "int", "attempt": "int"}, rows)
    return {
        (number, attempt): Outcome(outcome)
        for number, attempt, outcome in fetch(statement, [value, run_id, worker_id])
    }
