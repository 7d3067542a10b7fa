"""measure_files.py FILE …: measure each file as a task of a run, in four processes."""

import sys

from taskfarm_worker import Task, connect


def measure(task: Task) -> dict[str, int]:
    """The work on one task; what it returns is the task's output."""
    task.log("reading", task.input)
    with open(task.input, "rb") as file:
        data = file.read()
    return {"bytes": len(data), "lines": data.count(b"\n")}


def main(paths: list[str]) -> None:
    """Create the run, work on it, print what came of it."""
    with connect() as farm:
        run = farm.create_run(inputs=paths, name="files", error_attempts=2, backoff=0)
        print(f"run {run.uuid}", flush=True)
        summary = run.work(measure, processes=4)
        print(f"{summary.done} done, {summary.failed} failed attempts")
        for row in run.results():
            print(paths[row["task"]], row["output"]["bytes"], row["output"]["lines"])
        for row in run.failures():
            print(paths[row["task"]], row["error"].splitlines()[-1], file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
