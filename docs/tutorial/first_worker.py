"""first_worker.py RUN: take tasks of the run until none is left."""

import sys
import time

from taskfarm_worker import TaskFarmWorker


def compute(task: int) -> float:
    """The work: something slow that goes wrong now and then."""
    time.sleep(0.1)
    return 1 / (task % 50)


with TaskFarmWorker(None, None, sys.argv[1]) as worker:
    for task in worker.tasks:
        try:
            result = compute(task)
        except ArithmeticError as error:
            print(f"task {task}: {error}", flush=True)
            worker.setTaskInfo(task, "status", "failed")
        else:
            print(f"task {task}: {result:.3f}", flush=True)
            worker.update(100)
        worker.done()
