"""Reads: what a run, its tasks and its workers look like now. Nothing here changes anything.

Counts come from the tallies, lists are bounded, so that no read costs more because a run has ten
million tasks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import (
    Case,
    DateTimeField,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Now

from runs import tallies
from runs.dialect import as_datetime, as_list, fetch
from runs.errors import RunNotFound, TaskNotFound
from runs.models import Attempt, Run, RunQuerySet, Tally, Task, Worker, task_id
from runs.prepared import Prepared
from runs.states import RunState, TaskState
from runs.tallies import MILLION, Counts

FINISHED = "finished"
"""The state that is derived: nothing of the run waits and nothing computes."""
RUN_STATES = (*RunState.values, FINISHED)


def find_run(user: Any, uuid: object) -> Run:
    """The run with this UUID, with its owner and group, if the user may see it.

    Args:
        user: whose eyes; see ``RunQuerySet.visible_to``.
        uuid: 32 hex digits, dashes allowed.

    Raises:
        RunNotFound: there is none, it is somebody else's, or the UUID is malformed.
    """
    try:
        runs = Run.objects.visible_to(user, getattr(user, "group_ids", None))
        return runs.select_related("owner", "group").get(uuid=parse_uuid(uuid))
    except Run.DoesNotExist:
        raise RunNotFound(uuid) from None


SHOWN_FIELDS = [field.attname for field in Run._meta.concrete_fields if field.attname != "deleted"]
SHOWN_TIMES = [
    index
    for index, name in enumerate(SHOWN_FIELDS)
    if isinstance(Run._meta.get_field(name.removesuffix("_id")), DateTimeField)
]
# Not prepared: it joins, so that an index of groups may look good while there are few runs.
SHOWN = f"""
SELECT {", ".join(f"r.{name}" for name in SHOWN_FIELDS)}, u.username, g.name
FROM runs_run AS r JOIN auth_user AS u ON u.id = r.owner_id
LEFT JOIN auth_group AS g ON g.id = r.group_id
WHERE r.uuid = %s AND r.deleted IS NULL AND (r.owner_id = %s OR %s OR r.group_id {{in_list}})
"""


def find_shown(user: Any, uuid: object) -> Run:
    """The run with its owner's and its group's name, as the API shows it.

    It is ``find_run`` in one spelled-out query, for callers whose groups are known.

    Raises:
        RunNotFound: there is none, it is somebody else's, or the UUID is malformed.
    """
    key = parse_uuid(uuid)
    rows = fetch(SHOWN, [key.hex, user.pk, user.is_staff, as_list(user.group_ids)])
    if not rows:
        raise RunNotFound(uuid)
    *values, username, group = rows[0]
    for index in SHOWN_TIMES:
        values[index] = as_datetime(values[index])
    run = Run.from_db("default", SHOWN_FIELDS, values)
    run.uuid = key
    run.owner = get_user_model()(id=run.owner_id, username=username)
    run.group = Group(id=run.group_id, name=group) if run.group_id else None
    return run


def parse_uuid(uuid: object) -> UUID:
    """The UUID of a run.

    Raises:
        RunNotFound: it is malformed, so no run has it.
    """
    try:
        return uuid if isinstance(uuid, UUID) else UUID(hex=str(uuid))
    except ValueError:
        raise RunNotFound(uuid) from None


# Every call of every worker begins here. Building this query with the ORM took a third of the
# whole call's time, so it is spelled out; the condition is that of RunQuerySet.visible_to.
FIELDS = [
    field.attname
    for field in Run._meta.concrete_fields
    if field.attname
    not in {"description", "template", "columns", "uuid", "created", "changed", "deleted"}
]
TIMES = [FIELDS.index(name) for name in ("started", "start_after", "expire_at")]
WORKABLE = Prepared(f"""
SELECT {", ".join(FIELDS)} FROM runs_run
WHERE uuid = %s AND deleted IS NULL AND (owner_id = %s OR %s OR group_id {{in_list}})
""")


def find_workable(user: Any, uuid: object) -> Run:
    """The run for a worker's call: as ``find_run``, with only the fields that the queue needs.

    Raises:
        RunNotFound: there is none, it is somebody else's, or the UUID is malformed.
    """
    key = parse_uuid(uuid)
    rows = fetch(WORKABLE, [key.hex, user.pk, user.is_staff, as_list(user.group_ids)])
    if not rows:
        raise RunNotFound(uuid)
    values = list(rows[0])
    for index in TIMES:
        values[index] = as_datetime(values[index])
    run = Run.from_db("default", FIELDS, values)
    run.uuid = key
    return run


NOW_OR_LATER = Case(
    When(~Q(state=RunState.ACTIVE) | Q(start_after__gt=Now()) | Q(expire_at__lte=Now()), then=2),
    When(waiting__gt=0, then=0),
    default=1,
)
"""0: the run hands out tasks now; 1: what computes may come back; 2: it is held, or not begun."""


def find_in_namespace(user: Any, namespace: str, *, most: int) -> list[Run]:
    """The runs of a namespace that are not over and that the user may work on.

    Those that hand out tasks now come first, so that no number of others keeps them out of the
    ``most``; then those whose tasks compute, then those that are paused or not begun. Of each, the
    highest priority first, then the oldest.
    """
    runs = Run.objects.visible_to(user, getattr(user, "group_ids", None))
    named = runs.filter(namespace=namespace).exclude(state=RunState.CANCELLED).values("id")
    counted = named.annotate(
        waiting=Coalesce(Sum("tallies__waiting"), 0),
        computing=Coalesce(Sum("tallies__computing"), 0),
    )
    left = counted.filter(Q(open=True) | Q(waiting__gt=0) | Q(computing__gt=0))
    first = left.order_by(NOW_OR_LATER, "-priority", "id").values_list("id", flat=True)
    ids = list(first[:most])
    found = Run.objects.in_bulk(ids)
    return [found[id] for id in ids if id in found]


def run_uuids(user: Any, ids: Iterable[int]) -> dict[int, str]:
    """Id → UUID of those runs that exist and that the user may see."""
    wanted = list(ids)
    if not wanted:
        return {}
    runs = Run.objects.visible_to(user, getattr(user, "group_ids", None))
    return {id: uuid.hex for id, uuid in runs.filter(id__in=wanted).values_list("id", "uuid")}


TASK_FIELDS = ("id", "number", "state", "percent", "started", "updated", "attempt", "not_before")
WORKER_FIELDS = ("id", "hostname", "pid", "heartbeat", "uuid", "last_seen")
# Asked after every claim by the published client.
TASK = Prepared(f"""
SELECT {", ".join(f"t.{name}" for name in TASK_FIELDS)},
    {", ".join(f"w.{name}" for name in WORKER_FIELDS)}
