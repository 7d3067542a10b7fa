"""kill -9 of worker processes at random moments: everything gets done, each task accepted once."""

import os
import random
import signal

import pytest
from taskfarm_worker import Farm, Task

from runs.models import Attempt, Worker
from runs.models import Run as Kept
from runs.states import Outcome
from tests.exchange.crew import (
    Crew,
    check_each_done_once,
    done,
    fall_silent,
    hasten,
    wait_until,
    wait_until_done,
    workers_of,
)  # fmt: skip

pytestmark = pytest.mark.django_db(transaction=True)
TASKS, PROCESSES, KILLS = 5000, 3, 8


@pytest.mark.parametrize("seed", [2026])
def test_five_thousand_tasks_survive_the_death_of_their_workers(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    hasten(monkeypatch)
    chance = random.Random(seed)
    run = farm.create_run(TASKS, lost_attempts=1000)  # so many as there are; it is about the books
    moments = sorted(chance.sample(range(50, TASKS - 500), KILLS))
    killed: list[int] = []

    def work(task: Task) -> int | None:
        sum(range(50_000))
        return task.number if task.number % 7 == 0 else None

    with Crew(run, work, processes=PROCESSES, heartbeat=1.0) as crew:
        for moment in moments:
            wait_until_done(run, moment)
            killed += kill_one(crew, chance)
        # Also the last ones that were in the middle of an exchange when they died.
        wait_until(lambda: gone(crew, killed), "the rest is done", 120, every=0.5)
        assert crew.end() == 0
    assert len(killed) == KILLS
    assert done(run) == TASKS
    check_each_done_once(run, TASKS)
    check_losses(Kept.objects.get(uuid=run.uuid), killed)
    outputs = {row["task"]: row["output"] for row in run.results()}
    assert all(outputs[number] == number for number in range(0, TASKS, 7))


def kill_one(crew: Crew, chance: random.Random) -> list[int]:
    """Kill one of the processes, wherever it is in its loop, and let its silence have lasted."""
    wait_until(lambda: len(crew.workers()) == PROCESSES, "the dead have been replaced")
    victim = chance.choice(crew.workers())
    os.kill(victim, signal.SIGKILL)
    fall_silent(workers_of([victim]))
    return [victim]


def gone(crew: Crew, killed: list[int]) -> bool:
    """Whether the work has ended; lets the silence of the killed ones have lasted."""
    fall_silent(workers_of(killed))
    return not crew.alive


def check_losses(kept: Kept, killed: list[int]) -> None:
    """Assert that only the dead lost tasks, and that each loss was made good by another attempt."""
    lost = Attempt.objects.filter(run=kept, outcome=Outcome.LOST)
    assert lost.exists(), "nobody held anything when killed, so nothing was shown"
    dead = set(Worker.objects.filter(pid__in=killed).values_list("id", flat=True))
    assert set(lost.values_list("worker_id", flat=True)) <= dead
    ends = set(Attempt.objects.filter(run=kept).values_list("outcome", flat=True))
    assert ends <= {Outcome.DONE, Outcome.LOST, Outcome.RELEASED}
    again = Attempt.objects.filter(run=kept, outcome=Outcome.DONE, attempt__gt=1)
    assert set(lost.values_list("number", flat=True)) <= set(again.values_list("number", flat=True))
