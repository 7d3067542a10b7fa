"""Retries: how many attempts the policy leaves a task, and how long it waits before the next.

Errors, losses and timeouts have budgets of their own: a task that kills its workers must not use up
what a flaky file system needs, and the other way round.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runs.attempts import count_ends
from runs.models import Run
from runs.states import Outcome

if TYPE_CHECKING:
    from runs.moves import Row

LONGEST = 3600.0
"""Seconds that a backoff never exceeds."""
JITTER = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Tasks that failed together do not all come back in the same second; a few steps, so that a batch
of failures still is a few statements."""


def budget(run: Run, outcome: Outcome) -> int:
    """How many attempts at one task may end in this way before it is failed."""
    return {
        Outcome.FAILED: run.error_attempts,
        Outcome.LOST: run.lost_attempts,
        Outcome.TIMEOUT: run.timeout_attempts,
    }[outcome]


def exhausted(run: Run, rows: Sequence["Row"], outcome: Outcome) -> set[int]:
    """The ids of the tasks whose budget for this outcome is spent, the attempt just ended included.

    A task with fewer attempts than the budget cannot have spent it, so that mostly nothing is
    asked of the database.
    """
    most = budget(run, outcome)
    if most == 1:
        return {row.id for row in rows}
    doubtful = [row for row in rows if row.attempt - row.forgiven >= most]
    if not doubtful:
        return set()
    ends = count_ends(run.id, [row.number for row in doubtful], outcome)
    return {row.id for row in doubtful if ends[row.number] >= most}


def delay(run: Run, row: "Row", outcome: Outcome) -> int:
    """Whole seconds before the next attempt: after an error, doubled each time; else none.

    A lost worker or a timeout says nothing against trying again at once elsewhere.
    """
    if outcome != Outcome.FAILED or run.backoff <= 0:
        return 0
    turn = max(row.attempt - row.forgiven - 1, 0)
    seconds = min(run.backoff * 2.0 ** min(turn, 30), LONGEST)
    return max(1, round(seconds * random.choice(JITTER)))
