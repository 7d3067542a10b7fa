"""Does a call get slower as its run grows? A run of 1,000,000 tasks beside one of 1,000.

Both are in one database, half of their tasks done. One client has a worker on each and makes the
same calls on both in turn, so that a slow moment of the machine hits both. The figure is the median
latency in the large run over that in the small one, for the request alone (see `clients.Latency`).
The done half is written by SQL, then the database is vacuumed.
"""

from __future__ import annotations

from .harness import clients
from .harness.bench import Bench
from .harness.clients import Latency
from .harness.ours import Ours
from .harness.report import Figure, Result

NAME = "size"
LARGE = 1_000_000
SMALL = 1000
ROUNDS = 400
TARGET = 1.3
FIGURES = {"claim": "claim", "update": "progress", "info": "info"}


def measure(bench: Bench) -> Result:
    ours = bench.this_server
    result = Result(NAME, "A call in a large run over the same call in a small one")
    sizes = (bench.size(LARGE, 2000), bench.size(SMALL, 100))
    runs = prepare(ours, sizes)
    with ours.serve() as server:
        times = clients.latencies(server.api, runs, bench.size(ROUNDS, 5))
    report(result, sizes, times[runs[0]], times[runs[1]])
    return result


def prepare(ours: Ours, sizes: tuple[int, int]) -> list[str]:
    """Two runs, half done, in a settled database."""
    ours.fresh_database()
    runs = [ours.create_run(tasks) for tasks in sizes]
    for run, tasks in zip(runs, sizes, strict=True):
        ours.finish_tasks(run, tasks // 2)
    ours.postgres.settle(ours.database)
    return runs


def report(
    result: Result, sizes: tuple[int, int], large: dict[str, Latency], small: dict[str, Latency]
) -> None:
    """A row for each call; a figure for those that have a target."""
    for call, there in large.items():
        here = small[call]
        ratio = there.answer / here.answer
        result.rows.append(
            {
                "call": call,
                f"ms, {sizes[0]:,} tasks": 1000 * there.answer,
                f"ms, {sizes[1]:,} tasks": 1000 * here.answer,
                "ratio": f"{ratio:.2f}",
            }
        )
        if call in FIGURES:
            name = f"{FIGURES[call]}: run of {sizes[0]:,} tasks over run of {sizes[1]:,}"
            result.figures.append(Figure(name, ratio, TARGET, at_least=False))
