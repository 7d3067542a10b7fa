"""Fills Flower's store with tasks; runs in its environment.

Feeds its own state with the events that Celery's workers send for a task: received, started,
succeeded or failed. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shelve
import time
from importlib.metadata import version
from typing import Any
from uuid import UUID

from flower.events import EventsState

WORKERS = 1000


def events(number: int, now: float) -> list[dict[str, Any]]:
    """What the life of one task sends."""
    uuid = str(UUID(int=number + 1))
    worker = f"celery@n{number % WORKERS // 4:04d}-{number % 4}"
    common = {"uuid": uuid, "hostname": worker, "utcoffset": 0, "pid": 4000 + number % WORKERS}
    began = now - 86_400 + number
    found = [
        {"type": "task-received", "name": "tiles.grid", "args": f"({number},)", "kwargs": "{}",
         "retries": 0, "eta": None, "expires": None},
        {"type": "task-started"},
        {"type": "task-failed", "exception": "ValueError('only 2 points in tile')",
         "traceback": "Traceback (most recent call last):\nValueError"}
        if number % 100 == 7
        else {"type": "task-succeeded", "result": '{"rmse": 0.117}', "runtime": 15.0},
    ]  # fmt: skip
    return [
        {**common, **one, "clock": 3 * number + place, "timestamp": began + place,
         "local_received": began + place}
        for place, one in enumerate(found)
    ]  # fmt: skip


def main() -> None:
    """Read the options, fill the store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--tasks", type=int, required=True)
    options = parser.parse_args()
    state = EventsState(max_tasks_in_memory=100_000)
    now = time.time()
    for number in range(options.tasks):
        for event in events(number, now):
            state.event(event)
    with shelve.open(options.store, flag="n") as store:
        store["events"] = state
        store["counter"] = dict(state.counter)
    print(json.dumps({"version": version("flower"), "tasks": len(state.tasks)}))


if __name__ == "__main__":
    main()
