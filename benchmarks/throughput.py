"""Tasks that do nothing, from claim to durable done: how many per second?

Our client with two worker processes (`Run.work(function, processes=2)`) over HTTP against our
server as it is deployed; beside it, on the same PostgreSQL,

- procrastinate with two worker processes, each with as many jobs at once as a first round found to
  be best; no other setting is changed;
- bare SQL in batches: two connections of pgbench, a transaction to claim a batch, a transaction to
  end it. It writes the same rows into the same tables: the task twice, and its attempt.

Each starts from a fresh, vacuumed database, filled before the clock runs. The three take turns. All
are measured by the database's clock, from the first task's start to the last one's end as kept in
their books. For our client, whose processes come from one call, the rate over the whole call stands
beside it. The figures are medians, of rates or of ratios of one turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from .harness import own, pgbench
from .harness.bench import Bench, median_ratio
from .harness.ours import Ours
from .harness.procrastinate import Procrastinate
from .harness.report import Figure, Result, Row
from .harness.web import DEPLOYED, Shape

NAME = "throughput"
TASKS = 150_000
JOBS = 4000
PROCESSES = 2
CONCURRENCIES = (1, 5, 20, 50)
REPEATS = 5
BATCH, LARGE_BATCH = 100, 500
TARGET_RATE, TARGET_JOBS, TARGET_BARE = 15_000, 30, 0.3

SPAN = """
SELECT EXTRACT(EPOCH FROM MAX(a.ended) - MIN(a.started))::float8, COUNT(*)
FROM runs_attempt AS a JOIN runs_run ON runs_run.id = a.run_id
WHERE runs_run.uuid = %s AND a.outcome = 1
"""


@dataclass
class Rates:
    """Tasks per second of each turn, by contestant."""

    ours: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    exchanges: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_large: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Result:
    ours, procrastinate = bench.this_server, Procrastinate(bench.postgres)
    tasks = bench.size(TASKS, 2000)
    concurrency = best_concurrency(bench, procrastinate)
    rates = Rates()
    for _ in range(bench.size(REPEATS, 1)):
        rates.jobs.append(jobs_per_second(bench, procrastinate, concurrency))
        through_client(ours, tasks, rates)
        rates.bare.append(bare_per_second(ours, tasks, BATCH))
        rates.bare_large.append(bare_per_second(ours, tasks, LARGE_BATCH))
    result = Result(NAME, "Tasks that do nothing, from claim to durable done")
    result.rows += rows(rates, f"procrastinate {procrastinate.version}", concurrency)
    result.figures += figures(rates)
    result.notes.append(
        f"Medians of {bench.size(REPEATS, 1)} turns; {tasks:,} tasks, "
        f"{bench.size(JOBS, 50):,} jobs of procrastinate. Over the whole call of `Run.work`, with "
        f"starting and signing off, our client does {median(rates.whole):,.0f} tasks/s."
    )
    return result


def rows(rates: Rates, peer: str, concurrency: int) -> list[Row]:
    """A row for each contestant."""
    each = f"2 processes of {concurrency} at once" if concurrency > 1 else "2 processes"
    return [
        {"system": "this server and its client, 2 processes", "tasks/s": median(rates.ours),
         "round trips/s": median(rates.exchanges)},
        {"system": f"{peer}, {each}", "tasks/s": median(rates.jobs), "round trips/s": ""},
        {"system": f"bare SQL, batches of {BATCH}", "tasks/s": median(rates.bare),
         "round trips/s": 2 * median(rates.bare) / BATCH},
        {"system": f"bare SQL, batches of {LARGE_BATCH}", "tasks/s": median(rates.bare_large),
         "round trips/s": 2 * median(rates.bare_large) / LARGE_BATCH},
    ]  # fmt: skip


def figures(rates: Rates) -> list[Figure]:
    """What is to be reached."""
    what = "tasks/s that do nothing"
    return [
        Figure(what, median(rates.ours), TARGET_RATE),
        Figure(f"{what}, over procrastinate's", median_ratio(rates.ours, rates.jobs), TARGET_JOBS),
        Figure(
            f"{what}, over bare SQL in batches of {BATCH}",
            median_ratio(rates.ours, rates.bare),
            TARGET_BARE,
        ),
    ]


def best_concurrency(bench: Bench, procrastinate: Procrastinate) -> int:
    """How many jobs at once suit procrastinate here."""
    if bench.quick:
        return CONCURRENCIES[1]
    return max(CONCURRENCIES, key=lambda count: jobs_per_second(bench, procrastinate, count))


def jobs_per_second(bench: Bench, procrastinate: Procrastinate, concurrency: int) -> float:
    """Of procrastinate."""
    jobs = bench.size(JOBS, 50)
    return jobs / procrastinate.seconds(jobs=jobs, processes=PROCESSES, concurrency=concurrency)


def fill(ours: Ours, tasks: int) -> str:
    """A fresh, settled database with one run; answers its UUID."""
    ours.fresh_database()
    run = ours.create_run(tasks)
    ours.postgres.settle(ours.database)
    return run


def through_client(ours: Ours, tasks: int, rates: Rates, shape: Shape = DEPLOYED) -> None:
    """One turn of our client and server."""
    run = fill(ours, tasks)
    with ours.serve(shape) as server:
        done = own.work(server, run, tasks, processes=PROCESSES)
    seconds = span(ours, run, tasks)
    rates.ours.append(tasks / seconds)
    rates.whole.append(tasks / done.whole)
    rates.exchanges.append(done.exchanges / seconds)


def bare_per_second(ours: Ours, tasks: int, batch: int) -> float:
    """One turn of bare SQL on the tables of our server."""
    run = fill(ours, tasks)
    pgbench.empty_run(ours, run, tasks, batch=batch, connections=PROCESSES)
    return tasks / span(ours, run, tasks)


def span(ours: Ours, run: str, tasks: int) -> float:
    """Seconds from the first attempt's start to the last one's end, all of them done."""
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute(SPAN, (run,))
        seconds, done = cursor.fetchone()
    if done != tasks:
        raise RuntimeError(f"{tasks} tasks were to be done once each, {done} attempts are")
    return float(seconds)
