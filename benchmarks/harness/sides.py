"""The two servers under test behind one face: prepare a database, serve it, fill it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from . import clients
from .postgres import Postgres
from .web import ALIKE, Command, Shape, WebServer, free_port, serving


class Side(ABC):
    """One server. Its database is a copy of a template that is prepared once."""

    name: str
    title: str

    def __init__(self, postgres: Postgres, name: str | None = None) -> None:
        self.postgres = postgres
        self.name = name or self.name
        self.template = f"{self.name}_template"
        self.database = f"{self.name}_bench"
        self._prepared = False

    @abstractmethod
    def initialise(self) -> None:
        """Create tables and the user in the template database."""

    @abstractmethod
    def command(self, port: int, shape: Shape) -> Command:
        """The command that serves the database."""

    @abstractmethod
    def add_finished_run(self, tasks: int) -> None:
        """Add a run whose tasks are all done to the database."""

    def prepare(self) -> None:
        """Make the template, once."""
        if not self._prepared:
            self.postgres.create_database(self.template)
            self.initialise()
            self.postgres.settle(self.template)
            self._prepared = True

    def fresh_database(self) -> None:
        self.prepare()
        self.postgres.create_database(self.database, self.template)

    def save_database(self, name: str) -> str:
        """Keep the database as it is now, to start measurements from."""
        self.postgres.settle(self.database)
        saved = f"{self.name}_{name}"
        self.postgres.create_database(saved, self.database)
        return saved

    def restore_database(self, saved: str) -> None:
        self.postgres.create_database(self.database, saved)

    @contextmanager
    def serve(self, shape: Shape = ALIKE) -> Iterator[WebServer]:
        """Serve the database, every process warm."""
        port = free_port()
        with serving(self.command(port, shape), port) as server:
            clients.stress(server.api, clients=4, tasks=16)
            yield server
