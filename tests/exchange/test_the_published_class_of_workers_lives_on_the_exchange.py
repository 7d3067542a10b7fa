"""``TaskFarmWorker`` on a real gunicorn: its crash is noticed, its late reports are refused."""

import os
import signal
from collections.abc import Callable

import pytest
from django.db import connection
from taskfarm_worker import ConflictError, Farm, Run, TaskFarmWorker

from runs import sweep
from runs.models import Attempt, Worker
from runs.models import Run as Kept
from runs.models import Task as Row
from runs.states import Outcome, TaskState
from tests import factories
from tests.exchange.crew import fall_silent, fork

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def begin(farm: Farm) -> Callable[[Run], TaskFarmWorker]:
    """Registers a worker on a run."""
    url = farm._server.url_base
    return lambda run: TaskFarmWorker("alice", factories.PASSWORD, run.uuid, url_base=url)


def rows(run: Run) -> list[tuple[int, float, int]]:
    """State, percentage and attempt of the tasks."""
    found = Row.objects.filter(run__uuid=run.uuid).order_by("number")
    return list(found.values_list("state", "percent", "attempt"))


def endings(run: Run) -> list[tuple[int, int, int]]:
    """What is written down: task, attempt, outcome."""
    found = Attempt.objects.filter(run__uuid=run.uuid).order_by("number", "attempt")
    return list(found.values_list("number", "attempt", "outcome"))


Begin = Callable[[Run], TaskFarmWorker]


def test_what_a_killed_process_held_waits_again(farm: Farm, begin: Begin) -> None:
    run = farm.create_run(3)
    held, never = fork.Event(), fork.Event()

    def work() -> None:
        worker = begin(run)
        assert worker.task == 0
        worker.update(30)
        worker.done()  # below 100 %: let go of
        assert worker.task == 1
        worker.update(60)
        assert worker.numComputing == 2
        held.set()
        never.wait(120)

    connection.close()  # not to be shared with the child
    process = fork.Process(target=work)
    process.start()
    assert held.wait(60)
    assert sweep.sweep().lost_workers == 0
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    fall_silent(Worker.objects.filter(pid=process.pid))
    assert sweep.sweep().lost_tasks == 2
    waiting = TaskState.WAITING
    assert rows(run) == [(waiting, 30.0, 1), (waiting, 60.0, 1), (waiting, 0.0, 0)]

    with begin(run) as worker:
        for _ in worker.tasks:
            worker.update(100)
            worker.done()
    done, lost = Outcome.DONE, Outcome.LOST
    assert endings(run) == [(0, 1, lost), (0, 2, done), (1, 1, lost), (1, 2, done), (2, 1, done)]
    assert not Worker.objects.filter(gone__isnull=True).exists()
    factories.check_books(Kept.objects.get(uuid=run.uuid))


def test_a_restart_takes_the_task_away_for_good(farm: Farm, begin: Begin) -> None:
    run = farm.create_run(1)
    slow, other = begin(run), begin(run)
    assert slow.task == 0
    run.restart()
    assert other.task == 0
    slow.update(100)
    with pytest.raises(ConflictError, match="Task 0 is not this worker's any more"):
        slow.done()
    assert rows(run) == [(TaskState.COMPUTING, 0.0, 2)]
    other.update(100)
    other.done()
    assert slow.task is None
    assert endings(run) == [(0, 1, Outcome.CANCELLED), (0, 2, Outcome.DONE)]
    for worker in (slow, other):
        worker.close()


def test_closing_gives_the_task_back_at_once(farm: Farm, begin: Begin) -> None:
    run = farm.create_run(2)
    with begin(run) as worker:
        assert worker.task == 0
        worker.update(25)
    assert rows(run)[0] == (TaskState.WAITING, 25.0, 1)
    assert endings(run) == [(0, 1, Outcome.RELEASED)]


def test_a_status_by_hand_ends_the_task_as_ever(farm: Farm, begin: Begin) -> None:
    run = farm.create_run(3)
    with begin(run) as worker:
        for task in worker.tasks:
            worker.update(100)
            worker.setTaskInfo(task, "status", "done")
            worker.done()  # said twice, noted once
    assert endings(run) == [(number, 1, Outcome.DONE) for number in range(3)]
    factories.check_books(Kept.objects.get(uuid=run.uuid))
