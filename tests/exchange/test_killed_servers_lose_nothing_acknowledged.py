"""kill -9 of gunicorn, and of PostgreSQL, under load: what was acknowledged is there, work goes on.

The workers write down what the server has told them (``Memory``); afterwards the books must have
all of it. Nobody helps the workers: they wait, repeat themselves, and finish the run.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import connection
from taskfarm_worker import Run, Task, connect

from runs.models import Attempt
from runs.models import Task as Row
from runs.states import Outcome
from tests import factories
from tests.exchange.crew import (
    Crew,
    Memory,
    attempts,
    check_each_done_once,
    children,
    hasten,
    kill_with_children,
    real_user,
    wait_until,
    wait_until_done,
)  # fmt: skip
from tests.server import ROOT, Server, environment, serve, serve_at


def work(task: Task) -> int | None:
    """A few milliseconds of work; some of it with an output."""
    sum(range(100_000))
    return task.number if task.number % 5 == 0 else None


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    """What the workers are told."""
    monkeypatch.setenv("TASKFARM_CONFIG", os.devnull)
    hasten(monkeypatch)
    return Memory(tmp_path / "told", monkeypatch)


@pytest.mark.django_db(transaction=True)
def test_a_killed_gunicorn_loses_nothing_and_its_workers_go_on(memory: Memory) -> None:
    real_user()
    tasks, chance = 2400, random.Random(7)
    settings = dict(connection.settings_dict)
    with ExitStack() as stack:
        server = stack.enter_context(serve(settings))
        run = connect(server.url, "alice", factories.PASSWORD).create_run(tasks)
        crew = stack.enter_context(Crew(run, work, processes=2))
        for part in range(1, 7):  # twice the whole of it, else one of its processes
            wait_until_done(run, part * tasks // 8)
            if part % 3:
                os.kill(chance.choice(children_of(server)), signal.SIGKILL)
            else:
                kill_with_children(server.process.pid)
                server = stack.enter_context(serve(settings, server.port))
        assert crew.end() == 0
        assert memory.troubles(), "nobody noticed anything, so nothing was shown"
        check_each_done_once(run, tasks)
        outputs = {row["task"]: row["output"] for row in run.results()}
    assert outputs == {n: n if n % 5 == 0 else None for n in range(tasks)}
    done = Attempt.objects.filter(outcome=Outcome.DONE).values_list("number", "attempt")
    assert memory.acknowledged() <= set(done)
    assert memory.handed() <= set(Row.objects.values_list("number", "attempt"))
    assert attempts(run) == {1}, "a task was given away although its worker lived"


def children_of(server: Server) -> list[int]:
    """The processes of a gunicorn, as soon as it has any."""
    wait_until(lambda: bool(children(server.process.pid)), "gunicorn has processes")
    return children(server.process.pid)


class OwnPostgreSQL:
    """A PostgreSQL of this test alone, so that it can be killed; gunicorn starts it when needed."""

    def __init__(self, folder: Path) -> None:
        """Make it, with the farm's tables and user alice."""
        self.data = folder / "pg"
        self.url = f"pgserver://{self.data}?name=farm"
        password = factories.PASSWORD
        self.manage(
            "from django.core.management import call_command as call;"
            "from django.contrib.auth.models import User;"
            "call('migrate', verbosity=0);"
            f"User.objects.create_user('alice', password={password!r})"
        )

    def manage(self, script: str) -> str:
        """Execute Python in a process of the farm's; answers what it prints."""
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", script]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(self.url, 0), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def pid(self) -> int:
        """Its first process."""
        return int(self.file()[0])

    def file(self) -> list[str]:
        """The lines of its postmaster.pid: first the process, fifth the folder of its socket."""
        with suppress(FileNotFoundError):
            return (self.data / "postmaster.pid").read_text().splitlines() or ["0"]
        return ["0"]  # it is just being started

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask it something, as soon as it answers."""
        found: list[tuple[Any, ...]] = []

        def answered() -> bool:
            try:
                one = psycopg2.connect(host=self.file()[4], user="postgres", dbname="farm")
                with closing(one), one.cursor() as cursor:
                    cursor.execute(statement)
                    found[:] = cursor.fetchall()
            except (OSError, IndexError, psycopg2.OperationalError):
                return False
            return True

        wait_until(answered, "PostgreSQL answers")
        return found

    def done(self) -> int:
        """How many tasks are done."""
        return int(self.ask("SELECT COALESCE(SUM(done), 0) FROM runs_tally")[0][0])

    def kill(self) -> None:
        """Kill all of its processes."""
        kill_with_children(self.pid)


@pytest.fixture
def postgresql() -> Iterator[OwnPostgreSQL]:
    """A PostgreSQL that may be killed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        own = OwnPostgreSQL(Path(folder))
        try:
            yield own
        finally:
            if (own.data / "postmaster.pid").exists():
                own.kill()


@pytest.mark.postgresql
def test_a_killed_postgresql_loses_nothing_and_the_workers_go_on(
    memory: Memory, postgresql: OwnPostgreSQL
) -> None:
    """SQLite has no server to be killed; that its processes are is the test above."""
    tasks = 1500
    with serve_at(postgresql.url) as server:
        run = connect(server.url, "alice", factories.PASSWORD).create_run(tasks)
        with Crew(run, work, processes=2) as crew:
            for part in (1, 2, 3):
                count = part * tasks // 5
                wait_until(lambda: postgresql.done() >= count, f"{count} tasks done")  # noqa: B023
                pid = postgresql.pid
                postgresql.kill()
                wait_until(lambda: postgresql.pid not in (0, pid), "it is there again")  # noqa: B023
            assert crew.end() == 0
        assert memory.troubles(), "nobody noticed anything, so nothing was shown"
        check_own_books(postgresql, memory, run, tasks)


def check_own_books(own: OwnPostgreSQL, memory: Memory, run: Run, tasks: int) -> None:
    """Assert that its books have all that the workers were told, and each task done once."""
    every = {(number, 1) for number in range(tasks)}
    assert set(own.ask(
        f"SELECT number, attempt FROM runs_attempt WHERE outcome = {Outcome.DONE}"
    )) == every  # fmt: skip
    assert own.ask("SELECT COUNT(*) FROM runs_attempt") == [(tasks,)]
    assert set(own.ask("SELECT number, attempt FROM runs_task WHERE state = 2")) == every
    assert own.done() == tasks
    assert own.ask("SELECT SUM(done) FROM runs_throughput") == [(tasks,)]
    assert own.manage("from runs import tallies; print(tallies.check(1))") == "{}\n"
    assert memory.acknowledged() <= every
    assert memory.handed() <= every
    outputs = {row["task"]: row["output"] for row in run.results()}
    assert outputs == {number: number if number % 5 == 0 else None for number in range(tasks)}
