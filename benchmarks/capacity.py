"""What a farm can carry: exchanges and tasks per second by number of workers and length of tasks.

Real clients (`Run.work`), one process each, whose tasks sleep for so long, and a swarm of simulated
workers that goes as fast as it is answered, whose exchanges carry the least. For each point the
rates over some seconds in the steady state, the processor time of web server, PostgreSQL and
clients in cores, commits and written log. All of them run on the same cores: where these are full,
so is the farm.

The model is a plane through the points, by least squares of relative errors: processor time and
log are so much per exchange and so much per task. Points that keep server and database busy for
less than a tenth of a core are left out: the clocks of processes tick every hundredth of a second.
From it, `docs/explanation/capacity.md`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from .harness import own
from .harness.bench import Bench
from .harness.ours import Ours
from .harness.report import Result, Row
from .harness.web import DEPLOYED, WebServer

NAME = "capacity"
LENGTHS = (0.0, 0.001, 0.01, 0.1, 1.0)
CLIENTS = (1, 2, 4, 16, 64)
WINDOW, TINY_WINDOW = 6.0, 0.5
SWARMS = (1, 4, 16, 64)
FASTEST = 30_000
"""Tasks per second for which a run is made large enough."""
SATURATED = 0.9
LEAST_BUSY = 0.1

# Transactions that wrote, each of which is a durable commit; bytes of log.
LOOK = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8,
    (pg_current_wal_insert_lsn() - '0/0')::float8, SUM(done)::float8, SUM(waiting)::float8
FROM runs_tally
"""


@dataclass(frozen=True)
class Point:
    """What was seen at one number of workers and one length of tasks, per second of time."""

    exchanges: float
    tasks: float
    web: float
    database: float
    clients: float
    commits: float
    log: float

    @property
    def busy(self) -> float:
        """Cores that were busy with any of it."""
        return self.web + self.database + self.clients


def measure(bench: Bench) -> Result:
    ours = bench.this_server
    window = TINY_WINDOW if bench.quick else WINDOW
    result = Result(NAME, "Exchanges and tasks per second by workers and length of tasks")
    points = []
    for seconds in LENGTHS[: bench.size(len(LENGTHS), 1)]:
        for clients in CLIENTS[: bench.size(len(CLIENTS), 1)]:
            points.append(with_clients(ours, clients, seconds, window))
            result.rows.append(row("clients", clients, f"{seconds:g} s", points[-1]))
    for workers in SWARMS[: bench.size(len(SWARMS), 1)]:
        points.append(with_swarm(ours, workers, window))
        result.rows.append(row("simulated", workers, "as fast as answered", points[-1]))
    busy = [point for point in points if point.web + point.database >= LEAST_BUSY] or points
    result.constants = {**model(busy), "cores": float(cores())}
    result.notes += notes(busy)
    return result


def row(kind: str, workers: int, seconds: str, point: Point) -> Row:
    """One line of the table."""
    return {
        "workers": workers,
        "kind": kind,
        "task": seconds,
        "exchanges/s": point.exchanges,
        "tasks/s": point.tasks,
        "cores: web": point.web,
        "cores: database": point.database,
        "cores: clients": point.clients,
        "commits/s": point.commits,
        "log MB/s": point.log / 1e6,
        "full": f"{100 * point.busy / cores():.0f} %",
    }


def cores() -> int:
    """How many there are."""
    return len(os.sched_getaffinity(0))


# ---- points


def with_clients(ours: Ours, clients: int, seconds: float, window: float) -> Point:
    """Real clients at work."""
    pace = min(FASTEST, clients / seconds) if seconds else FASTEST
    run = fill(ours, int(1000 + pace * (window + 2) * 1.3))
    with ours.serve(DEPLOYED) as server, own.crowd(server, run, clients, seconds, window) as crowd:
        first = look(ours, server, crowd)
        last = look(ours, server, crowd)
    span, *rates = (b - a for a, b in zip(first, last, strict=True))
    return Point(*(rate / span for rate in rates))


def look(ours: Ours, server: WebServer, crowd: own.Crowd) -> tuple[float, ...]:
    """Wait for the next moment that counts: its time, and the fields of a point so far."""
    exchanges = crowd.exchanges()
    cpu = (server.cpu_seconds(), ours.postgres.cpu_seconds(), crowd.cpu_seconds())
    commits, log, done = books(ours)
    return (time.perf_counter(), exchanges, done, *cpu, commits, log)


