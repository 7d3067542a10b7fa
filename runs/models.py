"""The tables of the farm: fields, constraints, named querysets; no transition happens here.

The hot tables (``Task``, ``Tally``, ``Attempt``, ``Throughput``) are written by ``moves.py``,
``tallies.py`` and ``queue.py`` in SQL. Their references to other tables carry no database
constraint: checking one costs a query for every claimed task, and keeps vacuuming and deleting
workers from being cheap. Nothing deletes what they point to but ``lifecycle.delete_run``.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from runs.conditions import percentage, readable
from runs.states import Outcome, RunState, TaskState

W, C, D = TaskState.WAITING, TaskState.COMPUTING, TaskState.DONE


TASKS_OF_A_RUN = 2**32
"""How far apart the ids of two runs' first tasks are."""


def task_id(run_id: int, number: int) -> int:
    """The id of a task: its run and its number in one, so that it needs no other index by them."""
    return run_id * TASKS_OF_A_RUN + number


class RunQuerySet(models.QuerySet["Run"]):
    """Named selections of runs."""

    def kept(self) -> "RunQuerySet":
        """Runs that are not on their way out (see ``lifecycle.delete_run``)."""
        return self.filter(deleted__isnull=True)

    def locked(self, run: "Run") -> "RunQuerySet":
        """This run, its row held until the commit: whoever changes it waits, who reads does not."""
        return self.select_for_update(no_key=True).filter(pk=run.pk)

    def visible_to(self, user: Any, group_ids: Iterable[int] | None = None) -> "RunQuerySet":
        """The runs that a user may see, work and change: own ones, their groups', for staff all.

        Args:
            user: the account.
            group_ids: its groups, where the caller knows them already; else looked up by a join.
        """
        runs = self.kept()
        if user.is_staff:
            return runs
        if group_ids is None:
            return runs.filter(Q(owner=user) | Q(group__in=user.groups.all()))
        groups = list(group_ids)
        return (
            runs.filter(Q(owner=user) | Q(group__in=groups)) if groups else runs.filter(owner=user)
        )


