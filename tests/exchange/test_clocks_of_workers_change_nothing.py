"""Workers whose clocks are a day wrong, or jump in the middle: time is the database's alone."""

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
import requests
from taskfarm_worker import Farm, Task
from taskfarm_worker._answers import retry_after

from runs.dialect import database_now
from runs.models import Attempt, Worker
from runs.models import Run as Kept
from tests.exchange.crew import Crew, attempts, check_each_done_once, fork, hasten

DAY = 86_400.0


def wrong_by(seconds: float) -> Callable[[], None]:
    """Sets the clock of the process that calls it, as far as Python sees it."""

    def shift() -> None:
        right, right_ns = time.time, time.time_ns
        time.time = lambda: right() + seconds
        time.time_ns = lambda: right_ns() + int(seconds * 10**9)

    return shift


@pytest.mark.django_db(transaction=True)
def test_workers_that_live_yesterday_and_tomorrow_work_beside_each_other(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    run = farm.create_run(300, task_timeout=600, heartbeat=1.0)
    both, begun = fork.Barrier(2), []
    before = database_now()

    def work(task: Task) -> float:
        if not begun:  # in this process: its first task
            begun.append(task.number)
            both.wait(60)
        task.update(50)
        return time.time()

    options = {"heartbeat": 1.0, "time_left": 600.0}
    with (
        Crew(run, work, first=wrong_by(DAY), **options) as tomorrow,
        Crew(run, work, first=wrong_by(-DAY), **options) as yesterday,
    ):
        assert (tomorrow.end(), yesterday.end()) == (0, 0)
    after = database_now()
    shifts = {round((row["output"] - time.time()) / DAY) for row in run.results()}
    assert shifts == {-1, 1}, "the clocks were not wrong, so nothing was shown"
    check_each_done_once(run, 300)
    assert attempts(run) == {1}
    for begun_at, ended_at in Attempt.objects.values_list("started", "ended"):
        assert before <= begun_at <= ended_at <= after
    for seen in Worker.objects.values_list("last_seen", flat=True):
        assert before <= seen <= after
    seconds = sum(Kept.objects.get().throughput.values_list("seconds", flat=True))
    assert 0 <= seconds < 300 * (after - before).total_seconds()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_in_the_middle_of_the_work_ends_nothing(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    hasten(monkeypatch)
    run = farm.create_run(40)

    def work(task: Task) -> None:
        if task.number == 5:
            wrong_by(jump)()

    with Crew(run, work, time_left=600.0) as crew:
        assert crew.end() == 0
    check_each_done_once(run, 40)
    assert attempts(run) == {1}


@pytest.mark.once
@pytest.mark.parametrize("wrong", [DAY, -DAY])
def test_a_server_that_names_a_time_to_come_back_is_understood(
    monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    answer = requests.Response()
    answer.headers["Date"] = formatdate(1_800_000_000, usegmt=True)
    answer.headers["Retry-After"] = formatdate(1_800_000_120, usegmt=True)
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000 + wrong)
    assert retry_after(answer) == 120
