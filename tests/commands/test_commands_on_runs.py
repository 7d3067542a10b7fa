"""``manage.py`` for runs: what each prints, how it refuses, its exit code."""

import io
import json
import shlex
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.db import DatabaseError, connection

from runs.models import Run, Tally
from runs.tallies import MILLION
from taskfarm_site import databases
from tests import factories
from tests.commands.shell import manage
from tests.server import ROOT, database_url, environment

pytestmark = pytest.mark.django_db(transaction=True)


def test_createrun_prints_just_the_uuid(alice: User) -> None:
    group = Group.objects.create(name="glaciers")
    alice.groups.add(group)
    uuid = manage(
        "createrun", "--tasks", "12", "--name", "tiles", "--namespace", "cryosat",
        "--owner", "alice", "--group", "glaciers",
    )  # fmt: skip
    run = Run.objects.get()
    assert uuid == f"{run.uuid.hex}\n"
    assert (run.num_tasks, run.name, run.namespace) == (12, "tiles", "cryosat")
    assert (run.owner, run.group) == (alice, group)


def test_createrun_says_whose_membership_is_missing_and_what_to_type(alice: User) -> None:
    Group.objects.create(name="sea ice")
    words = ["createrun", "--tasks", "1", "--group", "sea ice"]
    with pytest.raises(CommandError, match="alice is not a member") as refusal:
        manage(*words)
    typed = shlex.split(str(refusal.value).split("manage.py ")[1])
    manage(*typed)
    manage(*words)
    assert Run.objects.get().group.name == "sea ice"


def test_createrun_needs_no_owner_where_there_is_one_user(alice: User) -> None:
    manage("createrun", "--tasks", "1")
    assert Run.objects.get().owner == alice


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--tasks", "-1"], "from 0 to"),
        (["--tasks", "999999999999"], "from 0 to"),
        (["--tasks", "many"], "invalid int value"),
        ([], "--tasks"),
        (["--tasks", "1", "--owner", "zoe"], "no active user 'zoe'"),
        (["--tasks", "1", "--group", "zoo"], "no group 'zoo'"),
    ],
)
def test_createrun_refuses_and_creates_nothing(alice: User, words: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        manage("createrun", *words)
    assert not Run.objects.exists()


def test_createrun_asks_whose_where_there_are_several(alice: User, bob: User) -> None:
    with pytest.raises(CommandError, match="--owner"):
        manage("createrun", "--tasks", "1")


def test_createrun_without_any_user_says_how_to_make_one(db: None) -> None:
    with pytest.raises(CommandError, match="adduser"):
        manage("createrun", "--tasks", "1")


def test_runs_lists_newest_first_with_counts(alice: User, bob: User) -> None:
    factories.advance(factories.run(alice, 4, name="old"), factories.worker(alice), done=4)
    factories.run(bob, 7, name="new")
    lines = manage("runs").splitlines()[1:]
    assert [line.split()[-1] for line in lines] == ["new", "old"]
    assert lines[1].split()[1:3] == ["finished", "100%"]
    assert [row["name"] for row in json.loads(manage("runs", "--json"))] == ["new", "old"]
    assert "new" not in manage("runs", "--owner", "alice")
    assert "old" not in manage("runs", "--state", "active")
    assert "old" not in manage("runs", "--limit", "1")


def test_run_shows_one_run(alice: User) -> None:
    run = factories.run(alice, 5, name="tiles")
    factories.advance(run, factories.worker(alice), done=1, failed=1, computing=1)
    shown = json.loads(manage("run", run.uuid.hex, "--json"))
    assert shown["numDone"] == shown["numFailed"] == shown["numComputing"] == 1
    assert shown["numWaiting"] == 2
    assert shown["state"] == "active"
    assert (shown["policy"]["errorAttempts"], shown["policy"]["expireAt"]) == (1, None)
    text = manage("run", run.uuid.hex[:6])
    assert "numWaiting" in text
    assert "errorAttempts" in text


ON_ONE_RUN = [
    "run", "restart", "undo", "pause", "resume", "cancel", "policy", "deleterun", "checktallies",
]  # fmt: skip


@pytest.mark.parametrize("command", ON_ONE_RUN)
@pytest.mark.parametrize(
    ("uuid", "reason"), [("f" * 32, "There is no run"), ("xyz", "no UUID"), ("a" * 40, "no UUID")]
)
def test_an_unknown_run_is_refused(alice: User, command: str, uuid: str, reason: str) -> None:
    factories.run(alice, 3)
    with pytest.raises(CommandError, match=reason):
        manage(command, uuid)


def test_an_ambiguous_start_is_refused(alice: User) -> None:
    runs = [factories.run(alice, 1) for _ in range(40)]
    starts = [run.uuid.hex[0] for run in runs]
    start = max(starts, key=starts.count)
    with pytest.raises(CommandError, match="More than one"):
        manage("deleterun", start, "--yes")
    assert Run.objects.count() == 40


def test_restart_says_how_many(alice: User) -> None:
    run = factories.run(alice, 9)
    factories.advance(run, factories.worker(alice), done=2, failed=1, computing=3)
    assert "Restarted 4 tasks" in manage("restart", run.uuid.hex)
    assert "Restarted 2 tasks" in manage("restart", run.uuid.hex, "--all")
    factories.check_books(run)


def test_one_task_is_one_task(alice: User) -> None:
    run = factories.run(alice, 1)
    factories.advance(run, factories.worker(alice), computing=1)
    assert "Restarted 1 task of" in manage("restart", run.uuid.hex)
    assert manage("deleterun", run.uuid.hex, "--yes").endswith("with 1 task.\n")


def test_runs_never_calls_all_done_what_is_not(alice: User) -> None:
    run = factories.run(alice, 3000)
    settled = 2999 * 100 * MILLION
    Tally.objects.filter(run=run).update(waiting=1, done=2999, settled_percent=settled)
    assert manage("runs").splitlines()[1].split()[2] == "99.9%"


def test_a_reader_that_leaves_early_is_no_error(alice: User) -> None:
    for number in range(300):
        factories.run(alice, 1, name=f"run {number} " + "x" * 150)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} manage.py runs --limit 300 | head -1"],
        cwd=ROOT, env=environment(database_url(connection.settings_dict), 0),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("UUID")


