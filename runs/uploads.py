"""A new run from an upload of inputs: nothing of it is handed out before all of it has come.

What fits into one transaction is a run at once. A longer one comes in chunks, each in a transaction
of its own, or call by call from a client. Until the last is in, the run is paused by its policy,
with a reason that says so, and open: a person may resume it all the same, and the rest still comes.
So what an upload leaves that was cut short by a ``kill -9`` is a paused run, and its pages say that
it is not complete until somebody closes it.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q

from runs import appending, events, inputs, lifecycle, steering
from runs.errors import FarmError, RunNotFound, StateConflict
from runs.models import Run, RunEvent
from runs.states import RunState
from runs.steering import UPLOADED
from runs.wording import tasks

ARRIVED = "all inputs have arrived"
WITHOUT = "without the inputs that have not come"


def create_run(*, owner: Any, who: str, lines: Iterable[bytes], **described: Any) -> Run:
    """Create a run with a task for each line of NDJSON, all of them or no run.

    A run that somebody has taken in hand meanwhile, who resumed or cancelled it, is not taken back
    where a line is refused: workers may have begun.

    Args:
        owner: whose it is.
        who: uploads.
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
    start = begin if rest else partial(lifecycle.create_run, num_tasks=0)
    with transaction.atomic():  # the run is never seen without its first inputs
        run = start(owner=owner, **described)
        for _ in appending.chunks(run, iter(first), who):
            pass
    if rest:
        _go_on(run, chain(rest, texts), who, bool(described.get("open")))
    return run


def begin(*, owner: Any, **described: Any) -> Run:
    """Create a run whose tasks are then appended; none is handed out before ``end``.

    Args:
        owner: whose it is.
        described: as for ``create_run``; the run is open until its end.

    Raises:
        InvalidInput: as ``lifecycle.create_run``.
    """
    with transaction.atomic():
        run = lifecycle.create_run(owner=owner, num_tasks=0, **{**described, "open": True})
        steering.pause(run=run, why=steering.UPLOADING)
    return run


def end(*, run: Run, who: str, why: str = "", stays_open: bool = False) -> None:
    """All tasks of a run have come that was begun without any. Said again it changes nothing.

    Args:
        run: which.
        who: says so.
        why: where not all have come, the reason to make do with those that have.
        stays_open: it goes on taking tasks.

    Raises:
        StateConflict: the run was not begun so.
        RunNotFound: somebody has deleted it meanwhile.
    """
    told = RunEvent.objects.filter(run=run)
    first = told.order_by("id").first()
    if first is None or not steering.is_of_upload(first):
        raise StateConflict("The run was not begun as one whose tasks are to come.")
    _end(run, who, stays_open, why or ARRIVED)


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


def _end(run: Run, who: str, stays_open: bool, why: str = ARRIVED) -> None:
    """All has come. Who has resumed the run, or paused it himself, has the last word on that."""
    with transaction.atomic():
        locked = appending.lock(run)  # of those who say so at once one does it
        if RunEvent.objects.filter(run=run, what=UPLOADED).exists():
            return
        if steering.waits_for_upload(locked):
            steering.set_going(run=run, who=who, why=why, open=stays_open)
            return
        if not stays_open:
            steering.change_policy(run=run, who=who, why=why, open=False)
        events.record(locked, UPLOADED, who=who, why=why)


def take_back(*, run: Run) -> None:
    """Delete a run whose upload is given up.

    Raises:
        StateConflict: somebody has taken it in hand meanwhile, or the upload has ended.
        RunNotFound: somebody has deleted it.
    """
    with transaction.atomic():
        if not steering.waits_for_upload(appending.lock(run)):
            raise StateConflict(
                "The run is kept: its upload has ended, or somebody has resumed, paused or "
                "cancelled it meanwhile."
            )
        lifecycle.hide(run)
    lifecycle.erase(run)


def _take_back(run: Run) -> bool:
    """Delete a run that is not complete, unless somebody has taken it in hand; tells whether."""
    try:
        take_back(run=run)
    except StateConflict:
        return False
    except RunNotFound:
        pass
    return True


def is_incomplete(run: Run) -> bool:
    """Whether inputs of the run are still to come, or never came: an upload began, and has no end.

    One query for a run that is open or paused, none for another.
    """
    return run.id in incomplete([run])


def incomplete(runs: Iterable[Run]) -> set[int]:
    """Which of some runs are incomplete, by id; one query at most."""
    possible = [run.id for run in runs if run.open or run.state == RunState.PAUSED]
    if not possible:
        return set()
    told = RunEvent.objects.filter(run__in=possible, what__in=("pause", UPLOADED))
    told = told.filter(Q(what=UPLOADED) | Q(who=events.POLICY, why=steering.UPLOADING))
    kinds = set(told.values_list("run_id", "what"))
    return {run_id for run_id, what in kinds if (run_id, UPLOADED) not in kinds}
