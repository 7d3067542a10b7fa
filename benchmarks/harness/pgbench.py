"""Bare SQL on the tables of our server, by pgbench: what the database itself can do.

Two transactions to a batch: claim it, end it. The rows are those that the server writes for plain
successes, tasks and attempts, without its counts by state, its checks of who asks, and its HTTP.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil

from .ours import Ours
from .paths import PROJECT
from .web import Command

SCRIPT = """
WITH picked AS MATERIALIZED (
    SELECT id FROM runs_task WHERE run_id = {run}
        AND (state, not_before, number) >= (0, 0, 0)
        AND (state, not_before, number) < (0, 0, {tasks})
    ORDER BY state, not_before, number LIMIT {batch} FOR UPDATE SKIP LOCKED
)
UPDATE runs_task SET state = 1, attempt = attempt + 1, worker_id = :client_id + 1,
    started = STATEMENT_TIMESTAMP(), updated = STATEMENT_TIMESTAMP()
WHERE id IN (SELECT id FROM picked);
WITH ended AS (
    UPDATE runs_task SET state = 2, percent = 100, updated = STATEMENT_TIMESTAMP()
    WHERE run_id = {run} AND worker_id = :client_id + 1 AND state = 1
    RETURNING run_id, number, attempt, worker_id, started
)
INSERT INTO runs_attempt (run_id, number, attempt, worker_id, started, ended, outcome)
SELECT run_id, number, attempt, worker_id, started, STATEMENT_TIMESTAMP(), 1 FROM ended;
"""


def empty_run(ours: Ours, run: str, tasks: int, *, batch: int, connections: int) -> None:
    """Claim and end all tasks of a run in batches; `batch * connections` must divide `tasks`."""
    with ours.postgres.session(ours.database) as cursor:
        cursor.execute("SELECT id FROM runs_run WHERE uuid = %s", (run,))
        (run_id,) = cursor.fetchone()
    program = Path(psutil.Process(ours.postgres.pid).exe()).with_name("pgbench")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT.format(run=run_id, tasks=tasks, batch=batch))
        script.flush()
        words = [str(program), "--no-vacuum", "--protocol=prepared", f"--file={script.name}"]
        words += [f"--client={connections}", f"--jobs={connections}"]
        words += [f"--transactions={tasks // batch // connections}"]
        words += [f"--host={ours.postgres.socket_dir}", "--username=postgres", ours.database]
        Command(words, PROJECT).run()
