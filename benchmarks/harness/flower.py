"""Flower from PyPI, unmodified, in an environment of its own, with tasks in its own store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .environments import flower_python
from .paths import DRIVERS
from .web import Command, free_port, serving

FIRST_ROW = "#tasks-table tbody tr td a"


class Flower:
    """The monitor of Celery: its tasks are in memory, and in a file from one start to the next.

    The file is made by its own class, fed with the events that Celery's workers send. The broker is
    Celery's own in memory: there is nobody else to talk to, and no page waits for it.
    """

    version = ""

    @contextmanager
    def serve(self, tasks: int) -> Iterator[str]:
        """Serve a Flower with so many tasks; answers its address."""
        python = flower_python()
        with tempfile.TemporaryDirectory(prefix="taskfarm-flower-") as folder:
            store = Path(folder) / "flower"
            driver = str(DRIVERS / "flower_tasks.py")
            words = [str(python), driver, "--store", str(store), "--tasks", str(tasks)]
            self.version = json.loads(Command(words, Path(folder)).run())["version"]
            port = free_port()
            words = [str(python), "-m", "celery", "--broker=memory://", "flower"]
            words += ["--address=127.0.0.1", f"--port={port}", "--persistent=True"]
            words += [f"--db={store}", "--logging=error"]
            with serving(Command(words, Path(folder)), port):
                yield f"http://127.0.0.1:{port}"
