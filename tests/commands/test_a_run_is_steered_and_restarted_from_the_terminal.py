"""``pause``, ``resume``, ``cancel``, ``restart`` with a selection, ``undo``."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db.models.functions import Now

from runs import queue, tallies
from runs.attempts import Ending, fingerprint
from runs.models import Run, RunEvent, Task
from runs.states import Outcome, TaskState
from runs.wording import tasks
from tests import factories
from tests.commands.shell import manage

pytestmark = pytest.mark.django_db(transaction=True)


def end(run: Run, *numbers: int, host: str = "n001", error: str | None = None) -> None:
    """Let a worker on a host end tasks: done, or failed with an error."""
    worker = factories.worker(run.owner, hostname=host)
    outcome = Outcome.DONE if error is None else Outcome.FAILED
    for claim in queue.claim(run=run, worker=worker, want=len(numbers)):
        assert claim.number in numbers
        told = queue.Report(claim.number, claim.attempt, ending=Ending(outcome, error=error))
        queue.exchange(run=run, worker=worker, reports=[told])


@pytest.fixture
def run(alice: User) -> Run:
    """Twenty tasks: 0 to 4 done, 5 to 7 failed on n002, 8 and 9 failed otherwise, ten waiting."""
    run = factories.run(alice, 20, name="tiles")
    end(run, 0, 1, 2, 3, 4)
    end(run, 5, 6, 7, host="n002", error="KeyError: 'a'")
    end(run, 8, 9, error="OSError: disk full")
    return run


def waiting(run: Run) -> list[int]:
    """The numbers below ten of the tasks that wait."""
    found = Task.objects.filter(run=run, state=TaskState.WAITING, number__lt=10)
    return sorted(found.values_list("number", flat=True))


def test_pause_resume_and_cancel_keep_who_and_why(run: Run) -> None:
    uuid = run.uuid.hex
    told = manage("pause", uuid[:8], "--reason", "the disk is full")
    assert told == f"Paused tiles. Go on with: manage.py resume {uuid}\n"
    assert Run.objects.get().state == "paused"
    assert "Resumed tiles." in manage("resume", uuid)
    assert f"restart {uuid} --state cancelled" in manage("cancel", uuid, "--reason", "wrong input")
    assert tallies.read(run.id).cancelled == 10
    events = [(event.what, event.why) for event in run.events.order_by("id")]
    assert events == [("pause", "the disk is full"), ("resume", ""), ("cancel", "wrong input")]
    assert all(event.who.startswith("manage.py (") for event in run.events.all())
    factories.check_books(run)


def test_what_the_state_of_a_run_does_not_allow_is_refused(run: Run) -> None:
    with pytest.raises(CommandError, match="nothing to resume"):
        manage("resume", run.uuid.hex)
    assert not run.events.exists()


def test_a_finished_run_is_not_paused(alice: User) -> None:
    run = factories.run(alice, 2)
    end(run, 0, 1)
    with pytest.raises(CommandError, match="The run is finished, so there is nothing to pause"):
        manage("pause", run.uuid.hex)
    assert not run.events.exists()
    assert Run.objects.get().state == "active"


def test_the_way_back_from_cancel_is_the_one_that_it_tells(run: Run) -> None:
    told = manage("cancel", run.uuid.hex)
    words = told.split("manage.py ")[1].split()
    assert "Restarted 10 tasks" in manage(*words)
    assert Run.objects.get().state == "active"
    assert tallies.read(run.id).waiting == 10


KEY_ERROR = str(fingerprint("KeyError: 'b'"))


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ([], [5, 6, 7, 8, 9]),
        (["--state", "failed"], [5, 6, 7, 8, 9]),
        (["--state", "done"], [0, 1, 2, 3, 4]),
        (["--state", "done", "--state", "failed"], list(range(10))),
        (["--tasks", "0-5,9"], [5, 9]),
        (["--tasks", "0-5,9", "--all"], [0, 1, 2, 3, 4, 5, 9]),
        (["--error", KEY_ERROR], [5, 6, 7]),
        (["--host", "n002"], [5, 6, 7]),
        (["--host", "n002", "--tasks", "7-9"], [7]),
        (["--host", "n003"], []),
        (["--older-than", "1h"], []),
    ],
)
def test_restart_takes_the_selections_of_the_api(
    run: Run, words: list[str], numbers: list[int]
) -> None:
    told = manage("restart", run.uuid.hex, *words, "--reason", "mended")
    assert waiting(run) == numbers
    none = "No task is in this selection: nothing was restarted."
    assert (f"Restarted {tasks(len(numbers))} of tiles." if numbers else none) in told
    assert ("manage.py undo" in told) == (len(numbers) > 1)
    assert [event.why for event in run.events.all()] == (["mended"] if numbers else [])
    factories.check_books(run)


def test_restart_of_what_was_not_heard_of_for_long(run: Run) -> None:
    Task.objects.filter(run=run, number=6).update(updated=Now() - timedelta(hours=3))
    manage("restart", run.uuid.hex, "--older-than", "2h")
    assert waiting(run) == [6]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--tasks", "9-0"], "runs backwards"),
        (["--tasks", "all"], "no list of numbers"),
        (["--tasks", "0-5,20"], "no task 20: the run has 20 tasks, 0-19"),
        (["--tasks", "0-99"], "no task 99: the run has 20 tasks, 0-19"),
        (["--state", "asleep"], "invalid choice"),
        (["--error", "KeyError"], "invalid int"),
        (["--error", "7"], f"No failed task of tiles has the error 7: there are {KEY_ERROR}, "),
        (["--older-than", "2"], "no span of time"),
        (["--older-than", "-2h"], "expected one argument|no span of time"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(
    run: Run, words: list[str], reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        manage("restart", run.uuid.hex, *words)
    assert not run.events.exists()
    assert waiting(run) == []


def test_undo_puts_back_what_nothing_has_moved_since(run: Run) -> None:
    uuid = run.uuid.hex
    assert f"manage.py undo {uuid}" in manage("restart", uuid, "--all")
    queue.claim(run=run, worker=factories.worker(run.owner), want=1)
    assert "Put 9 of 10 restarted tasks of tiles back" in manage("undo", uuid)
    counts = tallies.read(run.id)
    assert (counts.done, counts.failed, counts.computing, counts.waiting) == (4, 5, 1, 10)
    with pytest.raises(CommandError, match="cannot be undone any more"):
        manage("undo", uuid)
    factories.check_books(run)


def test_undo_of_the_last_restart_alone_names_those_before_it(run: Run) -> None:
    uuid = run.uuid.hex
    manage("restart", uuid, "--tasks", "5")
    with pytest.raises(CommandError) as alone:
        manage("undo", uuid)
    assert "--event" not in str(alone.value)
    manage("restart", uuid, "--tasks", "6-7")
    manage("restart", uuid, "--tasks", "8")
    first, before, last = run.events.order_by("id").values_list("pk", flat=True)
    told = rf"only a restart of more.*last restart, {last}; --event.*{before} of 2 tasks, {first} "
    with pytest.raises(CommandError, match=told):
        manage("undo", uuid)
    assert "Put 2 restarted tasks" in manage("undo", uuid, "--event", str(before))


def test_undo_finds_an_older_restart_by_its_id_and_refuses_what_is_none(run: Run) -> None:
    uuid = run.uuid.hex
    with pytest.raises(CommandError, match="No tasks of tiles have ever been restarted"):
        manage("undo", uuid)
    manage("restart", uuid, "--tasks", "5-7")
    first = RunEvent.objects.get()
    manage("restart", uuid, "--tasks", "8-9")
    assert "Put 3 restarted tasks" in manage("undo", uuid, "--event", str(first.pk))
    assert waiting(run) == [8, 9]
    manage("pause", uuid)
    pause = run.events.get(what="pause")
    with pytest.raises(CommandError, match="only a restart"):
        manage("undo", uuid, "--event", str(pause.pk))
    for id in ("99999999", "9" * 30, "last"):
        with pytest.raises(CommandError, match="no event"):
            manage("undo", uuid, "--event", id)


def test_undo_is_refused_after_ten_minutes(run: Run) -> None:
    manage("restart", run.uuid.hex)
    RunEvent.objects.update(at=Now() - timedelta(minutes=11))
    with pytest.raises(CommandError, match="ten minutes"):
        manage("undo", run.uuid.hex)
    assert waiting(run) == [5, 6, 7, 8, 9]
