"""What goes in and out of the API, with the documented names."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from runs import uploads
from runs.api.fields import (
    LabelsField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictFloatField,
    StrictIntegerField,
    StrictSerializer,
    StrictUUIDField,
)
from runs.api.policies import PolicyInput
from runs.models import Run, Task
from runs.reports import RUN_STATES, Progress, state_of
from runs.selection import Selection, parse_ranges
from runs.states import TaskState
from runs.tallies import Counts

SETTABLE = ["waiting", "computing", "done", "failed"]
BIGINT = 2**63 - 1


class RunInput(PolicyInput):
    """A run to be created, with the options of its policy."""

    numTasks = StrictIntegerField(
        min_value=0, max_value=settings.TASKFARM_MAX_TASKS, help_text="The number of its tasks."
    )
    name = StrictCharField(required=False, allow_blank=True, max_length=200)
    namespace = StrictCharField(
        required=False, allow_blank=True, max_length=200,
        help_text="What it belongs to: a project, a campaign, a year.",
    )  # fmt: skip
    description = StrictCharField(required=False, allow_blank=True, max_length=10_000)
    group = StrictCharField(
        required=False, max_length=150,
        help_text="Name of a group of yours whose members may see, work and change the run, too.",
    )  # fmt: skip
    uploading = StrictBooleanField(
        required=False,
        help_text="Its tasks are to come, as `inputs` say: none is handed out before `uploaded` is "
        "called, and the run is open until then. `numTasks` is 0.",
    )

    def validate(self, attrs: Any) -> Any:
        """Refuse what contradicts that the tasks are to come."""
        if attrs.get("uploading") and attrs["numTasks"]:
            reason = "Must be 0 where the tasks are to come."
            raise serializers.ValidationError({"numTasks": [reason]})
        if attrs.get("uploading") and attrs.get("open"):
            reason = (
                "A run whose tasks are to come is closed when they have; `uploaded` may say `open`."
            )
            raise serializers.ValidationError({"open": [reason]})
        return attrs


class RunOutput(serializers.Serializer[Any]):
    """A run, as creation and the list show it."""

    id = serializers.IntegerField()
    uuid = serializers.CharField(help_text="32 hex digits.")
    numTasks = serializers.IntegerField()
    name = serializers.CharField()
    namespace = serializers.CharField()
    description = serializers.CharField()
    owner = serializers.CharField()
    group = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(
        RUN_STATES, help_text="`finished`: nothing waits, nothing computes."
    )
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True, help_text="Its first claim.")


class RunDetail(RunOutput):
    """A run with its counts."""

    percentDone = serializers.FloatField(
        help_text="Mean over all tasks, partial progress included."
    )
    numWaiting = serializers.IntegerField()
    numComputing = serializers.IntegerField()
    numDone = serializers.IntegerField()
    numFailed = serializers.IntegerField()
    numCancelled = serializers.IntegerField()
    updated = serializers.DateTimeField(help_text="When a task last changed its state.")
    uploading = serializers.BooleanField(
        help_text="Whether inputs are still to come, or never came: nobody has said `uploaded`."
    )
    open = serializers.BooleanField(help_text="Whether it takes more tasks.")


class RunNumber(serializers.Serializer[Any]):
    """The one number of a run that `info` names."""

    percentDone = serializers.FloatField(required=False)
    numWaiting = serializers.IntegerField(required=False)
    numComputing = serializers.IntegerField(required=False)
    numDone = serializers.IntegerField(required=False)
    numFailed = serializers.IntegerField(required=False)
    numCancelled = serializers.IntegerField(required=False)


@extend_schema_serializer(many=False)
class RunList(serializers.Serializer[Any]):
    """The runs of a user."""

    data = RunOutput(many=True)  # type: ignore[assignment]  # the documented name
    next = serializers.CharField(allow_null=True, help_text="Address of the next page, if any.")


class ClaimInput(StrictSerializer):
    """Who asks for a task."""

    worker_uuid = StrictCharField(max_length=64, help_text="The UUID of the registered worker.")


class TaskOutput(serializers.Serializer[Any]):
    """A task, with the documented four fields first."""

    id = serializers.IntegerField()
    task = serializers.IntegerField(help_text="Its number, from 0.")
    percentCompleted = serializers.FloatField()
    status = serializers.ChoiceField(TaskState.labels)


class TaskDetail(TaskOutput):
    """A task with who works on it."""

    attempt = serializers.IntegerField(help_text="How often it was handed out.")
    worker_uuid = serializers.CharField(allow_null=True)
    started = serializers.DateTimeField(allow_null=True)
    updated = serializers.DateTimeField(allow_null=True)


class TaskValue(serializers.Serializer[Any]):
    """The one value of a task that `info` names."""

    status = serializers.ChoiceField(TaskState.labels, required=False)
    percentDone = serializers.FloatField(required=False)
    percentCompleted = serializers.FloatField(required=False)


class ClaimOutput(TaskOutput):
    """A claimed task."""

    attempt = serializers.IntegerField(help_text="Which attempt at the task this is, from 1.")


@extend_schema_serializer(many=False)
class TaskList(serializers.Serializer[Any]):
    """Some tasks of a run."""

    data = TaskDetail(many=True)  # type: ignore[assignment]  # the documented name
    next = serializers.CharField(allow_null=True, help_text="Address of the next page, if any.")


class TaskInput(StrictSerializer):
    """A change of a task: its percentage, its status, or both."""

    percentCompleted = StrictFloatField(required=False, min_value=0, max_value=100)
    status = StrictChoiceField(SETTABLE, required=False, help_text="`done` alone sets 100 %.")

    def validate(self, attrs: Any) -> Any:
        """Refuse a change that changes nothing."""
        if not attrs:
            raise serializers.ValidationError({"body": ["Give percentCompleted, status, or both."]})
        return attrs


class WorkerInput(StrictSerializer):
    """A process that registers."""

    uuid = StrictUUIDField(help_text="Chosen by the worker, its own; hex, dashes allowed.")
    hostname = StrictCharField(max_length=255)
    pid = StrictIntegerField(min_value=0, max_value=BIGINT)
    heartbeat = StrictIntegerField(
        required=False, min_value=1, max_value=3600,
        help_text="Seconds between the signs of life that it promises; without: never given up.",
    )  # fmt: skip
    labels = LabelsField(
        required=False, help_text="Batch job id and the like; 16 KiB of JSON at most."
    )


class WorkerOutput(serializers.Serializer[Any]):
    """A registered worker."""

    uuid = serializers.CharField()
    id = serializers.IntegerField()


class ErrorOutput(serializers.Serializer[Any]):
    """Every refusal has this shape."""

    detail = serializers.CharField(help_text="What was wrong, with which value, and what to do.")
    code = serializers.CharField(help_text="The same as a word that programs may rely on.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False, help_text="For bad input: the reasons by field.",
    )  # fmt: skip


def show_run(run: Run, counts: Counts) -> dict[str, Any]:
    """A run as creation and the list show it."""
    return {
        "id": run.id,
        "uuid": run.uuid.hex,
        "numTasks": run.num_tasks,
        "name": run.name,
        "namespace": run.namespace,
        "description": run.description,
        "owner": run.owner.get_username(),
        "group": run.group.name if run.group else None,
        "state": state_of(run, counts),
        "created": run.created,
        "started": run.started,
    }


def show_counts(progress: Progress) -> dict[str, Any]:
    """The documented numbers of a run, and ours."""
    return {
        "percentDone": progress.percent,
        "numWaiting": progress.counts.waiting,
        "numComputing": progress.counts.computing,
        "numDone": progress.counts.done,
        "numFailed": progress.counts.failed,
        "numCancelled": progress.counts.cancelled,
    }


def show_run_detail(run: Run, progress: Progress) -> dict[str, Any]:
    """A run with its counts."""
    return {
        **show_run(run, progress.counts),
        **show_counts(progress),
        "updated": progress.last_movement or run.created,
        "uploading": uploads.is_incomplete(run),
        "open": run.open,
    }


def show_task(task: Task) -> dict[str, Any]:
    """A task with who works on it; ``worker`` must have been selected with it."""
    return {
        "id": task.id,
        "task": task.number,
        "percentCompleted": float(task.percent),
        "status": TaskState(task.state).label,
        "attempt": task.attempt,
        "worker_uuid": task.worker.uuid.hex if task.worker else None,
        "started": task.started,
        "updated": task.updated,
    }


class RestartInput(StrictSerializer):
    """A selection of tasks to restart; every condition that is given must hold."""

    status = serializers.ListField(
        child=StrictChoiceField(TaskState.labels), required=False, max_length=5,
        help_text="Only tasks in these states.",
    )  # fmt: skip
    tasks = StrictCharField(
        required=False, max_length=10_000, help_text="Only these numbers, such as `0-99,200`."
    )
    fingerprint = StrictIntegerField(
        required=False, min_value=0, max_value=2**32 - 1, help_text="Only tasks with this error."
    )
    host = StrictCharField(required=False, max_length=255, help_text="Only tasks of this host.")
    olderThan = StrictFloatField(
        required=False, min_value=0, max_value=10 * 365 * 86400,
        help_text="Only tasks of which nothing was heard for so many seconds.",
    )  # fmt: skip
    reason = StrictCharField(
        required=False, allow_blank=True, max_length=1000, help_text="Why; kept with the event."
    )


class Touched(serializers.Serializer[Any]):
    """What an operation over many tasks did."""

    tasks = serializers.IntegerField(help_text="How many tasks it touched.")


STATE_OF_LABEL = {state.label: state for state in TaskState}


def read_selection(given: dict[str, Any]) -> Selection:
    """The selection that a body describes."""
    return Selection(
        states=tuple(STATE_OF_LABEL[label] for label in given.get("status", ())),
        numbers=parse_ranges(given["tasks"]) if given.get("tasks") else (),
        fingerprint=given.get("fingerprint"),
        host=given.get("host"),
        older_than=given.get("olderThan"),
    )