def test_deleterun_deletes_for_good(alice: User) -> None:
    run = factories.run(alice, 9)
    assert "with 9 tasks" in manage("deleterun", run.uuid.hex, "--yes")
    assert sum(factories.count_rows().values()) == 0


def test_deleterun_asks_on_a_terminal(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    run = factories.run(alice, 9)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        manage("deleterun", run.uuid.hex)
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    manage("deleterun", run.uuid.hex)
    assert not Run.objects.exists()


def test_checktallies_finds_repairs_and_tells_by_its_exit_code(alice: User) -> None:
    run = factories.run(alice, 9)
    other = factories.run(alice, 9)
    assert "2 runs checked, 0 repaired" in manage("checktallies")
    Tally.objects.filter(run=run).update(waiting=4)
    with pytest.raises(CommandError, match="1 of 2 runs are wrong"):
        manage("checktallies")
    manage("checktallies", other.uuid.hex)
    assert "1 repaired" in manage("checktallies", "--repair")
    manage("checktallies")
    factories.check_books(run)


def test_checktallies_finishes_deletions_that_were_cut_short(alice: User) -> None:
    from django.db.models.functions import Now

    Run.objects.filter(pk=factories.run(alice, 9).pk).update(deleted=Now())
    assert "Finished deleting 1" in manage("checktallies")
    assert sum(factories.count_rows().values()) == 0


def test_the_bar_is_drawn_on_a_terminal_only() -> None:
    from runs.management.runs import with_bar

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    assert list(with_bar(range(4), total=4, stream=terminal)) == [0, 1, 2, 3]
    assert list(with_bar(range(4), total=4, stream=pipe)) == [0, 1, 2, 3]
    assert terminal.getvalue().endswith("100 %\n")
    assert pipe.getvalue() == ""


def test_deleterun_refuses_where_nobody_can_be_asked(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 9)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(CommandError, match="--yes"):
        manage("deleterun", run.uuid.hex)
    assert Run.objects.count() == 1


@pytest.mark.parametrize("statement", ["SELECT 1 FROM nowhere", "SELECT no_such FROM runs_run"])
def test_a_missing_table_or_column_is_known_on_either_database(statement: str) -> None:
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute(statement)
    assert "manage.py migrate" in (databases.no_table(caught.value) or "")
    assert databases.no_connection(caught.value) is None
