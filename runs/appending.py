"""Tasks with inputs: creating a run from inputs, and adding tasks to an open run."""

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from django.db import transaction

from runs import events, inputs, lifecycle, tallies
from runs.errors import RunNotFound, StateConflict
from runs.models import Run
from runs.tallies import Counts

CHUNK = 10_000
"""Tasks in one transaction of an append."""


def append(
    *,
    run: Run,
    num_tasks: int = 0,
    values: Iterable[Any] | None = None,
    who: str = "",
) -> tuple[int, int]:
    """Add tasks at the end of a run: ``num_tasks`` plain ones, or one for each input in ``values``.

    Numbers go on from where they were. Tasks become visible in chunks: when an input is refused
    half-way, the chunks before it stay, and the error says so by its number.

    Returns:
        The first new number, and how many tasks were added.

    Raises:
        StateConflict: the run is closed and has been started already, or it is cancelled.
        InvalidInput: the run would get too large, or an input is.
        RunNotFound: the run has been deleted meanwhile.
    """
    first = count = 0
    if values is None:
        first, count = _append_chunk(run, num_tasks, None)
    else:
        iterator = iter(values)
        head = list(islice(iterator, 1))
        stream = chain(head, iterator)
        first = run.num_tasks
        while chunk := list(islice(stream, CHUNK)):
            start, added = _append_chunk(run, len(chunk), chunk)
            first = start if count == 0 else first
            count += added
    if count:
        events.record(run, "append", who=who, tasks=count, details={"first": first})
    return first, count


def _append_chunk(run: Run, count: int, chunk: list[Any] | None) -> tuple[int, int]:
    """Add one chunk under a lock on the run's row: two appends get numbers of their own."""
    with transaction.atomic():
        locked = Run.objects.kept().select_for_update().filter(pk=run.pk).first()
        if locked is None:
            raise RunNotFound(run.uuid.hex)
        check_open(locked)
        lifecycle.check_size(locked.num_tasks + count)
        first = locked.num_tasks
        if chunk is not None:
            inputs.store(run.id, first, inputs.encode(chunk, first))
        lifecycle.add_numbers(locked, first, count)
        tallies.add(run.id, Counts(waiting=count))
        has_inputs = locked.has_inputs or bool(chunk)
        Run.objects.filter(pk=run.pk).update(num_tasks=first + count, has_inputs=has_inputs)
    run.num_tasks, run.has_inputs = first + count, has_inputs
    return first, count


def check_open(run: Run) -> None:
    """Refuse tasks for a run that takes none.

    Raises:
        StateConflict: it is cancelled, or closed and started.
    """
    if run.state == "cancelled":
        raise StateConflict("The run is cancelled and takes no more tasks.")
    if not run.open and run.started is not None:
        raise StateConflict(
            "The run is closed and has been started: set its policy 'open' to true to add tasks."
        )
