"""`taskfarm run`: what it does, what it leaves in its folder, and how it goes on."""

import itertools
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from taskfarm_worker import Farm

from tests.cli.conftest import Said, counts, until

Call = Callable[..., Said]
Start = Callable[..., "subprocess.Popen[str]"]

LIST = """\
# a comment

echo "tile $PROC_NUMBER of $TASKFARM_RUN"; echo trouble >&2
true
sh -c 'exit 7'
kill -SEGV $$
/nonexistent/program --option
"""


def test_a_list_is_worked_on_with_logs_and_exit_codes(
    process: Call, taskfarm: Call, farm: Farm
) -> None:
    Path("work.tasks").write_text(LIST)
    said = process("run", "work.tasks", "--proc", 3)
    assert said.code == 3, said.err
    assert said.out == "work.tasks: finished, 40.0 %, 2 done, 3 failed\n"
    folder = Path("work.tasks_workdir")
    uuid = json.loads((folder / "taskfarm.json").read_text())["run"]
    assert (folder / "logs/log_0").read_text() == f"tile 0 of {uuid}\ntrouble\n"
    assert (folder / "logs/log_1").read_text() == ""
    run = farm.run(uuid)
    assert run.info()["name"] == "work.tasks"
    failed = {row["task"]: row for row in run.failures()}
    assert {number: row["exitCode"] for number, row in failed.items()} == {2: 7, 3: -11, 4: 127}
    assert failed[3]["error"].splitlines() == ["$ kill -SEGV $$", "killed by SIGSEGV"]
    (first, second) = run.results()
    assert first["output"]["seconds"] >= first["output"]["cpu"] >= 0
    assert second["output"]["slot"] in (1, 2, 3)
    each = taskfarm("failures", folder, "--each").lines
    assert each[:2] == ["2: exit code 7", "3: killed by SIGSEGV (exit code -11)"]
    assert each[2].endswith("/nonexistent/program: not found (exit code 127)")
    assert taskfarm("explain", folder, 2).out == "failed after 1 attempt: exit code 7\n"
    log = taskfarm("logs", folder, 0, "--json").json
    assert (log["task"], log["log"]) == (0, f"tile 0 of {uuid}\ntrouble\n")
    assert Path(log["file"]).read_text() == log["log"]
    attempts = {row["task"]: row for row in run.attempts()}
    assert (attempts[0]["exitCode"], attempts[0]["log"]) == (0, f"tile 0 of {uuid}\ntrouble\n")


def test_it_goes_on_in_the_same_folder_without_an_option_repeated(
    process: Call, taskfarm: Call, farm: Farm
) -> None:
    Path("rows.csv").write_text("tile,dem\n4,a b.nc\n5,c.nc\n")
    command = "test -e mended && echo {tile:raw} {dem} > tile_{task:02d}.txt"
    first = process("run", "rows.csv", "--command", command, "-n", 2, "-w", "folder", "--grace", 2)
    assert first.code == 3
    Path("mended").touch()
    assert taskfarm("restart", "folder", "--status", "failed").code == 0
    again = process("run", "--workdir", "folder")
    assert (again.code, again.out) == (0, "rows.csv: finished, 100.0 %, 2 done\n"), again.err
    assert Path("tile_00.txt").read_text() == "4 a b.nc\n"
    assert Path("tile_01.txt").read_text() == "5 c.nc\n"
    settings = json.loads(Path("folder/taskfarm.json").read_text())
    assert (settings["proc"], settings["grace"]) == (2, 2)
    # What the first attempt has said is kept beside the log of the second.
    assert Path("folder/logs/log_0.1").exists()
    assert process("run", "--workdir", "folder").code == 0


