"""A real session with the API, played at build time: the examples are what the farm answers."""

import base64
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

RUN = "da8eb1c10eac4cefb39c8889d6d7170a"
WORKER = "1f0c4b1f6a5b4c0c9a8e1c1f5f0a7d11"
NOBODY = "0" * 32
EVENT = "EVENT"
"""Stands for the id of the last event."""


@dataclass(frozen=True)
class Step:
    """One call of the session: which operation it shows, and what is sent."""

    operation: str
    method: str
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Answered:
    """A call with its answer."""

    step: Step
    status: int
    answer: Any


STEPS = (
    Step("token", "GET", "/api/token"),
    Step("create_run", "POST", "/api/run",
         {"numTasks": 1000, "name": "tiles of 2026", "namespace": "cryosat"}),
    Step("create_run", "POST", "/api/run", {"numTasks": "ten"}),
    Step("list_runs", "GET", "/api/runs"),
    Step("list_runs", "GET", "/api/runs?state=asleep"),
    Step("create_worker", "POST", "/api/worker",
         {"uuid": WORKER, "hostname": "n012", "pid": 4711}),
    Step("create_worker", "POST", "/api/worker",
         {"uuid": WORKER, "hostname": "n012", "pid": 4711}),
    Step("claim_task", "POST", f"/api/runs/{RUN}/task", {"worker_uuid": WORKER}),
    Step("claim_task", "POST", f"/api/runs/{RUN}/task", {"worker_uuid": NOBODY}),
    Step("update_task", "PUT", f"/api/runs/{RUN}/tasks/0", {"percentCompleted": 50}),
    Step("get_task", "GET", f"/api/runs/{RUN}/tasks/0"),
    Step("get_task", "GET", f"/api/runs/{RUN}/tasks/1000"),
    Step("update_task", "PUT", f"/api/runs/{RUN}/tasks/0", {"status": "done"}),
    Step("update_task", "PUT", f"/api/runs/{RUN}/tasks/0", {"status": "failed"}),
    Step("get_run", "GET", f"/api/runs/{RUN}"),
    Step("get_run", "GET", f"/api/runs/{RUN}?info=percentDone"),
    Step("get_run", "GET", f"/api/runs/{RUN}?info=blub"),
    Step("list_tasks", "GET", f"/api/runs/{RUN}/tasks?limit=2"),
    Step("list_tasks", "GET", f"/api/runs/{RUN}/tasks?status=asleep"),
    Step("exchange", "POST", f"/api/worker/{WORKER}/exchange", {"want": 2, "runs": [RUN]}),
    Step("exchange", "POST", f"/api/worker/{WORKER}/exchange",
         {"want": 1, "runs": [RUN],
          "reports": {RUN: [
              {"task": 1, "attempt": 1, "status": "done", "output": {"mean": 0.5}},
              {"task": 2, "attempt": 1, "status": "failed", "exitCode": 1,
               "error": "Traceback (most recent call last):\n  …\nOSError: no tile 2",
               "log": "reading tile 2\n"}]},
          "holding": {RUN: []}}),
    Step("exchange", "POST", f"/api/worker/{WORKER}/exchange",
         {"reports": {RUN: [{"task": 3, "attempt": 7, "percentCompleted": 50}]},
          "holding": {RUN: [[3, 7]]}}),
    Step("exchange", "POST", f"/api/worker/{WORKER}/exchange", {"want": -1}),
    Step("get_results", "GET", f"/api/runs/{RUN}/results"),
    Step("get_results", "GET", f"/api/runs/{RUN}/results?as=csv"),
    Step("get_failures", "GET", f"/api/runs/{RUN}/failures"),
    Step("get_failure_groups", "GET", f"/api/runs/{RUN}/failures/groups"),
    Step("list_attempts", "GET", f"/api/runs/{RUN}/attempts?limit=1"),
    Step("pause_run", "POST", f"/api/runs/{RUN}/pause", {"reason": "the disk is full"}),
    Step("pause_run", "POST", f"/api/runs/{RUN}/pause"),
    Step("explain_task", "GET", f"/api/runs/{RUN}/tasks/17/explain"),
    Step("resume_run", "POST", f"/api/runs/{RUN}/resume"),
    Step("get_policy", "GET", f"/api/runs/{RUN}/policy"),
    Step("change_policy", "PATCH", f"/api/runs/{RUN}/policy",
         {"errorAttempts": 3, "open": True, "reason": "flaky disks"}),
    Step("change_policy", "PATCH", f"/api/runs/{RUN}/policy", {"errorAttempts": 0}),
    Step("append_tasks", "POST", f"/api/runs/{RUN}/tasks", {"inputs": ["a.nc", {"year": 2026}]}),
    Step("append_tasks", "POST", f"/api/runs/{RUN}/tasks", {"inputs": ["a.nc"], "numTasks": 1}),
    Step("end_upload", "POST", f"/api/runs/{RUN}/uploaded"),
    Step("take_back_upload", "DELETE", f"/api/runs/{RUN}/uploaded"),
    Step("restart_run", "POST", f"/api/runs/{RUN}/restart",
         {"status": ["done", "failed"], "tasks": "0-99,200", "reason": "new calibration"}),
    Step("list_events", "GET", f"/api/runs/{RUN}/events?limit=1"),
    Step("undo_event", "POST", f"/api/runs/{RUN}/events/{EVENT}/undo"),
    Step("undo_event", "POST", f"/api/runs/{RUN}/events/{EVENT}/undo"),
    Step("restart_run", "POST", f"/api/runs/{RUN}/restart?all=True"),
    Step("restart_run", "POST", f"/api/runs/{RUN}/restart?all=perhaps"),
    Step("cancel_run", "POST", f"/api/runs/{RUN}/cancel", {"reason": "wrong input"}),
    Step("cancel_run", "POST", f"/api/runs/{RUN}/cancel", {"reason": "wrong input"}),
    Step("sign_off", "DELETE", f"/api/worker/{WORKER}"),
    Step("delete_run", "DELETE", f"/api/runs/{RUN}"),
    Step("delete_run", "DELETE", f"/api/runs/{RUN}"),
)  # fmt: skip


