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
from django.utils import timezone

from runs import lifecycle, queue, restarts, steering, workers
from runs.models import Attempt, FailureTally, Run, RunEvent, Tally, Task, Throughput, Worker
from runs.selection import Selection
from runs.states import Outcome, RunState, TaskState

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
    Story("CryoSat-2 tiles, February 2026", "cryosat", 2_048, done=2_030, failed=18,
          minutes_ago=28 * 1440, minutes_long=41, days_old=28, hosts=4),
    Story("bootstrap, age model", "", 64, done=64, minutes_ago=3 * 1440, days_old=4),
    Story("CMIP6 downscaling, SSP3-7.0", "climate", 720, done=720, minutes_ago=1500, days_old=2),
    Story("Docking screen, batch 14", "docking", 500, done=441, failed=59, minutes_ago=190,
          hosts=8),
    Story("Ice-sheet ensemble, 2 km", "isotope", 640, done=212, minutes_ago=26,
          state=RunState.PAUSED),
    Story("Glacier outlines, Alps", "glims", 1_250, minutes_ago=4, days_old=0.003),
    Story("CryoSat-2 tiles, March 2026", "cryosat", 2_048, done=1_310, failed=13, computing=18,
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
        steer(alice, bob)
    return alice


def steer(alice: User, bob: User) -> None:
    """Let people do what they do to runs."""
    run = Run.objects.get(name="CryoSat-2 tiles, March 2026")
    steering.change_policy(run=run, who="bob", why="n103 has a full disk", error_attempts=3)
    steering.pause(run=run, who="alice", why="quota on /scratch")
    steering.resume(run=run, who="alice")
    for place, event in enumerate(RunEvent.objects.filter(run=run).order_by("id")):
        RunEvent.objects.filter(pk=event.pk).update(
            at=timezone.now() - timedelta(minutes=19 - 3 * place)
        )
    failed = Selection(states=(TaskState.FAILED,), numbers=((0, 400),))
    restarts.restart(run=run, selection=failed, by="alice", why="disk cleaned")


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
    blame_host(outcomes, len(crew))
    for number, outcome in enumerate(outcomes):
        run.refresh_from_db(fields=["claim_floor", "started"])
        claim = queue.claim(run=run, worker=crew[number % len(crew)])[0]
        error = ERRORS[number % len(crew) == BAD_HOST] if outcome == Outcome.FAILED else None
        if error:
            queue.report_progress(run=run, number=claim.number, percent=dice.randrange(5, 60))
        queue.report_outcome(run=run, number=claim.number, outcome=outcome, error=error)
    for number in range(story.computing):
        claim = queue.claim(run=run, worker=crew[number % len(crew)])[0]
        queue.report_progress(run=run, number=claim.number, percent=dice.randrange(2, 98))


BAD_HOST = 3


def blame_host(outcomes: list[Outcome], hosts: int) -> None:
    """Let most of the failures fall to one host: its disk is full."""
    failed = [place for place, one in enumerate(outcomes) if one == Outcome.FAILED]
    good = [
        place
        for place, one in enumerate(outcomes)
        if one == Outcome.DONE and hosts > BAD_HOST and place % hosts == BAD_HOST
    ]
    pairs = list(zip(failed, good, strict=False))
    for bad, well in pairs[: 3 * len(failed) // 5]:
        if bad % hosts != BAD_HOST:
            outcomes[bad], outcomes[well] = outcomes[well], outcomes[bad]


def date_back(run: Run, story: Story) -> None:
    """Spread what just happened over the time that the story tells of."""
    shift = timedelta(minutes=story.minutes_ago)
    length = timedelta(minutes=story.minutes_long)
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(created=now - timedelta(days=story.days_old) - shift)
    Run.objects.filter(pk=run.pk, started__isnull=False).update(started=now - shift - length)
    Tally.objects.filter(run=run).update(updated=now - shift)
    spread(Task.objects.filter(run=run, updated__isnull=False), run, story, now)
    spread_attempts(run, story, now)
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


def spread_attempts(run: Run, story: Story, now: Any) -> None:
    """Date each attempt, the low numbers first; some tasks take longer than others."""
    dice = random.Random(run.num_tasks)
    rows = list(Attempt.objects.filter(run=run).order_by("number"))
    for place, attempt in enumerate(rows):
        left = story.minutes_long * (1 - ((place + 1) / len(rows)) ** 0.8) + story.minutes_ago
        attempt.ended = now - timedelta(minutes=left)
        attempt.started = attempt.ended - timedelta(seconds=dice.lognormvariate(3.4, 0.4))
    Attempt.objects.bulk_update(rows, ["ended", "started"], batch_size=500)
    FailureTally.objects.filter(run=run).update(
        first=now - timedelta(minutes=story.minutes_ago + story.minutes_long),
        last=now - timedelta(minutes=story.minutes_ago + story.minutes_long / 9),
    )


def spread_throughput(run: Run, story: Story, now: Any) -> None:
    """Count what ended in every minute; a little more each minute, as workers came."""
    Throughput.objects.filter(run=run).delete()
    kept: dict[Any, Throughput] = {}
    for attempt in Attempt.objects.filter(run=run):
        minute = attempt.ended.replace(second=0, microsecond=0)
        row = kept.setdefault(minute, Throughput(run=run, slot=1, minute=minute))
        row.done += attempt.outcome == Outcome.DONE
        row.failed += attempt.outcome == Outcome.FAILED
        row.seconds += (attempt.ended - attempt.started).total_seconds()
    Throughput.objects.bulk_create(kept.values())
