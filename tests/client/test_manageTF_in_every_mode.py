"""manageTF: every option, its output, its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import taskfarm_worker
from stub_faults import answer
from taskfarm_stub import Stub
from taskfarm_worker import __version__, manage

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def farm(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setenv("TASKFARM_URL", stub.url)
    monkeypatch.setenv("TASKFARM_USER", "user")
    monkeypatch.setenv("TASKFARM_PASSWORD", "secret")
    monkeypatch.setenv("TASKFARM_PATIENCE", "0")
    stub.add_run(3)
    run = stub.add_run(4)
    run.status[:] = ["done", "done", "computing", "waiting"]
    run.percent[:] = [100, 100, 40, 0]
    return stub


def uuid_of(stub: Stub) -> str:
    return list(stub.runs)[-1]


@pytest.mark.parametrize("option", ["-l", "--list"])
def test_list_prints_a_line_per_run(farm: Stub, capsys: Capture, option: str) -> None:
    assert manage.main([option]) == 0
    first, second = farm.runs
    assert capsys.readouterr() == (f"1 {first} 3\n2 {second} 4\n", "")


@pytest.mark.parametrize("option", ["-i", "--info"])
def test_info_prints_the_counts(farm: Stub, capsys: Capture, option: str) -> None:
    uuid = uuid_of(farm)
    assert manage.main([uuid, option]) == 0
    assert capsys.readouterr() == (f"2 {uuid} 4 (1,1,2) 60.0\n", "")


@pytest.mark.parametrize(
    ("option", "waiting"), [("-r", 2), ("--reset", 2), ("-R", 4), ("--reset-all", 4)]
)
def test_reset_puts_tasks_back(farm: Stub, capsys: Capture, option: str, waiting: int) -> None:
    assert manage.main([option, uuid_of(farm)]) == 0
    assert farm.runs[uuid_of(farm)].status.count("waiting") == waiting
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("option", ["-d", "--delete"])
def test_delete_deletes(farm: Stub, capsys: Capture, option: str) -> None:
    uuid = uuid_of(farm)
    assert manage.main([uuid, option]) == 0
    assert uuid not in farm.runs
    assert capsys.readouterr() == ("", "")


def test_a_uuid_alone_checks_that_the_run_is_there(farm: Stub, capsys: Capture) -> None:
    assert manage.main([uuid_of(farm)]) == 0
    assert capsys.readouterr() == ("", "")
    assert manage.main(["0" * 32]) == 1


def test_create_prints_just_the_uuid(farm: Stub, capsys: Capture) -> None:
    assert manage.main(["--create", "5", "--name", "ice", "--namespace", "north"]) == 0
    uuid = uuid_of(farm)
    assert capsys.readouterr() == (f"{uuid}\n", "")
    assert farm.runs[uuid].row() == {
        "id": 3,
        "uuid": uuid,
        "numTasks": 5,
        "name": "ice",
        "namespace": "north",
    }


def test_info_tells_of_failures_beside_the_published_line(farm: Stub, capsys: Capture) -> None:
    uuid = uuid_of(farm)
    info = {**farm.runs[uuid].info(), "numFailed": 1, "numCancelled": 2}
    farm.fault("GET", uuid, answer(200, info), answer(200, info))
    assert manage.main([uuid, "--info"]) == 0
    out, err = capsys.readouterr()
    assert out == f"2 {uuid} 4 (1,1,2) 60.0\n"
    assert err == (
        "manageTF: 1 task failed; --reset hands out again what is not done\n"
        "manageTF: 2 tasks cancelled; --reset hands out again what is not done\n"
    )


def test_create_shares_the_run_with_a_group(farm: Stub) -> None:
    assert manage.main(["--create", "5", "--group", "ice people"]) == 0
    assert farm.runs[uuid_of(farm)].labels == {"group": "ice people"}


def test_json_everywhere(farm: Stub, capsys: Capture) -> None:
    assert manage.main(["--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [run.row() for run in farm.runs.values()]
    assert manage.main([uuid_of(farm), "--info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == farm.runs[uuid_of(farm)].info()
    assert manage.main(["--create", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"uuid": uuid_of(farm), "numTasks": 5}


def test_options_go_before_the_environment(
    farm: Stub, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.users["other"] = "hush"
    monkeypatch.setenv("TASKFARM_URL", "http://nowhere.invalid")
    assert manage.main(["-l", "-b", farm.url, "-u", "other", "-p", "hush"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["0" * 32, "--info"], "There is no such run"),
        (["--list", "-u", "user", "-p", "wrong"], "Wrong user or password"),
        (["--list", "-b", "localhost"], "not the address of a server"),
        (["--list", "-b", "http://127.0.0.1:1"], "connection refused"),
        (["--create", "0"], "numTasks: Must be at least 1"),
    ],
)
def test_a_failure_is_one_line_and_code_1(
    farm: Stub, capsys: Capture, arguments: list[str], complaint: str
) -> None:
    assert manage.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.startswith("manageTF: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--info"],
        ["--list", "--info"],
        ["--create", "ten"],
        ["--create", "5", "0" * 32],
        ["0" * 32, "--info", "--name", "ice"],
        ["0" * 32, "--info", "--group", "ice people"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_code_2(farm: Stub, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        manage.main(arguments)
    assert caught.value.code == 2
    assert not farm.calls


def test_an_answer_without_the_counts_is_no_traceback(farm: Stub, capsys: Capture) -> None:
    uuid = uuid_of(farm)
    row = {"uuid": uuid, "numTasks": 4}
    farm.fault("GET", uuid, answer(200, row), answer(200, row))
    assert manage.main([uuid, "-i"]) == 1
    assert "no 'id'" in capsys.readouterr().err


def test_a_password_is_asked_for_on_a_terminal(
    farm: Stub, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "secret"

    monkeypatch.delenv("TASKFARM_PASSWORD")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", ask)
    assert manage.main(["-l"]) == 0
    assert asked == [f"Password of user at {farm.url}: "]


def test_without_a_terminal_a_missing_password_is_an_error(
    farm: Stub, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKFARM_PASSWORD")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert manage.main(["-l"]) == 1
    assert "No password for user 'user'" in capsys.readouterr().err
    assert not farm.calls


def test_the_login_name_is_the_user_of_last_resort(
    farm: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.users["me"] = "secret"
    monkeypatch.delenv("TASKFARM_USER")
    monkeypatch.delenv("TASKFARM_PASSWORD")
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    assert manage.main(["-l", "-p", "secret"]) == 0


def test_no_user_at_all_is_an_error(
    farm: Stub, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("no account")

    monkeypatch.delenv("TASKFARM_USER")
    monkeypatch.setattr("getpass.getuser", nobody)
    assert manage.main(["-l", "-p", "secret"]) == 1
    assert "No user: give one with -u" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(
    farm: Stub, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(manage, "tfRuns", interrupted)
    assert manage.main(["-l"]) == 130
    assert capsys.readouterr().err == "manageTF: interrupted\n"


def test_help_warns_about_passwords_on_the_command_line(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        manage.main(["--help"])
    assert caught.value.code == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert "visible to all users of this machine" in help_text
    assert "hello" not in help_text


def run_as_a_program(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    source = str(Path(taskfarm_worker.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "taskfarm_worker.manage", *arguments],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_runs_as_a_program(farm: Stub) -> None:
    done = run_as_a_program(["-l"])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
    failed = run_as_a_program(["0" * 32, "-i"])
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1
    assert run_as_a_program(["--version"]).stdout == f"manageTF {__version__}\n"


def test_a_full_disk_is_told_in_plain_words(farm: Stub) -> None:
    call = f"{sys.executable} -m taskfarm_worker.manage --list > /dev/full"
    source = str(Path(taskfarm_worker.__file__).parent.parent)
    done = subprocess.run(
        ["sh", "-c", call], env={**os.environ, "PYTHONPATH": source}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    told = "manageTF: Output cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_reader_that_leaves_early_is_no_error(farm: Stub) -> None:
    for _ in range(3000):
        farm.add_run(1)
    source = str(Path(taskfarm_worker.__file__).parent.parent)
    command = f"{sys.executable} -m taskfarm_worker.manage -l | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
