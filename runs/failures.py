"""Failed tasks by their error, kept up with every transition, so that a look costs no count.

The fingerprint of an error says which belong together (``attempts.py``). As with the tallies each
writer adds to a slot of its own, and a read sums the slots.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runs.attempts import essence
from runs.dialect import as_datetime, as_list, as_records, fetch, run_sql
from runs.tallies import current_slot

MOST_ROWS = 50_000
"""Rows that one look sums: more than so many errors of one run are not told apart."""
MOST_HOSTS = 20
SAMPLE = 2_000
"""Failed attempts of a group that are looked at for their hosts and an example."""

ADD = """
INSERT INTO runs_failuretally AS f (run_id, fingerprint, slot, count, first, last)
SELECT %s, told.fingerprint, %s, told.count, {now}, {now} FROM {records}
WHERE told.count <> 0
ON CONFLICT (run_id, fingerprint, slot) DO UPDATE SET
    count = f.count + excluded.count,
    last = CASE WHEN excluded.count > 0 THEN excluded.last ELSE f.last END
"""
FIELDS = {"fingerprint": "bigint", "count": "int"}


def add(run_id: int, change: "Counter[int]") -> None:
    """Add to the counts by fingerprint; call it in the transaction that makes the change."""
    if any(change.values()):
        slot, _ = current_slot()
        # In order, so that two writers of one slot never wait for each other in a circle.
        rows = [{"fingerprint": one, "count": change[one]} for one in sorted(change)]
        statement, value = as_records(ADD, "told", FIELDS, rows)
        run_sql(statement, [run_id, slot, value])


OF_TASKS = """
SELECT COALESCE(a.fingerprint, 0), COUNT(*) FROM runs_task AS t
JOIN runs_attempt AS a
    ON a.run_id = t.run_id AND a.number = t.number AND a.attempt = t.attempt
WHERE t.id {in_list} GROUP BY 1
"""


def of_tasks(ids: Sequence[int]) -> "Counter[int]":
    """The locked, failed tasks by the fingerprint of their last error."""
    if not ids:
        return Counter()
    return Counter({int(one): count for one, count in fetch(OF_TASKS, [as_list(list(ids))])})


# The rows of a run lie together in the index that the table is unique by.
READ = """
SELECT fingerprint, SUM(count), MIN(first), MAX(last) FROM (
    SELECT fingerprint, count, first, last FROM runs_failuretally WHERE run_id = %s
    ORDER BY fingerprint, slot LIMIT %s
) AS kept
GROUP BY fingerprint HAVING SUM(count) > 0
ORDER BY SUM(count) DESC, fingerprint LIMIT %s
"""
# Of each group by itself, so that each is read from its own end of the index.
EXAMPLE_OF = """
SELECT * FROM (
    SELECT a.fingerprint, a.number, a.error FROM (
        SELECT run_id, fingerprint, number, attempt, error, id FROM runs_attempt
        WHERE run_id = %s AND fingerprint = %s ORDER BY id DESC LIMIT %s
    ) AS a JOIN runs_task AS t ON t.id = a.run_id * 4294967296 + a.number
    ORDER BY (t.state = 3 AND t.attempt = a.attempt) DESC, a.id DESC LIMIT 1
) AS g{place}
"""
HOSTS_OF = """
SELECT * FROM (
    SELECT a.fingerprint, w.hostname, COUNT(*) AS count FROM (
        SELECT worker_id, fingerprint FROM runs_attempt WHERE run_id = %s AND fingerprint = %s
        ORDER BY id DESC LIMIT %s
    ) AS a JOIN runs_worker AS w ON w.id = a.worker_id
    GROUP BY a.fingerprint, w.hostname ORDER BY COUNT(*) DESC, w.hostname LIMIT {most_hosts}
) AS g{place}
"""


@dataclass(frozen=True)
class Group:
    """Failed tasks with the same error.

    ``count`` tasks are failed with it now. ``first`` and ``last`` are when it was seen; ``hosts``
    says how many of its last attempts (2,000 at most) ended where; ``task`` and ``error`` are one
    of them in full.
    """

    fingerprint: int
    count: int
    first: datetime | None
    last: datetime | None
    essence: str
    task: int
    error: str | None
    hosts: dict[str, int]


def groups(run_id: int, *, limit: int = 50) -> list[Group]:
    """The run's failed tasks by their error, the most frequent first: three queries."""
    kept = fetch(READ, [run_id, MOST_ROWS, limit])
    prints = [int(row[0]) for row in kept]
    examples = {row[0]: row[1:] for row in of_each(EXAMPLE_OF, run_id, prints)}
    hosts: dict[int, dict[str, int]] = {}
    for fingerprint, host, count in of_each(HOSTS_OF, run_id, prints):
        hosts.setdefault(fingerprint, {})[host] = count
    return [_group(row, examples.get(row[0], (-1, None)), hosts.get(row[0], {})) for row in kept]


def of_each(part: str, run_id: int, prints: Sequence[int]) -> list[tuple[Any, ...]]:
    """The rows of a statement for each of some errors, in one query."""
    if not prints:
        return []
    parts = [part.format(place=place, most_hosts=MOST_HOSTS) for place in range(len(prints))]
    values = [value for one in prints for value in (run_id, one, SAMPLE)]
    return fetch(" UNION ALL ".join(parts), values)


def _group(row: tuple[Any, ...], example: tuple[Any, ...], hosts: dict[str, int]) -> Group:
    """Put one group together; its hosts, those with most first."""
    task, error = example
    fingerprint, count, first, last = row
    most = dict(sorted(hosts.items(), key=lambda one: (-one[1], one[0])))
    seen = as_datetime(first), as_datetime(last)
    return Group(fingerprint, int(count), *seen, essence(error), task, error, most)


RECOUNT = """
SELECT COALESCE(a.fingerprint, 0), COUNT(*) FROM runs_task AS t
JOIN runs_attempt AS a
    ON a.run_id = t.run_id AND a.number = t.number AND a.attempt = t.attempt
WHERE t.run_id = %s AND t.state = 3 AND t.not_before = 0 GROUP BY 1
"""
KEPT = """
SELECT fingerprint, SUM(count) FROM runs_failuretally WHERE run_id = %s
GROUP BY fingerprint HAVING SUM(count) <> 0
"""


def difference(run_id: int) -> "Counter[int]":
    """What is missing in the kept counts, by fingerprint, by a slow recount; empty if nothing is.

    Call it where both are of one moment (``tallies.one_snapshot``).
    """
    missing = Counter({int(one): int(count) for one, count in fetch(RECOUNT, [run_id])})
    missing.subtract({int(one): int(count) for one, count in fetch(KEPT, [run_id])})
    return Counter({one: count for one, count in missing.items() if count})
