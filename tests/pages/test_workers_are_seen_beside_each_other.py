"""Workers: by host within a run, one by one for their owner; a host that fails alone is marked."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs import hosts, queue, sweep
from runs.models import Attempt, Worker
from runs.samples import Sampled
from runs.states import Outcome
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


def attempts(host, done=0, bad=0, seconds=1.0):
    return [Sampled(0, Outcome.DONE, seconds, host)] * done + [
        Sampled(0, Outcome.FAILED, seconds, host)
    ] * bad


def test_a_host_that_fails_where_others_succeed_is_marked():
    found = hosts.compare(
        attempts("n1", done=90) + attempts("n2", done=60, bad=30) + attempts("n3", done=90, bad=1)
    )
    assert [(one.name, one.marked) for one in found] == [
        ("n2", True), ("n1", False), ("n3", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sample",
    [
        attempts("n1", done=5, bad=5) + attempts("n2", done=5, bad=5),
        attempts("n1", done=9) + attempts("n2", done=1, bad=2),
        attempts("n1", bad=9),
    ],
)
def test_nobody_is_marked_for_what_all_do_or_what_is_seldom(sample):
    assert not any(one.marked for one in hosts.compare(sample))


def test_a_slow_host_is_seen_by_its_mean():
    slow, quick = hosts.compare(attempts("a", 10, seconds=3.0) + attempts("b", 10, seconds=1.0))
    assert (slow.pace, quick.pace) == (1.5, 0.5)
    assert (slow.share, quick.share) == (75.0, 25.0)


def test_the_page_of_a_run_shows_hosts_and_who_computes(alice, visit):
    run = factories.run(alice, 60)
    good, bad = (factories.worker(alice, hostname=name) for name in ("good", "bad"))
    factories.advance(run, good, done=20)
    factories.advance(run, bad, done=2, failed=10, computing=1)
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/workers"))
    assert page.index(">bad<") < page.index(">good<")
    assert page.count("fails where others succeed") == 1
    assert "From 32 attempts" in page
    assert "Computing now: 1 worker" in page
    assert f"/workers/{bad.uuid.hex}" in page


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "alive"),
        ({"ago": 55}, "alive"),
        ({"ago": 65}, "unknown"),
        ({"heartbeat": 1, "ago": 38}, "alive"),
        ({"heartbeat": 1, "ago": 42}, "silent"),
        ({"heartbeat": 60, "ago": 185}, "alive"),
        ({"heartbeat": 60, "ago": 195}, "silent"),
        ({"gone": 0}, "signed off"),
        ({"heartbeat": 10, "ago": 500, "gone": 488}, "signed off"),
        ({"heartbeat": 10, "ago": 500, "gone": 459}, "lost"),
    ],
)
def test_the_condition_of_a_worker(alice, fields, found):
    now = timezone.now()
    worker = Worker(
        heartbeat=fields.get("heartbeat"),
        last_seen=now - timedelta(seconds=fields.get("ago", 0)),
        gone=now - timedelta(seconds=fields["gone"]) if "gone" in fields else None,
    )
    assert hosts.condition(worker, now) == found


def test_a_worker_that_is_silent_is_the_one_that_the_next_sweep_gives_up(alice, visit):
    now = timezone.now()
    near, over, left = (factories.worker(alice, pid=pid) for pid in (1, 2, 3))
    for worker, ago in ((near, 35), (over, 45)):
        Worker.objects.filter(pk=worker.pk).update(
            heartbeat=10, last_seen=now - timedelta(seconds=ago)
        )
    for worker in (near, over):
        worker.refresh_from_db()
    assert [hosts.condition(worker, now) for worker in (near, over)] == ["alive", "silent"]
    sweep.sweep()
    sweep.sign_off(left)
    for worker, word in ((near, "alive"), (over, "lost"), (left, "signed off")):
        worker.refresh_from_db()
        assert hosts.condition(worker, now) == word
        assert f"</svg>{word}</span>" in text_of(visit(alice).get(f"/workers/{worker.uuid.hex}"))


def test_of_a_worker_without_heartbeat_nobody_claims_to_know(alice, visit):
    worker = factories.worker(alice)
    Worker.objects.filter(pk=worker.pk).update(last_seen=timezone.now() - timedelta(minutes=3))
    client = visit(alice)
    for path in ("/workers/", f"/workers/{worker.uuid.hex}"):
        page = text_of(client.get(path))
        assert "</svg>unknown</span>" in page
        assert "alive" not in page
    assert "It promised no heartbeat" in page


def test_a_report_on_a_task_is_a_sign_of_life(alice, visit):
    worker = factories.worker(alice)
    factories.advance(factories.run(alice, 5), worker, computing=1)
    Worker.objects.filter(pk=worker.pk).update(last_seen=timezone.now() - timedelta(minutes=3))
    client = visit(alice)
    for path in ("/workers/", f"/workers/{worker.uuid.hex}"):
        assert "</svg>alive</span>" in text_of(client.get(path))


def test_workers_are_their_owners_to_see(alice, bob, staff, visit):
    worker = factories.worker(alice, hostname="n77")
    factories.advance(factories.run(alice, 5, name="tiles"), worker, computing=3)
    path = f"/workers/{worker.uuid.hex}"
    for user in (alice, staff):
        assert "n77" in text_of(visit(user).get("/workers/"))
        page = text_of(visit(user).get(path))
        assert "Tasks held: 3" in page
        assert "tiles" in page
    assert "n77" not in text_of(visit(bob).get("/workers/"))
    assert visit(bob).get(path).status_code == 404
    for uuid in ("x", "0" * 32):
        assert visit(alice).get(f"/workers/{uuid}").status_code == 404


def test_the_list_is_paged(alice, visit, monkeypatch):
    from runs.pages import workers as page_of_workers

    monkeypatch.setattr(page_of_workers, "PER_PAGE", 2)
    made = [factories.worker(alice, hostname=f"n{place}") for place in range(3)]
    first = text_of(visit(alice).get("/workers/"))
    assert "n2:1" in first
    assert "n0:1" not in first
    assert f"?before={made[1].id}" in first
    assert "n0:1" in text_of(visit(alice).get(f"/workers/?before={made[1].id}"))


@pytest.mark.parametrize("count", [1, 30])
def test_they_cost_few_queries(alice, visit, count, django_assert_num_queries):
    run = factories.run(alice, 100)
    for pid in range(count):
        worker = factories.worker(alice, pid=pid)
        factories.advance(run, worker, done=1, failed=1, computing=1)
    client = visit(alice)
    # 1 session, 2 user, 3 run, 4 tallies, 5 in flight, 6 sample, 7 who computes, 8 those workers,
    # 9 how many, 10 how busy they were
    with django_assert_num_queries(10):
        client.get(f"/runs/{run.uuid.hex}/workers")
    # 1 session, 2 user, 3 workers, 4 what they hold, 5 how busy they were
    with django_assert_num_queries(5):
        client.get("/workers/")
    with django_assert_num_queries(6):
        client.get(f"/workers/{worker.uuid.hex}")
    assert queue.claim(run=run, worker=worker)


def worked(worker, run, *spans):
    """Let attempts of a worker have lasted from one second to another."""
    begin = timezone.now() - timedelta(hours=1)
    ended = list(Attempt.objects.filter(run=run, worker=worker).order_by("number"))
    for attempt, (start, end) in zip(ended, spans, strict=True):
        attempt.started = begin + timedelta(seconds=start)
        attempt.ended = begin + timedelta(seconds=end)
        attempt.save()


def test_workers_and_hosts_tell_how_busy_they_were(alice, visit):
    run = factories.run(alice, 20)
    steady, idle, once = (factories.worker(alice, hostname=name) for name in ("n1", "n2", "n3"))
    factories.advance(run, steady, done=2, failed=1, computing=1)
    factories.advance(run, idle, done=2, computing=1)
    factories.advance(run, once, done=1, computing=1)
    worked(steady, run, (0, 10), (10, 30), (25, 40))  # the last was fetched ahead
    worked(idle, run, (0, 10), (90, 100))
    worked(once, run, (0, 10))
    client = visit(alice)
    page = text_of(client.get(f"/runs/{run.uuid.hex}/workers"))
    hosts, _, workers = page.partition('id="workers"')
    for part in (hosts, workers, text_of(client.get("/workers/"))):
        assert part.count('<td class="num">100 %</td>') == 1
        assert part.count('<td class="num">20.0 %</td>') == 1
    page = text_of(client.get(f"/workers/{steady.uuid.hex}"))
    assert "2 done, 1 ended badly" in page
    assert "<dt>Mean time per task</dt><dd>15 s" in page
    assert "<dt>Busy</dt><dd>100 %" in page
    assert "<dt>Busy</dt>" not in text_of(client.get(f"/workers/{once.uuid.hex}"))


def test_many_hosts_are_paged_those_that_fail_alone_first(alice, visit, monkeypatch):
    from runs.pages import workers as page_of_workers

    monkeypatch.setattr(page_of_workers, "HOSTS_PER_PAGE", 2)
    run = factories.run(alice, 60)
    for place in range(4):
        worker = factories.worker(alice, hostname=f"n{place}")
        factories.advance(run, worker, done=10 if place < 3 else 1, failed=5 * (place == 3))
    client, path = visit(alice), f"/runs/{run.uuid.hex}/workers"
    first, second = (text_of(client.get(path + query)) for query in ("", "?host=2"))
    assert [name in first for name in (">n3<", ">n0<", ">n1<")] == [True, True, False]
    assert 'id="hosts-after" href="?host=2"' in first
    assert [name in second for name in (">n3<", ">n1<", ">n2<")] == [False, True, True]
    assert "Hosts: 4" in second
    assert 'id="hosts-after"' not in second
    assert client.get(path + "?host=999").status_code == 200
