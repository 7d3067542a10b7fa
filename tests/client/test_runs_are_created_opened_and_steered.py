"""`tfRuns` and `TaskFarm`: every call about a run."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
import requests
from taskfarm_stub import Stub
from taskfarm_worker import (
    BadRequestError,
    InvalidArgumentError,
    NotFoundError,
    TaskFarm,
    TaskFarmError,
    tfRuns,
)


class NumpyLike:
    """Behaves like a NumPy integer, without NumPy."""

    def __index__(self) -> int:
        return 4

    def item(self) -> int:
        return 4


def farm_of(stub: Stub, tasks: int = 4) -> TaskFarm:
    return TaskFarm("user", "secret", uuid=stub.add_run(tasks).uuid, url_base=stub.url)


def test_runs_are_listed(stub: Stub) -> None:
    first, second = stub.add_run(3), stub.add_run(5)
    assert tfRuns("user", "secret", stub.url) == [
        {"id": 1, "uuid": first.uuid, "numTasks": 3},
        {"id": 2, "uuid": second.uuid, "numTasks": 5},
    ]


def test_a_run_is_created(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", None, 7, stub.url)
    assert farm.numTasks == 7
    assert len(stub.runs[farm.uuid].status) == 7
    assert stub.last("POST", "run").body == {"numTasks": 7}


def test_a_run_is_created_with_its_labels(stub: Stub) -> None:
    TaskFarm("user", "secret", numTasks=1, url_base=stub.url, name="ice", description="all of it")
    assert stub.last("POST", "run").body == {
        "numTasks": 1,
        "name": "ice",
        "description": "all of it",
    }


def test_a_run_is_opened(stub: Stub) -> None:
    run = stub.add_run(4)
    farm = TaskFarm("user", "secret", run.uuid, None, stub.url)
    assert (farm.uuid, farm.numTasks) == (run.uuid, 4)
    assert stub.count("POST", "run") == 0


def test_a_uuid_object_opens_a_run_too(stub: Stub) -> None:
    run = stub.add_run(4)
    farm = TaskFarm("user", "secret", UUID(run.uuid), url_base=stub.url)  # type: ignore[arg-type]
    assert farm.uuid == run.uuid


def test_neither_uuid_nor_number_is_refused_before_any_call(stub: Stub) -> None:
    with pytest.raises(RuntimeError, match="numTasks must be set"):
        TaskFarm("user", "secret", url_base=stub.url)
    assert not stub.calls


@pytest.mark.parametrize("tasks", [1.5, "10", True])
def test_a_number_of_tasks_must_be_whole(stub: Stub, tasks: int) -> None:
    with pytest.raises(InvalidArgumentError, match="numTasks must be a whole number, not"):
        TaskFarm("user", "secret", numTasks=tasks, url_base=stub.url)
    assert not stub.calls


def test_numbers_of_other_libraries_are_numbers(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=NumpyLike(), url_base=stub.url)  # type: ignore[arg-type]
    farm.setTaskInfo(0, "percentCompleted", NumpyLike())
    assert (farm.numTasks, stub.runs[farm.uuid].percent[0]) == (4, 4)


def test_the_server_has_the_last_word_on_the_number(stub: Stub) -> None:
    with pytest.raises(BadRequestError, match=r"numTasks: Must be at least 1\. \(sent -1\)"):
        TaskFarm("user", "secret", numTasks=-1, url_base=stub.url)


def test_the_counts_of_a_run(stub: Stub) -> None:
    farm = farm_of(stub)
    run = stub.runs[farm.uuid]
    run.status[:] = ["done", "done", "computing", "waiting"]
    run.percent[:] = [100, 100, 40, 0]
    assert (farm.numDone, farm.numComputing, farm.numWaiting) == (2, 1, 1)
    assert farm.percentDone == 60
    assert farm.info("numDone") == 2
    assert farm.info("") == run.info()


def test_unknown_information_is_an_error(stub: Stub) -> None:
    with pytest.raises(NotFoundError, match="blub"):
        farm_of(stub).info("blub")


def test_a_task_is_read_and_changed(stub: Stub) -> None:
    farm = farm_of(stub)
    farm.setTaskInfo(2, "percentCompleted", 30)
    farm.setTaskInfo(2, "status", "computing")
    assert farm.getTaskInfo(2, "percentCompleted") == 30
    assert farm.getTaskInfo(2, "") == stub.runs[farm.uuid].task(2)


@pytest.mark.parametrize("task", [-1, 4, 2**63])
def test_a_task_outside_the_run_is_refused_before_any_call(stub: Stub, task: int) -> None:
    farm = farm_of(stub)
    before = len(stub.calls)
    with pytest.raises(RuntimeError, match="this run has 4 tasks, numbered from 0"):
        farm.getTaskInfo(task, "status")
    with pytest.raises(RuntimeError, match="this run has 4 tasks, numbered from 0"):
        farm.setTaskInfo(task, "status", "done")
    assert len(stub.calls) == before


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_is_not_json_is_refused_before_any_call(stub: Stub, value: object) -> None:
    farm = farm_of(stub)
    with pytest.raises(InvalidArgumentError, match="cannot be sent as JSON"):
        farm.setTaskInfo(0, "percentCompleted", value)
    assert stub.count("PUT", "") == 0


@pytest.mark.parametrize(("everything", "sent"), [(False, "False"), (True, "True")])
def test_restart_says_how_much(stub: Stub, everything: bool, sent: str) -> None:
    farm = farm_of(stub)
    stub.runs[farm.uuid].status[:] = ["done", "done", "computing", "waiting"]
    farm.restart(everything)
    assert stub.last("POST", "/restart").query == {"all": sent}
    assert farm.numWaiting == (4 if everything else 2)


def test_a_run_is_deleted_once(stub: Stub) -> None:
    farm = farm_of(stub)
    farm.delete()
    assert not stub.runs
    with pytest.raises(NotFoundError):
        farm.delete()


def test_the_session_can_be_used_directly(stub: Stub) -> None:
    farm = farm_of(stub)
    assert isinstance(farm.session, requests.Session)
    answer = farm.session.get(farm.url("runs"), auth=farm.token_auth)
    assert answer.json()["data"][0]["uuid"] == farm.uuid
    assert farm.token_auth == requests.auth.HTTPBasicAuth(stub.tokens[0], "")


def test_a_context_manager_closes_the_connections_but_not_the_run(stub: Stub) -> None:
    with farm_of(stub) as farm:
        assert farm.numWaiting == 4
    assert farm.numWaiting == 4  # a later call opens a new connection
    assert "secret" not in repr(farm)


def test_a_uuid_cannot_lead_to_another_address(stub: Stub) -> None:
    with pytest.raises(NotFoundError):
        TaskFarm("user", "secret", uuid="../token", url_base=stub.url)
    assert stub.last("GET", "").path == "/api/runs/..%2Ftoken"
    with pytest.raises(TaskFarmError, match="empty"):
        TaskFarm("user", "secret", uuid=" ", url_base=stub.url)


def test_calls_say_who_they_are(stub: Stub) -> None:
    farm_of(stub)
    assert stub.calls[-1].headers["User-Agent"].startswith("taskfarm-worker/0.")
    # As the published client does: taskfarm 0.4.0 takes a token no other way.
    sent = base64.b64encode(f"{stub.tokens[0]}:".encode()).decode()
    assert stub.calls[-1].headers["Authorization"] == f"Basic {sent}"
