"""A gunicorn of one side: started, awaited, warmed by the caller, its processor time, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .processor import tree_seconds

START_SECONDS = 60
STOP_SECONDS = 15


@dataclass(frozen=True)
class Shape:
    """How many processes and threads serve the requests; what is None, the side chooses itself."""

    workers: int | None = None
    worker_class: str | None = None
    threads: int | None = None

    def options(self) -> list[str]:
        """The options that overrule gunicorn's configuration file."""
        options = ["--workers", str(self.workers)] if self.workers else []
        if self.worker_class:
            options += ["--worker-class", self.worker_class]
        if self.threads:
            options += ["--threads", str(self.threads)]
        return options

    def __str__(self) -> str:
        threads = f" of {self.threads} threads" if self.threads else ""
        return f"{self.workers or ''} {self.worker_class or 'configured'} workers{threads}".strip()


ALIKE = Shape(4, "sync", 1)
"""What both servers stand behind where they are compared: gunicorn's default class, four times."""
DEPLOYED = Shape()
"""As the side is deployed: ours by deploy/gunicorn.conf.py."""


@dataclass(frozen=True)
class Command:
    """A program to run: its words, its folder, what its environment has beyond ours."""

    words: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def full_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def run(self) -> str:
        """Run to the end and answer what it printed; its errors are in the exception."""
        done = subprocess.run(
            self.words,
            cwd=self.folder,
            env=self.full_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.words[:4]} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


@dataclass(frozen=True)
class WebServer:
    """A server that answers at a local address."""

    port: int
    pid: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    def cpu_seconds(self) -> float:
        return tree_seconds(self.pid)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(command: Command, port: int) -> Iterator[WebServer]:
    """Start the server, wait until it answers, stop it at the end."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env=command.full_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _await_answer(process, port, log)
            yield WebServer(port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_answer(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise RuntimeError(f"the server did not start:\n{log.read()[-4000:]}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/token", timeout=5)
    except urllib.error.HTTPError:
        return True  # refused for want of a password: it is up
    except OSError:
        return False
    return True
