"""What people and policy did to runs: who, when, what, why, to how many tasks."""

from typing import Any

from django.db.models import OuterRef, Subquery

from runs.errors import EventNotFound
from runs.models import Run, RunEvent

POLICY = ""
"""Nobody: the run's own policy did it."""


def record(
    run: Run,
    what: str,
    *,
    who: str = POLICY,
    why: str = "",
    tasks: int | None = None,
    details: dict[str, Any] | None = None,
) -> RunEvent:
    """Write an event down, in the transaction of what it tells of."""
    return RunEvent.objects.create(
        run=run, what=what, who=who, why=why[:1000], tasks=tasks, details=details or {}
    )


def latest(run: Run, *what: str) -> RunEvent | None:
    """The last event, of these kinds if any are named."""
    found = RunEvent.objects.filter(run=run)
    if what:
        found = found.filter(what__in=what)
    return found.order_by("-id").first()


def latest_of(run_ids: list[int], *what: str) -> dict[int, RunEvent]:
    """The last event of these kinds of each run that has one, without details; one query."""
    last = RunEvent.objects.filter(run=OuterRef("pk"), what__in=what).order_by("-id")
    ids = Run.objects.filter(pk__in=run_ids).values(last=Subquery(last.values("pk")[:1]))
    return {one.run_id: one for one in RunEvent.objects.filter(pk__in=ids).defer("details")}


def find(run: Run, id: str) -> RunEvent:
    """One event of the run.

    Raises:
        EventNotFound: there is none of this id.
    """
    found = RunEvent.objects.filter(run=run, pk=int(id)).first() if len(id) < 19 else None
    if found is None:
        raise EventNotFound(id)
    return found


def of_run(
    run: Run, *, what: str = "", before: int | None = None, limit: int = 100
) -> list[RunEvent]:
    """The run's events, newest first; of one kind if it is named."""
    found = RunEvent.objects.filter(run=run)
    if what:
        found = found.filter(what=what)
    if before is not None:
        found = found.filter(id__lt=before)
    return list(found.order_by("-id")[:limit])
