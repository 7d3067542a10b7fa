"""A farm in which everything has happened once, and what Prometheus reads of it."""

import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from runs import lifecycle, queue, restarts, sweep, workers
from runs.errors import StaleReport
from runs.models import Run, SweepLock, Task, Worker
from runs.states import Outcome, TaskState
from tests import factories

TOKEN = "a-token-for-tests-only"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Samples = dict[str, list[tuple[dict[str, str], float]]]


def read(text: str) -> Samples:
    """The text as Prometheus understands it: name of the sample → its labels and value."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def scrape(client: Client) -> Samples:
    """What ``/metrics`` tells whoever has the token."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.content
    return read(answer.content.decode())


def value(samples: Samples, sample: str, /, **labels: str) -> float:
    """The one sample of this name that has these labels, among others."""
    (found,) = [number for told, number in samples[sample] if labels.items() <= told.items()]
    return found


def promising_worker(owner: User) -> Worker:
    """A worker that promised a heartbeat."""
    return workers.register(owner=owner, uuid=uuid.uuid4(), hostname="n002", pid=2, heartbeat=10)


def busy_run(owner: User, **fields: Any) -> Run:
    """A run in which attempts have ended in every way, a worker was lost, a report came late."""
    run = factories.run(owner, 10, task_timeout=600, lost_attempts=1, timeout_attempts=1, **fields)
    worker, lost = factories.worker(owner), promising_worker(owner)
    factories.advance(run, worker, done=2, failed=1)
    queue.claim(run=run, worker=lost)
    Worker.objects.filter(pk=lost.pk).update(last_seen=Now() - timedelta(hours=1))
    (late,) = queue.claim(run=run, worker=worker)
    Task.objects.filter(run=run, number=late.number).update(started=Now() - timedelta(hours=1))
    SweepLock.objects.create(pk=1, began=run.created, resumed=run.created - timedelta(days=1))
    sweep.sweep()
    given_back, taken_back = queue.claim(run=run, worker=worker, want=2)
    lifecycle.requeue_one(run=run, number=given_back.number)
    assert Task.objects.get(run=run, number=taken_back.number).state == TaskState.COMPUTING
    restarts.restart(run=run)
    factories.advance(run, worker, failed=1, computing=1)
    with suppress(StaleReport):
        queue.report_outcome(run=run, number=0, outcome=Outcome.FAILED)
    return run
