"""``make serve``: a taken port is told in words, and Ctrl-C leaves nothing running."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.server import GUNICORN_CONF, ROOT, Server, environment, free_port, wait_until_up

BIN = Path(sys.executable).parent


def variables(database_url: str, port: int) -> dict[str, str]:
    """The environment of ``deploy/serve``, with this Python's programs first."""
    found = environment(database_url, port)
    return {**found, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "SECRET_KEY": "s" * 60}


def start(command: list[str], url: str, port: int, log: Path, cwd: Path = ROOT) -> Server:
    """Start a server in a process group of its own, as a terminal does, and wait for it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=variables(url, port), stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    running = Server(port, url, process, log)
    try:
        wait_until_up(running)
    except RuntimeError:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return running


def press_ctrl_c(server: Server, seconds: float = 60) -> int:
    """What a terminal sends, to all of the group; answers the exit code."""
    os.killpg(server.process.pid, signal.SIGINT)
    try:
        return server.process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(server.process.pid, signal.SIGKILL)
        raise


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)


def copy_of_the_project(folder: Path) -> Path:
    """What is served, without collecting static files in the working tree."""
    parts = ("accounts", "deploy", "runs", "static", "taskfarm_site", "templates")
    for part in parts:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("Makefile", "manage.py", "requirements.txt"):
        shutil.copy2(ROOT / file, folder / file)
    (folder / "worker_client").mkdir()
    shutil.copy2(ROOT / "worker_client/pyproject.toml", folder / "worker_client")
    (folder / ".venv").mkdir()
    # What would be installed is installed.
    python = ".stamp-python{}.{}".format(*sys.version_info[:2])
    for stamp in (python, ".stamp-server"):
        (folder / ".venv" / stamp).touch()
    return folder


@pytest.mark.postgresql
def test_ctrl_c_stops_the_postgresql_that_was_started_on_demand(folder: Path) -> None:
    url = f"pgserver://{folder}/pg"
    manage = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(manage, cwd=ROOT, env=variables(url, 0), check=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "taskfarm_site.wsgi", "-c", GUNICORN_CONF]
    for _ in range(4):  # which went wrong more often than not
        server = start(gunicorn, url, free_port(), folder / "log")
        for _ in range(6):  # so that more than one process has a connection
            refused = requests.get(f"{server.api}token", auth=("nobody", "wrong"), timeout=30)
            assert refused.status_code in (401, 429)
        assert (folder / "pg" / "postmaster.pid").exists()
        assert press_ctrl_c(server) == 0
        assert not (folder / "pg" / "postmaster.pid").exists()
        assert "Traceback" not in server.log.read_text()


def browse(port: int, stack: contextlib.ExitStack) -> list[http.client.HTTPConnection]:
    """Six connections as a browser has them: asked on all at once, twice, and all are kept."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(6)]
    for connection in connections:
        stack.callback(connection.close)
    for _ in range(2):
        for connection in connections:
            connection.request("GET", "/account/login/")
        for connection in connections:
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
            assert connection.sock, "the server closed it"
    return connections


@pytest.mark.once
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_a_server_that_a_browser_was_at(folder: Path) -> None:
    url = f"sqlite:///{folder}/farm.sqlite3"
    manage = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(manage, cwd=ROOT, env=variables(url, 0), check=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "taskfarm_site.wsgi", "-c", GUNICORN_CONF]
    with contextlib.ExitStack() as stack:
        server = start(gunicorn, url, free_port(), folder / "log")
        stack.enter_context(server.process)
        stack.callback(server.process.kill)
        connections = browse(server.port, stack)
        for connection in connections[::2]:
            connection.close()
        # Whether two signals meet in a worker is chance; that only one of them comes is not.
        workers = psutil.Process(server.process.pid).children()
        assert workers
        assert all(blocked_signals(worker.pid) & 1 << signal.SIGINT - 1 for worker in workers)
        assert press_ctrl_c(server, seconds=10) == 0
    assert "SIGKILL" not in server.log.read_text()


def blocked_signals(pid: int) -> int:
    """The mask of signals that do not reach a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigBlk:")[1].split()[0], 16)


@pytest.mark.once
@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_has_no_error_to_tell_of_after_ctrl_c(folder: Path) -> None:
    copy = copy_of_the_project(folder / "copy")
    make = ["make", f"PYTHON={sys.executable}", f"BIN={BIN}", "serve"]
    server = start(make, f"sqlite:///{folder}/farm.sqlite3", free_port(), folder / "log", copy)
    press_ctrl_c(server)
    said = server.log.read_text()
    assert f"Serving on {server.url}/" in said
    assert "***" not in said
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=10)


@pytest.mark.once
def test_a_port_that_is_taken_is_told_with_the_way_out(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            ["deploy/serve"], cwd=ROOT, env=variables(f"sqlite:///{folder}/farm.sqlite3", port),
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {port} of 127.0.0.1 is taken.")
    other_port = port + 1 if port < 65_535 else 5001
    assert f"TASKFARM_BIND=127.0.0.1:{other_port} make serve" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "farm.sqlite3").exists(), "nothing was done before"


@pytest.mark.once
@pytest.mark.parametrize("bind", ["unix:/tmp/x.sock", "localhost:0", "[::1]:0", "fd://3"])
def test_what_may_be_free_is_left_to_gunicorn(bind: str) -> None:
    done = subprocess.run([sys.executable, "deploy/port.py", bind], cwd=ROOT, capture_output=True)
    assert done.stderr.decode().count("is taken") == 0
