"""``/metrics``: what the kept counts say, at a cost that the size of a run does not change."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runs import books, lifecycle, metrics, steering, tallies
from runs.dialect import spell
from runs.models import Attempt, Run, Tally
from runs.states import Outcome
from tests import factories
from tests.server import serve
from tests.site.scraping import BEARER, TOKEN, busy_run, promising_worker, read, scrape, value


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    """Prometheus has a token."""
    settings.TASKFARM_METRICS_TOKEN = TOKEN


@pytest.mark.django_db
def test_an_empty_farm_tells_zeros(client: Client) -> None:
    found = scrape(client)
    assert {told["state"]: number for told, number in found["taskfarm_tasks"]} == dict.fromkeys(
        ("waiting", "computing", "done", "failed", "cancelled"), 0
    )
    assert {number for _, number in found["taskfarm_runs"]} == {0}
    assert value(found, "taskfarm_sweeps_total") == 0
    assert "taskfarm_last_sweep_timestamp_seconds" not in found
    assert "taskfarm_run_tasks" not in found


@pytest.mark.django_db(transaction=True)
def test_the_numbers_are_those_of_the_rows(client: Client, alice: User) -> None:
    run = busy_run(alice, name='a "run"\nof tiles')
    factories.check_books(run)
    found = scrape(client)
    who = {"run": run.uuid.hex, "name": run.name}
    counts = tallies.recount(run.id)
    for state in metrics.STATES:
        assert value(found, "taskfarm_run_tasks", **who, state=state) == getattr(counts, state)
        assert value(found, "taskfarm_tasks", state=state) == getattr(counts, state)
    ended = Counter(Attempt.objects.filter(run=run).values_list("outcome", flat=True))
    assert set(ended) == set(Outcome), "each has happened"
    for outcome in Outcome:
        told = value(found, "taskfarm_run_attempts_total", **who, outcome=outcome.label)
        assert told == ended[outcome]
    assert value(found, "taskfarm_run_stale_reports_total", **who) == 1
    assert value(found, "taskfarm_run_info", **who, owner="alice", state="active") == 1
    assert value(found, "taskfarm_runs", state="active") == 1
    assert value(found, "taskfarm_unfinished_runs") == 1
    assert value(found, "taskfarm_workers_lost_total") == 1
    assert value(found, "taskfarm_sweeps_total") == 1
    last = value(found, "taskfarm_last_sweep_timestamp_seconds")
    assert last >= run.created.timestamp()
    assert value(found, "taskfarm_run_last_movement_timestamp_seconds", **who) >= last


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [20, 100_000])
def test_a_scrape_costs_six_queries_whatever_the_size_of_a_run(
    client: Client, alice: User, size: int
) -> None:
    # 1 runs and tasks by state, 2 workers, 3 which runs are told, 4 their counts, 5 how long they
    # have waited, 6 sweeps
    for _ in range(3):
        run = factories.run(alice, size)
        factories.advance(run, factories.worker(alice), done=3, failed=2, computing=4)
    with CaptureQueriesContext(connection) as queries:
        found = scrape(client)
    assert len(queries) == 6
    assert value(found, "taskfarm_tasks", state="waiting") == 3 * (size - 9)


@pytest.mark.django_db
def test_runs_with_work_left_come_first_and_both_kinds_are_bounded(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_UNFINISHED", 3)
    monkeypatch.setattr(metrics, "MOST_FINISHED", 2)
    worker = factories.worker(alice)
    busy = factories.advance(factories.run(alice, 2, name="busy"), worker, computing=1)
    Tally.objects.filter(run=busy).update(updated=Now() - timedelta(days=9))
    for number in range(5):
        factories.run(alice, 2, name=f"waiting {number}")
        factories.advance(factories.run(alice, 1, name=f"over {number}"), worker, done=1)
    steering.cancel(run=factories.run(alice, 1, name="cancelled"), who="alice")
    gone = factories.run(alice, 5, name="gone")
    Run.objects.filter(pk=gone.pk).update(deleted=Now())
    names = [told["name"] for told, _ in scrape(client)["taskfarm_run_info"]]
    assert names == ["busy", "waiting 4", "waiting 3", "cancelled", "over 4"]
    found = scrape(client)
    assert value(found, "taskfarm_unfinished_runs") == 6
    assert value(found, "taskfarm_runs", state="finished") == 5
    assert value(found, "taskfarm_runs", state="cancelled") == 1
    assert value(found, "taskfarm_tasks", state="waiting") == 11


@pytest.mark.django_db
def test_the_next_task_in_line_tells_how_long_it_has_waited(client: Client, alice: User) -> None:
    hour, worker = timedelta(hours=1), factories.worker(alice)
    runs = {name: factories.run(alice, 3, name=name) for name in ("old", "again", "held", "window")}
    Run.objects.update(created=Now() - 5 * hour)
    factories.advance(runs["again"], worker, computing=1)
    lifecycle.requeue_one(run=runs["again"], number=0)
    runs["again"].tasks.filter(number=0).update(updated=Now() - hour)
    Run.objects.filter(name="window").update(start_after=Now() - 2 * hour)
    factories.run(alice, 3, name="later", start_after=None)
    Run.objects.filter(name="later").update(start_after=Now() + hour)
    steering.pause(run=runs["held"], who="alice")
    canary = factories.run(alice, 3, name="canary", canary_tasks=1)
    factories.advance(canary, worker, computing=1)
    waits = {
        told["name"]: round(seconds / 3600)
        for told, seconds in scrape(client)["taskfarm_run_oldest_waiting_seconds"]
    }
    assert waits == {"old": 5, "again": 1, "window": 2}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_next_task_in_line_is_found_without_walking_the_run(alice: User) -> None:
    run = factories.run(alice, 20_000)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE) " + spell(metrics.WAITS, "postgresql"), [[run.id]])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "runs_task_pkey" in plan, plan
    assert "Seq Scan on runs_task" not in plan, plan
    assert "Removed by Filter" not in plan, plan


@pytest.mark.django_db
def test_workers_that_promised_a_heartbeat_are_alive_or_silent(client: Client, alice: User) -> None:
    factories.worker(alice)  # promises nothing
    first, second, third = (promising_worker(alice) for _ in range(3))
    type(first).objects.filter(pk=second.pk).update(last_seen=Now() - timedelta(minutes=5))
    type(first).objects.filter(pk=third.pk).update(gone=Now())
    found = scrape(client)
    assert value(found, "taskfarm_workers", state="alive") == 1
    assert value(found, "taskfarm_workers", state="silent") == 1


@pytest.mark.django_db(transaction=True)
def test_a_recount_of_attempts_finds_and_mends_what_is_wrong(alice: User) -> None:
    run = factories.run(alice, 9)
    factories.advance(run, factories.worker(alice), done=2, failed=1)
    first = run.tallies.first()
    assert first is not None
    Tally.objects.filter(pk=first.pk).update(ended_lost=7)
    assert books.check(run.id, repair=True) == {"ended_lost": (7, 0)}
    assert books.check(run.id) == {}


@pytest.mark.django_db(transaction=True)
def test_a_migration_counts_the_attempts_that_are_there(alice: User) -> None:
    from django.core.management import call_command

    run = factories.run(alice, 9)
    factories.advance(run, factories.worker(alice), done=2, failed=1, computing=1)
    moved = tallies.look([run.id])[run.id].moved
    try:
        for _ in range(2):  # back and forth twice counts them once
            call_command("migrate", "runs", "0005", verbosity=0)
            call_command("migrate", "runs", verbosity=0)
    finally:
        call_command("migrate", verbosity=0)
    factories.check_books(run)
    assert tallies.read(run.id).ended_done == 2
    assert tallies.look([run.id])[run.id].moved == moved


@pytest.mark.django_db
def test_a_database_that_is_away_is_a_503(client: Client) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("could not connect to server")

    with connection.execute_wrapper(refuse):
        answer = client.get("/metrics", headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def folders() -> set[Path]:
    """The folders in which gunicorns of this machine count."""
    places = [Path("/dev/shm"), Path("/tmp")]
    return {found for place in places for found in place.glob("taskfarm-metrics-*")}


def writers(folder: Path) -> set[int]:
    """The processes that count in a folder."""
    return {int(file.stem.rpartition("_")[2]) for file in folder.glob("histogram_*.db")}


@pytest.mark.django_db(transaction=True)
def test_whichever_process_is_asked_tells_the_exchanges_of_all(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=alice.pk).update(password=hashed)
    monkeypatch.setenv("TASKFARM_METRICS_TOKEN", TOKEN)
    worker = promising_worker(alice)
    before = folders()
    with serve(connection.settings_dict) as server, ThreadPoolExecutor(12) as crew:
        login = ("alice", factories.PASSWORD)
        token = requests.get(f"{server.api}token", auth=login, timeout=60).json()["token"]
        address = f"{server.api}worker/{worker.uuid.hex}/exchange"

        def exchange(headers: dict[str, str]) -> int:
            return requests.post(address, json={}, headers=headers, timeout=60).status_code

        def ask(_: int) -> float:
            text = requests.get(f"{server.url}/metrics", headers=BEARER, timeout=60).text
            return value(read(text), "taskfarm_exchange_seconds_count")

        headers = [{"Authorization": f"Bearer {token}"}] * 40
        assert set(crew.map(exchange, headers)) == {200}
        assert exchange({}) == 401
        assert exchange({"Authorization": f"Bearer {token}x"}) == 401
        assert set(crew.map(ask, range(20))) == {40}
        own = {child.pid for child in psutil.Process(server.process.pid).children()}
        # Other farms of this machine may have been started meanwhile.
        (folder,) = [one for one in folders() - before if own & writers(one)]
        assert len(own & writers(folder)) > 1, "only one process has answered"
    assert not folder.exists()
