"""The farm's own server, as small as it gets: one database, one user, gunicorn on this machine."""

import contextlib
import io
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from examples.stdlib_farm.processes import Processes

ROOT = Path(__file__).resolve().parent.parent.parent
USUAL_PORT = 5000
FOREIGN = {"ALLOWED_HOSTS", "DEBUG", "DJANGO_SETTINGS_MODULE"}
"""Settings for a real server, which a demonstration on this machine must not follow."""


class ServerFailed(Exception):
    """The server did not start."""


@dataclass(frozen=True)
class Access:
    """Where the farm is, and how to log in."""

    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """The front page."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def api(self) -> str:
        """The base of the API."""
        return f"{self.url}api/"


def choose_access(own_database: bool, port: int | None = None) -> Access:
    """A free port and a random password; in a database of others a user that is nobody else."""
    user = "demo" if own_database else f"demo-{secrets.token_hex(3)}"
    return Access(choose_port(port), user, secrets.token_urlsafe(9))


def choose_port(wanted: int | None = None) -> int:
    """The port that is wanted; else the usual one if nobody listens there, or any free one.

    Raises:
        ServerFailed: it is taken, or there is none.
    """
    for port in (wanted,) if wanted is not None else (USUAL_PORT, 0):
        with socket.socket() as listener, contextlib.suppress(OSError, OverflowError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    if wanted is not None:
        raise ServerFailed(f"Port {wanted} of 127.0.0.1 is taken, or is none: choose another.")
    raise ServerFailed("There is no free port on 127.0.0.1.")


def environment(database_url: str, access: Access) -> dict[str, str]:
    """What the server and the workers find in their environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN and not name.startswith("TASKFARM_")
    }
    return {
        **kept,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "taskfarm_site.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")])),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "TASKFARM_BIND": f"127.0.0.1:{access.port}",
        "TASKFARM_URL": access.api,
        "TASKFARM_USER": access.user,
        "TASKFARM_PASSWORD": access.password,
        "TASKFARM_CONFIG": os.devnull,
    }


def prepare(variables: dict[str, str], access: Access) -> None:
    """Bring the database up to date and create the user.

    In this process: it is faster than three of ``manage.py``, and a PostgreSQL that is started on
    demand then runs for as long as we do.
    """
    os.environ.clear()
    os.environ.update(variables)
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    if settings.COLLECTED:  # by `make serve`, once: files that are newer must be found, too
        call_command("collectstatic", interactive=False, verbosity=0)
    call_command("adduser", access.user, password=access.password, stdout=io.StringIO())
    connections.close_all()


def start(
    processes: Processes, variables: dict[str, str], access: Access, log: Path
) -> subprocess.Popen[bytes]:
    """Start gunicorn as in production and wait until it answers.

    Raises:
        ServerFailed: it ended, or gave no answer within a minute; with the end of its log.
    """
    command = [sys.executable, "-m", "gunicorn", "taskfarm_site.wsgi"]
    command += ["--chdir", str(ROOT), "-c", str(ROOT / "deploy" / "gunicorn.conf.py")]
    server = processes.start(command, variables, log)
    give_up = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < give_up:
        # Its own word first: somebody else may have taken the port since it was chosen.
        if "Serving on" in log.read_text() and answers(access.url):
            return server
        time.sleep(0.05)
    raise ServerFailed(f"The server did not start; the end of {log}:\n{log.read_text()[-2000:]}")


def answers(url: str) -> bool:
    """Whether a server answers there."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return bool(response.status == 200)
    except OSError:  # which urllib's own errors are
        return False
