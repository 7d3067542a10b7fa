"""The client of this checkout, and a swarm of simulated workers, each driven in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from .clients import PASSWORD, USER
from .ours import Ours
from .paths import PROJECT
from .processor import tree_seconds
from .web import Command, WebServer


@dataclass(frozen=True)
class Work:
    """A run that was emptied.

    `seconds` goes from the first exchange's beginning to the answer to the last reports, `whole`
    from the call of `Run.work` to its end.
    """

    tasks: int
    seconds: float
    whole: float
    exchanges: int


@dataclass(frozen=True)
class Swarm:
    """What a swarm measured: times of exchanges in seconds.

    `cpu` is seconds of processor time of web server, PostgreSQL and the swarm itself.
    """

    seconds: float
    exchanges: int
    tasks: int
    dropped: int
    p50: float
    p99: float
    longest: float
    cpu: list[float]


def work(
    server: WebServer,
    run: str,
    tasks: int,
    *,
    clients: int = 1,
    processes: int = 1,
    updates: int = 0,
) -> Work:
    """Empty a run of so many tasks with `Run.work`."""
    options = ("--clients", clients, "--processes", processes, "--updates", updates)
    done = Work(**_drive("own_client", "work", server, run, *options))
    if done.tasks != tasks:
        raise RuntimeError(f"{tasks} tasks were to be done, {done.tasks} are")
    return done


def memory(server: WebServer, run: str, exchanges: int) -> dict[str, float]:
    """Megabytes of a client process after a quarter of so many exchanges, and after all."""
    return _drive("own_client", "memory", server, run, "--exchanges", exchanges)


def append(server: WebServer, run: str, tasks: int, size: int) -> float:
    """Seconds of appending so many inputs of so many bytes with `Run.append`."""
    options = ("--tasks", tasks, "--bytes", size)
    return float(_drive("own_client", "append", server, run, *options)["seconds"])


def exchange_times(
    server: WebServer, runs: list[str], rounds: int, want: int
) -> dict[str, list[float]]:
    """Seconds of exchanges by run: so many tasks done, as many out; the runs take turns."""
    more = [word for run in runs[1:] for word in ("--run", run)]
    options = ("--rounds", rounds, "--want", want, *more)
    return _drive("own_client", "latency", server, runs[0], *options)


def swarm(server: WebServer, ours: Ours, run: str, workers: int, **options: float) -> Swarm:
    """Let so many simulated workers loose on a run; options as in drivers/swarm.py."""
    words: list[object] = ["--workers", workers, "--pid", server.pid, "--pid", ours.postgres.pid]
    for name, value in options.items():
        words += [f"--{name}", value]
    seen = Swarm(**_drive("swarm", None, server, run, *words))
    if seen.dropped:
        raise RuntimeError(f"the server took {seen.dropped} tasks away from live workers")
    return seen


@dataclass
class Crowd:
    """Clients that are at work, in a process with children."""

    process: subprocess.Popen[str]

    def exchanges(self) -> int:
        """Wait for the begin, then for the end of what is measured: the count at that moment."""
        output: IO[str] = self.process.stdout  # type: ignore[assignment]
        line = output.readline()
        if not line:
            raise RuntimeError(f"the clients failed: {self.process.communicate()[1][-2000:]}")
        return int(json.loads(line)["exchanges"])

    def cpu_seconds(self) -> float:
        """Processor time of all clients."""
        return tree_seconds(self.process.pid)


@contextmanager
def crowd(
    server: WebServer, run: str, clients: int, seconds: float, window: float
) -> Iterator[Crowd]:
    """So many client processes at work on a run with tasks of so many seconds."""
    options = ("--clients", clients, "--seconds", seconds, "--window", window)
    command = _command("own_client", "crowd", server, run, *options)
    process = subprocess.Popen(
        command.words,
        cwd=command.folder,
        env=command.full_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Crowd(process)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


def _drive(
    driver: str, what: str | None, server: WebServer, run: str, *options: object
) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_command(driver, what, server, run, *options).run())
    return answer


def _command(
    driver: str, what: str | None, server: WebServer, run: str, *options: object
) -> Command:
    words = [sys.executable, "-m", f"benchmarks.drivers.{driver}", *([what] if what else [])]
    words += ["--url", server.api, "--user", USER, "--password", PASSWORD, "--run", run]
    return Command([*words, *map(str, options)], PROJECT)
