"""A farm that looks like one in use: several people's runs in every state, by real operations.

Only the clock is cheated: what happened "two hours ago" is dated back afterwards.
"""

import random
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from runs import lifecycle, queue, workers
from runs.models import Attempt, Run, Tally, Task, Throughput, Worker
from runs.states import Outcome, RunState

PASSWORD = "look at the glacier"
ERRORS = (
    "Traceback (most recent call last):\n"
    '  File "/home/alice/tiles/grid.py", line 88, in grid\n'
    "    surface = interpolate(points, values, target)\n"
    '  File "/home/alice/tiles/grid.py", line 41, in interpolate\n'
    '    raise ValueError(f"only {len(points)} points in tile, 3 needed")\n'
    "ValueError: only 2 points in tile, 3 needed",
    "OSError: [Errno 122] Disk quota exceeded: '/scratch/alice/out'",
)


@dataclass(frozen=True)
class Story:
    """One run of the demo: its size, how far it got, and how long ago that was."""

    name: str
    namespace: str
    tasks: int
    done: int = 0
    failed: int = 0
    computing: int = 0
    hosts: int = 0
    minutes_ago: float = 0
    minutes_long: float = 30
    state: str = RunState.ACTIVE
    description: str = ""
    group: bool = False
    days_old: float = field(default=0.2)


STORIES = (
    Story("bootstrap, age model", "", 64, done=64, minutes_ago=3 * 1440, days_old=4),
    Story("CMIP6 downscaling, SSP3-7.0", "climate", 720, done=720, minutes_ago=1500, days_old=2),
    Story("Docking screen, batch 14", "docking", 500, done=441, failed=59, minutes_ago=190),
    Story("Ice-sheet ensemble, 2 km", "isotope", 640, done=212, minutes_ago=26,
          state=RunState.PAUSED),
    Story("Glacier outlines, Alps", "glims", 1_250, minutes_ago=4, days_old=0.003),
    Story("CryoSat-2 tiles, March 2026", "cryosat", 2_048, done=1_310, failed=7, computing=18,
          hosts=6, minutes_ago=0, minutes_long=24, group=True,
          description="Surface elevation from the March passes, one task per 100 km tile of the "
          "polar grid."),
)  # fmt: skip


def seed() -> User:
    """Fill an empty farm; answers alice, who owns most of it and may see the admin."""
    group = Group.objects.create(name="glaciology")
    alice = User.objects.create_superuser("alice", "alice@example.org", PASSWORD)
    bob = User.objects.create_user("bob", "bob@example.org", PASSWORD)
    for user in (alice, bob):
        user.groups.add(group)
    with transaction.atomic():
        # Somebody else's run, which staff sees, too.
        tell(Story("hyperparameters, sweep 3", "vision", 128, done=96, computing=4, hosts=1), bob)
        for story in STORIES:
            tell(story, alice, group if story.group else None)
    return alice


def tell(story: Story, owner: Any, group: Group | None = None) -> Run:
    """Make a run and let workers do what its story says."""
    run = lifecycle.create_run(
        owner=owner, num_tasks=story.tasks, name=story.name, namespace=story.namespace,
        description=story.description, group=group,
    )  # fmt: skip
    crew = [
        workers.register(owner=owner, uuid=uuid.uuid4(), hostname=f"n{100 + i:03d}", pid=4000 + i)
        for i in range(max(story.hosts, 1))
    ]
    work(run, crew, story)
    date_back(run, story)
    Run.objects.filter(pk=run.pk).update(state=story.state)
    return run


def work(run: Run, crew: list[Worker], story: Story) -> None:
    """Claim and report as the crew did."""
    dice = random.Random(run.num_tasks)
    outcomes = [Outcome.DONE] * story.done + [Outcome.FAILED] * story.failed
    dice.shuffle(outcomes)
    for number, outcome in enumerate(outcomes):
        run.refresh_from_db(fields=["claim_floor", "started"])
        claim = queue.claim(run=run, worker=crew[number % len(crew)])[0]
        error = dice.choice(ERRORS) if outcome == Outcome.FAILED else None
        if error:
            queue.report_progress(run=run, number=claim.number, percent=dice.randrange(5, 60))
        queue.report_outcome(run=run, number=claim.number, outcome=outcome, error=error)
    for number in range(story.computing):
        claim = queue.claim(run=run, worker=crew[number % len(crew)])[0]
        queue.report_progress(run=run, number=claim.number, percent=dice.randrange(2, 98))


def date_back(run: Run, story: Story) -> None:
    """Spread what just happened over the time that the story tells of."""
    shift = timedelta(minutes=story.minutes_ago)
    length = timedelta(minutes=story.minutes_long)
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(created=now - timedelta(days=story.days_old) - shift)
    Run.objects.filter(pk=run.pk, started__isnull=False).update(started=now - shift - length)
    Tally.objects.filter(run=run).update(updated=now - shift)
    spread(Task.objects.filter(run=run, updated__isnull=False), run, story, now)
    Attempt.objects.filter(run=run).update(
        started=F("started") - shift - timedelta(seconds=71), ended=F("ended") - shift
    )
    spread_throughput(run, story, now)
    Worker.objects.filter(attempts__run=run).update(last_seen=now - shift - timedelta(seconds=3))


def spread(tasks: Any, run: Run, story: Story, now: Any) -> None:
    """Date each touched task, the low numbers first."""
    rows = list(tasks.order_by("number"))
    for place, task in enumerate(rows):
        left = story.minutes_long * (1 - (place + 1) / len(rows)) + story.minutes_ago
        task.updated = now - timedelta(minutes=left)
        task.started = task.updated - timedelta(seconds=40 + place % 50)
    Task.objects.bulk_update(rows, ["updated", "started"], batch_size=500)


def spread_throughput(run: Run, story: Story, now: Any) -> None:
    """Let the same number of tasks have ended in every minute."""
    Throughput.objects.filter(run=run).delete()
    minutes = int(story.minutes_long) if story.done else 0
    last = (now - timedelta(minutes=story.minutes_ago)).replace(second=0, microsecond=0)
    Throughput.objects.bulk_create(
        Throughput(
            run=run, slot=1, minute=last - timedelta(minutes=past), done=story.done // minutes
        )
        for past in range(minutes)
    )
