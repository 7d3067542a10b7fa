"""A stream of inputs that ends too early: what came before stays, nothing is taken by half."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from taskfarm_worker import Farm

from runs.appending import CHUNK
from runs.models import Run
from tests import factories
from tests.accounts.credentials import basic

pytestmark = pytest.mark.django_db(transaction=True)


def upload(farm: Farm, run: Run, head: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send a body that ends too early; answers status and body of the answer."""
    at = urlsplit(farm._server.url_base)
    lines = (
        f"POST /api/runs/{run.uuid.hex}/tasks HTTP/1.1", f"Host: {at.netloc}",
        f"Authorization: {basic('alice', factories.PASSWORD)}",
        "Content-Type: application/x-ndjson", "Connection: close", head, "", "",
    )  # fmt: skip
    with socket.create_connection((at.hostname, at.port), timeout=30) as line:
        line.sendall("\r\n".join(lines).encode() + body)
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    top, _, content = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(content)


def test_half_a_line_is_not_taken_for_a_whole_one(farm: Farm) -> None:
    run = factories.run(User.objects.get(username="alice"), 1, open=True)
    status, body = upload(farm, run, "Content-Length: 100", b"1\n2\n1234")
    assert (status, body["code"]) == (400, "cut_off")
    assert body["detail"] == "The body was cut off: 8 bytes of 100 came."
    assert Run.objects.get(pk=run.pk).num_tasks == 1


def test_whole_lines_of_a_cut_off_body_are_not_all_there_is(farm: Farm) -> None:
    run = factories.run(User.objects.get(username="alice"), 0, open=True)
    sent = b"1\n" * (CHUNK + 1)
    status, body = upload(farm, run, f"Content-Length: {len(sent) + 2}", sent)
    assert (status, body["code"]) == (400, "cut_off")
    assert f"The {CHUNK} tasks before it, from number 0 on, were added." in body["detail"]
    assert Run.objects.get(pk=run.pk).num_tasks == CHUNK
    factories.check_books(Run.objects.get(pk=run.pk))


def test_chunks_that_end_too_early_are_told_so(farm: Farm) -> None:
    run = factories.run(User.objects.get(username="alice"), 0, open=True)
    status, body = upload(farm, run, "Transfer-Encoding: chunked", b"4\r\n1\n2\n\r\nff\r\n3")
    assert (status, body["code"]) == (400, "cut_off")
    assert Run.objects.get(pk=run.pk).num_tasks == 0
