"""The peer: taskfarm 0.4.0 from PyPI, unmodified, in an environment of its own.

Two of its habits have aged: it wants the driver named in the URL, and its own command for the
first tables fails outside an application context; so the tables and the user are made from here.
"""

from __future__ import annotations

from .clients import PASSWORD, USER
from .environments import peer_python
from .paths import PEER_VENV
from .sides import Side
from .web import Command, Shape

INITIALISE = f"""
import taskfarm
with taskfarm.app.app_context():
    taskfarm.db.create_all()
    user = taskfarm.User(username={USER!r})
    user.hash_password({PASSWORD!r})
    taskfarm.db.session.add(user)
    taskfarm.db.session.commit()
"""

FINISHED_RUN = """
WITH worker AS (
    INSERT INTO workers (uuid, hostname, pid, start)
    VALUES (md5(random()::text), 'bench', 1, now()) RETURNING id
), run AS (
    INSERT INTO runs (uuid, "nextTask", "numTasks")
    VALUES (md5(random()::text), %(tasks)s, %(tasks)s) RETURNING id
)
INSERT INTO tasks (task, status, started, updated, "percentCompleted", run_id, worker_id)
SELECT number, 'done', now(), now(), 100, run.id, worker.id
FROM run, worker, generate_series(0, %(tasks)s - 1) AS number
"""


class Peer(Side):
    """taskfarm 0.4.0."""

    name = "peer"
    title = "taskfarm 0.4.0"

    def environment(self, database: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url(database, "postgresql+psycopg2"),
            "SECRET_KEY": "bench-only-secret-key-of-some-length",
        }

    def initialise(self) -> None:
        words = [str(peer_python()), "-c", INITIALISE]
        Command(words, PEER_VENV, self.environment(self.template)).run()

    def command(self, port: int, shape: Shape) -> Command:
        words = [str(peer_python().with_name("gunicorn")), "taskfarm:app"]
        words += ["--bind", f"127.0.0.1:{port}", *shape.options()]
        return Command(words, PEER_VENV, self.environment(self.database))

    def add_finished_run(self, tasks: int) -> None:
        with self.postgres.session(self.database) as cursor:
            cursor.execute(FINISHED_RUN, {"tasks": tasks})
