"""Commands that look and steer: which run is meant, what is printed, and in which form."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from taskfarm_worker import Farm, NotFoundError, Run, Task
from taskfarm_worker.cli._look import _unsaid
from taskfarm_worker.cli._state import paused_in_words

from tests.cli.conftest import Said, counts

Call = Callable[..., Said]


@pytest.fixture
def tiles(farm: Farm) -> Run:
    """A run of which two tasks have failed, in two ways, and one is done."""
    run = farm.create_run(inputs=[0, 1, 2, 3], name=f"tiles of {os.urandom(4).hex()}")

    def work(task: Task) -> dict[str, int] | None:
        task.log("task", task.number)
        if task.number in (1, 2):
            raise ValueError("no tile" if task.number == 1 else "no sea")
        return {"square": task.input**2}

    run.work(work)
    run.restart(tasks="3", states=["done"])
    return run


def test_a_run_is_meant_by_uuid_prefix_name_last_and_folder(
    taskfarm: Call, farm: Farm, tiles: Run, here: Path
) -> None:
    name = tiles.info()["name"]
    Path("w").mkdir()
    Path("w/taskfarm.json").write_text(json.dumps({"run": tiles.uuid}))
    dashed = f"{tiles.uuid[:8]}-{tiles.uuid[8:]}"
    for word in (tiles.uuid, tiles.uuid[:10], dashed, name, "last", "w", here / "w"):
        assert taskfarm("status", word, "--json").json["uuid"] == tiles.uuid
    newer = farm.create_run(1, name=name)
    said = taskfarm("status", name)
    assert (said.code, "may be 2 runs" in said.err) == (1, True)
    assert newer.uuid[:12] in said.err
    assert taskfarm("status", "last", "--json").json["uuid"] == newer.uuid
    for word in ("nothing of the kind", "00000000", "0", "/nowhere", "/"):
        said = taskfarm("status", word)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("taskfarm: ")


def test_what_is_refused_is_told_without_the_call(taskfarm: Call, tiles: Run) -> None:
    for words in (("restart", tiles.uuid, "--tasks", "abc"), ("explain", tiles.uuid, 99)):
        said = taskfarm(*words)
        assert (said.code, "http" in said.err, said.err.count("\n")) == (1, False, 1), said.err
    said = taskfarm("wait", tiles.uuid, "--timeout", "0.1s")
    assert (said.code, "it is active" in said.err, "<" in said.err) == (124, True, False)


def test_nothing_can_be_called_last(taskfarm: Call, here: Path) -> None:
    Path("list").write_text("true\n")
    for words in (("submit", "list"), ("create", "--tasks", 1)):
        assert "cannot be called 'last'" in taskfarm(*words, "--name", "last").err


def test_logs_are_those_of_the_run(taskfarm: Call, tiles: Run, farm: Farm, here: Path) -> None:
    Path("w/logs").mkdir(parents=True)
    Path("w/logs/log_0").write_text("another's\n")
    Path("w/taskfarm.json").write_text(json.dumps({"run": farm.create_run(1).uuid}))
    said = taskfarm("logs", tiles.uuid, 0, "--workdir", "w")
    assert (said.code, said.out, "another run" in said.err) == (1, "", True)


@pytest.mark.parametrize(
    ("error", "log", "told"),
    [
        ("$ f\nexit code 1\na\nb", "x\na\n\nb  \n", "$ f\nexit code 1"),
        ("$ f\na\nb\nkilled by SIGKILL", "a\nb\n", "$ f\nkilled by SIGKILL"),
        ("$ f\nexit code 1", "", "$ f\nexit code 1"),
        ("$ f\nexit code 1", "exit code 1\n", "$ f"),
        ("Traceback\nValueError: a", "ValueError: a\n", "Traceback\nValueError: a"),
    ],
)
def test_of_an_error_is_told_what_the_log_does_not_show(error: str, log: str, told: str) -> None:
    assert _unsaid(error, log) == told


def test_a_pace_is_told_of_what_moves(taskfarm: Call, tiles: Run) -> None:
    tiles.pause()
    assert "left" not in taskfarm("status", tiles.uuid).out


def test_a_paused_run_says_who_has_paused_it_and_why(
    start: Callable[..., object], taskfarm: Call, tiles: Run
) -> None:
    assert taskfarm("status", tiles.uuid, "--json").json["paused"] is None
    tiles.pause("the disk\x1b[2J is full")
    words = "by alice: the disk?[2J is full"
    assert f"paused   {words}" in taskfarm("status", tiles.uuid).lines
    told = taskfarm("status", tiles.uuid, "--json").json["paused"]
    assert (told["who"], told["why"], "T" in told["at"]) == (
        "alice", "the disk\x1b[2J is full", True
    )  # fmt: skip
    assert paused_in_words({"who": "", "why": "12 failed"}) == "by its policy: 12 failed"
    waiting = start("wait", tiles.uuid)
    line = waiting.stderr.readline()
    assert line.startswith(f"Run {tiles.uuid[:12]} is paused {words}. ")
    tiles.cancel()
    _, more = waiting.communicate(timeout=60)
    assert (waiting.returncode, "paused" in more) == (4, False)


def test_a_name_that_is_no_text_is_that_of_no_run_and_names_none(
    taskfarm: Call, farm: Farm, here: Path
) -> None:
    odd = os.fsdecode(b"\xff.tasks")
    Path(odd).write_text("true\n")
    for words in (["status", odd], ["submit", odd, "--order", "cost", "--like", odd]):
        said = taskfarm(*words)
        assert (said.code, "There is no run '\\udcff.tasks'" in said.err) == (1, True), said.err
    assert taskfarm("ls", "--name", odd, "--json").code == 0
    with pytest.raises(NotFoundError):
        farm.run(odd)
    assert farm.run(taskfarm("submit", odd).lines[0]).info()["name"] == "?.tasks"
    for _ in range(2):
        assert taskfarm("run", odd, "--timeout", 0).code == 75
    assert [run["name"] for run in taskfarm("ls", "--json").json].count("?.tasks") == 2


def test_no_name_at_all_means_no_run(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(2)
    for words in (("delete", "", "--yes"), ("cancel", ""), ("restart", " ")):
        assert taskfarm(*words).code == 1
    assert run.progress.waiting == 2


def test_status_in_every_form(taskfarm: Call, tiles: Run) -> None:
    said = taskfarm("status", tiles.uuid)
    assert said.lines[1].startswith("state    active, 25.0 % of 4 tasks")
    assert said.lines[2] == "tasks    1 waiting, 1 done, 2 failed"
    assert "failed   1 x ValueError: no sea" in said.lines
    assert taskfarm("status", tiles.uuid, "--quiet").out == "25.00\n"
    told = taskfarm("status", tiles.uuid, "--json").json
    assert (told["numFailed"], len(told["failures"])) == (2, 2)


def test_errors_that_are_riddles_without_their_values_come_with_a_real_one(
    taskfarm: Call, farm: Farm
) -> None:
    missing = "/bin/sh: 1: no-such-program: not found"
    kinds = [missing, "exit code 3", "", "stop at 5\x1b" + "x" * 300]
    run = farm.create_run(inputs=[missing, *kinds])

    def work(task: Task) -> None:
        raise RuntimeError(task.input)

    run.work(work)
    said = taskfarm("status", run.uuid).lines
    place = said.index("failed   2 x RuntimeError: …: #: no-such-program: not found")
    told = f"task 1: RuntimeError: {missing}"
    assert said[place + 1] == f"         {told}"
    alone = said.index("failed   1 x RuntimeError: exit code 3")
    assert not any("task 2:" in line for line in said[alone:])
    assert any("task 4: RuntimeError: stop at 5?xxx" in line for line in said)
    assert max(map(len, said)) < 220
    lines = taskfarm("failures", run.uuid).lines
    assert lines[:2] == ["2 x RuntimeError: …: #: no-such-program: not found", f"    {told}"]
    assert sum(line.startswith("    task ") for line in lines) == 2
    assert max(map(len, lines)) < 220


def test_watch_and_wait_end_with_the_run_and_tell_what_failed(
    start: Callable[..., object], taskfarm: Call, tiles: Run
) -> None:
    watching = start("status", tiles.uuid, "--watch", "--interval", 0.1)
    assert "25.0 %" in watching.stdout.readline()
    assert taskfarm("wait", tiles.uuid, "--timeout", 0.1).code == 124
    tiles.work(lambda task: None)
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 3
    assert sorted(out.splitlines()[-2:]) == [
        "failed   1 x ValueError: no sea",
        "failed   1 x ValueError: no tile",
    ]
    said = taskfarm("wait", tiles.uuid)
    assert (said.code, "ValueError: no sea" in said.err) == (3, True)
    tiles.restart(states=["failed"])
    tiles.work(lambda task: None)
    assert taskfarm("wait", tiles.uuid, "-q").code == 0
    tiles.restart(everything=True)
    tiles.cancel()
    assert taskfarm("wait", tiles.uuid, "-q").code == 4


def test_tasks_failures_logs_results_and_reasons(taskfarm: Call, tiles: Run, here: Path) -> None:
    said = taskfarm("tasks", tiles.uuid, "--status", "failed")
    assert [line.split()[:2] for line in said.lines[1:]] == [["1", "failed"], ["2", "failed"]]
    assert taskfarm("tasks", tiles.uuid, "-q", "--status", "waiting").out == "3\n"
    assert taskfarm("tasks", tiles.uuid, "-q", "--limit", 2).out == "0\n1\n"
    groups = taskfarm("failures", tiles.uuid, "--json").json
    assert {group["essence"] for group in groups} == {"ValueError: no tile", "ValueError: no sea"}
    each = taskfarm("failures", tiles.uuid, "--each").lines
    assert each == ["1: ValueError: no tile", "2: ValueError: no sea"]
    advice = f"'taskfarm restart {tiles.uuid[:12]} --error NUMBER'"
    assert taskfarm("failures", tiles.uuid).err.startswith(advice)
    assert taskfarm("failures", tiles.uuid, "--save", "f.csv").out == "2 failures in f.csv\n"
    log = taskfarm("logs", tiles.uuid, 1)
    assert (log.out, "ValueError: no tile" in log.err) == ("task 1\n", True)
    assert "has ended" in taskfarm("logs", tiles.uuid, 1, "--attempt", 2).err
    assert taskfarm("results", tiles.uuid).out == '0\t{"square": 0}\n'
    assert taskfarm("results", tiles.uuid, "--save", "r.ndjson", "--json").json["rows"] == 1
    assert taskfarm("results", tiles.uuid, "--save", "r.doc").code == 1
    assert taskfarm("explain", tiles.uuid, 1).out.startswith("failed after 1 attempt: ")
    assert taskfarm("explain", tiles.uuid, 99).code == 1


def test_a_run_of_inputs_tells_why_it_was_set_going(tiles: Run) -> None:
    (going,) = [event for event in tiles.events() if event["what"] == "uploaded"]
    assert (going["who"], going["why"]) == ("alice", "all inputs have arrived")
    assert tiles.policy()["open"] is False


def test_an_undo_is_promised_where_there_is_one(taskfarm: Call, tiles: Run) -> None:
    assert taskfarm("restart", tiles.uuid, "--tasks", "1").out == "1 task waiting again\n"
    assert taskfarm("undo", tiles.uuid).code == 1
    promise = "2 tasks waiting again; 'taskfarm undo' takes that back\n"
    both = ("--status", "done", "--status", "failed")
    assert taskfarm("restart", tiles.uuid, "--tasks", "0-2", *both).out == promise
    assert taskfarm("undo", tiles.uuid).out == "2 tasks what they were before\n"


def test_a_restart_that_finds_no_task_says_so(taskfarm: Call, tiles: Run) -> None:
    for words in (("--host", "nowhere"), ("--older-than", "2h"), ("--tasks", "3")):
        said = taskfarm("restart", tiles.uuid, *words)
        none = "No task is in this selection: nothing was restarted.\n"
        assert (said.code, said.out) == (0, none)
        assert taskfarm("restart", tiles.uuid, *words, "-q").out == "0\n"
        assert taskfarm("restart", tiles.uuid, *words, "--json").json == {"tasks": 0}


def test_a_state_is_named_by_status_or_by_state(taskfarm: Call, tiles: Run) -> None:
    for word in ("--status", "--state"):
        assert taskfarm("tasks", tiles.uuid, "-q", word, "failed").out == "1\n2\n"
        assert tiles.uuid in taskfarm("ls", word, "active", "-q").out
        assert tiles.uuid not in taskfarm("ls", word, "paused", "-q").out
        assert taskfarm("restart", tiles.uuid, word, "failed", word, "cancelled", "-q").out == "2\n"
        assert taskfarm("undo", tiles.uuid, "-q").out == "2\n"


def test_an_undo_that_is_refused_says_why_in_a_sentence(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(2)
    said = taskfarm("undo", run.uuid)
    assert (said.code, "<Run" in said.err) == (1, False)
    assert f"Run {run.uuid} was not restarted: there is nothing to undo." in said.err
    run.cancel()
    run.restart()
    run.undo()
    refused = taskfarm("undo", run.uuid)
    assert refused.code == 1
    assert "it is undone already, or ten minutes have passed." in refused.err


def test_restarts_by_selection_and_their_undo(taskfarm: Call, tiles: Run) -> None:
    sea = next(g for g in tiles.failure_groups() if "sea" in g["essence"])
    assert taskfarm("restart", tiles.uuid, "--error", sea["fingerprint"], "-q").out == "1\n"
    assert counts(tiles) == {"waiting": 2, "done": 1, "failed": 1}
    both = ("--status", "done", "--status", "failed")
    assert taskfarm("restart", tiles.uuid, "--tasks", "0-1", *both).code == 0
    assert counts(tiles) == {"waiting": 4}
    assert taskfarm("undo", tiles.uuid, "--json").json == {"tasks": 2}
    assert counts(tiles) == {"waiting": 2, "done": 1, "failed": 1}
    for wrong in ("5-1", "0-99,200", ""):
        assert taskfarm("restart", tiles.uuid, "--tasks", wrong).code == 1
    assert counts(tiles) == {"waiting": 2, "done": 1, "failed": 1}
    assert taskfarm("restart", tiles.uuid, "--all", "--reason", "new input").code == 0
    assert counts(tiles) == {"waiting": 4}
    assert next(tiles.events())["why"] == "new input"


def test_a_restart_by_an_error_that_no_task_has_fails_and_says_where_errors_stand(
    taskfarm: Call, tiles: Run
) -> None:
    said = taskfarm("restart", tiles.uuid, "--error", 7)
    assert (said.code, said.out) == (1, "")
    assert "no failed task" in said.err
    assert f"'taskfarm failures {tiles.uuid[:12]}'" in said.err
    sea = next(g for g in tiles.failure_groups() if "sea" in g["essence"])["fingerprint"]
    # The error is there, and only the numbers leave nothing of it: as with numbers alone.
    assert taskfarm("restart", tiles.uuid, "--error", sea, "--tasks", "0", "-q").out == "0\n"
    assert taskfarm("restart", tiles.uuid, "--error", sea, "-q").code == 0
    assert taskfarm("restart", tiles.uuid, "--error", sea, "-q").code == 1
    assert counts(tiles) == {"waiting": 2, "done": 1, "failed": 1}


def test_pause_resume_cancel_and_delete(taskfarm: Call, tiles: Run, farm: Farm) -> None:
    other = farm.create_run(1)
    both = (tiles.uuid, other.uuid)
    assert taskfarm("pause", *both, "--reason", "disk full").code == 0
    assert (tiles.progress.state, other.progress.state) == ("paused", "paused")
    assert taskfarm("resume", *both, "-q").out == ""
    assert other.progress.state == "active"
    # One that does not exist: nothing happens to the others.
    assert taskfarm("cancel", *both, "nothing of the kind").code == 1
    assert other.progress.state == "active"
    assert taskfarm("cancel", *both, "-q").out == "1\n1\n"
    assert taskfarm("delete", *both).code == 1
    assert taskfarm("delete", *both, "--yes").code == 0
    assert taskfarm("status", tiles.uuid).code == 1


def test_runs_are_listed(taskfarm: Call, farm: Farm, tiles: Run) -> None:
    spaces = f"space {os.urandom(4).hex()}"
    runs = [farm.create_run(n, namespace=spaces, name=f"run {n}") for n in range(1, 4)]
    said = taskfarm("ls", "--namespace", spaces)
    assert said.lines[0].split()[3:5] == ["tasks", "progress"]  # a mean: half of a task counts, too
    assert [line[14:21].strip() for line in said.lines] == ["name", "run 1", "run 2", "run 3"]
    assert taskfarm("ls", "--namespace", spaces, "-q", "--limit", 2).lines == [
        run.uuid for run in runs[1:]
    ]
    assert taskfarm("ls", "--namespace", spaces, "--json").json[0]["numWaiting"] == 1
    assert taskfarm("ls", "--namespace", "nothing of the kind", "-q").out == ""


def test_runs_are_made_of_lists_tables_and_numbers(
    taskfarm: Call, process: Call, farm: Farm
) -> None:
    Path("work.tasks").write_text("# one\n\n  echo one  \necho two # really\n")
    uuid = taskfarm("submit", "work.tasks", "--attempts", 3, "--task-timeout", "15m").out.strip()
    policy = farm.run(uuid).policy()
    assert (policy["errorAttempts"], policy["taskTimeout"], policy["open"]) == (3, 900, False)
    assert farm.run(uuid).info()["numTasks"] == 2
    made = taskfarm("create", "--tasks", 7, "--command", "prog {task:03d}", "--json").json
    assert (made["numTasks"], farm.run(made["uuid"]).policy()["template"]) == (7, "prog {task:03d}")
    Path("in.csv").write_text("a,b\n1,2\n")
    assert taskfarm("submit", "in.csv", "--command", "prog {a} {b}").code == 0
    for words, reason in (
        (["in.csv"], "--command"),
        (["in.csv", "--command", "prog {c}"], "asks for {c}"),
        (["in.csv", "--command", "awk '{print $1}'"], "{{ and }}"),
        (["nowhere.tasks"], "cannot be read"),
        (["work.tasks", "--attempts", 0], "errorAttempts"),
    ):
        said = taskfarm("submit", *words)
        assert (said.code, reason in said.err) == (1, True), said.err
    assert taskfarm("submit", "work.tasks", "--task-timeout", "soon").code == 2
    Path("empty").write_text("# nothing\n")
    assert "no tasks" in taskfarm("submit", "empty").err
    with Path("work.tasks").open() as tasks:
        piped = process("submit", "-", "-q", stdin=tasks)
    assert farm.run(piped.out.strip()).info()["numTasks"] == 2


def test_a_login_is_kept_private_and_a_wrong_password_changes_nothing(
    taskfarm: Call, token: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    before = token.read_bytes()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    url = next(line.split(" = ")[1] for line in token.read_text().splitlines() if "url" in line)
    wrong = Path("wrong")
    wrong.write_text("wrong\n")
    with wrong.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        said = taskfarm("login", url, "-u", "alice")
    assert (said.code, token.read_bytes()) == (1, before), said.err
    assert "wrong" not in said.err.split("alice")[0]
    assert "comes from standard input" in said.err


def test_who_is_not_logged_in_is_told_how_to(
    taskfarm: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("TASKFARM_CONFIG", str(here / "none"))
    Path("none").write_text("[taskfarm]\nurl = http://farm.example/\n")
    Path("none").chmod(0o600)
    said = taskfarm("ls")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        "taskfarm: Not logged in at http://farm.example/api/: "
        "run 'taskfarm login http://farm.example/api/', or set TASKFARM_USER"
    )
    Path("none").write_text("[taskfarm]\n")
    assert "run 'taskfarm login URL'" in taskfarm("ls").err


def test_wrong_usage_is_2_and_says_what_was_meant(taskfarm: Call) -> None:
    said = taskfarm("statsu", "last")
    assert (said.code, "did you mean 'status'?" in said.err) == (2, True)
    assert taskfarm().code == 2
    assert taskfarm("tasks", "last", "--status", "lost").code == 2
    assert taskfarm("--version").code == 0
    for words in ([], ["run"], ["restart"]):
        assert taskfarm(*words, "--help").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(taskfarm: Call, shell: str) -> None:
    script = taskfarm("completion", shell).out
    assert "restart" in script
    assert "older-than" in script


def test_bash_completes(taskfarm: Call, here: Path) -> None:
    Path("complete.bash").write_text(taskfarm("completion", "bash").out)
    ask = (
        "source complete.bash; COMP_WORDS=(taskfarm {}); COMP_CWORD={}; _taskfarm; "
        'echo "${{COMPREPLY[@]}}"'
    )
    assert bash(ask.format("re", 1)) == "results restart resume"
    assert bash(ask.format("restart last --ol", 3)) == "--older-than"
    assert bash(ask.format("restart last --st", 3)) == "--status"  # of two names of it one
    assert bash(ask.format("completion f", 2)) == "fish"
    assert bash(ask.format("tasks last --status c", 4)) == "computing cancelled"
    assert bash(ask.format("ls --state p", 3)) == "paused"
    assert bash(ask.format("wait las", 2)) == "last"


def test_tab_offers_runs_runners_handlers_and_batch_systems(
    taskfarm: Call, farm: Farm, here: Path
) -> None:
    plain = f"tiles-{os.urandom(4).hex()}"
    run, blank = (farm.create_run(1, name=name) for name in (plain, f"a; {plain}"))
    Path("r.ini").write_text("[mine]\nRunner = ShellRunner\n[table]\nTaskList = CsvTaskList\n")
    Path("bad.ini").write_text("[\n")
    Path("complete.bash").write_text(taskfarm("completion", "bash").out)
    ask = (
        f'taskfarm() {{ {sys.executable} -m taskfarm_worker "$@"; }}; source complete.bash; '
        "COMP_WORDS=(taskfarm %s); COMP_CWORD=%d; _taskfarm 2>&1; "
        'echo "${COMPREPLY[@]}"'
    )
    assert bash(ask % (f"status {plain[:9]}", 2)) == plain
    assert bash(ask % (f"work last {run.uuid[:8]}", 3)) == run.uuid[:12]
    assert bash(ask % (f"wait {blank.uuid[:8]}", 2)) == blank.uuid[:12]
    assert bash(ask % (f"submit list --like {plain[:9]}", 4)) == plain
    assert bash(ask % ("run list --runner ''", 4)) == "default mine shell"
    assert bash(ask % ("run list -r m", 4)) == "mine"
    assert bash(ask % ("submit list -t ''", 4)) == "default table"
    assert bash(ask % ("launch last --executor ''", 4)) == "slurm pbs lsf flux local"
    assert "executor -x -a 'slurm pbs" in taskfarm("completion", "fish").out
    listed = taskfarm("completion", "bash", "--of", "runs")
    assert (len(set(listed.lines)), listed.err) == (len(listed.lines), "")
    # A farm that says nothing, and one that is not there: no word, and no long wait.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], 1):
            began = time.monotonic()
            url = f"--url http://127.0.0.1:{port}"
            assert bash(f"COMP_LINE='taskfarm {url} status '; " + ask % (cut(url), 8)) == "last"
            assert time.monotonic() - began < 10
    url = f"--url {farm._server.url_base}"
    line = f"COMP_LINE='taskfarm {url} status {plain[:9]}'; unset TASKFARM_URL; "
    words = f"{cut(url)[:-2]}{plain[:9]}"
    assert bash(line + ask % (words, len(words.split()))) == plain


def cut(words: str) -> str:
    """Words as bash gives them to a completion, and an empty one after `status`."""
    return re.sub(":", " : ", words) + " status ''"


def bash(script: str) -> str:
    """What it prints."""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()
