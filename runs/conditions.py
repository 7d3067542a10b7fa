"""Conditions on columns, for constraints that the database itself keeps."""

from datetime import UTC, datetime

from django.db.models import Q

EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""Moments from the one and before the other can be read back, in whatever time zone.

PostgreSQL keeps years before 1 and after 9999, too; Python knows none of them.
"""


def percentage(name: str) -> Q:
    """The condition that a column is a percentage."""
    return Q(**{f"{name}__gte": 0, f"{name}__lte": 100})


def readable(name: str) -> Q:
    """The condition that a column is no moment, or one that can be read back."""
    return Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": EARLIEST, f"{name}__lt": LATEST})
