"""Runs of which nothing is computed, or that are over without being done, say so, and why."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from taskfarm_worker import Farm

from tests.cli.conftest import Said

Call = Callable[..., Said]
Start = Callable[..., "subprocess.Popen[str]"]
SOON = timedelta(days=2)


def test_status_tells_why_nothing_of_a_run_is_computed(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(2)
    lines = taskfarm("status", run.uuid).lines
    assert lines[-2].startswith("idle     task 0 waits: it is in line")
    assert "no worker computes for this run" in lines[-2]
    assert lines[-1].strip() == f"'taskfarm work {run.uuid[:12]} --proc 8' works on it here."
    later = farm.create_run(2, start_after=datetime.now(UTC) + timedelta(days=2))
    assert taskfarm("status", later.uuid, "--json").json["idle"]["code"] == "not_yet"
    assert "works on it here" not in taskfarm("status", later.uuid).out
    seen = []
    run.work(lambda task: seen.append(taskfarm("status", run.uuid).out))
    assert ("1 computing" in seen[0], "idle" in seen[0]) == (True, False)
    assert "idle" not in taskfarm("status", run.uuid).out
    run.restart(tasks="0", states=["done"])
    run.pause()
    assert taskfarm("status", run.uuid, "--json").json["idle"] is None


def test_an_open_run_says_what_its_workers_wait_for(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(1, open=True)
    assert taskfarm("status", run.uuid).lines[-4].startswith("open     it takes more tasks")
    assert f"'taskfarm close {run.uuid[:12]}'" in taskfarm("status", run.uuid).lines[-3]
    assert taskfarm("close", run.uuid).code == 0
    assert "open " not in taskfarm("status", run.uuid).out


def test_a_cancelled_run_is_not_called_open(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(1, open=True)
    run.cancel()
    assert "open " not in taskfarm("status", run.uuid).out


def test_who_closes_a_paused_run_is_told_that_it_stays_so(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(1, open=True)
    run.pause()
    said = taskfarm("close", run.uuid)
    assert (said.code, f"'taskfarm resume {run.uuid[:12]}' lets it go on" in said.err) == (0, True)


def test_a_cancelled_run_tells_who_and_why(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(2)
    run.cancel("wrong list")
    assert "cancelled by alice: wrong list" in taskfarm("status", run.uuid).lines
    assert "; cancelled by alice: wrong list" in taskfarm("wait", run.uuid).out
    told = taskfarm("status", run.uuid, "--json").json
    assert (told["cancelled"]["why"], told["paused"]) == ("wrong list", None)


def test_cancelled_tasks_are_no_success(taskfarm: Call, farm: Farm, here: Path) -> None:
    run = farm.create_run(2)
    run.cancel()
    run.restart(tasks="0")
    run.work(lambda task: None)
    assert run.info()["state"] == "finished"
    assert taskfarm("wait", run.uuid).code == 4
    assert taskfarm("status", run.uuid, "--watch").code == 4
    Path("two").write_text("true\ntrue\n")
    assert taskfarm("run", "two", "--timeout", 0).code == 75
    (other,) = farm.runs(name="two")
    other.cancel()
    other.restart(tasks="0")
    assert taskfarm("run", "two", "--timeout", "none").code == 4


def test_who_waits_is_told_once_that_a_run_has_not_begun(taskfarm: Call, farm: Farm) -> None:
    later = farm.create_run(2, start_after=datetime.now(UTC) + SOON)
    said = taskfarm("wait", later.uuid, "--timeout", "3s")
    assert (said.code, said.err.count("task 0 waits: the run starts at")) == (124, 1)


def test_a_farmer_tells_what_it_waits_for(start: Start, farm: Farm) -> None:
    later = farm.create_run(2, start_after=datetime.now(UTC) + SOON, template="true")
    working = start("work", later.uuid)
    assert working.stderr is not None
    assert "task 0 waits: the run starts at" in working.stderr.readline()
    later.cancel()
    assert working.wait(60) == 0


def test_the_end_of_a_runs_time_is_seen_though_no_worker_calls(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(2)
    run.change(expire_at=datetime.now(UTC) - timedelta(seconds=1))
    said = taskfarm("wait", run.uuid)
    assert (said.code, "; cancelled by its policy: its time was up" in said.out) == (4, True)


@pytest.mark.parametrize("empty", ["--tasks", "--host"])
def test_an_empty_variable_restarts_nothing(taskfarm: Call, farm: Farm, empty: str) -> None:
    run = farm.create_run(1)
    run.work(lambda task: None)
    said = taskfarm("restart", run.uuid, "--all", empty, "")
    assert (said.code, f"{empty} is empty" in said.err) == (1, True)
    assert run.info()["numDone"] == 1