@cache
def play() -> tuple[Answered, ...]:
    """Make all calls on a database in memory."""
    call_command("migrate", verbosity=0)
    client = APIClient(SERVER_NAME="localhost", SERVER_PORT="5000")
    get_user_model().objects.create_user("ada", password="secret")  # noqa: S106
    credentials = base64.b64encode(b"ada:secret").decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {credentials}")
    uuid = event = ""
    played = []
    for step in STEPS:
        path = step.path.replace(RUN, uuid or RUN).replace(EVENT, event or EVENT)
        body = body_of(step).replace(RUN, uuid or RUN)
        response = client.generic(step.method, path, body, "application/json")
        answer = answer_of(response)
        if step.operation == "create_run" and response.status_code == 201:
            uuid = answer["uuid"]
        if step.operation == "list_events":
            event = str(answer["data"][0]["id"])
        shown = replace(step, path=step.path.replace(EVENT, event or EVENT))
        played.append(Answered(shown, response.status_code, told(answer, uuid)))
    connection.close()
    return tuple(played)


def body_of(step: Step) -> str:
    """The body as it is sent."""
    return json.dumps(step.body) if step.body is not None else ""


def answer_of(response: Any) -> Any:
    """What came back: JSON, the text of a stream, or nothing."""
    if response.streaming:
        return b"".join(response.streaming_content).decode()
    return response.json() if response.content else None


def told(answer: Any, uuid: str) -> Any:
    """The answer with the run's UUID of the documentation, and the token cut short."""
    if isinstance(answer, dict):
        return {name: told(value, uuid) for name, value in answer.items()}
    if isinstance(answer, list):
        return [told(value, uuid) for value in answer]
    if isinstance(answer, str):
        text = answer.replace(uuid, RUN) if uuid else answer
        return re.sub(r"^eyJ[\w.-]{20,}$", text[:36] + "…", text)
    return answer


def examples(operation: str) -> list[Answered]:
    """The calls that show one operation."""
    return [one for one in play() if one.step.operation == operation]