def test_a_corrected_command_is_told_to_go_into_a_list_of_its_own(
    process: Call, taskfarm: Call
) -> None:
    tasks = Path("work.tasks")
    tasks.write_text("true\necho spoilt; flase\n")
    first = process("run", tasks)
    tasks.write_text("true\nfalse\n")
    again = process("run", tasks)
    assert (first.code, again.code) == (3, 1)
    for said in (first, again):
        assert "changed command goes into a list of its own, with another --workdir" in said.err
        assert "'taskfarm failures work.tasks_workdir --each' tells which have failed" in said.err
    # Of its error is told what its log does not show.
    log = taskfarm("logs", "last", 1)
    assert log.lines[0] == "spoilt"
    assert "flase" in log.lines[1]
    assert log.err == "$ echo spoilt; flase\nexit code 127\n"


def test_of_a_run_that_is_over_is_said_that_nothing_is_left(
    process: Call, taskfarm: Call, farm: Farm
) -> None:
    run = farm.create_run(inputs=["true", "false"], error_attempts=1)
    assert "1 done and 1 failed attempts here" in process("work", run.uuid).err
    said = process("work", run.uuid)
    told = "The run is finished: nothing is left to work on. 1 of its tasks failed.\n"
    assert (said.code, said.out, said.err) == (0, "", told)
    assert process("work", run.uuid, "--json").json["done"] == 0


def test_of_several_runs_each_is_named(process: Call, farm: Farm) -> None:
    names = [os.urandom(4).hex() + ".tasks" for _ in range(2)]
    for name in names:
        farm.create_run(inputs=["true"], name=name)
    for name, line in zip(names, process("work", *names).err.splitlines(), strict=True):
        assert line.startswith(f"{name}: 1 done and 0 failed attempts here in ")
    assert process("work", *names).err.splitlines() == [
        f"Run {name} is finished: nothing is left to work on." for name in names
    ]


@pytest.mark.parametrize(("word", "code"), [("work", 0), ("run", 4)])
def test_what_a_cancelled_run_does_not_count_its_farmer_does_not_either(
    start: Start, farm: Farm, word: str, code: int
) -> None:
    command = "touch begun_$TASKFARM_TASK; while [ ! -e go ]; do sleep 0.05; done"
    Path("work.tasks").write_text(f"{command}\n" * 3)
    words = ["work", farm.create_run(inputs=[command] * 3).uuid, "-w", "work.tasks_workdir"]
    farmer = start(*(words if word == "work" else ["run", "work.tasks"]), "-n", 2)
    until(lambda: Path("begun_0").exists() and Path("begun_1").exists())
    run = farm.run(json.loads(Path("work.tasks_workdir/taskfarm.json").read_text())["run"])
    run.cancel()
    Path("go").touch()
    _, err = farmer.communicate(timeout=60)
    assert (farmer.returncode, counts(run)) == (code, {"cancelled": 3}), err
    assert "\n0 done and 0 failed attempts here, 2 taken away by the server in " in f"\n{err}"
    assert err.endswith("; the run is cancelled\n")


def test_a_farmer_that_is_stopped_tells_of_a_rest_only_where_there_is_one(
    start: Start, farm: Farm
) -> None:
    run = farm.create_run(inputs=["true"], open=True)
    farmer = start("work", run.uuid)
    until(lambda: counts(run) == {"done": 1})
    farmer.terminate()
    _, err = farmer.communicate(timeout=60)
    assert farmer.returncode == 143
    assert err.endswith("; stopped, since it got SIGTERM: nothing waits\n")


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [(b"\xef\xbb\xbfa\n1\n", 0, b""), (b"a\n\xff\xfe\n", 1, b"Standard input is no text in UTF-8")],
)
def test_standard_input_is_read_as_a_file_is(data: bytes, code: int, told: bytes) -> None:
    words = ["submit", "-", "--format", "csv", "--command", "echo {a}"]
    words = [sys.executable, "-m", "taskfarm_worker", *words]
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_standard_input_may_be_closed(process: Call) -> None:
    words = [sys.executable, "-m", "taskfarm_worker", "run", "-", "-w", "w"]
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(words)} <&-"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "Standard input has no tasks" in done.stderr


