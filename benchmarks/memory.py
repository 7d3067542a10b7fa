"""What the processes occupy after an hour's worth of exchanges, and whether that grows.

As fast as they go:

- the server's processes answer what the 1,000 workers of `swarm` say in an hour, 420,000 exchanges
  in the same mixture (six heartbeats to a task);
- a client process, `Run.work` with tasks that do nothing, makes 3,600 exchanges, one for each
  second of an hour, with hundreds of tasks each.

Resident memory, shared pages included, in MB of 10^6 bytes: of the largest gunicorn worker, and of
the client's process, after a quarter and at the end.
"""

from __future__ import annotations

import psutil

from .harness import own
from .harness.bench import Bench
from .harness.report import Figure, Result, Row
from .harness.web import DEPLOYED, WebServer
from .swarm import BEAT, TASK

NAME = "memory"
SERVER_EXCHANGES = 420_000
CLIENT_EXCHANGES = 3600
TASKS_PER_EXCHANGE = 1000
WORKERS = 32
HOURS = 24 * 3600.0
TARGET_SERVER, TARGET_CLIENT, TARGET_GROWTH = 120, 45, 1.05


def measure(bench: Bench) -> Result:
    result = Result(NAME, "Memory after an hour's worth of exchanges")
    server = of_server(bench, bench.size(SERVER_EXCHANGES, 400))
    client = of_client(bench, bench.size(CLIENT_EXCHANGES, 8))
    for who, seen, target in (
        ("server process", server, TARGET_SERVER),
        ("client process", client, TARGET_CLIENT),
    ):
        result.rows.append({"process": who, **seen})
        quarter, end = float(seen["after a quarter, MB"]), float(seen["at the end, MB"])
        result.figures += [
            Figure(f"{who}, MB", end, target, at_least=False),
            Figure(f"{who}, the end over a quarter", end / quarter, TARGET_GROWTH, at_least=False),
        ]
    return result


def of_server(bench: Bench, exchanges: int) -> Row:
    """Let a swarm talk to the server without waiting."""
    ours = bench.this_server
    ours.fresh_database()
    run = ours.create_run(exchanges)
    ours.postgres.settle(ours.database)
    sizes = []
    with ours.serve(DEPLOYED) as server:
        start = largest(server)
        for part in (exchanges // 4, exchanges - exchanges // 4):
            own.swarm(
                server, ours, run, WORKERS,
                task=TASK, beat=BEAT, window=HOURS, exchanges=part, pace=0,
            )  # fmt: skip
            sizes.append(largest(server))
    return seen(exchanges, f"{start:.1f}", *sizes)


def of_client(bench: Bench, exchanges: int) -> Row:
    """Let a client work without pause."""
    ours = bench.this_server
    ours.fresh_database()
    run = ours.create_run(exchanges * TASKS_PER_EXCHANGE)
    with ours.serve(DEPLOYED) as server:
        kept = own.memory(server, run, exchanges)
    return seen(exchanges, "", kept["quarter"], kept["end"])


def seen(exchanges: int, start: str, quarter: float, end: float) -> Row:
    """A row."""
    return {
        "exchanges": f"{exchanges:,}",
        "at the start, MB": start,
        "after a quarter, MB": round(quarter, 1),
        "at the end, MB": round(end, 1),
    }


def largest(server: WebServer) -> float:
    """Megabytes of the largest process that answers requests."""
    workers = psutil.Process(server.pid).children()
    return max(worker.memory_info().rss for worker in workers) / 1e6
