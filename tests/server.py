"""A real gunicorn on the database of the running test."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent
GUNICORN_CONF = "deploy/gunicorn.conf.py"
NAMED = "farm.test"
"""A name of the server, which no browser trusts without HTTPS as it does the own machine's."""


@dataclass
class Server:
    """A running server: its address, its database's, and its master process."""

    port: int
    database_url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """The front page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """The base of the API as the published client wants it."""
        return f"{self.url}/api/"


def database_url(settings: dict[str, Any]) -> str:
    """The DATABASE_URL by which another process reaches this database."""
    from django.db import connection

    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    host = connection.get_connection_params()["host"]
    return f"postgresql://postgres@/{settings['NAME']}?host={host}"


def environment(url: str, port: int) -> dict[str, str]:
    """The environment of a server for tests."""
    return {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "taskfarm_site.settings",
        "TASKFARM_BIND": f"127.0.0.1:{port}",
        "ALLOWED_HOSTS": f"127.0.0.1,localhost,{NAMED}",
        "WEB_CONCURRENCY": os.environ.get("WEB_CONCURRENCY", "3"),
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serve(settings: dict[str, Any], port: int = 0) -> Iterator[Server]:
    """Start gunicorn on a database of the tests, and stop it at the end."""
    with serve_at(database_url(settings), port) as running:
        yield running


@contextmanager
def serve_at(url: str, port: int = 0) -> Iterator[Server]:
    """Start gunicorn as in production, wait until it answers, stop it at the end."""
    port = port or free_port()
    with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "taskfarm_site.wsgi", "-c", GUNICORN_CONF],
            cwd=ROOT, env=environment(url, port), stdout=log, stderr=log,
        )  # fmt: skip
    running = Server(port, url, process, Path(log.name))
    try:
        wait_until_up(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def wait_until_up(server: Server, seconds: float = 120) -> None:
    """Ask until it answers.

    Raises:
        RuntimeError: it ended, or does not answer in time; with its log.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.process.poll() is None:
        with suppress(requests.ConnectionError):
            requests.get(server.url, headers={"Accept": "application/json"}, timeout=seconds)
            return
    raise RuntimeError(f"The server did not come up: {server.log.read_text()}")