def test_products_and_globs_grow_or_are_refused(process: Call, farm: Farm) -> None:
    words = ["run", "-w", "w", "--command", "echo {a}", "--product"]
    assert process(*words, "a=1..3").code == 0
    assert process(*words, "a=1..6").code == 0
    run = farm.run(json.loads(Path("w/taskfarm.json").read_text())["run"])
    assert counts(run) == {"done": 6}
    said = process(*words, "a=2..9")
    assert (said.code, "What was asked for is not the list" in said.err) == (1, True)


def test_a_limit_is_remembered_until_it_is_lifted(process: Call) -> None:
    Path("work.tasks").write_text("true\n")
    said = process("run", "work.tasks", "--timeout", 0)
    assert (said.code, "--timeout none: without a limit" in said.err) == (75, True), said.err
    assert process("run", "-w", "work.tasks_workdir").code == 75
    assert process("run", "-w", "work.tasks_workdir", "--timeout", "none").code == 0
    assert json.loads(Path("work.tasks_workdir/taskfarm.json").read_text())["timeout"] is None


def test_another_command_is_another_run_and_another_policy_is_taken_up(
    process: Call, farm: Farm
) -> None:
    Path("rows.csv").write_text("v\n1\n2\n")
    words = ["run", "rows.csv", "--command", "echo {v}", "--attempts", 2]
    assert process(*words).code == 0
    said = process(*words)  # the same line again goes on
    assert (said.code, "changed" in said.err) == (0, False)
    said = process("run", "rows.csv", "--command", "echo B {v}")
    assert (said.code, "started with another command: 'echo {v}'" in said.err) == (1, True)
    said = process("run", "rows.csv", "--name", "other")
    assert (said.code, "Passed over, as the run is there already: --name" in said.err) == (0, True)
    said = process("run", "rows.csv", "--attempts", 5, "--task-timeout", "90m")
    assert said.code == 0
    assert "The run's policy is changed: --attempts 5, --task-timeout 5400.\n" in said.err
    run = farm.run(json.loads(Path("rows.csv_workdir/taskfarm.json").read_text())["run"])
    assert run.policy()["errorAttempts"] == 5
    Path("plain.tasks").write_text("true\n")
    assert process("run", "plain.tasks").code == 0
    said = process("run", "plain.tasks", "--command", "echo {input}")
    assert (said.code, "was started without --command. Take" in said.err) == (1, True)


def test_options_that_make_no_sense_leave_nothing_behind(process: Call, farm: Farm) -> None:
    Path("nonsense.tasks").write_text("true\n")
    for words in (["--proc", 0], ["--proc", 100_000], ["--runner", "nobody"]):
        said = process("run", "nonsense.tasks", "-w", "w", *words)
        assert (said.code, said.err.count("\n")) == (1, 1), said.err
    assert not Path("w").exists()
    assert list(farm.runs(name="nonsense.tasks")) == []


def test_every_input_must_fit_the_command(process: Call, taskfarm: Call, farm: Farm) -> None:
    Path("rows.ndjson").write_text('{"a": 1}\n{"b": 2}\n{"a": 3}\n')
    said = taskfarm("submit", "rows.ndjson", "--command", "echo {a}")
    assert (said.code, "The input of task 1 has no 'a'. Nothing was submitted" in said.err) == (
        1, True,
    )  # fmt: skip
    assert taskfarm("create", "--tasks", 2, "--command", "echo {task:zz}").code == 1
    # What came in by another way fails alone.
    run = farm.create_run(inputs=[{"a": 1}, {"b": 2}, {"a": 3}], template="echo {a}")
    assert process("work", run.uuid).code == 0
    assert counts(run) == {"done": 2, "failed": 1}
    assert "has no 'a'" in next(run.failures())["error"]


