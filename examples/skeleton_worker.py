"""A worker to start one's own from: ``python skeleton_worker.py RUN``.

Start it on as many machines as there are, in batch jobs that may end at any time. The farm's
address, the user and the password come from ``TASKFARM_URL``, ``TASKFARM_USER`` and
``TASKFARM_PASSWORD``, or from ``~/.config/taskfarm/config.ini``. All it needs is
``pip install ./worker_client`` in a checkout of the farm.
"""

import os
import sys

from taskfarm_worker import Task, connect


def first_half(task: int) -> None:
    """Where your work goes: the number decides which file, which parameters, which region."""
    print(f"task {task}: first half")


def second_half(task: int) -> None:
    """Long tasks are worth a word in between: people see that they move."""
    print(f"task {task}: second half")


def work(task: Task) -> dict[str, str]:
    """One task: what it returns is kept as its output; an exception means that it failed."""
    first_half(task.number)
    task.update(50)
    second_half(task.number)
    return {"host": os.uname().nodename}


def main(run: str) -> None:
    """Work in a process per core until nothing is left."""
    summary = connect().run(run).work(work, processes=os.cpu_count() or 1)
    print(f"{summary.done} done, {summary.failed} failed attempts")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
