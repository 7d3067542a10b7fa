"""Every documented call with its documented statuses and bodies."""

import re
from uuid import uuid1

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs.models import Run, Task, Worker
from tests import factories
from tests.api.shape import assert_refused


def test_a_created_run_tells_its_id_its_uuid_and_its_size(api: APIClient) -> None:
    response = api.post("/api/run", {"numTasks": 10}, format="json")
    assert response.status_code == 201
    run = Run.objects.get()
    assert {"id": run.id, "uuid": run.uuid.hex, "numTasks": 10}.items() <= response.json().items()
    assert re.fullmatch("[0-9a-f]{32}", response.json()["uuid"])
    factories.check_books(run)


def test_a_created_run_may_have_a_name_a_namespace_and_a_description(api: APIClient) -> None:
    given = {"numTasks": 1, "name": "tiles – Jökull", "namespace": "cryosat", "description": "x\ny"}
    response = api.post("/api/run", given, format="json")
    assert response.status_code == 201
    assert given.items() <= response.json().items()


def test_a_run_may_have_no_tasks_at_all(api: APIClient) -> None:
    uuid = api.post("/api/run", {"numTasks": 0}, format="json").json()["uuid"]
    shown = api.get(f"/api/runs/{uuid}").json()
    assert (shown["numWaiting"], shown["percentDone"], shown["state"]) == (0, 0, "finished")


def test_the_runs_are_listed_as_data_in_the_same_words_as_their_creation(api: APIClient) -> None:
    created = [
        api.post("/api/run", {"numTasks": n, "name": f"run {n}"}, format="json").json()
        for n in range(3)
    ]
    response = api.get("/api/runs")
    assert response.status_code == 200
    assert response.json()["data"] == created


def test_a_run_without_any_run_is_an_empty_list(api: APIClient) -> None:
    assert api.get("/api/runs").json()["data"] == []


def test_all_tasks_of_a_fresh_run_are_waiting(api: APIClient, run: Run) -> None:
    shown = api.get(f"/api/runs/{run.uuid.hex}").json()
    expected = {
        "id": run.id, "uuid": run.uuid.hex, "numTasks": 10, "percentDone": 0.0,
        "numWaiting": 10, "numComputing": 0, "numDone": 0,
    }  # fmt: skip
    assert expected.items() <= shown.items()


@pytest.mark.parametrize(
    ("info", "value"),
    [("percentDone", 30.0), ("numWaiting", 6), ("numComputing", 2), ("numDone", 2)],
)
def test_info_of_a_run_is_just_that_value(
    api: APIClient, alice: User, run: Run, info: str, value: float
) -> None:
    worker = factories.worker(alice)
    factories.advance(run, worker, done=2, computing=2)
    for task in Task.objects.filter(run=run, state=1):
        body = {"percentCompleted": 50}
        api.put(f"/api/runs/{run.uuid.hex}/tasks/{task.number}", body, format="json")
    response = api.get(f"/api/runs/{run.uuid.hex}", {"info": info})
    assert (response.status_code, response.json()) == (200, {info: value})


def test_an_empty_info_is_everything(api: APIClient, run: Run) -> None:
    address = f"/api/runs/{run.uuid.hex}"
    assert api.get(address, {"info": ""}).json() == api.get(address).json()
    assert (
        api.get(f"{address}/tasks/3", {"info": ""}).json() == api.get(f"{address}/tasks/3").json()
    )


def test_a_claim_hands_out_the_lowest_waiting_task(api: APIClient, alice: User, run: Run) -> None:
    body = {"worker_uuid": factories.worker(alice).uuid.hex}
    for number in range(10):
        response = api.post(f"/api/runs/{run.uuid.hex}/task", body, format="json")
        assert response.status_code == 201
        task = Task.objects.get(run=run, number=number)
        expected = {"id": task.id, "task": number, "percentCompleted": 0, "status": "computing"}
        assert expected.items() <= response.json().items()
    factories.check_books(run)


def test_no_more_tasks_are_a_204_without_a_body(api: APIClient, alice: User) -> None:
    run = factories.run(alice, 1)
    body = {"worker_uuid": factories.worker(alice).uuid.hex}
    assert api.post(f"/api/runs/{run.uuid.hex}/task", body, format="json").status_code == 201
    response = api.post(f"/api/runs/{run.uuid.hex}/task", body, format="json")
    assert (response.status_code, response.content) == (204, b"")


def test_a_task_tells_its_number_percentage_and_status(api: APIClient, run: Run) -> None:
    response = api.get(f"/api/runs/{run.uuid.hex}/tasks/7")
    task = Task.objects.get(run=run, number=7)
    expected = {"id": task.id, "task": 7, "percentCompleted": 0.0, "status": "waiting"}
    assert response.status_code == 200
    assert expected.items() <= response.json().items()


@pytest.mark.parametrize("info", ["percentDone", "percentCompleted"])
def test_the_percentage_of_a_task_has_two_documented_names(
    api: APIClient, run: Run, info: str
) -> None:
    address = f"/api/runs/{run.uuid.hex}/tasks/3"
    api.put(address, {"percentCompleted": 12.5}, format="json")
    assert api.get(address, {"info": info}).json() == {info: 12.5}
    assert api.get(address, {"info": "status"}).json() == {"status": "waiting"}


def test_a_deleted_run_is_gone_with_all_its_rows(api: APIClient, alice: User, run: Run) -> None:
    worker = factories.worker(alice)
    factories.advance(run, worker, done=2, failed=1, computing=2)
    response = api.delete(f"/api/runs/{run.uuid.hex}")
    assert (response.status_code, response.content) == (204, b"")
    assert {**factories.count_rows(), "Worker": 0} == dict.fromkeys(factories.count_rows(), 0)
    assert_refused(api.get(f"/api/runs/{run.uuid.hex}"), 404, "run_not_found")
    assert_refused(api.delete(f"/api/runs/{run.uuid.hex}"), 404, "run_not_found")


def test_a_worker_registers_with_uuid_host_and_process(api: APIClient, alice: User) -> None:
    given = {"uuid": uuid1().hex, "hostname": "n012.cluster", "pid": 4711}
    response = api.post("/api/worker", given, format="json")
    worker = Worker.objects.get()
    assert response.status_code == 201
    assert response.json() == {"uuid": given["uuid"], "id": worker.id}
    assert (worker.owner, worker.hostname, worker.pid) == (alice, "n012.cluster", 4711)


def test_a_token_is_given_for_a_password(api: APIClient) -> None:
    response = api.get("/api/token")
    assert response.status_code == 200
    assert set(response.json()) == {"token"}
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['token']}")
    assert api.get("/api/runs").status_code == 200


def test_a_uuid_may_be_written_with_dashes(api: APIClient, run: Run) -> None:
    assert api.get(f"/api/runs/{run.uuid}").json()["uuid"] == run.uuid.hex
    body = {"uuid": str(uuid1()), "hostname": "n", "pid": 1}
    assert api.post("/api/worker", body, format="json").json()["uuid"] == (
        body["uuid"].replace("-", "")
    )
