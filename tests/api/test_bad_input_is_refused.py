"""Bad input to every call that takes any: a clear 4xx in the one shape, and nothing changed."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs import tallies
from runs.models import Run, Task, Worker
from tests import factories
from tests.api.shape import assert_refused

UUID = "da8eb1c10eac4cefb39c8889d6d7170a"
GOOD = {
    "run": {"numTasks": 3},
    "worker": {"uuid": UUID, "hostname": "n012", "pid": 4711},
    "task": {"worker_uuid": UUID},
    "put": {"percentCompleted": 50, "status": "computing"},
}
"""A body that each call with a body would take; ``task`` gets the UUID of a real worker."""


class Farm:
    """A run with a task in every state, a worker, and the four calls that take a body."""

    def __init__(self, api: APIClient, alice: User) -> None:
        self.api = api
        self.run = factories.run(alice, 6)
        self.worker = factories.worker(alice)
        factories.advance(self.run, self.worker, done=1, failed=1, computing=1)

    def send(self, call: str, body: bytes, content_type: str = "application/json") -> Any:
        """Make one of the calls with a raw body."""
        verb, address = {
            "run": ("POST", "/api/run"),
            "worker": ("POST", "/api/worker"),
            "task": ("POST", f"/api/runs/{self.run.uuid.hex}/task"),
            "put": ("PUT", f"/api/runs/{self.run.uuid.hex}/tasks/4"),
        }[call]
        return self.api.generic(verb, address, body, content_type=content_type)

    def good(self, call: str) -> dict[str, object]:
        """A body that the call takes."""
        return GOOD[call] if call != "task" else {"worker_uuid": self.worker.uuid.hex}

    def picture(self) -> object:
        """Everything that a refused call must leave alone."""
        rows = list(Task.objects.order_by("id").values())
        return factories.count_rows(), tallies.read(self.run.id), rows


@pytest.fixture
def farm(api: APIClient, alice: User) -> Iterator[Farm]:
    """The farm, of which nothing has changed when the test is over."""
    farm = Farm(api, alice)
    before = farm.picture()
    yield farm
    assert farm.picture() == before
    factories.check_books(farm.run)


@pytest.mark.parametrize("call", GOOD)
def test_the_good_bodies_are_taken(api: APIClient, alice: User, call: str) -> None:
    # Else the refusals below could be refused for another reason.
    farm = Farm(api, alice)
    response = farm.send(call, json.dumps(farm.good(call)).encode())
    assert response.status_code in (201, 204)


DEEP = b"[" * 100_000 + b"]" * 100_000
NO_OBJECTS = {
    "nothing but blanks": b"   ",
    "no JSON": b"numTasks=10",
    "half an object": b'{"numTasks": 10',
    "two objects": b"{}{}",
    "a trailing comma": b'{"numTasks": 10,}',
    "an array": b'[{"numTasks": 10}]',
    "a string": b'"numTasks"',
    "a number": b"10",
    "null": b"null",
    "true": b"true",
    "NaN": b'{"numTasks": NaN, "percentCompleted": NaN}',
    "Infinity": b'{"numTasks": Infinity, "percentCompleted": -Infinity}',
    "invalid UTF-8": b'{"numTasks": "\xff\xfe"}',
    "a cut UTF-8 character": b'{"name": "\xc3"}',
    "UTF-16": '{"numTasks": 10}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"numTasks": 10}',
    "a raw NUL": b'{"numTasks": 10\x00}',
    "NULs only": b"\x00" * 100,
    "100,000 nested arrays": DEEP,
    "100,000 nested arrays in a field": b'{"numTasks": ' + DEEP + b"}",
    "a number of 5,000 digits": b'{"numTasks": 1' + b"0" * 5000 + b"}",
}


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
@pytest.mark.parametrize("call", GOOD)
def test_a_body_that_is_no_json_object(farm: Farm, call: str, body: bytes) -> None:
    assert_refused(farm.send(call, body), 400, "parse_error")


@pytest.mark.parametrize("call", GOOD)
def test_an_empty_body_or_object(farm: Farm, call: str) -> None:
    assert_refused(farm.send(call, b""), 400, "invalid")
    assert_refused(farm.send(call, b"{}"), 400, "invalid")


@pytest.mark.parametrize("call", GOOD)
def test_a_body_of_50_megabytes(farm: Farm, call: str) -> None:
    assert_refused(farm.send(call, b" " * 50_000_000), 413, "too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain", "text/json", "application/x-www-form-urlencoded", "application/xml",
        "multipart/form-data; boundary=x", "multipart/form-data", "json", "\x00", "application/",
        "application/merge-patch+json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", GOOD)
def test_a_wrong_content_type(farm: Farm, call: str, content_type: str) -> None:
    body = json.dumps(farm.good(call)).encode()
    assert_refused(farm.send(call, body, content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["hex", "rot13", "bz2_codec", "utf-16"])
def test_a_charset_that_the_body_is_not_in(farm: Farm, charset: str) -> None:
    response = farm.send("run", b'{"numTasks": 1}', f"application/json; charset={charset}")
    assert_refused(response, 400, "parse_error")


@pytest.mark.parametrize(
    "name", ["blub", "numtasks", "", "\x00", "\ud800", "x" * 10_000, "__proto__"]
)
@pytest.mark.parametrize("call", GOOD)
def test_an_unknown_field(farm: Farm, call: str, name: str) -> None:
    body = json.dumps({**farm.good(call), name: 1}).encode()
    assert_refused(farm.send(call, body), 400, "invalid")


def test_a_thousand_unknown_fields(farm: Farm) -> None:
    body = json.dumps({f"field{number}": number for number in range(1000)}).encode()
    assert_refused(farm.send("run", body), 400, "invalid")


NO_STRINGS = [1, 1.5, True, None, [], ["x"], {}, "\x00", "a\x00b", "\ud800", "\udfff\ud800"]
NO_UUIDS = [*NO_STRINGS, "", " ", "x", "z" * 32, "0" * 31, "0" * 33, "0" * 10_000]
BAD_VALUES: dict[tuple[str, str], list[Any]] = {
    ("run", "numTasks"): [
        -1, 1.5, 10.0, 1e400, "10", "", "ten", True, False, None, [], [10], {}, 10**12, 10**400,
        -(2**63), 2**31, 2**63, 2**64,
    ],
    ("run", "name"): [*NO_STRINGS, "x" * 201],
    ("run", "namespace"): [*NO_STRINGS, "x" * 201],
    ("run", "description"): [*NO_STRINGS, "x" * 10_001],
    ("run", "group"): [*NO_STRINGS, "", "no such group", "x" * 151],
    ("worker", "uuid"): NO_UUIDS,
    ("worker", "hostname"): [*NO_STRINGS, "", "   ", "x" * 256],
    ("worker", "pid"): [-1, 1.5, "1", True, None, [], {}, 2**63, 10**30],
    ("put", "percentCompleted"): [
        -1, -1e-9, 100.000001, 101, 1e400, -1e400, 10**400, "x", "50", "", True, None, [], [50], {},
    ],
    ("put", "status"): [
        "blub", "", "Done", "DONE", "cancelled", "finished", "\x00", "\ud800", "x" * 100_000, 1,
        True, None, [], ["done"], {}, {"done": 1},
    ],
}  # fmt: skip
CASES = [(call, field, value) for (call, field), values in BAD_VALUES.items() for value in values]


def named(case: object) -> str | None:
    """A short name for a value."""
    return repr(case)[:24] if not isinstance(case, str) or len(case) > 20 else None


@pytest.mark.parametrize(("call", "field", "value"), CASES, ids=named)
def test_a_value_of_the_wrong_kind_or_out_of_range(
    farm: Farm, call: str, field: str, value: object
) -> None:
    # json writes 1e400 as Infinity, which is no JSON; as a number it stands for itself.
    body = json.dumps({**farm.good(call), field: value}).replace("Infinity", "1e400")
    response = farm.send(call, body.encode())
    assert list(assert_refused(response, 400, "invalid")["errors"]) == [field]


@pytest.mark.parametrize("depth", [100, 500, 800, 850, 880, 900, 920])
@pytest.mark.parametrize(("call", "field"), BAD_VALUES)
def test_a_value_nested_almost_too_deeply(farm: Farm, call: str, field: str, depth: int) -> None:
    # Deep enough to be parsed, and then too deep for whoever looks at it further down the stack.
    good = json.dumps({**farm.good(call), field: 0}).encode()
    body = good.replace(b": 0", b": " + b"[" * depth + b"]" * depth)
    response = farm.send(call, body)
    assert_refused(response, 400, response.json()["code"])
    assert response.json()["code"] in ("invalid", "parse_error")


@pytest.mark.parametrize(
    ("call", "field"),
    [("run", "numTasks"), ("worker", "uuid"), ("worker", "hostname"), ("worker", "pid"),
     ("task", "worker_uuid")],
)  # fmt: skip
def test_a_missing_field(farm: Farm, call: str, field: str) -> None:
    body = {key: value for key, value in farm.good(call).items() if key != field}
    response = farm.send(call, json.dumps(body).encode())
    assert list(assert_refused(response, 400, "invalid")["errors"]) == [field]


@pytest.mark.parametrize("value", [*NO_STRINGS, "", "x" * 65], ids=named)
def test_a_claim_by_what_is_no_worker_uuid(farm: Farm, value: object) -> None:
    body = json.dumps({"worker_uuid": value}).encode()
    assert_refused(farm.send("task", body), 400, "invalid")


@pytest.mark.parametrize(
    "value", ["x", "0" * 32, "0" * 31, "zz", UUID, "23525410-b8cf-4c9a-8349-891e7a479c8a"]
)
def test_a_claim_by_an_unknown_worker(farm: Farm, value: str) -> None:
    body = json.dumps({"worker_uuid": value}).encode()
    assert_refused(farm.send("task", body), 404, "worker_not_found")


def test_a_claim_by_a_worker_of_another_user(farm: Farm, bob: User) -> None:
    body = {"worker_uuid": factories.worker(bob).uuid.hex}
    # The worker that the test made is not what the refused call must not make.
    picture, response = farm.picture(), farm.send("task", json.dumps(body).encode())
    assert_refused(response, 404, "worker_not_found")
    assert farm.picture() == picture
    bob.workers.all().delete()


BAD_LABELS = {
    "a NUL in a name": r'{"a\u0000": 1}',
    "a NUL in a value": r'{"a": ["x", {"b": "\u0000"}]}',
    "half a surrogate pair in a name": r'{"\ud800": 1}',
    "half a surrogate pair in a value": r'{"a": "\udfff"}',
    "a number beyond all bounds": '{"a": 1e400}',
    "too many": '{"a": "' + "x" * 16_384 + '"}',
    "too many bytes": '{"a": "' + "ä" * 8_192 + '"}',
    "a list": '["a"]',
    "a string": '"a"',
    "null": "null",
    "deep": '{"a": ' + "[" * 7_000 + "]" * 7_000 + "}",
}


@pytest.mark.parametrize("labels", BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_no_database_keeps_or_nobody_needs(farm: Farm, labels: str) -> None:
    body = json.dumps(GOOD["worker"])[:-1] + f', "labels": {labels}}}'
    response = farm.send("worker", body.encode())
    refusal = assert_refused(response, 400, response.json()["code"])
    assert refusal["code"] == "parse_error" or list(refusal["errors"]) == ["labels"]


def test_labels_of_16_kilobytes_are_taken(api: APIClient) -> None:
    labels = {
        "SLURM_JOB_ID": "4711",
        "all": ["ä", 1.5, None],
        "more": "x" * 16_000,
        "no NUL": "\\u0000",
    }
    body = {**GOOD["worker"], "labels": labels}
    assert api.post("/api/worker", body, format="json").status_code == 201
    assert Worker.objects.get().labels == labels


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"status": ["failed", 7, "x"]}, "status: item 2: Must be one of"),
        ({"status": ["blub"]}, "status: item 1: Must be one of"),
        ({"status": "failed"}, "status: Expected a list"),
    ],
)
def test_a_bad_item_of_a_list_is_told_in_words(
    farm: Farm, body: dict[str, object], sentence: str
) -> None:
    response = farm.api.post(f"/api/runs/{farm.run.uuid.hex}/restart", body, format="json")
    refusal = assert_refused(response, 400, "invalid")
    assert refusal["detail"].startswith(sentence)
    assert "ErrorDetail" not in response.content.decode()


def test_a_worker_that_is_registered_twice(farm: Farm, bob: User) -> None:
    body = {**GOOD["worker"], "uuid": farm.worker.uuid.hex}
    assert_refused(farm.send("worker", json.dumps(body).encode()), 409, "worker_exists")
    # Nor by another user, who learns no more than that it is taken.
    response = factories.caller(bob).post("/api/worker", body, format="json")
    assert_refused(response, 409, "worker_exists")
    farm.worker.refresh_from_db()
    assert (farm.worker.owner.username, farm.worker.hostname) == ("alice", "n001")


MALFORMED = [
    "0" * 32, "x", "0" * 31, "0" * 33, "g" * 32, "-1", "1", "%00", "%FF", "%ED%A0%80", "a%20b",
    "..", "%0A", "*", "'", "0" * 3000, "٣" * 32,
]  # fmt: skip
ON_A_RUN: list[tuple[str, str, str]] = [
    ("GET", "", ""), ("DELETE", "", ""), ("POST", "/restart", ""), ("GET", "/tasks", ""),
    ("POST", "/task", '{"worker_uuid": "WORKER"}'), ("GET", "/tasks/0", ""),
    ("PUT", "/tasks/0", '{"status": "done"}'),
]  # fmt: skip


@pytest.mark.parametrize("uuid", MALFORMED, ids=lambda uuid: uuid[:12])
@pytest.mark.parametrize(("verb", "rest", "body"), ON_A_RUN)
def test_an_unknown_or_malformed_run(
    farm: Farm, verb: str, rest: str, body: str, uuid: str
) -> None:
    body = body.replace("WORKER", farm.worker.uuid.hex)
    address = f"/api/runs/{uuid}{rest}"
    response = farm.api.generic(verb, address, body, content_type="application/json")
    assert_refused(response, 404, "run_not_found")


@pytest.mark.parametrize(("verb", "rest", "body"), ON_A_RUN)
def test_somebody_elses_run_looks_like_no_run(
    farm: Farm, bob: User, verb: str, rest: str, body: str
) -> None:
    worker = factories.worker(bob)
    body = body.replace("WORKER", worker.uuid.hex)
    caller = factories.caller(bob)
    hidden, unknown = (
        caller.generic(verb, f"/api/runs/{uuid}{rest}", body, content_type="application/json")
        for uuid in (farm.run.uuid.hex, "0" * 32)
    )
    shown = assert_refused(hidden, 404, "run_not_found")
    # Word for word as for a run that does not exist.
    assert shown["detail"].replace(farm.run.uuid.hex, "0" * 32) == unknown.json()["detail"]
    worker.delete()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("-1", "task_not_found"), ("6", "task_not_found"), (str(2**31), "task_not_found"),
        (str(2**63), "task_not_found"), (str(10**30), "task_not_found"),
        ("-" + "9" * 2000, "task_not_found"), ("1.0", "not_found"), ("x", "not_found"),
        ("1e3", "not_found"), ("٣", "not_found"), ("0%0A", "not_found"), ("+1", "not_found"),
        ("0/", "not_found"), ("0/0", "not_found"), ("%00", "not_found"), ("", "not_found"),
    ],
)  # fmt: skip
def test_a_task_that_the_run_does_not_have(farm: Farm, number: str, code: str) -> None:
    address = f"/api/runs/{farm.run.uuid.hex}/tasks/{number}"
    assert_refused(farm.api.get(address), 404, code)
    assert_refused(farm.api.put(address, {"status": "done"}, format="json"), 404, code)


@pytest.mark.parametrize("info", ["blub", "numTasks", "uuid", "NUMDONE", "%00", " ", "status,uuid"])
def test_an_info_that_does_not_exist(farm: Farm, info: str) -> None:
    address = f"/api/runs/{farm.run.uuid.hex}"
    assert_refused(farm.api.get(f"{address}?info={info}"), 404, "unknown_info")
    assert_refused(farm.api.get(f"{address}/tasks/0?info={info}"), 404, "unknown_info")


@pytest.mark.parametrize(
    ("wrong", "address"),
    [
        (["GET", "PUT", "PATCH", "DELETE"], "/api/run"),
        (["POST", "PUT", "PATCH", "DELETE"], "/api/runs"),
        (["POST", "PUT", "PATCH"], "/api/runs/RUN"),
        (["GET", "PUT", "PATCH", "DELETE"], "/api/runs/RUN/restart"),
        (["GET", "PUT", "PATCH", "DELETE"], "/api/runs/RUN/task"),
        (["PUT", "PATCH", "DELETE"], "/api/runs/RUN/tasks"),
        (["POST", "PATCH", "DELETE", "TRACE", "BLUB"], "/api/runs/RUN/tasks/0"),
        (["POST", "PUT", "PATCH", "DELETE"], "/api/token"),
        (["GET", "PUT", "PATCH", "DELETE"], "/api/worker"),
        (["POST", "PUT", "DELETE"], "/api/schema/"),
        (["POST", "PUT", "DELETE"], "/api/docs/"),
    ],
)  # fmt: skip
def test_a_wrong_method(farm: Farm, wrong: list[str], address: str) -> None:
    address = address.replace("RUN", farm.run.uuid.hex)
    for verb in wrong:
        response = farm.api.generic(verb, address, b"{}", content_type="application/json")
        assert_refused(response, 405, "method_not_allowed")
        assert verb not in response.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    "address", ["run/", "runs/", "runs/RUN/", "runs/RUN/restart/", "runs/RUN/task/",
                "runs/RUN/tasks/", "runs/RUN/tasks/0/", "token/", "worker/", "schema", "docs"],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_a_trailing_slash_too_many_or_too_few(farm: Farm, verb: str, address: str) -> None:
    address = f"/api/{address.replace('RUN', farm.run.uuid.hex)}"
    response = farm.api.generic(verb, address, b"{}", content_type="application/json")
    assert_refused(response, 404, "not_found")


def test_a_group_that_exists_is_refused_in_the_words_for_one_that_does_not(
    farm: Farm, bob: User
) -> None:
    bob.groups.create(name="secret project")
    refusals = [
        farm.send("run", json.dumps({"numTasks": 1, "group": name}).encode())
        for name in ("secret project", "no such")
    ]
    details = [assert_refused(one, 400, "invalid")["detail"] for one in refusals]
    assert details[0].replace("secret project", "no such") == details[1]


CountRows = Callable[[], dict[str, int]]


def test_a_run_just_above_the_limit_makes_no_row(
    api: APIClient, settings: Any, count_rows: CountRows
) -> None:
    settings.TASKFARM_MAX_TASKS = 1000
    before = count_rows()
    response = api.post("/api/run", {"numTasks": 1001}, format="json")
    assert_refused(response, 400, "invalid")
    assert count_rows() == before
    assert api.post("/api/run", {"numTasks": 1000}, format="json").status_code == 201
    assert Run.objects.get().num_tasks == 1000
