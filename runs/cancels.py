"""Cancelling tasks that wait or compute: the selected ones of a run that goes on."""

from collections.abc import Collection, Iterable

from django.db import transaction

from runs import events, moves, tallies
from runs.models import Run
from runs.pieces import Piece, pieces
from runs.retrying import rerun_on_conflict
from runs.selection import Selection
from runs.states import TaskState

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
    reason = f"cancelled by {by}"
    work = list(pieces(run, states, selection)) if states else []
    count = sum(_cancel_piece(run, piece, states, reason) for piece in work)
    if count:
        details = {"selection": selection.told()}
        events.record(run, "cancel-tasks", who=by, why=why, tasks=count, details=details)
    return count


@rerun_on_conflict
def _cancel_piece(run: Run, piece: Piece, states: tuple[TaskState, ...], why: str) -> int:
    """Cancel the tasks of one piece in a transaction of its own."""
    with transaction.atomic():
        found = moves.lock(run.id, piece.condition, *piece.values)
        return call_off(run, found, states, why)


def call_off(run: Run, found: Iterable[moves.Row], states: Collection[TaskState], why: str) -> int:
    """Cancel those of some locked tasks that are in one of the states; answers how many."""
    rows = [row for row in found if row.state in states]
    if rows:
        tallies.add(run.id, moves.cancel(rows, why=why))
    return len(rows)
