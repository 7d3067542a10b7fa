"""Drives the published client, taskfarm-worker 0.4.0, as it is; runs in the peer's environment.

    stress   C processes empty a new run: claim, ten updates, done. They register first and start
             together; each measures from its first claim to the answer that nothing is left.
    latency  one process; claim, update, info, update, done in turn on each of the given runs.
    create   create a run.

Prints one JSON object. Needs nothing but the client and the standard library.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from taskfarm_worker import TaskFarm, TaskFarmWorker

Account = dict[str, Any]
Options = argparse.Namespace


class Counter:
    """Counts the answers of a client's session, and keeps the first one's time."""

    def __init__(self, client: TaskFarm) -> None:
        self.answers = 0
        self.first: float | None = None
        client.session.hooks["response"].append(self.note)

    def note(self, response: Any, *_: object, **__: object) -> None:
        self.answers += 1
        if self.first is None:
            self.first = response.elapsed.total_seconds()


def complete_tasks(client: TaskFarmWorker, updates: int, seconds: list[float]) -> tuple[int, float]:
    """Do tasks until none is left, with so many updates each; answers how many, the last when."""
    tasks, last = 0, 0.0
    for _ in client.tasks:
        tasks += 1
        for step in range(1, updates + 1):
            before = time.perf_counter()
            client.update(100 * step / updates)
            seconds.append(time.perf_counter() - before)
        client.done()
        last = time.perf_counter()
    return tasks, last


def stress_client(
    connect: Callable[[], TaskFarmWorker], updates: int, barrier: Any, reports: Any
) -> None:
    """One client process of the stress pattern."""
    try:
        client = connect()
        counter = Counter(client)
        seconds: list[float] = []
        barrier.wait()
        start = time.perf_counter()
        tasks, last = complete_tasks(client, updates, seconds)
        report = {"start": start, "last": last, "end": time.perf_counter(), "tasks": tasks}
        reports.put({**report, "requests": counter.answers, "updates": seconds})
    except BaseException as error:
        barrier.abort()
        reports.put({"error": repr(error)})


def stress(options: Options, account: Account) -> dict[str, Any]:
    """All client processes, on a new run."""
    run = TaskFarm(**account, numTasks=options.tasks)
    # The token as the user's name: checking a password costs more than all that is measured here.
    account = {**account, "username": run.token_auth.username}
    connect = partial(TaskFarmWorker, **account, uuid=run.uuid)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(options.clients)
    reports = context.Queue()
    arguments = (connect, options.updates, barrier, reports)
    processes = [
        context.Process(target=stress_client, args=arguments) for _ in range(options.clients)
    ]
    for process in processes:
        process.start()
    answers = [reports.get() for _ in processes]
    for process in processes:
        process.join()
    errors = [answer["error"] for answer in answers if "error" in answer]
    if errors:
        sys.exit("\n".join(errors))
    return {"clients": answers}


def timed(client: TaskFarm, call: Callable[[], object]) -> tuple[float, float | None]:
    """Seconds of a call of the client, and of the first request that it makes, headers only."""
    counter = Counter(client)
    before = time.perf_counter()
    call()
    seconds = time.perf_counter() - before
    client.session.hooks["response"].remove(counter.note)
    return seconds, counter.first


def latency(options: Options, account: Account) -> dict[str, Any]:
    """Times of each call by run: the runs take turns, and the one that begins changes."""
    workers = [TaskFarmWorker(**account, uuid=uuid) for uuid in options.run]
    calls: dict[str, Callable[[TaskFarmWorker], object]] = {
        "claim": lambda worker: worker.task,
        "update": lambda worker: worker.update(50),
        "info": lambda worker: worker.info(""),
        "last update": lambda worker: worker.update(100),
        "done": lambda worker: worker.done(),
    }
    times: dict[str, dict[str, list[Any]]] = {
        uuid: {name: [] for name in calls} for uuid in options.run
    }
    for number in range(options.rounds):
        for name, call in calls.items():
            for worker in workers if number % 2 else reversed(workers):
                times[worker.uuid][name].append(timed(worker, partial(call, worker)))
    return times


def create(options: Options, account: Account) -> dict[str, str]:
    """A new run."""
    return {"uuid": TaskFarm(**account, numTasks=options.tasks).uuid}


def main() -> None:
    """Read the options, do what is asked for, print the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("stress", "latency", "create"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=256)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--run", action="append", default=[])
    options = parser.parse_args()
    account = {
        "username": options.user,
        "password": options.password,
        "url_base": options.url,
    }
    work = {"stress": stress, "latency": latency, "create": create}[options.what]
    print(json.dumps(work(options, account)))


if __name__ == "__main__":
    main()
