"""How many tasks a worker gets at once, and when it should ask again.

Guided self-scheduling (Polychronopoulos and Kuck, 1987, IEEE Trans. Comput. C-36): a worker gets at
most an even share of half of what is left, so that the tail of a run is shared out evenly. Counts
are looked up once a second per process and run: a share need not be exact.
"""

import time
from dataclasses import dataclass
from statistics import fmean, median

from runs import samples, tallies
from runs.dialect import database_now, fetch
from runs.models import Run
from runs.states import Outcome, RunState
from runs.tallies import Counts

FRESH = 1.0
"""Seconds for which a look is good enough."""
CAPACITY = 256
SOON, LATER, LATEST = 1.0, 10.0, 30.0
"""Seconds after which a worker asks again: while tasks compute that may come back; while the run
is paused or closed for a while; and never later than that."""
DRAWN = 128
"""Numbers of a run whose attempts tell how long its tasks take."""
IDLE = 10
"""Empty-handed answers per second of one process from which on idle workers are told to come more
seldom: a thousand of them must not keep the farm from its work."""

ACTIVE = """
SELECT COUNT(DISTINCT worker_id) FROM (
    SELECT worker_id FROM runs_task WHERE run_id = %s AND state = 1 LIMIT 20000
) AS held
"""


@dataclass
class Look:
    """A run's counts and workers at some moment of this process's clock."""

    counts: Counts
    active: int
    at: float
    mean: float | None = None
    median: float | None = None


@dataclass
class Idlers:
    """How many workers this process sent away with nothing, in this second and the last."""

    second: int = 0
    now: int = 0
    before: int = 0

    def note(self) -> int:
        """Count one more; answers how many there are in a second."""
        second = int(time.monotonic())
        if second != self.second:
            self.before = self.now if second == self.second + 1 else 0
            self.second, self.now = second, 0
        self.now += 1
        return max(self.now, self.before)


_looks: dict[int, Look] = {}
_idlers = Idlers()


def look(run: Run) -> Look:
    """The run's counts and how many workers hold tasks of it, at most a second old."""
    kept = _looks.get(run.id)
    now = time.monotonic()
    if kept is None or now - kept.at > FRESH:
        kept = Look(tallies.read(run.id), int(fetch(ACTIVE, [run.id])[0][0]), now)
        if len(_looks) >= CAPACITY:
            _looks.clear()  # rare, harmless: each is looked at once more
        _looks[run.id] = kept
    return kept


def forget() -> None:
    """Forget all looks; for tests."""
    _looks.clear()
    _idlers.now = _idlers.before = 0


def share(run: Run) -> int:
    """How many tasks one worker gets at most now; at least one."""
    seen = look(run)
    return max(1, seen.counts.waiting // (2 * max(seen.active, 1)))


def fits(run: Run, time_left: float | None) -> bool:
    """Whether a task of the run will probably end in so many seconds.

    By the mean of the run's ended attempts; the client knows the 95th percentile of its own.
    """
    if time_left is None:
        return True
    return time_left > mean_seconds(run)


def mean_seconds(run: Run) -> float:
    """The mean duration of a sample of the run's attempts that were done or failed; 0: of none.

    Those that were lost, given back or ended by force say how long they were held, not how long a
    task takes.
    """
    seen = look(run)
    if seen.mean is None:
        seen.mean = _mean_seconds(run)
    return seen.mean


def _mean_seconds(run: Run) -> float:
    """The same, from the database."""
    drawn = samples.draw(run, look(run).counts, DRAWN)
    ended = [one.seconds for one in drawn if one.outcome in (Outcome.DONE, Outcome.FAILED)]
    # Where the low numbers have come back, those that are done may be others than were drawn.
    return fmean(ended) if ended else median_seconds(run)


# Of the tasks with the lowest numbers that are done: an index scan that ends early.
SAMPLE = """
SELECT {lasted} FROM runs_attempt WHERE run_id = %s AND outcome = 1 ORDER BY number LIMIT 200
"""


def median_seconds(run: Run) -> float:
    """The median duration of a sample of the run's attempts that are done; 0 where none is."""
    seen = look(run)
    if seen.median is None:
        lasted = [float(row[0]) for row in fetch(SAMPLE, [run.id])]
        seen.median = median(lasted) if lasted else 0.0
    return seen.median


def when_to_come_again(runs: list[Run]) -> tuple[float | None, bool]:
    """For a worker that got nothing: seconds until it should ask again, or the end.

    Returns:
        ``(None, True)`` where all the runs are over, else ``(seconds, False)``.
    """
    counts = tallies.read_many([run.id for run in runs])
    waits = [
        seconds for run in runs if (seconds := wait(run, counts.get(run.id, Counts()))) is not None
    ]
    if not waits:
        return None, True
    crowd = _idlers.note() / IDLE
    return min(max(min(waits), crowd), LATEST), False


def wait(run: Run, counts: Counts) -> float | None:
    """Seconds until the run may have tasks again; None where it is over for good."""
    if run.state == RunState.CANCELLED:
        return None
    if counts.over and not run.open:
        return None
    if run.state == RunState.PAUSED:
        return LATER
    if run.start_after is not None:
        seconds = (run.start_after - database_now()).total_seconds()
        if seconds > 0:
            return min(max(seconds, SOON), LATER)
    return SOON
