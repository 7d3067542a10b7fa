"""Workers: register one, find one, note that it was seen."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from runs.dialect import as_datetime, as_list, fetch, run_sql
from runs.errors import WorkerExists, WorkerNotFound
from runs.models import Worker
from runs.prepared import Prepared


def register(
    *,
    owner: Any,
    uuid: UUID,
    hostname: str,
    pid: int,
    heartbeat: int | None = None,
    labels: dict[str, Any] | None = None,
) -> Worker:
    """Register a client process under the UUID that it chose.

    Args:
        owner: whose it is.
        uuid: its own choice.
        hostname: where it runs.
        pid: its process id there.
        heartbeat: the seconds between signs of life that it promises; None promises nothing, and
            such a worker is never given up as lost.
        labels: batch job id and the like.

    Raises:
        WorkerExists: the UUID is taken, by whomever.
    """
    try:
        with transaction.atomic():
            return Worker.objects.create(
                owner=owner,
                uuid=uuid,
                hostname=hostname,
                pid=pid,
                heartbeat=heartbeat,
                labels=labels or {},
            )
    except IntegrityError:
        raise WorkerExists(uuid.hex) from None


# Waits for no disk: whoever is heard of now is heard of again before a power cut could matter.
SEEN = "UPDATE runs_worker SET last_seen = {now}, gone = NULL WHERE id = %s AND {unhurried}"
FIND = Prepared("""
SELECT id, heartbeat, last_seen < {seen_before} OR gone IS NOT NULL
FROM runs_worker WHERE uuid = %s AND owner_id + 0 = %s
""")


def find(*, owner: Any, uuid: str) -> Worker:
    """The owner's worker with this UUID, which is heard of by this; noted every ten seconds.

    A silence is counted from the last note, so that ``silent_since`` gives it these ten seconds.

    Raises:
        WorkerNotFound: there is none, it is another user's, or the UUID is malformed.
    """
    try:
        rows = fetch(FIND, [UUID(hex=uuid).hex, owner.pk])
    except ValueError:
        rows = []
    if not rows:
        raise WorkerNotFound(uuid)
    id, heartbeat, long_ago = rows[0]
    if long_ago:
        run_sql(SEEN, [id])
    names = ["id", "uuid", "owner_id", "heartbeat"]
    return Worker.from_db("default", names, [id, uuid, owner.pk, heartbeat])


# A worker holds tasks of few runs, a run has few tasks in flight: both are index scans.
IN_RUN = """
SELECT worker_id, COUNT(*), MAX(updated) FROM runs_task
WHERE run_id = %s AND state = 1 AND worker_id IS NOT NULL
GROUP BY worker_id ORDER BY worker_id LIMIT %s
"""
HELD = """
SELECT run_id, number, attempt, percent FROM runs_task WHERE worker_id = %s AND state = 1
ORDER BY id LIMIT %s
"""
MOST_LOST = 10_000
"""Tasks of a worker that are looked at beside as many as it names itself."""


def held(worker: Worker, *, named: int) -> tuple[list[tuple[int, int, int, float]], bool]:
    """What the server thinks that the worker holds: (run id, task number, attempt, percent).

    Args:
        worker: the worker.
        named: how many tasks it says that it holds.

    Returns:
        The tasks, and whether these are all.
    """
    most = named + MOST_LOST
    found = fetch(HELD, [worker.id, most + 1])
    return found[:most], len(found) <= most


def computing(run_id: int, *, limit: int) -> list[tuple[Worker, int]]:
    """The workers that hold tasks of the run now, each with how many; the first ``limit``.

    A report on a task is a sign of life, too: ``last_seen`` is the latest of both.
    """
    held = {id: (count, as_datetime(at)) for id, count, at in fetch(IN_RUN, [run_id, limit])}
    found = []
    for worker in in_order(held):
        count, heard = held[worker.id]
        worker.last_seen = max(worker.last_seen, heard or worker.last_seen)
        found.append((worker, count))
    return found


def in_order(ids: Iterable[int]) -> Iterable[Worker]:
    """Workers by host and process."""
    return Worker.objects.filter(id__in=list(ids)).order_by("hostname", "pid", "id")


# A task that was marked as computing by hand has no worker; somebody works on it.
CREWS = """
SELECT held.run_id, COUNT(DISTINCT CASE
    WHEN w.heartbeat IS NOT NULL AND w.last_seen < {silent_since} THEN NULL
    ELSE COALESCE(held.worker_id, 0) END), COUNT(*)
FROM (
    SELECT run_id, worker_id FROM runs_task WHERE state = 1 AND run_id {in_list} LIMIT %s
) AS held LEFT JOIN runs_worker AS w ON w.id = held.worker_id
GROUP BY held.run_id
"""
MOST_IN_CREWS = 50_000


def crews(run_ids: list[int]) -> dict[int, int]:
    """How many workers hold tasks of each of some runs now, in one query.

    Those that are silent do not count: who knows whether they live. A run all of whose workers are
    silent has 0 of them; one that has no computing task is missing, as is one of which nothing is
    known because very many tasks are in flight.
    """
    if not run_ids:
        return {}
    rows = fetch(CREWS, [as_list(run_ids), MOST_IN_CREWS])
    whole = sum(held for _, _, held in rows) < MOST_IN_CREWS
    return {run: crew for run, crew, _ in rows if crew or whole}
