"""How the hosts of a run do beside each other, from a sample of its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from runs import sweep
from runs.attempts import BAD
from runs.dialect import as_datetime, as_list, fetch
from runs.models import Worker
from runs.samples import Sampled
from runs.states import Outcome

SIZE = 1_500
"""Numbers whose attempts are looked at: all of a small run."""
LEAST_BAD = 3
WORSE = 3.0
"""A host whose share of failures is so many times that of the others is marked."""
SLIGHT = 0.01
"""A share of failures that nobody is blamed for."""
QUIET = timedelta(minutes=1)
"""A worker that promised no heartbeat is taken to live for so long after its last call."""
SIGNED_OFF_WITHIN = timedelta(seconds=25)
"""Signing off is a call, and calls are noted every ten seconds; the lost were silent for longer."""


@dataclass(frozen=True)
class Host:
    """What a host did in the sample. ``mean``: seconds of its attempts that ended well.

    ``pace``: its mean over that of all hosts. ``marked``: it fails where others succeed.
    """

    name: str
    done: int
    bad: int
    mean: float | None
    pace: float | None
    share: float
    marked: bool


def compare(sample: Sequence[Sampled]) -> list[Host]:
    """The hosts of a sample by name, those that are marked first."""
    by_host: dict[str, list[Sampled]] = {}
    for one in sample:
        by_host.setdefault(one.host or "by hand", []).append(one)
    well = [one.seconds for one in sample if one.outcome == Outcome.DONE]
    mean = fmean(well) if well else None
    work = sum(one.seconds for one in sample)
    bad = sum(one.outcome in BAD for one in sample)
    found = [describe(name, rows, mean, work, (bad, len(sample))) for name, rows in by_host.items()]
    return sorted(found, key=lambda host: (not host.marked, host.name))


def describe(
    name: str, rows: list[Sampled], mean: float | None, work: float, whole: tuple[int, int]
) -> Host:
    """One host beside the others."""
    well = [one.seconds for one in rows if one.outcome == Outcome.DONE]
    bad = sum(one.outcome in BAD for one in rows)
    others_bad, others = whole[0] - bad, whole[1] - len(rows)
    rate = max(others_bad / others, SLIGHT) if others else 1.0
    own = fmean(well) if well else None
    return Host(
        name=name,
        done=len(well),
        bad=bad,
        mean=own,
        pace=own / mean if own is not None and mean else None,
        share=100 * sum(one.seconds for one in rows) / work if work else 0.0,
        marked=bad >= LEAST_BAD and bad / len(rows) > WORSE * rate,
    )


def condition(worker: Worker, now: datetime) -> str:
    """Whether it lives, in a word.

    Returns:
        ``alive``; ``silent``, so long that the next sweep gives it up; ``unknown``, for one that
        promised no heartbeat and has not called lately; ``lost``; or ``signed off``.
    """
    if worker.gone is not None:
        return "lost" if worker.gone - worker.last_seen > SIGNED_OFF_WITHIN else "signed off"
    silence = now - worker.last_seen
    if worker.heartbeat is None:
        return "unknown" if silence > QUIET else "alive"
    return "silent" if silence > sweep.bears(worker.heartbeat) else "alive"


HELD = """
SELECT worker_id, COUNT(*), MAX(updated) FROM runs_task
WHERE state = 1 AND worker_id {in_list} GROUP BY worker_id
"""


def held(workers: Sequence[Worker]) -> dict[int, int]:
    """How many tasks each of some workers holds, in one query.

    A report on a task is a sign of life, too: ``last_seen`` becomes the latest of both.
    """
    by_id = {worker.id: worker for worker in workers}
    found = fetch(HELD, [as_list(list(by_id))]) if by_id else []
    for id, _, at in found:
        by_id[id].last_seen = max(by_id[id].last_seen, as_datetime(at) or by_id[id].last_seen)
    return {id: count for id, count, _ in found}
