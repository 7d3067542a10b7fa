"""What people and policy do to runs: create, restart, delete; and the documented change of a task.

Operations over many tasks work in bounded transactions, a piece of the run at a time, so that
claims and reports go on beside them; each piece is exact, and an operation that is cut short can
simply be repeated.
"""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models.functions import Now

from runs import moves, policy, queue, steering, tallies
from runs.dialect import fetch, run_sql
from runs.errors import InvalidInput, RunNotFound
from runs.models import Run, task_id
from runs.pieces import PIECE, Watch, unwatched
from runs.retrying import rerun_on_conflict
from runs.states import Outcome, TaskState
from runs.tallies import Counts

NUMBERS = {
    "postgresql": "SELECT n FROM GENERATE_SERIES(%s, %s) AS n",
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (
            SELECT %s UNION ALL SELECT n + 1 FROM numbers WHERE n < %s
        ) SELECT n FROM numbers""",
}
FILL = """
INSERT INTO runs_task (id, run_id, number, percent, attempt, forgiven, not_before, state)
SELECT %s + n, %s, n, 0, 0, 0, 0, 0 FROM ({numbers}) AS s
"""


def create_run(
    *,
    owner: Any,
    num_tasks: int,
    name: str = "",
    namespace: str = "",
    description: str = "",
    group: Group | None = None,
    **options: Any,
) -> Run:
    """Create a run of ``num_tasks`` waiting tasks, numbered from 0.

    Args:
        owner: whose it is.
        num_tasks: how many tasks.
        name: what people call it.
        namespace: what it belongs to.
        description: anything.
        group: whose members may work on it, too.
        options: its policy, by field; see ``policy.py``.

    Raises:
        InvalidInput: there are too many or fewer than no tasks, or the group is not the owner's.
    """
    check_size(num_tasks)
    if group is not None and not (owner.is_staff or owner.groups.filter(pk=group.pk).exists()):
        reason = f"You are not a member of the group {group.name!r}."
        raise InvalidInput(reason, {"group": [reason]})
    kept = policy.check(options)
    with transaction.atomic():
        run = Run.objects.create(
            **kept,
            released=kept.get("canary_tasks") is None,
            uuid=uuid4(), owner=owner, group=group, name=name, namespace=namespace,
            description=description, num_tasks=num_tasks,
        )  # fmt: skip
        add_numbers(run, 0, num_tasks)
        tallies.add(run.id, Counts(waiting=num_tasks))
    run.refresh_from_db(fields=["created"])
    return run


def check_size(num_tasks: int) -> None:
    """Refuse a size that no run can have.

    Raises:
        InvalidInput: it is negative or above ``TASKFARM_MAX_TASKS``.
    """
    most = settings.TASKFARM_MAX_TASKS
    if not 0 <= num_tasks <= most:
        reason = f"A run has from 0 to {most} tasks, not {num_tasks}."
        raise InvalidInput(reason, {"numTasks": [reason]})


def add_numbers(run: Run, first: int, count: int) -> None:
    """Insert waiting tasks numbered from ``first``: one statement, no row passes through Python."""
    if count:
        statement = FILL.format(numbers=NUMBERS[connection.vendor])
        with connection.cursor() as cursor:
            cursor.execute(statement, [task_id(run.id, 0), run.id, first, first + count - 1])
        tell_planner(first, count)


MANY = 2000


def tell_planner(first: int, count: int) -> None:
    """Have PostgreSQL look at the tasks after the commit, where a run has got or doubled many.

    Its statistics know nothing of new rows until autovacuum comes by, a minute later. Until then it
    would think them few, and sort all that wait for each claim: tens of milliseconds for each
    hundred thousand. A look takes some tenths of a second, however many there are.
    """
    grown = first + count
    if connection.vendor == "postgresql" and grown >= max(MANY, 2 * first):
        transaction.on_commit(analyze_tasks, robust=True)


def analyze_tasks() -> None:
    """Let the planner know the tasks, unless a vacuum is doing so."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE (SKIP_LOCKED) runs_task")


@rerun_on_conflict
def requeue_one(*, run: Run, number: int, percent: float | None = None, by: str = "") -> None:
    """Put one task back to waiting: the documented PUT of ``waiting``.

    It keeps its percentage unless one is given; a task that was done starts from 0, for there is
    nothing left of it to resume.

    Raises:
        TaskNotFound: the number is outside the run.
    """
    with transaction.atomic():
        row = queue.lock_one(run, number)
        if percent is None and row.state == TaskState.DONE:
            percent = 0.0
        if row.state == TaskState.WAITING and percent in (None, row.percent):
            return
        why = f"set to waiting by {by}" if by else "set to waiting"
        change = moves.requeue(run, [row], percent=percent, outcome=Outcome.RELEASED, why=why)
        tallies.add(run.id, change)


