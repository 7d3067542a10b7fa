"""Cancelling tasks that wait or compute: the selected ones of a run, or all of a cancelled one."""

from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from runs import attempts, events, moves, tallies
from runs.models import Run, RunEvent
from runs.pieces import PIECE, Piece, pieces
from runs.retrying import rerun_on_conflict
from runs.selection import Selection
from runs.states import RunState, TaskState

CANCEL_TASKS = "cancel-tasks"
"""The event of tasks cancelled by a selection."""
OPEN_STATES = (TaskState.COMPUTING, TaskState.WAITING)


def cancel_selected(*, run: Run, selection: Selection, by: str, why: str = "") -> int:
    """Call off the selected tasks; their workers are told at their next exchange.

    Tasks that have ended stay what they are, whatever states the selection names.

    Returns:
        How many tasks were cancelled.

    Raises:
        InvalidInput: the selection has numbers that are none of the run's.
    """
    selection.check_numbers(run.num_tasks)
    states = tuple(state for state in selection.states or OPEN_STATES if state in OPEN_STATES)
    work = list(pieces(run, states, selection)) if states else []
    if not work:
        return 0
    # Before the first task, so that each is younger than what called it off: see explain.py.
    details = {"selection": selection.told() | attempts.named(run.id, selection.fingerprint)}
    event = events.record(run, CANCEL_TASKS, who=by, why=why, tasks=0, details=details)
    count = sum(_cancel_piece(run, piece, states, event) for piece in work)
    if not count:
        event.delete()
    return count


@rerun_on_conflict
def _cancel_piece(run: Run, piece: Piece, states: tuple[TaskState, ...], event: RunEvent) -> int:
    """Cancel the tasks of one piece in a transaction of its own, and count them in the event."""
    with transaction.atomic():
        found = moves.lock(run.id, piece.condition, *piece.values)
        count = call_off(run, found, states, f"cancelled by {event.who}")
        if count:
            RunEvent.objects.filter(pk=event.pk).update(tasks=F("tasks") + count)
    return count


def call_off(run: Run, found: Iterable[moves.Row], states: Collection[TaskState], why: str) -> int:
    """Cancel those of some locked tasks that are in one of the states; answers how many."""
    rows = [row for row in found if row.state in states]
    if rows:
        tallies.add(run.id, moves.cancel(rows, why=why))
    return len(rows)


def finish_cancelling(run: Run, most: int | None = None) -> tuple[int, int]:
    """Call off the tasks of a cancelled run, ``most`` pieces of them.

    Returns:
        How many tasks were called off, and in how many pieces some were found.
    """
    event = events.latest(run, "cancel", "expire")
    who = event.who if event else ""
    reason = f"cancelled by {who}" if who else "cancelled by the run's policy"
    count = pieces = 0
    for state in OPEN_STATES:
        while pieces != most:
            found, cancelled = _cancel_some(run, state, reason)
            count += cancelled
            if not found:
                break
            pieces += 1
    if event and count:
        RunEvent.objects.filter(pk=event.pk).update(tasks=Coalesce("tasks", 0) + count)
    return count, pieces


@rerun_on_conflict
def _cancel_some(run: Run, state: TaskState, why: str) -> tuple[int, int]:
    """Cancel some tasks of one state in a transaction of its own, unless the run is revived.

    Returns:
        How many were found, and how many cancelled: somebody else may cancel them, too, and
        finding only what he has just done does not mean that there is no more.
    """
    with transaction.atomic():
        # Held before its tasks are looked at: who revives the run finds them cancelled, or sees to
        # it that they are not.
        if not Run.objects.locked(run).filter(state=RunState.CANCELLED):
            return 0, 0
        found = moves.lock(run.id, moves.SOME, run.id, state, PIECE)
        return len(found), call_off(run, found, OPEN_STATES, why)
