"""An attempt lasts as long as its worker says that it took, not from its hand-out to its report."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Sum
from rest_framework.test import APIClient
from taskfarm_worker import Farm, Task

from runs import counting, pace, restarts, steering, sweep
from runs.attempts import REPEATED
from runs.dialect import as_records, database_now, fetch, spell
from runs.models import Attempt, Run, Worker
from runs.models import Task as Row
from runs.selection import Selection
from runs.states import Outcome, TaskState
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]
NEARLY = timedelta(milliseconds=10)
"""SQLite keeps milliseconds."""


@pytest.fixture
def run(alice: User) -> Run:
    return factories.run(alice, 20)


@pytest.fixture
def held(run: Run, exchange: Call) -> Run:
    """A run whose first ten tasks were handed out a minute ago."""
    exchange(run, want=10)
    run.tasks.filter(state=TaskState.COMPUTING).update(started=F("started") - timedelta(seconds=60))
    return run


def lasted(run: Run, number: int) -> timedelta:
    """How long the attempt at a task is said to have lasted."""
    attempt = run.attempts.get(number=number)
    return attempt.ended - attempt.started


def near(moment: timedelta, seconds: float) -> bool:
    return abs(moment - timedelta(seconds=seconds)) <= NEARLY


def worked(run: Run) -> float:
    """Seconds of work that the run has cost."""
    return float(run.throughput.aggregate(sum=Sum("seconds"))["sum"])


def test_plain_successes_keep_their_times(held: Run, exchange: Call) -> None:
    before = database_now()
    exchange(held, done=[[0, 1, 0.5, 20], [1, 1, 2.25, 3.5], [2, 1]])
    after = database_now()
    assert near(lasted(held, 0), 0.5)
    assert near(lasted(held, 1), 2.25)
    ended = held.attempts.get(number=1).ended + timedelta(seconds=3.5)
    assert before - NEARLY <= ended <= after + NEARLY
    assert lasted(held, 2) >= timedelta(seconds=59)  # not told: all of the time that it was held
    assert worked(held) == pytest.approx(0.5 + 2.25 + 60, abs=5)
    factories.check_books(held)


def test_a_task_keeps_the_times_of_its_last_attempt_for_the_map(held: Run, exchange: Call) -> None:
    failed = {"task": 1, "attempt": 1, "status": "failed", "error": "E", "took": 30, "ago": 0}
    exchange(held, done=[[0, 1, 1.0, 5.0]], reports=[failed])
    for number in (0, 1):
        attempt, task = held.attempts.get(number=number), Row.objects.get(run=held, number=number)
        assert task.started is not None
        assert task.updated is not None
        assert abs(task.started - attempt.started) <= NEARLY
        assert abs(task.updated - attempt.ended) <= NEARLY


def test_every_kind_of_end_keeps_its_time(held: Run, exchange: Call) -> None:
    times = {"took": 2.5, "ago": 1}
    told = [
        {"task": 0, "attempt": 1, "status": "done", "output": 7, **times},
        {"task": 1, "attempt": 1, "status": "failed", "error": "E: 1", **times},
        {"task": 2, "attempt": 1, "status": "failed", **times},
        {"task": 3, "attempt": 1, "status": "released", **times},
        {"task": 4, "attempt": 1, "status": "timeout", "error": "too long", **times},
    ]
    assert exchange(held, reports=told)["stale"] == []
    assert all(near(lasted(held, number), 2.5) for number in range(5))
    assert worked(held) == pytest.approx(5 * 2.5)
    factories.check_books(held)


def test_no_clock_of_a_worker_makes_an_attempt_longer_than_it_was_held(
    run: Run, exchange: Call
) -> None:
    exchange(run, want=3)
    started = dict(run.tasks.values_list("number", "started"))
    told = {"task": 2, "attempt": 1, "status": "done", "output": 1, "took": 1e9, "ago": 0}
    exchange(run, done=[[0, 1, 1e9, 0], [1, 1, 5.0, 1e9]], reports=[told])
    now = database_now()
    for attempt in run.attempts.all():
        assert started[attempt.number] <= attempt.started <= attempt.ended <= now
    assert worked(run) <= 3 * (now - min(one for one in started.values() if one)).total_seconds()
    factories.check_books(run)


def test_a_task_that_waited_at_its_worker_is_given_back_as_never_begun(
    held: Run, exchange: Call
) -> None:
    exchange(held, reports=[{"task": 0, "attempt": 1, "status": "released", "took": 0, "ago": 0}])
    assert near(lasted(held, 0), 0)
    assert worked(held) == 0


def test_a_timeout_that_its_worker_saw_uses_up_the_timeouts(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20, error_attempts=1, timeout_attempts=2)
    late = {"status": "timeout", "error": "timeout after 5 s"}
    exchange(run, want=1)
    exchange(run, reports=[{"task": 0, "attempt": 1, **late}])
    assert Row.objects.get(run=run, number=0).state == TaskState.WAITING
    exchange(run, want=1)
    exchange(run, reports=[{"task": 0, "attempt": 2, **late}])
    assert Row.objects.get(run=run, number=0).state == TaskState.FAILED
    outcomes = Attempt.objects.filter(run=run).values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.TIMEOUT, Outcome.TIMEOUT]
    factories.check_books(run)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"done": [[0, 1, -1, 0]]}, "0 to 1000000000"),
    ({"done": [[0, 1, 1, -0.5]]}, "0 to 1000000000"),
    ({"done": [[0, 1, "1", 0]]}, "seconds"),
    ({"done": [[0, 1, True, 0]]}, "seconds"),
    ({"done": [[0, 1, None, 0]]}, "seconds"),
    ({"done": [[0, 1, 10**400, 0]]}, "seconds"),
    ({"done": [[0, 1, 1]]}, "[task, attempt, took, ago]"),
    ({"holding": [[0, 1, 1, 1]]}, "[task, attempt]"),
    ({"reports": [{"task": 0, "attempt": 1, "status": "done", "took": "long"}]}, "seconds"),
    ({"reports": [{"task": 0, "attempt": 1, "status": "done", "took": 1e10}]}, "seconds"),
    ({"reports": [{"task": 0, "attempt": 1, "status": "done", "ago": 1}]}, "took"),
    ({"reports": [{"task": 0, "attempt": 1, "percentCompleted": 1, "took": 1}]}, "status"),
]


@pytest.mark.parametrize(("body", "said"), BAD)
def test_times_that_make_no_sense_are_refused_and_change_nothing(
    api: APIClient, worker: Worker, held: Run, body: dict[str, Any], said: str
) -> None:
    sent = {name: {held.uuid.hex: value} for name, value in body.items()}
    response = api.post(
        f"/api/worker/{worker.uuid.hex}/exchange", json.dumps(sent), content_type="application/json"
    )
    assert response.status_code == 400
    assert said in response.json()["detail"]
    assert Row.objects.get(run=held, number=0).state == TaskState.COMPUTING
    assert not held.attempts.exists()


def test_short_tasks_of_a_real_worker_follow_each_other(farm: Farm) -> None:
    run = farm.create_run(40)
    began = time.monotonic()
    assert run.work(short).done == 36
    passed = time.monotonic() - began
    kept = list(Attempt.objects.filter(run__uuid=run.uuid).order_by("started"))
    assert len(kept) == 40
    # It had many in hand at once. One after the other they took some time; together they did not
    # take more than there was.
    for one, following in pairwise(kept):
        assert one.ended <= following.started + NEARLY
    assert all(one.ended - one.started >= timedelta(seconds=0.019) for one in kept)
    total = sum((one.ended - one.started).total_seconds() for one in kept)
    assert 40 * 0.019 <= total <= passed
    assert worked(Run.objects.get(uuid=run.uuid)) == pytest.approx(total, abs=0.1)


def short(task: Task) -> object:
    """Twenty milliseconds; some of them have something to tell."""
    time.sleep(0.02)
    if task.number % 10 == 3:
        raise ValueError("no")
    return task.number if task.number % 3 == 0 else None


def test_what_was_held_but_never_begun_does_not_make_tasks_look_long(
    alice: User, exchange: Call
) -> None:
    run = factories.run(alice, 400)
    keeper, doer = factories.worker(alice, "n002"), factories.worker(alice, "n003")
    exchange(run, by=keeper, want=100)
    handed = exchange(run, by=doer, want=5)["tasks"]
    run.tasks.filter(state=TaskState.COMPUTING).update(
        started=F("started") - timedelta(seconds=600)
    )
    exchange(run, by=doer, done=[[one["task"], 1, 0.1, 0] for one in handed])
    sweep.sign_off(keeper)
    answer = exchange(run, want=5, timeLeft=30)
    assert len(answer["tasks"]) == 5
    assert answer["finished"] is False
    pace.forget()
    assert exchange(run, want=5, timeLeft=0.05)["tasks"] == []  # none of those done was so short


def test_an_undone_restart_gives_tasks_their_times_and_workers_back(
    held: Run, worker: Worker, exchange: Call
) -> None:
    exchange(held, done=[[0, 1, 0.25, 3], [1, 1, 0.5, 2]], reports=[
        {"task": 2, "attempt": 1, "status": "failed", "error": "E", "took": 4, "ago": 1}
    ])  # fmt: skip
    fields = ("number", "state", "started", "updated", "worker_id", "percent")
    before = list(held.tasks.filter(number__lt=3).order_by("number").values_list(*fields))
    ended = dict(held.attempts.values_list("number", "ended"))
    states = (TaskState.DONE, TaskState.FAILED)
    restarts.restart(run=held, selection=Selection(states=states), by="alice")
    restarts.undo(run=held, event=held.events.latest("id"), by="alice")
    after = list(held.tasks.filter(number__lt=3).order_by("number").values_list(*fields))
    for one, other in zip(before, after, strict=True):
        assert (one[0], one[1], one[4], one[5]) == (other[0], other[1], other[4], other[5])
        assert other[3] == ended[other[0]]
        assert abs(one[2] - other[2]) <= NEARLY
    factories.check_books(held)


def test_an_undone_restart_gives_cancelled_tasks_back_to_their_host(
    held: Run, worker: Worker
) -> None:
    steering.cancel(run=held, who="alice", why="")
    fields = ("number", "state", "worker_id", "attempt")
    before = list(held.tasks.order_by("number").values_list(*fields))
    selection = Selection(states=(TaskState.CANCELLED,))
    restarts.restart(run=held, selection=selection, by="alice")
    restarts.undo(run=held, event=held.events.filter(what="restart").latest("id"), by="alice")
    assert list(held.tasks.order_by("number").values_list(*fields)) == before
    assert {one[2] for one in before} == {None, worker.id}
    factories.check_books(held)


def test_an_attempt_whose_start_is_finer_than_the_clock_ends_all_the_same(
    run: Run, exchange: Call
) -> None:
    exchange(run, want=2)
    start = (database_now() + timedelta(days=1)).replace(microsecond=68_648)
    run.tasks.filter(state=TaskState.COMPUTING).update(started=start)
    told = {"task": 1, "attempt": 1, "status": "done", "output": 1, "took": 0, "ago": 0}
    assert exchange(run, done=[[0, 1, 0, 0]], reports=[told])["stale"] == []
    assert run.attempts.count() == 2


def test_a_thousand_ranges_are_no_deep_condition(run: Run) -> None:
    ranges = tuple((2 * one, 2 * one) for one in range(1000))
    condition, values = counting.with_numbers(ranges)
    found = fetch(f"SELECT COUNT(*) FROM runs_task WHERE run_id = %s{condition}", [run.id, *values])
    assert found == [(10,)]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="of SQLite's planner")
def test_a_repetition_costs_by_its_reports_not_by_what_the_worker_has_done() -> None:
    rows = [{"number": 1, "attempt": 1}]
    statement, value = as_records(REPEATED, "told", {"number": "int", "attempt": "int"}, rows)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + spell(statement, "sqlite"), [value, 1, 1])
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert "run_id=? AND number=? AND attempt=?" in plan
