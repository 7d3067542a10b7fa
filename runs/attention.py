"""Which runs need somebody's attention, and why: from counts alone, without a query."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from runs.models import Run
from runs.reports import Progress
from runs.states import RunState

STILL = timedelta(minutes=30)
"""A run that computes and of which nothing ends for so long may be stuck."""
LEFT = timedelta(seconds=60)
"""Workers with short tasks hold none for a moment, every now and then."""
LATELY = timedelta(days=7)
"""A run that is over for longer than that has had its attention."""


@dataclass(frozen=True)
class Need:
    """Why a run needs attention; ``rank``: the lowest is the most urgent."""

    rank: int
    code: str
    words: str


def need_of(run: Run, progress: Progress, now: datetime) -> Need | None:
    """What somebody should look at; None where all goes its way."""
    counts, moved = progress.counts, progress.last_movement
    if run.state == RunState.CANCELLED:
        return None
    if counts.failed and not progress.over:
        return Need(0, "failed", f"{counts.failed:,} failed so far")
    opens = run.start_after is None or run.start_after <= now
    left = run.started is None or moved is None or now - moved > LEFT
    idle = counts.waiting and not counts.computing and opens and left
    if run.state == RunState.ACTIVE and idle:
        return Need(1, "worker", f"{counts.waiting:,} wait, and no worker computes")
    if run.state == RunState.ACTIVE and counts.computing and moved and now - moved > STILL:
        return Need(2, "still", "it computes, and nothing has ended for long")
    if counts.failed and progress.over and moved and now - moved < LATELY:
        return Need(3, "failed", f"finished with {counts.failed:,} failed")
    return None