def test_it_goes_on_from_another_folder(process: Call, here: Path, farm: Farm) -> None:
    Path("r.ini").write_text("[mine]\nRunner = ShellRunner\n")
    Path("work.tasks").write_text("echo one\n")
    assert process("run", "work.tasks", "-r", "mine", "-w", "w").code == 0
    Path("work.tasks").write_text("echo one\necho two\n")
    Path("else").mkdir()
    said = process("run", "-w", here / "w", cwd=here / "else")
    assert said.code == 0, said.err
    assert Path("w/logs/log_1").read_text() == "two\n"
    # Likewise a handler, and what it makes of the list.
    Path("t.ini").write_text("[table]\nTaskList = CsvTaskList\ncommand = echo {a}\n")
    Path("rows").write_text("a\n1\n")
    assert process("run", "rows", "-t", "table", "-w", "v").code == 0
    Path("rows").write_text("a\n1\n2\n")
    said = process("run", "-w", here / "v", cwd=here / "else")
    assert said.code == 0, said.err
    assert Path("v/logs/log_1").read_text() == "2\n"


def test_several_farmers_share_a_list_that_none_has_submitted_yet(
    start: Callable[..., object], farm: Farm
) -> None:
    Path("work.tasks").write_text("".join(f"echo {n} >> out_{n}\n" for n in range(60)))
    farmers = [start("run", "work.tasks", "--proc", 2) for _ in range(3)]
    ends = [one.communicate(timeout=120) for one in farmers]
    assert [one.returncode for one in farmers] == [0, 0, 0], ends
    assert sorted(path.read_text() for path in Path().glob("out_*")) == sorted(
        f"{n}\n" for n in range(60)
    )
    uuid = json.loads(Path("work.tasks_workdir/taskfarm.json").read_text())["run"]
    assert counts(farm.run(uuid)) == {"done": 60}
    assert [run.uuid for run in farm.runs(name="work.tasks")].count(uuid) == 1


def test_a_command_knows_what_it_is(process: Call, taskfarm: Call) -> None:
    Path("in.ndjson").write_text(json.dumps({"n": 1, "text": "ä"}) + "\n")
    command = "env | grep -e TASKFARM -e PROC_N | sort; ps -o pgid= -p $$; echo $$; cat"
    assert process("run", "in.ndjson", "--command", command, "-w", "w").code == 0
    lines = Path("w/logs/log_0").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    run = json.loads(Path("w/taskfarm.json").read_text())["run"]
    assert said["PROC_NUMBER"] == said["TASKFARM_TASK"] == "0"
    assert (said["TASKFARM_RUN"], said["TASKFARM_ATTEMPT"]) == (run, "1")
    assert json.loads(said["TASKFARM_INPUT"]) == {"n": 1, "text": "ä"}
    assert len(said["TASKFARM_WORKER"]) == 32
    group, leader = lines[-2:]
    assert group.strip() == leader  # a group of its own, and nothing to read on its input


def test_an_input_too_long_for_an_environment_is_in_a_file(process: Call) -> None:
    Path("in.ndjson").write_text(json.dumps({"text": "x" * 200_000}) + "\n")
    command = 'wc -c < "$TASKFARM_INPUT_FILE"; echo "[$TASKFARM_INPUT]"'
    assert process("run", "in.ndjson", "--command", command, "-w", "w").code == 0
    assert Path("w/logs/log_0").read_text() == f"{len(json.dumps({'text': 'x' * 200_000}))}\n[]\n"


