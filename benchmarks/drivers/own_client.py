"""Drives the client of this checkout as a user does, through `Run.work`.

    work     so many clients of so many processes empty a run; each task is updated so many times.
    crowd    so many clients work on a run for some seconds; a line of counts at the beginning and
             at the end of the time that is measured.
    memory   one client makes so many exchanges; what it occupies after a quarter, and at the end.
    latency  the times of single exchanges with several runs in turn.
    append   append so many inputs of so many bytes to an open run.

Prints JSON objects, one in a line. Registering is not measured: the processes register first, and
begin their first exchange together.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import uuid4

from taskfarm_worker import Run, Task, connect
from taskfarm_worker._session import Call, ServerSession

Options = argparse.Namespace
START_SECONDS = 120.0


class Meter:
    """Counts the exchanges of all processes, in memory that they share, and times them."""

    def __init__(self, parties: int, watch: Callable[[int], None] | None = None) -> None:
        self._kept = multiprocessing.Array("d", [0.0, math.inf, 0.0])
        self._gate = multiprocessing.Barrier(parties)
        self._watch = watch
        self._passed: int | None = None

    def install(self) -> None:
        """Measure every exchange from here on, in this process and those forked from it."""
        call = ServerSession.call

        def measured(session: ServerSession, what: Call) -> Any:
            if not what.path.endswith("/exchange"):
                return call(session, what)
            if self._passed != os.getpid():
                self._gate.wait(START_SECONDS)
                self._passed = os.getpid()
            before = time.perf_counter()
            answer = call(session, what)
            self._note(before, b'"done"' in (what.content or b""))
            return answer

        ServerSession.call = measured  # type: ignore[method-assign]

    def _note(self, before: float, ended: bool) -> None:
        now = time.perf_counter()
        with self._kept.get_lock():
            self._kept[0] += 1
            self._kept[1] = min(self._kept[1], before)
            if ended:
                self._kept[2] = now
        if self._watch is not None:
            self._watch(self.exchanges)

    @property
    def exchanges(self) -> int:
        """How many there were."""
        return int(self._kept[0])

    @property
    def seconds(self) -> float:
        """From the first exchange's beginning to the answer to the last reports."""
        return float(self._kept[2] - self._kept[1])


def do_task(task: Task, *, updates: int, seconds: float) -> None:
    """A task: it may send updates, it may take some time."""
    for step in range(1, updates + 1):
        task.update(100 * step / updates)
    if seconds:
        time.sleep(seconds)


def open_run(options: Options) -> Run:
    """The run; this call fetches the token, which all processes then share."""
    return connect(options.url, options.user, options.password).run(options.run[0])


def start(count: int, work: Callable[[], object]) -> list[BaseProcess]:
    """Start so many processes that do the same."""
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = [context.Process(target=work) for _ in range(count)]
    for process in processes:
        process.start()
    return processes


def finish(processes: list[BaseProcess]) -> None:
    """Wait for processes that must end well."""
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a client failed")


def work(options: Options) -> dict[str, Any]:
    """Empty a run."""
    meter = Meter(options.clients * options.processes)
    run = open_run(options)
    meter.install()
    function = partial(do_task, updates=options.updates, seconds=options.seconds)
    before = time.perf_counter()
    if options.clients == 1:
        run.work(function, processes=options.processes)
    else:
        finish(start(options.clients, partial(run.work, function, processes=options.processes)))
    whole = time.perf_counter() - before
    done = run.progress.done
    return {
        "tasks": done, "seconds": meter.seconds, "whole": whole, "exchanges": meter.exchanges
    }  # fmt: skip


