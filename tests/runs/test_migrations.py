"""The migrations: complete, reversible, and PostgreSQL's storage as designed."""

import pytest
from django.core.management import call_command
from django.db import connection

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
def test_a_progress_update_touches_no_index(alice: object) -> None:
    """HOT: the row is updated in place, so that ten updates a task cost the indexes nothing."""
    from runs import queue
    from tests import factories

    run, worker = factories.run(alice, 5), factories.worker(alice)  # type: ignore[arg-type]
    queue.claim(run=run, worker=worker)
    with connection.cursor() as cursor:
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = %s"
        from django.db import transaction

        with transaction.atomic():
            cursor.execute(query, ["runs_task"])
            before = cursor.fetchone()
            for percent in range(10):
                queue.report_progress(run=run, number=0, percent=percent)
            cursor.execute(query, ["runs_task"])
            after = cursor.fetchone()
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)
