"""Two clients that live as the same worker: a script that was started twice with a fixed UUID."""

import os
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from taskfarm_worker import ConflictError, Farm, Task, _work
from taskfarm_worker._courier import Courier

from runs.models import Attempt, Worker
from runs.states import Outcome
from tests.exchange.crew import Crew, Memory, check_each_done_once, fork, hasten

pytestmark = pytest.mark.django_db(transaction=True)
SAME = UUID(int=7)
TASKS = 400


@pytest.fixture(autouse=True)
def _one_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers of this file come by the same UUID."""
    monkeypatch.setattr(_work, "uuid4", lambda: SAME)
    hasten(monkeypatch)


def test_the_second_one_is_told_so(farm: Farm) -> None:
    run = farm.create_run(3)
    begun, go_on = fork.Event(), fork.Event()

    def work(task: Task) -> None:
        begun.set()
        assert go_on.wait(60)

    with Crew(run, work) as first:
        assert begun.wait(60)
        with pytest.raises(ConflictError, match="a UUID of its own"):
            run.work(lambda task: None)
        go_on.set()
        assert first.end() == 0
    check_each_done_once(run, 3)


def test_two_that_get_in_all_the_same_finish_each_task_once(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each is handed what the other holds, for the server takes its answers for lost."""
    register = Courier.register

    def get_in(courier: Courier, server: object = None) -> None:
        with suppress(ConflictError):  # the other one was faster
            register(courier, server)

    monkeypatch.setattr(Courier, "register", get_in)
    memory = Memory(tmp_path / "told", monkeypatch)
    run = farm.create_run(TASKS)
    both, begun = fork.Barrier(2), []

    def work(task: Task) -> dict[str, int]:
        if not begun:  # in this process: its first task
            begun.append(task.number)
            both.wait(60)
        return {"pid": os.getpid()}

    with Crew(run, work, heartbeat=1.0) as one, Crew(run, work, heartbeat=1.0) as two:
        assert (one.end(), two.end()) == (0, 0)
    assert Worker.objects.count() == 1
    assert {row["output"]["pid"] for row in run.results()} == {one.process.pid, two.process.pid}
    assert memory.acknowledged() <= done_attempts()
    check_each_done_once(run, TASKS)


def done_attempts() -> set[tuple[int, int]]:
    """Tasks and attempts that are done in the books."""
    done = Attempt.objects.filter(outcome=Outcome.DONE)
    return set(done.values_list("number", "attempt"))
