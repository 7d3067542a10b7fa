"""Pages asked for in this process, through all middleware: seconds, queries, bytes."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .inside import Inside
from .ours import Ours

LIVE = {"X-Requested-With": "live"}
"""What the script that renews a page's live regions sends."""
ZIPPED = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True)
class Visit:
    """What one request cost."""

    seconds: float
    queries: int
    bytes: int


class Visitor:
    """A user with a session. Nothing is remembered from one of his visits to the next.

    The little that the pages keep for some seconds (the work spent, the counts for a worker's
    share) is forgotten before each, so that every visit is the first one of its process.
    """

    def __init__(self, ours: Ours, name: str) -> None:
        Inside(ours)
        self._caches = [importlib.import_module(f"runs.{one}") for one in ("pace", "rates")]
        self._connection = importlib.import_module("django.db").connection
        users = importlib.import_module("django.contrib.auth").get_user_model().objects
        self._client = importlib.import_module("django.test").Client(SERVER_NAME="127.0.0.1")
        self._client.force_login(
            users.get(username=name), "django.contrib.auth.backends.ModelBackend"
        )

    def visit(self, path: str, headers: dict[str, str] | None = None) -> Visit:
        """Ask for a page, to its last byte.

        Raises:
            RuntimeError: it is not answered with 200.
        """
        for one in self._caches:
            one.forget()
        with self._counted() as queries:
            start = time.perf_counter()
            response = self._client.get(path, headers=headers or {})
            content = b"".join(response) if response.streaming else response.content
            seconds = time.perf_counter() - start
        if response.status_code != 200:
            raise RuntimeError(f"{path} is answered with {response.status_code}")
        return Visit(seconds, len(queries), len(content))

    @contextmanager
    def _counted(self) -> Iterator[list[str]]:
        """Note the statements that are sent, which costs next to nothing."""
        found: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            found.append(sql)
            return execute(sql, *rest)

        with self._connection.execute_wrapper(note):
            yield found
