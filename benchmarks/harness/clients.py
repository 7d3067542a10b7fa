"""The unmodified taskfarm-worker 0.4.0, driven from its own environment against either server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from .environments import peer_python
from .paths import DRIVERS
from .web import Command

USER = "bench"
PASSWORD = "bench-only-password"


@dataclass(frozen=True)
class Stress:
    """One pass of the paper's stress pattern: claim, ten updates, done, until nothing is left.

    `seconds` ends when all clients have heard that nothing is left, `work_seconds` with the last
    task's done.
    """

    clients: int
    tasks: int
    requests: int
    seconds: float
    work_seconds: float
    client_seconds: float
    update_seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Latency:
    """Medians over the repetitions of one call of the client, in seconds.

    `call` is what the caller waits; `answer` is its first request alone, from sending to headers
    (a claim of this client is two requests: the task, then its percentage).
    """

    call: float
    answer: float


def stress(api: str, *, clients: int, tasks: int) -> Stress:
    """Complete a new run of so many tasks with so many client processes."""
    reports = _drive("stress", api, "--clients", clients, "--tasks", tasks)["clients"]
    if sum(report["tasks"] for report in reports) != tasks:
        raise RuntimeError(f"{tasks} tasks were to be done once each: {reports}")
    begin = min(report["start"] for report in reports)
    end = max(report["end"] for report in reports)
    return Stress(
        clients=clients,
        tasks=tasks,
        requests=sum(report["requests"] for report in reports),
        seconds=end - begin,
        work_seconds=max(report["last"] for report in reports) - begin,
        client_seconds=mean(report["end"] - report["start"] for report in reports),
        update_seconds=mean(seconds for report in reports for seconds in report["updates"]),
    )


def latencies(api: str, runs: list[str], rounds: int) -> dict[str, dict[str, Latency]]:
    """By run and call. One process, so many tasks; the runs take turns, call by call."""
    words = [word for run in runs for word in ("--run", run)]
    answer = _drive("latency", api, "--rounds", rounds, *words)
    return {
        run: {
            call: Latency(median(pair[0] for pair in pairs), median(pair[1] for pair in pairs))
            for call, pairs in calls.items()
        }
        for run, calls in answer.items()
    }


def create_run(api: str, tasks: int) -> str:
    """Create a run through the client; answers its UUID."""
    return str(_drive("create", api, "--tasks", tasks)["uuid"])


def _drive(what: str, api: str, *options: object) -> dict[str, Any]:
    words = [str(peer_python()), str(DRIVERS / "client_0_4.py"), what, "--url", api]
    words += ["--user", USER, "--password", PASSWORD, *map(str, options)]
    answer: dict[str, Any] = json.loads(Command(words, DRIVERS).run())
    return answer
