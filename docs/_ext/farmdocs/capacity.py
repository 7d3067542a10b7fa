"""The capacity model: measured constants, and what farms of several sizes need by them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from .figures import RESULTS, plot, rows_table
from .text import paragraphs, table

Constants = dict[str, float]

BEAT = 10.0
"""Seconds between the heartbeats of our client."""
LONGEST_UNSENT = 1.0
"""Seconds that the reports of short tasks wait for each other."""
LARGEST_BATCH = 500
"""Reports that are not kept waiting for more."""
USE = 0.7
"""The share of a core that is planned for: beyond it, exchanges wait for each other."""
CORES_PER_HOST = 16
PROCESSES_PER_CORE = 2
CONNECTIONS = 97
"""What a stock PostgreSQL leaves to users."""
ONE_POSTGRES = 64
"""Cores of a PostgreSQL that is still bought off the shelf."""
MINUTE, HOUR = 60.0, 3600.0
FARMS = (
    (100, 1.0), (1000, MINUTE), (1000, 1.0), (1000, 0.05), (10_000, 10 * MINUTE),
    (10_000, MINUTE), (10_000, 1.0), (100_000, HOUR), (100_000, 10 * MINUTE), (100_000, MINUTE),
    (100_000, 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Need:
    """What a farm of so many workers with tasks of so many seconds needs, by the model."""

    exchanges: float
    tasks: float
    web: float
    database: float
    log: float

    @property
    def host(self) -> int:
        """Cores of a host that does it all."""
        return math.ceil((self.web + self.database) / USE)

    @property
    def web_cores(self) -> int:
        """Cores for the web server alone."""
        return math.ceil(self.web / USE)

    @property
    def database_cores(self) -> int:
        """Cores for PostgreSQL alone."""
        return math.ceil(self.database / USE)

    @property
    def processes(self) -> int:
        """Processes of the web server, each with a connection to the database."""
        return PROCESSES_PER_CORE * self.web_cores

    def steps(self) -> str:
        """How far up the way it is."""
        if self.host <= CORES_PER_HOST:
            return f"one host of {max(2, self.host)} cores"
        hosts = math.ceil(self.web_cores / CORES_PER_HOST)
        parts = [f"web: {hosts} hosts of {CORES_PER_HOST} cores" if hosts > 1 else "web: one host"]
        if self.processes > CONNECTIONS:
            parts.append("PgBouncer")
        if self.database_cores <= ONE_POSTGRES:
            parts.append(f"PostgreSQL of {self.database_cores} cores")
        else:
            nodes = math.ceil(self.database_cores / ONE_POSTGRES)
            parts.append(f"runs over {nodes} PostgreSQLs of {ONE_POSTGRES} cores")
        return "; ".join(parts)


def need(constants: Constants, workers: int, seconds: float) -> Need:
    """What a farm needs."""
    tasks = workers / seconds
    batches = tasks / LARGEST_BATCH
    exchanges = max(workers * (1 / BEAT + 1 / max(seconds, LONGEST_UNSENT)), batches)
    return Need(
        exchanges,
        tasks,
        *(
            exchanges * constants[f"{part} per exchange"] + tasks * constants[f"{part} per task"]
            for part in ("web", "database", "log")
        ),
    )


def of_result(render: Callable[[dict[str, Any]], str]) -> Callable[[], str]:
    """A part that is rendered from the saved result, or a word on why there is none."""

    @wraps(render)
    def rendered() -> str:
        path = RESULTS / "capacity.json"
        result = json.loads(path.read_text()) if path.exists() else {"quick": True}
        if result["quick"]:
            return (
                "*Nothing of this is kept in this checkout: "
                "`python -m benchmarks capacity` measures it.*\n"
            )
        return render(result)

    return rendered


@of_result
def render_costs(result: dict[str, Any]) -> str:
    """The constants, and what a core can do by them."""
    constants = result["constants"]
    rows = []
    for part, title in (("web", "web server"), ("database", "PostgreSQL")):
        exchange, task = (constants[f"{part} per {what}"] for what in ("exchange", "task"))
        rows.append(
            (
                title,
                f"{1000 * exchange:.2f} ms",
                f"{1e6 * task:.0f} µs",
                f"{USE / (exchange + task):,.0f}",
                f"{USE / (exchange / LARGEST_BATCH + task):,.0f}",
            )
        )
    log = (constants[f"log per {what}"] for what in ("exchange", "task"))
    rows.append(("log (WAL)", *(f"{size:,.0f} bytes" for size in log), "", ""))
    head = (
        "part",
        "an exchange costs",
        "and each task in it",
        "a core does exchanges/s of one task",
        f"or tasks/s in exchanges of {LARGEST_BATCH}",
    )
    return paragraphs(table(head, rows), *result["notes"])


@of_result
def render_farms(result: dict[str, Any]) -> str:
    """Farms of several sizes."""
    rows = []
    for workers, seconds in FARMS:
        needed = need(result["constants"], workers, seconds)
        rows.append(
            (
                f"{workers:,}",
                duration(seconds),
                f"{needed.exchanges:,.0f}",
                f"{needed.tasks:,.0f}" if needed.tasks >= 10 else f"{needed.tasks:.1f}",
                f"{needed.web:.2g}",
                f"{needed.database:.2g}",
                f"{needed.log / 1e6:.2g}",
                needed.steps(),
            )
        )
    head = (
        "workers", "task", "exchanges/s", "tasks/s", "cores busy: web", "PostgreSQL", "log MB/s",
        "what that takes",
    )  # fmt: skip
    return table(head, rows) + "\n"


@of_result
def render_limits(result: dict[str, Any]) -> str:
    """The numbers of workers at which each step comes, by length of task."""
    rows = [
        (duration(seconds), *(f"{most(result['constants'], seconds, fits):,}" for fits in LIMITS))
        for seconds in (0.1, 1.0, 10.0, MINUTE, 10 * MINUTE, HOUR)
    ]
    head = (
        "task",
        "one host of 2 cores",
        f"one host of {CORES_PER_HOST} cores",
        f"web hosts without PgBouncer ({CONNECTIONS} connections)",
        f"one PostgreSQL of {ONE_POSTGRES} cores",
    )
    return table(head, rows) + "\n"


LIMITS: tuple[Callable[[Need], bool], ...] = (
    lambda needed: needed.host <= 2,
    lambda needed: needed.host <= CORES_PER_HOST,
    lambda needed: needed.processes <= CONNECTIONS,
    lambda needed: needed.database_cores <= ONE_POSTGRES,
)


def most(constants: Constants, seconds: float, fits: Callable[[Need], bool]) -> int:
    """The greatest number of workers that fits, to two digits."""
    least, top = 0, 2**30
    while top - least > 1:
        middle = (least + top) // 2
        if fits(need(constants, middle, seconds)):
            least = middle
        else:
            top = middle
    scale = 10 ** max(0, len(str(least)) - 2)
    return least // scale * scale


@of_result
def render_measured(result: dict[str, Any]) -> str:
    """The plot and all points, with the machine."""
    machine = "\n".join(f"- {name}: {text}" for name, text in result["machine"].items())
    shown = (RESULTS / "capacity.png").exists()
    return paragraphs(
        plot("capacity.png", "Tasks and exchanges per second over workers") if shown else "",
        rows_table(result["rows"]),
        f"Measured on:\n\n{machine}",
    )


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if seconds >= HOUR:
        return f"{seconds / HOUR:g} h"
    return f"{seconds / MINUTE:g} min" if seconds >= MINUTE else f"{seconds:g} s"
