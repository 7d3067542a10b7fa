"""A real server whose alice can log in, and the published client in an environment of its own."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection

from runs.models import Run
from tests import factories
from tests.server import Server, serve

PUBLISHED_CLIENT = "taskfarm-worker==0.4.0"


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    """A real gunicorn on the test's database, with user alice.

    It knows only Django's own hashers, not the quick one of the tests.
    """
    alice = factories.user("alice")
    alice.password = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    alice.save()
    with serve(connection.settings_dict) as running:
        yield running


@pytest.fixture
def run(alice: object) -> Run:
    """A run of alice's with ten waiting tasks."""
    return factories.run(alice, 10)


@pytest.fixture(scope="session")
def published_client() -> Path:
    """The folder of programs of an environment that holds only ``taskfarm-worker==0.4.0``.

    Made once in the tests' temporary folder; whatever goes wrong fails the test, with pip's words.
    """
    home = settings.FOLDER / f"taskfarm-worker-0.4.0-{sys.version_info[0]}.{sys.version_info[1]}"
    ready = home / "ready"
    if not ready.exists():
        venv.create(home, with_pip=True, clear=True)
        done = subprocess.run(
            [home / "bin" / "python", "-m", "pip", "install", "--quiet", PUBLISHED_CLIENT],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"pip could not install {PUBLISHED_CLIENT}: {done.stderr}"
        ready.touch()
    return home / "bin"
