"""The exchange: the one call of a modern worker. Reports in, tasks out, and a sign of life.

The order of locks is that of all moves: tasks, tallies, then the worker. Each run is a transaction
of its own, so that an exchange over several runs is cut short only between them; whatever was not
answered is repeated by the worker and accepted as a repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runs import inputs, pace, queue, reports, steering, sweep, workers
from runs.errors import RunNotFound
from runs.models import Run, Worker
from runs.queue import Report
from runs.states import Outcome

MOST_RUNS = 50
"""Runs that one exchange looks at for tasks."""

FAILURES = (Outcome.FAILED, Outcome.TIMEOUT)

Held = tuple[str, int, int]
"""A run's UUID, a task's number, an attempt."""


@dataclass
class Wish:
    """What a worker says and asks for in one exchange.

    ``reports`` and ``holding`` are by run (UUID). ``holding`` is None where the worker does not
    say what it holds; it does every few seconds, and after every answer that was lost.
    ``time_left``: seconds until its batch job ends.
    """

    reports: dict[str, list[Report]] = field(default_factory=dict)
    holding: dict[str, set[tuple[int, int]]] | None = None
    want: int = 0
    runs: list[str] = field(default_factory=list)
    namespace: str | None = None
    time_left: float | None = None


class Handed(NamedTuple):
    """A task in an answer: its run, what the worker must know, its input as JSON or None."""

    run: str
    number: int
    attempt: int
    percent: float
    input: str | None = None


@dataclass
class Answer:
    """What the server says: tasks, what to drop, what was stale, when to come again.

    ``gone``: the runs that the worker named and that do not exist, or not for it.
    """

    tasks: list[Handed] = field(default_factory=list)
    drop: list[Held] = field(default_factory=list)
    stale: list[Held] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    retry_after: float | None = None
    finished: bool = False
    heartbeat: float = 10.0


def exchange(*, user: Any, worker: Worker, wish: Wish) -> Answer:
    """Take reports in, hand tasks out, reconcile what the worker holds, note its sign of life.

    Raises:
        RunNotFound: tasks are asked from named runs, and no run that was named is there.
    """
    found, gone = find_runs(user, wish)
    answer = Answer(gone=gone)
    for uuid in wish.reports:
        if uuid not in found:  # deleted, or no longer the user's: nothing of it is to be done
            answer.drop += [(uuid, one.number, one.attempt) for one in wish.reports[uuid]]
    serving = serving_runs(user, wish, found)
    for run in order(found.values(), serving):
        want = wish.want - len(answer.tasks) if run in serving else 0
        work_on(run, worker, wish, want, answer)
    if wish.holding is not None:
        known = {run.id: run.uuid.hex for run in (*found.values(), *serving)}
        reconcile(user, worker, wish.holding, known, answer)
    if wish.want and not answer.tasks:
        # A worker whose time no run's tasks fit into any more has nothing to wait for.
        fitting = [run for run in serving if pace.fits(run, wish.time_left)]
        answer.retry_after, answer.finished = pace.when_to_come_again(fitting)
    if serving:
        answer.heartbeat = min(run.heartbeat for run in serving)
    sweep.sweep_now_and_then(worker.heartbeat)
    return answer


def find_runs(user: Any, wish: Wish) -> tuple[dict[str, Run], list[str]]:
    """The runs that reports and wishes name: those that the user may see, by UUID, and the others.

    One that is gone is no reason to refuse what is said on the others.
    """
    found: dict[str, Run] = {}
    gone: list[str] = []
    for uuid in dict.fromkeys([*wish.reports, *wish.runs]):
        try:
            found[uuid] = reports.find_workable(user, uuid)
        except RunNotFound:
            gone.append(uuid)
    if wish.runs and not found:
        raise RunNotFound(wish.runs[0])
    return found, gone


def serving_runs(user: Any, wish: Wish, found: dict[str, Run]) -> list[Run]:
    """The runs that tasks are asked from, highest priority first, then oldest."""
    if wish.namespace is not None:
        runs = reports.find_in_namespace(user, wish.namespace, most=MOST_RUNS)
        runs = [found.get(run.uuid.hex, run) for run in runs]
    else:
        runs = [found[uuid] for uuid in dict.fromkeys(wish.runs) if uuid in found]
    return sorted(runs, key=lambda run: (-run.priority, run.id))


def order(reported: Any, serving: list[Run]) -> list[Run]:
    """All runs of an exchange: those with reports only first, then those that hand out."""
    return [*(run for run in reported if run not in serving), *serving]


def work_on(run: Run, worker: Worker, wish: Wish, want: int, answer: Answer) -> None:
    """One run's part of an exchange: its reports in, up to ``want`` of its tasks out."""
    told: Sequence[Report] = wish.reports.get(run.uuid.hex, ())
    if want > 0:
        most = min(pace.share(run), inputs.most_at_once(run))
        want = min(want, most) if pace.fits(run, wish.time_left) else 0
    if not told and want < 1:
        return
    if want > 0 and may_stop(run, told):
        work_on(run, worker, wish, 0, answer)
        state = Run.objects.filter(pk=run.pk).values_list("state", flat=True).first()
        if state is None:  # deleted meanwhile
            return
        run.state, told = state, ()
    done = queue.exchange(run=run, worker=worker, reports=told, want=want)
    uuid = run.uuid.hex
    values = inputs.read(run, [one.number for one in done.claims])
    answer.tasks += [
        Handed(uuid, one.number, one.attempt, one.percent, values.get(one.number))
        for one in done.claims
    ]
    answer.stale += [(uuid, one.number, one.attempt) for one in done.stale]
    if done.ended:
        steering.enforce_policy(run, failed=bool(done.failed))


