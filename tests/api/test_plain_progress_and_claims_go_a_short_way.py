"""Plain progress and claims have a way of their own; the answer is that of the ordinary way."""

import base64
import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.middleware.common import CommonMiddleware
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import verdicts
from runs import queue, sweep
from runs.errors import RunNotFound
from runs.models import Run
from tests import factories

pytestmark = pytest.mark.django_db
Put = Callable[..., HttpResponse]
BASIC = "Basic " + base64.b64encode(f"alice:{factories.PASSWORD}".encode()).decode()


@pytest.fixture
def run(alice: User) -> Run:
    """A run of alice's whose first task computes."""
    run = factories.run(alice, 5)
    queue.claim(run=run, worker=factories.worker(alice))
    return run


@pytest.fixture
def put(run: Run) -> Put:
    """Sends a body for a task as alice."""

    def send(body: str, number: str = "0", uuid: str = "", **headers: str) -> HttpResponse:
        return Client().put(
            f"/api/runs/{uuid or run.uuid.hex}/tasks/{number}", body, "application/json",
            headers={"Authorization": BASIC, **headers},
        )  # fmt: skip

    return send


def as_it_stands(run: Run) -> list[tuple[object, ...]]:
    """The run's tasks."""
    return list(run.tasks.order_by("number").values_list("number", "state", "percent", "attempt"))


def test_it_costs_one_statement(put: Put, run: Run) -> None:
    put('{"percentCompleted": 1}')  # lets her in
    with CaptureQueriesContext(connection) as seen:
        answer = put('{"percentCompleted": 42.5}')
    assert (answer.status_code, answer.content, len(seen)) == (204, b"", 1)
    assert run.tasks.get(number=0).percent == 42.5


@pytest.mark.parametrize(
    ("body", "number", "uuid"),
    [
        ('{"percentCompleted": 7}', "0", ""), ('{"percentCompleted": 7}', "1", ""),
        ('{"percentCompleted": 7}', "5", ""), ('{"percentCompleted": 7}', "-1", ""),
        ('{"percentCompleted": 7}', "9" * 30, ""), ('{"percentCompleted": 7}', "0", "0" * 32),
        ('{"percentCompleted": 7}', "0", "nonsense"), ('{"percentCompleted": 101}', "0", ""),
        ('{"percentCompleted": NaN}', "0", ""), ('{"percentCompleted": true}', "0", ""),
        ('{"percentCompleted": "7"}', "0", ""), ('{"percentCompleted": 1e400}', "0", ""),
        ('{"percentCompleted": null}', "0", ""), ('{"percent": 7}', "0", ""), ("{}", "0", ""),
        ("[7]", "0", ""), ("7", "0", ""), ("no JSON", "0", ""), ("", "0", ""),
        ("[" * 150, "0", ""), ('{"percentCompleted": 7, "status": "done"}', "0", ""),
    ],
)  # fmt: skip
def test_the_answer_is_that_of_the_ordinary_way(
    put: Put, run: Run, body: str, number: str, uuid: str
) -> None:
    put('{"percentCompleted": 1}')
    short = put(body, number, uuid)
    after = as_it_stands(run)
    put('{"percentCompleted": 1}')
    verdicts.forget_all()
    ordinary = put(body, number, uuid)
    assert (short.status_code, short.content) == (ordinary.status_code, ordinary.content)
    assert as_it_stands(run) == after


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_body_in_another_coding_is_refused_on_both_ways(
    alice: User, run: Run, coding: str
) -> None:
    for _ in range(2):  # the second time she is known
        answer = Client().put(
            f"/api/runs/{run.uuid.hex}/tasks/0", '{"percentCompleted": 7}'.encode(coding),
            "application/json", headers={"Authorization": BASIC},
        )  # fmt: skip
        assert answer.status_code == 400
    assert run.tasks.get(number=0).percent == 0


def test_who_takes_no_json_is_told_so_on_both_ways(put: Put, run: Run) -> None:
    for _ in range(2):
        assert put('{"percentCompleted": 7}', Accept="text/html").status_code == 406
    assert run.tasks.get(number=0).percent == 0
    assert put('{"percentCompleted": 7}', Accept="application/json").status_code == 204


