"""``make demo`` as a process of its own: server, workers, tables, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from taskfarm_worker import connect

ROOT = Path(__file__).resolve().parent.parent.parent
ACCESS = re.compile(r"Dashboard: (\S+)   user: (\S+)   password: (\S+)")


def demo(folder: Path, *options: str, keep: bool = False) -> "subprocess.Popen[str]":
    """Start the demonstration on the database under test: SQLite's own file, or PostgreSQL."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["WEB_CONCURRENCY"] = "2"
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'worker_client' / 'src'}"
    if settings.POSTGRESQL:
        environment["DATABASE_URL"] = f"pgserver://{folder / 'postgresql'}"
    return subprocess.Popen(
        [sys.executable, "-m", "examples.stdlib_farm", "--keep", str(int(keep)),
         "--folder", str(folder / "demo"), *options],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """What it prints up to the line that holds the text."""
    assert process.stdout
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, f"ended before it said {text!r}:\n{seen}"
        seen += line
    return seen


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Its children and theirs, and with the test's PostgreSQL that one's."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.once
@pytest.mark.parametrize("port", ["", "70000"])
def test_a_port_that_cannot_be_had_is_told(tmp_path: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = demo(tmp_path, "--port", port or str(taken.getsockname()[1]))
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"\nPort \d+ of 127.0.0.1 is taken, or is none: choose another.\n", said)


def test_a_few_files_from_an_empty_database_to_the_tables(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = demo(tmp_path, "--limit", "12", "--port", port, keep=True)
    try:
        shown = read_until(process, "taskfarm run")
        assert "12 of 12 ended, 0 computing" in shown
        assert f"Dashboard: http://127.0.0.1:{port}/" in shown
        for title in ("Tasks per worker", "Slowest modules", "Longest functions"):
            assert title in shown
        assert "\r" not in shown, "a progress bar in a pipe"
        books_are_balanced(shown, tasks=12)
        what_it_says_to_paste_works(shown, tmp_path)
        children = descendants(process)
        assert children
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert not [child for child in children if child.is_running()]
    assert not postgresql_runs(tmp_path)


def books_are_balanced(shown: str, tasks: int) -> None:
    """By the server's word, not the demonstration's, every task was done."""
    found = ACCESS.search(shown)
    assert found
    url, user, password = found.groups()
    (run,) = connect(f"{url}api/", user, password).runs()
    counts = run.progress
    assert (counts.done + counts.failed, counts.waiting) == (tasks, 0)
    assert all(row["output"]["lines"] >= 0 for row in run.results())
    assert all("Error" in row["error"] for row in run.failures())


def what_it_says_to_paste_works(shown: str, folder: Path) -> None:
    """Its last lines, in a terminal that knows nothing of the farm, run a file of commands."""
    pasted = shown.split("Now yours:")[1].split("\n", 1)[1]
    done = subprocess.run(
        ["bash", "-e"], input=pasted, cwd=folder, text=True, capture_output=True,
        env={"PATH": os.defpath, "HOME": str(folder), "TASKFARM_CONFIG": str(folder / "token.ini"),
             "PYTHONPATH": str(ROOT / "worker_client" / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "5 done" in done.stdout


def postgresql_runs(folder: Path) -> bool:
    """Whether the demonstration's own PostgreSQL is still there."""
    return (folder / "postgresql" / "postmaster.pid").exists()


def test_ctrl_c_in_the_middle_leaves_no_process_behind(tmp_path: Path) -> None:
    process = demo(tmp_path)
    try:
        read_until(process, "Run ")
        wait_for_results(tmp_path / "demo")
        children = descendants(process)
        assert len(children) >= 5, "a server and four workers"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not [child for child in children if child.is_running()]
    assert not postgresql_runs(tmp_path)


def wait_for_results(folder: Path) -> None:
    """Until a worker has written its first result."""
    give_up = time.monotonic() + 60
    while not any(file.stat().st_size for file in folder.glob("worker-*.jsonl")):
        assert time.monotonic() < give_up, "no worker wrote a result"
        time.sleep(0.02)


@pytest.mark.once
def test_a_worker_that_is_killed_is_made_up_for(tmp_path: Path) -> None:
    process = demo(tmp_path, "--limit", "150", "--workers", "1")
    read_until(process, "Run ")
    wait_for_results(tmp_path / "demo")
    for child in descendants(process):
        if "examples.stdlib_farm.worker" in child.cmdline():
            child.kill()
    rest, _ = process.communicate(timeout=120)
    assert "restarted" in rest
    assert "150 of 150 ended, 0 computing" in rest
    assert process.returncode == 0, rest


@pytest.mark.once
def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = demo(tmp_path, "--limit", "1", keep=True)
    try:
        read_until(first, "The dashboard stays at")
        second = demo(tmp_path, "--limit", "1")
        said, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "Another demonstration runs" in said
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 0