FROM runs_task AS t LEFT JOIN runs_worker AS w ON w.id = t.worker_id
WHERE t.id = %s
""")


def find_task(run: Run, number: int) -> Task:
    """One task of a run.

    Raises:
        TaskNotFound: the number is outside the run.
    """
    rows = fetch(TASK, [task_id(run.id, number)]) if 0 <= number < run.num_tasks else []
    if not rows:
        raise TaskNotFound(number, run.num_tasks)
    values, (*known, uuid, seen) = list(rows[0][: len(TASK_FIELDS)]), rows[0][len(TASK_FIELDS) :]
    for index in (4, 5):
        values[index] = as_datetime(values[index])
    task = Task(**dict(zip(TASK_FIELDS, values, strict=True)), run=run, worker_id=known[0])
    if uuid is not None:
        told = [*known, UUID(str(uuid)), as_datetime(seen)]
        task.worker = Worker(**dict(zip(WORKER_FIELDS, told, strict=True)))
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
    waits = run.state == RunState.PAUSED and run.open and not counts.total  # for its first tasks
    if run.state != RunState.CANCELLED and counts.over and not waits:
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


def with_work_left(runs: RunQuerySet) -> RunQuerySet:
    """Those runs in which something waits or computes."""
    none_left = Q(open_tasks=0)
    return with_open_tasks(runs).exclude(none_left)


def in_state(runs: RunQuerySet, state: str) -> RunQuerySet:
    """The runs in a state as people see it, ``finished`` included."""
    waits = Q(state=RunState.PAUSED, open=True, num_tasks=0)  # for its first tasks
    over = Q(open_tasks=0) & ~Q(state=RunState.CANCELLED) & ~waits
    runs = with_open_tasks(runs)
    return runs.filter(over) if state == FINISHED else runs.filter(state=state).exclude(over)


def tasks_page(
    run: Run, *, state: TaskState | None = None, after: int = -1, limit: int = 100
) -> list[Task]:
    """The next tasks by number, of one state or of all: an index scan from ``after``.

    Args:
        run: whose tasks.
        state: only these.
        after: the last number of the page before.
        limit: how many at most.
    """
    if state == TaskState.WAITING:
        return waiting_between(run, after + 1, LAST, limit=limit)
    return list(tasks_between(run, after + 1, LAST, state=state)[:limit])


def tasks_up_to(
    run: Run, last: int, *, state: TaskState | None = None, limit: int = 100
) -> list[Task]:
    """The page that ends with task ``last`` or before it, by number: the way back of a list."""
    if state == TaskState.WAITING:
        return waiting_between(run, 0, last, limit=limit, from_the_end=True)
    return list(tasks_between(run, 0, last, state=state).reverse()[:limit])[::-1]


LAST = 2**31 - 1
"""No task has a higher number."""


def tasks_between(
    run: Run, first: int, last: int, *, state: TaskState | None = None
) -> QuerySet[Task]:
    """The tasks of some numbers by number, of one state but waiting or of all, with their workers.

    Those of one state are read from the index task_in_state, so that the few that failed in ten
    million are not looked for by walking all.
    """
    first, last = min(first, LAST), min(last, LAST)
    tasks = Task.objects.select_related("worker")
    if state is None:
        ids = task_id(run.id, first), task_id(run.id, last)
        return tasks.filter(id__range=ids).order_by("id")
    listed = tasks.filter(run=run, state=state, not_before=0, number__range=(first, last))
    return listed.order_by("number")


# In the index of states backoff stands before the number: the next of those that are free, and the
# next of those that are put off, each in its part of it.
WAITING = """
SELECT id FROM (
    SELECT * FROM (
        SELECT id, number FROM runs_task
        WHERE run_id = %s AND state = 0 AND not_before = 0 AND number BETWEEN %s AND %s
        ORDER BY number LIMIT %s
    ) AS free
    UNION ALL
    SELECT * FROM (
        SELECT id, number FROM runs_task
        WHERE run_id = %s AND state = 0 AND not_before > 0 AND number BETWEEN %s AND %s
        ORDER BY number LIMIT %s
    ) AS put_off
) AS waiting ORDER BY number LIMIT %s
"""
WAITING_BACKWARDS = WAITING.replace("ORDER BY number", "ORDER BY number DESC")


def waiting_between(
    run: Run, first: int, last: int, *, limit: int, from_the_end: bool = False
) -> list[Task]:
    """The first waiting tasks of some numbers by number, or the last, in backoff or not."""
    asked = [run.id, min(first, LAST), min(last, LAST), limit]
    statement = WAITING_BACKWARDS if from_the_end else WAITING
    found = RawSQL(statement, [*asked, *asked, limit])  # noqa: S611  # the words are our own
    return list(Task.objects.filter(id__in=found).order_by("id"))


def attempts_of(run: Run, number: int, *, limit: int) -> list[Attempt]:
    """The latest attempts at a task, newest first."""
    attempts = Attempt.objects.filter(run=run, number=number).select_related("worker")
    return list(attempts.order_by("-attempt")[:limit])


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
