"""A new run from an upload of inputs: nothing of it is handed out before all of it has come.

What fits into one transaction is a run at once. A longer one comes in chunks, each in a transaction
of its own. Until the last is in, the run is paused by its policy, with a reason that says so, and
open: a person may resume it all the same, and the rest still comes. So what an upload leaves that
was cut short by a ``kill -9`` is a paused run, and its pages say that it is not complete until
somebody closes it.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from django.db import DatabaseError, transaction

from runs import appending, events, inputs, lifecycle, steering
from runs.errors import FarmError, RunNotFound, StateConflict
from runs.models import Run, RunEvent
from runs.wording import tasks

ARRIVED = "all inputs have arrived"


def create_run(*, owner: Any, lines: Iterable[bytes], **described: Any) -> Run:
    """Create a run with a task for each line of NDJSON, all of them or no run.

    A run that somebody has taken in hand meanwhile, who resumed or cancelled it, is not taken back
    where a line is refused: workers may have begun.

    Args:
        owner: whose it is, and who uploads.
        lines: the inputs, however many; they are read as they are needed.
        described: name, group and policy, as for ``lifecycle.create_run``.

    Raises:
        InvalidInput: as ``lifecycle.create_run``; or a line is no input, or there is none.
        StateConflict: the run was taken in hand and takes no more tasks, or it is kept.
        RunNotFound: somebody has deleted the run meanwhile.
    """
    texts = inputs.lines(lines)
    first = appending.take(texts)
    if not first:
        raise inputs.refusal("There is no input in the file.")
    rest = list(islice(texts, 1))
    run = _begin(owner, first, held=bool(rest), described=described)
    if rest:
        _go_on(run, chain(rest, texts), owner.get_username(), bool(described.get("open")))
    return run


def _begin(owner: Any, texts: list[str], *, held: bool, described: dict[str, Any]) -> Run:
    """Create the run with its first inputs; it is never seen without them, nor without its hold."""
    policy = {**described, "open": True} if held else described
    with transaction.atomic():
        run = lifecycle.create_run(owner=owner, num_tasks=0, **policy)
        if held:
            steering.pause(run=run, why=steering.UPLOADING)
        for _ in appending.chunks(run, iter(texts), owner.get_username()):
            pass
    return run


def _go_on(run: Run, texts: Iterator[str], who: str, stays_open: bool) -> None:
    """Add the other inputs and set the run going, or take it back."""
    try:
        for _ in appending.chunks(run, texts, who, expected=run.num_tasks):
            pass
        _end(run, who, stays_open)
    except FarmError as error:
        if _take_back(run):
            raise
        raise StateConflict(
            f"{error.detail} The run is kept with the {tasks(run.num_tasks)} that have come, "
            "because somebody has resumed, paused or cancelled it meanwhile."
        ) from error
    except BaseException:
        with suppress(DatabaseError):
            _take_back(run)
        raise


def _end(run: Run, who: str, stays_open: bool) -> None:
    """All has come. Who has resumed the run, or paused it himself, has the last word on that."""
    with transaction.atomic():
        locked = appending.lock(run)
        held = steering.waits_for_upload(locked)
        if held:
            steering.set_going(run=run, why=ARRIVED, open=stays_open)
        elif stays_open:
            events.record(run, "policy", who=who, why=ARRIVED)
    if not held and not stays_open:
        steering.change_policy(run=run, who=who, why=ARRIVED, open=False)
    run.open = stays_open


def _take_back(run: Run) -> bool:
    """Delete a run that is not complete, unless somebody has taken it in hand; tells whether."""
    with suppress(RunNotFound):
        with transaction.atomic():
            if not steering.waits_for_upload(appending.lock(run)):
                return False
        lifecycle.delete_run(run=run)
    return True


def is_incomplete(run: Run) -> bool:
    """Whether inputs of the run are still to come, or never came: an upload began, and has no end.

    One query for a run that is open, none for another.
    """
    if not run.open:
        return False
    first = RunEvent.objects.filter(run=run).order_by("id").first()
    if first is None or not steering.is_of_upload(first):
        return False
    ends = RunEvent.objects.filter(run=run, what__in=("resume", "policy"), why=ARRIVED)
    return not ends.exists()
