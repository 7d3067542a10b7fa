"""How long a run will still take, as a range, and what it will cost.

Two things are known: how fast tasks ended lately, and how long sampled attempts took. The rate
says most, for it has all the overheads in it; while it is young, the durations over the live
workers stand in. The far end of the range has the tail in it: whoever starts the last task keeps
the run going for as long as a long task takes.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import sqrt
from statistics import fmean, pstdev

from django.utils import timezone

from runs.models import Run
from runs.rates import RECENT, Minute
from runs.samples import Sampled
from runs.states import Outcome
from runs.tallies import Counts
from runs.workers import crews

Z = 1.645
"""Nine times out of ten, as far as the past tells."""
ENOUGH = 20
"""Tasks that must have ended lately for their rate to be trusted."""
LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Durations:
    """How long sampled attempts that ended well took, in seconds."""

    count: int
    mean: float
    deviation: float
    median: float
    long: float


def durations(sample: list[Sampled]) -> Durations | None:
    """What the sample says; None where none has ended well. ``long``: one in twenty is longer."""
    seconds = sorted(one.seconds for one in sample if one.outcome == Outcome.DONE)
    if not seconds:
        return None
    return Durations(
        count=len(seconds),
        mean=fmean(seconds),
        deviation=pstdev(seconds),
        median=seconds[len(seconds) // 2],
        long=seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))],
    )


@dataclass(frozen=True)
class Estimate:
    """A range, in seconds."""

    least: float
    most: float


def workers(run: Run, counts: Counts) -> int | None:
    """How many live workers hold tasks of the run now; no query where none computes.

    None where nobody knows: the tasks that computed have ended meanwhile, or are very many.
    """
    return crews([run.id]).get(run.id) if counts.computing > 0 else 0


def time_left(
    run: Run, counts: Counts, known: Durations | None, found: list[Minute], crew: int | None
) -> Estimate | None:
    """When the run will be over if its workers stay; None where nobody could tell.

    Args:
        run: which.
        counts: its tallies.
        known: how long its tasks take.
        found: what ended in its last minutes.
        crew: how many live workers hold tasks of it; None where nobody knows.
    """
    left = counts.waiting + counts.computing
    if not left or crew == 0:
        return None
    crew = crew or 1
    tail = known.long if known else 0.0
    by_rate = from_rate(run, left, found)
    if by_rate is not None:
        return Estimate(by_rate.least, by_rate.most + tail)
    if known is None:
        return None
    spread = Z * known.deviation / sqrt(known.count) + LEAST_SPREAD * known.mean
    least = left * max(known.mean - spread, 0.0) / crew
    return Estimate(least, left * (known.mean + spread) / crew + tail)


def from_rate(run: Run, left: int, found: list[Minute]) -> Estimate | None:
    """From the rate of the last minutes; None where too little ended in them."""
    this = timezone.now().replace(second=0, microsecond=0)
    since = max(this - timedelta(minutes=RECENT), found[0].at if found else this)
    ended = {one.at: one.done + one.failed for one in found if one.at >= since}
    if sum(ended.values()) < ENOUGH:
        return None
    passed = int((this - since).total_seconds() // 60)
    # The present minute and the first one of the run are not whole.
    whole = [ended.get(since + timedelta(minutes=place), 0) for place in range(passed)]
    if run.started and run.started > since:
        whole = whole[1:]
    if len(whole) < 2 or not sum(whole):
        begun = max(since, run.started or since)
        rate = sum(ended.values()) / max((timezone.now() - begun).total_seconds(), 1.0)
        return around(left / rate, 2.5 * LEAST_SPREAD)
    mean = fmean(whole)
    return around(60 * left / mean, Z * pstdev(whole) / mean / sqrt(len(whole)) + LEAST_SPREAD)


def around(seconds: float, spread: float) -> Estimate:
    """A range around a time, for a relative error of the rate behind it."""
    spread = min(spread, 0.75)
    return Estimate(seconds / (1 + spread), seconds / (1 - spread))


def work_left(counts: Counts, known: Durations | None) -> Estimate | None:
    """Seconds of work in what waits and computes; what computes is half done, on the average."""
    tasks = counts.waiting + counts.computing / 2
    if known is None or not tasks:
        return None
    spread = Z * known.deviation / sqrt(known.count)
    return Estimate(max(known.mean - spread, 0.0) * tasks, (known.mean + spread) * tasks)
