"""Ten million tasks: what a call, a creation, an append and a byte cost there.

- Calls: a run of 10,000,000 tasks beside one of 10,000 in one database, both half done, as in
  `size`. Claim and info by the 0.4.0 client, exchanges (ten tasks done, ten out) by ours; the runs
  take turns, call by call; medians.
- Create: the server's operation against a bare INSERT … SELECT of the same rows, as in `create`.
- Append: 1,000,000 inputs of 200 bytes each. The server's operation, reading them from Python,
  against COPY of the same rows, tasks and inputs, from memory into the same tables in one
  transaction. `Run.append` of our client over HTTP stands beside it.
- Bytes on disk, indexes and free space included: of a fresh run; and of one of 10,000,000 that was
  really worked off, by our client with two processes, as the last exchange left it, autovacuum at
  its stock settings. (Space that earlier versions of the rows leave is free for others once it is
  vacuumed, which PostgreSQL looks after once a minute.)
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from statistics import median

from . import create, size
from .harness import clients, own
from .harness.bench import Bench, median_ratio
from .harness.ours import Ours
from .harness.report import Figure, Result
from .harness.web import DEPLOYED

NAME = "ten_million"
LARGE, SMALL = 10_000_000, 10_000
ROUNDS, WANT = 400, 10
CREATE_REPEATS = 3
APPENDED, INPUT_BYTES, APPEND_REPEATS = 1_000_000, 200, 3
PROCESSES = 2
TARGET_CALL, TARGET_APPEND, TARGET_FRESH, TARGET_DONE = 1.3, 3, 180, 500

TABLES = ("runs_task", "runs_attempt", "runs_tally", "runs_throughput")


def measure(bench: Bench) -> Result:
    result = Result(NAME, "Ten million tasks")
    ours = bench.this_server
    compare_creation(bench, ours, result)
    compare_bytes(bench, ours, result)
    compare_append(bench, ours, result)
    compare_calls(bench, ours, result)
    return result


def add(result: Result, figure: Figure, value: str, beside: str, figure_too: bool = True) -> None:
    """A row, and its figure where it is one to reach."""
    result.rows.append(
        {"what": figure.name, "measured": value, "beside": beside, "ratio": round(figure.value, 2)}
    )
    if figure_too:
        result.figures.append(figure)


# ---- calls


def compare_calls(bench: Bench, ours: Ours, result: Result) -> None:
    """Claim, info and exchange in the large run over the same in the small one."""
    sizes = (bench.size(LARGE, 2000), bench.size(SMALL, 100))
    runs = size.prepare(ours, sizes)
    with ours.serve(DEPLOYED) as server:
        times = clients.latencies(server.api, runs, bench.size(ROUNDS, 5))
        exchanges = own.exchange_times(server, runs, bench.size(ROUNDS, 5), bench.size(WANT, 2))
    calls = {call: [times[run][call].answer for run in runs] for call in ("claim", "info")}
    calls["exchange"] = [median(exchanges[run]) for run in runs]
    for call, (large, small) in calls.items():
        name = f"{call}: run of {sizes[0]:,} tasks over run of {sizes[1]:,}"
        figure = Figure(name, large / small, TARGET_CALL, at_least=False)
        add(result, figure, f"{1000 * large:.2f} ms", f"{1000 * small:.2f} ms")


# ---- creation and bytes


def compare_creation(bench: Bench, ours: Ours, result: Result) -> None:
    """Create a large run; the last one stays, and tells how large a fresh task is."""
    tasks = bench.size(LARGE, 10_000)
    server, bare = create.pairs(ours, tasks, bench.size(CREATE_REPEATS, 1))
    figure = create.figure(tasks, median_ratio(server, bare))
    add(result, figure, f"{median(server):.1f} s", f"{median(bare):.1f} s")
    fresh = Figure("bytes per task, fresh", stored(ours) / tasks, TARGET_FRESH, at_least=False)
    add(result, fresh, f"{stored(ours) / 1e6:,.0f} MB", f"{tasks:,} tasks")


def compare_bytes(bench: Bench, ours: Ours, result: Result) -> None:
    """Work a large run off, and see how large a task with its attempt is."""
    tasks = bench.size(LARGE, 2000)
    ours.fresh_database()
    run = ours.create_run(tasks)
    with ours.serve(DEPLOYED) as server:
        worked = own.work(server, run, tasks, processes=PROCESSES)
    result.notes.append(
        f"{tasks:,} tasks that do nothing took our client with {PROCESSES} processes "
        f"{worked.seconds:,.0f} s: {tasks / worked.seconds:,.0f} tasks/s."
    )
    done = Figure(
        "bytes per task, done with attempt", stored(ours) / tasks, TARGET_DONE, at_least=False
    )
    add(result, done, f"{stored(ours) / 1e6:,.0f} MB", f"{tasks:,} tasks")


def stored(ours: Ours) -> int:
    """Bytes of the tables that grow with tasks, indexes and all."""
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute(
            "SELECT SUM(pg_total_relation_size(name::regclass)) FROM UNNEST(%s) AS name",
            (list(TABLES),),
        )
        return int(cursor.fetchone()[0])


# ---- append


def compare_append(bench: Bench, ours: Ours, result: Result) -> None:
    """Append inputs to a run: by the server's operation, by COPY, by our client."""
    tasks = bench.size(APPENDED, 2000)
    copy, inside, client = [], [], []
    for _ in range(bench.size(APPEND_REPEATS, 1)):
        copy.append(copy_rows(ours, tasks))
        inside.append(append_inside(ours, tasks))
        client.append(append_by_client(ours, tasks))
    what = f"append {tasks:,} inputs of {INPUT_BYTES} bytes"
    for way, seconds, figure_too in (
        ("", inside, True),
        (" with `Run.append` over HTTP", client, False),
    ):
        figure = Figure(
            f"{what}{way}, over COPY", median_ratio(seconds, copy), TARGET_APPEND, at_least=False
        )
        add(result, figure, f"{median(seconds):.1f} s", f"{median(copy):.1f} s", figure_too)


