"""A worker process for the race tests: claims and reports straight through ``runs.queue``.

``python -m tests.runs.claimer RUN HOW``: waits for a line on standard input (the starting gun),
then works until nothing is left, and prints a line for each task that it claimed. HOW is ``claim``
(claims only), ``work`` (claims and reports done), or ``twice`` (claims a few at once, reports each
twice).
"""

import os
import sys
import uuid

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskfarm_site.settings")
django.setup()

from runs import queue, workers  # noqa: E402
from runs.errors import FarmError  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.states import Outcome  # noqa: E402


def work(run_uuid: str, how: str) -> None:
    """Work until nothing is left, or until the run is gone."""
    run = Run.objects.select_related("owner").get(uuid=run_uuid)
    worker = workers.register(owner=run.owner, uuid=uuid.uuid4(), hostname="race", pid=os.getpid())
    print("ready", flush=True)
    sys.stdin.readline()
    while claims := claim(run, worker, want=3 if how == "twice" else 1):
        for one in claims:
            print(one.number, one.attempt)
            if how != "claim":
                report(run, one, times=2 if how == "twice" else 1)


def claim(run: Run, worker: workers.Worker, want: int) -> list[queue.Claim]:
    """Claim as a request does: the run is read afresh, and may be gone."""
    try:
        run.refresh_from_db()
    except Run.DoesNotExist:
        return []
    return queue.claim(run=run, worker=worker, want=want)


def report(run: Run, one: queue.Claim, times: int) -> None:
    """Report done; a restart or a deletion in between is part of the race."""
    for _ in range(times):
        try:
            queue.report_progress(run=run, number=one.number, percent=50)
            queue.report_outcome(run=run, number=one.number, outcome=Outcome.DONE)
        except FarmError as refusal:
            print("refused", refusal.code)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2])
