"""A thousand workers with tasks of a minute, heartbeats every ten seconds: what does the farm need?

The workers are simulated (`drivers/swarm.py`): 1,000 kept connections, real exchanges in real time
on a timetable, nothing compressed: some 117 exchanges a second. After a minute and a half, in which
they register and get out of step, a minute is measured: the time of each exchange as its worker
sees it, and the processor time of gunicorn with all its processes and of PostgreSQL with all of its
own, sweeps and vacuums included. The generator runs on the same two cores and is not counted.
"""

from __future__ import annotations

from .harness import own
from .harness.bench import Bench
from .harness.report import Figure, Result, Row
from .harness.web import DEPLOYED

NAME = "swarm"
WORKERS = 1000
TASK, BEAT = 60.0, 10.0
WARM, WINDOW = 90.0, 60.0
TARGET_SHARE, TARGET_P99 = 0.5, 100


def measure(bench: Bench) -> Result:
    ours = bench.this_server
    ours.fresh_database()
    workers = bench.size(WORKERS, 20)
    pace = 0.02 if bench.quick else 1.0
    run = ours.create_run(workers * 10)
    ours.postgres.settle(ours.database)
    with ours.serve(DEPLOYED) as server:
        seen = own.swarm(
            server, ours, run, workers,
            task=TASK, beat=BEAT, warm=WARM * pace, window=WINDOW * pace, pace=pace,
        )  # fmt: skip
    result = Result(NAME, f"{workers:,} workers with tasks of {TASK:.0f} s")
    result.rows.append(row(workers, seen))
    result.figures += figures(workers, seen)
    if bench.quick:
        result.notes.append(f"Time was compressed to {pace:g} of its length.")
    return result


def row(workers: int, seen: own.Swarm) -> Row:
    """All that was seen."""
    web, database, _ = seen.cpu
    return {
        "workers": f"{workers:,}",
        "exchanges/s": seen.exchanges / seen.seconds,
        "tasks/s": seen.tasks / seen.seconds,
        "median ms": 1000 * seen.p50,
        "p99 ms": 1000 * seen.p99,
        "longest ms": 1000 * seen.longest,
        "cores: web": web / seen.seconds,
        "cores: database": database / seen.seconds,
        "CPU ms/exchange": 1000 * (web + database) / seen.exchanges,
    }


def figures(workers: int, seen: own.Swarm) -> list[Figure]:
    """What is to be reached."""
    who = f"{workers:,} workers with tasks of {TASK:.0f} s"
    share = sum(seen.cpu[:2]) / seen.seconds
    return [
        Figure(f"{who}: cores used by the server side", share, TARGET_SHARE, at_least=False),
        Figure(f"{who}: p99 of an exchange, ms", 1000 * seen.p99, TARGET_P99, at_least=False),
    ]