def append_inside(ours: Ours, tasks: int) -> float:
    """Seconds of the server's operation."""
    inside = create.stage(ours)
    run = inside.create_run(0)
    start = time.perf_counter()
    inside.append(run, inputs(tasks))
    seconds = time.perf_counter() - start
    inside.disconnect()
    return seconds


def append_by_client(ours: Ours, tasks: int) -> float:
    """Seconds of our client's call."""
    create.stage(ours).disconnect()
    run = ours.create_run(0)
    with ours.serve(DEPLOYED) as server:
        return own.append(server, run, tasks, INPUT_BYTES)


def inputs(tasks: int) -> Iterator[str]:
    """So many inputs that are 200 bytes long as JSON."""
    return ("x" * (INPUT_BYTES - 2) for _ in range(tasks))


def copy_rows(ours: Ours, tasks: int) -> float:
    """Seconds of COPY of the rows that an append writes, made beforehand."""
    create.stage(ours).disconnect()
    numbers = "".join(
        f"{1_000_000 * 2**32 + number}\t1000000\t{number}\t0\t0\t0\t0\t0\n"
        for number in range(tasks)
    )
    values = "".join(
        f'1000000\t{number}\t"{value}"\n' for number, value in enumerate(inputs(tasks))
    )
    columns = "id, run_id, number, percent, attempt, forgiven, not_before, state"
    with ours.postgres.session(ours.database) as cursor:
        start = time.perf_counter()
        cursor.execute("BEGIN")
        cursor.copy_expert(f"COPY runs_task ({columns}) FROM STDIN", io.StringIO(numbers))
        cursor.copy_expert(
            "COPY runs_taskinput (run_id, number, value) FROM STDIN", io.StringIO(values)
        )
        cursor.execute("COMMIT")
        return time.perf_counter() - start
