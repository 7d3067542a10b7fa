"""tiles_worker.py RUN: take tiles of a run until none is left, or until the job's time is over."""

import signal
import sys

from taskfarm_worker import TaskFarmWorker
from tiles import process  # your work


def leave(*_: object) -> None:
    """End the task in hand by an exception, so that it can be given back."""
    sys.exit("out of time")


def main(run: str) -> None:
    """Work on the run; user and password come from the configuration."""
    with TaskFarmWorker(None, None, run) as worker:
        for task in worker.tasks:
            worker.update(0)  # this worker does not resume what others began
            try:
                process(task, worker.update)
            except Exception as error:
                print(f"task {task}: {error!r}", file=sys.stderr)
                worker.setTaskInfo(task, "status", "failed")
            except SystemExit:
                worker.setTaskInfo(task, "status", "waiting")  # somebody else's now
                raise
            else:
                worker.update(100)
            worker.done()


signal.signal(signal.SIGTERM, leave)
main(sys.argv[1])
