"""What monitoring wants to know: six queries over kept counts, whatever the number of tasks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from runs import tallies
from runs.dialect import as_datetime, as_list, fetch
from runs.states import RunState
from runs.tallies import Counts

MOST_UNFINISHED = 200
"""Runs with work left of which each is told: first those that compute, then the latest moved."""
MOST_FINISHED = 20
"""Runs without of which each is told: the latest moved."""


@dataclass(frozen=True)
class RunNumbers:
    """A run: who it is, its counts, its last movement.

    ``waited``: the seconds that its next task in line has waited; None unless it hands out now.
    """

    uuid: str
    name: str
    namespace: str
    owner: str
    state: str
    counts: Counts
    moved: datetime | None
    waited: float | None = None


@dataclass(frozen=True)
class Sweeps:
    """What all sweeps did: how many there were, the seconds they took, when the last one ended."""

    count: int = 0
    seconds: float = 0.0
    ended: datetime | None = None
    lost_workers: int = 0


@dataclass(frozen=True)
class Numbers:
    """The farm in numbers.

    Attributes:
        runs: how many runs there are by state, *finished* among them.
        tasks: how many tasks all of them have by state.
        told: the runs that are told one by one.
        unfinished: how many runs have work left; more than are told only on a very busy farm.
        alive: workers that keep the heartbeat they promised.
        silent: those that do not; the next sweep gives them up.
        sweeps: what all sweeps did.
    """

    runs: dict[str, int]
    tasks: Counts
    told: list[RunNumbers]
    unfinished: int
    alive: int
    silent: int
    sweeps: Sweeps


def read() -> Numbers:
    """Read all of it. The cost grows with the number of runs, not with that of their tasks."""
    runs, tasks, unfinished = read_farm()
    alive, silent = read_workers()
    return Numbers(
        runs=runs,
        tasks=tasks,
        told=read_runs(),
        unfinished=unfinished,
        alive=alive,
        silent=silent,
        sweeps=read_sweeps(),
    )


STATES = ("waiting", "computing", "done", "failed", "cancelled")
# Finished means here as everywhere: nothing waits, nothing computes.
FARM = f"""
WITH kept AS {{materialized}} (
    SELECT run_id, {", ".join(f"SUM({one}) AS {one}" for one in STATES)}
    FROM runs_tally GROUP BY run_id
)
SELECT r.state, (kept.run_id IS NULL OR kept.waiting + kept.computing = 0)
        AND NOT (r.state = 'paused' AND r.open AND r.num_tasks = 0), COUNT(*),
    {", ".join(f"COALESCE(SUM(kept.{one}), 0)" for one in STATES)}
FROM runs_run AS r LEFT JOIN kept ON kept.run_id = r.id
WHERE r.deleted IS NULL GROUP BY 1, 2
"""
FINISHED = "finished"


def read_farm() -> tuple[dict[str, int], Counts, int]:
    """Runs by state, tasks by state, and how many runs have work left."""
    runs = dict.fromkeys((*RunState.values, FINISHED), 0)
    tasks, unfinished = Counts(), 0
    for state, over, count, *sums in fetch(FARM, []):
        runs[shown_state(state, bool(over))] += count
        unfinished += 0 if over else count
        for name, more in zip(STATES, sums, strict=True):
            setattr(tasks, name, getattr(tasks, name) + int(more))
    return runs, tasks, unfinished


def shown_state(state: str, over: bool) -> str:
    """A run's state as people see it."""
    return FINISHED if over and state != RunState.CANCELLED else state


