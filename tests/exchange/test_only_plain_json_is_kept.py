"""Inputs and outputs that a reader of JSON could not take are refused, and none spoils others."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs import plain, tallies
from runs.models import Attempt, Run, TaskInput, Worker
from tests import factories
from tests.api.shape import assert_refused

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]
NOT_PLAIN = [r'"\ud800"', r'{"\udfff": 1}', "1e400", '{"a": [-1e400]}']


@pytest.mark.parametrize("value", NOT_PLAIN)
def test_a_list_is_refused_with_the_number_of_the_bad_input(
    alice: User, api: APIClient, value: str
) -> None:
    run = factories.run(alice, 3)
    body = f'{{"inputs": ["good", {value}, 3]}}'
    response = api.post(f"/api/runs/{run.uuid.hex}/tasks", body, content_type="application/json")
    assert_refused(response, 400, "invalid")
    assert "Input 2 is no JSON that can be kept: it has" in response.json()["detail"]
    assert Run.objects.get(pk=run.pk).num_tasks == 3


@pytest.mark.parametrize("value", NOT_PLAIN)
def test_an_output_is_kept_to_the_letter_or_refused(
    alice: User, api: APIClient, worker: Worker, exchange: Call, value: str
) -> None:
    run = factories.run(alice, 2)
    exchange(run, want=1)
    report = f'{{"task": 0, "attempt": 1, "status": "done", "output": {value}}}'
    body = f'{{"reports": {{"{run.uuid.hex}": [{report}]}}}}'
    address = f"/api/worker/{worker.uuid.hex}/exchange"
    response = api.post(address, body, content_type="application/json")
    assert_refused(response, 400, "invalid")
    assert "output: That of task 0 is no JSON that can be kept: it has" in response.json()["detail"]
    assert not Attempt.objects.exists()
    assert tallies.read(run.id).computing == 1


def test_every_plain_value_comes_back_as_it_was(
    alice: User, api: APIClient, exchange: Call
) -> None:
    values = [None, "ä\x00😀", "\\ud800", 1e308, -0.0, 2**70, {"": []}, "NaN", "\u2028"]
    run = factories.run(alice, 0)
    lines = "\n".join(json.dumps(one) for one in values).encode()
    address = f"/api/runs/{run.uuid.hex}"
    added = api.post(f"{address}/tasks", lines, content_type="application/x-ndjson")
    assert added.json()["tasks"] == len(values)
    handed: list[dict[str, Any]] = []
    while len(handed) < len(values):
        handed += exchange(run, want=len(values))["tasks"]
    assert [one["input"] for one in handed] == values
    exchange(run, reports=[
        {"task": one["task"], "attempt": 1, "status": "done", "output": one["input"]}
        for one in handed
    ])  # fmt: skip
    rows = b"".join(api.get(f"{address}/results")).splitlines()
    assert [json.loads(row)["output"] for row in rows] == values


# NUL is left out: PostgreSQL never kept it.
KEPT = [r'"\ud800"', "1e400", "Infinity", "\ufeff1", "no JSON"]


def test_what_an_earlier_version_kept_goes_out_as_its_text_and_spoils_nothing(
    alice: User, api: APIClient, exchange: Call
) -> None:
    run = factories.run(alice, 0)
    values = [*range(len(KEPT)), "good"]
    api.post(f"/api/runs/{run.uuid.hex}/tasks", {"inputs": values}, format="json")
    for number, text in enumerate(KEPT):
        TaskInput.objects.filter(run=run, number=number).update(value=text)
    handed: list[dict[str, Any]] = []
    while len(handed) < len(values):
        handed += exchange(run, want=len(values))["tasks"]
    assert [one["input"] for one in handed] == [*KEPT, "good"]
    exchange(run, reports=[
        {"task": one["task"], "attempt": 1, "status": "done", "output": 1} for one in handed
    ])  # fmt: skip
    for number, text in enumerate(KEPT):
        Attempt.objects.filter(run=run, number=number).update(output=text)
    shown = api.get(f"/api/runs/{run.uuid.hex}/attempts")
    assert [one["output"] for one in shown.json()["data"]] == [*KEPT, 1]
    rows = b"".join(api.get(f"/api/runs/{run.uuid.hex}/results")).decode().splitlines()
    assert [plain.parse(row)["output"] for row in rows] == [*KEPT, 1]
