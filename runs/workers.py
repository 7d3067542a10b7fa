"""Workers: register one, find one, note that it was seen."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from runs.dialect import fetch, run_sql
from runs.errors import WorkerExists, WorkerNotFound
from runs.models import Worker

SEEN_EVERY = 10
"""Seconds between two notes that a worker was seen: a busy worker's row is not written per call."""


def register(*, owner: Any, uuid: UUID, hostname: str, pid: int) -> Worker:
    """Register a client process under the UUID that it chose.

    Raises:
        WorkerExists: the UUID is taken, by whomever.
    """
    try:
        with transaction.atomic():
            return Worker.objects.create(owner=owner, uuid=uuid, hostname=hostname, pid=pid)
    except IntegrityError:
        raise WorkerExists(uuid.hex) from None


FIND = "SELECT id FROM runs_worker WHERE uuid = %s AND owner_id = %s"


def find(*, owner: Any, uuid: str) -> Worker:
    """The owner's worker with this UUID.

    Raises:
        WorkerNotFound: there is none, it is another user's, or the UUID is malformed.
    """
    try:
        rows = fetch(FIND, [UUID(hex=uuid).hex, owner.pk])
    except ValueError:
        rows = []
    if not rows:
        raise WorkerNotFound(uuid)
    return Worker.from_db("default", ["id", "uuid", "owner_id"], [rows[0][0], uuid, owner.pk])


SEEN = """
UPDATE runs_worker SET last_seen = {now} WHERE id = %s AND last_seen < {seen_before}
"""


def note_seen(worker: Worker) -> None:
    """Note that the worker was heard of just now, at most every ten seconds."""
    run_sql(SEEN, [worker.id])


IN_RUN = """
SELECT worker_id, COUNT(*) FROM runs_task
WHERE run_id = %s AND state = 1 AND worker_id IS NOT NULL
GROUP BY worker_id ORDER BY worker_id LIMIT %s
"""


def computing(run_id: int, *, limit: int) -> list[tuple[Worker, int]]:
    """The workers that hold tasks of the run now, each with how many; the first ``limit``."""
    held: dict[int, int] = dict(fetch(IN_RUN, [run_id, limit]))
    return [(worker, held[worker.id]) for worker in in_order(held)]


def in_order(ids: Iterable[int]) -> Iterable[Worker]:
    """Workers by host and process."""
    return Worker.objects.filter(id__in=list(ids)).order_by("hostname", "pid", "id")
