"""Claims per second while another session holds an old snapshot open, as any pg_dump does.

As long as the snapshot is open PostgreSQL may remove nothing that was deleted or changed since, and
a claim that looks for the lowest waiting number has to walk over all that was claimed before it.
The snapshot (REPEATABLE READ) is taken before the first claim. All 300,000 claims are single ones
(n=1), in this process through the server's own operation, the run read afresh for each.

Rates are medians over groups of claims, at the start and after every sixth of the way. Minutes lie
between the two, in which a machine that others use changes its speed; so each group is followed by
a group of claims from a control queue, which is small, in a database of its own, and never ages.
The figure compares what a claim is worth in claims of the control, at the end over the start.

Beside it a plain queue in the same database: a table, a partial index on what waits, UPDATE … WHERE
id IN (SELECT … FOR UPDATE SKIP LOCKED LIMIT 1). Its measured claims are single ones, too; what lies
between them is claimed 1,000 at a time, for otherwise it would take an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

CONTROL = "control"
CONTROL_TASKS = 1000

Claim = Callable[[int], None]


@dataclass(frozen=True)
class Rate:
    """Claims per second, the same in claims of the control, and a claim's processor time."""

    claims: float
    of_control: float
    milliseconds: float


class Control:
    """A plain queue that is put back to its beginning before it can age."""

    def __init__(self, postgres: Postgres, cursor: Any) -> None:
        self.postgres = postgres
        self.cursor = cursor

    def cpu_seconds(self) -> float:
        """Processor time of this process and of PostgreSQL."""
        return time.process_time() + self.postgres.cpu_seconds()

    def claims_per_second(self, count: int) -> float:
        rate = per_second(lambda number: take_singly(self.cursor, number), count)
        self.cursor.execute("UPDATE plain_queue SET waiting = true WHERE NOT waiting")
        self.cursor.execute("VACUUM plain_queue")
        return rate


def measure(bench: Bench) -> Result:
    claims = bench.size(CLAIMS, 600)
    result = Result(NAME, "Claims while another session holds an old snapshot open")
    with control_queue(bench.postgres) as control:
        plain = plain_stages(bench, claims, control)
        ours = our_stages(bench, claims, control)
    for done, rate in ours.items():
        row: Row = {"claims before": f"{done:,}", "this server, claims/s": rate.claims}
        row["in claims of the control"] = rate.of_control
        row["CPU ms/claim"] = rate.milliseconds
        row["plain SKIP LOCKED queue, claims/s"] = plain[done].claims if done in plain else ""
        row["in claims of the control "] = plain[done].of_control if done in plain else ""
        result.rows.append(row)
    name = f"claims/s under an open snapshot, after {claims:,} claims over the start"
    kept, plain_kept = (ages[claims].of_control / ages[0].of_control for ages in (ours, plain))
    result.figures.append(Figure(name, kept, TARGET))
    result.notes.append(f"The plain queue keeps {plain_kept:.3f} of its speed.")
    return result


def our_stages(bench: Bench, claims: int, control: Control) -> dict[int, Rate]:
    """Rates of this server, by the number of claims that came before."""
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
        rates = rates_at(marks, (claim, claim, control), GROUP)
    inside.disconnect()
    return rates


def plain_stages(bench: Bench, claims: int, control: Control) -> dict[int, Rate]:
    """The same for the plain queue, at the start and at the end only."""
    ours = bench.this_server
    ours.fresh_database()
    make_plain_queue(ours.postgres, ours.database, claims + 2 * GROUPS * PLAIN_GROUP)
    with (
        open_snapshot(ours.postgres, ours.database),
        ours.postgres.session(ours.database) as cursor,
    ):

        def claim(count: int) -> None:
            take_singly(cursor, count)

        def advance(count: int) -> None:
            for done in range(0, count, PLAIN_BATCH):
                take(cursor, min(PLAIN_BATCH, count - done))

        return rates_at([0, claims], (claim, advance, control), PLAIN_GROUP)


@contextmanager
def control_queue(postgres: Postgres) -> Iterator[Control]:
    """A plain queue in a database of its own."""
    postgres.create_database(CONTROL)
    make_plain_queue(postgres, CONTROL, CONTROL_TASKS)
    with postgres.session(CONTROL) as cursor:
        yield Control(postgres, cursor)


def make_plain_queue(postgres: Postgres, database: str, tasks: int) -> None:
    statements = [statement.format(tasks=tasks) for statement in PLAIN_QUEUE]
    postgres.execute(database, *statements)


def take(cursor: Any, count: int) -> None:
    """Claim so many rows of the plain queue in one transaction."""
    cursor.execute(PLAIN_CLAIM, (count,))
    if cursor.rowcount != count:
        raise RuntimeError("the plain queue ran dry")


def take_singly(cursor: Any, count: int) -> None:
    for _ in range(count):
        take(cursor, 1)


def rates_at(
    marks: list[int], operations: tuple[Claim, Claim, Control], group: int
) -> dict[int, Rate]:
    """Rates at each mark; between the marks the claims are not measured."""
    claim, advance, control = operations
    rates = {}
    done = 0
    for mark in marks:
        advance(max(0, mark - done))
        rates[mark] = rate_now(claim, control, group)
        done = max(done, mark) + GROUPS * group
    return rates


def rate_now(claim: Claim, control: Control, group: int) -> Rate:
    """Groups of claims, each followed by a group of the control."""
    rates, ratios, cpu_seconds = [], [], 0.0
    for _ in range(GROUPS):
        before = control.cpu_seconds()
        rates.append(per_second(claim, group))
        cpu_seconds += control.cpu_seconds() - before
        ratios.append(rates[-1] / control.claims_per_second(group))
    return Rate(median(rates), median(ratios), 1000 * cpu_seconds / (GROUPS * group))


def per_second(claim: Claim, count: int) -> float:
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
