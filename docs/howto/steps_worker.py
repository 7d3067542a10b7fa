"""steps_worker.py RUN: work on a run whose tasks take long, and go on where others left off."""

import sys
from pathlib import Path

from taskfarm_worker import Task, connect

STEPS = 10


def compute(task: Task) -> str:
    """Ten steps, each kept in a file; an earlier attempt may have done some of them."""
    folder = Path(f"task-{task.number}")
    folder.mkdir(exist_ok=True)
    for step in range(int(task.percent * STEPS // 100), STEPS):
        if task.cancelled:  # restarted or cancelled meanwhile: nobody wants the rest
            break
        (folder / f"step-{step}").write_text(f"step {step} of attempt {task.attempt}\n")
        task.update(100 * (step + 1) / STEPS)
    return str(folder)


if __name__ == "__main__":
    connect().run(sys.argv[1]).work(compute, on_signal="release")
