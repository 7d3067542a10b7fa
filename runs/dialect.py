"""The few words in which PostgreSQL and SQLite differ, for the hot SQL of the farm.

Hot SQL is written once, with these words in braces: ``UPDATE … SET updated = {now}``.
Time is always the database's, never this process's and never a worker's.
"""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import Error, connection

from runs import prepared
from runs.prepared import Prepared

PG_ENDED = "GREATEST(STATEMENT_TIMESTAMP() - told.ago * INTERVAL '1 second', started)"
LITE_FORMAT = "'%%Y-%%m-%%d %%H:%%M:%%f'"
LITE_ENDED = f"MAX(STRFTIME({LITE_FORMAT}, 'now', PRINTF('-%%.6f seconds', told.ago)), started)"

WORDS = {
    "postgresql": {
        "now": "STATEMENT_TIMESTAMP()",
        "minute": "DATE_TRUNC('minute', STATEMENT_TIMESTAMP())",
        # How long ago a task's attempt started, in seconds, never negative.
        "age": "GREATEST(0, EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - started))::float8",
        "lasted": "EXTRACT(EPOCH FROM ended - started)::float8",
        # An attempt never ends before it starts, even if the database's clock is set back.
        "ended": "GREATEST(STATEMENT_TIMESTAMP(), started)",
        # The same for attempts whose worker told how long they took, and how long ago they ended:
        # they began after they were handed out, however much its clock counts.
        "told": "UNNEST(%s::bigint[], %s::float8[], %s::float8[]) AS told(id, took, ago)",
        "ended_told": PG_ENDED,
        "started_told": f"GREATEST({PG_ENDED} - told.took * INTERVAL '1 second', started)",
        # Backoffs are kept in whole seconds since 2020, four bytes instead of eight a task.
        "clock": "(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) - 1577836800)::int",
        "for_update": "FOR UPDATE",
        "no_key_update": "FOR NO KEY UPDATE",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "materialized": "MATERIALIZED",
        "sweep_before": "STATEMENT_TIMESTAMP() - INTERVAL '4 seconds'",
        # Three of a worker's intervals ago, but 30 s at least: as an index finds it, and exactly.
        # Ten seconds more, since a word is noted only where the last note is so old (seen_before).
        "a_minute_ago": "STATEMENT_TIMESTAMP() - INTERVAL '60 seconds'",
        "half_a_minute_ago": "STATEMENT_TIMESTAMP() - INTERVAL '30 seconds'",
        "an_hour_ago": "STATEMENT_TIMESTAMP() - INTERVAL '1 hour'",
        "days_ago": "STATEMENT_TIMESTAMP() - INTERVAL '3 days'",
        "silent_since": "STATEMENT_TIMESTAMP() "
        "- (GREATEST(30, 3 * heartbeat) + 10) * INTERVAL '1 second'",
        "timed_out": "STATEMENT_TIMESTAMP() - r.task_timeout * INTERVAL '1 second'",
        "long_ago": "STATEMENT_TIMESTAMP() - %s * INTERVAL '1 second'",
        "seen_before": "STATEMENT_TIMESTAMP() - INTERVAL '10 seconds'",
        "micro": "FLOOR(percent * 1000000)::bigint",
        # The commit of this one statement waits for no disk; a later one that does takes it along.
        "unhurried": "SET_CONFIG('synchronous_commit', 'off', true) = 'off'",
        "in_list": "= ANY(%s)",
        # As an array: one walk along the index for all of them, not a search for each; a seventh
        # of what a claim and its report cost PostgreSQL (500 at once, benchmarks/throughput.py).
        "among_picked": "= ANY(ARRAY(SELECT id FROM picked))",
    },
    "sqlite": {
        "now": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "minute": "STRFTIME('%%Y-%%m-%%d %%H:%%M:00', 'now')",
        "age": "MAX(0, (JULIANDAY('now') - JULIANDAY(started)) * 86400)",
        "lasted": "(JULIANDAY(ended) - JULIANDAY(started)) * 86400",
        "ended": "MAX(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now'), started)",
        "told": "(SELECT JSON_EXTRACT(value, '$[0]') AS id, JSON_EXTRACT(value, '$[1]') AS took, "
        "JSON_EXTRACT(value, '$[2]') AS ago FROM JSON_EACH(%s)) AS told",
        "ended_told": LITE_ENDED,
        # Never after the end, should one of the two have finer digits than the other.
        "started_told": f"IIF(told.took IS NULL, started, MIN({LITE_ENDED}, MAX(started, "
        f"STRFTIME({LITE_FORMAT}, {LITE_ENDED}, PRINTF('-%%.6f seconds', told.took)))))",
        "clock": "(CAST(STRFTIME('%%s', 'now') AS INTEGER) - 1577836800)",
        # SQLite locks the whole database at BEGIN IMMEDIATE instead.
        "for_update": "",
        "no_key_update": "",
        "skip_locked": "",
        "materialized": "MATERIALIZED",
        "sweep_before": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-4 seconds')",
        "a_minute_ago": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-60 seconds')",
        "half_a_minute_ago": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-30 seconds')",
        "an_hour_ago": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-1 hour')",
        "days_ago": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-3 days')",
        "silent_since": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', "
        "'-' || (MAX(30, 3 * heartbeat) + 10) || ' seconds')",
        "timed_out": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', "
        "'-' || r.task_timeout || ' seconds')",
        "long_ago": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || %s || ' seconds')",
        "seen_before": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-10 seconds')",
        "micro": "CAST(percent * 1000000 AS INTEGER)",
        "unhurried": "TRUE",
        "in_list": "IN (SELECT value FROM JSON_EACH(%s))",
        "among_picked": "IN (SELECT id FROM picked)",
    },
}


