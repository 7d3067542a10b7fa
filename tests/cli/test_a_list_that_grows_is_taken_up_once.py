"""`taskfarm run` on a list that has grown: what was added becomes tasks of the run, once."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from taskfarm_worker import ConflictError, Farm, Run
from taskfarm_worker.cli import _working
from taskfarm_worker.commands import lists

from tests.cli.conftest import Said, counts

Call = Callable[..., Said]


def test_tasks_are_added_at_the_end_of_the_list_and_nowhere_else(process: Call, farm: Farm) -> None:
    tasks = Path("work.tasks")
    tasks.write_text("echo one\n")
    assert process("run", tasks).code == 0
    tasks.write_text("echo one\necho two\necho three\n")
    assert process("run", tasks).code == 0
    logs = Path("work.tasks_workdir/logs")
    assert [(logs / f"log_{n}").read_text() for n in range(3)] == ["one\n", "two\n", "three\n"]
    assert (logs / "log_0").stat().st_mtime_ns < (logs / "log_1").stat().st_mtime_ns
    tasks.write_text("echo zero\necho one\n")
    said = process("run", tasks)
    assert (said.code, "not the list" in said.err) == (1, True)


def test_a_refused_addition_leaves_the_run_closed(process: Call, farm: Farm) -> None:
    tasks, folder = Path("rows.ndjson"), Path("rows.ndjson_workdir")
    tasks.write_text('{"a": 1}\n')
    assert process("run", tasks, "--command", "echo {a}").code == 0
    tasks.write_text('{"a": 1}\n{"a": "\\ud800"}\n')
    assert process("run", tasks).code == 1
    run = farm.run(json.loads((folder / "taskfarm.json").read_text())["run"])
    assert run.policy()["open"] is False
    tasks.write_text('{"a": 1}\n')
    assert process("run", tasks).code == 0
    # One who was killed while adding leaves it open: the next one closes it.
    run.change(open=True)
    settings = json.loads((folder / "taskfarm.json").read_text())
    (folder / "taskfarm.json").write_text(json.dumps({**settings, "opened": True}))
    assert process("run", tasks).code == 0
    assert run.policy()["open"] is False


def test_farmers_that_find_a_grown_list_at_once_share_it(
    process: Call, start: Callable[..., Any], farm: Farm
) -> None:
    tasks = Path("grown.tasks")
    tasks.write_text("echo 0 >> out_0\n")
    assert process("run", tasks).code == 0
    tasks.write_text("".join(f"echo {n} >> out_{n}\n" for n in range(40)))
    farmers = [start("run", tasks, "--proc", 2) for _ in range(4)]
    ends = [one.communicate(timeout=120) for one in farmers]
    assert [one.returncode for one in farmers] == [0, 0, 0, 0], ends
    assert [Path(f"out_{n}").read_text() for n in range(40)] == [f"{n}\n" for n in range(40)]
    run = farm.run(json.loads(Path("grown.tasks_workdir/taskfarm.json").read_text())["run"])
    assert (counts(run), run.policy()["open"]) == ({"done": 40}, False)


def test_an_addition_is_made_once_whoever_was_killed_over_it(process: Call, farm: Farm) -> None:
    tasks, folder = Path("some.tasks"), Path("some.tasks_workdir")
    tasks.write_text("echo 0\n")
    assert process("run", tasks).code == 0
    tasks.write_text("echo 0\necho 1\n")
    # As if a farmer had been killed after it had brought the addition, before it noted that.
    run = farm.run(json.loads((folder / "taskfarm.json").read_text())["run"])
    run.change(open=True)
    run.append(["echo 1"], key="list-1")
    run.change(open=False)
    tasks.write_text("echo 0\necho 1\necho 2\n")
    said = process("run", tasks)
    assert said.code == 0, said.err
    assert counts(run) == {"done": 3}
    assert (folder / "logs/log_2").read_text() == "2\n"
    kept = (folder / "tasks.ndjson").read_text().splitlines()
    assert kept == ['"echo 0"', '"echo 1"', '"echo 2"']


def test_who_comes_late_to_an_addition_adds_nothing_twice(
    process: Call, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, lines = Path("late.tasks"), [f"echo {n}" for n in range(30)]
    tasks.write_text("echo 0\n")
    assert process("run", tasks).code == 0
    run = farm.run(json.loads(Path("late.tasks_workdir/taskfarm.json").read_text())["run"])
    monkeypatch.setattr(_working, "TOGETHER", 1)
    _working._feed(run, [*lines[:3]], 1)
    # One farmer has read that there are three; another is quicker, by more additions than the
    # server remembers by their keys.
    late, told = farm.run(run.uuid), run.progress
    _working._feed(run, lines, 1)
    monkeypatch.setattr(type(late), "progress", late_at_first(told, type(late).progress))
    _working._feed(late, lines, 1)
    monkeypatch.undo()
    assert run.progress.total == 30


class Contested:
    """A run to which others add, too: each of them is quicker, or closes it."""

    def __init__(self, others: list[int]) -> None:
        self.progress = SimpleNamespace(total=1)
        self.others, self.open, self.tried = others, False, 0

    def change(self, *, open: bool) -> None:
        self.open = open

    def append(self, tasks: list[str], first: int) -> int:
        assert (self.open, first) == (True, self.progress.total)
        self.tried += 1
        if not self.others:
            self.progress.total += len(tasks)
            return len(tasks)
        self.open = False
        self.progress.total += self.others.pop(0)
        raise ConflictError("It was somebody else.")


def test_who_adds_while_others_do_goes_on_until_nothing_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_working, "TOGETHER", 2)
    tries = _working.TRIES
    lines = [f"echo {n}" for n in range(99)]
    moving = Contested([0] * (tries - 1) + [1] + [0] * (tries - 1))
    _working._feed(cast(Run, moving), lines, 1)
    assert moving.progress.total == 99
    stuck = Contested([0] * 99)
    with pytest.raises(ConflictError):
        _working._feed(cast(Run, stuck), lines, 1)
    assert stuck.tried == tries


def test_an_addition_is_noted_while_it_is_made_and_no_longer(
    process: Call, taskfarm: Call, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, noted = Path("noted.tasks"), Path("noted.tasks_workdir/taskfarm.json")
    tasks.write_text("true\n")
    assert process("run", tasks).code == 0
    tasks.write_text("true\ntrue\necho mended\n")
    feed, seen = _working._feed, []

    def look_and_feed(run: Run, inputs: list[Any], first: int) -> None:
        seen.append(json.loads(noted.read_text()))
        feed(run, inputs, first)

    monkeypatch.setattr(_working, "_feed", look_and_feed)
    assert taskfarm("run", tasks, "--timeout", 0).code == 75
    digest = lists.digest(["true", "true", "echo mended"])
    ((adding, added),) = [(one["adding"], one["adding_digest"]) for one in seen]
    assert (adding, added) == (3, digest)
    after = json.loads(noted.read_text())
    assert (after["tasks"], after["digest"], after["adding"]) == (3, digest, 0)


def test_what_an_added_task_lacks_is_told_with_its_number(process: Call, farm: Farm) -> None:
    rows = Path("rows.ndjson")
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    assert process("run", rows, "--command", "echo {a}").code == 0
    rows.write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n{"b": 4}\n')
    said = process("run", rows)
    assert (said.code, "The input of task 3 has no 'a'" in said.err) == (1, True), said.err
    values = Path("values.ndjson")
    values.write_text('"true"\n')
    assert process("run", values).code == 0
    values.write_text('"true"\n7\n')
    said = process("run", values)
    assert said.code == 1
    assert "Task 1 of values.ndjson is no command: 7" in said.err


def test_an_addition_in_pieces_continues_from_its_first_number(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfarm_worker._inputs.CHUNK", 2)
    run = farm.create_run(1, open=True)
    assert run.append([1, 2, 3, 4, 5], first=1) == 5
    with pytest.raises(ConflictError, match="not 1"):
        run.append([1, 2, 3, 4, 5], first=1)
    assert run.progress.total == 6


def late_at_first(told: Any, really: Any) -> property:
    """What somebody believes who was suspended after he had looked."""
    answers = iter([told])
    return property(lambda run: next(answers, None) or really.fget(run))


def test_a_list_that_changed_while_it_was_being_added_is_refused(process: Call, farm: Farm) -> None:
    tasks, folder = Path("half.tasks"), Path("half.tasks_workdir")
    tasks.write_text("echo 0\n")
    assert process("run", tasks).code == 0
    settings = json.loads((folder / "taskfarm.json").read_text())
    # As if a farmer had been killed after it had brought a part of the addition.
    added = ["echo 0", "echo 1", "echo 2"]
    note = {"opened": True, "adding": 3, "adding_digest": lists.digest(added)}
    (folder / "taskfarm.json").write_text(json.dumps({**settings, **note}))
    run = farm.run(settings["run"])
    run.change(open=True)
    run.append(["echo 1"])
    tasks.write_text("echo 0\necho mended\necho 2\n")
    said = process("run", tasks)
    assert said.code == 1
    assert "its first 3 tasks are others by now" in said.err
    tasks.write_text("".join(f"{one}\n" for one in [*added, "echo 3"]))
    assert process("run", tasks).code == 0
    assert counts(run) == {"done": 4}
