"""A worker to start one's own from: ``python skeleton_worker.py RUN``.

Start as many as there are cores, on as many machines as there are, in batch jobs that may end at
any time. The farm's address, the user and the password come from ``TASKFARM_URL``,
``TASKFARM_USER`` and ``TASKFARM_PASSWORD``, or from ``~/.config/taskfarm/config.ini``. All it needs
is ``pip install taskfarm-worker``.
"""

import sys

from taskfarm_worker import TaskFarmWorker


def first_half(task: int) -> None:
    """Where your work goes: the number decides which file, which parameters, which region."""
    print(f"task {task}: first half")


def second_half(task: int) -> None:
    """Long tasks are worth a word in between: people see that they move."""
    print(f"task {task}: second half")


def main(run: str) -> None:
    """Work until no task waits."""
    with TaskFarmWorker(None, None, run) as worker:
        print(f"worker {worker.worker_uuid}: {worker.percentDone:.0f} % of the run is done")
        for task in worker.tasks:
            try:
                first_half(task)
                worker.update(50)
                second_half(task)
                worker.update(100)
            except OSError as error:  # what can go wrong with one task and not with all
                print(f"task {task} failed: {error}", file=sys.stderr)
                worker.setTaskInfo(task, "status", "failed")
            worker.done()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