@cache
def spell(statement: str, vendor: str) -> str:
    """The statement in one database's words."""
    return statement.format(**WORDS[vendor])


def run_sql(statement: str, values: list[Any]) -> int:
    """Execute a statement written in the shared words; answers how many rows it touched."""
    with connection.cursor() as cursor:
        execute(cursor, statement, values)
        return int(cursor.rowcount)


def fetch(statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Execute a statement written in the shared words; answers all of its rows."""
    with connection.cursor() as cursor:
        execute(cursor, statement, values)
        return list(cursor.fetchall())


def execute(cursor: Any, statement: str, values: list[Any]) -> None:
    """Execute a statement written in the shared words, a prepared one where that can be."""
    sql = spell(statement, connection.vendor)
    if not (isinstance(statement, Prepared) and prepared.usable()):
        cursor.execute(sql, values)
        return
    try:
        cursor.execute(prepared.ready(sql), values)
    except Error as error:
        # Inside a transaction nothing more can be done; rerun_on_conflict begins it again.
        if not prepared.missed(error) or connection.in_atomic_block:
            raise
        cursor.execute(sql, values)


def as_datetime(value: Any) -> datetime | None:
    """A moment that raw SQL read: SQLite keeps text in UTC, and some of it comes back parsed."""
    moment: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment is not None and moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


def database_now() -> datetime:
    """The database's time: the only one that counts."""
    now = as_datetime(fetch("SELECT {now}", [])[0][0])
    if now is None:  # no database answers so
        raise ValueError("the database tells no time")
    return now


def as_list(values: list[int]) -> object:
    """The one value for an ``{in_list}`` placeholder, however many numbers it holds."""
    return as_array(values) if connection.vendor == "postgresql" else json.dumps(values)


def as_array(values: Iterable[float | None]) -> str:
    """Numbers as PostgreSQL reads an array.

    A list would become a constructor with an expression for each element, which takes the driver
    and the server's parser five times as long.
    """
    return "{" + ",".join(["NULL" if one is None else repr(one) for one in values]) + "}"


Told = tuple[int, float | None, float]
"""An ended attempt: its task's id, how long it took (None: not told), how long ago it ended; in
seconds."""


def as_told(times: list[Told]) -> list[object]:
    """The values for a ``{told}`` table."""
    if connection.vendor == "postgresql":
        return [as_array(column) for column in zip(*times, strict=True)]
    return [json.dumps(times)]


def as_records(
    statement: str, alias: str, fields: dict[str, str], rows: list[dict[str, Any]]
) -> tuple[str, str]:
    """A statement that reads many rows of values from one placeholder, as JSON.

    Args:
        statement: with ``{records}`` where the table of the values belongs.
        alias: what the table is called there.
        fields: name → PostgreSQL type of its columns.
        rows: the values.

    Returns:
        The statement in the shared words, and the value for the placeholder.
    """
    if connection.vendor == "postgresql":
        columns = ", ".join(f"{name} {kind}" for name, kind in fields.items())
        table = f"JSON_TO_RECORDSET(%s::json) AS {alias}({columns})"
    else:
        columns = ", ".join(f"JSON_EXTRACT(value, '$.{name}') AS {name}" for name in fields)
        table = f"(SELECT {columns} FROM JSON_EACH(%s)) AS {alias}"
    return statement.replace("{records}", table), json.dumps(rows)


COPIED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert_rows(table: str, columns: tuple[str, ...], rows: Iterable[tuple[int | str, ...]]) -> int:
    """Insert many rows of numbers and texts as fast as the database can; answers how many.

    The columns are those of a table of ours, never a user's words. The rows are kept in memory, so
    that there should not be more of them than a few megabytes.
    """
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            lines = io.StringIO()
            for row in rows:
                lines.write("\t".join(str(one).translate(COPIED) for one in row) + "\n")
            lines.seek(0)
            cursor.cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN", lines)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(rows))
        return int(cursor.rowcount)
