"""Which gunicorn serves best: sync or threaded workers, and how many?

The stress pattern of Figure 1 at 16 clients on a fresh database, for several shapes of both
servers; shapes and sides take turns. The configuration in deploy/ is chosen by this table.
"""

from __future__ import annotations

from .figure1 import TASKS, Pass, run_pass, summarise
from .harness.bench import Bench
from .harness.report import Result
from .harness.web import Shape

NAME = "gunicorn_shapes"
CLIENTS = 16
REPEATS = 3
SHAPES = (
    Shape(2, "sync"),
    Shape(4, "sync"),
    Shape(8, "sync"),
    Shape(4, "gthread", 1),
    Shape(2, "gthread", 4),
    Shape(2, "gthread", 8),
    Shape(4, "gthread", 4),
)


def measure(bench: Bench) -> Result:
    result = Result(NAME, f"Shapes of gunicorn, {CLIENTS} clients")
    passes: dict[tuple[Shape, str], list[Pass]] = {}
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
    sides = {side.name: side for side in bench.sides}
    for (shape, name), several in passes.items():
        result.rows.append({"gunicorn": str(shape), **summarise(sides[name], several)})
    return result
