"""Retention: what is over and old is deleted, so that the farm does not grow for ever.

Whole runs go, with their tasks, attempts, outputs, logs and events: a run without its attempts
would tell half of what happened. A run is over when nothing of it waits or computes; one that is
open may still get tasks, and stays unless it is cancelled. Its age is that of its last movement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from runs import lifecycle, tallies
from runs.dialect import database_now
from runs.errors import RunNotFound
from runs.models import Run, Worker
from runs.states import RunState
from runs.tallies import Counts

PAGE = 500
"""Runs that are looked at in one query."""
CHUNK = 1_000
"""Workers that are deleted in one statement."""
MARGIN = timedelta(days=1)
"""A worker is noted as seen with some delay; a day is more than any."""


@dataclass(frozen=True)
class Old:
    """A run that is over and old: its counts, and when one of its tasks last moved."""

    run: Run
    counts: Counts
    moved: datetime


def find_old(older_than: timedelta, *, keep_failures: bool = False) -> Iterator[Old]:
    """The runs that are over and have not moved for so long, by their creation.

    Args:
        older_than: how long ago their last movement is.
        keep_failures: pass over runs with failed tasks: somebody may still want to know why.
    """
    before = database_now() - older_than
    after = 0
    while True:
        # A run that was created later cannot have come to rest before.
        runs = Run.objects.kept().filter(id__gt=after, created__lt=before).select_related("owner")
        page = list(runs.order_by("id")[:PAGE])
        if not page:
            return
        kept = tallies.look([run.id for run in page])
        for run in page:
            found = _if_old(run, kept.get(run.id), before, keep_failures)
            if found is not None:
                yield found
        after = page[-1].id


def _if_old(
    run: Run, kept: tallies.Kept | None, before: datetime, keep_failures: bool
) -> Old | None:
    """The run with its counts if it is over and old, else None."""
    counts = kept.counts if kept else Counts()
    moved = (kept.moved if kept else None) or run.created
    if not counts.over or moved >= before:
        return None
    if run.open and run.state != RunState.CANCELLED:
        return None
    return None if keep_failures and counts.failed else Old(run, counts, moved)


def delete_old(old: Old, older_than: timedelta, *, keep_failures: bool = False) -> bool:
    """Delete a run that was found, unless it has been restarted, added to or deleted meanwhile.

    Returns:
        Whether it was deleted.
    """
    fresh = Run.objects.kept().filter(pk=old.run.pk).first()
    if fresh is None:
        return False
    before = database_now() - older_than
    kept = tallies.look([fresh.id]).get(fresh.id)
    if _if_old(fresh, kept, before, keep_failures) is None:
        return False
    try:
        lifecycle.delete_run(run=fresh)
    except RunNotFound:  # somebody else is deleting it
        return False
    return True


def forget_workers(older_than: timedelta) -> int:
    """Delete the workers that were last seen so long ago, and before any run that is left.

    Those cannot have touched a task or an attempt that is left, so nothing points to them.

    Returns:
        How many there were.
    """
    before = database_now() - older_than
    oldest = Run.objects.order_by("created").values_list("created", flat=True).first()
    if oldest is not None:
        before = min(before, oldest - MARGIN)
    long_gone = Worker.objects.filter(last_seen__lt=before).order_by("id")
    count = 0
    while ids := list(long_gone.values_list("id", flat=True)[:CHUNK]):
        count += Worker.objects.filter(id__in=ids, last_seen__lt=before).delete()[0]
    return count
