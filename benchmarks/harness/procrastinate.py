"""procrastinate from PyPI, unmodified, in an environment of its own, on the same PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

from .environments import procrastinate_python
from .paths import DRIVERS
from .postgres import Postgres
from .web import Command

SPAN = """
SELECT EXTRACT(EPOCH FROM MAX(at) FILTER (WHERE type = 'succeeded')
    - MIN(at) FILTER (WHERE type = 'started'))::float8,
    COUNT(*) FILTER (WHERE type = 'succeeded')
FROM procrastinate_events
"""


class Procrastinate:
    """Its tables are made once in a template; each round starts from a fresh copy."""

    template = "procrastinate_template"
    database = "procrastinate_bench"

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.version = ""
        self._prepared = False

    def seconds(self, *, jobs: int, processes: int, concurrency: int) -> float:
        """Do so many jobs that do nothing: from the first fetched to the last succeeded.

        The times are those that its own events keep, the database's clock.
        """
        self._fresh_database()
        self._drive(self.database, "fill", "--jobs", jobs)
        self.postgres.settle(self.database)
        options = ("--processes", processes, "--concurrency", concurrency)
        self.version = self._drive(self.database, "work", *options)["version"]
        with self.postgres.session(self.database) as cursor:
            cursor.execute(SPAN)
            seconds, succeeded = cursor.fetchone()
        if succeeded != jobs:
            raise RuntimeError(f"procrastinate did {succeeded} of {jobs} jobs")
        return float(seconds)

    def _fresh_database(self) -> None:
        if not self._prepared:
            self.postgres.create_database(self.template)
            self._drive(self.template, "schema")
            self._prepared = True
        self.postgres.create_database(self.database, self.template)

    def _drive(self, database: str, what: str, *options: object) -> dict[str, Any]:
        words = [str(procrastinate_python()), str(DRIVERS / "procrastinate_jobs.py"), what]
        words += ["--url", self.postgres.url(database), *map(str, options)]
        answer: dict[str, Any] = json.loads(Command(words, DRIVERS).run())
        return answer
