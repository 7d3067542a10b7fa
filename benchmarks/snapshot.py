"""Claims per second while another session holds an old snapshot open, as any pg_dump does.

As long as the snapshot is open PostgreSQL may remove nothing that was deleted or changed since, and
a claim that looks for the lowest waiting number has to walk over all that was claimed before it.
The snapshot (REPEATABLE READ) is taken before the first claim. All claims are single ones (n=1), in
this process through the server's own operation, the run read afresh for each. Rates are medians
over groups of claims, at the start and after every sixth of the way.

Beside it a plain queue in the same database: a table, a partial index on what waits, UPDATE … WHERE
id = (SELECT … FOR UPDATE SKIP LOCKED LIMIT 1). Its measured claims are single ones, too; what lies
between them is claimed 1,000 at a time, for otherwise it would take an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psycopg2

from .harness.bench import Bench
from .harness.inside import Inside
from .harness.postgres import Postgres
from .harness.report import Figure, Result, Row

NAME = "snapshot"
CLAIMS = 300_000
STAGES = 6
GROUPS = 7
GROUP = 100
PLAIN_GROUP = 30
PLAIN_BATCH = 1000
TARGET = 0.7

PLAIN_QUEUE = (
    "CREATE TABLE plain_queue (id bigint PRIMARY KEY, waiting boolean NOT NULL DEFAULT true)",
    "CREATE INDEX plain_queue_waiting ON plain_queue (id) WHERE waiting",
    "INSERT INTO plain_queue SELECT generate_series(1, {tasks})",
    "VACUUM (ANALYZE) plain_queue",
)
PLAIN_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM plain_queue WHERE waiting ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE plain_queue SET waiting = false WHERE id IN (SELECT id FROM picked) RETURNING id
"""

Claim = Callable[[int], None]


def measure(bench: Bench) -> Result:
    claims = bench.size(CLAIMS, 600)
    result = Result(NAME, "Claims while another session holds an old snapshot open")
    plain = plain_stages(bench, claims)
    ours = our_stages(bench, claims)
    for done in ours:
        row: Row = {"claims before": f"{done:,}", "this server, claims/s": ours[done]}
        row["plain SKIP LOCKED queue, claims/s"] = plain.get(done, "")
        result.rows.append(row)
    kept = ours[claims] / ours[0]
    name = f"claims/s under an open snapshot, after {claims:,} claims over the start"
    result.figures.append(Figure(name, kept, TARGET))
    result.notes.append(f"The plain queue keeps {plain[claims] / plain[0]:.3f} of its speed.")
    return result


def our_stages(bench: Bench, claims: int) -> dict[int, float]:
    """Claims per second of this server, by the number of claims that came before."""
    ours = bench.this_server
    ours.fresh_database()
    inside = Inside(ours)
    run = inside.create_run(claims + (STAGES + 2) * GROUPS * GROUP)
    worker = inside.worker()
    ours.postgres.settle(ours.database)

    def claim(count: int) -> None:
        for _ in range(count):
            if len(inside.claim(run.pk, worker)) != 1:
                raise RuntimeError("a claim got nothing although tasks are waiting")

    marks = [claims * stage // STAGES for stage in range(STAGES + 1)]
    with open_snapshot(ours.postgres, ours.database):
        rates = rates_at(marks, claim, claim, GROUP)
    inside.disconnect()
    return rates


def plain_stages(bench: Bench, claims: int) -> dict[int, float]:
    """The same for the plain queue, at the start and at the end only."""
    ours = bench.this_server
    ours.fresh_database()
    tasks = claims + 2 * GROUPS * PLAIN_GROUP
    statements = [statement.format(tasks=tasks) for statement in PLAIN_QUEUE]
    ours.postgres.execute(ours.database, *statements)
    with (
        open_snapshot(ours.postgres, ours.database),
        ours.postgres.session(ours.database) as cursor,
    ):

        def claim(count: int) -> None:
            for _ in range(count):
                take(cursor, 1)

        def advance(count: int) -> None:
            for done in range(0, count, PLAIN_BATCH):
                take(cursor, min(PLAIN_BATCH, count - done))

        return rates_at([0, claims], claim, advance, PLAIN_GROUP)


def take(cursor: Any, count: int) -> None:
    """Claim so many rows of the plain queue in one transaction."""
    cursor.execute(PLAIN_CLAIM, (count,))
    if cursor.rowcount != count:
        raise RuntimeError("the plain queue ran dry")


def rates_at(marks: list[int], claim: Claim, advance: Claim, group: int) -> dict[int, float]:
    """Claims per second at each mark; between the marks the claims are not measured."""
    rates = {}
    done = 0
    for mark in marks:
        advance(max(0, mark - done))
        done = max(done, mark)
        rates[mark] = median(rate(claim, group) for _ in range(GROUPS))
        done += GROUPS * group
    return rates


def rate(claim: Claim, count: int) -> float:
    start = time.perf_counter()
    claim(count)
    return count / (time.perf_counter() - start)


@contextmanager
def open_snapshot(postgres: Postgres, database: str) -> Iterator[None]:
    """Another session that has read something in a REPEATABLE READ transaction, and idles."""
    connection = psycopg2.connect(postgres.url(database))
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_class")
        yield
    finally:
        connection.close()
