"""The policy of a run in the API: its options by their names there, made from the one table."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from runs.api.fields import (
    StrictBooleanField,
    StrictCharField,
    StrictFloatField,
    StrictIntegerField,
    StrictSerializer,
)
from runs.models import Run
from runs.policy import BY_API, OPTIONS, Option, show


def field_of(option: Option, *, strict: bool = True) -> serializers.Field[Any, Any, Any, Any]:
    """The serializer's field of an option."""
    common: dict[str, Any] = {"help_text": option.meaning, "required": not strict}
    common["allow_null"] = option.optional
    bounds: dict[str, Any] = {"min_value": option.least, "max_value": option.most}
    if option.kind is bool:
        return StrictBooleanField(**{**common, "allow_null": False})
    if option.kind is str:
        return StrictCharField(max_length=int(option.most or 0), allow_blank=True, **common)
    if option.kind is datetime:
        return serializers.DateTimeField(**common)
    if option.kind is int:
        whole: dict[str, Any] = {
            name: int(bound) for name, bound in bounds.items() if bound is not None
        }
        return StrictIntegerField(**whole, **common)
    return StrictFloatField(**bounds, **common)


class PolicyInput(StrictSerializer):
    """Options of a run's policy; those that are missing stay as they are."""

    def get_fields(self) -> dict[str, Any]:
        """The options, after the fields that a subclass declares."""
        return {**super().get_fields(), **{one.api: field_of(one) for one in OPTIONS}}


class PolicyChange(PolicyInput):
    """A change of a run's policy."""

    reason = StrictCharField(
        required=False, allow_blank=True, max_length=1000, help_text="Why; kept with the change."
    )


class PolicyOutput(serializers.Serializer[Any]):
    """All options of a run's policy."""

    def get_fields(self) -> dict[str, Any]:
        """The options."""
        return {one.api: field_of(one, strict=False) for one in OPTIONS}


def split(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options out of validated input; answers them by field."""
    return {BY_API[name].field: given.pop(name) for name in [*given] if name in BY_API}


def show_policy(run: Run) -> dict[str, Any]:
    """All options of a run's policy."""
    return show(run)
