"""Filters of lists, the same for the API and the pages."""

from datetime import UTC
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Q

from runs import reports
from runs.models import Run, RunQuerySet


class InstantField(django_filters.fields.IsoDateTimeField):  # type: ignore[misc]
    """A moment that every database can hold, also in UTC."""

    def clean(self, value: Any) -> Any:
        """The moment, or None for an empty value."""
        moment = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class InstantFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    """Compares with a moment in ISO 8601."""

    field_class = InstantField


class RunFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The filters on a list of runs."""

    name = django_filters.CharFilter(lookup_expr="icontains", label="Name contains")
    namespace = django_filters.CharFilter(label="Namespace")
    owner = django_filters.CharFilter(field_name="owner__username", label="Owner")
    state = django_filters.ChoiceFilter(
        choices=[(state, state) for state in reports.RUN_STATES],
        method="filter_state",
        label="State",
        empty_label="any state",
    )
    created_after = InstantFilter(
        field_name="created", lookup_expr="gte", label="Created at or after"
    )
    created_before = InstantFilter(field_name="created", lookup_expr="lt", label="Created before")
    search = django_filters.CharFilter(
        method="filter_search", label="Name, namespace or start of the UUID"
    )

    class Meta:
        model = Run
        fields: tuple[str, ...] = ()

    def filter_state(self, runs: RunQuerySet, name: str, value: str) -> RunQuerySet:
        """Runs in a state as people see it, ``finished`` included."""
        return reports.in_state(runs, value)

    def filter_search(self, runs: RunQuerySet, name: str, value: str) -> RunQuerySet:
        """Runs whose name or namespace contains the words, or whose UUID starts so."""
        found = Q(name__icontains=value) | Q(namespace__icontains=value)
        if bounds := uuid_bounds(value):
            found |= Q(uuid__range=bounds)
        return runs.filter(found)


def uuid_bounds(text: str) -> tuple[str, str] | None:
    """The first and last UUID that start with this text; None if none can."""
    digits = text.replace("-", "").lower()
    if not 0 < len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return None
    return digits.ljust(32, "0"), digits.ljust(32, "f")


def explain(form: Any) -> dict[str, list[str]]:
    """The reasons why a filter's values were refused, by name."""
    return {name: [str(reason) for reason in reasons] for name, reasons in form.errors.items()}
