"""A real session with the API, played at build time: the examples are what the farm answers."""

import base64
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

RUN = "da8eb1c10eac4cefb39c8889d6d7170a"
WORKER = "1f0c4b1f6a5b4c0c9a8e1c1f5f0a7d11"
NOBODY = "0" * 32


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
    Step("restart_run", "POST", f"/api/runs/{RUN}/restart?all=True"),
    Step("restart_run", "POST", f"/api/runs/{RUN}/restart?all=perhaps"),
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
    uuid = ""
    played = []
    for step in STEPS:
        response = client.generic(
            step.method, step.path.replace(RUN, uuid or RUN), body_of(step), "application/json"
        )
        answer = response.json() if response.content else None
        if step.operation == "create_run" and response.status_code == 201:
            uuid = answer["uuid"]
        played.append(Answered(step, response.status_code, told(answer, uuid)))
    connection.close()
    return tuple(played)


def body_of(step: Step) -> str:
    """The body as it is sent."""
    return json.dumps(step.body) if step.body is not None else ""


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
