"""Batch jobs through PSI/J (`psij-python`), once, or as many as the backlog asks for."""

from __future__ import annotations

import importlib
import io
import math
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from .._errors import InvalidArgumentError, TaskFarmError
from .._run import Progress, Run
from .batch import Batch

TOO_SOON = 60.0
"""Seconds: a job that fails within them has not really started."""

TRAP = "trap : TERM INT USR1  # whose job this is hears of these, too, and is waited for\n"
"""A shell that a batch system ends takes its whole job with it, before the farmer has given its
tasks back. What it starts is not concerned: a trap that does something is not passed on."""

MOST_FAILED = 3
"""Jobs that failed to start, one after the other, after which no more are submitted."""


class Launcher:
    """Submits jobs, and knows what has become of them."""

    def __init__(self, executor: str, batch: Batch) -> None:
        """Prepare.

        Args:
            executor: PSI/J's name of the batch system.
            batch: what to submit.

        Raises:
            InvalidArgumentError: PSI/J is not installed, or knows no such batch system.
        """
        self._psij = _psij()
        names = self._psij.JobExecutor.get_executor_names()
        if executor not in names:
            raise InvalidArgumentError(
                f"PSI/J knows no executor {executor!r}: {', '.join(sorted(names))}."
            )
        self._executor = self._psij.JobExecutor.get_instance(executor)
        if hasattr(self._executor, "generate_submit_script"):
            self._executor.generate_submit_script = patient(self._executor.generate_submit_script)
        self._name = executor
        self._batch = batch
        self._jobs: list[tuple[Any, float]] = []
        self._judged: set[str] = set()
        self.failed = 0

    def submit(self) -> str:
        """Submit a job.

        Returns:
            the batch system's name for it.

        Raises:
            TaskFarmError: the batch system refuses.
        """
        batch, psij = self._batch, self._psij
        words = batch.timed
        custom = {f"{self._name}.{name}": value for name, value in batch.more.items()}
        before = Path(batch.folder, "before-launch.sh")
        before.write_text(TRAP, "utf-8")
        spec = psij.JobSpec(
            executable=words[0], arguments=words[1:], name=batch.name,
            stdout_path=f"{batch.folder}/job-{len(self._jobs)}.out",
            stderr_path=f"{batch.folder}/job-{len(self._jobs)}.err",
            resources=psij.ResourceSpecV1(
                node_count=batch.nodes, processes_per_node=1, cpu_cores_per_process=batch.proc
            ),
            attributes=psij.JobAttributes(
                duration=timedelta(seconds=batch.seconds), queue_name=batch.queue,
                account=batch.account, custom_attributes=custom or None,
            ),
            launcher="single" if batch.nodes == 1 else "multiple", pre_launch=before,
        )  # fmt: skip
        if batch.nodes > 1 and self._name == "slurm":
            spec.launcher = "srun"
        job = psij.Job(spec)
        try:
            self._executor.submit(job)
        except Exception as error:
            raise TaskFarmError(f"{self._name} refuses the job: {error}") from None
        self._jobs.append((job, time.monotonic()))
        return str(job.native_id)

    def alive(self) -> list[Any]:
        """The jobs that wait or run; failures to start are counted by the way."""
        left = []
        for job, began in self._jobs:
            if not job.status.final:
                left.append(job)
            elif job.id not in self._judged:
                self._judged.add(job.id)
                self._judge(job, time.monotonic() - began)
        return left

    def cancel_waiting(self, most: int) -> int:
        """Cancel jobs that have not started.

        Args:
            most: how many.

        Returns:
            how many there were.
        """
        queued = self._psij.JobState.QUEUED
        waiting = [job for job in self.alive() if job.status.state is queued][-most:]
        for job in waiting if most > 0 else []:
            job.cancel()
        return len(waiting)

    def _judge(self, job: Any, seconds: float) -> None:  # noqa: ANN401  # PSI/J has no types
        if job.status.state is self._psij.JobState.FAILED and seconds < TOO_SOON:
            self.failed += 1
        else:
            self.failed = 0


def patient(write: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Have the shell of a batch job outlive the signals that end its farmer.

    Args:
        write: PSI/J's function that writes the script of a job into a file.

    Returns:
        such a function.
    """

    def written(job: Any, context: Any, file: Any) -> None:  # noqa: ANN401  # PSI/J has no types
        text = io.StringIO()
        write(job, context, text)
        lines = text.getvalue().splitlines(keepends=True)
        # Behind the last option of the batch system, which no command may precede.
        last = max(place for place, line in enumerate(lines) if line.startswith("#"))
        lines.insert(last + 1, TRAP)
        file.writelines(lines)

    return written


def wanted(progress: Progress, proc: int, least: int, most: int) -> int:
    """Tell how many jobs a backlog asks for.

    Args:
        progress: how far the run is.
        proc: commands at a time in a job.
        least: how many at least while there is anything to do.
        most: how many at most.

    Returns:
        how many; none once the run is over, or while it is paused.
    """
    left = progress.waiting + progress.computing
    if progress.over or progress.state == "paused" or not left:
        return 0
    return min(most, max(least, math.ceil(left / proc)))


def follow(
    launcher: Launcher,
    run: Run,
    bounds: tuple[int, int, int],
    say: Callable[[str], None],
    interval: float,
) -> bool:
    """Keep as many jobs as the backlog asks for, until the run is over.

    Args:
        launcher: submits.
        run: the run.
        bounds: commands at a time in a job, the least and the most jobs.
        say: tells people.
        interval: seconds between looks.

    Returns:
        whether the run is over; False when jobs have failed to start again and again.
    """
    proc, least, most = bounds
    while True:
        progress = run.progress
        alive = len(launcher.alive())
        target = wanted(progress, proc, least, most)
        if progress.over:
            launcher.cancel_waiting(most)
            return True
        if launcher.failed >= MOST_FAILED:
            if not alive:
                return False
            target = alive
        for _ in range(target - alive):
            say(f"waiting tasks: {progress.waiting:,}; job {launcher.submit()} submitted")
        if alive > target:
            launcher.cancel_waiting(alive - target)
        time.sleep(interval)


def _psij() -> Any:  # noqa: ANN401  # no dependency, so its types are not there
    try:
        return importlib.import_module("psij")
    except ImportError:
        raise InvalidArgumentError(
            "Submitting needs PSI/J: pip install 'taskfarm-worker[launch]'. Or take --print, which "
            "prints a script to submit yourself."
        ) from None