def may_stop(run: Run, told: Sequence[Report]) -> bool:
    """Whether what is told may be one failure too many: then it is judged before tasks go out."""
    if run.fail_count is None and run.fail_percent is None:
        return False
    return any(one.ending and one.ending.outcome in FAILURES for one in told)


def reconcile(
    user: Any,
    worker: Worker,
    holding: dict[str, set[tuple[int, int]]],
    known: dict[int, str],
    answer: Answer,
) -> None:
    """Compare what worker and server think that the worker holds, and say what to do.

    What only the server knows was in an answer that got lost: it is handed out again. What only
    the worker knows has been restarted, cancelled or given to somebody else: it is to be dropped.
    Where there is too much to read all of it, nothing is dropped: the worker names more next time.
    ``known``: UUIDs of runs that the user may see, by id; those that it has named, mostly all.
    """
    ours = {(uuid, *pair) for uuid, pairs in holding.items() for pair in pairs}
    kept, all_read = workers.held(worker, named=len(ours))
    # A run that is being deleted, or is hidden from the user by now: nothing of it is to be done.
    in_runs = {run_id for run_id, *_ in kept}
    uuids = {**known, **reports.run_uuids(user, in_runs.difference(known))}
    for run_id in sorted(in_runs.difference(uuids)):
        sweep.let_go(worker, run_id)
    theirs = {
        (uuids[run_id], number, attempt): percent
        for run_id, number, attempt, percent in kept
        if run_id in uuids
    }
    fresh = {(one.run, one.number, one.attempt) for one in answer.tasks}
    answer.drop += sorted(ours - set(theirs)) if all_read else []
    lost = [one for one in theirs if one not in ours and one not in fresh]
    values = {
        uuid: inputs.read_again(run_id, [number for run, number, _ in lost if run == uuid])
        for run_id, uuid in uuids.items()
        if any(run == uuid for run, *_ in lost)
    }
    answer.tasks += [
        Handed(uuid, number, attempt, theirs[uuid, number, attempt], values[uuid].get(number))
        for uuid, number, attempt in lost
    ]
