"""With `rich` installed and a person looking on, output is drawn; in a pipe it stays plain."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from taskfarm_worker import Farm
from taskfarm_worker.cli import _screen

from tests.cli.conftest import Said

pytest.importorskip("rich")


def on_a_terminal(*arguments: object, **variables: str) -> tuple[int, str]:
    """Call the command line on a terminal; answers its exit code and all that it drew."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "taskfarm_worker", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=env,
    )  # fmt: skip
    os.close(theirs)
    drawn = b"".join(pieces(ours))
    os.close(ours)
    return process.wait(60), drawn.decode()


def pieces(terminal: int) -> Iterator[bytes]:
    """What is drawn, until the last process lets go of the terminal."""
    with suppress(OSError):
        while piece := os.read(terminal, 4096):
            yield piece


def test_a_table_has_colours(farm: Farm) -> None:
    run = farm.create_run(2)
    code, drawn = on_a_terminal("tasks", run.uuid)
    assert (code, "\x1b[" in drawn, "waiting" in drawn) == (0, True, True)


def test_watching_draws_a_bar_to_the_end(farm: Farm) -> None:
    run = farm.create_run(2, name="drawn")
    run.work(lambda task: None)
    code, drawn = on_a_terminal("status", run.uuid, "--watch")
    assert (code, "━" in drawn, "2 done" in drawn) == (0, True, True)
    assert not any("━" in line and "state" in line for line in drawn.splitlines())


def test_work_shows_how_it_goes(farm: Farm) -> None:
    run = farm.create_run(inputs=["sleep 1.5"])
    code, drawn = on_a_terminal("work", run.uuid)
    assert (code, "0 done, 0 failed, 1 running" in drawn) == (0, True)


def test_a_long_upload_shows_how_far_it_is_to_a_person_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_screen, "PATIENCE", 0.0)
    for looks_on, drawn in ((True, "\r0 of 1,500 sent\r1,000 of 1,500 sent\r1,500 inputs sent"),
                            (False, "")):  # fmt: skip
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda answer=looks_on: answer)
        monkeypatch.setattr(sys, "stderr", terminal)
        assert list(_screen.Screen().told(range(1500), "sent")) == list(range(1500))
        assert terminal.getvalue().rstrip() == drawn
        assert list(_screen.Screen(quiet=True).told(range(1500), "sent")) == list(range(1500))
        assert terminal.getvalue().rstrip() == drawn


def test_no_color_and_dumb_terminals_are_respected(farm: Farm) -> None:
    run = farm.create_run(2)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, drawn = on_a_terminal("tasks", run.uuid, **variables)
        assert (code, "\x1b[" in drawn) == (0, False)


def test_deleting_asks(farm: Farm, taskfarm: Callable[..., Said]) -> None:
    run = farm.create_run(2)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "taskfarm_worker", "delete", run.uuid],
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"n\n")
    assert b"for good?" in b"".join(pieces(ours))
    os.close(ours)
    assert process.wait(60) == 1
    assert run.info()["numTasks"] == 2