def test_long_tasks_come_first_by_a_column_and_by_an_earlier_run(
    process: Call, taskfarm: Call, farm: Farm
) -> None:
    Path("in.csv").write_text("name,size\na,1\nb,3\nc,2\n")
    ordered = ("--command", "echo {name}", "--order", "cost", "-n", 1)
    assert process("run", "in.csv", *ordered, "--cost", "size", "-w", "w").code == 0
    assert [Path(f"w/logs/log_{n}").read_text() for n in range(3)] == ["b\n", "c\n", "a\n"]
    lists = Path("in.tasks")
    lists.write_text("sleep 0.01; echo a\nsleep 0.5; echo b\nsleep 0.2; echo c\n")
    assert process("run", lists, "-n", 3, "-w", "first").code == 0
    assert process("run", lists, "--order", "cost", "--like", "first", "-w", "second").code == 0
    assert [Path(f"second/logs/log_{n}").read_text() for n in range(3)] == ["b\n", "c\n", "a\n"]
    # Times are found by place in the list, although that run was in another order itself.
    third = taskfarm("submit", lists, "--order", "cost", "--like", "second", "--quiet")
    assert third.code == 0, third.err
    assert process("work", third.lines[0], "-w", "third").code == 0
    assert Path("third/logs/log_0").read_text() == "b\n"
    assert "either --cost" in taskfarm("submit", lists, "--order", "cost").err
    assert "no column" in taskfarm("submit", lists, "--order", "cost", "--cost", "x").err


@pytest.mark.parametrize("name", ["sim", ""])
def test_an_earlier_run_that_gives_no_order_is_called_by_its_name(
    taskfarm: Call, process: Call, farm: Farm, name: str
) -> None:
    like = farm.create_run(inputs=["true"] * 3, name=name and f"{name} {os.urandom(4).hex()}")
    called = f"Run {like.info()['name'] or like.uuid[:12]} has"
    Path("in.tasks").write_text("true\n")
    words = ("submit", "in.tasks", "--order", "cost", "--like", like.uuid)
    assert taskfarm(*words).err.startswith(f"taskfarm: {called} measured nothing")
    assert process("work", like.uuid).code == 0
    assert taskfarm(*words).err.startswith(f"taskfarm: {called} more tasks than this list")


def test_a_run_without_commands_is_not_spoilt(process: Call, farm: Farm) -> None:
    run = farm.create_run(5)
    said = process("work", run.uuid)
    assert (said.code, "no command" in said.err) == (1, True)
    assert counts(run) == {"waiting": 5}


def test_a_folder_that_cannot_be_written_fails_no_task(process: Call, farm: Farm) -> None:
    run = farm.create_run(inputs=["true"] * 5)
    Path("w/logs/log_0").mkdir(parents=True)
    said = process("work", run.uuid, "-w", "w", "-n", 1)
    assert (said.code, "cannot be written" in said.err) == (1, True)
    assert counts(run) == {"waiting": 5}


def test_a_folder_without_room_is_named_and_leaves_no_run_behind(process: Call, farm: Farm) -> None:
    tasks, name = Path(f"{uuid4().hex}.tasks"), "tasks.ndjson"
    tasks.write_text(f"true # {'long ' * 200}\n" * 8)
    for _ in range(2):
        said = process("run", tasks, preexec_fn=only_small_files)
        assert (said.code, f"{tasks}_workdir/{name}" in said.err) == (1, True), said.err
        assert "Output" not in said.err
        assert [one.name for one in Path(f"{tasks}_workdir").iterdir()] == ["logs"]
    assert list(farm.runs(name=tasks)) == []
    assert process("run", tasks).code == 0
    assert len(list(farm.runs(name=tasks))) == 1
    assert len(Path(f"{tasks}_workdir", name).read_text().splitlines()) == 8


