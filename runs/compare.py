"""Two runs of the same tasks beside each other: newly failing, newly fixed, slower, faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from runs.dialect import fetch
from runs.models import Run, task_id
from runs.samples import Sampled
from runs.states import Outcome, TaskState

MOST = 300
"""Failed tasks of a run that are looked up in the other."""
SHOWN = 50
LEAST_CHANGE = 1.5
"""A task that takes so many times as long as before, or as short, is named."""
LEAST_SECONDS = 0.1

# The failed tasks of one run, by their index; then each in the other, by its number.
CHANGED = """
SELECT f.number FROM (
    SELECT number FROM runs_task
    WHERE run_id = %s AND state = %s AND not_before = 0 ORDER BY number LIMIT %s
) AS f JOIN runs_task AS o ON o.id = %s + f.number AND o.state = %s
ORDER BY f.number
"""


@dataclass(frozen=True)
class Changed:
    """Numbers of tasks, the first of them; ``whole`` unless there were too many to look at."""

    count: int
    numbers: list[int]
    whole: bool


def failed_in(run: Run, done_in: Run, failed: int) -> Changed:
    """The tasks that are failed in one run and done in the other.

    Args:
        run: in which they are failed.
        done_in: in which they are done.
        failed: how many are failed in ``run``, from its tallies.
    """
    if not failed:
        return Changed(0, [], True)
    values = [run.id, TaskState.FAILED, MOST, task_id(done_in.id, 0), TaskState.DONE]
    numbers = [row[0] for row in fetch(CHANGED, values)]
    return Changed(len(numbers), numbers[:SHOWN], failed <= MOST)


@dataclass(frozen=True)
class Shift:
    """A task that took ``before`` seconds in the one run and ``after`` in the other."""

    number: int
    before: float
    after: float

    @property
    def factor(self) -> float:
        """How many times as long."""
        return max(self.after, 0.001) / max(self.before, 0.001)


@dataclass(frozen=True)
class Shifts:
    """How the durations of ``compared`` tasks changed; ``factor`` is the median's."""

    compared: int
    factor: float | None
    slower: list[Shift]
    faster: list[Shift]
    slower_count: int
    faster_count: int


def durations(before: Sequence[Sampled], after: Sequence[Sampled]) -> Shifts:
    """Compare samples of the two runs, by the last attempt of each task that ended well."""
    old, new = last_done(before), last_done(after)
    shifts = [Shift(number, old[number], new[number]) for number in sorted(set(old) & set(new))]
    told = [one for one in shifts if max(one.before, one.after) >= LEAST_SECONDS]
    slower = sorted((one for one in told if one.factor >= LEAST_CHANGE), key=lambda s: -s.factor)
    faster = sorted((one for one in told if one.factor <= 1 / LEAST_CHANGE), key=lambda s: s.factor)
    factor = median(one.factor for one in shifts) if shifts else None
    return Shifts(len(shifts), factor, slower[:SHOWN], faster[:SHOWN], len(slower), len(faster))


def last_done(sample: Sequence[Sampled]) -> dict[int, float]:
    """How long each task took that was done."""
    return {one.number: one.seconds for one in sample if one.outcome == Outcome.DONE}
