"""Adding tasks: all or none, once however often it is repeated, or as a stream of any length."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs import appending, inputs
from runs.errors import StateConflict
from runs.models import Run, RunEvent, TaskInput
from tests import factories
from tests.api.shape import assert_refused

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def address(run: Run) -> str:
    """Where tasks are added."""
    return f"/api/runs/{run.uuid.hex}/tasks"


def stream(api: APIClient, run: Run, lines: bytes) -> Any:
    """Send NDJSON."""
    return api.post(address(run), lines, content_type="application/x-ndjson")


def kept(run: Run) -> dict[int, Any]:
    """The inputs that the run has."""
    found = TaskInput.objects.filter(run=run).values_list("number", "value")
    return {number: json.loads(value) for number, value in found}


def test_an_append_with_a_key_is_done_once(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 1, open=True)
    body = {"inputs": ["a", "b"], "key": "k1"}
    answers = [api.post(address(run), body, format="json").json() for _ in range(2)]
    assert answers == [{"first": 1, "tasks": 2}] * 2
    other = api.post(address(run), {**body, "key": "k2"}, format="json")
    assert other.json() == {"first": 3, "tasks": 2}
    assert api.post(address(run), body, format="json").json() == {"first": 1, "tasks": 2}
    assert kept(run) == {1: "a", 2: "b", 3: "a", 4: "b"}
    factories.check_books(Run.objects.get(pk=run.pk))


def test_a_key_is_remembered_whatever_else_happens_to_the_run(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 1, open=True)
    body = {"inputs": ["a", "b"], "key": "k1"}
    first = api.post(address(run), body, format="json").json()
    for number in range(2 * appending.KEYS):
        verb = "resume" if number % 2 else "pause"
        assert api.post(f"/api/runs/{run.uuid.hex}/{verb}").status_code == 204
    assert api.post(address(run), body, format="json").json() == first
    assert kept(run) == {1: "a", 2: "b"}


@pytest.mark.parametrize("other", [{"inputs": ["a", "c"]}, {"inputs": ["a"]}, {"numTasks": 2}])
def test_a_key_that_comes_with_other_tasks_is_refused(
    alice: User, api: APIClient, other: dict[str, Any]
) -> None:
    run = factories.run(alice, 1, open=True)
    api.post(address(run), {"inputs": ["a", "b"], "key": "k1"}, format="json")
    response = api.post(address(run), {**other, "key": "k1"}, format="json")
    assert_refused(response, 409, "key_taken")
    assert "2 from number 1 on" in response.json()["detail"]
    assert kept(run) == {1: "a", 2: "b"}
    assert Run.objects.get(pk=run.pk).num_tasks == 3


def test_of_several_who_add_the_same_one_does_however_late_the_others_come(
    alice: User, api: APIClient
) -> None:
    run = factories.run(alice, 1, open=True)
    body = {"inputs": ["a", "b"], "first": 1}
    assert api.post(address(run), body, format="json").json() == {"first": 1, "tasks": 2}
    late = api.post(address(run), {**body, "key": "late"}, format="json")
    assert_refused(late, 409, "state_conflict")
    assert "number 3, not 1: nothing was added" in late.json()["detail"]
    more = {"numTasks": 1, "first": 3, "key": "more"}
    answers = [api.post(address(run), more, format="json").json() for _ in range(2)]
    assert answers == [{"first": 3, "tasks": 1}] * 2  # its own answer, whoever got lost
    assert kept(run) == {1: "a", 2: "b"}
    assert Run.objects.get(pk=run.pk).num_tasks == 4
    factories.check_books(Run.objects.get(pk=run.pk))


@pytest.mark.parametrize("first", [-1, 2_000_000_001, "0", True, 0.5])
def test_a_first_number_that_no_task_can_have_is_refused(
    alice: User, api: APIClient, first: object
) -> None:
    run = factories.run(alice, 0, open=True)
    assert api.post(address(run), {"numTasks": 1, "first": first}, format="json").status_code == 400
    assert Run.objects.get(pk=run.pk).num_tasks == 0


def test_a_key_is_found_by_index(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 1, open=True)
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as context:
        appending.repeated(run, "k", "")
        (sent,) = context.captured_queries
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off; SET enable_sort = off")
        cursor.execute(
            {"sqlite": "EXPLAIN QUERY PLAN "}.get(connection.vendor, "EXPLAIN ") + sent["sql"]
        )
        plan = str(cursor.fetchall())
        if connection.vendor == "postgresql":
            cursor.execute("RESET enable_seqscan; RESET enable_sort")
    assert "event_by_kind" in plan, plan


def test_appends_in_a_row_are_one_event(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 0, open=True)
    for number in range(30):
        api.post(address(run), {"numTasks": 2, "key": str(number)}, format="json")
    event = RunEvent.objects.get(run=run)
    assert (event.what, event.tasks, event.details["first"]) == ("append", 60, 0)
    assert len(event.details["keys"]) == appending.KEYS


def test_a_list_is_added_whole_or_not_at_all(alice: User, api: APIClient, settings: Any) -> None:
    settings.TASKFARM_MAX_TASKS = 4
    run = factories.run(alice, 2, open=True)
    response = api.post(address(run), {"inputs": [1, 2, 3]}, format="json")
    assert response.status_code == 400
    assert (kept(run), Run.objects.get(pk=run.pk).num_tasks) == ({}, 2)


def test_inputs_are_streamed_in_as_lines(
    alice: User, api: APIClient, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "CHUNK", 3)
    run = factories.run(alice, 0)
    values: list[Any] = [{"tile": "31UFU\t\\n"}, "a\nb", None, 2.5, [1], "ä€", "\\", '"']
    lines = "\n".join(json.dumps(one, ensure_ascii=False) for one in values) + "\n\n"
    response = stream(api, run, lines.encode())
    assert (response.status_code, response.json()) == (201, {"first": 0, "tasks": 8})
    assert kept(run) == dict(enumerate(values))
    handed = exchange(run, want=4)["tasks"]
    assert [one["input"] for one in handed] == values[:4]
    factories.check_books(Run.objects.get(pk=run.pk))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"{", 400),
        (b"NaN", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"1e400", 400),
        (b'{"a": [-1e999]}', 400),
        (b"\xef\xbb\xbf1", 400),
        (b"1\x00", 400),
        ("[1]".encode("utf-16"), 400),
        ("[1]".encode("utf-16-be"), 400),
        (b'"\\ud800"', 400),
        (b'{"\\uDFFF": 1}', 400),
        (b"\xed\xa0\x80", 400),
        (b'"' + b"x" * inputs.MOST + b'"', 413),
    ],
)
def test_a_bad_line_says_which_and_what_was_added_before(
    alice: User,
    api: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    line: bytes,
    status: int,
) -> None:
    monkeypatch.setattr(appending, "CHUNK", 2)
    run = factories.run(alice, 1, open=True)
    response = stream(api, run, b'"a"\n"b"\n"c"\n' + line + b"\n")
    assert response.status_code == status, response.content
    assert "Line 4" in response.json()["detail"]
    assert "The 2 tasks before it, from number 1 on, were added." in response.json()["detail"]
    assert kept(run) == {1: "a", 2: "b"}
    factories.check_books(Run.objects.get(pk=run.pk))


def test_a_stream_stops_where_somebody_else_adds_tasks(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "CHUNK", 1)
    run = factories.run(alice, 0, open=True)

    def lines() -> Any:
        yield b"1\n"
        appending.append(run=Run.objects.get(pk=run.pk), num_tasks=1)
        yield b"2\n"
        yield b"3\n"

    with pytest.raises(StateConflict, match="Somebody else"):
        appending.append_stream(run=run, lines=lines())
    assert kept(run) == {0: 1}


def test_a_stream_is_read_line_by_line(alice: User) -> None:
    """However long it is, no more than a chunk of it is in memory."""
    run = factories.run(alice, 0, open=True)
    read = io.BytesIO(b"1\n" * (2 * appending.CHUNK))
    seen: list[int] = []

    def lines() -> Any:
        for line in read:
            if read.tell() % (2 * appending.CHUNK) == 2:
                seen.append(Run.objects.get(pk=run.pk).num_tasks)
            yield line

    appending.append_stream(run=run, lines=lines())
    assert seen == [0, appending.CHUNK]


def test_large_inputs_come_a_few_at_a_time(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 0)
    appending.append(run=run, values=["x" * 250_000] * 200)
    few = exchange(run, want=100)["tasks"]
    assert sum(len(one["input"]) for one in few) <= inputs.MOST_IN_ANSWER
    assert len(few) == inputs.most_at_once(Run.objects.get(pk=run.pk)) < 100
