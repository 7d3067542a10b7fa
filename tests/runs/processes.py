"""Real processes for the race tests, started together."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from runs.models import Run
from tests.server import ROOT, database_url


@contextmanager
def claimers(run: Run, how: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ready to work on the run and wait for ``fire``; killed at the end."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(connection.settings_dict),
        "DJANGO_SETTINGS_MODULE": "taskfarm_site.settings",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.runs.claimer", run.uuid.hex, how],
            cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def fire(processes: list[subprocess.Popen[str]]) -> None:
    """Let all of them begin."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def results(processes: list[subprocess.Popen[str]]) -> list[tuple[int, int]]:
    """Wait for all to end well; every claim of theirs as (task number, attempt)."""
    claims: list[tuple[int, int]] = []
    for process in processes:
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 0
        lines = [line.split() for line in out.splitlines() if not line.startswith("refused")]
        claims += [(int(number), int(attempt)) for number, attempt in lines]
    return claims
