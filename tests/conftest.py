"""Fixtures that all tests share: people, runs, workers, callers of the API, real servers."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from rest_framework.test import APIClient

from accounts import verdicts
from tests import factories
from tests.server import Server, serve

PASSWORD = factories.PASSWORD

# A shell's background ignores Ctrl-C, and so would the programs that are started and interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Programs that are started buffer what they print, as those of most users do.
os.environ.pop("PYTHONUNBUFFERED", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on SQLite what only PostgreSQL has, and on PostgreSQL what no database matters for."""
    from django.conf import settings

    for item in items:
        if not settings.POSTGRESQL and item.get_closest_marker("postgresql"):
            item.add_marker(pytest.mark.skip(reason="relies on what only PostgreSQL has"))
        if settings.POSTGRESQL and item.get_closest_marker("once"):
            item.add_marker(pytest.mark.skip(reason="does not depend on the database"))


@pytest.fixture(autouse=True)
def _fresh_verdicts() -> Iterator[None]:
    """No test sees whom another one has authenticated."""
    verdicts.forget_all()
    yield
    verdicts.forget_all()


@pytest.fixture
def alice(db: None) -> User:
    """The owner of the runs."""
    return factories.user("alice")


@pytest.fixture
def bob(db: None) -> User:
    """Somebody else."""
    return factories.user("bob")


@pytest.fixture
def carol(alice: User) -> User:
    """A member of alice's group ``glaciers``."""
    group = Group.objects.create(name="glaciers")
    carol = factories.user("carol")
    for member in (alice, carol):
        member.groups.add(group)
    return carol


@pytest.fixture
def staff(db: None) -> User:
    """One who may see everything."""
    return factories.user("staff", is_staff=True)


@pytest.fixture
def caller() -> Callable[[User], APIClient]:
    """Makes a client of the API that sends a user's password."""
    return factories.caller


@pytest.fixture
def api(alice: User) -> APIClient:
    """The API as alice sees it."""
    return factories.caller(alice)


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    """A real gunicorn on the test's database, with user alice."""
    factories.user("alice")
    with serve(connection.settings_dict) as running:
        yield running


@pytest.fixture
def count_rows() -> Callable[[], dict[str, int]]:
    """Counts the rows of every table of the farm, to show that nothing was changed."""
    return factories.count_rows


def pytest_report_header(config: Any) -> str:
    """Say which database this is."""
    from django.conf import settings

    return f"database: {'PostgreSQL' if settings.POSTGRESQL else 'SQLite'}"