RUNS = """
WITH kept AS {materialized} (
    SELECT run_id, MAX(updated) AS moved, SUM(computing) AS computing,
        SUM(waiting) + SUM(computing) = 0 AS finished
    FROM runs_tally GROUP BY run_id
), ranked AS (
    SELECT run_id, finished, ROW_NUMBER() OVER (
        PARTITION BY finished
        ORDER BY CASE WHEN computing > 0 THEN 0 ELSE 1 END, moved DESC, run_id DESC
    ) AS place
    FROM kept JOIN runs_run ON runs_run.id = kept.run_id WHERE runs_run.deleted IS NULL
)
SELECT r.id, r.uuid, r.name, r.namespace, u.username, r.state,
    r.state = 'paused' AND r.open AND r.num_tasks = 0
FROM ranked JOIN runs_run AS r ON r.id = ranked.run_id JOIN auth_user AS u ON u.id = r.owner_id
WHERE ranked.place <= CASE WHEN ranked.finished THEN %s ELSE %s END
ORDER BY ranked.finished, ranked.place
"""


def read_runs() -> list[RunNumbers]:
    """The runs that are told one by one."""
    rows = fetch(RUNS, [MOST_FINISHED, MOST_UNFINISHED])
    ids = [row[0] for row in rows]
    kept, waits = tallies.look(ids), read_waits(ids)
    # One that was deleted between the queries is left out.
    return [tell(row, kept[row[0]], waits.get(row[0])) for row in rows if row[0] in kept]


def tell(row: tuple[Any, ...], kept: tallies.Kept, wait: float | None) -> RunNumbers:
    """One row as a run."""
    _, uuid, name, namespace, owner, state, waits = row
    return RunNumbers(
        uuid=UUID(str(uuid)).hex,
        name=name,
        namespace=namespace,
        owner=owner,
        state=shown_state(state, kept.counts.over and not waits),
        counts=kept.counts,
        moved=kept.moved,
        waited=wait,
    )


# The floor keeps this off the entries that claims have left in the index, and the order has it read
# as a claim reads it. The floor is a hint: a task below it may be passed over for the moment. Tasks
# in backoff wait on purpose.
WAITS = """
SELECT r.id, {now}, t.updated, r.start_after, r.created
FROM runs_run AS r JOIN runs_task AS t ON t.id = (
    SELECT w.id FROM runs_task AS w
    WHERE w.run_id = r.id AND (w.state, w.not_before, w.number) >= (0, 0, r.claim_floor)
        AND (w.state, w.not_before, w.number) < (0, 1, 0)
    ORDER BY w.state, w.not_before, w.number LIMIT 1
)
WHERE r.id {in_list} AND r.state = 'active'
    AND (r.start_after IS NULL OR r.start_after <= {now})
    AND (r.released OR r.canary_tasks IS NULL OR t.number < r.canary_tasks)
"""


def read_waits(run_ids: list[int]) -> dict[int, float]:
    """How long the next task in line has waited, of those runs that hand out now.

    A task that was never tried has waited since its run was created, or since its window opened.
    """
    return {id: waited(*times) for id, *times in fetch(WAITS, [as_list(run_ids)])}


def waited(*times: Any) -> float:
    """Seconds until now, the first of some times, from the last of the others; some are None."""
    now, *others = (as_datetime(one) for one in times)
    since = max(one for one in others if one is not None)
    return max((now - since).total_seconds(), 0.0) if now else 0.0


WORKERS = """
SELECT COUNT(*), COUNT(CASE WHEN last_seen < {silent_since} THEN 1 END) FROM runs_worker
WHERE heartbeat IS NOT NULL AND gone IS NULL
"""


def read_workers() -> tuple[int, int]:
    """How many workers keep the heartbeat that they promised, and how many do not."""
    present, silent = fetch(WORKERS, [])[0]
    return present - silent, silent


SWEEPS = "SELECT sweeps, seconds, ended, lost_workers FROM runs_sweeplock WHERE id = 1"


def read_sweeps() -> Sweeps:
    """What all sweeps did; there may have been none yet."""
    for count, seconds, ended, lost in fetch(SWEEPS, []):
        return Sweeps(count, seconds, as_datetime(ended), lost)
    return Sweeps()
