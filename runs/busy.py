"""How busy workers were lately: the share of the time from their first task to their last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from runs.attempts import BAD
from runs.dialect import as_datetime, as_list, fetch
from runs.models import Run
from runs.states import Outcome

LATEST = 2_000
"""Tasks of a run, the last that were handed out, whose attempts are looked at."""
MOST = 2 * LATEST
OF_ALL = 10_000
"""Attempts of the whole farm, the last that ended, among which a worker's own are looked for."""

Span = tuple[datetime, datetime]


def worked(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of some attempts went on: tasks are fetched ahead."""
    total, reached = 0.0, None
    for start, end in sorted(spans):
        begun = start if reached is None else max(start, reached)
        total += max((end - begun).total_seconds(), 0.0)
        reached = end if reached is None else max(reached, end)
    return total


@dataclass
class Time:
    """Seconds of work within seconds of time."""

    worked: float = 0.0
    length: float = 0.0

    def add(self, spans: Sequence[Span]) -> None:
        """Take up the attempts of one worker; a single one says nothing about gaps."""
        if len(spans) > 1:
            self.worked += worked(spans)
            first, last = min(start for start, _ in spans), max(end for _, end in spans)
            self.length += (last - first).total_seconds()

    @property
    def share(self) -> float | None:
        """In per cent; None where nothing is known."""
        return min(100 * self.worked / self.length, 100.0) if self.length > 0 else None


OF_RUN = """
SELECT a.worker_id, w.hostname, a.started, a.ended FROM (
    SELECT worker_id, started, ended FROM runs_attempt
    WHERE run_id = %s AND number BETWEEN %s AND %s ORDER BY number, attempt LIMIT %s
) AS a JOIN runs_worker AS w ON w.id = a.worker_id
"""


def of_run(run: Run, tried: int) -> tuple[dict[int, Time], dict[str, Time]]:
    """The time of workers, by id, and of hosts, by name, in the run's last tasks: one query.

    Args:
        run: whose tasks.
        tried: how many of them have been handed out.
    """
    spans: dict[tuple[int, str], list[Span]] = {}
    for worker, host, start, end in fetch(OF_RUN, [run.id, tried - LATEST, tried, MOST]):
        if (begun := as_datetime(start)) and (ended := as_datetime(end)):
            spans.setdefault((worker, host), []).append((begun, ended))
    workers: dict[int, Time] = {}
    hosts: dict[str, Time] = {}
    for (worker, host), found in spans.items():
        workers.setdefault(worker, Time()).add(found)
        hosts.setdefault(host, Time()).add(found)
    return workers, hosts


@dataclass
class Lately:
    """A worker's part in the last attempts of the farm. ``mean``: seconds of those that ended well.

    ``bad``: how many failed, took too long or were lost.
    """

    done: int = 0
    bad: int = 0
    mean: float | None = None
    busy: float | None = None


OF_WORKERS = """
SELECT worker_id, outcome, started, ended FROM (
    SELECT worker_id, outcome, started, ended FROM runs_attempt ORDER BY id DESC LIMIT %s
) AS latest
WHERE worker_id {in_list}
"""


def of_workers(ids: Sequence[int]) -> dict[int, Lately]:
    """What some workers did lately, by id, in one query; those that ended nothing are missing."""
    rows: dict[int, list[tuple[Outcome, Span]]] = {}
    for worker, outcome, start, end in fetch(OF_WORKERS, [OF_ALL, as_list(list(ids))]):
        if (begun := as_datetime(start)) and (ended := as_datetime(end)):
            rows.setdefault(worker, []).append((Outcome(outcome), (begun, ended)))
    return {worker: lately(found) for worker, found in rows.items()}


def lately(rows: Sequence[tuple[Outcome, Span]]) -> Lately:
    """What some attempts of one worker say."""
    well = [(end - start).total_seconds() for how, (start, end) in rows if how == Outcome.DONE]
    time = Time()
    time.add([span for _, span in rows])
    return Lately(
        done=len(well),
        bad=sum(how in BAD for how, _ in rows),
        mean=sum(well) / len(well) if well else None,
        busy=time.share,
    )
