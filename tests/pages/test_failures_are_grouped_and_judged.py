"""Failures by error: counts, hosts, an example, a verdict, and one button that restarts them."""

import pytest

from runs import blame, queue, samples, tallies
from runs.blame import judge
from runs.models import Task
from runs.samples import Sampled
from runs.states import Outcome, TaskState
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


def fail(run, worker, error, count=1):
    for claim in queue.claim(run=run, worker=worker, want=count):
        queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error=error)
    run.refresh_from_db()


@pytest.fixture
def crew(alice):
    return [factories.worker(alice, hostname=f"n{place}", pid=place) for place in range(4)]


@pytest.fixture
def run(alice, crew):
    run = factories.run(alice, 100, name="tiles")
    for worker in crew:
        factories.advance(run, worker, done=6)
    fail(run, crew[0], "OSError: disk full on /scratch/a", 5)
    for worker in crew[1:]:
        fail(run, worker, "ValueError: only 2 points")
    fail(run, crew[1], None)
    return run


def groups(run, **more):
    return blame.groups(run, samples.draw(run, tallies.read(run.id)), **more)


def test_groups_come_with_counts_hosts_an_example_and_a_verdict(run):
    disk, points, silent = groups(run)
    assert (disk.count, disk.hosts, disk.verdict.code) == (5, {"n0": 5}, "host")
    assert disk.verdict.host == "n0"
    assert disk.example is not None
    assert disk.example.error == "OSError: disk full on /scratch/a"
    assert (points.count, set(points.hosts), points.verdict.code) == (
        3,
        {"n1", "n2", "n3"},
        "input",
    )
    assert (silent.count, silent.essence) == (1, "no message")
    assert silent.verdict.code == "unsure"


def well(**hosts):
    return [
        Sampled(1, Outcome.DONE, 1.0, host) for host, many in hosts.items() for _ in range(many)
    ]


@pytest.mark.parametrize(
    ("count", "tried", "sample", "code"),
    [
        (9, [(n, "a") for n in range(9)], well(a=10, b=10), "host"),
        (2, [(1, "a"), (2, "a")], well(a=10, b=10), "unsure"),
        (9, [(n, "a") for n in range(9)], well(a=99), "unsure"),
        (3, [(1, "a"), (1, "b"), (2, "a")], well(a=9, b=9), "input"),
        (50, [(n, "ab"[n % 2]) for n in range(50)], well(a=9, b=9), "input"),
        (50, [(n, "ab"[n % 2]) for n in range(50)],
         well(a=1) + [Sampled(1, Outcome.FAILED, 1.0, "b")] * 20, "everywhere"),
        (3, [], well(a=9, b=9), "unsure"),
    ],
)  # fmt: skip
def test_verdicts(count, tried, sample, code):
    assert judge(count, tried, sample).code == code


def test_pages_of_groups_go_on_where_they_ended(run):
    first = groups(run, limit=2)
    rest = groups(run, after=(first[-1].count, first[-1].fingerprint), limit=2)
    assert [one.count for one in (*first, *rest)] == [5, 3, 1]


def test_the_page_restarts_one_group_and_leaves_the_others(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    page = text_of(client.get(lead + "failures"))
    assert "Blame the host." in page
    assert "Restart these 5" in page
    assert "Restart all 9" in page
    error = groups(run)[0].fingerprint
    path = f"{lead}restart?state=failed&error={error}&back=run-failures"
    assert path.replace("&", "&amp;") in page
    response = answer(client, path)
    assert response.url == lead + "failures"
    page = text_of(client.get(response.url))
    assert "Restarted 5 tasks." in page
    assert "Restart all 4" in page
    assert Task.objects.filter(run=run, state=TaskState.FAILED).count() == 4
    factories.check_books(run)


def test_an_error_cannot_write_into_the_page(alice, run, crew, visit):
    fail(run, crew[2], "<script>alert(1)</script>")
    page = visit(alice).get(f"/runs/{run.uuid.hex}/failures").content
    assert b"<script>alert" not in page


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=1", "after=1.x", "after=%00", "after=-1.-1", "after=².1", "after=1.²",
     "after=1.99999999999999999999999999", "after=1.9223372036854775808",
     "after=9223372036854775808.1"],
)  # fmt: skip
def test_a_cursor_that_makes_no_sense_shows_the_first_page(alice, run, visit, query):
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/failures?{query}"))
    assert "Restart these 5" in page


def test_a_run_without_failures_says_so(alice, visit):
    run = factories.run(alice, 3)
    assert "Nothing has failed" in text_of(visit(alice).get(f"/runs/{run.uuid.hex}/failures"))


@pytest.mark.parametrize("errors", [1, 30])
def test_the_number_of_groups_costs_no_query(alice, crew, visit, errors, django_assert_num_queries):
    run = factories.run(alice, 100)
    factories.advance(run, crew[0], computing=1)
    for place in range(errors):
        fail(run, crew[place % 4], f"E{'x' * place}: no")
    client = visit(alice)
    # 1 session, 2 user, 3 run, 4 tallies, 5 in flight, 6 sample, 7 groups, 8 attempts, 9 examples
    with django_assert_num_queries(9):
        client.get(f"/runs/{run.uuid.hex}/failures")
