"""Steering a run: pause, resume, cancel, change its policy; and what its policy does by itself.

Each change is a guarded UPDATE of the run's row and an event that tells who, why, and how many
tasks; zero rows mean that the run is not in a state from which the change exists.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.db import InternalError, OperationalError, transaction
from django.db.models import Case, F, When
from django.db.models.functions import Now
from django.utils import timezone

from runs import events, policy, reports, tallies
from runs.cancels import finish_cancelling
from runs.dialect import database_now
from runs.errors import Conflict, RunNotFound, StateConflict
from runs.models import Run, RunEvent
from runs.states import RunState
from runs.tallies import Counts

EXPIRE_AT_ONCE = 10
"""Runs that one sweep closes; each has a first piece of its tasks cancelled."""
CANCELLED_AT_ONCE = 10
"""Cancelled runs that one sweep looks after."""
PIECES = 4
"""Pieces of a run that are cancelled on somebody else's call, a sweep's or a report's."""

UPLOADING = "its inputs are still being uploaded"
"""Why a new run is paused by its policy until all of it has come; see ``uploads.py``."""

HELD = ("pause", events.POLICY, UPLOADING)
"""The event of that: what, who, why."""

UPLOADED = "uploaded"
"""The event of the end of an upload."""


def pause(*, run: Run, who: str = events.POLICY, why: str = "") -> None:
    """Hand out nothing more until somebody resumes it; reports still count.

    A person pauses no finished run, unless it is open and may be given more tasks: it would be
    shown as finished all the same, and hand out nothing after its next restart. One that waits for
    its upload is paused by the person from then on, and not set going when all has come.

    Raises:
        StateConflict: it is not active, or it is finished.
    """
    if run.state == RunState.ACTIVE and who != events.POLICY:
        _check_unfinished(run, "pause")
    start = {RunState.ACTIVE}
    if who != events.POLICY and waits_for_upload(run):
        start.add(RunState.PAUSED)
    _set_state(run, RunState.PAUSED, start, "pause", who, why)


def _check_unfinished(run: Run, what: str) -> None:
    """See whether anything waits or computes, or may without a restart: else nobody steers it.

    Raises:
        StateConflict: nothing does.
        RunNotFound: it has been deleted meanwhile.
    """
    if run.open or not tallies.read(run.id).over:
        return
    if not Run.objects.kept().filter(pk=run.pk).exists():
        raise RunNotFound(run.uuid.hex)
    raise StateConflict(f"The run is finished, so there is nothing to {what}.")


def resume(*, run: Run, who: str, why: str = "") -> None:
    """Hand out tasks again; a canary gate that had closed is opened.

    Raises:
        StateConflict: it is not paused.
    """
    released = Case(When(started=None, then=F("released")), default=True)
    _set_state(run, RunState.ACTIVE, {RunState.PAUSED}, "resume", who, why, released=released)


def waits_for_upload(run: Run) -> bool:
    """Whether an upload has paused the run until all has come; no query unless it is paused."""
    if run.state != RunState.PAUSED:
        return False
    last = events.latest(run, "pause")
    return last is not None and is_of_upload(last)


def is_of_upload(event: RunEvent) -> bool:
    """Whether the event tells that a run was paused until its upload is complete."""
    return (event.what, event.who, event.why) == HELD


def set_going(*, run: Run, who: str, why: str, **fields: Any) -> None:
    """Hand out the tasks of a run that was held until its upload has ended; a canary gate stays.

    Args:
        run: which.
        who: sets it going.
        why: what it has waited for.
        fields: what changes with it.

    Raises:
        StateConflict: it is not paused.
    """
    start = {RunState.PAUSED}
    _set_state(run, RunState.ACTIVE, start, UPLOADED, who, why, **fields)


