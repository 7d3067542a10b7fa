"""Budgets, backoff, windows, gates, thresholds: what happens without anybody's doing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from runs import conditions, explain, lifecycle, queue, reports, restarts, steering, sweep, tallies
from runs.errors import InvalidInput, StateConflict
from runs.models import Run, SweepLock, Task, Worker
from runs.states import Outcome, RunState, TaskState
from tests import factories
from tests.exchange.conftest import numbers

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def fail(exchange: Call, run: Run, number: int, attempt: int) -> None:
    """Report one task failed."""
    exchange(run, reports=[
        {"task": number, "attempt": attempt, "status": "failed", "error": "E: x"}
    ])  # fmt: skip


def why(run: Run, number: int = 0) -> explain.Explanation:
    """Why a task is where it is."""
    return explain.explain(Run.objects.get(pk=run.pk), reports.find_task(run, number))


def test_errors_are_retried_until_their_budget_is_spent(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 1, error_attempts=3, backoff=0)
    for attempt in (1, 2, 3):
        assert numbers(exchange(run, want=1)) == [0]
        fail(exchange, run, 0, attempt)
    assert Task.objects.get(run=run).state == TaskState.FAILED
    assert exchange(run, want=1)["finished"] is True
    assert why(run).code == "failed"
    factories.check_books(run)


def test_a_restart_forgives_what_was_spent(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 1, error_attempts=2, backoff=0)
    for attempt in (1, 2):
        exchange(run, want=1)
        fail(exchange, run, 0, attempt)
    restarts.restart(run=run)
    exchange(run, want=1)
    fail(exchange, run, 0, 3)
    assert Task.objects.get(run=run).state == TaskState.WAITING


def test_a_task_in_backoff_waits_and_says_for_how_long(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 2, error_attempts=5, backoff=100)
    exchange(run, want=1)
    fail(exchange, run, 0, 1)
    assert numbers(exchange(run, want=2)) == [1]
    told = why(run)
    assert (told.code, told.state) == ("backoff", "waiting")
    assert 80 < (told.seconds or 0) <= 112
    Task.objects.filter(run=run, number=0).update(not_before=F("not_before") - 200)
    assert numbers(exchange(run, want=1)) == [0]
    factories.check_books(run)


def test_a_sweep_makes_due_tasks_ready_and_lowers_the_floor(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 2, error_attempts=5, backoff=100)
    exchange(run, want=1)
    fail(exchange, run, 0, 1)
    Run.objects.filter(pk=run.pk).update(claim_floor=2)
    assert sweep.sweep().woken == 0
    Task.objects.filter(run=run, number=0).update(not_before=1)
    assert sweep.sweep().woken == 1
    assert Run.objects.get(pk=run.pk).claim_floor == 0


def test_a_silent_worker_is_lost_and_its_tasks_wait_again(
    alice: User, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 10, lost_attempts=2)
    exchange(run, want=3)
    assert sweep.sweep().lost_workers == 0
    Worker.objects.update(last_seen=Now() - timedelta(seconds=41))
    swept = sweep.sweep()
    assert (swept.lost_workers, swept.lost_tasks) == (1, 3)
    assert sweep.sweep().lost_workers == 0
    assert set(run.attempts.values_list("outcome", flat=True)) == {Outcome.LOST}
    assert tallies.read(run.id).waiting == 10
    late = exchange(run, done=[[0, 1]])
    assert late["stale"] == [[run.uuid.hex, 0, 1]]
    worker.refresh_from_db()
    assert worker.gone is None  # it has spoken again
    factories.check_books(run)


def test_a_task_that_loses_its_workers_too_often_is_failed(
    alice: User, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 1, lost_attempts=2)
    for _ in range(2):
        assert numbers(exchange(run, want=1)) == [0]
        Worker.objects.update(last_seen=Now() - timedelta(seconds=41))
        sweep.sweep()
    assert Task.objects.get(run=run).state == TaskState.FAILED
    assert "worker was lost" in why(run).reason
    factories.check_books(run)


@pytest.mark.parametrize(("heartbeat", "silence"), [(1, 30), (10, 30), (20, 60)])
def test_a_worker_is_not_lost_before_three_intervals_of_silence(
    alice: User, worker: Worker, exchange: Call, heartbeat: int, silence: int
) -> None:
    Worker.objects.update(heartbeat=heartbeat)
    run = factories.run(alice, 4)
    exchange(run, want=1)
    pass_time(worker, 9)
    exchange(run, done=[[0, 1]], want=1)  # the last word
    pass_time(worker, silence - 1)
    assert sweep.sweep().lost_workers == 0
    pass_time(worker, 12)
    assert sweep.sweep().lost_workers == 1


def pass_time(worker: Worker, seconds: float) -> None:
    """Let so much time have passed since the last note of the worker."""
    known = Worker.objects.filter(pk=worker.pk)
    known.update(last_seen=F("last_seen") - timedelta(seconds=seconds))


def test_a_worker_that_promised_nothing_is_never_lost(alice: User) -> None:
    run, quiet = factories.run(alice, 3), factories.worker(alice)
    queue.claim(run=run, worker=quiet)
    Worker.objects.update(last_seen=Now() - timedelta(days=3))
    assert sweep.sweep().lost_workers == 0


def test_an_attempt_that_takes_too_long_is_ended(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 4, task_timeout=60, timeout_attempts=1)
    exchange(run, want=2)
    Task.objects.filter(run=run, number=0).update(started=Now() - timedelta(seconds=61))
    assert sweep.sweep().overdue == 1
    assert Task.objects.get(run=run, number=0).state == TaskState.FAILED
    assert Task.objects.get(run=run, number=1).state == TaskState.COMPUTING
    assert run.attempts.get().outcome == Outcome.TIMEOUT
    factories.check_books(run)


@pytest.mark.parametrize("path", ["/api/runs/{}", "/runs/{}/"])
def test_who_looks_at_a_run_whose_time_is_up_sees_it_cancelled(
    alice: User, client: Client, api: APIClient, path: str
) -> None:
    client.force_login(alice)
    look = (api if "api" in path else client).get
    over, late = (factories.run(alice, 4) for _ in range(2))
    factories.advance(over, factories.worker(alice), done=4)
    Run.objects.update(expire_at=timezone.now() - timedelta(hours=1))
    for run, events in ((over, []), (late, ["expire"])):
        for _ in range(2):
            assert look(path.format(run.uuid.hex)).status_code == 200
        assert [event.what for event in run.events.all()] == events
        factories.check_books(run)
    assert tallies.read(late.id).cancelled == 4


def test_who_looks_at_a_late_run_is_answered_whatever_becomes_of_it(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 4, expire_at=timezone.now() - timedelta(hours=1))
    for error in (OperationalError("the disk is full"), Run.DoesNotExist()):

        def fail(run_id: int, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(steering, "expire", fail)
        steering.expire_late(run)
    assert run.state == "active"


def test_a_run_that_is_over_cannot_be_cancelled_unless_it_is_open(alice: User) -> None:
    run = factories.run(alice, 1)
    factories.advance(run, factories.worker(alice), done=1)
    with pytest.raises(StateConflict, match="nothing to cancel"):
        steering.cancel(run=Run.objects.get(), who="alice")
    steering.change_policy(run=Run.objects.get(), who="alice", open=True)
    assert steering.cancel(run=Run.objects.get(), who="alice") == 0
    assert Run.objects.get().state == "cancelled"


def test_a_run_hands_out_inside_its_window_only(alice: User, exchange: Call) -> None:
    soon = timezone.now() + timedelta(hours=1)
    run = factories.run(alice, 4, start_after=soon)
    answer = exchange(run, want=1)
    assert (answer["tasks"], answer["finished"]) == ([], False)
    assert why(run).code == "not_yet"
    steering.change_policy(run=run, who="alice", start_after=None)
    assert numbers(exchange(run, want=1)) == [0]
    steering.change_policy(run=run, who="alice", expire_at=timezone.now() - timedelta(hours=1))
    assert exchange(run, want=1)["tasks"] == []
    assert sweep.sweep().expired == 1
    assert tallies.read(run.id).cancelled == 4
    assert "expire" in [event.what for event in run.events.all()]
    assert sweep.sweep().expired == 0
    factories.check_books(run)


def test_canaries_that_succeed_release_the_rest(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 100, canary_tasks=4, canary_percent=75)
    taken = numbers(exchange(run, want=50))
    taken += numbers(exchange(run, want=50))
    taken += numbers(exchange(run, want=50))
    assert taken == [0, 1, 2, 3]
    assert exchange(run, want=1)["tasks"] == []
    assert why(run, 50).code == "canary"
    exchange(run, done=[[0, 1], [1, 1]])
    assert exchange(run, want=1)["tasks"] == []
    exchange(run, done=[[2, 1]])
    assert numbers(exchange(run, want=1)) == [4]
    assert [event.what for event in run.events.all()] == ["release"]


def test_canaries_that_fail_hold_the_rest_until_somebody_resumes(
    alice: User, exchange: Call
) -> None:
    run = factories.run(alice, 100, canary_tasks=2)
    exchange(run, want=1)
    exchange(run, want=1)
    fail(exchange, run, 0, 1)
    exchange(run, done=[[1, 1]])
    assert Run.objects.get(pk=run.pk).state == RunState.PAUSED
    assert "1 of 2 canaries" in why(run, 50).reason
    steering.resume(run=Run.objects.get(pk=run.pk), who="alice")
    assert numbers(exchange(run, want=1)) == [2]


@pytest.mark.parametrize(("now", "state"), [(False, "paused"), (True, "cancelled")])
def test_too_many_failures_stop_the_run(alice: User, exchange: Call, now: bool, state: str) -> None:
    run = factories.run(alice, 10, fail_count=2, fail_now=now)
    exchange(run, want=5)
    fail(exchange, run, 0, 1)
    assert Run.objects.get(pk=run.pk).state == "active"
    fail(exchange, run, 1, 1)
    assert Run.objects.get(pk=run.pk).state == state
    assert tallies.read(run.id).cancelled == (8 if now else 0)
    assert "2 tasks failed" in run.events.latest("id").why
    factories.check_books(run)


@pytest.mark.parametrize("now", [False, True])
def test_no_task_goes_out_with_the_failure_that_stops_the_run(
    alice: User, exchange: Call, now: bool
) -> None:
    run = factories.run(alice, 10, fail_count=1, fail_now=now)
    exchange(run, want=1)
    failed = [{"task": 0, "attempt": 1, "status": "failed", "error": "E"}]
    answer = exchange(run, want=5, reports=failed)
    assert answer["tasks"] == answer["stale"] == []
    assert answer["finished"] is now
    assert tallies.read(run.id).computing == 0
    factories.check_books(run)


def test_a_share_of_failures_stops_the_run_also_through_the_documented_call(
    alice: User, api: APIClient
) -> None:
    run = factories.run(alice, 10, fail_percent=10)
    api.put(f"/api/runs/{run.uuid.hex}/tasks/3", {"status": "failed"}, format="json")
    assert Run.objects.get(pk=run.pk).state == RunState.PAUSED


def test_a_finished_run_is_not_paused_unless_it_is_open(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = factories.run(alice, 1)
    exchange(run, want=1)
    exchange(run, done=[[0, 1]])
    refused = api.post(f"/api/runs/{run.uuid.hex}/pause", {}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert "The run is finished" in refused.json()["detail"]
    assert not run.events.exists()
    assert Run.objects.get(pk=run.pk).state == "active"
    api.patch(f"/api/runs/{run.uuid.hex}/policy", {"open": True}, format="json")
    assert api.post(f"/api/runs/{run.uuid.hex}/pause", {}, format="json").status_code == 204


def test_who_paused_why_and_since_when_is_told(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 3)
    body = {"reason": "the disk is full"}
    assert api.post(f"/api/runs/{run.uuid.hex}/pause", body, format="json").status_code == 204
    told = api.get(f"/api/runs/{run.uuid.hex}/tasks/0/explain").json()
    assert told["code"] == "run_paused"
    assert "by alice: the disk is full" in told["reason"]
    assert api.post(f"/api/runs/{run.uuid.hex}/pause", {}, format="json").status_code == 409
    assert api.post(f"/api/runs/{run.uuid.hex}/resume", {}, format="json").status_code == 204
    assert api.post(f"/api/runs/{run.uuid.hex}/cancel", {}, format="json").json() == {"tasks": 3}
    events = api.get(f"/api/runs/{run.uuid.hex}/events").json()["data"]
    assert [(one["what"], one["who"], one["tasks"]) for one in events] == [
        ("cancel", "alice", 3), ("resume", "alice", None), ("pause", "alice", None)
    ]  # fmt: skip
    factories.check_books(run)


def test_a_policy_is_read_and_changed_with_a_trace(alice: User, api: APIClient) -> None:
    body = {"numTasks": 3, "errorAttempts": 4, "failPercent": 12.5, "open": True}
    uuid = api.post("/api/run", body, format="json").json()["uuid"]
    kept = api.get(f"/api/runs/{uuid}/policy").json()
    assert (kept["errorAttempts"], kept["failPercent"], kept["open"]) == (4, 12.5, True)
    change = {"errorAttempts": 2, "failPercent": None, "reason": "calmer"}
    changed = api.patch(f"/api/runs/{uuid}/policy", change, format="json").json()
    assert (changed["errorAttempts"], changed["failPercent"]) == (2, None)
    event = Run.objects.get().events.get()
    assert (event.what, event.who, event.why) == ("policy", "alice", "calmer")
    assert event.details["changed"]["error_attempts"] == ["4", "2"]


BAD = [
    {"errorAttempts": 0}, {"errorAttempts": "3"}, {"backoff": -1}, {"taskTimeout": 0},
    {"open": 1}, {"startAfter": "tomorrow"}, {"failPercent": 101}, {"heartbeat": None},
    {"canaryTasks": 0}, {"priority": 5000}, {"attempts": 3},
    {"expireAt": "9999-12-31T23:59:59-12:00"}, {"expireAt": "9999-01-01T00:00:00Z"},
    {"startAfter": "0001-01-01T00:00:00+14:00"}, {"startAfter": "0001-12-31T23:59:59Z"},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_a_policy_that_makes_no_sense_is_refused(
    alice: User, api: APIClient, body: dict[str, Any]
) -> None:
    run = factories.run(alice, 3)
    response = api.patch(f"/api/runs/{run.uuid.hex}/policy", body, format="json")
    assert response.status_code == 400, response.content
    created = api.post("/api/run", {"numTasks": 1, **body}, format="json")
    assert created.status_code == 400
    assert Run.objects.count() == 1
    assert not run.events.exists()


def test_operations_refuse_what_the_api_would(alice: User) -> None:
    with pytest.raises(InvalidInput, match="errorAttempts"):
        lifecycle.create_run(owner=alice, num_tasks=1, error_attempts=0)
    run = factories.run(alice, 1)
    with pytest.raises(InvalidInput, match="expireAt: Must lie in the years 2 to 9998"):
        steering.change_policy(run=run, who="alice", expire_at=conditions.LATEST)
    with pytest.raises(InvalidInput, match="no policy option"):
        steering.change_policy(run=run, who="alice", owner=3)
    with pytest.raises(StateConflict, match="nothing to resume"):
        steering.resume(run=run, who="alice")


def test_two_sweepers_at_once_requeue_once(alice: User, worker: Worker, exchange: Call) -> None:
    from tests.runs.threads import start

    run = factories.run(alice, 10)
    exchange(run, want=3)
    Worker.objects.update(last_seen=Now() - timedelta(seconds=41))
    sweepers = [start(sweep.sweep) for _ in range(2)]
    swept = [one.result(timeout=60) for one in sweepers]
    assert sum(one.lost_tasks for one in swept) == 3
    assert run.attempts.count() == 3
    factories.check_books(run)


@pytest.mark.parametrize("field", ["start_after", "expire_at"])
@pytest.mark.parametrize("moment", [conditions.EARLIEST - timedelta(seconds=1), conditions.LATEST])
def test_the_database_keeps_no_window_that_could_not_be_read_back(
    alice: User, field: str, moment: datetime
) -> None:
    run = factories.run(alice, 1)
    with pytest.raises(IntegrityError, match="run_window"):
        Run.objects.filter(pk=run.pk).update(**{field: moment})


# In a transaction that is taken back, with all that it does to the table.
@pytest.mark.django_db
def test_a_run_that_cannot_be_read_keeps_no_other_from_the_sweep(
    alice: User, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = "0500-13-45 00:00:00"  # SQLite takes any text
    if connection.vendor == "postgresql":
        unreadable = "0044-03-15 12:00:00+00 BC"
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE runs_run DROP CONSTRAINT run_window")
    bad, late, cancelled, good = (factories.run(alice, 3) for _ in range(4))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_run SET expire_at = %s WHERE id = %s", [unreadable, bad.id])
    with pytest.raises(ValueError):
        bad.refresh_from_db()
    Run.objects.filter(pk=late.pk).update(expire_at=Now() - timedelta(hours=1))
    Run.objects.filter(pk=cancelled.pk).update(state=RunState.CANCELLED, unfinished=True)
    hour_ago = Now() - timedelta(hours=1)
    SweepLock.objects.update_or_create(pk=1, defaults={"began": hour_ago, "resumed": hour_ago})
    monkeypatch.setattr(sweep, "_next", 0.0)
    assert numbers(exchange(good, want=1)) == [0], "whoever's turn it is to sweep notices nothing"
    assert [tallies.read(run.id).cancelled for run in (late, cancelled, bad)] == [3, 3, 0]
    swept = sweep.sweep()
    assert (swept.failed, swept.expired) == (1, 0)
