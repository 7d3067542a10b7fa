"""Reads: what a run, its tasks and its workers look like now. Nothing here changes anything.

Counts come from the tallies, lists are bounded, so that no read costs more because a run has ten
million tasks.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from runs import tallies
from runs.dialect import as_list, fetch
from runs.errors import RunNotFound, TaskNotFound
from runs.models import Run, RunQuerySet, Tally, Task
from runs.states import RunState, TaskState
from runs.tallies import MILLION, Counts

FINISHED = "finished"
"""The state that is derived: nothing of the run waits and nothing computes."""
RUN_STATES = (*RunState.values, FINISHED)


def find_run(
    user: Any, uuid: object, group_ids: list[int] | None = None, *, with_names: bool = False
) -> Run:
    """The run with this UUID, if the user may see it.

    Args:
        user: whose eyes; see ``RunQuerySet.visible_to``.
        uuid: 32 hex digits, dashes allowed.
        group_ids: the user's groups, where known.
        with_names: fetch owner and group in the same query.

    Raises:
        RunNotFound: there is none, it is somebody else's, or the UUID is malformed.
    """
    try:
        key = uuid if isinstance(uuid, UUID) else UUID(hex=str(uuid))
        runs = Run.objects.visible_to(user, group_ids)
        return (runs.select_related("owner", "group") if with_names else runs).get(uuid=key)
    except (ValueError, Run.DoesNotExist):
        raise RunNotFound(uuid) from None


def find_task(run: Run, number: int) -> Task:
    """One task of a run.

    Raises:
        TaskNotFound: the number is outside the run.
    """
    task = None
    if 0 <= number < run.num_tasks:
        task = Task.objects.filter(run=run, number=number).select_related("worker").first()
    if task is None:
        raise TaskNotFound(number, run.num_tasks)
    return task


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``percent`` is the mean over all tasks, partial progress included."""

    counts: Counts
    percent: float
    last_movement: datetime | None

    @property
    def over(self) -> bool:
        """Nothing waits and nothing computes."""
        return self.counts.over


IN_FLIGHT = """
SELECT run_id, SUM({micro}) FROM runs_task WHERE state = 1 AND run_id {in_list} GROUP BY run_id
"""


def progress(run: Run) -> Progress:
    """Where the run stands: two queries, whatever its size."""
    return progress_of([run])[run.id]


def progress_of(runs: list[Run]) -> dict[int, Progress]:
    """Where each of some runs stands, in two queries: the tallies, and the tasks in flight."""
    ids = [run.id for run in runs]
    kept = tallies.look(ids)
    busy = [run_id for run_id, one in kept.items() if one.counts.computing]
    flight: dict[int, int] = dict(fetch(IN_FLIGHT, [as_list(busy)])) if busy else {}
    return {run.id: _progress(run, kept.get(run.id), flight.get(run.id, 0)) for run in runs}


def _progress(run: Run, kept: tallies.Kept | None, in_flight: int) -> Progress:
    """Put one run's progress together; a run without a tally has no tasks."""
    counts = kept.counts if kept else Counts()
    return Progress(
        counts=counts,
        percent=mean_percent(run, counts, int(in_flight)),
        last_movement=kept.moved if kept else None,
    )


def mean_percent(run: Run, counts: Counts, in_flight: int) -> float:
    """The mean percentage over the run's tasks; 0 for a run without any.

    Args:
        run: the run.
        counts: its tallies.
        in_flight: the sum over its computing tasks, in millionths of a percent.
    """
    if not run.num_tasks:
        return 0.0
    return (counts.settled_percent + in_flight) / MILLION / run.num_tasks


def state_of(run: Run, counts: Counts) -> str:
    """The run's state as people see it: ``finished`` where nothing is left to do."""
    if run.state != RunState.CANCELLED and counts.over:
        return FINISHED
    return run.state


def with_open_tasks(runs: RunQuerySet) -> RunQuerySet:
    """The runs, each annotated with ``open_tasks``: how many wait or compute."""
    total = (
        Tally.objects.filter(run=OuterRef("pk"))
        .values("run")
        .annotate(total=Sum(F("waiting") + F("computing")))
        .values("total")
    )
    return runs.annotate(open_tasks=Coalesce(Subquery(total), Value(0)))


def in_state(runs: RunQuerySet, state: str) -> RunQuerySet:
    """The runs in a state as people see it, ``finished`` included."""
    over = Q(open_tasks=0) & ~Q(state=RunState.CANCELLED)
    runs = with_open_tasks(runs)
    return runs.filter(over) if state == FINISHED else runs.filter(state=state).exclude(over)


def tasks_page(
    run: Run, *, state: TaskState | None = None, after: int = -1, limit: int = 100
) -> list[Task]:
    """The next tasks by number, of one state or of all: one index scan from ``after``.

    Args:
        run: whose tasks.
        state: only these; done tasks are found by walking the numbers, others by their index.
        after: the last number of the page before.
        limit: how many at most.
    """
    tasks = Task.objects.filter(run=run, number__gt=after).select_related("worker")
    if state is not None:
        tasks = tasks.filter(state=state)
    return list(tasks.order_by("number")[:limit])


def summary(run: Run, progress: Progress) -> dict[str, Any]:
    """A run and its counts in plain words and numbers, for a terminal or a script."""
    counts = progress.counts
    return {
        "uuid": run.uuid.hex,
        "name": run.name,
        "namespace": run.namespace,
        "owner": run.owner.get_username(),
        "group": run.group.name if run.group else None,
        "state": state_of(run, counts),
        "numTasks": run.num_tasks,
        "percentDone": progress.percent,
        "numWaiting": counts.waiting,
        "numComputing": counts.computing,
        "numDone": counts.done,
        "numFailed": counts.failed,
        "numCancelled": counts.cancelled,
        "stale": counts.stale,
        "created": run.created.isoformat(),
        "started": run.started.isoformat() if run.started else None,
        "updated": progress.last_movement.isoformat() if progress.last_movement else None,
    }
