"""The farm with 300,000 finished tasks of an earlier run in the database.

Two questions. How long does a lone client wait for a claim, an update and the information on its
run (medians; a run of its own beside the finished one)? And how many requests per second does the
stress pattern of Figure 1 reach at 16 clients? The finished run is written by SQL, the database is
then vacuumed and analysed, and every pass starts from a copy of it.

A claim of the 0.4.0 client is two requests, the task and then its percentage; the figure is about
the first, which is what the server does to claim. The whole call stands in the table as well.
"""

from __future__ import annotations

from statistics import median

from .figure1 import TASKS, Pass, run_pass, summarise
from .harness import clients
from .harness.bench import Bench, median_ratio
from .harness.clients import Latency
from .harness.report import Figure, Result, Row
from .harness.sides import Side

NAME = "loaded"
FINISHED = 300_000
CALLS = ("claim", "update", "info", "done")
TARGET_CALLS = ("claim", "update", "info")
TARGET = 10
REPEATS = 3
STRESS_CLIENTS = 16

Passes = dict[str, list[dict[str, Latency]]]


def measure(bench: Bench) -> Result:
    result = Result(NAME, f"With {bench.size(FINISHED, 2000):,} finished tasks in the database")
    saved = {side.name: _fill(bench, side) for side in bench.sides}
    passes: Passes = {side.name: [] for side in bench.sides}
    stresses: dict[str, list[Pass]] = {side.name: [] for side in bench.sides}
    for _, side in bench.turns(REPEATS):
        side.restore_database(saved[side.name])
        passes[side.name].append(_latencies(bench, side))
        stresses[side.name].append(_stress(bench, side))
    _report_latencies(bench, passes, result)
    _report_stress(bench, stresses, result)
    return result


def _fill(bench: Bench, side: Side) -> str:
    side.fresh_database()
    side.add_finished_run(bench.size(FINISHED, 2000))
    return side.save_database("loaded")


def _latencies(bench: Bench, side: Side) -> dict[str, Latency]:
    rounds = bench.size(100, 5)
    with side.serve() as server:
        run = clients.create_run(server.api, 2 * rounds)
        return clients.latencies(server.api, [run], rounds)[run]


def _stress(bench: Bench, side: Side) -> Pass:
    return run_pass(side, clients_=bench.size(STRESS_CLIENTS, 2), tasks=bench.size(TASKS, 8))


def _report_latencies(bench: Bench, passes: Passes, result: Result) -> None:
    for call in CALLS:
        answers = {
            name: [1000 * each[call].answer for each in done] for name, done in passes.items()
        }
        ratio = median_ratio(answers[bench.theirs.name], answers[bench.ours.name])
        row: Row = {"one client": call}
        for side in bench.sides:
            row[f"{side.title} ms"] = median(answers[side.name])
            whole = median(1000 * each[call].call for each in passes[side.name])
            row[f"{side.title}, whole call ms"] = whole
        result.rows.append({**row, "peer over ours": f"{ratio:.1f}"})
        if call in TARGET_CALLS:
            name = f"{call}: the peer's latency over ours, {FINISHED:,} finished tasks"
            result.figures.append(Figure(name, ratio, TARGET))


def _report_stress(bench: Bench, stresses: dict[str, list[Pass]], result: Result) -> None:
    rows = {side.name: summarise(side, stresses[side.name]) for side in bench.sides}
    rates = {name: row["requests/s"] for name, row in rows.items()}
    ratio = rates[bench.ours.name] / rates[bench.theirs.name]
    result.notes.append(
        f"The stress pattern at {STRESS_CLIENTS} clients on the same database: "
        f"{rates[bench.theirs.name]:.0f} requests/s of the peer, "
        f"{rates[bench.ours.name]:.0f} of ours: {ratio:.1f} times as many."
    )
