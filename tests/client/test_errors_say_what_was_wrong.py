"""From an answer to an exception: the class, the words, the values."""

from __future__ import annotations

import copy
import pickle

import pytest
import taskfarm_worker
from stub_faults import answer
from taskfarm_clock import FakeClock
from taskfarm_stub import Stub
from taskfarm_worker import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResponseError,
    ServerError,
    ServerUnavailableError,
    TaskFarm,
    TaskFarmError,
    ThrottledError,
    TooLargeError,
    UnexpectedAnswerError,
    tfRuns,
)

TABLE = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: ResponseError,
    409: ConflictError,
    413: TooLargeError,
    418: ResponseError,
    422: BadRequestError,
    429: ThrottledError,
    500: ServerError,
    501: ServerError,
    502: ServerUnavailableError,
    503: ServerUnavailableError,
    504: ServerUnavailableError,
    599: ServerError,
}

PROXY_PAGE = "<html><head><title>Not here</title></head><body>nginx</body></html>"


@pytest.fixture
def farm(stub: Stub) -> TaskFarm:
    return TaskFarm("user", "secret", numTasks=3, url_base=stub.url, patience=0)


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize("ours", [True, False])
def test_each_status_has_its_error(stub: Stub, farm: TaskFarm, status: int, ours: bool) -> None:
    body = {"detail": "The reason.", "code": "the_code"} if ours else PROXY_PAGE
    stub.fault("GET", farm.uuid, *[answer(status, body)] * 2)
    with pytest.raises(TaskFarmError) as caught:
        farm.info("")
    error = caught.value
    assert type(error) is TABLE[status]
    assert (error.status, error.code) == (status, "the_code" if ours else "")
    assert error.detail == ("The reason." if ours else "Not here")
    assert f"GET {farm.url('runs/' + farm.uuid)}?info= answered {status}" in str(error)
    assert error.detail in str(error)
    assert "\n" not in str(error)


def test_every_error_is_a_runtime_error_and_can_be_pickled() -> None:
    classes = [
        item
        for item in vars(taskfarm_worker).values()
        if isinstance(item, type) and issubclass(item, Exception)
    ]
    assert len(classes) == 17
    for kind in classes:
        error = kind("text")
        assert isinstance(error, TaskFarmError)
        assert isinstance(error, RuntimeError)
        assert str(pickle.loads(pickle.dumps(error))) == "text"
        assert type(copy.copy(error)) is kind


def test_a_pickled_error_keeps_the_answer() -> None:
    error = NotFoundError("gone", status=404, code="run_not_found", retry_after=2)
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.code, again.retry_after) == (404, "run_not_found", 2)


def test_fields_come_with_the_values_that_were_sent(stub: Stub, farm: TaskFarm) -> None:
    errors = {"status": ["Not a state.", "Too long."], "other": "Missing."}
    body = {"detail": "Bad input.", "code": "invalid", "errors": errors}
    stub.fault("PUT", "tasks/0", answer(400, body))
    with pytest.raises(BadRequestError) as caught:
        farm.setTaskInfo(0, "status", "blub")
    assert "[status: Not a state. Too long. (sent 'blub'); other: Missing.]" in str(caught.value)
    assert caught.value.errors == {"status": ["Not a state.", "Too long."], "other": ["Missing."]}


def test_a_field_that_the_detail_tells_about_is_not_told_twice(stub: Stub, farm: TaskFarm) -> None:
    body = {"detail": "status: Not a state.", "code": "x", "errors": {"status": ["Not a state."]}}
    stub.fault("PUT", "tasks/0", answer(400, body))
    with pytest.raises(BadRequestError, match=r"Bad Request: status: Not a state\. \[status \(se"):
        farm.setTaskInfo(0, "status", "blub")


def test_unknown_information_comes_without_advice_about_the_uuid(farm: TaskFarm) -> None:
    with pytest.raises(NotFoundError) as caught:
        farm.info("blub")
    assert "UUID" not in str(caught.value)


def test_a_missing_run_comes_with_advice(stub: Stub) -> None:
    with pytest.raises(NotFoundError, match="'manageTF --list' shows the runs that you may see"):
        TaskFarm("user", "secret", uuid="0" * 32, url_base=stub.url)


@pytest.mark.parametrize(
    "body", ["<html><title>Welcome</title></html>", "[1]", "", {"datum": []}, '"text"']
)
def test_an_answer_of_another_service_is_told(stub: Stub, body: object) -> None:
    stub.fault("GET", "runs", answer(200, body))
    with pytest.raises(UnexpectedAnswerError, match=r"answered 200 OK, but"):
        tfRuns("user", "secret", stub.url)


def test_a_page_in_place_of_the_token_is_told(stub: Stub) -> None:
    stub.fault("GET", "token", answer(200, "<title>Router login</title>"))
    with pytest.raises(UnexpectedAnswerError, match=r"Router login.*check the address"):
        tfRuns("user", "secret", stub.url)


def test_a_redirect_is_not_followed_but_told(stub: Stub) -> None:
    stub.fault("POST", "run", answer(301, None, Location="https://farm.example/api/run"))
    with pytest.raises(UnexpectedAnswerError, match=r"sends us to https://farm.example/api/run"):
        TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    assert len(stub.calls) == 2


def test_a_long_page_is_cut(stub: Stub, farm: TaskFarm) -> None:
    stub.fault("GET", farm.uuid, answer(404, "<p>word</p> " * 1000))
    with pytest.raises(NotFoundError) as caught:
        farm.info("")
    assert len(str(caught.value)) < 500


def test_a_bad_argument_is_both_kinds_of_error() -> None:
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(InvalidArgumentError, RuntimeError)


def test_a_host_that_does_not_exist_is_named(clock: FakeClock) -> None:
    with pytest.raises(TaskFarmError, match=r"http://nowhere\.invalid/api/token: .*known"):
        tfRuns("user", "secret", "http://nowhere.invalid", patience=0)


def test_the_traceback_of_a_lost_connection_is_short(silent_stub: Stub) -> None:
    with pytest.raises(TaskFarmError) as caught:
        tfRuns("user", "secret", silent_stub.url)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
