"""Runs that look as if a thousand workers had worked on them for a day, written by SQL.

A run of any size gets the same crew, the same day and the same share of every state, so that two of
them differ in nothing but their number of tasks: where there are fewer, each took longer. Half of
the tasks have ended; each fiftieth of these is failed, with one of five errors, of which the first
has most and the last befell a single host; each two-hundredth was lost once and done by its second
attempt. Every worker holds two tasks. The tasks are created by the server's own command and then
moved by UPDATE, as a run's are, and the tallies are recounted by the server.
"""

from __future__ import annotations

from dataclasses import dataclass

from .clients import PASSWORD
from .ours import Ours

WORKERS, PER_HOST = 1000, 4
HELD = 2
DAY = 86_400

SETTINGS = """
CREATE TEMPORARY TABLE plan AS SELECT
    run.id AS run, run.owner_id AS owner, run.num_tasks / 2 AS ended,
    LEAST(%(crew)s * %(held)s, run.num_tasks / 4) AS held, %(crew)s AS crew,
    now() - interval '1 day' AS start,
    GREATEST(%(day)s * %(crew)s / (run.num_tasks / 2.0), 0.001) AS each,
    (SELECT COALESCE(MAX(id), 0) + 1 FROM runs_worker) AS first_worker
FROM runs_run AS run WHERE run.uuid = %(run)s
"""
# They promise a word an hour, so that no sweep gives them up while the benchmark runs.
CREW = """
INSERT INTO runs_worker (id, uuid, owner_id, hostname, pid, labels, heartbeat, started, last_seen)
SELECT first_worker + place, gen_random_uuid(), owner,
    'n' || LPAD((place / %(per_host)s)::text, 4, '0'), 4000 + place,
    '{"SLURM_JOB_ID": "118"}', 3600, start, now()
FROM plan, GENERATE_SERIES(0, crew - 1) AS place
"""
CREW_IDS = "SELECT SETVAL(PG_GET_SERIAL_SEQUENCE('runs_worker', 'id'), MAX(id)) FROM runs_worker"
# Which worker, which error, when: from the number alone, so that tasks and attempts agree.
TRIED = """
CREATE TEMPORARY VIEW tried AS SELECT
    run, number, number < ended AS over,
    number %% 50 = 7 AND number < ended AS bad, GREATEST(number / 50 %% 10 - 4, 1) AS error,
    CASE WHEN number %% 200 = 3 AND number < ended THEN 2 ELSE 1 END AS attempts,
    first_worker + CASE WHEN number %% 50 = 7 AND number / 50 %% 10 = 9 AND number < ended
        THEN LEAST(52, crew - 1) ELSE (number + number / 1000 * 37) %% crew END AS worker,
    CASE WHEN number < ended
        THEN start + (number / crew) * each * interval '1 second'
        ELSE now() - (number %% 40) * interval '1 second' END AS began,
    each * (0.5 + (number * 7919::bigint %% 1000) / 2000.0) * interval '1 second' AS took
FROM plan, GENERATE_SERIES(0, ended + held - 1) AS number
"""
MOVE = """
UPDATE runs_task SET
    state = CASE WHEN bad THEN 3 WHEN over THEN 2 ELSE 1 END,
    percent = CASE WHEN bad THEN 40 WHEN over THEN 100 ELSE tried.number %% 97 END,
    attempt = attempts, worker_id = tried.worker, started = began,
    updated = CASE WHEN over THEN began + took ELSE now() END
FROM tried WHERE id = tried.run * 4294967296 + tried.number
"""
ATTEMPTS = """
INSERT INTO runs_attempt (run_id, number, attempt, worker_id, started, ended, outcome, exit_code,
    fingerprint, output, error, log_tail)
SELECT run, number, turn, worker,
    began + took * (turn - 1) / attempts, began + took * turn / attempts,
    CASE WHEN turn < attempts THEN 3 WHEN bad THEN 2 ELSE 1 END,
    CASE WHEN bad THEN 1 END,
    CASE WHEN turn < attempts THEN 77 WHEN bad THEN 1000 + error END,
    CASE WHEN NOT bad AND turn = attempts THEN '{"rmse": 0.117}' END,
    CASE WHEN turn < attempts THEN 'the worker was lost'
        WHEN bad THEN REPEAT('  File "/home/bench/tiles/grid.py", line 88, in grid' || CHR(10), 6)
            || 'ValueError: error ' || error || ' in tile ' || number END,
    CASE WHEN bad THEN REPEAT('reading the next part of the tile' || CHR(10), 20) END
FROM tried, GENERATE_SERIES(1, attempts) AS turn WHERE over ORDER BY number, turn
"""
# Minutes that are past an hour ago are folded into slot 0, as by throughput.fold.
MINUTES = """
INSERT INTO runs_throughput (run_id, minute, slot, done, failed, seconds)
SELECT run_id, DATE_TRUNC('minute', ended), slot, COUNT(*) FILTER (WHERE outcome = 1),
    COUNT(*) FILTER (WHERE outcome <> 1), SUM(EXTRACT(EPOCH FROM ended - started))
FROM (
    SELECT *, CASE WHEN ended > now() - interval '1 hour' THEN 1 + number %% 8 ELSE 0 END AS slot
    FROM runs_attempt WHERE run_id = (SELECT run FROM plan)
) AS attempt GROUP BY 1, 2, 3
"""
INPUTS = """
INSERT INTO runs_taskinput (run_id, number, value)
SELECT run, number, '{"tile": "N60W030", "year": 2026}' FROM tried WHERE bad
"""
EVENTS = """
INSERT INTO runs_runevent (run_id, at, who, what, why, tasks, details)
SELECT run, start + place * interval '1 hour', %(owner)s,
    (ARRAY['pause', 'resume', 'restart'])[1 + place %% 3], 'the quota of /scratch', 300,
    CASE WHEN place %% 3 = 2 THEN JSONB_BUILD_OBJECT('all', false, 'selection', '{}'::jsonb,
        'before', JSONB_BUILD_OBJECT('failed', REPEAT('100007,', 9000) || '1')) ELSE '{}' END
FROM plan, GENERATE_SERIES(0, 11) AS place
"""
BEGUN = """
UPDATE runs_run SET name = %(name)s, namespace = 'tiles', started = start, created = start,
    claim_floor = ended + held, largest_input = 40,
    description = 'Surface elevation from the March passes, one task per tile.'
FROM plan WHERE id = run
"""
FORGET = ("DROP VIEW tried", "DROP TABLE plan")


