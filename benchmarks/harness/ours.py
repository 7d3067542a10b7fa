"""This server, as it is deployed: migrated by manage.py, served by gunicorn as in deploy/."""

from __future__ import annotations

import sys

from .clients import PASSWORD, USER
from .paths import PROJECT
from .sides import Side
from .web import Command, Shape

# By SQL, because 300,000 reports one by one would take longer than all that is measured.
FINISH = """
WITH worker AS (
    INSERT INTO runs_worker (uuid, owner_id, hostname, pid, labels)
    SELECT gen_random_uuid(), owner_id, 'bench', 1, '{}' FROM runs_run WHERE uuid = %(run)s
    RETURNING id
), finished AS (
    UPDATE runs_task SET
        state = 2, percent = 100, attempt = 1, worker_id = worker.id,
        started = now(), updated = now()
    FROM worker
    WHERE run_id = (SELECT id FROM runs_run WHERE uuid = %(run)s) AND number < %(tasks)s
    RETURNING run_id, number, attempt, worker_id, started
)
INSERT INTO runs_attempt (run_id, number, attempt, worker_id, started, ended, outcome)
SELECT run_id, number, attempt, worker_id, started, started, 1 FROM finished
"""


class Ours(Side):
    """The server of this checkout."""

    name = "ours"
    title = "this server"

    def environment(self, database: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url(database),
            "SECRET_KEY": "bench-only-secret-key-of-more-than-fifty-characters-in-all",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DEBUG": "0",
        }

    def manage(self, *words: str) -> str:
        """Run a management command on the database that is being measured."""
        return self._manage(self.database, *words)

    def _manage(self, database: str, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        return Command(command, PROJECT, self.environment(database)).run()

    def initialise(self) -> None:
        self._manage(self.template, "migrate", "--verbosity", "0")
        self._manage(self.template, "adduser", USER, "-p", PASSWORD)

    def command(self, port: int, shape: Shape) -> Command:
        words = [sys.executable, "-m", "gunicorn", "taskfarm_site.wsgi", "-c"]
        words += ["deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", *shape.options()]
        return Command(words, PROJECT, self.environment(self.database))

    def add_finished_run(self, tasks: int) -> None:
        self.finish_tasks(self.create_run(tasks), tasks)

    def create_run(self, tasks: int) -> str:
        """Create a run with the server's own command; answers its UUID."""
        return self.manage("createrun", "--tasks", str(tasks), "--owner", USER).strip()

    def finish_tasks(self, run: str, tasks: int) -> None:
        """Make the first so many tasks of a run look as if a worker had done them."""
        with self.postgres.session(self.database) as cursor:
            cursor.execute(FINISH, {"run": run, "tasks": tasks})
        self.manage("checktallies", "--repair")
