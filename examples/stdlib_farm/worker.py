"""A worker process: takes tasks from the farm until none waits, and keeps what it finds.

It is what a batch job on a cluster would run; started as
``python -m examples.stdlib_farm.worker RUN FOLDER`` with the farm's address, a user and a password
in ``TASKFARM_URL``, ``TASKFARM_USER`` and ``TASKFARM_PASSWORD``. The farm keeps the state of the
tasks; results are the worker's own affair: one line of JSON per task in a file of its own.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskfarm_worker import TaskFarmWorker

from examples.stdlib_farm.measure import Unreadable, measure
from examples.stdlib_farm.sources import read_list

SMALL = 10_000
"""Bytes. Progress within a task that takes a hundredth of a second tells nobody anything."""


def work(run: str, folder: Path) -> None:
    """Work on the run until no task waits."""
    worker = TaskFarmWorker(
        os.environ["TASKFARM_USER"],
        os.environ["TASKFARM_PASSWORD"],
        run,
        url_base=os.environ["TASKFARM_URL"],
    )
    files = read_list(folder / "files.txt")
    with (folder / f"worker-{os.getpid()}.jsonl").open("a") as results:
        for task in worker.tasks:
            result = {"task": task, "worker": os.getpid(), **one(worker, task, files[task])}
            # First the result, then the word that it is there.
            results.write(json.dumps(result) + "\n")
            results.flush()
            finish(worker, task, failed="error" in result)


def one(worker: TaskFarmWorker, task: int, file: Path) -> dict[str, Any]:
    """Measure one file; a file that cannot be read is a result, too."""
    started = time.perf_counter()
    try:
        source = file.read_bytes()
        tell: Callable[[float], None] = worker.update if len(source) > SMALL else silent
        found = measure(source, tell).as_json()
    except (OSError, Unreadable) as error:
        found = {"error": str(error)}
    seconds = time.perf_counter() - started
    return {"file": str(file), **found, "seconds": seconds, "ended": time.time()}


def silent(percent: float) -> None:
    """Report nothing."""


def finish(worker: TaskFarmWorker, task: int, *, failed: bool) -> None:
    """End the task in hand: done, or failed and let go of."""
    if failed:
        worker.setTaskInfo(task, "status", "failed")
    else:
        worker.update(100)
    worker.done()  # below 100 % this only lets go of the task


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
