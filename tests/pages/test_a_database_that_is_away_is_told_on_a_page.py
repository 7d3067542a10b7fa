"""The database away, locked or without tables: a page that says so and what to do, never a bug."""

import sqlite3

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.test import Client

from runs import steering
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = ("/", "/runs/", "/runs/new", "/runs/RUN/", "/runs/RUN/map/cells", "/account/", "/nothing",
         "/admin/", "/api/docs/")  # fmt: skip


@pytest.fixture
def run(alice):
    return factories.run(alice, 3)


@pytest.fixture
def client(alice):
    """Alice's browser: it sees what a failure looks like from outside."""
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def refuse(error):
    """Every statement fails like this."""

    def execute(*_):
        raise error

    return connection.execute_wrapper(execute)


def caused(error, name):
    """An error of SQLite as Django raises it."""
    error.__cause__ = sqlite3.OperationalError(str(error))
    error.__cause__.sqlite_errorname = name
    return error


@pytest.mark.parametrize("error", [OperationalError("Connection refused"), InterfaceError("closed"),
                                   caused(OperationalError("locked"), "SQLITE_BUSY")])  # fmt: skip
def test_every_page_says_so_and_when_to_come_back(client, run, error):
    for path in PAGES:
        with refuse(error):
            response = client.get(path.replace("RUN", run.uuid.hex))
        page = response.content.decode()
        assert response.status_code == 503, path
        assert "database cannot be reached now" in page
        assert "Try again" in page
        assert "bug" not in page
        assert 'class="brand"' in page, "it looks like the farm"
        assert int(response.headers["Retry-After"]) > 0
        assert response.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors" in response.headers["Content-Security-Policy"]
    assert client.get(f"/runs/{run.uuid.hex}/").status_code == 200


def test_who_asked_for_a_change_is_told_that_it_may_not_have_been_made(client, run):
    with refuse(OperationalError("Connection refused")):
        response = client.post(f"/runs/{run.uuid.hex}/pause")
    assert response.status_code == 503
    assert "may not have been done" in response.content.decode()
    run.refresh_from_db()
    assert run.state == "active"


def test_a_login_that_cannot_be_checked_is_not_wrong(alice):
    form = {"username": "alice", "password": factories.PASSWORD}
    client = Client(raise_request_exception=False)
    with refuse(OperationalError("Connection refused")):
        assert client.post("/account/login/", form).status_code == 503
    assert client.post("/account/login/", form).status_code == 302


def test_a_database_without_tables_is_told_what_to_type(client, run):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_run RENAME TO gone")
    try:
        response = client.get(f"/runs/{run.uuid.hex}/")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO runs_run")
    assert response.status_code == 503
    assert "manage.py migrate" in response.content.decode()


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("x"), IntegrityError("y"), caused(OperationalError("z"), "SQLITE_ERROR")],
)
def test_a_bug_is_still_called_one(client, run, monkeypatch, error):
    def fail(**_):
        raise error

    monkeypatch.setattr(steering, "pause", fail)
    response = client.post(f"/runs/{run.uuid.hex}/pause")
    assert response.status_code == 500
    assert "This is a bug" in response.content.decode()


def test_a_lock_that_somebody_holds_too_long_is_no_bug(client, run):
    postgresql = connection.vendor == "postgresql"
    impatient, patient = (
        ("SET lock_timeout = '50ms'", "SET lock_timeout = 0") if postgresql
        else ("PRAGMA busy_timeout = 50", "PRAGMA busy_timeout = 30000")
    )  # fmt: skip
    other = connection.copy()
    with connection.cursor() as cursor, other.cursor() as holder:
        try:
            holder.execute("BEGIN" if postgresql else "BEGIN IMMEDIATE")
            holder.execute("UPDATE runs_run SET name = 'held'")
            cursor.execute(impatient)
            response = client.post(f"/runs/{run.uuid.hex}/pause")
        finally:
            holder.execute("ROLLBACK")
            cursor.execute(patient)
            other.close()
    assert response.status_code == 503
    assert client.post(f"/runs/{run.uuid.hex}/pause").status_code == 302
