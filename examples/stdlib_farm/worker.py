"""A worker process: takes tasks from the farm until none is left, and keeps what it finds.

It is what a batch job on a cluster would run; started as
``python -m examples.stdlib_farm.worker RUN FOLDER`` with the farm's address, a user and a password
in ``TASKFARM_URL``, ``TASKFARM_USER`` and ``TASKFARM_PASSWORD``. The farm gets a summary of each
file, or its error; all that was found goes to a file of this worker's own, a line of JSON per task.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from taskfarm_worker import Task, connect

from examples.stdlib_farm.measure import measure


def work(run: str, folder: Path) -> None:
    """Work on the run until nothing is left to be done."""
    with (folder / f"worker-{os.getpid()}.jsonl").open("a") as results:
        connect().run(run).work(lambda task: one(task, results))


def one(task: Task, results: TextIO) -> dict[str, Any]:
    """Measure the file that a task's input names.

    Returns:
        what the farm keeps as the task's output.

    Raises:
        Exception: the file cannot be read or parsed: the task has failed, which is a result, too.
    """
    started = time.perf_counter()

    def keep(found: dict[str, Any]) -> None:
        seconds = time.perf_counter() - started
        who = {"task": task.number, "worker": os.getpid(), "file": task.input}
        line = json.dumps({**who, **found, "seconds": seconds, "ended": time.time()})
        results.write(line + "\n")
        results.flush()

    # First the result, then the word that it is there.
    try:
        found = measure(Path(task.input).read_bytes(), task.update).as_json()
    except Exception as error:
        keep({"error": str(error)})
        raise
    keep(found)
    return {name: value for name, value in found.items() if name != "longest"}


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