def test_a_database_that_is_away_is_waited_for_once(
    put: Put, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    put('{"percentCompleted": 1}')
    tries = []

    def locked(**_: object) -> bool:
        tries.append(1)
        raise OperationalError("database is locked")

    monkeypatch.setattr(queue, "note_progress", locked)
    monkeypatch.setattr(queue, "report_progress", locked)
    answer = put('{"percentCompleted": 7}')
    assert (answer.status_code, answer["Retry-After"], len(tries)) == (503, "5", 1)
    assert json.loads(answer.content)["code"] == "unavailable"


@pytest.mark.parametrize("header", ["", "Basic nonsense", "Bearer nonsense"])
def test_nobody_is_let_in_who_was_not_let_in_before(put: Put, run: Run, header: str) -> None:
    put('{"percentCompleted": 1}')
    assert put('{"percentCompleted": 2}', Authorization=header).status_code == 401
    assert run.tasks.get(number=0).percent == 1


def test_others_cannot_report(put: Put, run: Run) -> None:
    put('{"percentCompleted": 1}')
    factories.user("mallory")
    other = "Basic " + base64.b64encode(f"mallory:{factories.PASSWORD}".encode()).decode()
    for _ in range(2):
        assert put('{"percentCompleted": 2}', Authorization=other).status_code == 404
    assert run.tasks.get(number=0).percent == 1


@pytest.fixture
def ask(run: Run) -> Put:
    """Asks for a task as alice, with a body."""

    def send(body: str, uuid: str = "", **headers: str) -> HttpResponse:
        return Client().post(
            f"/api/runs/{uuid or run.uuid.hex}/task", body, "application/json",
            headers={"Authorization": BASIC, **headers},
        )  # fmt: skip

    return send


def told(answer: HttpResponse) -> tuple[object, ...]:
    """What both ways have in common: the status, the kind of body, and the body but for its ids."""
    body = json.loads(answer.content) if answer.content else {}
    kept = {name: value for name, value in body.items() if name not in ("id", "task")}
    length = int(answer.headers.get("Content-Length", 0)) == len(answer.content)
    return answer.status_code, answer.headers.get("Content-Type"), length, list(body), kept


def test_a_plain_claim_needs_none_of_the_middleware(
    ask: Put, run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = factories.worker(alice)
    body = json.dumps({"worker_uuid": worker.uuid.hex})
    ordinary = ask(body)
    monkeypatch.setattr(CommonMiddleware, "process_request", None)  # nobody gets past it
    short = ask(body)
    assert told(short) == told(ordinary)
    assert [json.loads(one.content)["task"] for one in (ordinary, short)] == [1, 2]
    assert b": " not in short.content
    assert run.tasks.filter(worker=worker, state=1).count() == 2


def test_a_claim_where_nothing_waits_is_the_same_on_both_ways(
    ask: Put, run: Run, alice: User
) -> None:
    body = json.dumps({"worker_uuid": factories.worker(alice).uuid.hex})
    answers = [ask(body) for _ in range(7)]
    assert [one.status_code for one in answers] == [201] * 4 + [204] * 3
    assert answers[-1].content == b""


@pytest.mark.parametrize(
    ("body", "uuid"),
    [
        ("{}", ""), ("[]", ""), ("no JSON", ""), ('{"worker_uuid": null}', ""),
        ('{"worker_uuid": 7}', ""), ('{"worker_uuid": "nonsense"}', ""),
        ('{"worker_uuid": "%s"}' % ("0" * 32), ""), ('{"worker_uuid": "WORKER"}', "0" * 32),
        ('{"worker_uuid": "WORKER"}', "nonsense"), ('{"worker_uuid": "WORKER", "more": 1}', ""),
        ('{"uuid": "WORKER"}', ""), ('{"worker_uuid": "OTHERS"}', ""),
    ],
)  # fmt: skip
def test_a_claim_is_refused_in_the_same_words(
    ask: Put, run: Run, alice: User, body: str, uuid: str
) -> None:
    worker, others = factories.worker(alice), factories.worker(factories.user("mallory"))
    body = body.replace("WORKER", worker.uuid.hex).replace("OTHERS", others.uuid.hex)
    before = as_it_stands(run)
    ordinary = ask(body, uuid)  # nobody is known yet
    short = ask(body, uuid)
    assert ordinary.status_code >= 400
    assert (short.status_code, short.content) == (ordinary.status_code, ordinary.content)
    assert as_it_stands(run) == before


def test_nobody_claims_of_others(ask: Put, run: Run) -> None:
    mallory = factories.user("mallory")
    body = json.dumps({"worker_uuid": factories.worker(mallory).uuid.hex})
    other = "Basic " + base64.b64encode(f"mallory:{factories.PASSWORD}".encode()).decode()
    for _ in range(2):
        assert ask(body, Authorization=other).status_code == 404
    assert run.tasks.filter(state=1).count() == 1


def test_a_claim_that_is_made_is_not_made_again_for_what_comes_after_it(
    ask: Put, run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"worker_uuid": factories.worker(alice).uuid.hex})
    ask(body)

    def trip(**_: object) -> None:
        raise RunNotFound("0" * 32)  # a run that was deleted under the sweep

    monkeypatch.setattr(sweep, "sweep", trip)
    monkeypatch.setattr(sweep, "my_turn", lambda _: True)
    monkeypatch.setattr(sweep, "_next", 0.0)
    answer = ask(body)
    assert (answer.status_code, json.loads(answer.content)["task"]) == (201, 2)
    assert run.tasks.filter(state=1).count() == 3
