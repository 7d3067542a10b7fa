"""Which runs need somebody's attention, and why: from counts, and from what their policies did."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runs import events, steering
from runs.models import Run, RunEvent
from runs.reports import Progress
from runs.states import RunState

STILL = timedelta(minutes=30)
"""A run that computes and of which nothing ends for so long may be stuck."""
LEFT = timedelta(seconds=60)
"""Workers with short tasks hold none for a moment, every now and then."""
LATELY = timedelta(days=7)
"""A run that is over for longer than that has had its attention."""

INCOMPLETE = f"{steering.UPLOADING}, or the upload was cut short"

STOPS = {RunState.PAUSED: "paused", RunState.CANCELLED: "cancelled"}


@dataclass(frozen=True)
class Need:
    """Why a run needs attention; ``rank``: the lowest is the most urgent."""

    rank: int
    code: str
    words: str


def stopped(runs: Iterable[Run]) -> dict[int, RunEvent]:
    """The events by which policies paused or cancelled runs, by run: none where a person did it.

    One query for all of them, and none where no run is paused or cancelled.
    """
    held = [run.id for run in runs if run.state in STOPS]
    found = events.latest_of(held, "pause", "cancel", "expire") if held else {}
    return {run: event for run, event in found.items() if event.who == events.POLICY}


def need_of(
    run: Run,
    progress: Progress,
    now: datetime,
    *,
    stop: RunEvent | None = None,
    crew: int | None = None,
) -> Need | None:
    """What somebody should look at; None where all goes its way.

    Args:
        run: which.
        progress: where it stands.
        now: the time.
        stop: how its policy has paused or cancelled it, if it has; see ``stopped``.
        crew: how many live workers hold tasks of it; None where nobody has looked.
    """
    counts, moved = progress.counts, progress.last_movement
    if stop is not None and (need := _need_of_stopped(run, progress, now, stop)):
        return need
    if run.state == RunState.CANCELLED:
        return None
    if counts.failed and not progress.over:
        return Need(0, "failed", f"{counts.failed:,} failed so far")
    opens = run.start_after is None or run.start_after <= now
    left = run.started is None or moved is None or now - moved > LEFT
    idle = counts.waiting and not counts.computing and opens and left
    if run.state == RunState.ACTIVE and idle:
        return Need(1, "worker", f"{counts.waiting:,} wait, and no worker computes")
    if counts.computing and crew == 0:
        return Need(1, "silent", f"{counts.computing:,} compute, and all their workers are silent")
    if run.state == RunState.ACTIVE and counts.computing and moved and now - moved > STILL:
        return Need(2, "still", "it computes, and nothing has ended for long")
    if counts.failed and progress.over and moved and now - moved < LATELY:
        return Need(3, "failed", f"finished with {counts.failed:,} failed")
    return None


def _need_of_stopped(run: Run, progress: Progress, now: datetime, stop: RunEvent) -> Need | None:
    """A pause lasts until somebody ends it; a cancelled run is forgotten after a while."""
    if steering.is_of_upload(stop):
        return Need(1, "upload", INCOMPLETE)
    cancelled = run.state == RunState.CANCELLED
    if now - stop.at >= LATELY if cancelled else progress.over:
        return None
    code = "failed" if progress.counts.failed else "stopped"
    return Need(
        1 if cancelled else 0, code, f"its policy has {STOPS[RunState(run.state)]} it: {stop.why}"
    )
