"""What pages show of a run: its state in one word, its counts as shares, what needs attention."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from runs import reports
from runs.models import Run
from runs.reports import Progress
from runs.states import RunState, TaskState
from runs.tallies import Counts
from runs.wording import tasks

BETWEEN_TASKS = timedelta(seconds=60)
"""For so long after a run last moved, its workers are taken to be between two tasks."""
BAR_WIDTH = 1000
LEAST_WIDTH = 12
"""A state that has any task is seen in the bar: three failures of ten million are, too."""
BAR_ORDER = (
    TaskState.DONE,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.COMPUTING,
    TaskState.WAITING,
)
"""What has ended on the left, what is to come on the right, so that a bar fills up."""


@dataclass(frozen=True)
class Share:
    """One state's part of a run. ``x`` and ``width`` are its place in the bar, of 1000."""

    state: str
    count: int
    percent: float
    x: float
    width: float


def shares(counts: Counts) -> list[Share]:
    """The counts by state in the order of the bar, empty states included."""
    numbers = [counts.of(state) for state in BAR_ORDER]
    widths = bar_widths(numbers)
    return [
        Share(
            state=state.label,
            count=number,
            percent=100 * number / counts.total if counts.total else 0.0,
            x=round(sum(widths[:place]), 1),
            width=round(widths[place], 1),
        )
        for place, (state, number) in enumerate(zip(BAR_ORDER, numbers, strict=True))
    ]


def bar_widths(numbers: list[int]) -> list[float]:
    """Widths that add up to the bar's; what would be too thin to see takes from the widest."""
    total = sum(numbers)
    if total <= 0:
        return [0.0 for _ in numbers]
    widths = [max(BAR_WIDTH * n / total, LEAST_WIDTH) if n > 0 else 0.0 for n in numbers]
    widths[widths.index(max(widths))] -= sum(widths) - BAR_WIDTH
    return widths


@dataclass(frozen=True)
class ShownRun:
    """A run beside where it stands."""

    run: Run
    progress: Progress

    @property
    def state(self) -> str:
        """The state as people see it, ``finished`` included."""
        return reports.state_of(self.run, self.progress.counts)

    @property
    def counts(self) -> Counts:
        """How many tasks are in which state."""
        return self.progress.counts

    @property
    def percent(self) -> float:
        """The mean over all tasks; 0 for a run without any, as the API says."""
        return self.progress.percent

    @property
    def needs_workers(self) -> bool:
        """Tasks wait, the run hands them out, and nobody has come for them lately.

        Workers with short tasks hold none for a moment, every now and then.
        """
        counts = self.counts
        unwatched = (
            self.run.state == RunState.ACTIVE and counts.waiting > 0 and not counts.computing
        )
        moved = self.progress.last_movement
        if not unwatched or self.run.started is None or moved is None:
            return unwatched
        return timezone.now() - moved > BETWEEN_TASKS

    @property
    def trouble(self) -> str:
        """What people should see beside its state, in words: a run that ended so is no success."""
        if self.progress.over and self.counts.failed:
            return "with failures"
        if self.state == reports.FINISHED and self.counts.cancelled:
            return "with cancelled tasks"
        return ""

    @property
    def look(self) -> str:
        """How its badge looks."""
        return "troubled" if self.trouble else ""

    @property
    def elapsed(self) -> timedelta | None:
        """From the first claim to now, or to the last movement once nothing is left to do."""
        started = self.run.started
        if started is None:
            return None
        return max((self.ended or timezone.now()) - started, timedelta(0))

    @property
    def ended(self) -> datetime | None:
        """When the last task ended, for a run with nothing left to do."""
        return self.progress.last_movement if self.progress.over else None

    @property
    def headline(self) -> str:
        """Where the run stands, for a screen reader: changes every ten percent, not every poll."""
        tens = int(self.percent // 10 * 10)
        failed = f", {tasks(self.counts.failed)} failed" if self.counts.failed else ""
        return f"{self.run.title}: {self.state}, mean progress {tens} percent{failed}."


def show_runs(runs: list[Run]) -> list[ShownRun]:
    """Runs beside where they stand, in two queries for all."""
    progress = reports.progress_of(runs) if runs else {}
    return [ShownRun(run, progress[run.id]) for run in runs]
