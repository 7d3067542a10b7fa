"""Which gunicorn serves best: sync or threaded workers, and how many?

The stress pattern of Figure 1 at 16 clients on a fresh database, for several shapes of both
servers; shapes and sides take turns. For ours also the tasks that do nothing of `throughput`, with
two processes of our own client: its few, large exchanges stay on two connections, and where both
end in one process of the server, that process is all that works. The configuration in deploy/ is
chosen by this table.
"""

from __future__ import annotations

from statistics import median

from . import throughput
from .figure1 import TASKS, Pass, run_pass, summarise
from .harness.bench import Bench
from .harness.ours import Ours
from .harness.report import Result
from .harness.web import Shape

NAME = "gunicorn_shapes"
CLIENTS = 16
REPEATS = 3
OWN_TASKS = 60_000
SHAPES = (
    Shape(2, "sync"),
    Shape(4, "sync"),
    Shape(8, "sync"),
    Shape(4, "gthread", 1),
    Shape(4, "gthread", 2),
    Shape(2, "gthread", 4),
    Shape(2, "gthread", 8),
    Shape(4, "gthread", 4),
)


def measure(bench: Bench) -> Result:
    result = Result(NAME, f"Shapes of gunicorn, {CLIENTS} clients")
    passes: dict[tuple[Shape, str], list[Pass]] = {}
    rates: dict[Shape, throughput.Rates] = {}
    for _ in range(bench.size(REPEATS, 1)):
        for shape in SHAPES[: bench.size(len(SHAPES), 1)]:
            for side in bench.sides:
                side.fresh_database()
                done = run_pass(
                    side,
                    clients_=bench.size(CLIENTS, 2),
                    tasks=bench.size(TASKS, 8),
                    shape=shape,
                )
                passes.setdefault((shape, side.name), []).append(done)
            if isinstance(bench.ours, Ours):
                throughput.through_client(
                    bench.ours,
                    bench.size(OWN_TASKS, 2000),
                    rates.setdefault(shape, throughput.Rates()),
                    shape,
                )
    sides = {side.name: side for side in bench.sides}
    for (shape, name), several in passes.items():
        own = median(rates[shape].ours) if shape in rates and name == bench.ours.name else ""
        row = summarise(sides[name], several)
        result.rows.append({"gunicorn": str(shape), **row, "own client, tasks/s": own})
    return result