def _set_state(
    run: Run,
    state: RunState,
    start: set[RunState],
    what: str,
    who: str,
    why: str,
    **fields: Any,
) -> None:
    """Move a run from one of some states to another, with its event.

    Raises:
        StateConflict: it is in none of them.
    """
    with transaction.atomic():
        moved = (
            Run.objects.kept()
            .filter(pk=run.pk, state__in=start)
            .update(state=state, changed=Now(), **fields)
        )
        if moved:
            events.record(run, what, who=who, why=why)
    if not moved:
        now = Run.objects.kept().filter(pk=run.pk).values_list("state", flat=True).first()
        if now is None:
            raise RunNotFound(run.uuid.hex)
        run.state = now
        raise StateConflict(f"The run is {run.state}, so there is nothing to {what}.")
    run.state = state


def cancel(*, run: Run, who: str = events.POLICY, why: str = "", what: str = "cancel") -> int:
    """Call off all tasks that wait or compute; their workers are told at their next exchange.

    Returns:
        How many tasks were cancelled.

    Raises:
        StateConflict: the run is cancelled already, all of it, or it is finished, and not open.
    """
    if run.state != RunState.CANCELLED and who != events.POLICY:
        _check_unfinished(run, "cancel")
    if run.state != RunState.CANCELLED or tallies.read(run.id).over:
        _call_off(run, what, who, why)
    return finish_cancelling(run)[0]


def _call_off(run: Run, what: str, who: str, why: str) -> None:
    """Set a run to cancelled; its tasks follow.

    Raises:
        StateConflict: it is cancelled already.
    """
    start = {RunState.ACTIVE, RunState.PAUSED}
    _set_state(run, RunState.CANCELLED, start, what, who, why, unfinished=True)


def cancel_by_policy(run: Run, *, why: str, what: str = "cancel", pieces: int = PIECES) -> None:
    """Cancel a run on somebody's call, who must not wait for millions of tasks.

    The first pieces go at once, the sweep calls off the rest.
    """
    with suppress(StateConflict):  # somebody may be faster
        _call_off(run, what, events.POLICY, why)
        finish_cancelling(run, pieces)


