"""A real server for all tests of the command line, and the command line as a process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import connection
from taskfarm_worker import Farm, Run, connect
from taskfarm_worker.cli._main import main

from tests import factories
from tests.server import ROOT, Server, environment, serve_at


@pytest.fixture(scope="package")
def farm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with a database of its own; tests make runs of their own, and count no others."""
    with database(tmp_path_factory.mktemp("farm")) as url:
        env = environment(url, 0)
        for words in (["migrate", "-v", "0"], ["adduser", "alice", "--password-stdin"]):
            subprocess.run(
                [sys.executable, "manage.py", *words], cwd=ROOT, env=env, check=True, text=True,
                input=factories.PASSWORD + "\n", stdout=subprocess.DEVNULL,
            )  # fmt: skip
        with serve_at(url) as running:
            yield running


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """An empty database of the kind that is tested, by its URL."""
    if not settings.POSTGRESQL:
        yield f"sqlite:///{folder / 'farm.sqlite3'}"
        return
    host = connection.get_connection_params()["host"]
    name = f"test_cli_{os.getpid()}_{folder.name.lower()}"  # one per package that has a farm
    system = psycopg2.connect(host=host, user="postgres", dbname="postgres")
    system.autocommit = True
    with closing(system), system.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql://postgres@/{name}?host={host}"
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="package")
def token(farm_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file with a token, as `taskfarm login` writes it."""
    file = tmp_path_factory.mktemp("login") / "config.ini"
    done = subprocess.run(
        [sys.executable, "-m", "taskfarm_worker", "login", farm_server.url, "-u", "alice"],
        input=factories.PASSWORD + "\n", text=True, capture_output=True,
        env={**os.environ, "TASKFARM_CONFIG": str(file)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert factories.PASSWORD not in file.read_text()
    return file


@pytest.fixture(autouse=True)
def here(token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each test, and the login."""
    monkeypatch.setenv("TASKFARM_CONFIG", str(token))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def farm(here: Path) -> Iterator[Farm]:
    with connect() as farm:
        yield farm


class Said:
    """What a call of the command line came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def taskfarm(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line in this process: for everything that starts no commands."""

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as end:
            code = int(str(end.code))
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command line as a process of its own."""
    begun: list[subprocess.Popen[str]] = []

    def call(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "taskfarm_worker", *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
            )
        )  # fmt: skip
        return begun[-1]

    yield call
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def process(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., Said]:
    """Call the command line as a process, to its end."""

    def call(*arguments: object, **options: Any) -> Said:
        running = start(*arguments, **options)
        out, err = running.communicate(timeout=120)
        return Said(running.returncode, out, err)

    return call


def counts(run: Run) -> dict[str, int]:
    """How many tasks of a run are in which state, those that none is in left out."""
    info = run.info()
    states = ("Waiting", "Computing", "Done", "Failed", "Cancelled")
    return {state.lower(): info[f"num{state}"] for state in states if info[f"num{state}"]}


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait for an event that only a file or the process list tells."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
