"""tiles_worker.py RUN: take tiles of a run until none is left, or until the job's time is over."""

import sys

from taskfarm_worker import Task, connect
from tiles import process  # your work


def work(task: Task) -> None:
    """One tile; an exception is a failed attempt, kept with its traceback."""
    process(task.number, task.update)


if __name__ == "__main__":
    connect().run(sys.argv[1]).work(work, on_signal="release")
