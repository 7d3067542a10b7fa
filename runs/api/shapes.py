"""Bodies and answers of the calls that steer a run, add to it, and read what came of it."""

from typing import Any

from rest_framework import serializers

from runs.api.fields import (
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
)
from runs.states import Outcome


class ReasonInput(StrictSerializer):
    """Why somebody steers."""

    reason = StrictCharField(
        required=False, allow_blank=True, max_length=1000, help_text="Why; kept with the event."
    )


class UploadedInput(ReasonInput):
    """How an upload ends."""

    open = StrictBooleanField(
        required=False, help_text="The run goes on taking tasks; without: it takes no more."
    )


class EventOutput(serializers.Serializer[Any]):
    """What somebody, or the run's policy, did to it."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    who = serializers.CharField(help_text="A user's name; empty: the run's policy.")
    what = serializers.CharField()
    why = serializers.CharField()
    tasks = serializers.IntegerField(allow_null=True, help_text="How many tasks it touched.")
    details = serializers.DictField()
    undone = serializers.DateTimeField(allow_null=True)


class EventList(serializers.Serializer[Any]):
    """Events of a run, newest first."""

    data = EventOutput(many=True)  # type: ignore[assignment]  # the documented name
    next = serializers.CharField(allow_null=True, help_text="The address of the next page.")


class AnyJson(serializers.JSONField):
    """Any JSON as it came; who keeps it looks whether it can be kept, and says which cannot."""

    def to_internal_value(self, data: Any) -> Any:
        """The value."""
        return data


class AppendInput(StrictSerializer):
    """Tasks to add: plain ones, or one for each input."""

    numTasks = StrictIntegerField(required=False, min_value=0, max_value=2_000_000_000)
    inputs = serializers.ListField(
        child=AnyJson(allow_null=True),
        required=False,
        help_text="Any JSON, 256 KiB each at most.",
    )

    key = StrictCharField(
        required=False,
        max_length=64,
        help_text="Any name for this append: sent again with it, nothing is added twice. "
        "With other tasks than before it is a 409.",
    )
    first = StrictIntegerField(
        required=False,
        min_value=0,
        max_value=2_000_000_000,
        help_text="The number that the first of them must get: a 409 where it is not the next one. "
        "Of several who add the same tasks, only one does.",
    )

    def validate(self, attrs: Any) -> Any:
        """Refuse both, and neither."""
        if ("inputs" in attrs) == ("numTasks" in attrs):
            raise serializers.ValidationError({"body": ["Give either inputs or numTasks."]})
        return attrs


class Appended(serializers.Serializer[Any]):
    """What was added."""

    first = serializers.IntegerField(help_text="The first new number.")
    tasks = serializers.IntegerField(help_text="How many tasks were added.")


class ExplanationOutput(serializers.Serializer[Any]):
    """Why a task is where it is."""

    state = serializers.CharField()
    code = serializers.CharField(help_text="The reason for programs.")
    reason = serializers.CharField(help_text="The reason for people.")
    seconds = serializers.FloatField(allow_null=True, help_text="Until it may move, where known.")


class GroupOutput(serializers.Serializer[Any]):
    """Failed tasks with the same error."""

    fingerprint = serializers.IntegerField()
    count = serializers.IntegerField()
    first = serializers.CharField()
    last = serializers.CharField()
    essence = serializers.CharField(
        help_text="The error without paths, values, numbers; an exit code stays."
    )
    task = serializers.IntegerField(help_text="One of them.")
    error = serializers.CharField(allow_null=True, help_text="Its error in full.")
    hosts = serializers.DictField(child=serializers.IntegerField(), help_text="Host → how many.")


class GroupList(serializers.Serializer[Any]):
    """The failures of a run by their error, the most frequent first."""

    data = GroupOutput(many=True)  # type: ignore[assignment]  # the documented name


class AttemptOutput(serializers.Serializer[Any]):
    """An ended attempt."""

    task = serializers.IntegerField()
    attempt = serializers.IntegerField()
    host = serializers.CharField(allow_null=True)
    started = serializers.CharField()
    ended = serializers.CharField()
    exitCode = serializers.IntegerField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    fingerprint = serializers.IntegerField(allow_null=True)
    log = serializers.CharField(allow_null=True)
    outcome = serializers.ChoiceField(Outcome.labels)


class AttemptList(serializers.Serializer[Any]):
    """Ended attempts by task and attempt."""

    data = AttemptOutput(many=True)  # type: ignore[assignment]  # the documented name
    next = serializers.CharField(allow_null=True, help_text="The address of the next page.")


class ReportInput(StrictSerializer):
    """A worker's word on one of its attempts."""

    task = StrictIntegerField(min_value=0, max_value=2**31 - 1)
    attempt = StrictIntegerField(min_value=1, max_value=2**31 - 1)
    percentCompleted = serializers.FloatField(required=False, min_value=0, max_value=100)
    status = serializers.ChoiceField(["done", "failed", "timeout", "released"], required=False)
    output = serializers.JSONField(required=False, help_text="Any JSON, 256 KiB at most.")
    error = serializers.CharField(required=False, help_text="The traceback of a failure.")
    exitCode = StrictIntegerField(required=False)
    log = serializers.CharField(required=False, help_text="The last of what it printed.")
    took = serializers.FloatField(
        required=False, min_value=0, help_text="Seconds that the attempt took, with its end."
    )
    ago = serializers.FloatField(
        required=False, min_value=0, help_text="Seconds since it ended; with `took`."
    )


PAIRS = serializers.DictField(
    child=serializers.ListField(child=serializers.ListField(child=serializers.FloatField())),
    required=False,
    help_text="Run → [[task, attempt], …] or [[task, attempt, took, ago], …].",
)


class ExchangeInput(StrictSerializer):
    """What a worker says and asks for; only for the schema, the call reads the body itself."""

    want = StrictIntegerField(required=False, min_value=0, help_text="Tasks that it would like.")
    runs = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        max_length=100,
        help_text="From these runs; one exchange names 100 at most.",
    )
    namespace = serializers.CharField(
        required=False, help_text="From the runs of a namespace, highest priority first."
    )
    reports = serializers.DictField(
        child=serializers.ListField(child=ReportInput()), required=False,
        help_text="Run → reports.",
    )  # fmt: skip
    done = PAIRS
    holding = serializers.DictField(
        child=serializers.ListField(child=serializers.ListField(child=serializers.IntegerField())),
        required=False,
        help_text="What it thinks it has after these reports: run → [[task, attempt], …].",
    )
    timeLeft = serializers.FloatField(required=False, help_text="Seconds until its batch job ends.")


class HandedOutput(serializers.Serializer[Any]):
    """A task that was handed out."""

    run = serializers.CharField()
    task = serializers.IntegerField()
    attempt = serializers.IntegerField()
    percentCompleted = serializers.FloatField()
    input = serializers.JSONField(required=False)


class ExchangeOutput(serializers.Serializer[Any]):
    """What the server says."""

    tasks = HandedOutput(many=True)
    drop = serializers.ListField(
        child=serializers.ListField(), help_text="[run, task, attempt]: not to be worked on."
    )
    stale = serializers.ListField(
        child=serializers.ListField(), help_text="[run, task, attempt]: reported too late."
    )
    gone = serializers.ListField(
        child=serializers.CharField(), help_text="Runs that were named and are not there any more."
    )
    retryAfter = serializers.FloatField(allow_null=True, help_text="Seconds; null: do not wait.")
    finished = serializers.BooleanField(help_text="There will be no more tasks.")
    heartbeat = serializers.FloatField(help_text="Seconds between signs of life.")
