"""`taskfarm submit` of a long list that ends in its middle: by Ctrl-C, and by SIGKILL."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from taskfarm_worker import Farm, Run
from taskfarm_worker._errors import told
from taskfarm_worker.cli import _beginning, _working

from tests import factories
from tests.cli.conftest import Said, counts
from tests.exchange.unruly import Answer, Proxy
from tests.server import Server

Call = Callable[..., Said]
Start = Callable[..., "subprocess.Popen[str]"]

PIECE = 20_000
"""Inputs that the client sends at once."""


class Holding(Proxy):
    """Passes calls on to a server; the answer to the second piece of a list does not come."""

    def __init__(self, port: int) -> None:
        super().__init__(port, 0, lambda method, path: False)
        self.pieces = 0
        self.reached, self.ended = threading.Event(), threading.Event()

    def forward(self, call: Any, body: bytes) -> Answer:
        """Bring a call to the server."""
        answer = super().forward(call, body)
        self.pieces += call.path.endswith("/tasks")
        if self.pieces == 2 and not self.reached.is_set():
            self.reached.set()
            self.ended.wait(60)
        return answer


@pytest.fixture
def name() -> str:
    """Of a list, and so of its run: all runs of these tests are on one server."""
    return f"{uuid4().hex}.tasks"


@pytest.fixture
def relay(farm_server: Server) -> Iterator[Holding]:
    """What stands between the commands of a test and the server."""
    relay = Holding(farm_server.port)
    with relay.listening():
        yield relay
        relay.ended.set()


@pytest.fixture
def halfway(start: Start, relay: Holding, name: str) -> "subprocess.Popen[str]":
    """A submission of which two pieces of three have come."""
    Path(name).write_text("true\n" * (2 * PIECE + 1))
    submission = start("submit", name, env=through(relay))
    assert relay.reached.wait(60)
    return submission


def through(relay: Proxy) -> dict[str, str]:
    """The environment of a command that calls the server through a relay."""
    user = {"TASKFARM_USER": "alice", "TASKFARM_PASSWORD": factories.PASSWORD}
    return {**os.environ, **user, "TASKFARM_URL": relay.url}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_ctrl_c_or_a_signal_nothing_is_left(
    halfway: "subprocess.Popen[str]", farm: Farm, name: str, number: int
) -> None:
    (run,) = farm.runs(name=name)
    assert run.info()["state"] == "paused"
    halfway.send_signal(number)
    _, err = halfway.communicate(timeout=60)
    said = "taskfarm: interrupted. Nothing was submitted.\n"
    assert (halfway.returncode, err) == (128 + number, said)
    assert list(farm.runs(name=name)) == []


def test_after_ctrl_c_a_run_that_could_not_be_deleted_is_not_called_nothing(
    halfway: "subprocess.Popen[str]", taskfarm: Callable[..., Said], farm: Farm, name: str
) -> None:
    (run,) = farm.runs(name=name)
    assert taskfarm("close", run.uuid).code == 0  # somebody makes do with what has come
    halfway.send_signal(signal.SIGINT)
    _, err = halfway.communicate(timeout=60)
    assert halfway.returncode == 130
    assert f"interrupted. Run {run.uuid} is kept with the {2 * PIECE:,} tasks" in err
    assert counts(run) == {"waiting": 2 * PIECE}


def test_what_a_kill_leaves_is_not_handed_out_and_says_why(
    halfway: "subprocess.Popen[str]",
    start: Start,
    taskfarm: Call,
    farm: Farm,
    name: str,
) -> None:
    halfway.kill()
    halfway.communicate(timeout=60)
    (run,) = farm.runs(name=name)
    farmer = start("work", run.uuid)
    assert farmer.stderr is not None
    assert (
        "The run is paused by its policy: its inputs are still being uploaded. It is waited for."
    ) in farmer.stderr.readline()
    waiting = start("wait", run.uuid)
    assert waiting.stderr is not None
    name = run.uuid[:12]
    assert f"If it was cut short, 'taskfarm delete {name}'" in waiting.stderr.readline()
    assert counts(run) == {"waiting": 2 * PIECE}
    assert f"'taskfarm close {name}'" in taskfarm("status", run.uuid).out
    refused = taskfarm("resume", run.uuid)
    assert (refused.code, "is not complete" in refused.err) == (1, True), refused
    run.cancel("it is not complete")
    farmer.communicate(timeout=60)
    assert farmer.returncode == 0


def test_what_has_come_can_be_worked_on_alone(
    halfway: "subprocess.Popen[str]", taskfarm: Call, farm: Farm, name: str
) -> None:
    halfway.kill()
    halfway.communicate(timeout=60)
    (run,) = farm.runs(name=name)
    assert taskfarm("close", run.uuid).code == 0
    assert (run.info()["state"], run.info()["uploading"]) == ("active", False)
    assert run.policy()["open"] is False
    assert "not complete" not in taskfarm("status", run.uuid).out


def test_what_others_have_taken_in_hand_is_named_with_what_has_come(
    halfway: "subprocess.Popen[str]", relay: Holding, farm: Farm, name: str
) -> None:
    (run,) = farm.runs(name=name)
    run.cancel()
    relay.ended.set()
    _, err = halfway.communicate(timeout=60)
    assert halfway.returncode == 1
    assert f"Run {run.uuid} is kept with the 40,000 tasks that have come" in err


def test_a_uuid_that_cannot_be_printed_is_told_on_stderr(farm: Farm, name: str) -> None:
    Path(name).write_text("true\n")
    command = f"{shlex.quote(sys.executable)} -m taskfarm_worker submit {name} > /dev/full"
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    (run,) = farm.runs(name=name)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"taskfarm: run {run.uuid} has been made, and goes on.",
        "taskfarm: Output cannot be written: No space left on device.",
    ]


def test_a_farmer_says_that_an_open_run_may_get_more(
    start: Start, taskfarm: Call, farm: Farm
) -> None:
    run = farm.create_run(inputs=["true"], open=True)
    farmer = start("work", run.uuid)
    assert farmer.stderr is not None
    assert f"'taskfarm close {run.uuid[:12]}' says that none will come" in farmer.stderr.readline()
    assert taskfarm("close", run.uuid).code == 0
    farmer.communicate(timeout=60)
    assert (farmer.returncode, counts(run)) == (0, {"done": 1})


def test_the_next_call_sets_a_run_going_whose_farmer_was_killed_before(
    taskfarm: Call, farm: Farm, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(name).write_text("true\ntrue\n")
    with monkeypatch.context() as patch:
        patch.setattr(_working, "set_going", killed)
        assert taskfarm("run", name, "--open").code == 130
    (run,) = farm.runs(name=name)
    assert (run.info()["state"], run.info()["numTasks"]) == ("paused", 2)
    assert taskfarm("run", name, "--timeout", 0).code == 75
    assert (run.info()["state"], run.info()["uploading"]) == ("active", False)
    assert run.policy()["open"] is True
    assert len(list(farm.runs(name=name))) == 1


def killed(*_: object) -> None:
    """End a command in its middle."""
    raise KeyboardInterrupt


class Deaf(Proxy):
    """Passes calls on to a server, but for deletions."""

    def forward(self, call: Any, body: bytes) -> Answer:
        """Bring a call to the server."""
        return Answer(502, [], b"") if call.command == "DELETE" else super().forward(call, body)


@pytest.mark.parametrize("deaf", [False, True])
def test_of_two_farmers_on_a_new_folder_one_makes_the_run(
    taskfarm: Call,
    farm_server: Server,
    farm: Farm,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    deaf: bool,
) -> None:
    Path(name).write_text("true\n")
    make_run = _beginning.make_run

    def late(*given: Any, **options: Any) -> Run:
        made = make_run(*given, **options)
        monkeypatch.setattr(_beginning, "make_run", make_run)
        assert taskfarm("run", name, "--timeout", 0).code == 75
        return made

    monkeypatch.setattr(_beginning, "make_run", late)
    relay = Deaf(farm_server.port, 0, lambda method, path: False)
    with relay.listening():
        for key, value in through(relay).items() if deaf else ():
            monkeypatch.setenv(key, value)
        said = taskfarm("run", name, "--timeout", 0)
    assert said.code == 75, said.err
    ours = json.loads(Path(f"{name}_workdir/taskfarm.json").read_text())["run"]
    others = [run for run in farm.runs(name=name) if run.uuid != ours]
    assert len(others) == deaf
    for run in others:
        assert (run.info()["state"], run.info()["uploading"]) == ("paused", True)
        assert f"Run {run.uuid} may be left, paused" in said.err


def test_a_folder_tells_of_its_first_submission_that_was_killed(
    start: Start, relay: Holding, taskfarm: Call, farm: Farm, name: str
) -> None:
    Path(name).write_text("true\n" * (2 * PIECE + 1))
    submission = start("run", name, env=through(relay))
    assert relay.reached.wait(60)
    submission.kill()
    submission.communicate(timeout=60)
    said = taskfarm("run", "--workdir", f"{name}_workdir")
    assert (said.code, "as its first submission was cut off: name a tasklist" in said.err) == (
        1,
        True,
    )
    (run,) = farm.runs(name=name)
    Path(name).write_text("true\n")
    said = taskfarm("run", name, "--timeout", 0)
    assert said.code == 75
    assert f"Run {run.uuid} of the same name is not complete" in said.err
    assert said.err.count("of the same name") == 1, "not of the run that was just made"


def test_a_run_that_stays_open_is_open_from_its_first_moment(
    taskfarm: Call, farm: Farm, name: str
) -> None:
    Path(name).write_text("true\n")
    assert taskfarm("run", name, "--open", "--timeout", 0).code == 75
    (run,) = farm.runs(name=name)
    assert run.policy()["open"] is True
    assert [event["what"] for event in run.events()] == ["uploaded", "append", "pause"]


def test_ctrl_c_while_a_run_is_made_says_that_it_may_be_there(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(call: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(farm._server, "call", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        farm.create_run(1)
    assert "may have been created all the same" in told(caught.value)[0]
