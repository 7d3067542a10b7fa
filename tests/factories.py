"""Small makers of consistent rows, through the farm's own operations."""

import base64
import uuid
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs import failures, lifecycle, queue, tallies, workers
from runs.models import Attempt, Run, Task, Worker
from runs.states import Outcome, TaskState

PASSWORD = "correct horse battery staple"


def user(name: str, **fields: Any) -> User:
    """A user with the common test password."""
    return User.objects.create_user(name, password=PASSWORD, **fields)


def caller(user: User, password: str = PASSWORD) -> APIClient:
    """A client of the API that sends the user's password as HTTP Basic."""
    client = APIClient()
    credentials = base64.b64encode(f"{user.get_username()}:{password}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {credentials}")
    return client


def run(owner: User, num_tasks: int = 10, **fields: Any) -> Run:
    """A run of waiting tasks."""
    return lifecycle.create_run(owner=owner, num_tasks=num_tasks, **fields)


def worker(
    owner: User, hostname: str = "n001", pid: int = 1, heartbeat: int | None = None
) -> Worker:
    """A registered worker."""
    return workers.register(
        owner=owner, uuid=uuid.uuid4(), hostname=hostname, pid=pid, heartbeat=heartbeat
    )


def advance(run: Run, worker: Worker, *, done: int = 0, failed: int = 0, computing: int = 0) -> Run:
    """Let a worker take the run's next tasks and end some of them."""
    for number, claim in enumerate(
        queue.claim(run=run, worker=worker, want=done + failed + computing)
    ):
        if number < done:
            queue.report_outcome(run=run, number=claim.number, outcome=Outcome.DONE)
        elif number < done + failed:
            queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error="boom")
    run.refresh_from_db()
    return run


def count_rows() -> dict[str, int]:
    """How many rows each table of the farm has."""
    return {
        model.__name__: model.objects.count() for model in apps.get_app_config("runs").get_models()
    }


def check_books(run: Run) -> None:
    """Assert what must hold of a run at every moment: counts, attempts and tasks agree."""
    kept, counted = tallies.read(run.id), tallies.recount(run.id)
    assert tallies.differences(kept, counted) == {}
    assert kept.total == run.num_tasks == Task.objects.filter(run=run).count()
    assert not failures.difference(run.id), "failures by error"
    ended = Attempt.objects.filter(run=run)
    open_attempts = Task.objects.filter(run=run, state=TaskState.COMPUTING).count()
    started = sum(Task.objects.filter(run=run).values_list("attempt", flat=True))
    assert ended.count() + open_attempts == started