def only_small_files() -> None:
    """As if the disk had room for a little more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_commands_that_a_folder_has_lost_are_found_again_or_told_to_be_lost(
    process: Call, taskfarm: Call
) -> None:
    tasks, kept = Path("gaps.tasks"), Path("gaps.tasks_workdir/tasks.ndjson")
    tasks.write_text("true\nfalse\n")
    assert process("run", tasks).code == 3
    kept.write_text('"true"\n')
    said = taskfarm("files", kept.parent)
    assert (said.code, "it has 1 of 2" in said.err, said.out) == (1, True, "")
    tasks.write_text("true\nfalse\necho added\n")
    kept.unlink()
    assert process("run", tasks).code == 3
    assert taskfarm("files", kept.parent).code == 0
    assert (kept.parent / "finished").read_text() == "0 true\n2 echo added\n"
    assert (kept.parent / "failed").read_text() == "1 false\n"
    # In another order than in the list, nobody knows which is which.
    rows = Path("rows.csv")
    rows.write_text("n\n1\n2\n")
    order = ("--command", "echo {n}", "--order", "cost", "--cost", "n")
    assert process("run", rows, *order).code == 0
    Path("rows.csv_workdir/tasks.ndjson").unlink()
    rows.write_text("n\n1\n2\n3\n")
    assert process("run", rows).code == 0
    assert "it has 0 of 3" in taskfarm("files", "rows.csv_workdir").err


def test_a_folder_whose_run_was_deleted_says_what_to_do(process: Call, taskfarm: Call) -> None:
    Path("gone.tasks").write_text("true\n")
    assert process("run", "gone.tasks").code == 0
    assert taskfarm("delete", "--yes", "gone.tasks_workdir").code == 0
    for words in (["gone.tasks"], ["--workdir", "gone.tasks_workdir"]):
        said = taskfarm("run", *words)
        assert said.code == 1
        assert "The run of gone.tasks_workdir is gone" in said.err
        assert "Remove that folder, or take another --workdir." in said.err


def test_files_of_pytaskfarmer_and_a_timeline_are_written_on_demand(
    process: Call, taskfarm: Call, farm: Farm
) -> None:
    Path("work.tasks").write_text("sleep 0.3\nfalse\necho  two   words\n")
    process("run", "work.tasks", "--proc", 2)
    folder = Path("work.tasks_workdir")
    taskfarm("restart", folder, "--tasks", "2", "--status", "done")
    said = taskfarm("files", folder)
    assert (said.code, len(said.lines)) == (0, 4), said.err
    assert (folder / "toprocess").read_text() == "2 echo two words\n"
    assert (folder / "finished").read_text() == "0 sleep 0.3\n"
    assert (folder / "failed").read_text() == "1 false\n"
    told = json.loads((folder / "timeline.json").read_text())
    assert json.loads(taskfarm("timeline", folder).out) == told
    check_trace(told)
    tasks = {event["name"]: event for event in told if event["ph"] == "X"}
    assert tasks.keys() == {"sleep 0.3", "false", "echo  two   words"}
    assert 300_000 <= tasks["sleep 0.3"]["dur"] < 60_000_000
    assert (tasks["false"]["cat"], tasks["false"]["args"]["exitCode"]) == ("failed", 1)
    # Two at a time: one of the others ran beside the long one, so in another lane.
    assert tasks["sleep 0.3"]["tid"] != tasks["false"]["tid"]


def test_a_timeline_of_python_functions_has_lanes_without_overlaps(
    taskfarm: Call, farm: Farm
) -> None:
    run = farm.create_run(40)
    run.work(lambda task: None, processes=2)
    told = json.loads(taskfarm("timeline", run.uuid).out)
    check_trace(told)
    assert {event["name"] for event in told if event["ph"] == "X"} == {
        f"task {n}" for n in range(40)
    }


def check_trace(events: list[dict[str, Any]]) -> None:
    """Hold events against the Trace Event Format, as its readers do."""
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    lanes: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        assert event["ph"] in ("X", "M")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        if event["ph"] == "X":
            assert event["ts"] > 0
            assert event["dur"] >= 0
            key = event["pid"], event["tid"]
            assert key in named
            lanes.setdefault(key, []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in lanes.values():
        spans.sort()
        assert all(first[1] <= second[0] + 1 for first, second in itertools.pairwise(spans))
