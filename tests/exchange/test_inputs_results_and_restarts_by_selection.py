"""Inputs, results, failures by their error, restarts of a selection, and their undo."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from rest_framework.test import APIClient

from runs import failures, inputs, pieces, queue, restarts, steering, tallies
from runs.attempts import essence, fingerprint
from runs.models import Run, RunEvent, TaskInput, Worker
from runs.selection import Selection
from runs.states import Outcome, TaskState
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def test_inputs_are_handed_out_with_their_tasks(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = factories.run(alice, 0)
    values = ["a.nc", {"text": "ä\x00"}, None, [1, 2.5]]
    body = json.dumps({"inputs": values[:2]})
    address = f"/api/runs/{run.uuid.hex}/tasks"
    first = api.post(address, body, content_type="application/json")
    assert first.json() == {"first": 0, "tasks": 2}
    more = api.post(f"/api/runs/{run.uuid.hex}/tasks", {"inputs": values[2:]}, format="json")
    assert more.json() == {"first": 2, "tasks": 2}
    handed: list[dict[str, Any]] = []
    while len(handed) < 4:
        handed += exchange(run, want=4)["tasks"]
    assert [one["input"] for one in handed] == values
    assert Run.objects.get(pk=run.pk).num_tasks == 4
    factories.check_books(Run.objects.get(pk=run.pk))


def test_a_closed_run_takes_tasks_until_it_starts_an_open_one_always(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = factories.run(alice, 1)
    assert api.post(f"/api/runs/{run.uuid.hex}/tasks", {"numTasks": 2}, format="json").json() == {
        "first": 1, "tasks": 2
    }  # fmt: skip
    exchange(run, want=1)
    late = api.post(f"/api/runs/{run.uuid.hex}/tasks", {"numTasks": 2}, format="json")
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    api.patch(f"/api/runs/{run.uuid.hex}/policy", {"open": True}, format="json")
    late = api.post(f"/api/runs/{run.uuid.hex}/tasks", {"numTasks": 2}, format="json")
    assert late.json() == {"first": 3, "tasks": 2}


def test_an_open_run_is_not_over_when_it_is_empty(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 1, open=True)
    exchange(run, want=1)
    answer = exchange(run, done=[[0, 1]], want=1)
    assert answer["finished"] is False
    assert answer["retryAfter"] > 0


def test_an_input_that_is_too_large_is_refused_with_its_number(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 3)
    body = {"inputs": ["small", "x" * (inputs.MOST + 1)]}
    response = api.post(f"/api/runs/{run.uuid.hex}/tasks", body, format="json")
    assert response.status_code == 413
    assert "input of task 4" in response.json()["detail"]
    assert Run.objects.get(pk=run.pk).num_tasks == 3
    assert not TaskInput.objects.exists()


def finish_some(alice: User, exchange: Call) -> Run:
    """A run of ten with four done with outputs, three failed in two ways on two hosts."""
    run = factories.run(alice, 20)
    exchange(run, want=7)
    told = [
        {"task": number, "attempt": 1, "status": "done", "output": {"n": number}}
        for number in range(4)
    ]
    errors = ["KeyError: 'a'", "KeyError: 'bb'", "Traceback…\nOSError: [Errno 28] /tmp/x/17"]
    told += [
        {"task": 4 + index, "attempt": 1, "status": "failed", "error": error, "exitCode": 1}
        for index, error in enumerate(errors)
    ]
    exchange(run, reports=told)
    return run


def test_results_and_failures_are_streamed(alice: User, api: APIClient, exchange: Call) -> None:
    run = finish_some(alice, exchange)
    lines = b"".join(api.get(f"/api/runs/{run.uuid.hex}/results")).decode().splitlines()
    assert [json.loads(line)["output"] for line in lines] == [{"n": n} for n in range(4)]
    text = b"".join(api.get(f"/api/runs/{run.uuid.hex}/results?as=csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [json.loads(row["output"]) for row in rows] == [{"n": n} for n in range(4)]
    lines = b"".join(api.get(f"/api/runs/{run.uuid.hex}/failures")).decode().splitlines()
    assert [json.loads(line)["task"] for line in lines] == [4, 5, 6]
    assert api.get(f"/api/runs/{run.uuid.hex}/results?as=xml").status_code == 404


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_table_is_a_formula(
    alice: User, api: APIClient, exchange: Call, start: str
) -> None:
    text, run = f"{start}HYPERLINK(1)", factories.run(alice, 20)
    exchange(run, want=20)
    told: list[dict[str, Any]] = [
        {"task": number, "attempt": 1, "status": "done", "output": output}
        for number, output in enumerate([text, -1.5, {"=": text}, f" {text}"])
    ]
    told.append({"task": 4, "attempt": 1, "status": "failed", "error": text, "log": text})
    exchange(run, reports=told)

    def table(name: str) -> list[dict[str, str]]:
        data = b"".join(api.get(f"/api/runs/{run.uuid.hex}/{name}?as=csv")).decode()
        return list(csv.DictReader(io.StringIO(data, newline="")))

    outputs = [row["output"] for row in table("results")]
    assert outputs == ["'" + text, "-1.5", json.dumps({"=": text}), f" {text}"]
    (failure,) = table("failures")
    assert (failure["error"], failure["log"]) == ("'" + text, "'" + text)
    lines = b"".join(api.get(f"/api/runs/{run.uuid.hex}/results")).decode().splitlines()
    assert json.loads(lines[0])["output"] == text


def test_failures_are_grouped_by_their_error(alice: User, api: APIClient, exchange: Call) -> None:
    run = finish_some(alice, exchange)
    groups = api.get(f"/api/runs/{run.uuid.hex}/failures/groups").json()["data"]
    assert [(one["count"], one["essence"]) for one in groups] == [
        (2, "KeyError: '…'"), (1, "OSError: [Errno #] …")
    ]  # fmt: skip
    assert groups[0]["hosts"] == {"n001": 2}
    body = {"fingerprint": groups[0]["fingerprint"]}
    answer = api.post(f"/api/runs/{run.uuid.hex}/restart", body, format="json")
    assert answer.json() == {"tasks": 2}
    assert tallies.read(run.id).failed == 1


@pytest.mark.parametrize("errors", [1, 9])
def test_groups_cost_three_queries_however_many_there_are(
    alice: User, errors: int, django_assert_num_queries: Any
) -> None:
    run, kinds = factories.run(alice, 40), "abcdefghi"
    for host in ("n1", "n2"):
        claims = queue.claim(run=run, worker=factories.worker(alice, hostname=host), want=errors)
        for place, claim in enumerate(claims):
            error = f"{kinds[place]}Error"
            queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error=error)
    with django_assert_num_queries(3):
        found = failures.groups(run.id)
    assert sorted(one.essence for one in found) == [f"{kind}Error" for kind in kinds[:errors]]
    for one in found:
        assert (one.count, one.hosts, one.error) == (2, {"n1": 1, "n2": 1}, one.essence)
        assert one.task >= errors  # the latest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: 17 is not 18", "ValueError: 3 is not 4.5"),
        ("x\n  File '/a/b.py', line 3\nKeyError: 'k'", "KeyError: 'other'"),
        ("OSError: /scratch/n01/a.nc", "OSError: /scratch/n02/b.nc"),
    ],
)
def test_the_same_error_has_the_same_fingerprint(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint("TypeError: no")
    assert essence(None) == "no message"


def test_exit_codes_tell_errors_apart_and_other_numbers_do_not() -> None:
    assert [essence(f"$ model 7\nexit code {code}") for code in (3, 13, -9)] == [
        "exit code 3", "exit code 13", "exit code -9"
    ]  # fmt: skip
    assert fingerprint("exit code 3") != fingerprint("exit code 4")
    assert essence("worker 1234 died (exit code 137) after 15.5 s") == (
        "worker # died (exit code 137) after # s"
    )
    assert essence("at 0x7f12: line 12: exit status 3") == "at #: line #: exit status #"


def test_attempts_are_listed_with_their_ends(alice: User, api: APIClient, exchange: Call) -> None:
    run = finish_some(alice, exchange)
    listed = api.get(f"/api/runs/{run.uuid.hex}/attempts?limit=5").json()["data"]
    assert [one["outcome"] for one in listed] == ["done"] * 4 + ["failed"]
    rest = api.get(f"/api/runs/{run.uuid.hex}/attempts?after=4").json()["data"]
    assert [one["task"] for one in rest] == [5, 6]


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"tasks": "0-1,5"}, 1),
        ({"tasks": "0-1,5", "status": ["done", "failed"]}, 3),
        ({"status": ["done"]}, 4),
        ({"host": "n001"}, 3),
        ({"host": "n002"}, 0),
        ({"olderThan": 3600}, 0),
        ({"olderThan": 0}, 3),
    ],
)
def test_a_restart_takes_a_selection(
    alice: User, api: APIClient, exchange: Call, body: dict[str, Any], count: int
) -> None:
    run = finish_some(alice, exchange)
    answer = api.post(f"/api/runs/{run.uuid.hex}/restart", body, format="json")
    assert (answer.status_code, answer.json()) == (200, {"tasks": count})
    factories.check_books(run)


@pytest.mark.parametrize(
    "body",
    [
        {"tasks": "a-b"},
        {"tasks": "9-3"},
        {"status": ["lost"]},
        {"number": 3},
        {"host": 1},
        {"tasks": "0-99,200"},
        {"tasks": "0-20"},
        {"tasks": "0-19,20"},
        {"tasks": "0,20"},
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(
    alice: User, api: APIClient, exchange: Call, body: dict[str, Any]
) -> None:
    run = finish_some(alice, exchange)
    response = api.post(f"/api/runs/{run.uuid.hex}/restart", body, format="json")
    assert response.status_code == 400
    assert tallies.read(run.id).failed == 3
    assert not run.events.exists()


def test_numbers_beyond_the_end_of_a_run_are_refused_with_its_size(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = finish_some(alice, exchange)
    call = partial(api.post, f"/api/runs/{run.uuid.hex}/restart", format="json")
    refused = call({"tasks": "0-1,20"}).json()
    assert refused["errors"]["tasks"] == ["There is no task 20: the run has 20 tasks, 0-19."]
    assert call({"tasks": "0-19"}).json() == {"tasks": 3}


def test_a_selection_without_tasks_does_not_revive_a_cancelled_run(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = finish_some(alice, exchange)
    steering.cancel_by_policy(run, why="too much fails", pieces=0)  # the sweep is to call off more
    call = partial(api.post, f"/api/runs/{run.uuid.hex}/restart", format="json")
    assert call({"host": "nowhere"}).json() == {"tasks": 0}
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert call({"status": ["failed"]}).json() == {"tasks": 3}
    run.refresh_from_db()
    assert run.state == "active"
    factories.check_books(run)


def test_a_restart_sets_nothing_else_free_of_a_run_that_is_still_called_off(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = finish_some(alice, exchange)
    steering.cancel_by_policy(run, why="too much fails", pieces=0)  # the sweep is to call off more
    first, *others = run.tasks.filter(state=TaskState.WAITING).values_list("number", flat=True)
    answer = api.post(f"/api/runs/{run.uuid.hex}/restart", {"tasks": str(first)}, format="json")
    assert answer.json() == {"tasks": 1}
    run.refresh_from_db()
    assert run.state == "active"
    assert tallies.read(run.id).waiting == 1
    restart, cancel = api.get(f"/api/runs/{run.uuid.hex}/events").json()["data"]
    assert (restart["what"], restart["tasks"]) == ("restart", 1)
    assert (cancel["what"], cancel["tasks"]) == ("cancel", 1 + len(others))
    factories.check_books(run)


def test_a_restart_ends_where_somebody_cancels_the_run(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 2)
    run = factories.advance(factories.run(alice, 9), factories.worker(alice), failed=6)

    def halfway(some: Any, *, total: int) -> Any:
        for number, piece in enumerate(some):
            if number == 1:
                steering.cancel(run=Run.objects.get(pk=run.pk), who="bob")
            yield piece

    restarts.restart(run=run, selection=Selection(numbers=((0, 8),)), by="alice", watch=halfway)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not run.tasks.filter(state=TaskState.WAITING).exists()
    factories.check_books(run)


def test_a_restart_can_be_undone_where_nothing_has_moved(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = finish_some(alice, exchange)
    before = dict(run.tasks.values_list("number", "state"))
    answer = api.post(
        f"/api/runs/{run.uuid.hex}/restart?all=True", {"reason": "oops"}, format="json"
    )
    assert answer.json() == {"tasks": 7}
    taken = queue.claim(run=Run.objects.get(pk=run.pk), worker=Worker.objects.get(), want=1)
    event = api.get(f"/api/runs/{run.uuid.hex}/events").json()["data"][0]
    undone = api.post(f"/api/runs/{run.uuid.hex}/events/{event['id']}/undo")
    assert undone.json() == {"tasks": 6}
    after = dict(run.tasks.values_list("number", "state"))
    moved = taken[0].number
    assert {n: s for n, s in after.items() if n != moved} == {
        n: s for n, s in before.items() if n != moved
    }
    again = api.post(f"/api/runs/{run.uuid.hex}/events/{event['id']}/undo")
    assert again.status_code == 409
    factories.check_books(run)


def test_an_undo_comes_too_late_after_ten_minutes(alice: User, exchange: Call) -> None:
    from runs.errors import StateConflict

    run = finish_some(alice, exchange)
    restarts.restart(run=run, by="alice")
    RunEvent.objects.update(at=Now() - timedelta(minutes=11))
    with pytest.raises(StateConflict, match="ten minutes"):
        restarts.undo(run=run, event=RunEvent.objects.get(), by="alice")
    assert run.tasks.filter(state=TaskState.WAITING).count() == 16
    assert not run.attempts.filter(outcome=Outcome.CANCELLED).exists()