class Run(models.Model):
    """A numbered set of tasks, ``0 … num_tasks-1``."""

    id = models.AutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, blank=True, help_text="What people call it.")
    namespace = models.CharField(
        max_length=200, blank=True, help_text="What it belongs to: a project, a campaign, a year."
    )
    description = models.TextField(blank=True, max_length=10_000)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="runs"
    )
    group = models.ForeignKey(
        Group,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="runs",
        help_text="Its members may see, work and change the run, too.",
    )
    state = models.CharField(max_length=9, choices=RunState.choices, default=RunState.ACTIVE)
    num_tasks = models.IntegerField("tasks")
    claim_floor = models.IntegerField(
        default=0, help_text="A hint: the lowest number that may still wait."
    )
    created = models.DateTimeField(db_default=Now(), editable=False)
    started = models.DateTimeField(null=True, editable=False, help_text="The first claim.")
    changed = models.DateTimeField(
        db_default=Now(), editable=False, help_text="The last change of its state by anybody."
    )
    # The policy: what becomes of tasks without anybody's doing. See policy.py for each.
    open = models.BooleanField(
        default=False, help_text="Can take more tasks, and is not over when it is empty."
    )
    priority = models.SmallIntegerField(
        default=0, help_text="Among the runs that a worker serves: the highest first."
    )
    error_attempts = models.PositiveSmallIntegerField(
        default=1, help_text="Attempts at a task that may end in an error before it is failed."
    )
    lost_attempts = models.PositiveSmallIntegerField(
        default=5, help_text="Attempts at a task whose worker may be lost before it is failed."
    )
    timeout_attempts = models.PositiveSmallIntegerField(
        default=2, help_text="Attempts at a task that may take too long before it is failed."
    )
    backoff = models.FloatField(
        default=10, help_text="Seconds before the second attempt after an error; doubled each time."
    )
    task_timeout = models.FloatField(
        null=True, blank=True, help_text="Seconds that one attempt may take; empty: any time."
    )
    heartbeat = models.FloatField(
        default=10, help_text="Seconds between the signs of life that its workers give."
    )
    start_after = models.DateTimeField(
        null=True, blank=True, help_text="No task is handed out before."
    )
    expire_at = models.DateTimeField(
        null=True, blank=True, help_text="What is not done by then is cancelled."
    )
    fail_count = models.PositiveIntegerField(
        null=True, blank=True, help_text="So many failed tasks stop the run; empty: any number."
    )
    fail_percent = models.FloatField(
        null=True, blank=True, help_text="So many per cent of failed tasks stop the run."
    )
    fail_now = models.BooleanField(
        default=False, help_text="Stop at once: cancel what computes, too; else only hold the rest."
    )
    canary_tasks = models.PositiveIntegerField(
        null=True, blank=True, help_text="Release only so many first; empty: all."
    )
    canary_percent = models.FloatField(
        default=100, help_text="Per cent of the canaries that must succeed to release the rest."
    )
    released = models.BooleanField(
        default=True, editable=False, help_text="Whether the canaries have succeeded."
    )
    largest_input = models.IntegerField(
        default=0,
        editable=False,
        help_text="Bytes of the largest input of a task; 0: there is none.",
    )
    template = models.TextField(
        blank=True, max_length=10_000, help_text="A command or parameters, for the workers to fill."
    )
    columns = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The tasks are a grid of so many columns, as on the map.",
    )
    unfinished = models.BooleanField(
        default=False,
        editable=False,
        help_text="It is being cancelled: the sweep calls off what is left of its tasks.",
    )
    deleted = models.DateTimeField(
        null=True, editable=False, help_text="Being deleted since: seen by nobody any more."
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=["owner", "id"], name="run_by_owner"),
            models.Index(fields=["group", "id"], name="run_by_group"),
            models.Index(fields=["namespace", "id"], name="run_by_namespace"),
            # What the sweep looks for.
            models.Index(
                fields=["expire_at"], name="run_expiring", condition=Q(expire_at__isnull=False)
            ),
            models.Index(fields=["id"], name="run_unfinished", condition=Q(unfinished=True)),
            models.Index(
                fields=["deleted"], name="run_deleted", condition=Q(deleted__isnull=False)
            ),
        )
        constraints = (
            models.CheckConstraint(name="run_num_tasks", condition=Q(num_tasks__gte=0)),
            models.CheckConstraint(name="run_claim_floor", condition=Q(claim_floor__gte=0)),
            models.CheckConstraint(name="run_state", condition=Q(state__in=RunState.values)),
            models.CheckConstraint(
                name="run_attempts",
                condition=Q(error_attempts__gte=1, lost_attempts__gte=1, timeout_attempts__gte=1),
            ),
            models.CheckConstraint(
                name="run_times",
                condition=Q(backoff__gte=0, heartbeat__gte=1)
                & (Q(task_timeout__isnull=True) | Q(task_timeout__gt=0)),
            ),
            models.CheckConstraint(
                name="run_window", condition=readable("start_after") & readable("expire_at")
            ),
            models.CheckConstraint(
                name="run_percents",
                condition=percentage("canary_percent")
                & (Q(fail_percent__isnull=True) | percentage("fail_percent")),
            ),
        )

    def __str__(self) -> str:
        return self.name or self.uuid.hex

    @property
    def title(self) -> str:
        """The name, or the start of the UUID where it has none."""
        return self.name or f"run {self.uuid.hex[:8]}"


def of_run(name: str) -> "models.ForeignKey[Run, Run]":
    """What ties the rows of a table to their run; ``name``: what they are there."""
    return models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name=name
    )


class Worker(models.Model):
    """One client process that registered."""

    uuid = models.UUIDField(unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="workers"
    )
    hostname = models.CharField(max_length=255)
    pid = models.BigIntegerField()
    labels = models.JSONField(default=dict, blank=True, help_text="Batch job id and the like.")
    heartbeat = models.PositiveIntegerField(
        null=True, blank=True, help_text="Promised seconds between signs of life; empty: none."
    )
    started = models.DateTimeField(db_default=Now(), editable=False)
    last_seen = models.DateTimeField(db_default=Now(), editable=False)
    gone = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Signed off, or given up as lost; a new word revives it.",
    )

    class Meta:
        indexes = (
            models.Index(fields=["owner", "id"], name="worker_by_owner"),
            models.Index(
                fields=["last_seen"],
                name="worker_heartbeat",
                condition=Q(heartbeat__isnull=False, gone__isnull=True),
            ),
        )
        constraints = (models.CheckConstraint(name="worker_pid", condition=Q(pid__gte=0)),)

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"


