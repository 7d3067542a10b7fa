"""What needs attention comes first; actions on several runs ask first and touch only those."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs import attention, estimates, queue, reports, steering, sweep, uploads, workers
from runs.models import Run, RunEvent, Tally, Worker
from runs.pages import many
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


@pytest.fixture
def runs(alice):
    worker = factories.worker(alice)
    kept = {}
    for name, moves in {
        "failing": {"done": 2, "failed": 2, "computing": 1},
        "lonely": {},
        "fine": {"done": 2, "computing": 1},
        "over": {"done": 6},
    }.items():
        kept[name] = factories.run(alice, 6, name=name)
        factories.advance(kept[name], worker, **moves)
    return kept


def choose(*runs):
    return "&".join(f"run={run.uuid.hex}" for run in runs)


def need(run, **later):
    now = timezone.now() + timedelta(**later)
    stop = attention.stopped([run]).get(run.id)
    crew = workers.crews([run.id]).get(run.id)
    found = attention.need_of(run, reports.progress(run), now, stop=stop, crew=crew)
    return found and (found.rank, found.code)


def test_what_needs_attention_is_told_by_its_counts(runs):
    assert need(runs["failing"]) == (0, "failed")
    assert need(runs["lonely"]) == (1, "worker")
    assert need(runs["fine"]) is None
    assert need(runs["fine"], hours=1) == (2, "still")
    assert need(runs["over"]) is None


def test_workers_that_fell_silent_are_no_live_workers(alice, visit):
    run = factories.run(alice, 9, name="left alone")
    quiet, live = factories.worker(alice, heartbeat=10), factories.worker(alice, pid=2)
    factories.advance(run, quiet, done=1, computing=2)
    assert estimates.workers(run, reports.progress(run).counts) == 1
    Worker.objects.filter(pk=quiet.pk).update(last_seen=timezone.now() - timedelta(minutes=2))
    assert estimates.workers(run, reports.progress(run).counts) == 0
    assert need(run) == (1, "silent")
    client = visit(alice)
    page = text_of(client.get("/runs/"))
    assert "2 compute, and all their workers are silent" in page
    assert "its workers are silent" in page
    assert "<dd>0 <span>those that compute are silent" in text_of(
        client.get(f"/runs/{run.uuid.hex}/")
    )
    assert sweep.give_up(quiet.pk) == 2
    assert "2 attempts lost with their workers" in text_of(client.get("/runs/"))
    assert "<dt>Attempts lost</dt><dd>2 " in text_of(client.get(f"/runs/{run.uuid.hex}/"))
    factories.advance(run, live, computing=1)
    assert estimates.workers(run, reports.progress(run).counts) == 1
    assert need(run) is None


def test_workers_whose_tasks_have_just_ended_are_not_called_silent(alice, visit, monkeypatch):
    run = factories.run(alice, 9, name="quick")
    factories.advance(run, factories.worker(alice, heartbeat=10), done=1, computing=1)
    # What the counts have told of as computing has ended before its worker is looked for.
    monkeypatch.setattr(estimates, "crews", lambda runs: {})
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/"))
    assert "silent" not in page
    assert "Live workers" not in page


def test_of_very_many_tasks_in_flight_silence_is_not_certain(alice, monkeypatch):
    run = factories.run(alice, 9)
    quiet = factories.worker(alice, heartbeat=10)
    factories.advance(run, quiet, computing=3)
    Worker.objects.filter(pk=quiet.pk).update(last_seen=timezone.now() - timedelta(minutes=2))
    assert workers.crews([run.id]) == {run.id: 0}
    monkeypatch.setattr(workers, "MOST_IN_CREWS", 3)
    assert workers.crews([run.id]) == {}


def test_tasks_that_were_marked_by_hand_have_somebody_who_works_on_them(alice):
    run = factories.run(alice, 3)
    queue.begin_by_hand(run=run, number=0)
    assert estimates.workers(run, reports.progress(run).counts) == 1


def test_a_run_that_nobody_wants_or_that_starts_later_needs_none(runs):
    run = runs["lonely"]
    run.start_after = timezone.now() + timedelta(hours=1)
    assert need(run) is None
    run.start_after, run.state = None, "cancelled"
    assert need(run) is None


def test_a_finished_run_with_failures_is_forgotten_after_a_week(alice):
    run = factories.run(alice, 1)
    factories.advance(run, factories.worker(alice), failed=1)
    assert need(run) == (3, "failed")
    assert need(run, days=8) is None


def failing(alice, **policy):
    """A run of ten tasks, two of which have failed."""
    run = factories.run(alice, 10, **policy)
    factories.advance(run, factories.worker(alice, hostname=run.name), failed=2)
    steering.enforce_policy(run, failed=True)
    run.refresh_from_db()
    return run


def test_what_a_policy_has_stopped_needs_attention(alice, visit):
    paused = failing(alice, name="paused", fail_count=2)
    cancelled = failing(alice, name="cancelled", fail_count=2, fail_now=True)
    canaries = failing(alice, name="canaries", canary_tasks=2)
    assert [run.state for run in (paused, cancelled, canaries)] == ["paused", "cancelled", "paused"]
    assert [need(run) for run in (paused, cancelled)] == [(0, "failed"), (1, "failed")]
    assert (need(cancelled, days=8), need(paused, days=8)) == (None, (0, "failed"))
    page = text_of(visit(alice).get("/runs/"))
    assert "its policy has paused it: 2 tasks failed" in page
    assert "its policy has cancelled it: 2 tasks failed" in page
    assert "its policy has paused it: only 0 of 2 canaries succeeded" in page


def test_what_ran_out_of_time_needs_attention_and_leads_to_its_history(alice, visit):
    run = factories.run(alice, 3, expire_at=timezone.now() + timedelta(hours=1))
    Run.objects.update(expire_at=timezone.now() - timedelta(hours=1))
    assert sweep.sweep().expired == 1
    run.refresh_from_db()
    assert need(run) == (1, "stopped")
    page = text_of(visit(alice).get("/runs/"))
    assert "its policy has cancelled it: its time was up at" in page
    assert f'class="next" href="/runs/{run.uuid.hex}/history"' in page


def test_what_a_person_has_stopped_needs_none_whatever_its_policy_did_before(alice):
    run = failing(alice, fail_count=2)
    steering.resume(run=run, who="alice")
    factories.advance(run, factories.worker(alice), done=1)
    steering.cancel(run=run, who="alice")
    assert need(run) is None


def test_the_list_begins_with_what_needs_attention(alice, runs, visit):
    client = visit(alice)
    page = text_of(client.get("/runs/"))
    assert page.index("2 failed so far") < page.index("6 wait, and no worker computes")
    assert f'id="need-{runs["fine"].uuid.hex}"' not in page
    assert "Needs attention" not in text_of(client.get("/runs/?state=active"))
    Tally.objects.update(updated=timezone.now() - timedelta(hours=1))
    assert "nothing has ended for long" in text_of(client.get("/runs/"))


def test_chosen_runs_are_paused_and_no_others(alice, runs, visit, answer):
    client = visit(alice)
    path = f"/runs/actions/pause?{choose(runs['failing'], runs['lonely'], runs['over'])}"
    page = text_of(client.get(path))
    assert "Pause: 2 runs?" in page
    assert "Pause and hold back 7 tasks" in page
    response = answer(client, path, why="maintenance")
    assert "Pause: 2 runs, 7 tasks." in text_of(client.get(response.url))
    assert set(Run.objects.filter(state="paused").values_list("name", flat=True)) == {
        "failing", "lonely",
    }  # fmt: skip
    assert set(RunEvent.objects.values_list("what", "why")) == {("pause", "maintenance")}


@pytest.mark.parametrize(
    ("action", "said"),
    [("restart-failed", "Restart failed: 1 run, 2 tasks."), ("restart", "2 runs, 4 tasks."),
     ("cancel", "Cancel: 3 runs, 12 tasks."), ("delete", "Delete: 4 runs, 24 tasks."),
     ("resume", "Resume: 0 runs, 0 tasks.")],
)  # fmt: skip
def test_every_action_says_what_it_did(alice, runs, visit, answer, action, said):
    client = visit(alice)
    response = answer(client, f"/runs/actions/{action}?{choose(*runs.values())}")
    assert said in text_of(client.get(response.url))
    for run in Run.objects.all():
        factories.check_books(run)


def test_somebody_elses_run_is_passed_over(alice, bob, runs, visit, answer):
    client = visit(bob)
    client.get("/runs/new")
    own = factories.run(bob, 2, name="his")
    path = f"/runs/actions/delete?{choose(runs['fine'], own)}"
    assert "fine" not in text_of(client.get(path))
    answer(client, path)
    assert set(Run.objects.values_list("name", flat=True)) == {"failing", "lonely", "fine", "over"}


@pytest.mark.parametrize("query", ["", "run=", "run=x", "run=%00"])
def test_without_a_run_nothing_is_asked(alice, runs, visit, query):
    client = visit(alice)
    response = client.get(f"/runs/actions/pause?{query}")
    assert "nothing was changed" in text_of(client.get(response.url))


def test_more_runs_than_one_action_takes_are_refused_together(
    alice, runs, visit, answer, monkeypatch
):
    """Not the first ones done and the others passed over."""
    monkeypatch.setattr(many, "MOST", 3)
    client = visit(alice)
    client.get("/runs/new")
    token = client.cookies["csrftoken"].value
    path = f"/runs/actions/delete?{choose(*runs.values())}"
    for ask in (client.get, client.post):
        response = ask(path, {"csrfmiddlewaretoken": token} if ask == client.post else None)
        page = text_of(client.get(response.url))
        assert "4 runs were chosen, and 3 at most can be changed together" in page
    assert Run.objects.count() == 4
    three = [runs["fine"], runs["over"], runs["lonely"]]
    response = answer(client, f"/runs/actions/delete?{choose(*three, runs['fine'])}")
    assert "Delete: 3 runs" in text_of(client.get(response.url))


def test_an_unknown_action_is_404_and_a_post_needs_its_token(alice, runs, visit):
    client = visit(alice)
    assert client.get(f"/runs/actions/explode?{choose(runs['fine'])}").status_code == 404
    assert client.post(f"/runs/actions/delete?{choose(runs['fine'])}").status_code == 403
    assert Run.objects.count() == 4


def test_who_resumes_several_is_told_which_are_not_complete(alice, visit, runs):
    cut_short, whole = uploads.begin(owner=alice, name="cut short"), runs["fine"]
    steering.pause(run=whole, who="alice")
    client, query = visit(alice), choose(cut_short, whole)
    asked = text_of(client.get(f"/runs/actions/resume?{query}"))
    assert "1 of them is not complete" in asked
    assert asked.count(" not complete</td>") == 1
    uploads.end(run=cut_short, who="alice")
    steering.pause(run=cut_short)
    assert "not complete" not in text_of(client.get(f"/runs/actions/resume?{query}"))
