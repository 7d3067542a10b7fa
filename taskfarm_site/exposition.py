"""The farm's numbers in the words of Prometheus; ``docs/reference/metrics.md`` lists them.

What is counted in the database is read when somebody asks, and is the same from every process.
Only the times of exchanges are measured in the processes themselves: those of one gunicorn put
them into files of the folder that its configuration makes, and whichever is asked adds all up.
"""

import os
from collections.abc import Iterable, Iterator

from django.db import connection
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from runs.metrics import STATES, Numbers, RunNumbers, Sweeps
from runs.states import Outcome
from taskfarm_site import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ
"""Whether this process measures into a folder beside others; the library decides at this moment."""
disable_created_metrics()  # type: ignore[no-untyped-call]
measured = CollectorRegistry()
"""What this process has measured, where it is the only one."""
EXCHANGES = Histogram(
    "taskfarm_exchange_seconds",
    "Time that exchanges of workers took on this server, by all of its processes.",
    registry=measured,
    buckets=SECONDS,
)


def render(numbers: Numbers) -> bytes:
    """The farm's numbers and this server's measurements as text."""
    registry = CollectorRegistry()
    registry.register(Kept(numbers))
    return generate_latest(registry) + generate_latest(measurements())


def measurements() -> CollectorRegistry:
    """What all processes of this server have measured since it started."""
    if not SHARED:
        return measured
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


class Kept(Collector):
    """The numbers that the database keeps, as metrics."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """All families, those without a sample included."""
        info = gauge("taskfarm_info", "What serves the farm; always 1.", "version", "database")
        info.add_metric([__version__, connection.vendor], 1)
        yield info
        yield from of_farm(self.numbers)
        yield from of_sweeps(self.numbers.sweeps)
        yield from of_runs(self.numbers.told)


def gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    """A number that goes up and down."""
    return GaugeMetricFamily(name, meaning, labels=labels)


def counter(name: str, meaning: str, *labels: str) -> CounterMetricFamily:
    """A number that only grows."""
    return CounterMetricFamily(name, meaning, labels=labels)


def of_farm(numbers: Numbers) -> Iterator[Metric]:
    """Runs, tasks and workers of the whole farm."""
    runs = gauge("taskfarm_runs", "Runs by state.", "state")
    for state, count in numbers.runs.items():
        runs.add_metric([state], count)
    tasks = gauge("taskfarm_tasks", "Tasks of all runs by state.", "state")
    for state in STATES:
        tasks.add_metric([state], getattr(numbers.tasks, state))
    unfinished = gauge("taskfarm_unfinished_runs", "Runs in which tasks wait or compute.")
    unfinished.add_metric([], numbers.unfinished)
    workers = gauge(
        "taskfarm_workers",
        "Workers that promised a heartbeat and have not gone: alive, or silent for so long that "
        "the next sweep gives them up.",
        "state",
    )
    workers.add_metric(["alive"], numbers.alive)
    workers.add_metric(["silent"], numbers.silent)
    yield from (runs, tasks, unfinished, workers)


def of_sweeps(sweeps: Sweeps) -> Iterator[Metric]:
    """What sweeps did."""
    yield CounterMetricFamily(
        "taskfarm_workers_lost", "Workers that were given up as lost.", value=sweeps.lost_workers
    )
    yield CounterMetricFamily("taskfarm_sweeps", "Sweeps that came to an end.", value=sweeps.count)
    yield CounterMetricFamily(
        "taskfarm_sweep_seconds", "Time that sweeps took.", value=sweeps.seconds
    )
    last = gauge("taskfarm_last_sweep_timestamp_seconds", "When the last sweep ended.")
    if sweeps.ended is not None:
        last.add_metric([], sweeps.ended.timestamp())
    yield last


def of_runs(runs: Iterable[RunNumbers]) -> Iterator[Metric]:
    """The runs that are told one by one."""
    told = ("run", "name")
    info = gauge(
        "taskfarm_run_info", "What a run is; always 1.", *told, "namespace", "owner", "state"
    )
    tasks = gauge("taskfarm_run_tasks", "Tasks of a run by state.", *told, "state")
    attempts = counter(
        "taskfarm_run_attempts", "Attempts at tasks of a run by how they ended.", *told, "outcome"
    )
    stale = counter("taskfarm_run_stale_reports", "Reports on a run that came too late.", *told)
    moved = gauge(
        "taskfarm_run_last_movement_timestamp_seconds",
        "When a task of a run last changed its state.",
        *told,
    )
    waited = gauge(
        "taskfarm_run_oldest_waiting_seconds",
        "How long the next task in line of a run that hands out has waited.",
        *told,
    )
    for run in runs:
        labels = [run.uuid, run.name]
        info.add_metric([*labels, run.namespace, run.owner, run.state], 1)
        for state in STATES:
            tasks.add_metric([*labels, state], getattr(run.counts, state))
        for outcome in Outcome:
            attempts.add_metric([*labels, outcome.label], run.counts.ended(outcome))
        stale.add_metric(labels, run.counts.stale)
        if run.moved is not None:
            moved.add_metric(labels, run.moved.timestamp())
        if run.waited is not None:
            waited.add_metric(labels, run.waited)
    yield from (info, tasks, attempts, stale, moved, waited)