class Task(models.Model):
    """One item of a run. Narrow and hot.

    A progress update touches ``percent`` and ``updated`` only, which stand in no index, so that
    PostgreSQL updates the row in place (HOT). Wide columns come first, so that none is padded. Each
    index costs some 45 bytes a task once it is done, so run and number have none of their own: the
    id is made of both (``task_id``), and rows are found and walked by it.
    """

    id = models.BigIntegerField(primary_key=True, editable=False)
    worker = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="tasks",
        help_text="Who holds it, or who ended it.",
    )
    started = models.DateTimeField(null=True, help_text="The current or last attempt's start.")
    updated = models.DateTimeField(null=True, help_text="The last word on it.")
    percent = models.FloatField(default=0)
    run = of_run("tasks")
    number = models.IntegerField()
    attempt = models.IntegerField(default=0, help_text="How often it was claimed.")
    forgiven = models.IntegerField(
        default=0, help_text="Attempts up to this one count no more: a person restarted the task."
    )
    not_before = models.IntegerField(
        default=0, help_text="Waiting: in backoff until then, in seconds since 2020; 0: not at all."
    )
    state = models.SmallIntegerField(choices=TaskState.choices, default=W)

    class Meta:
        indexes = (
            # Claims (the waiting ones from the floor on), lists and restarts by state. Tasks in
            # backoff lie behind the others of their state, where no claim walks over them.
            models.Index(fields=["run", "state", "not_before", "number"], name="task_in_state"),
            # What a worker holds.
            models.Index(fields=["worker", "run"], name="task_held", condition=Q(state=C)),
            # What the sweep wakes; a task that is not in backoff takes no room in it.
            models.Index(fields=["not_before"], name="task_backoff", condition=Q(not_before__gt=0)),
        )
        constraints = (
            models.CheckConstraint(
                name="task_number", condition=Q(id=F("run_id") * TASKS_OF_A_RUN + F("number"))
            ),
            models.CheckConstraint(name="task_state", condition=Q(state__in=TaskState.values)),
            models.CheckConstraint(name="task_percent", condition=percentage("percent")),
            models.CheckConstraint(name="task_attempt", condition=Q(attempt__gte=0)),
            # Waiting: in nobody's hands. Done: at 100 %. Computing and done: claimed at least once.
            models.CheckConstraint(
                name="task_waiting_is_free", condition=~Q(state=W) | Q(worker__isnull=True)
            ),
            models.CheckConstraint(
                name="task_backoff_waits", condition=Q(state=W) | Q(not_before=0)
            ),
            models.CheckConstraint(
                name="task_done_is_complete", condition=~Q(state=D) | Q(percent=100)
            ),
            models.CheckConstraint(
                name="task_ran_has_start",
                condition=~Q(state__in=[C, D]) | Q(started__isnull=False, attempt__gte=1),
            ),
        )

    def __str__(self) -> str:
        return f"task {self.number}"