def change_policy(
    *,
    run: Run,
    who: str,
    why: str = "",
    seen: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Change options of the run's policy; answers what they were before.

    Args:
        run: whose.
        who: who wants it.
        why: the reason, kept with the event.
        seen: what the options were when somebody decided to change them; where one is not that
            any more, nothing is changed. Without it the last one wins.
        options: the new values by field name.

    Raises:
        InvalidInput: an option does not exist, or cannot have the value.
        Conflict: somebody else has changed one of them since it was seen.
    """
    kept = policy.check(options)
    if "canary_tasks" in kept:
        kept["released"] = kept["canary_tasks"] is None
    with transaction.atomic():
        before = Run.objects.filter(pk=run.pk).values(*kept).first() if kept else {}
        if before is None:
            raise RunNotFound(run.uuid.hex)
        changed = {name: value for name, value in kept.items() if before[name] != value}
        if changed:
            _write_policy(run, changed, seen or {})
            told = {name: [str(before[name]), str(value)] for name, value in changed.items()}
            events.record(run, "policy", who=who, why=why, details={"changed": told})
    for name, value in kept.items():
        setattr(run, name, value)
    enforce_policy(run, failed=True)
    return before


def _write_policy(run: Run, changed: dict[str, Any], seen: Mapping[str, Any]) -> None:
    """Write options, unless one of them is not what was seen.

    Raises:
        Conflict: one of them is not.
    """
    guard = {name: seen[name] for name in changed if name in seen}
    if not Run.objects.filter(pk=run.pk, **guard).update(**changed):
        raise Conflict("Somebody else has changed the policy meanwhile. Nothing was changed.")


def enforce_policy(run: Run, *, failed: bool) -> None:
    """After attempts ended: open or close the canary gate, stop a run in which too much fails.

    Args:
        run: whose.
        failed: whether a task was failed for good.
    """
    if run.canary_tasks is not None and not run.released:
        _judge_canaries(run)
    if failed and (run.fail_count is not None or run.fail_percent is not None):
        _judge_failures(run)


def _judge_canaries(run: Run) -> None:
    """Release the rest when enough canaries are done; hold it when they have ended and are not."""
    if run.open and run.num_tasks < (run.canary_tasks or 0):
        return  # some of them are still to come
    canaries = min(run.canary_tasks or 0, run.num_tasks)
    counts = tallies.read(run.id)
    needed = run.canary_percent * canaries / 100
    if counts.done >= needed:
        if Run.objects.filter(pk=run.pk, released=False).update(released=True):
            events.record(run, "release", why=f"{counts.done} of {canaries} canaries succeeded")
    elif counts.done + counts.failed + counts.cancelled >= canaries:
        _hold(run, f"only {counts.done} of {canaries} canaries succeeded")


def _judge_failures(run: Run) -> None:
    """Stop the run if more tasks have failed than its policy bears."""
    counts = tallies.read(run.id)
    if not too_much_failed(run, counts):
        return
    why = f"{counts.failed} tasks failed"
    if run.fail_now:
        cancel_by_policy(run, why=why)
    else:
        _hold(run, why)


def too_much_failed(run: Run, counts: Counts) -> bool:
    """Whether so many tasks have failed that the run is to be stopped."""
    if run.fail_count is not None and counts.failed >= run.fail_count:
        return True
    share = 100 * counts.failed / max(run.num_tasks, 1)
    return run.fail_percent is not None and counts.failed > 0 and share >= run.fail_percent


def _hold(run: Run, why: str) -> None:
    """Pause by policy, unless it is not active any more."""
    with suppress(StateConflict):  # somebody may be faster
        pause(run=run, why=why)


def cancelled_runs() -> list[int]:
    """Runs whose cancelling goes on, by id.

    Those with least left come first, so that none waits for ten million tasks of another.
    """
    late = reports.with_open_tasks(Run.objects.filter(unfinished=True))
    found = late.order_by(F("open_tasks"), "id").values_list("id", flat=True)
    return list(found[:CANCELLED_AT_ONCE])


def go_on_cancelling(run_id: int, most: int) -> tuple[int, int]:
    """Go on with cancelling a run; answers how many tasks were called off, in how many pieces.

    A run is looked after until a sweep finds nothing there, for somebody may have been claiming
    just when it was cancelled, and who cancels may be cut short.
    """
    run = Run.objects.get(pk=run_id)
    cancelled = run.state == RunState.CANCELLED
    called_off, pieces = finish_cancelling(run, most) if cancelled else (0, 0)
    if not pieces:  # unless a revived run has been cancelled again since it was read
        same = Run.objects.filter(pk=run.pk, state=run.state, changed__lte=run.changed)
        same.update(unfinished=False)
    return called_off, pieces


def late_runs() -> list[int]:
    """Runs whose window has passed while something is left, by id."""
    late = Run.objects.kept().filter(
        state__in=[RunState.ACTIVE, RunState.PAUSED], expire_at__lte=Now()
    )
    late = reports.with_work_left(late)
    return list(late.order_by("id").values_list("id", flat=True)[:EXPIRE_AT_ONCE])


def expire_late(run: Run) -> None:
    """Cancel a run if its window has passed, for who looks at it while nobody's call sweeps.

    No query unless it has an end that this process's clock says is past.
    """
    if run.state == RunState.CANCELLED or not run.expire_at or run.expire_at > timezone.now():
        return
    # Never in the way of who looks: it may be deleted meanwhile, and the database take no writes.
    with suppress(Run.DoesNotExist, OperationalError, InternalError):
        if run.expire_at <= database_now() and not tallies.read(run.id).over:
            expire(run.pk)
            run.refresh_from_db(fields=["state"])


def expire(run_id: int) -> None:
    """Cancel a run whose window has passed."""
    run = Run.objects.get(pk=run_id)
    why = f"its time was up at {run.expire_at:%Y-%m-%d %H:%M} UTC"
    cancel_by_policy(run, why=why, what="expire", pieces=1)
