"""How many batch jobs a run needs to be done in time, from its own measured times."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from .._errors import InvalidArgumentError

SHORTEST = 600.0
LONGEST = 4 * 3600.0
"""Seconds of a job when nobody says: short jobs start sooner, long ones lose less."""

SAMPLE = 10_000
"""Times that are kept of a run."""

Z = 1.645
"""Of the normal distribution: the range holds the mean with a probability of 90 %."""


@dataclass(frozen=True)
class Advice:
    """What to submit.

    Attributes:
        jobs: how many jobs in all, to be on the safe side.
        fewest: how many might do.
        together: how many of them have to run at the same time.
        job_seconds: how long each is.
        proc: commands at a time in each.
        measured: how many tasks the advice is based on.
        mean: their mean time in seconds, with its range.
        p95: seconds within which 95 % of them ended.
        left: how many tasks are left.
        core_hours: what they will take, with its range.
    """

    jobs: int
    fewest: int
    together: int
    job_seconds: float
    proc: int
    measured: int
    mean: tuple[float, float, float]
    p95: float
    left: int
    core_hours: tuple[float, float, float]


def advise(
    times: Sequence[float], left: int, seconds: float, proc: int, job_seconds: float | None
) -> Advice:
    """Work out what to submit.

    Args:
        times: seconds of tasks that have ended.
        left: how many tasks are left.
        seconds: until all is to be done.
        proc: commands at a time in one job.
        job_seconds: how long a job is to be; None: find something sensible.

    Returns:
        the advice.

    Raises:
        InvalidArgumentError: nothing was measured, or it cannot be done in time.
    """
    if seconds <= 0:
        raise InvalidArgumentError("The moment of --by is over: name one that is to come.")
    if len(times) < 2:
        raise InvalidArgumentError(
            "Too little is measured yet: some tasks must be done first. Try a few, for example "
            "with --canary."
        )
    ordered = sorted(times)
    p95 = ordered[math.ceil(0.95 * (len(ordered) - 1))]
    low, mean, high = _range(ordered)
    length = job_seconds or min(max(SHORTEST, 20 * p95, 0.0), max(LONGEST, 4 * p95), seconds)
    usable = length - lost(length, p95)
    if length > seconds:
        raise InvalidArgumentError(
            f"A job of {length:.0f} s is too long to end in the {seconds:.0f} s until --by: give a "
            "shorter --time, or a later --by."
        )
    if usable <= p95:
        needed = math.ceil(lost(length, p95) + p95) + 1
        raise InvalidArgumentError(
            f"A job of {length:.0f} s is too short for these tasks, which need {needed} s: it "
            f"gives its tasks back {margin(10.0):.0f} s before its end. Give a "
            f"{'longer --time' if job_seconds else 'later --by'}."
        )
    jobs, fewest = (_ceil(left * one / (proc * usable)) for one in (high, low))
    waves = max(1, int(seconds // length))
    work = tuple(left * one / 3600 for one in (low, mean, high))
    return Advice(
        jobs, fewest, _ceil(jobs / waves), length, proc, len(times), (low, mean, high), p95, left,
        (work[0], work[1], work[2]),
    )  # fmt: skip


def lost(length: float, p95: float) -> float:
    """Seconds of a job that do no work: its start and its end, and the last task that has no room.

    Args:
        length: seconds of the job.
        p95: seconds of a long task.

    Returns:
        seconds.
    """
    return margin(10.0) + p95 / 2


def margin(grace: float) -> float:
    """Seconds before the end of a batch job at which a farmer ends itself.

    Args:
        grace: seconds from SIGTERM to SIGKILL.

    Returns:
        seconds.
    """
    return max(60.0, 2 * grace)


def _range(times: Sequence[float]) -> tuple[float, float, float]:
    """The mean with its range: by resampling, as times of tasks are seldom normal."""
    mean = sum(times) / len(times)
    if len(times) > 1000:
        spread = math.sqrt(sum((one - mean) ** 2 for one in times) / (len(times) - 1))
        half = Z * spread / math.sqrt(len(times))
        return max(times[0], mean - half), mean, mean + half
    chance = random.Random(0)  # the same advice for the same times
    means = sorted(sum(chance.choices(times, k=len(times))) / len(times) for _ in range(400))
    return means[20], mean, means[379]


def _ceil(value: float) -> int:
    return max(1, math.ceil(value - 1e-9))
