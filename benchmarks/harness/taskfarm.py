"""The command line of this checkout, `taskfarm`, as a user has it: logged in, in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .clients import PASSWORD, USER
from .ours import Ours
from .scratch import scratch
from .web import WebServer

ATTEMPTS = """
SELECT EXTRACT(EPOCH FROM a.started)::float8, EXTRACT(EPOCH FROM a.ended)::float8,
    (a.output::json ->> 'began')::float8, (a.output::json ->> 'seconds')::float8, a.exit_code
FROM runs_attempt AS a JOIN runs_run ON runs_run.id = a.run_id
WHERE runs_run.uuid = %s AND a.outcome = 1
"""


@dataclass(frozen=True)
class Attempt:
    """What the books have of a command: by the database's clock, and as its farmer saw it."""

    started: float
    ended: float
    began: float
    seconds: float


@dataclass(frozen=True)
class Terminal:
    """A folder to work in, with a login."""

    folder: Path
    config: Path
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def call(self, *words: object, text: str = "") -> str:
        """Call `taskfarm` to its end, with a text to read; answers what it printed."""
        process = self.start(*words)
        out, err = process.communicate(text)
        if process.returncode:
            raise RuntimeError(f"taskfarm {words} ended with {process.returncode}:\n{err}")
        return out

    def timed(self, *words: object) -> float:
        """Call `taskfarm`; answers the seconds from the start of its process to its end."""
        start = time.perf_counter()
        self.call(*words)
        return time.perf_counter() - start

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start `taskfarm`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "taskfarm_worker", *map(str, words)],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun.append(process)
        return process

    def end(self) -> None:
        """Leave nothing running: a farmer waits for a server that is away for an hour."""
        for process in self.begun:
            process.kill()
            process.wait()

    def environment(self) -> dict[str, str]:
        """Nobody's own settings but ours."""
        others = {key: one for key, one in os.environ.items() if not key.startswith("TASKFARM_")}
        return {**others, "TASKFARM_CONFIG": str(self.config), "HOME": str(self.folder)}

    def write(self, name: str, lines: list[str]) -> str:
        """Write a file into the folder; answers its name."""
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return name

    def submit(self, *words: object) -> tuple[str, float]:
        """Submit; answers the UUID of the run, and the seconds of the whole call."""
        start = time.perf_counter()
        told = json.loads(self.call("submit", *words, "--json"))
        return str(told["uuid"]), time.perf_counter() - start

    def logs(self, workdir: str) -> int:
        """How many logs are kept in a working folder."""
        return sum(1 for _ in (self.folder / workdir / "logs").glob("log_*"))


@contextmanager
def terminal(server: WebServer) -> Iterator[Terminal]:
    """A new folder, logged in at a server."""
    with scratch() as name:
        opened = Terminal(Path(name), Path(name, "config.ini"))
        opened.call("login", server.api, "--user", USER, "--password-stdin", text=PASSWORD + "\n")
        try:
            yield opened
        finally:
            opened.end()


def attempts(ours: Ours, run: str, tasks: int) -> list[Attempt]:
    """The books of a run whose commands have all been done once, with exit code 0."""
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute(ATTEMPTS, (run,))
        rows = cursor.fetchall()
    if len(rows) != tasks or any(code != 0 for *_, code in rows):
        raise RuntimeError(f"{tasks} commands were to be done, {len(rows)} are")
    return [Attempt(*times) for *times, _ in rows]
