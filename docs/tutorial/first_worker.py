"""first_worker.py RUN: take tasks of the run until none is left."""

import sys
import time

from taskfarm_worker import Task, connect


def compute(task: Task) -> float:
    """The work: something slow that goes wrong now and then."""
    time.sleep(0.1)
    print(f"task {task.number}", flush=True)
    return 1 / (task.number % 50)


connect().run(sys.argv[1]).work(compute)
