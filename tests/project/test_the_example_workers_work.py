"""The two workers to start one's own from, as real processes against a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from runs import reports, tallies
from runs.models import Attempt, Run
from runs.states import TaskState
from tests import factories
from tests.client.stub_faults import answer, bad_gateway_after, drop_after, drop_before
from tests.client.taskfarm_stub import Stub
from tests.server import Server

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
CLIENT = EXAMPLES.parent / "worker_client" / "src"


def environment(server: Server, password: str = factories.PASSWORD) -> dict[str, str]:
    """What a worker finds in its environment."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CLIENT),
        "TASKFARM_CONFIG": os.devnull,
        "TASKFARM_URL": server.api,
        "TASKFARM_USER": "alice",
        "TASKFARM_PASSWORD": password,
    }


def alice_has(password: str) -> User:
    """Alice with a password that a real server knows, which has only the slow hash."""
    alice = User.objects.get(username="alice")
    alice.password = make_password(password, hasher="pbkdf2_sha256")
    alice.save()
    return alice


@pytest.fixture
def run(server: Server) -> Run:
    return factories.run(alice_has(factories.PASSWORD), 5)


def test_the_skeleton_does_every_task(server: Server, run: Run) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "skeleton_worker.py", run.uuid.hex],
        env=environment(server), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("second half") == 5
    assert tallies.read(run.id).done == 5


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A command that fails for task 3."""
    path = tmp_path / "command"
    path.write_text('#!/bin/sh\necho "did $*"\ntest "$2" != 3\n')
    path.chmod(0o755)
    return path


def shell(server: Server, *arguments: object, password: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", EXAMPLES / "worker.sh", *map(str, arguments)],
        env=environment(server, password), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_shell_worker_does_every_task_and_reports_failures(
    server: Server, run: Run, command: Path
) -> None:
    done = shell(server, run.uuid.hex, command, "an argument", password=factories.PASSWORD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"did an argument {number}" for number in range(5)]
    counts = tallies.read(run.id)
    assert (counts.done, counts.failed) == (4, 1)
    assert Attempt.objects.filter(run_id=run.id).count() == 5
    assert reports.find_task(run, 3).state == TaskState.FAILED


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that can be told to misbehave."""
    stub = Stub()
    stub.listen()
    yield stub
    stub.ended.set()
    stub.close()


@pytest.mark.once
def test_the_shell_worker_outlives_its_server_and_its_token(stub: Stub, command: Path) -> None:
    run = stub.add_run(2)
    stub.fault("GET", "/token", answer(503, {"detail": "Starting.", "code": "unavailable"}))
    stub.fault("POST", "/worker", drop_after)
    stub.fault("POST", "/task", drop_before)
    stub.fault("PUT", "/tasks/0", bad_gateway_after)
    stub.fault("PUT", "/tasks/1", answer(401, {"detail": "Ended.", "code": "token_ended"}))
    done = subprocess.run(
        ["/bin/sh", EXAMPLES / "worker.sh", run.uuid, command, "x"],
        env={"PATH": os.environ["PATH"], "TASKFARM_URL": stub.url, "TASKFARM_USER": "user",
             "TASKFARM_PASSWORD": "secret"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["did x 0", "did x 1"]
    assert run.status == ["done", "done"]
    assert done.stderr.count("again in 1 s") == 4
    assert (len(stub.workers), stub.faults) == (1, [])


@pytest.mark.parametrize("password", ['a "quoted" \\ and $HOME `id` %41 #x', "ümläut 'single'"])
def test_the_shell_worker_takes_any_password(
    server: Server, run: Run, command: Path, password: str
) -> None:
    alice_has(password)
    assert shell(server, run.uuid.hex, command, password=password).returncode == 0
    assert tallies.read(run.id).waiting == 0


def test_the_shell_worker_says_what_was_refused(server: Server, run: Run, command: Path) -> None:
    wrong = shell(server, run.uuid.hex, command, password="wrong")
    assert (wrong.returncode, "401" in wrong.stderr) == (1, True)
    gone = shell(server, "0" * 32, command, password=factories.PASSWORD)
    assert (gone.returncode, "404" in gone.stderr) == (1, True)
    assert shell(server, password="").returncode == 2
    assert tallies.read(run.id).waiting == 5