@dataclass(frozen=True)
class Filled:
    """A run that was filled: what its pages are asked with."""

    uuid: str
    tasks: int
    ended: int
    worker: str
    error: int = 1001
    host: str = "n0017"

    @property
    def failed(self) -> int:
        """The number of a failed task in the middle of those that have ended."""
        return self.ended // 2 // 100 * 100 + 7


def add_user(ours: Ours, name: str, *options: str) -> None:
    """An account with the benchmarks' password."""
    ours.manage("adduser", name, "-p", PASSWORD, *options)


def fill(ours: Ours, tasks: int, owner: str, name: str, crew: int = WORKERS) -> Filled:
    """Create a run and let it look as if it had been worked on for a day."""
    run = ours.manage("createrun", "--tasks", str(tasks), "--owner", owner).strip()
    told = {
        "run": run, "owner": owner, "name": name, "crew": crew, "held": HELD,
        "per_host": PER_HOST, "day": DAY,
    }  # fmt: skip
    with ours.postgres.session(ours.database) as cursor:
        for statement in (
            SETTINGS, CREW, CREW_IDS, TRIED, MOVE, ATTEMPTS, MINUTES, INPUTS, EVENTS, BEGUN,
        ):  # fmt: skip
            cursor.execute(statement, told)
        cursor.execute("SELECT ended, first_worker + 17 % crew FROM plan")
        ended, worker = cursor.fetchone()
        cursor.execute("SELECT uuid FROM runs_worker WHERE id = %s", (worker,))
        uuid = cursor.fetchone()[0]
        for statement in FORGET:
            cursor.execute(statement)
    ours.manage("checktallies", run, "--repair")
    return Filled(run, tasks, ended, str(uuid).replace("-", ""))