def with_swarm(ours: Ours, workers: int, window: float) -> Point:
    """Simulated workers whose task ends at each exchange: no heartbeat comes in a million tasks."""
    run = fill(ours, int(FASTEST / 4 * (window + 1)))
    with ours.serve(DEPLOYED) as server:
        before = books(ours)
        seen = own.swarm(
            server, ours, run, workers, task=1.0, beat=1e6, window=window, pace=0
        )  # fmt: skip
        after = books(ours)
    commits, log, _ = ((b - a) / seen.seconds for a, b in zip(before, after, strict=True))
    cpu = (spent / seen.seconds for spent in seen.cpu)
    return Point(seen.exchanges / seen.seconds, seen.tasks / seen.seconds, *cpu, commits, log)


def fill(ours: Ours, tasks: int) -> str:
    """A fresh, settled database with one run."""
    ours.fresh_database()
    run = ours.create_run(tasks)
    ours.postgres.settle(ours.database)
    return run


def books(ours: Ours) -> tuple[float, float, float]:
    """Commits, bytes of log and tasks done so far.

    Raises:
        RuntimeError: the run ran dry, so that what was measured is its end.
    """
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute(LOOK)
        commits, log, done, waiting = cursor.fetchone()
    if not waiting:
        raise RuntimeError(f"the run was too small: all of its {done:,.0f} tasks are taken")
    return commits, log, done


# ---- the model


def model(points: list[Point]) -> dict[str, float]:
    """Seconds of processor time, and bytes of log, per exchange and per task."""
    constants = {}
    for name, of in PARTS.items():
        per_exchange, per_task = plane(points, of)
        constants[f"{name} per exchange"] = per_exchange
        constants[f"{name} per task"] = per_task
    return constants


PARTS: dict[str, Callable[[Point], float]] = {
    "web": lambda point: point.web,
    "database": lambda point: point.database,
    "log": lambda point: point.log,
}


def plane(points: list[Point], of: Callable[[Point], float]) -> tuple[float, float]:
    """The a and b, neither negative, with the least squares of relative errors of a·x + b·y."""
    rows = [
        (point.exchanges / of(point), point.tasks / of(point)) for point in points if of(point) > 0
    ]
    xx, yy = sum(x * x for x, _ in rows), sum(y * y for _, y in rows)
    xy, x1, y1 = sum(x * y for x, y in rows), sum(x for x, _ in rows), sum(y for _, y in rows)
    both = xx * yy - xy * xy
    if both:
        a, b = (x1 * yy - y1 * xy) / both, (y1 * xx - x1 * xy) / both
        if a >= 0 and b >= 0:
            return a, b
    # One of them explains more alone than both together with the other below zero.
    only_x, only_y = (x1 / xx if xx else 0.0), (y1 / yy if yy else 0.0)
    error_x = sum((only_x * x - 1) ** 2 for x, _ in rows)
    error_y = sum((only_y * y - 1) ** 2 for _, y in rows)
    return (only_x, 0.0) if error_x <= error_y else (0.0, only_y)


def notes(points: list[Point]) -> list[str]:
    """How well the model fits, and what is full where it is full."""
    found = []
    for name, of in PARTS.items():
        a, b = plane(points, of)
        errors = [
            abs(a * point.exchanges + b * point.tasks - of(point)) / of(point)
            for point in points
            if of(point) > 0
        ]
        found.append(f"{name} {100 * median(errors):.0f} %")
    lines = [f"The model is off by, in the median over {len(points)} points: {', '.join(found)}."]
    full = [point for point in points if point.busy >= SATURATED * cores()]
    if full:
        most = max(full, key=lambda point: point.tasks)
        lines.append(
            f"Of {len(points)} points {len(full)} keep {100 * SATURATED:.0f} % of the cores busy "
            f"or more. At the most tasks/s, {most.tasks:,.0f}, the web server has {most.web:.2f} "
            f"of {cores()} cores, PostgreSQL {most.database:.2f}, the clients {most.clients:.2f}."
        )
    return lines
