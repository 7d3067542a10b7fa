"""The exchange: reports in, tasks out, repetition accepted, anything stale refused and counted."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import verdicts
from runs import exchange as exchanges
from runs import lifecycle, pace, queue, restarts, steering, tallies, workers
from runs.models import Attempt, Run, Task, Worker
from runs.states import Outcome, RunState, TaskState
from tests import factories
from tests.api.shape import assert_refused
from tests.exchange.conftest import numbers

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def test_a_worker_lives_on_exchanges_alone(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 7)
    done: list[list[int]] = []
    finished: list[int] = []
    while True:
        answer = exchange(run, want=3, done=done)
        finished += numbers(answer)
        if answer["finished"]:
            break
        done = [[one["task"], one["attempt"]] for one in answer["tasks"]]
    assert sorted(finished) == list(range(7))
    assert tallies.read(run.id).done == 7
    assert sum(run.throughput.values_list("done", flat=True)) == 7
    factories.check_books(run)


def test_every_kind_of_report_finds_its_place(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=20)
    told = [
        {"task": 0, "attempt": 1, "percentCompleted": 40},
        {"task": 1, "attempt": 1, "status": "done", "output": {"mean": [0.5, None]}},
        {"task": 2, "attempt": 1, "status": "failed", "error": "ValueError: no 7", "exitCode": 3,
         "log": "last words\x00"},
        {"task": 3, "attempt": 1, "status": "released"},
    ]  # fmt: skip
    answer = exchange(run, reports=told, done=[[4, 1]])
    assert answer["stale"] == answer["drop"] == []
    states = dict(run.tasks.values_list("number", "state"))
    assert [states[number] for number in range(5)] == [
        TaskState.COMPUTING, TaskState.DONE, TaskState.FAILED, TaskState.WAITING, TaskState.DONE
    ]  # fmt: skip
    assert Task.objects.get(run=run, number=0).percent == 40
    good = run.attempts.get(number=1)
    assert (good.outcome, good.output) == (Outcome.DONE, '{"mean":[0.5,null]}')
    bad = run.attempts.get(number=2)
    assert (bad.outcome, bad.exit_code, bad.error) == (Outcome.FAILED, 3, "ValueError: no 7")
    assert bad.log_tail == "last words�"
    assert bad.fingerprint is not None
    factories.check_books(run)


def test_a_repeated_exchange_is_accepted_and_counts_once(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=2)
    for _ in range(3):
        answer = exchange(run, done=[[0, 1], [1, 1]])
        assert answer["stale"] == []
    assert run.attempts.count() == 2
    assert tallies.read(run.id).stale == 0
    assert sum(run.throughput.values_list("done", flat=True)) == 2
    factories.check_books(run)


def test_a_report_twice_in_one_exchange_counts_once(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    assert exchange(run, done=[[0, 1], [0, 1]])["stale"] == []
    assert run.attempts.count() == 1
    factories.check_books(run)


def test_a_report_of_an_attempt_that_is_over_is_stale(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    restarts.restart(run=run)
    exchange(run, by=factories.worker(alice), want=1)
    answer = exchange(run, reports=[{"task": 0, "attempt": 1, "status": "done"}])
    assert answer["stale"] == [[run.uuid.hex, 0, 1]]
    assert Task.objects.get(run=run, number=0).state == TaskState.COMPUTING
    assert tallies.read(run.id).stale == 1
    factories.check_books(run)


def test_a_report_of_somebody_elses_task_is_stale(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    answer = exchange(run, by=factories.worker(alice), done=[[0, 1]])
    assert answer["stale"] == [[run.uuid.hex, 0, 1]]
    factories.check_books(run)


def test_an_answer_that_was_lost_is_handed_out_again(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    lost = exchange(run, want=2)
    again = exchange(run, want=0, holding=[])
    assert again["tasks"] == lost["tasks"]
    kept = exchange(run, want=0, holding=[[0, 1], [1, 1]])
    assert kept["tasks"] == kept["drop"] == []
    assert Task.objects.filter(run=run, attempt__gt=1).count() == 0


def test_a_task_that_was_restarted_or_cancelled_is_to_be_dropped(
    alice: User, exchange: Call
) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=2)
    lifecycle.requeue_one(run=run, number=0)
    assert exchange(run, holding=[[0, 1], [1, 1]])["drop"] == [[run.uuid.hex, 0, 1]]
    steering.cancel(run=run, who="alice", why="wrong input")
    assert exchange(run, holding=[[1, 1]])["drop"] == [[run.uuid.hex, 1, 1]]


def test_a_deleted_run_is_dropped_whole(
    alice: User, api: APIClient, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    lifecycle.delete_run(run=run)
    body = {"done": {run.uuid.hex: [[0, 1]]}, "holding": {run.uuid.hex: [[0, 1]]}}
    response = api.post(f"/api/worker/{worker.uuid.hex}/exchange", body, format="json")
    assert response.status_code == 200
    assert [run.uuid.hex, 0, 1] in response.json()["drop"]


def test_who_holds_very_many_tasks_is_told_to_drop_none_of_its_own(
    alice: User, worker: Worker, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_LOST", 10)
    run = factories.run(alice, 100)
    held = [[one.number, one.attempt] for one in queue.claim(run=run, worker=worker, want=60)]
    kept = exchange(run, holding=held)
    assert kept["drop"] == kept["tasks"] == []
    restarts.restart(run=run)
    assert len(exchange(run, holding=held)["drop"]) == 60


def test_very_many_tasks_that_were_lost_are_handed_out_again_bit_by_bit(
    alice: User, worker: Worker, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_LOST", 10)
    run = factories.run(alice, 100)
    lost = [[one.number, one.attempt] for one in queue.claim(run=run, worker=worker, want=35)]
    holding = [*lost[-3:], [99, 7]]  # and one that is not its own
    sizes = []
    while len(holding) < 35:
        answer = exchange(run, holding=holding)
        assert answer["drop"] in ([], [[run.uuid.hex, 99, 7]])
        sizes.append(len(answer["tasks"]))
        holding += [[one["task"], one["attempt"]] for one in answer["tasks"]]
    assert max(sizes) <= 14
    assert exchange(run, holding=holding)["drop"] == [[run.uuid.hex, 99, 7]]
    assert sorted(holding) == sorted([*lost, [99, 7]])


def test_who_left_the_group_of_a_run_gets_none_of_its_tasks_again(
    alice: User, carol: User, caller: Callable[[User], APIClient]
) -> None:
    run = factories.run(alice, 10, group=carol.groups.get())
    hers = factories.worker(carol)
    client, path = caller(carol), f"/api/worker/{hers.uuid.hex}/exchange"
    body = {"want": 1, "runs": [run.uuid.hex], "holding": {}}
    assert numbers(client.post(path, body, format="json").json()) == [0]
    assert numbers(client.post(path, {"holding": {}}, format="json").json()) == [0]
    carol.groups.clear()
    verdicts.forget_all()
    assert numbers(client.post(path, {"holding": {}}, format="json").json()) == []
    held = {"holding": {run.uuid.hex: [[0, 1]]}}
    assert client.post(path, held, format="json").json()["drop"] == [[run.uuid.hex, 0, 1]]
    # Nobody else would give it up while she shows that she lives.
    assert Task.objects.get(run=run, number=0).state == TaskState.WAITING
    assert run.attempts.get().outcome == Outcome.RELEASED
    factories.check_books(run)


def test_a_deleted_run_is_no_reason_to_refuse_the_reports_on_another(
    alice: User, api: APIClient, worker: Worker, exchange: Call
) -> None:
    kept, deleted = factories.run(alice, 20), factories.run(alice, 20)
    a, b = kept.uuid.hex, deleted.uuid.hex
    exchange(kept, want=2)
    exchange(deleted, want=1)
    lifecycle.delete_run(run=deleted)
    path = f"/api/worker/{worker.uuid.hex}/exchange"
    body = {"want": 1, "runs": [a, b], "done": {a: [[0, 1]], b: [[0, 1]]}}
    answer = api.post(path, body, format="json").json()
    assert (answer["gone"], answer["drop"], numbers(answer)) == ([b], [[b, 0, 1]], [2])
    answer = api.post(path, {"runs": [b], "done": {a: [[1, 1]]}}, format="json").json()
    assert answer["gone"] == [b]
    assert tallies.read(kept.id).done == 2
    assert exchange(kept, done=[[1, 1]])["gone"] == []
    lost = api.post(path, {"want": 1, "runs": [b], "done": {b: [[0, 1]]}}, format="json")
    assert (lost.status_code, lost.json()["code"]) == (404, "run_not_found")
    factories.check_books(kept)


def test_the_tail_of_a_run_is_shared_out(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 100)
    sizes = []
    for _ in range(4):
        sizes.append(len(exchange(run, by=factories.worker(alice), want=1000)["tasks"]))
    assert sizes[0] == 50
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 15


def test_who_gets_nothing_is_told_when_to_come_again(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 1)
    exchange(run, want=1)
    other = factories.worker(alice)
    waiting = exchange(run, by=other, want=1)
    assert (waiting["finished"], waiting["tasks"]) == (False, [])
    assert waiting["retryAfter"] > 0
    exchange(run, done=[[0, 1]])
    over = exchange(run, by=other, want=1)
    assert (over["finished"], over["retryAfter"]) == (True, None)


def test_several_runs_are_served_by_priority(alice: User, api: APIClient, worker: Worker) -> None:
    low = factories.run(alice, 10, namespace="ice")
    high = factories.run(alice, 10, namespace="ice", priority=5)
    factories.run(alice, 10, namespace="sea", priority=9)
    body = {"namespace": "ice", "want": 1}
    response = api.post(f"/api/worker/{worker.uuid.hex}/exchange", body, format="json")
    assert [one["run"] for one in response.json()["tasks"]] == [high.uuid.hex]
    body = {"runs": [low.uuid.hex, high.uuid.hex], "want": 8}
    response = api.post(f"/api/worker/{worker.uuid.hex}/exchange", body, format="json")
    runs = [one["run"] for one in response.json()["tasks"]]
    assert runs[0] == high.uuid.hex
    assert low.uuid.hex in runs


@pytest.fixture
def serve(api: APIClient, worker: Worker) -> Call:
    """One exchange of the worker with the namespace "ice"."""

    def call(**body: Any) -> dict[str, Any]:
        path = f"/api/worker/{worker.uuid.hex}/exchange"
        return dict(api.post(path, {"namespace": "ice", "want": 1, **body}, format="json").json())

    return call


@pytest.mark.parametrize("others", ["finished", "early", "paused", "cancelled", "computing"])
def test_no_number_of_other_runs_in_a_namespace_hides_one_with_tasks(
    alice: User, serve: Call, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setattr(exchanges, "MOST_RUNS", 5)
    for _ in range(6):
        run = factories.run(alice, 1, namespace="ice", priority=9)
        if others in ("finished", "computing"):
            factories.advance(run, factories.worker(alice), **{DOES[others]: 1})
    if others in FIELDS:
        Run.objects.update(**FIELDS[others])
    ready = factories.run(alice, 3, namespace="ice")
    factories.run(alice, 1, namespace="ice", priority=-1)
    assert [one["run"] for one in serve()["tasks"]] == [ready.uuid.hex]


DOES = {"finished": "done", "computing": "computing"}
FIELDS: dict[str, dict[str, Any]] = {
    "early": {"start_after": datetime(2100, 1, 1, tzinfo=UTC)},
    "paused": {"state": RunState.PAUSED},
    "cancelled": {"state": RunState.CANCELLED},
}


@pytest.mark.parametrize("others", ["early", "paused"])
def test_a_namespace_whose_runs_are_held_is_not_finished(
    alice: User, serve: Call, others: str
) -> None:
    run = factories.run(alice, 2, namespace="ice")
    Run.objects.update(**FIELDS[others])
    answer = serve()
    assert (answer["tasks"], answer["finished"], answer["retryAfter"]) == ([], False, pace.LATER)
    steering.cancel(run=Run.objects.get(pk=run.pk), who="alice", why="")
    assert serve()["finished"] is True


def test_a_namespace_is_finished_when_all_of_its_runs_are_over(alice: User, serve: Call) -> None:
    assert serve()["finished"] is True, "there is none"
    run = factories.run(alice, 1, namespace="ice")
    assert numbers(serve()) == [0]
    answer = serve()
    assert (answer["finished"], answer["retryAfter"]) == (False, pace.SOON)
    assert serve(done={run.uuid.hex: [[0, 1]]})["finished"] is True
    factories.run(alice, 0, namespace="ice", open=True)
    assert serve()["finished"] is False, "there may be more"


def test_the_documented_calls_work_beside_it(
    alice: User, api: APIClient, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    claimed = api.post(
        f"/api/runs/{run.uuid.hex}/task", {"worker_uuid": worker.uuid.hex}, format="json"
    )
    assert claimed.json()["task"] == 1
    api.put(f"/api/runs/{run.uuid.hex}/tasks/0", {"status": "done"}, format="json")
    answer = exchange(run, done=[[0, 1], [1, 1]])
    assert answer["stale"] == []
    assert tallies.read(run.id).done == 2
    factories.check_books(run)


DEEP: list[Any] = []
for _ in range(400):
    DEEP = [DEEP]
BAD: list[dict[str, Any]] = [
    {"want": -1}, {"want": "1"}, {"want": 10**9}, {"wish": 1}, {"runs": "x"}, {"runs": [1, {}]},
    {"reports": []}, {"reports": {"R": 3}}, {"reports": {"R": [3]}},
    {"reports": {"R": [{"task": 0}]}}, {"reports": {"R": [{"task": 0, "attempt": 1}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "percentCompleted": 101}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": "lost"}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": "done", "exitCode": "0"}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": "failed", "error": 5}]}},
    {"done": {"R": [[0]]}}, {"done": {"R": [[0, True]]}}, {"holding": {"R": [["0", 1]]}},
    {"timeLeft": "1 h"}, {"namespace": 3},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": []}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": {}}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "status": "\ud800"}]}},
    {"reports": {"R": [{"task": 0, "attempt": 1, "\ud800": 1}]}}, {"\ud800": 1}, {"x\x00": 1},
    {"timeLeft": 10**400}, {"namespace": "a\x00"}, {"namespace": "\ud800"},
    {"namespace": 100 * "x" + "\ud800"}, {"runs": ["\ud800"]}, {"runs": [DEEP]}, {"want": DEEP},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    alice: User, api: APIClient, worker: Worker, exchange: Call, body: dict[str, Any]
) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=1)
    sent = {
        name: {run.uuid.hex: value["R"]} if isinstance(value, dict) else value
        for name, value in body.items()
    }
    response = api.post(
        f"/api/worker/{worker.uuid.hex}/exchange", json.dumps(sent), content_type="application/json"
    )
    assert response.status_code in (400, 404), response.content
    assert set(response.json()) >= {"detail", "code"}
    assert tallies.read(run.id).computing == 1
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    "names", [("reports",), ("done",), ("holding",), ("runs",), ("reports", "done", "holding")]
)
def test_an_exchange_over_more_than_a_hundred_runs_is_refused(
    api: APIClient, worker: Worker, names: tuple[str, ...]
) -> None:
    uuids = [uuid4().hex for _ in range(101)]
    share = [uuids[index :: len(names)] for index in range(len(names))]
    body: dict[str, Any] = {name: {key: [] for key in share[i]} for i, name in enumerate(names)}
    if names == ("runs",):
        body = {"runs": uuids}
    address = f"/api/worker/{worker.uuid.hex}/exchange"
    with CaptureQueriesContext(connection) as context:
        response = api.post(address, body, format="json")
    assert_refused(response, 400, "invalid")
    assert "100 runs at most, not 101" in response.json()["detail"]
    assert len(context) < 20, "no run was looked at"


def test_an_exchange_over_a_hundred_runs_is_taken(api: APIClient, worker: Worker) -> None:
    body = {"holding": {uuid4().hex: [[0, 1]] for _ in range(100)}}
    response = api.post(f"/api/worker/{worker.uuid.hex}/exchange", body, format="json")
    assert (response.status_code, len(response.json()["drop"])) == (200, 100)


def test_an_output_that_is_too_large_is_refused_with_advice(
    alice: User, api: APIClient, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 2)
    exchange(run, want=1)
    told = {"task": 0, "attempt": 1, "status": "done", "output": "x" * 300_000}
    response = api.post(
        f"/api/worker/{worker.uuid.hex}/exchange",
        {"reports": {run.uuid.hex: [told]}},
        format="json",
    )
    assert response.status_code == 413
    assert "file" in response.json()["detail"]
    assert Task.objects.get(run=run, number=0).state == TaskState.COMPUTING


def test_another_users_worker_and_run_are_not_there(
    alice: User, bob: User, worker: Worker, caller: Callable[[User], APIClient]
) -> None:
    run = factories.run(alice, 2)
    client = caller(bob)
    response = client.post(f"/api/worker/{worker.uuid.hex}/exchange", {"want": 1}, format="json")
    assert response.status_code == 404
    mine = factories.worker(bob)
    body = {"want": 1, "runs": [run.uuid.hex]}
    response = client.post(f"/api/worker/{mine.uuid.hex}/exchange", body, format="json")
    assert response.status_code == 404


def test_a_worker_that_signs_off_leaves_its_tasks_to_others(
    alice: User, api: APIClient, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 10)
    assert len(exchange(run, want=4)["tasks"]) == 4
    assert api.delete(f"/api/worker/{worker.uuid.hex}").status_code == 204
    assert tallies.read(run.id).waiting == 10
    assert set(run.attempts.values_list("outcome", flat=True)) == {Outcome.RELEASED}
    assert len(queue.claim(run=Run.objects.get(pk=run.pk), worker=worker, want=99)) == 10
    factories.check_books(run)


def test_a_worker_whose_time_no_task_fits_into_has_nothing_to_wait_for(
    alice: User, exchange: Call
) -> None:
    run = factories.run(alice, 10)
    exchange(run, want=1)
    Task.objects.filter(run=run, number=0).update(started=Now() - timedelta(minutes=10))
    exchange(run, done=[[0, 1]])
    answer = exchange(run, want=1, timeLeft=60)
    assert (numbers(answer), answer["finished"], answer["retryAfter"]) == ([], True, None)
    assert numbers(exchange(run, want=1, timeLeft=3600)) == [1]
