"""The workload of the paper's Figure 1, each system with the client that is made for it.

256 tasks, each claimed, updated ten times and done, by 16 clients: the published server with its
own client, and ours with `Run.work`, whose function calls `task.update` ten times. The clients
register before the clock runs and begin together; timed as in the paper from the first claim, here
to the last task's done. `task.update` of ours returns at once and of several updates within a
second sends the last: that is what our client is for, and why it makes fewer requests.

Every pass has a fresh database and a fresh, warmed server; the sides take turns. The figure is the
median of the ratios of the pairs.
"""

from __future__ import annotations

from statistics import median

from .figure1 import TASKS
from .harness import clients, own
from .harness.bench import Bench, median_ratio
from .harness.report import Figure, Result
from .harness.web import DEPLOYED

NAME = "figure1_own"
CLIENTS = 16
UPDATES = 10
REPEATS = 7
TARGET = 30


def measure(bench: Bench) -> Result:
    count, tasks = bench.size(CLIENTS, 2), bench.size(TASKS, 8)
    passes = [
        (theirs(bench, count, tasks), ours(bench, count, tasks))
        for _ in range(bench.size(REPEATS, 1))
    ]
    result = Result(NAME, f"Figure 1 with each system's own client, {count} clients")
    for side, index in ((bench.theirs, 0), (bench.ours, 1)):
        result.rows.append(
            {
                "side": f"{side.title} with its own client",
                "seconds": median(both[index][0] for both in passes),
                "requests": median(both[index][1] for both in passes),
            }
        )
    ratio = median_ratio([peer[0] for peer, _ in passes], [mine[0] for _, mine in passes])
    name = f"Figure 1's workload at {count} clients, own clients: the peer's time over ours"
    result.figures.append(Figure(name, ratio, TARGET))
    return result


def theirs(bench: Bench, count: int, tasks: int) -> tuple[float, int]:
    """Seconds and requests of the published system."""
    bench.theirs.fresh_database()
    with bench.theirs.serve() as server:
        stress = clients.stress(server.api, clients=count, tasks=tasks)
    return stress.work_seconds, stress.requests


def ours(bench: Bench, count: int, tasks: int) -> tuple[float, int]:
    """Seconds and exchanges of our system."""
    side = bench.this_server
    side.fresh_database()
    run = side.create_run(tasks)
    with side.serve(DEPLOYED) as server:
        done = own.work(server, run, tasks, clients=count, updates=UPDATES)
    return done.seconds, done.exchanges
