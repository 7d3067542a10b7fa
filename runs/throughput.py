"""What a run gets done in each minute, kept beside its tasks; ``rates`` reads it.

A minute has a row for each slot that was written in (see ``tallies``), so that writers do not wait
for each other. Once it is past nobody writes there any more, and its rows are folded into one: what
a run of weeks keeps is a row a minute, however many processes worked on it.
"""

import random

from django.db import transaction

from runs.dialect import as_list, fetch, run_sql
from runs.models import Throughput
from runs.prepared import Prepared
from runs.retrying import rerun_on_conflict
from runs.tallies import current_slot

FOLD_ONCE_IN = 500
"""Writes, on average, after which somebody folds what is past."""
MOST = 10_000
"""Rows that one fold puts together."""

INTO = "INSERT INTO runs_throughput AS t (run_id, minute, slot, done, failed, seconds)"
ADDED = """
ON CONFLICT (run_id, minute, slot) DO UPDATE SET
    done = t.done + excluded.done,
    failed = t.failed + excluded.failed,
    seconds = t.seconds + excluded.seconds
"""
ADD = Prepared(f"{INTO} VALUES (%s, {{minute}}, %s, %s, %s, %s) {ADDED}")
# What is folded goes to slot 0, which is no writer's.
# Of the last days only: a row a minute of theirs is looked at in vain. The order is that of the
# index, so that two who fold at once wait for each other and never in a circle.
PAST = """
SELECT id FROM runs_throughput
WHERE run_id = %s AND minute < {an_hour_ago} AND minute > {days_ago} AND slot <> 0
ORDER BY minute, slot LIMIT %s {for_update}
"""
FOLD = f"""
{INTO}
SELECT run_id, minute, 0, SUM(done), SUM(failed), SUM(seconds)
FROM runs_throughput WHERE id {{in_list}} AND EXISTS (
    SELECT 1 FROM runs_run WHERE runs_run.id = runs_throughput.run_id AND deleted IS NULL
)
GROUP BY run_id, minute {ADDED}
"""


def count(run_id: int, *, done: int = 0, failed: int = 0, seconds: float) -> None:
    """Add ended attempts to the run's present minute; call it in the transaction that ends them."""
    slot, _ = current_slot()
    run_sql(ADD, [run_id, slot, done, failed, seconds])
    if random.random() * FOLD_ONCE_IN < 1:
        transaction.on_commit(lambda: fold(run_id), robust=True)


@rerun_on_conflict
def fold(run_id: int) -> int:
    """Make one row of all that a minute has, for minutes past an hour ago; sums stay exact.

    Returns:
        How many rows were folded.
    """
    with transaction.atomic():
        ids = [row[0] for row in fetch(PAST, [run_id, MOST])]
        if ids:
            run_sql(FOLD, [as_list(ids)])
            Throughput.objects.filter(id__in=ids).delete()
    return len(ids)