def change_task(
    *,
    run: Run,
    number: int,
    percent: float | None = None,
    state: TaskState | None = None,
    by: str = "",
) -> None:
    """Change a task as the documented PUT does: its percentage, its state, or both at once.

    Raises:
        InvalidInput: neither is given, or done is claimed at less than 100 %.
        TaskNotFound: the number is outside the run.
        StaleReport, StateConflict: the task's state does not allow it any more.
    """
    if percent is None and state is None:
        raise InvalidInput("Give percentCompleted, status, or both.")
    if state == TaskState.DONE and percent not in (None, 100):
        reason = f"A task that is done is at 100 %, not at {percent:g} %."
        raise InvalidInput(reason, {"percentCompleted": [reason]})
    if state == TaskState.COMPUTING:
        queue.begin_by_hand(run=run, number=number, percent=percent)
    elif state == TaskState.WAITING:
        requeue_one(run=run, number=number, percent=percent, by=by)
    else:
        _report(run, number, percent, state)


def _report(run: Run, number: int, percent: float | None, state: TaskState | None) -> None:
    """Pass a worker's word on to the queue: progress, then the outcome."""
    if percent is not None and state != TaskState.DONE:
        queue.report_progress(run=run, number=number, percent=percent)
    if state is not None:
        outcome = {TaskState.DONE: Outcome.DONE, TaskState.FAILED: Outcome.FAILED}.get(state)
        if outcome is None:
            raise InvalidInput(f"A task cannot be set to {state.label}.")
        queue.report_outcome(run=run, number=number, outcome=outcome)
        steering.enforce_policy(run, failed=outcome == Outcome.FAILED)


def delete_run(*, run: Run, watch: Watch = unwatched) -> int:
    """Delete a run and all that belongs to it.

    The run disappears for everybody at once; its rows follow in bounded transactions. If that is
    cut short, ``sweep_deleted`` finishes it.

    Returns:
        How many tasks were deleted.

    Raises:
        RunNotFound: somebody else deleted it first.
    """
    hide(run)
    return erase(run, watch)


def hide(run: Run) -> None:
    """Let a run disappear for everybody; its rows are then to be erased.

    Raises:
        RunNotFound: somebody else deleted it first.
    """
    if not run_sql(
        "UPDATE runs_run SET deleted = {now} WHERE id = %s AND deleted IS NULL", [run.id]
    ):
        raise RunNotFound(run.uuid.hex)


def erase(run: Run, watch: Watch = unwatched) -> int:
    """Delete the rows of a run that is hidden; answers how many tasks it had."""
    # Read afresh: an append may have got in before it was hidden; after that none does.
    num_tasks = Run.objects.values_list("num_tasks", flat=True).get(pk=run.pk)
    return _erase(run.id, num_tasks, watch)


def sweep_deleted(*, after: timedelta = timedelta(0), pieces: int | None = None) -> int:
    """Go on with deletions that were cut short; answers how many runs went.

    Args:
        after: leave deletions alone that began less than so long ago: they may be under way.
        pieces: stop after so many pieces of one run; None goes through with all.
    """
    doomed = Run.objects.filter(deleted__lte=Now() - after).order_by("deleted")
    return sum(
        _erase_some(run_id, num_tasks, pieces)
        for run_id, num_tasks in doomed.values_list("id", "num_tasks")[: pieces and 1]
    )


def _erase_some(run_id: int, num_tasks: int, pieces: int | None) -> bool:
    """Delete the next pieces of a run, and the run where that was all; answers whether it was."""
    bounds = [task_id(run_id, 0), task_id(run_id + 1, 0)]
    lowest = fetch("SELECT MIN(id) FROM runs_task WHERE id >= %s AND id < %s", bounds)[0][0]
    first = num_tasks if lowest is None else lowest - bounds[0]
    if pieces is not None and first + pieces * PIECE < num_tasks:
        for start in range(first, first + pieces * PIECE, PIECE):
            _erase_piece(run_id, start, start + PIECE - 1)
        return False
    _erase(run_id, num_tasks, first=first)
    return True


def _erase(run_id: int, num_tasks: int, watch: Watch = unwatched, *, first: int = 0) -> int:
    """Delete the rows of a run that nobody sees any more, the run itself last."""
    starts = range(first, num_tasks, PIECE)
    erased = sum(
        _erase_piece(run_id, start, start + PIECE - 1) for start in watch(starts, total=len(starts))
    )
    with transaction.atomic():
        for table in ("runs_runevent", "runs_throughput", "runs_failuretally", "runs_tally"):
            run_sql(f"DELETE FROM {table} WHERE run_id = %s", [run_id])
        run_sql("DELETE FROM runs_run WHERE id = %s", [run_id])
    return erased


@rerun_on_conflict
def _erase_piece(run_id: int, first: int, last: int) -> int:
    """Delete the tasks of some numbers with their attempts, in the common order of locks."""
    with transaction.atomic():
        bounds = [task_id(run_id, first), task_id(run_id, last)]
        moves.lock(run_id, moves.WINDOW, *bounds)
        window = "WHERE run_id = %s AND number BETWEEN %s AND %s"
        for table in ("runs_taskinput", "runs_attempt"):
            run_sql(f"DELETE FROM {table} {window}", [run_id, first, last])
        return run_sql("DELETE FROM runs_task WHERE id BETWEEN %s AND %s", bounds)
