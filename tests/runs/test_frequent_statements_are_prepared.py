"""Frequent statements are prepared on PostgreSQL, and nothing breaks where that cannot be."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F

from runs import attempts, moves, prepared, queue, reports, tallies, throughput, workers
from runs.dialect import fetch, spell
from runs.models import Run, Worker
from runs.prepared import Prepared
from runs.states import Outcome
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = "SELECT name FROM pg_prepared_statements WHERE name LIKE 'taskfarm%%'"
ASK = Prepared("SELECT number, %s::int FROM runs_task WHERE id = %s AND 'a%%' LIKE 'a%%'")


@pytest.fixture(autouse=True)
def trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with trust in prepared statements."""
    monkeypatch.setattr(prepared, "_trusted", True)


@pytest.fixture
def run(alice: User) -> Run:
    return factories.run(alice, 20)


@pytest.fixture
def worker(alice: User) -> Worker:
    return factories.worker(alice)


@pytest.fixture
def forgetful() -> Iterator[None]:
    """A connection that was given to somebody else meanwhile, as poolers do."""
    forget()
    yield
    forget()
    connection.close()


def forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


def names() -> set[str]:
    return {row[0] for row in fetch(NAMES, [])}


def work(run: Run, worker: Worker) -> int:
    """What a worker does for one task; answers its number."""
    user = run.owner
    user.group_ids = []  # type: ignore[attr-defined]
    found = reports.find_workable(user, run.uuid)
    (claim,) = queue.claim(run=found, worker=worker)
    assert queue.note_progress(user=user, run_uuid=run.uuid, number=claim.number, percent=50)
    queue.report_outcome(run=found, number=claim.number, outcome=Outcome.DONE)
    return claim.number


@pytest.mark.postgresql
def test_a_statement_is_prepared_once_for_each_connection(run: Run, worker: Worker) -> None:
    connection.close()
    work(run, worker)
    first = names()
    assert len(first) >= 7
    work(run, worker)
    assert names() == first
    connection.close()
    assert names() == set()
    work(run, worker)
    assert names() == first


@pytest.mark.postgresql
@pytest.mark.usefixtures("forgetful")
def test_what_a_pooler_took_away_is_done_without(run: Run, worker: Worker) -> None:
    assert work(run, worker) == 0
    forget()
    assert [work(run, worker) for _ in range(3)] == [1, 2, 3]
    assert names() == set()  # and from here on nothing is prepared


@pytest.mark.postgresql
@pytest.mark.usefixtures("forgetful")
def test_somebody_elses_statement_of_that_name_is_no_obstacle(run: Run) -> None:
    task = run.tasks.get(number=3)
    assert fetch(ASK, [7, task.id]) == [(3, 7)]
    prepared._known.clear()  # as if this were another session of the pooler's
    assert fetch(ASK, [7, task.id]) == [(3, 7)]
    assert not prepared._trusted


@pytest.mark.postgresql
@pytest.mark.usefixtures("forgetful")
def test_a_transaction_that_cannot_begin_again_does_without(run: Run) -> None:
    task = run.tasks.get(number=3)
    fetch(ASK, [7, task.id])
    forget()
    with transaction.atomic():
        assert fetch(ASK, [7, task.id]) == [(3, 7)]
    assert prepared._trusted
    assert names() == set()


STATEMENTS = {
    f"{module.__name__}.{name}": statement
    for module in (attempts, moves, queue, reports, tallies, throughput, workers)
    for name, statement in vars(module).items()
    if isinstance(statement, Prepared)
}
UNIQUE = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indisunique
"""


@pytest.mark.postgresql
@pytest.mark.parametrize("size", [1, 60])
def test_plans_made_while_tables_are_tiny_are_good_for_large_ones(alice: User, size: int) -> None:
    run, worker = factories.run(alice, size), factories.worker(alice)
    queue.claim(run=run, worker=worker, want=4)
    unique = {row[0] for row in fetch(UNIQUE, [])}
    assert len(STATEMENTS) >= 9
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        try:
            for name, statement in STATEMENTS.items():
                plan = planned(cursor, statement)
                assert "Seq Scan" not in plan, name
                assert set(re.findall(r"using (\w+)|Index Scan on (\w+)", plan)) <= {
                    pair for one in unique for pair in ((one, ""), ("", one))
                }, (name, plan)
        finally:
            cursor.execute("RESET plan_cache_mode")


def planned(cursor: Any, statement: Prepared) -> str:
    """The plan of a statement as it is executed, whatever its values."""
    *setting, execute = prepared.ready(spell(statement, "postgresql")).split("; ")
    nothing = execute.replace("%s", "NULL")
    with transaction.atomic():
        for one in setting:
            cursor.execute(one)
        cursor.execute(f"EXPLAIN {nothing}")
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.postgresql
def test_a_column_of_another_type_ends_their_use_and_nothing_else(run: Run, worker: Worker) -> None:
    work(run, worker)
    alter = "ALTER TABLE runs_run ALTER COLUMN claim_floor TYPE {}"
    with connection.cursor() as cursor:
        cursor.execute(alter.format("bigint"))
    try:
        assert work(run, worker) == 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute(alter.format("integer"))
        connection.close()


def test_progress_and_signs_of_life_do_not_wait_for_the_disk_but_all_else_does(
    run: Run, worker: Worker
) -> None:
    user: Any = run.owner
    user.group_ids = []
    (claim,) = queue.claim(run=run, worker=worker)
    assert queue.note_progress(user=user, run_uuid=run.uuid, number=claim.number, percent=50)
    queue.report_progress(run=run, number=claim.number, percent=60)
    assert run.tasks.get(number=claim.number).percent == 60
    if connection.vendor != "postgresql":
        return  # its commits wait for no disk (WAL, synchronous=NORMAL)
    with transaction.atomic():
        queue.report_progress(run=run, number=claim.number, percent=70)
        assert waits_for_disk() == "off"
    assert waits_for_disk() == "on"
    with transaction.atomic():
        assert queue.note_progress(user=user, run_uuid=run.uuid, number=claim.number, percent=80)
        assert waits_for_disk() == "off"
    Worker.objects.update(last_seen=F("last_seen") - timedelta(seconds=20))
    heard = Worker.objects.get(pk=worker.pk).last_seen
    with transaction.atomic():
        workers.find(owner=user, uuid=worker.uuid.hex)
        assert waits_for_disk() == "off"
    assert Worker.objects.get(pk=worker.pk).last_seen > heard
    with transaction.atomic():
        queue.report_outcome(run=run, number=claim.number, outcome=Outcome.DONE)
        assert waits_for_disk() == "on"


def waits_for_disk() -> object:
    """PostgreSQL's ``synchronous_commit``, as it is in this transaction."""
    return fetch("SHOW synchronous_commit", [])[0][0]
