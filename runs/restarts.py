"""Restarts: tasks go back to waiting at a person's wish; and the way back from a hasty one."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from runs import attempts, cancels, events, moves, tallies
from runs.dialect import database_now
from runs.errors import StateConflict
from runs.models import Run, RunEvent, Tally
from runs.pieces import Piece, Watch, pieces, unwatched
from runs.retrying import rerun_on_conflict
from runs.selection import Numbers, Selection, merge, parse_ranges, show_ranges
from runs.states import Outcome, RunState, TaskState

UNFINISHED = (TaskState.COMPUTING, TaskState.FAILED, TaskState.CANCELLED)
UNDOABLE = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
"""States that a task can be put back into: a computing one has lost its worker."""
UNDO_FOR = timedelta(minutes=10)
MOST_UNDO_RANGES = 10_000
"""Ranges of numbers that an undo remembers by state; a restart of more scattered tasks has none."""


def restart(
    *,
    run: Run,
    everything: bool = False,
    selection: Selection | None = None,
    by: str = "",
    why: str = "",
    watch: Watch = unwatched,
) -> int:
    """Put tasks of the run back to waiting.

    Without ``everything`` each task that is not done waits again and keeps its percentage, so that
    a worker can resume it; one that was done, if the selection has any, starts from 0. With it all
    tasks start from 0. Workers that still compute a restarted task are too late: their attempt is
    closed as cancelled.

    Args:
        run: whose tasks.
        everything: done tasks, too.
        selection: only these; its states stand in for those that ``everything`` decides on.
        by: who wants it, kept on the attempts that it ends.
        why: the reason, kept with the event.
        watch: shows somebody how far it has got.

    Returns:
        How many tasks were moved or set to 0.

    Raises:
        StateConflict: the run's time is up, so that its policy would cancel them at once.
        InvalidInput: the selection has numbers that are none of the run's.
    """
    selection = selection or Selection()
    selection.check_numbers(run.num_tasks)
    _check_window(run)
    states = selection.states or (tuple(TaskState) if everything else UNFINISHED)
    reason = f"restarted by {by}" if by else "restarted"
    before = {state: Numbers(MOST_UNDO_RANGES) for state in UNDOABLE}
    if run.state == RunState.CANCELLED and not _revive(run, states, selection):
        return 0
    ended = _ended(run)
    work = list(pieces(run, states, selection))
    count = 0
    for piece in watch(work, total=len(work)):
        rows = _restart_piece(run, piece, states, everything, reason)
        count += len(rows)
        for state, numbers in before.items():
            numbers.add([row.number for row in rows if row.state == state])
    if count:
        told = selection.told() | attempts.named(run.id, selection.fingerprint)
        details = {"all": everything, "selection": told, "ended": ended}
        _record(run, count, before, details, by=by, why=why)
    return count


def _check_window(run: Run) -> None:
    """Refuse to restart what would be cancelled at once.

    Raises:
        StateConflict: the run's time is up.
    """
    if run.expire_at is not None and run.expire_at <= database_now():
        raise StateConflict(
            f"The run's time was up at {run.expire_at:%Y-%m-%d %H:%M} UTC, so its tasks would be "
            "cancelled again at once: change its policy 'expireAt' first."
        )


def _ended(run: Run) -> str | None:
    """When the run's last task moved, in ISO 8601; None while there is something left to do."""
    kept = tallies.look([run.id]).get(run.id)
    return kept.moved.isoformat() if kept and kept.moved and kept.counts.over else None


def _record(
    run: Run,
    count: int,
    before: dict[TaskState, Numbers],
    details: dict[str, Any],
    *,
    by: str,
    why: str,
) -> None:
    """Write the event down, with what an undo needs unless it would be too much."""
    if count > 1 and not any(numbers.full for numbers in before.values()):
        details["before"] = {
            state.label: show_ranges(tuple(numbers.ranges))
            for state, numbers in before.items()
            if numbers.ranges
        }
    events.record(run, "restart", who=by, why=why, tasks=count, details=details)


def _revive(run: Run, states: tuple[TaskState, ...], selection: Selection) -> bool:
    """Let a cancelled run hand out tasks again: whoever restarts its tasks wants them done.

    What is not called off yet is, first: only what the restart means is to be handed out. Where
    that is nothing, the run stays cancelled.
    """
    cancels.finish_cancelling(run)
    some = pieces(run, states, selection)
    if not any(moves.any_of(run.id, states, one.condition, *one.values) for one in some):
        return False
    Run.objects.filter(pk=run.pk, state=RunState.CANCELLED).update(state=RunState.ACTIVE)
    run.state = RunState.ACTIVE
    return True


