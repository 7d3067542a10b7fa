"""The stress pattern of the paper's Figure 1: a run of 256 tasks, emptied by 1 to 64 clients.

Each client claims a task, sends ten progress updates, marks it done, and goes on until nothing is
left. Measured as in the paper: (a) the mean over the clients of the time from a client's first
claim to the answer that nothing is left; (b) the mean time of an update. And beside them requests
per second, from the first claim of any client to the end of the last, and the processor time of a
request: of web server, PostgreSQL and clients, all on the same cores (theirs includes registering).
The clients register before the clock runs, and begin together. Every pass has a fresh database and
a fresh, warmed server; the sides take turns. "Other load" is the share of the cores' busy time that
went to strangers: where it is high, look at the processor time instead.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from statistics import median

from .harness import clients
from .harness.bench import Bench, median_ratio
from .harness.clients import Stress
from .harness.processor import busy_seconds, ended_children_seconds
from .harness.report import Figure, Result, Row
from .harness.sides import Side
from .harness.web import ALIKE, Shape, WebServer

NAME = "figure1"
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
TINY_CLIENTS = (1, 2)
TASKS = 256
TARGET_CLIENTS = 16
TARGET = 1.6
TARGET_REPEATS = 7
REPEATS = 3


@dataclass(frozen=True)
class Usage:
    """Seconds of processor time up to a moment, or between two."""

    web: float
    database: float
    clients: float
    everybody: float

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(*(a - b for a, b in zip(astuple(self), astuple(earlier), strict=True)))

    @property
    def strangers(self) -> float:
        """The share that went to nothing that belongs here: how noisy the machine was."""
        return max(0.0, 1 - (self.web + self.database + self.clients) / self.everybody)


@dataclass(frozen=True)
class Pass:
    """One pass of the pattern, and the processor time that it took."""

    stress: Stress
    usage: Usage

    def milliseconds(self, part: str) -> float:
        """Processor time of a request in one part: web, database or clients."""
        return 1000 * float(getattr(self.usage, part)) / self.stress.requests


def usage_now(side: Side, server: WebServer) -> Usage:
    """All processor time so far."""
    return Usage(
        server.cpu_seconds(),
        side.postgres.cpu_seconds(),
        ended_children_seconds(),
        busy_seconds(),
    )


def run_pass(side: Side, *, clients_: int, tasks: int, shape: Shape = ALIKE) -> Pass:
    """Serve the side's database as it is and empty one run."""
    with side.serve(shape) as server:
        before = usage_now(side, server)
        stress = clients.stress(server.api, clients=clients_, tasks=tasks)
        return Pass(stress, usage_now(side, server) - before)


def summarise(side: Side, passes: list[Pass]) -> Row:
    """One row: the medians of the passes of one side."""
    stresses = [each.stress for each in passes]
    row: Row = {
        "clients": stresses[0].clients,
        "side": side.title,
        "requests/s": median(stress.requests_per_second for stress in stresses),
        "client time s": median(stress.client_seconds for stress in stresses),
        "update ms": 1000 * median(stress.update_seconds for stress in stresses),
    }
    for part in ("web", "database", "clients"):
        row[f"CPU ms/request: {part}"] = median(each.milliseconds(part) for each in passes)
    row["other load"] = f"{100 * median(each.usage.strangers for each in passes):.0f} %"
    return row


def compare(bench: Bench, client_count: int, repeats: int) -> tuple[list[Row], float]:
    """Rows of both sides for one number of clients, and our requests/s over the peer's."""
    passes: dict[str, list[Pass]] = {side.name: [] for side in bench.sides}
    for _, side in bench.turns(repeats):
        side.fresh_database()
        done = run_pass(side, clients_=client_count, tasks=bench.size(TASKS, 8))
        passes[side.name].append(done)
    rates = {
        name: [each.stress.requests_per_second for each in done] for name, done in passes.items()
    }
    rows = [summarise(side, passes[side.name]) for side in bench.sides]
    return rows, median_ratio(rates[bench.ours.name], rates[bench.theirs.name])


def measure(bench: Bench) -> Result:
    result = Result(NAME, "Figure 1 of the paper: 256 tasks, claim + 10 updates + done")
    counts = TINY_CLIENTS if bench.quick else CLIENTS
    target = TINY_CLIENTS[-1] if bench.quick else TARGET_CLIENTS
    for client_count in counts:
        repeats = TARGET_REPEATS if client_count == target else REPEATS
        rows, ratio = compare(bench, client_count, repeats)
        result.rows += [{**row, "ours over peer": f"{ratio:.2f}"} for row in rows]
        if client_count == target:
            name = f"requests/s at {client_count} clients, fresh database, over the peer's"
            result.figures.append(Figure(name, ratio, TARGET))
    passes = (
        f"{bench.size(REPEATS, 1)} passes ({bench.size(TARGET_REPEATS, 1)} at {target} clients)"
    )
    result.notes.append(f"Medians of {passes}; the ratio is the median of the ratios of pairs.")
    return result
