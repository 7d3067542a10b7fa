"""What does it cost to create a run of 1,000,000 tasks, over writing its rows and nothing else?

The server's operation, in this process, against a bare INSERT … SELECT of the same rows into the
same table with the same indexes. Each is timed on a fresh database that holds one small run, after
a checkpoint; the two take turns, and the figure is the median of the ratios of the pairs.
"""

from __future__ import annotations

import time
from statistics import median

from .harness.bench import Bench, median_ratio
from .harness.inside import Inside
from .harness.ours import Ours
from .harness.report import Figure, Result

NAME = "create"
TASKS = 1_000_000
REPEATS = 5
TARGET = 1.5
NUMBER = "number"
COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = 'runs_task' AND column_name NOT IN ('id', 'run_id', 'number')
"""
# One task of the small run lends the values of all columns that are the same for all tasks.
BARE = """
INSERT INTO runs_task (id, run_id, number, {columns})
SELECT 1000000 * 4294967296 + series.number, 1000000, series.number, {columns}
FROM (SELECT {columns} FROM runs_task LIMIT 1) AS task,
     generate_series(0, {tasks} - 1) AS series (number)
"""


def measure(bench: Bench) -> Result:
    tasks = bench.size(TASKS, 10_000)
    server, bare = pairs(bench.this_server, tasks, bench.size(REPEATS, 1))
    result = Result(NAME, f"Create a run of {tasks:,} tasks")
    for way, seconds in (("the server's operation", server), ("bare INSERT … SELECT", bare)):
        result.rows.append({"way": way, "seconds": median(seconds)})
    result.figures.append(figure(tasks, median_ratio(server, bare)))
    return result


def figure(tasks: int, ratio: float) -> Figure:
    name = f"create {tasks:,} tasks, over a bare INSERT … SELECT"
    return Figure(name, ratio, TARGET, at_least=False)


def pairs(ours: Ours, tasks: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both ways, in turn; the last database is the server's."""
    server, bare = [], []
    for _ in range(repeats):
        bare.append(bare_insert(ours, tasks))
        server.append(through_server(ours, tasks))
    return server, bare


def stage(ours: Ours) -> Inside:
    """A fresh database with one small run."""
    ours.fresh_database()
    inside = Inside(ours)
    inside.create_run(10)
    ours.postgres.execute(ours.database, "CHECKPOINT")
    return inside


def through_server(ours: Ours, tasks: int) -> float:
    inside = stage(ours)
    start = time.perf_counter()
    inside.create_run(tasks)
    seconds = time.perf_counter() - start
    inside.disconnect()
    return seconds


def bare_insert(ours: Ours, tasks: int) -> float:
    stage(ours).disconnect()
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute(COLUMNS)
        columns = ", ".join(f'"{name}"' for (name,) in cursor.fetchall())
        start = time.perf_counter()
        cursor.execute(BARE.format(columns=columns, tasks=tasks))
        return time.perf_counter() - start