# A restart leaves alone what waits at 0 % with nothing to be forgiven, without a lock. A task in
# backoff has an attempt to forgive, so that a restart lets it wait like all others.
NOT_FRESH = " AND NOT (state = 0 AND percent = 0 AND attempt = forgiven)"
# Looked up once for a statement, and held until the commit: who cancels the run comes before it, or
# after it and finds these tasks waiting.
NOT_CANCELLED = """ AND (
    SELECT r.state FROM runs_run AS r WHERE r.id = %s {no_key_update}
) <> 'cancelled'"""


@rerun_on_conflict
def _restart_piece(
    run: Run, piece: Piece, states: tuple[TaskState, ...], everything: bool, why: str
) -> list[moves.Row]:
    """Restart one piece of a run in a transaction of its own; the tasks as they were.

    None where somebody has cancelled the run meanwhile: they would wait there for good.
    """
    with transaction.atomic():
        condition = piece.condition + NOT_FRESH + NOT_CANCELLED
        found = moves.lock(run.id, condition, *piece.values, run.id)
        rows = [row for row in found if row.state in states]
        # Of a task that is done nothing is left to resume.
        done = [row for row in rows if everything or row.state == TaskState.DONE]
        others = [row for row in rows if not (everything or row.state == TaskState.DONE)]
        changes = [
            moves.requeue(run, together, percent=percent, outcome=Outcome.CANCELLED, why=why)
            for together, percent in ((done, 0.0), (others, None))
            if together
        ]
        for change in changes:
            tallies.add(run.id, change)
    return rows


def undo(*, run: Run, event: RunEvent, by: str) -> int:
    """Take a restart back: tasks that nothing has moved since are again what they were.

    Tasks that were computing stay waiting, for their workers have dropped them. Percentages of
    failed tasks that a restart of everything set to 0 stay 0.

    Returns:
        How many tasks were put back.

    Raises:
        StateConflict: it is no restart, was too long ago, is undone already, or was too large.
    """
    if event.what != "restart" or "before" not in event.details:
        raise StateConflict("This cannot be undone: only a restart of more than one task can.")
    fresh = RunEvent.objects.filter(pk=event.pk, undone=None, at__gt=Now() - UNDO_FOR)
    if not fresh.exists():
        raise StateConflict(
            "This cannot be undone any more: it is undone already, or ten minutes have passed."
        )
    count = sum(
        _undo_piece(run, piece, state, event)
        for state in UNDOABLE
        for piece in _pieces_of(run, event.details["before"].get(state.label, ""))
    )
    # Only now: an undo that is cut short can be repeated, and moves no task twice.
    if count and RunEvent.objects.filter(pk=event.pk, undone=None).update(undone=Now()):
        events.record(run, "undo", who=by, tasks=count, details={"event": event.pk})
        if count == event.tasks:
            _end_as_before(run, event)
    return count


def _end_as_before(run: Run, event: RunEvent) -> None:
    """Let a run that was over, and is again, have ended when it had.

    Unless something else has happened to it since the restart that is taken back.
    """
    ended = parse_datetime(event.details.get("ended") or "")
    if ended is None or not tallies.read(run.id).over:
        return
    others = RunEvent.objects.filter(run=run, at__gt=event.at).exclude(what="undo")
    if not others.exists() and not run.throughput.filter(minute__gt=ended).exists():
        Tally.objects.filter(run=run, updated__gt=ended).update(updated=ended)


def _pieces_of(run: Run, ranges: str) -> list[Piece]:
    """The pieces of the numbers that an event remembers."""
    if not ranges:
        return []
    numbers = tuple(merge([pair for part in ranges.split(",") for pair in parse_ranges(part)]))
    return list(pieces(run, (TaskState.WAITING,), Selection(numbers=numbers)))


UNTOUCHED = " AND state = 0 AND forgiven = attempt AND updated <= %s"


@rerun_on_conflict
def _undo_piece(run: Run, piece: Piece, state: TaskState, event: RunEvent) -> int:
    """Put the untouched tasks of one piece back into their state."""
    with transaction.atomic():
        rows = moves.lock(run.id, piece.condition + UNTOUCHED, *piece.values, event.at)
        if rows:
            tallies.add(run.id, moves.put_back(run, rows, state))
    return len(rows)