class Attempt(models.Model):
    """One execution of a task by a worker; written when it ends, never changed."""

    worker = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="attempts",
    )
    started = models.DateTimeField()
    ended = models.DateTimeField()
    run = of_run("attempts")
    number = models.IntegerField(help_text="The task's number.")
    attempt = models.IntegerField(help_text="Which attempt at the task, from 1.")
    outcome = models.SmallIntegerField(choices=Outcome.choices)
    exit_code = models.IntegerField(null=True)
    fingerprint = models.BigIntegerField(null=True, help_text="Same error, same fingerprint.")
    output = models.TextField(null=True)
    error = models.TextField(null=True)
    log_tail = models.TextField(null=True)

    class Meta:
        constraints = (
            # The books accept each attempt once, whatever the network repeats.
            models.UniqueConstraint(fields=["run", "number", "attempt"], name="attempt_once"),
            models.CheckConstraint(name="attempt_outcome", condition=Q(outcome__in=Outcome.values)),
            models.CheckConstraint(name="attempt_number", condition=Q(attempt__gte=1)),
            models.CheckConstraint(name="attempt_period", condition=Q(ended__gte=F("started"))),
        )
        indexes = (
            # Failures of a run, grouped by their fingerprint.
            models.Index(
                fields=["run", "fingerprint", "id"],
                name="attempt_failed",
                condition=Q(fingerprint__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"attempt {self.attempt} at task {self.number}"


class TaskInput(models.Model):
    """The input of a task that has one, as JSON. Written once, read at the claim."""

    pk = models.CompositePrimaryKey("run_id", "number")
    run = of_run("inputs")
    number = models.IntegerField()
    value = models.TextField(help_text="JSON.")

    def __str__(self) -> str:
        return f"input of task {self.number}"


class RunEvent(models.Model):
    """What a person or policy did to a run: who, when, what, why, and to how many tasks."""

    run = of_run("events")
    at = models.DateTimeField(db_default=Now(), editable=False)
    who = models.CharField(max_length=150, blank=True, help_text="A user's name; empty: policy.")
    what = models.CharField(max_length=20)
    why = models.CharField(max_length=1000, blank=True)
    tasks = models.BigIntegerField(null=True, help_text="How many it touched.")
    details = models.JSONField(default=dict, help_text="What was changed; what an undo needs.")
    undone = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(fields=["run", "id"], name="event_by_run"),
            # The last events of one kind: an append looks for its key however many others came.
            models.Index(fields=["run", "what", "id"], name="event_by_kind"),
        )

    def __str__(self) -> str:
        return f"{self.what} by {self.who or 'policy'}"


class SweepLock(models.Model):
    """One row: when the last sweep began, and what all did. Who moves it on sweeps (``sweep.py``).

    ``resumed``: since when silence counts, after a time in which no worker could reach the farm.
    """

    began = models.DateTimeField(db_default=Now())
    resumed = models.DateTimeField(db_default=Now())
    ended = models.DateTimeField(null=True, help_text="When the last sweep was over.")
    sweeps = models.BigIntegerField(default=0, db_default=0, help_text="How many there were.")
    seconds = models.FloatField(default=0, db_default=0, help_text="What they took in all.")
    last_seconds = models.FloatField(null=True, help_text="What the last one took.")
    lost_workers = models.BigIntegerField(default=0, db_default=0, help_text="Given up as lost.")


def attempts_ended(outcome: str) -> "models.BigIntegerField[int, int]":
    """The column that counts the attempts with an outcome."""
    return models.BigIntegerField(default=0, db_default=0, help_text=f"Attempts ended: {outcome}.")


class Tally(models.Model):
    """The maintained counts of a run: the sum over its slots is exact; see ``tallies.py``."""

    run = of_run("tallies")
    slot = models.IntegerField(help_text="Which writer's; a slot alone may be negative.")
    waiting = models.BigIntegerField(default=0)
    computing = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    settled_percent = models.BigIntegerField(
        default=0, help_text="Sum over tasks that are not computing, in millionths of a percent."
    )
    stale = models.BigIntegerField(default=0, help_text="Reports refused: they came too late.")
    ended_done = attempts_ended("done")
    ended_failed = attempts_ended("failed")
    ended_lost = attempts_ended("lost")
    ended_timeout = attempts_ended("timeout")
    ended_released = attempts_ended("released")
    ended_cancelled = attempts_ended("cancelled")
    updated = models.DateTimeField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = (models.UniqueConstraint(fields=["run", "slot"], name="tally_slot"),)

    def __str__(self) -> str:
        return f"tally of run {self.run_id}, slot {self.slot}"


class FailureTally(models.Model):
    """The maintained counts of failed tasks by their error; see ``failures.py``."""

    run = of_run("failure_tallies")
    fingerprint = models.BigIntegerField()
    slot = models.IntegerField(help_text="Which writer's; a slot alone may be negative.")
    count = models.IntegerField()
    first = models.DateTimeField()
    last = models.DateTimeField()

    class Meta:
        verbose_name_plural = "failure tallies"
        constraints = (
            models.UniqueConstraint(fields=["run", "fingerprint", "slot"], name="failure_slot"),
        )

    def __str__(self) -> str:
        return f"failures {self.fingerprint} of run {self.run_id}, slot {self.slot}"


class Throughput(models.Model):
    """What a run got done in one minute; feeds charts and rates without touching tasks."""

    minute = models.DateTimeField()
    run = of_run("throughput")
    slot = models.IntegerField()
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="Seconds of work in the attempts that ended.")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "minute", "slot"], name="throughput_slot"),
        )

    def __str__(self) -> str:
        return f"run {self.run_id} at {self.minute:%H:%M}"