def crowd(options: Options) -> dict[str, Any]:
    """Work for some seconds; what is measured lies between the two lines."""
    meter = Meter(options.clients)
    run = open_run(options)
    meter.install()
    end = multiprocessing.Value("d", math.inf)
    work = partial(
        run.work,
        partial(do_task, updates=0, seconds=options.seconds),
        time_left=lambda: math.inf if time.monotonic() < end.value else 0.0,
    )
    processes = start(options.clients, work)
    while not meter.exchanges:
        time.sleep(0.01)
        if not all(process.is_alive() for process in processes):
            sys.exit("a client failed")
    end.value = time.monotonic() + options.warm + options.window + 0.5
    time.sleep(options.warm)
    print(json.dumps({"exchanges": meter.exchanges}), flush=True)
    time.sleep(options.window)
    print(json.dumps({"exchanges": meter.exchanges}), flush=True)
    finish(processes)
    return {"exchanges": meter.exchanges}


def memory(options: Options) -> dict[str, Any]:
    """Make so many exchanges, and look at what this process occupies."""
    quarter = options.exchanges // 4
    kept: dict[int, float] = {}

    def look(exchanges: int) -> None:
        if exchanges in (quarter, options.exchanges):
            kept[exchanges] = resident()

    meter = Meter(1, look)
    run = open_run(options)
    meter.install()
    run.work(
        partial(do_task, updates=0, seconds=0.0),
        time_left=lambda: math.inf if meter.exchanges < options.exchanges else 0.0,
    )
    if options.exchanges not in kept:
        sys.exit(f"the run was empty after {meter.exchanges} exchanges")
    return {"quarter": kept[quarter], "end": kept[options.exchanges], "tasks": run.progress.done}


def resident() -> float:
    """Megabytes (10^6 bytes) of memory that this process occupies."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def latency(options: Options) -> dict[str, list[float]]:
    """Times of exchanges by run: some tasks in, as many out; the one that begins changes."""
    server = open_run(options)._server
    times: dict[str, list[float]] = {uuid: [] for uuid in options.run}
    held: dict[str, list[list[int]]] = {uuid: [] for uuid in options.run}
    workers = {uuid: register(server) for uuid in options.run}
    for number in range(options.rounds):
        for uuid in options.run if number % 2 else reversed(options.run):
            body = {"want": options.want, "runs": [uuid], "done": {uuid: held[uuid]}}
            before = time.perf_counter()
            answer = server.call(Call("POST", f"worker/{workers[uuid]}/exchange", body=body))
            times[uuid].append(time.perf_counter() - before)
            tasks = answer.json()["tasks"]
            if len(tasks) != options.want:
                sys.exit(f"{options.want} tasks were wanted, {len(tasks)} came")
            held[uuid] = [[one["task"], one["attempt"]] for one in tasks]
    return times


def register(server: ServerSession) -> str:
    """Register a worker; answers its UUID."""
    uuid = uuid4().hex
    body = {"uuid": uuid, "hostname": socket.gethostname(), "pid": os.getpid()}
    server.call(Call("POST", "worker", body=body))
    return uuid


def append(options: Options) -> dict[str, float]:
    """Append inputs to an open run."""
    run = open_run(options)
    text = "x" * (options.bytes - 2)  # and two quotes
    before = time.perf_counter()
    added = run.append(text for _ in range(options.tasks))
    return {"seconds": time.perf_counter() - before, "tasks": added}


COMMANDS = {
    "work": work, "crowd": crowd, "memory": memory, "latency": latency, "append": append
}  # fmt: skip
NUMBERS = {
    "clients": 1, "processes": 1, "updates": 0, "exchanges": 100, "rounds": 100, "want": 10,
    "tasks": 0, "bytes": 200,
}  # fmt: skip
SECONDS = {"seconds": 0.0, "warm": 1.0, "window": 5.0}


def main() -> None:
    """Read the options, do what is asked for, print the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=COMMANDS)
    for name in ("url", "user", "password"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--run", action="append", required=True)
    for name, number in NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    for name, seconds in SECONDS.items():
        parser.add_argument(f"--{name}", type=float, default=seconds)
    options = parser.parse_args()
    print(json.dumps(COMMANDS[options.what](options)), flush=True)


if __name__ == "__main__":
    main()
