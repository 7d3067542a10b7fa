"""The migrations: complete, reversible, and PostgreSQL's storage as designed."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from runs import queue
from runs.conditions import EARLIEST, LATEST
from runs.models import Run, Task, task_id
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_they_can_be_taken_back_and_applied_again() -> None:
    try:
        call_command("migrate", "runs", "zero", verbosity=0)
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        assert not [table for table in tables if table.startswith("runs_")]
    finally:
        call_command("migrate", verbosity=0)


def test_tasks_keep_their_run_and_number_when_their_ids_change(alice: User) -> None:
    old = [("runs", "0005_event_by_kind")]
    try:
        executor = MigrationExecutor(connection)
        executor.migrate(old)
        apps = executor.loader.project_state(old).apps
        owner = apps.get_model("auth", "User").objects.get(username="alice")
        runs = [
            apps.get_model("runs", "Run").objects.create(owner=owner, num_tasks=2) for _ in range(2)
        ]
        for number in (0, 1):
            for run in runs:
                apps.get_model("runs", "Task").objects.create(run=run, number=number)
    finally:
        call_command("migrate", verbosity=0)
    for run in runs:
        kept = Task.objects.filter(run_id=run.id).order_by("id").values_list("id", "number")
        assert list(kept) == [(task_id(run.id, number), number) for number in (0, 1)]
    assert len(queue.claim(run=Run.objects.get(pk=runs[0].id), worker=factories.worker(alice))) == 1


def test_windows_that_could_not_be_read_back_are_brought_near(alice: User) -> None:
    old = [("runs", "0009_columns")]
    early, late = "0001-01-01 00:00:00", "9999-12-31 23:59:59"
    if connection.vendor == "postgresql":
        early, late = "0044-03-15 12:00:00+00 BC", "10000-01-01 11:59:59+00"
    try:
        executor = MigrationExecutor(connection)
        executor.migrate(old)
        make = executor.loader.project_state(old).apps.get_model("runs", "Run").objects.create
        owner_id = User.objects.get(username="alice").id
        ids = [make(owner_id=owner_id, num_tasks=0).id for _ in range(3)]
        with connection.cursor() as cursor:
            window = "UPDATE runs_run SET start_after = %s, expire_at = %s WHERE id = %s"
            cursor.execute(window, [early, late, ids[0]])
            cursor.execute(window, [late, early, ids[1]])
    finally:
        call_command("migrate", verbosity=0)
    far = LATEST - timedelta(seconds=1)
    kept = Run.objects.order_by("id").values_list("start_after", "expire_at")
    assert list(kept) == [(EARLIEST, far), (far, EARLIEST), (None, None)]


@pytest.mark.postgresql
def test_hot_tables_leave_room_for_updates_and_are_vacuumed_early() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND relname LIKE 'runs_%'"
        )
        options = dict(cursor.fetchall())
    assert "fillfactor=85" in options["runs_task"]
    assert all(any("autovacuum" in one for one in kept) for kept in options.values())


@pytest.mark.postgresql
def test_a_progress_update_touches_no_index(alice: User) -> None:
    """HOT: the row is updated in place, so that ten updates a task cost the indexes nothing."""
    run, worker = factories.run(alice, 5), factories.worker(alice)
    queue.claim(run=run, worker=worker)
    with connection.cursor() as cursor:
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = %s"
        with transaction.atomic():
            cursor.execute(query, ["runs_task"])
            before = cursor.fetchone()
            for percent in range(10):
                queue.report_progress(run=run, number=0, percent=percent)
            cursor.execute(query, ["runs_task"])
            after = cursor.fetchone()
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)
