"""schemathesis makes up calls from the schema; every answer must be one that the schema tells.

The calls are the same every time. They reach the real application in this process, with a real
run, task and worker put into every other call, else nearly all of them would end in a 404.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

from runs.models import Run
from taskfarm_site.wsgi import application
from tests import factories

# Big runs are tested elsewhere; here they would only be slow.
MANY_TASKS = 50
CHECKS = (
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
)


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """The application stays on the test's connection, inside of the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def described() -> Any:
    """The schema as it is served; made without a request, for no database is open yet."""
    generated = SchemaGenerator().get_schema(public=True)
    found = schemathesis.openapi.from_dict(json.loads(OpenApiJsonRenderer().render(generated)))
    found.app = application
    return found


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """A made-up body: one JSON value a line, or text as it is."""
    if isinstance(value, list):
        value = "\n".join(map(json.dumps, value))
    return str(value).encode(errors="replace")


schema = described()


class Farm:
    """Alice's runs and workers, of which made-up calls get real ones."""

    def __init__(self, alice: User) -> None:
        self.alice = alice
        self.headers = factories.caller(alice)._credentials
        self.turns = itertools.count()

    def a_run(self) -> Run:
        """A run with a task in every state."""
        run = factories.run(self.alice, 5)
        return factories.advance(run, factories.worker(self.alice), done=1, failed=1, computing=1)

    def steer(self, case: Any) -> None:
        """Put real things into the call, each into every other one."""
        turn = next(self.turns)
        path, body = case.path_parameters or {}, case.body
        if "uuid" in path and turn % 2:
            path["uuid"] = self.a_run().uuid.hex
        if "number" in path and turn % 4:
            path["number"] = turn % 5
        if not isinstance(body, dict):
            return
        if "worker_uuid" in body and turn % 4:
            body["worker_uuid"] = factories.worker(self.alice).uuid.hex
        size = body.get("numTasks")
        if type(size) is int and MANY_TASKS < size <= 100_000_000:
            body["numTasks"] = size % MANY_TASKS


@pytest.fixture
def farm(one_connection: None, alice: User) -> Iterator[Farm]:
    """The farm, whose books are right when the test is over."""
    yield Farm(alice)
    for run in Run.objects.all():
        factories.check_books(run)


@schema.parametrize()
@settings(
    max_examples=25, derandomize=True, database=None, deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_one_that_the_schema_tells(case: Any, farm: Farm) -> None:
    farm.steer(case)
    authorization = {"Authorization": farm.headers["HTTP_AUTHORIZATION"]}
    response = case.call(headers=authorization)
    case.validate_response(response, checks=CHECKS)
    # Authenticated all the time: a 401 would mean that nothing was tested.
    assert response.status_code != 401
