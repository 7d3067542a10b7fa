"""One shape for every refusal, whoever refuses: a view, the framework, or the way to them."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from runs import errors, reports
from runs.api.errors import STATUS, status_of
from runs.models import Run
from tests import factories
from tests.api.shape import assert_refused
from tests.server import Server

CALLS = [
    ("POST", "/api/run"), ("GET", "/api/runs"), ("GET", "/api/runs/RUN"),
    ("DELETE", "/api/runs/RUN"), ("POST", "/api/runs/RUN/restart"), ("POST", "/api/runs/RUN/task"),
    ("GET", "/api/runs/RUN/tasks"), ("GET", "/api/runs/RUN/tasks/0"),
    ("PUT", "/api/runs/RUN/tasks/0"), ("GET", "/api/token"), ("POST", "/api/worker"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "address"), CALLS)
def test_a_call_without_credentials_is_a_401_that_says_how(
    run: Run, verb: str, address: str
) -> None:
    response = APIClient().generic(verb, address.replace("RUN", run.uuid.hex))
    assert_refused(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(("verb", "address"), CALLS)
def test_an_answer_in_another_format_than_json_is_a_406(
    api: APIClient, run: Run, verb: str, address: str
) -> None:
    address = address.replace("RUN", run.uuid.hex)
    for accept in ("text/html", "application/xml", "image/*", "blub"):
        response = api.generic(verb, address, headers={"Accept": accept})
        assert_refused(response, 406, "not_acceptable")
    assert Run.objects.count() == 1


@pytest.mark.parametrize("address", ["/api/schema/", "/api/docs/"])
def test_the_documentation_refuses_in_json_too(client: Client, address: str) -> None:
    assert_refused(client.post(address), 405, "method_not_allowed")
    assert_refused(client.get(address, headers={"Accept": "image/png"}), 406, "not_acceptable")


@pytest.mark.parametrize("address", ["/api/", "/api/blub", "/api/runs/", "/api/%00", "/api//runs"])
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BLUB"])
def test_an_unknown_address_is_a_404_also_for_a_client_without_a_csrf_token(
    verb: str, address: str
) -> None:
    assert_refused(Client(enforce_csrf_checks=True).generic(verb, address), 404, "not_found")


def test_no_call_wants_a_csrf_token(alice: User, run: Run) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(**factories.caller(alice)._credentials)
    assert client.post(f"/api/runs/{run.uuid.hex}/restart").status_code == 204


def test_a_session_is_no_way_into_the_api(client: Client, alice: User) -> None:
    # Else a page of somebody else's could make a logged-in person's browser delete a run.
    client.force_login(alice)
    assert_refused(client.get("/api/runs"), 401, "not_authenticated")


def test_a_request_for_another_host_is_a_400(client: Client) -> None:
    assert_refused(client.get("/api/runs", headers={"Host": "evil.example"}), 400, "bad_request")


def test_a_bug_is_a_500_in_the_same_shape(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret detail of the farm's inside")

    monkeypatch.setattr(reports, "find_shown", fail)
    api.raise_request_exception = False
    response = api.get(f"/api/runs/{'0' * 32}")
    assert "secret" not in str(assert_refused(response, 500, "server_error"))


def kinds(base: type[errors.FarmError]) -> Iterator[type[errors.FarmError]]:
    """A class of the error tree and all below it."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_every_error_of_the_farm_has_a_status_and_a_code_of_its_own() -> None:
    found = [kind for kind in kinds(errors.FarmError) if kind is not errors.FarmError]
    codes = [kind.code for kind in found]
    assert len(set(codes)) == len(codes)
    for kind in found:
        assert status_of(kind.__new__(kind)) in STATUS.values()


@pytest.fixture
def http(server: Server) -> Iterator[requests.Session]:
    """A session of alice's with a real server."""
    with requests.Session() as session:
        session.auth = ("alice", factories.PASSWORD)
        yield session


def test_real_http_keeps_the_shape(server: Server, http: requests.Session) -> None:
    """What the test client cannot show: bodies on a wire, chunks, odd addresses."""
    json_body = {"Content-Type": "application/json"}

    def post(**options: Any) -> requests.Response:
        return http.post(server.api + "run", headers=json_body, **options)

    megabytes = b" " * 50_000_000
    assert_refused(post(data=megabytes), 413, "too_large")
    assert_refused(post(data=(megabytes[:1_000_000] for _ in range(9))), 413, "too_large")
    assert_refused(post(data=iter([b"{", b"]"])), 400, "parse_error")
    assert_refused(http.post(server.api + "blub", json={}), 404, "not_found")
    assert_refused(http.get(server.api + "runs/%00"), 404, "run_not_found")
    assert_refused(http.request("BLUB", server.api + "runs"), 405, "method_not_allowed")
    refused = requests.post(server.api + "run", data=megabytes, headers=json_body, timeout=60)
    assert_refused(refused, 401, "not_authenticated")
    # Odd names and addresses in the book of failed logins.
    for name, address in (("x" * 300, "runs"), ("nobody", "runs/%00"), ("Jökull", "runs?a=%00")):
        refused = requests.get(server.api + address, auth=(name, "wrong"), timeout=60)
        assert_refused(refused, 401, "wrong_password")
    assert Run.objects.count() == 0
    # A body in chunks has no length, and is read all the same.
    assert post(data=iter([b'{"numTasks":', b" 4}"])).json()["numTasks"] == 4
    assert "Traceback" not in server.log.read_text()
