"""How commands are ended: by their timeout, by signals, the end of a farm, a cancelled run."""

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from taskfarm_worker import Farm
from taskfarm_worker._work import SECOND_SIGNAL

from tests import factories
from tests.cli.conftest import Said, counts, until
from tests.exchange.unruly import Answer, Proxy
from tests.server import Server

Start = Callable[..., "subprocess.Popen[str]"]

STUBBORN = "trap '' TERM; sleep 1000 & echo $! $$ > pids_$TASKFARM_TASK.part; mv pids_$TASKFARM_TASK.part pids_$TASKFARM_TASK; wait; sleep 1000"  # noqa: E501
"""A command that heeds nothing but SIGKILL, nor does its child."""

HEEDING = "trap 'touch told_$TASKFARM_TASK' TERM; (trap '' TERM; exec sleep 1000) & echo $! $$ > pids_$TASKFARM_TASK.part; mv pids_$TASKFARM_TASK.part pids_$TASKFARM_TASK; wait; sleep 1000"  # noqa: E501
"""A command that tells that it is to end, but does not."""

OWN = """\
import subprocess
from taskfarmer.runners import Runner

class Own(Runner):
    def run(self, taskid, command, logfh):
        return subprocess.call(command, shell=True)
"""
"""A runner of somebody's own, which the farmer forks."""


class Relay(Proxy):
    """Passes calls on to a server, and their answers until it stalls."""

    def __init__(self, port: int) -> None:
        super().__init__(port, 0, lambda method, path: False)
        self.stalled, self.ended = threading.Event(), threading.Event()

    def forward(self, call: Any, body: bytes) -> Answer:
        """Bring a call to the server."""
        answer = super().forward(call, body)
        if self.stalled.is_set():
            self.ended.wait(30)
        return answer


def alive(file: str) -> list[int]:
    """Which of the processes in a file still run."""
    pids = [int(one) for one in Path(file).read_text().split()]
    return [pid for pid in pids if running(pid)]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def both_begun() -> bool:
    return Path("pids_0").exists() and Path("pids_1").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_ends_all_groups_and_gives_their_tasks_back(
    start: Start, farm: Farm, number: int, code: int
) -> None:
    run = farm.create_run(inputs=[STUBBORN, STUBBORN, "true"])
    farmer = start("work", run.uuid, "--proc", 2, "--grace", 0.5)
    until(both_begun)
    farmer.send_signal(number)
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == code, err
    assert (alive("pids_0"), alive("pids_1")) == ([], [])
    assert counts(run) == {"waiting": 3}
    assert {row["outcome"] for row in run.attempts()} == {"released"}


