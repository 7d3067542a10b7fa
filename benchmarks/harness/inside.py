"""The server's own operations, called in this process: what HTTP would only blur.

Django is set up once for the one database name of our side; the harness may replace the database
behind the name. Everything goes through the operations that the API calls.
"""

from __future__ import annotations

import importlib
import os
import sys
import uuid
from collections.abc import Iterable
from typing import Any

from .clients import USER
from .ours import Ours
from .paths import PROJECT


class Inside:
    """A worker of its own in the database of our side, and the operations on runs."""

    def __init__(self, ours: Ours) -> None:
        _set_up_django(ours)
        self._models = importlib.import_module("runs.models")
        self._queue = importlib.import_module("runs.queue")
        self._lifecycle = importlib.import_module("runs.lifecycle")
        self._appending = importlib.import_module("runs.appending")
        self._states = importlib.import_module("runs.states")
        self._attempts = importlib.import_module("runs.attempts")
        self._auth = importlib.import_module("django.contrib.auth")
        self.disconnect()

    def disconnect(self) -> None:
        """Before and after the harness replaces the database."""
        importlib.import_module("django.db").connections.close_all()

    def owner(self) -> Any:
        return self._auth.get_user_model().objects.get(username=USER)

    def worker(self) -> Any:
        return self._models.Worker.objects.create(
            uuid=uuid.uuid4(), owner=self.owner(), hostname="bench", pid=os.getpid()
        )

    def create_run(self, tasks: int) -> Any:
        return self._lifecycle.create_run(owner=self.owner(), num_tasks=tasks)

    def append(self, run: Any, values: Iterable[Any]) -> None:
        """Add one task for each input."""
        self._appending.append(run=run, values=values)

    def empty(self, run: Any, batch: int) -> None:
        """Do all tasks of a run, in exchanges of so many reports and as many claims."""
        worker = self.worker()
        held: list[Any] = []
        done = self._attempts.Ending(self._states.Outcome.DONE)
        while True:
            told = [self._queue.Report(one.number, one.attempt, ending=done) for one in held]
            run.refresh_from_db()
            held = self._queue.exchange(run=run, worker=worker, reports=told, want=batch).claims
            if not held:
                return

    def claim(self, run_id: int, worker: Any, want: int = 1) -> list[Any]:
        """A claim as a request makes it: the run is read afresh."""
        run = self._models.Run.objects.get(pk=run_id)
        claims: list[Any] = self._queue.claim(run=run, worker=worker, want=want)
        return claims


def _set_up_django(ours: Ours) -> None:
    os.environ.update(ours.environment(ours.database))
    os.environ["DJANGO_SETTINGS_MODULE"] = "taskfarm_site.settings"
    if str(PROJECT) not in sys.path:
        sys.path.insert(0, str(PROJECT))
    importlib.import_module("django").setup()
