"""The OpenAPI schema knows every address, and its page works without any other host."""

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from jsonschema import Draft4Validator

from runs.api import urls
from runs.filters import RunFilter

NOT_DESCRIBED = {"api-schema", "api-docs"}
Call = tuple[str, str]
TAGS = ("run", "runs", "task", "token", "worker", "steering", "results")
BODY_OPTIONAL = ("restart_run", "pause_run", "resume_run", "cancel_run", "end_upload")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The schema as it is served; no database is needed for that."""
    accept = {"Accept": "application/vnd.oai.openapi+json"}
    found: dict[str, Any] = Client().get("/api/schema/", headers=accept).json()
    return found


@pytest.fixture(scope="module")
def calls(described: dict[str, Any]) -> dict[Call, Any]:
    """Every described call by its verb and address."""
    return {
        (verb, address): call
        for address, verbs in described["paths"].items()
        for verb, call in verbs.items()
    }


def routed() -> set[Call]:
    """Every call that the addresses really lead to, in the schema's spelling."""
    found = set()
    for pattern in urls.urlpatterns:
        if pattern.name is None or pattern.name in NOT_DESCRIBED:
            continue
        address = re.sub(r"<\w+:(\w+)>|\(\?P<(\w+)>[^)]*\)", r"{\1\2}", str(pattern.pattern))
        verbs = getattr(pattern.callback, "actions", None) or {"get": "get"}
        found |= {(verb, f"/api/{address.strip('^$')}") for verb in verbs if verb != "head"}
    return found


def test_every_address_is_described_and_nothing_else(calls: dict[Call, Any]) -> None:
    assert set(calls) == routed()
    assert len(calls) == 28


def test_every_call_says_what_it_is_for(calls: dict[Call, Any]) -> None:
    for name, call in calls.items():
        assert 5 < len(call["summary"]) < 60, name
        assert len(call["description"]) > 40, name
        assert call["operationId"], name
        assert call["tags"][0] in TAGS, name
    assert len({call["operationId"] for call in calls.values()}) == len(calls)


def test_every_parameter_says_what_it_is_for(calls: dict[Call, Any]) -> None:
    for name, call in calls.items():
        for one in call.get("parameters", []):
            assert len(one.get("description", "")) > 5, (name, one["name"])
        told = {one["name"] for one in call.get("parameters", []) if one["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)}", name[1]))


def test_every_body_has_an_example_that_fits_it(
    described: dict[str, Any], calls: dict[Call, Any]
) -> None:
    for name, call in calls.items():
        if "requestBody" not in call:
            continue
        content = call["requestBody"]["content"]
        assert next(iter(content)) == "application/json", name
        assert call["requestBody"]["required"] == (call["operationId"] not in BODY_OPTIONAL), name
        shape = {**content["application/json"]["schema"], "components": described["components"]}
        examples = content["application/json"]["examples"]
        assert examples, name
        for example in examples.values():
            Draft4Validator(shape).validate(example["value"])


def test_every_refusal_is_described_with_its_shape(calls: dict[Call, Any]) -> None:
    for name, call in calls.items():
        expected = {"400", "401", "404", "406", "429", "503"}
        if "requestBody" in call:
            expected |= {"409", "413", "415"}
        if call["operationId"] in ("undo_event", "take_back_upload"):
            expected |= {"409"}
        refusals = {status for status in call["responses"] if status >= "400"}
        assert refusals == expected, name
        for status in refusals:
            response = call["responses"][status]
            assert len(response["description"]) > 20, name
            shape = response["content"]["application/json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/Error"}, name