def terminated(file: str) -> bool:
    """Send SIGTERM to a group as long as it is there.

    A shell that is just forking passes one on to nobody: it runs its trap after the command.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(int(Path(file).read_text()), signal.SIGTERM)
    return not alive(file)


@pytest.mark.parametrize("on_signal", ["release", "finish"])
def test_commands_that_a_batch_system_ends_before_the_farmer_have_not_failed(
    start: Start, farm: Farm, on_signal: str
) -> None:
    quick = "echo $$ > pids_$TASKFARM_TASK.part; mv pids_$TASKFARM_TASK.part pids_$TASKFARM_TASK; "
    run = farm.create_run(inputs=[quick + "sleep 1000", quick + "trap 'exit 143' TERM; sleep 1000"])
    farmer = start("work", run.uuid, "--proc", 2, "--on-signal", on_signal)
    until(both_begun)
    until(lambda: all(terminated(file) for file in ("pids_0", "pids_1")))
    farmer.send_signal(signal.SIGTERM)
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == 143, err
    assert counts(run) == {"waiting": 2}
    assert {row["outcome"] for row in run.attempts()} == {"released"}


def test_a_command_that_is_ended_by_somebody_else_has_failed(
    process: Callable[..., Said], farm: Farm
) -> None:
    run = farm.create_run(inputs=["kill -TERM $$", "exit 143", "true"])
    assert process("work", run.uuid, "--proc", 1).code == 0
    assert counts(run) == {"done": 1, "failed": 2}
    said = {row["task"]: row["error"] for row in run.attempts() if row["outcome"] == "failed"}
    assert said[0].endswith("killed by SIGTERM")
    assert "exit code 143" in said[1]


def test_a_second_signal_kills_what_does_not_end_and_gives_it_back(
    start: Start, farm: Farm
) -> None:
    run = farm.create_run(inputs=[HEEDING, HEEDING, "true"])
    farmer = start("work", run.uuid, "--proc", 2, "--grace", 300)
    until(both_begun)
    farmer.send_signal(signal.SIGINT)
    until(lambda: Path("told_0").exists() and Path("told_1").exists())
    time.sleep(SECOND_SIGNAL)  # it has heard the first one; one that comes sooner is its echo
    assert farmer.poll() is None
    assert len(alive("pids_0") + alive("pids_1")) == 4
    farmer.send_signal(signal.SIGINT)
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == 130, err
    assert "Traceback" not in err
    assert (alive("pids_0"), alive("pids_1")) == ([], [])
    assert counts(run) == {"waiting": 3}


def test_a_second_signal_waits_for_no_server_that_does_not_answer(
    start: Start, farm: Farm, farm_server: Server
) -> None:
    run = farm.create_run(inputs=["echo $$ > pids.part; mv pids.part pids; sleep 1000", "true"])
    relay = Relay(farm_server.port)
    user = {"TASKFARM_USER": "alice", "TASKFARM_PASSWORD": factories.PASSWORD}
    with relay.listening():
        env = {**os.environ, **user, "TASKFARM_URL": relay.url}
        farmer = start("work", run.uuid, "--proc", 1, env=env)
        until(Path("pids").exists)
        relay.stalled.set()
        farmer.send_signal(signal.SIGINT)
        until(lambda: not alive("pids"))
        time.sleep(SECOND_SIGNAL)  # it has heard the first one; one that comes sooner is its echo
        began = time.monotonic()
        farmer.send_signal(signal.SIGINT)
        _, err = farmer.communicate(timeout=60)
        relay.ended.set()
    assert time.monotonic() - began < 10, "after one signal it is 20 s"
    assert farmer.returncode == 130, err
    assert "1 report could not be delivered: its task will be done again" in err
    assert "Traceback" not in err


def test_a_farm_ends_in_time(start: Start, farm: Farm) -> None:
    run = farm.create_run(inputs=[STUBBORN, STUBBORN])
    farmer = start("work", run.uuid, "--proc", 2, "--grace", 0.5, "--timeout", 3)
    _, err = farmer.communicate(timeout=60)
    assert (farmer.returncode, "its time was up" in err) == (75, True)
    assert not any(alive(file.name) for file in Path().glob("pids_?"))
    assert counts(run) == {"waiting": 2}


def test_a_task_that_takes_too_long_is_killed_with_all_of_its_group(
    process: Callable[..., Said], farm: Farm
) -> None:
    Path("work.tasks").write_text(f"{STUBBORN}\nsleep 0.2\n")
    said = process("run", "work.tasks", "--proc", 2, "--task-timeout", 1, "--grace", 0.5)
    assert said.code == 3, said.err
    assert alive("pids_0") == []
    run = farm.run(json.loads(Path("work.tasks_workdir/taskfarm.json").read_text())["run"])
    assert counts(run) == {"done": 1, "failed": 1}
    last = next(iter(run.attempts()))
    assert last["outcome"] in ("failed", "timeout")
    if last["outcome"] == "failed":  # the farmer's clock was ahead of the server's
        assert "timeout after 1 s" in last["error"]


def test_a_cancelled_run_ends_its_commands(start: Start, farm: Farm) -> None:
    run = farm.create_run(inputs=[STUBBORN, STUBBORN], heartbeat=1)
    farmer = start("work", run.uuid, "--proc", 2, "--grace", 0.5)
    until(both_begun)
    run.cancel("wrong")
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == 0, err
    assert (alive("pids_0"), alive("pids_1")) == ([], [])
    assert counts(run) == {"cancelled": 2}


def test_finish_lets_commands_end_and_a_second_signal_does_not(start: Start, farm: Farm) -> None:
    command = "touch begun_$TASKFARM_TASK; while [ ! -e go ]; do sleep 0.05; done"
    run = farm.create_run(inputs=[command, command, "true"])
    farmer = start("work", run.uuid, "--proc", 1, "--on-signal", "finish")
    until(Path("begun_0").exists)
    farmer.send_signal(signal.SIGUSR1)
    Path("go").touch()
    farmer.communicate(timeout=60)
    assert farmer.returncode == 75
    assert counts(run) == {"done": 1, "waiting": 2}


def test_progress_is_printed_or_written(start: Start, farm: Farm) -> None:
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    spoken = f"echo 'taskfarm: 40%'; {wait}"
    written = f"echo 60 >&$TASKFARM_PROGRESS_FD; {wait}"
    run = farm.create_run(inputs=[spoken, written])
    farmer = start("work", run.uuid, "--proc", 2)
    until(lambda: [row["percentCompleted"] for row in run.tasks()] == [40, 60])
    Path("go").touch()
    farmer.communicate(timeout=60)
    assert counts(run) == {"done": 2}


def test_what_a_command_leaves_in_the_background_is_ended(
    process: Callable[..., Said], farm: Farm
) -> None:
    stubborn = "(trap '' TERM; while :; do sleep 1000; done) & echo $! > left_1; exit 3"
    run = farm.create_run(inputs=["sleep 1000 & echo $! > left_0", stubborn])
    assert process("work", run.uuid, "-n", 2, "--grace", 0.5).code == 0
    assert (alive("left_0"), alive("left_1")) == ([], [])
    assert counts(run) == {"done": 1, "failed": 1}  # as it ended itself
    assert next(run.failures())["exitCode"] == 3


def test_what_ends_by_itself_in_the_background_may_end(
    process: Callable[..., Said], farm: Farm
) -> None:
    run = farm.create_run(inputs=["(sleep 0.3; echo to the end) & exit 0"])
    assert process("work", run.uuid, "-w", "w").code == 0
    assert Path("w/logs/log_0").read_text() == "to the end\n"


NEVER_REAPS = """
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
sys.exit(subprocess.Popen([sys.executable, "-m", "taskfarm_worker", *sys.argv[1:]]).wait())
"""
"""Stands in for the init of a container that takes orphans, and never asks how they ended."""


def test_orphans_that_have_ended_are_not_waited_for(farm: Farm) -> None:
    run = farm.create_run(inputs=["(sleep 0.1) & true"] * 8)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", NEVER_REAPS, "work", run.uuid, "-n", "4"])
    assert (done.returncode, counts(run)) == (0, {"done": 8})
    assert time.monotonic() - began < 12, "as long as one would be waited for"


@pytest.mark.parametrize("how", ["release", "finish"])
def test_what_has_ended_before_a_signal_is_not_done_again(
    start: Start, farm: Farm, how: str
) -> None:
    left = "sleep 1000 & echo $$ > leader_$TASKFARM_TASK; exit {}"
    run = farm.create_run(inputs=[left.format(0), left.format(4), "touch long; sleep 3"])
    farmer = start("work", run.uuid, "-n", 3, "--grace", 1, "--on-signal", how)
    until(lambda: all(Path(one).exists() for one in ("leader_0", "leader_1", "long")))
    until(lambda: not alive("leader_0") + alive("leader_1"))
    farmer.send_signal(signal.SIGUSR1)
    farmer.communicate(timeout=60)
    last = {"done": 1, "failed": 1, "waiting": 1} if how == "release" else {"done": 2, "failed": 1}
    assert (farmer.returncode, counts(run)) == (75, last)


def test_a_command_that_ends_well_after_its_time_has_timed_out(
    process: Callable[..., Said], farm: Farm
) -> None:
    polite = "trap 'exit 0' TERM; sleep 1000 & wait"
    run = farm.create_run(inputs=[polite], task_timeout=1, timeout_attempts=1, heartbeat=60)
    assert process("work", run.uuid, "--grace", 5).code == 0
    assert counts(run) == {"failed": 1}
    assert next(iter(run.attempts()))["outcome"] == "timeout"


def test_time_that_is_too_short_for_any_command_is_no_success(
    process: Callable[..., Said], farm: Farm
) -> None:
    Path("work.tasks").write_text("true\n" * 3)
    said = process("run", "work.tasks", "--timeout", 0)
    assert said.code == 75, said.err
    assert "'taskfarm run -w work.tasks_workdir' goes on with it" in said.err
    Path("long.tasks").write_text("sleep 2\n" * 5)
    said = process("run", "long.tasks", "-n", 1, "--timeout", 5)
    assert (said.code, "stopped, since" in said.err) == (75, True), said.err
    # Neither where the farm itself tells that nothing fits.
    said = process("work", "long.tasks_workdir", "--timeout", 1)
    assert (said.code, "stopped, since" in said.err) == (75, True), said.err


def test_nobody_has_to_read_what_is_told(farm: Farm) -> None:
    run = farm.create_run(inputs=["sleep 0.05"] * 8)
    for redirected in ("2>/dev/full", "2>&-", "2>&1 | head -1"):
        words = f"{sys.executable} -m taskfarm_worker work {run.uuid} -v -n 2 {redirected}"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", words], check=False)
        assert done.returncode == 0, redirected
        assert counts(run) == {"done": 8}
        run.restart(everything=True)


def test_a_process_that_was_a_farmer_adopts_nobody_afterwards(
    taskfarm: Callable[..., Said], farm: Farm
) -> None:
    """It reaps no more: what it adopted would look alive for ever."""
    assert taskfarm("work", farm.create_run(inputs=["true"]).uuid).code == 0
    adopts = ctypes.c_int(7)
    ctypes.CDLL(None).prctl(37, ctypes.byref(adopts), 0, 0, 0)
    assert adopts.value == 0


def test_an_error_that_nobody_can_be_told_keeps_its_exit_code(farm: Farm) -> None:
    for words in ("taskfarm_worker status nothing", "taskfarm_worker.manage 0 --info"):
        call = f"{sys.executable} -m {words} 2>/dev/full"
        done = subprocess.run(["bash", "-c", call], check=False)
        assert done.returncode == 1, words


def test_a_run_that_its_policy_pauses_is_not_waited_for(
    process: Callable[..., Said], farm: Farm
) -> None:
    Path("work.tasks").write_text("false\n" * 12)
    said = process("run", "work.tasks", "-n", 1, "--max-fails", 3)
    assert said.code == 75, said.err
    assert "its policy has paused the run: " in said.err
    assert re.search(r"see 'taskfarm failures \w+'; 'taskfarm resume \w+' lets it go on", said.err)
    # Nor later, when something else has happened to it.
    run = farm.run(json.loads(Path("work.tasks_workdir/taskfarm.json").read_text())["run"])
    run.restart(states=["failed"])
    said = process("run", "work.tasks")
    assert (said.code, "its policy has paused the run: " in said.err) == (75, True), said.err


def test_who_has_paused_a_run_is_told_while_it_is_waited_for(start: Start, farm: Farm) -> None:
    run = farm.create_run(inputs=["true"])
    run.pause("the disk is full")
    farmer = start("work", run.uuid)
    assert farmer.stderr is not None
    assert farmer.stderr.readline() == (
        "The run is paused by alice: the disk is full. It is waited for.\n"
    )
    run.resume()
    farmer.communicate(timeout=60)
    assert (farmer.returncode, counts(run)) == (0, {"done": 1})


def test_tasks_kept_ahead_are_given_back_while_a_long_one_runs(start: Start, farm: Farm) -> None:
    quick = ["true"] * 40
    long = "touch begun; while [ ! -e go ]; do sleep 0.05; done"
    run = farm.create_run(inputs=[*quick, long, *quick])
    script = (
        "import sys; from taskfarm_worker import _courier; _courier.STUCK = 1.0; _courier.HEARTBEAT"
        " = 1.0; from taskfarm_worker.cli._main import main; sys.exit(main(sys.argv[1:]))"
    )
    stuck = subprocess.Popen([sys.executable, "-c", script, "work", run.uuid, "-n", "1"])
    try:
        until(Path("begun").exists)
        other = start("work", run.uuid, "-n", 1)
        until(lambda: counts(run) == {"done": 80, "computing": 1})
        Path("go").touch()
        assert stuck.wait(60) == 0
        other.communicate(timeout=60)
    finally:
        stuck.kill()
        stuck.wait()
    assert counts(run) == {"done": 81}


def test_what_was_ignored_from_the_start_stays_ignored(farm: Farm) -> None:
    run = farm.create_run(inputs=["touch begun; while [ ! -e go ]; do sleep 0.05; done"])
    words = ["nohup", sys.executable, "-m", "taskfarm_worker", "work", run.uuid]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as farmer:
        until(Path("begun").exists)
        farmer.send_signal(signal.SIGHUP)
        Path("go").touch()
        assert farmer.wait(60) == 0
    assert counts(run) == {"done": 1}


class Closed(Relay):
    """Passes all calls on but the one with which a worker registers."""

    def __init__(self, port: int, silent: bool) -> None:
        super().__init__(port)
        self.silent, self.asked = silent, threading.Event()

    def forward(self, call: Any, body: bytes) -> Answer:
        """Bring a call to the server, if it is open for it."""
        if not call.path.endswith("/worker"):
            return super().forward(call, body)
        self.asked.set()
        if self.silent:
            self.ended.wait(30)
        return Answer(503, [], b"")


@pytest.mark.once
@pytest.mark.parametrize("silent", [False, True], ids=["away", "silent"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_waits_for_no_server_at_which_to_register(
    start: Start, farm: Farm, farm_server: Server, number: int, code: int, silent: bool
) -> None:
    run = farm.create_run(inputs=["touch begun"])
    relay = Closed(farm_server.port, silent)
    user = {"TASKFARM_USER": "alice", "TASKFARM_PASSWORD": factories.PASSWORD}
    with relay.listening():
        farmer = start("work", run.uuid, env={**os.environ, **user, "TASKFARM_URL": relay.url})
        assert relay.asked.wait(60)
        farmer.send_signal(number)
        _, err = farmer.communicate(timeout=20)  # it would have tried for an hour
        relay.ended.set()
    assert farmer.returncode == code, err
    assert f"it got {signal.Signals(number).name}" in err
    assert "Traceback" not in err
    assert counts(run) == {"waiting": 1}


def test_a_farmer_that_is_killed_takes_its_commands_with_it(start: Start, farm: Farm) -> None:
    """With the whole of its own group, so that its guard must not be in it."""
    Path("own.py").write_text(OWN)
    Path("runners.ini").write_text("[own]\nRunner = own.Own\n")
    run = farm.create_run(inputs=[STUBBORN, STUBBORN])
    for runner in ("default", "own"):
        words = ("work", run.uuid, "--proc", 2, "--grace", 0.5, "--runner", runner)
        path = {**os.environ, "PYTHONPATH": os.getcwd()}
        farmer = start(*words, start_new_session=True, env=path)
        until(both_begun)
        os.killpg(farmer.pid, signal.SIGKILL)
        assert farmer.wait(60) == -signal.SIGKILL
        until(lambda: not alive("pids_0") + alive("pids_1"))
        Path("pids_0").unlink()
        Path("pids_1").unlink()
        run.restart()


@pytest.mark.once
def test_a_command_that_was_just_being_started_is_found(here: Path) -> None:
    """A process is killed while it waits for the new one to become another program."""
    script = (
        "import os, signal\n"
        "from taskfarm_worker.commands.guard import Guard\n"
        "guard = Guard(2, 'abc', 0.5)\n"
        "guard.starting(2, 7, 1)\n"
        "names = {'TASKFARM_WORKER': 'abc', 'TASKFARM_TASK': '7', 'TASKFARM_ATTEMPT': '1'}\n"
        f"words = ['sh', '-c', {STUBBORN!r}]\n"
        "pid = os.posix_spawn('/bin/sh', words, {**os.environ, **names}, setpgroup=0)\n"
        "while not os.path.exists('pids_7'):\n"
        "    pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    until(lambda: not alive("pids_7"))


def test_the_guard_of_a_farmer_ends_with_it_and_not_before(start: Start, farm: Farm) -> None:
    run = farm.create_run(inputs=["touch begun; while [ ! -e go ]; do sleep 0.05; done"])
    farmer = start("work", run.uuid, "--proc", 2)
    until(Path("begun").exists)
    guard = [pid for pid in children(farmer.pid) if b"taskfarm" in command_line(pid)]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(guard[0], number)
    assert running(guard[0])
    Path("go").touch()
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == 0, err
    assert not running(guard[0])
    assert counts(run) == {"done": 1}
