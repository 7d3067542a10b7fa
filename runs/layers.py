"""The map of states from what is not done alone: where that is little, it is all that is read.

A run has been done up to some number, and waits from there on, but for a few tasks that compute,
failed, were cancelled or wait again. What is read is how far it has got, and those few, by the
index of states: in one statement, so that all is of one moment.
"""

from runs.dialect import fetch
from runs.models import Run
from runs.states import TaskState
from runs.tallies import Counts

FEW = 200_000
"""Tasks that are read one by one at most; where there are more, reading all is as quick."""
ORDER = (
    TaskState.DONE, TaskState.WAITING, TaskState.COMPUTING, TaskState.CANCELLED, TaskState.FAILED,
)  # fmt: skip
"""By how much attention a state needs; its place is its code."""

# The first row: the highest number that was ever handed out. Only waiting tasks are in backoff.
READ = """
WITH reached AS (
    SELECT MAX(top) AS number FROM (
        SELECT (
            SELECT MAX(number) FROM runs_task
            WHERE run_id = %s AND state = kind.state AND not_before = 0
        ) AS top
        FROM (SELECT 1 AS state UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS kind
    ) AS tops
)
SELECT state, number FROM (
    SELECT -1 AS state, number FROM reached
    UNION ALL
    SELECT state, number FROM runs_task WHERE run_id = %s AND state IN (1, 3, 4)
        AND not_before = 0 AND number BETWEEN %s AND %s
    UNION ALL
    SELECT state, number FROM runs_task WHERE run_id = %s AND state = 0 AND not_before = 0
        AND number BETWEEN %s AND %s AND number < (SELECT number FROM reached)
    UNION ALL
    SELECT state, number FROM runs_task WHERE run_id = %s AND state = 0 AND not_before > 0
        AND number BETWEEN %s AND %s
) AS told LIMIT %s
"""


def fit(counts: Counts) -> bool:
    """Whether there is little enough to read, as far as the tallies tell."""
    return counts.computing + counts.failed + counts.cancelled <= FEW


def paint(run: Run, first: int, last: int, per: int, zero: int) -> bytes | None:
    """A byte for each ``per`` tasks from ``first`` to ``last``: the code that needs most attention.

    Args:
        run: whose tasks.
        first: the first number.
        last: the last one.
        per: how many share a byte.
        zero: the byte of code 0.

    Returns:
        The bytes; None where too many tasks wait between those that are done.
    """
    asked = [run.id, first, last]
    rows = fetch(READ, [run.id, *asked, *asked, *asked, FEW + 2])
    if len(rows) > FEW + 1:
        return None
    reached = rows[0][1]
    cells = -(-(last - first + 1) // per)
    waiting_from = max((-1 if reached is None else reached) + 1 - first, 0)
    done = min(waiting_from // per, cells)
    found = bytearray([zero]) * done + bytearray([zero + 1]) * (cells - done)
    byte_of = {int(state): zero + code for code, state in enumerate(ORDER)}
    for state, number in rows[1:]:
        place, byte = (number - first) // per, byte_of[state]
        found[place] = max(found[place], byte)
    return bytes(found)