def test_every_success_is_described(calls: dict[Call, Any]) -> None:
    successes = {
        ("post", "/api/run"): {"201"}, ("get", "/api/runs"): {"200"},
        ("get", "/api/runs/{uuid}"): {"200"}, ("delete", "/api/runs/{uuid}"): {"204"},
        ("post", "/api/runs/{uuid}/restart"): {"200", "204"},
        ("post", "/api/runs/{uuid}/pause"): {"204"}, ("post", "/api/runs/{uuid}/resume"): {"204"},
        ("post", "/api/runs/{uuid}/cancel"): {"200"},
        ("post", "/api/runs/{uuid}/uploaded"): {"204"},
        ("delete", "/api/runs/{uuid}/uploaded"): {"204"},
        ("get", "/api/runs/{uuid}/policy"): {"200"}, ("patch", "/api/runs/{uuid}/policy"): {"200"},
        ("get", "/api/runs/{uuid}/events"): {"200"},
        ("post", "/api/runs/{uuid}/events/{event}/undo"): {"200"},
        ("get", "/api/runs/{uuid}/results"): {"200"}, ("get", "/api/runs/{uuid}/failures"): {"200"},
        ("get", "/api/runs/{uuid}/failures/groups"): {"200"},
        ("get", "/api/runs/{uuid}/attempts"): {"200"},
        ("post", "/api/runs/{uuid}/tasks"): {"201"},
        ("get", "/api/runs/{uuid}/tasks/{number}/explain"): {"200"},
        ("post", "/api/worker/{uuid}/exchange"): {"200"}, ("delete", "/api/worker/{uuid}"): {"204"},
        ("post", "/api/runs/{uuid}/task"): {"201", "204"},
        ("get", "/api/runs/{uuid}/tasks"): {"200"},
        ("get", "/api/runs/{uuid}/tasks/{number}"): {"200"},
        ("put", "/api/runs/{uuid}/tasks/{number}"): {"204"},
        ("get", "/api/token"): {"200"}, ("post", "/api/worker"): {"201"},
    }  # fmt: skip
    assert {
        name: {status for status in call["responses"] if status < "400"}
        for name, call in calls.items()
    } == successes


def test_every_filter_of_the_list_of_runs_is_described(calls: dict[Call, Any]) -> None:
    parameters = calls["get", "/api/runs"]["parameters"]
    told = {one["name"] for one in parameters}
    assert told == set(RunFilter.base_filters) | {"after", "limit"}
    states = next(one for one in parameters if one["name"] == "state")["schema"]["enum"]
    assert sorted(states) == ["active", "cancelled", "finished", "paused"]


def test_either_kind_of_credentials_is_enough(calls: dict[Call, Any]) -> None:
    for call in calls.values():
        assert call["security"] == [{"basic": []}, {"bearer": []}]


def test_nothing_was_left_out_with_a_warning(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    GENERATOR_STATS.reset()
    assert client.get("/api/schema/").status_code == 200
    GENERATOR_STATS.emit_summary()
    assert "Warning" not in capsys.readouterr().err


def referenced(html: str) -> list[str]:
    """Every address that a page makes a browser load."""
    return re.findall(r"""(?:src|href)=["']([^"']+)""", html)


def test_the_page_loads_nothing_from_another_host(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    addresses = referenced(page.content.decode())
    assert len(addresses) >= 4
    for address in addresses:
        assert re.match(r"/(?!/)|\?", address), address
        if address.startswith("/static/"):
            file = address.removeprefix("/static/").partition("#")[0]
            assert finders.find(file), address


def test_the_pages_own_script_asks_only_this_host(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    (script,) = [one for one in referenced(page) if "script" in one and "static" not in one]
    response = client.get(f"/api/docs/{script}" if script.startswith("?") else script)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/javascript")
    assert not re.search(rb"https?://", response.content)
    # The standalone layout would show a badge of a validator on the net.
    assert b"StandaloneLayout" not in response.content
    assert b"/api/schema/" in response.content


def test_the_page_obeys_the_content_security_policy(client: Client) -> None:
    response = client.get("/api/docs/")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    html = response.content.decode()
    # No script stands in the page itself; styles may.
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", html)
    assert not re.search(r"\son\w+=", html)
    assert "unsafe-inline" in policy["style-src"]


def test_the_schema_is_served_as_yaml_too(client: Client) -> None:
    response = client.get("/api/schema/")
    assert response.headers["Content-Type"].startswith("application/vnd.oai.openapi")
    assert b"openapi: 3" in response.content
