"""A second connection for the race tests: the same process, another thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

R = TypeVar("R")


def start(operation: Callable[[], R]) -> "Future[R]":
    """Begin the operation in a thread with a database connection of its own."""

    def run() -> R:
        try:
            return operation()
        finally:
            connection.close()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def in_thread(operation: Callable[[], R]) -> R:
    """Do the operation in a thread and wait for it."""
    return start(operation).result(timeout=30)


def wait_until_blocked(sessions: int = 1) -> None:
    """Wait until so many sessions wait for locks (PostgreSQL), by asking, not by sleeping."""
    for _ in range(20_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(DISTINCT pid) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0] >= sessions:
                return
    raise AssertionError("nobody ever waited for a lock")
