"""`connect`, `Farm` and `Run`, apart from the work itself."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from stub_faults import answer, drop_after, drop_before
from taskfarm_clock import FakeClock
from taskfarm_stub import Fault, Stub
from taskfarm_worker import (
    ConfigurationError,
    ConflictError,
    Farm,
    InvalidArgumentError,
    NotFoundError,
    ServerUnreachableError,
    UnexpectedAnswerError,
    connect,
)


def farm_of(stub: Stub) -> Farm:
    return connect(stub.url, "user", "secret")


def test_a_run_whose_inputs_are_refused_is_not_left_behind(stub: Stub) -> None:
    farm = connect(stub.url, "user", "secret")
    with pytest.raises(ValueError, match="cannot be sent as JSON"):
        farm.create_run(inputs=[1, {1, 2}])
    assert stub.runs == {}
    with pytest.raises(ValueError, match=r"cannot be sent as JSON.* is open, and kept"):
        farm.create_run(inputs=[1, {1, 2}], open=True)  # somebody may work on what has come
    assert len(stub.runs) == 1


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError, SystemExit])
def test_a_run_whose_inputs_end_in_trouble_is_not_left_behind(
    stub: Stub, trouble: type[BaseException]
) -> None:
    def inputs() -> Iterator[int]:
        yield from range(50_000)
        assert {run.state for run in stub.runs.values()} == {"paused"}, "none is handed out yet"
        raise trouble

    with pytest.raises(trouble):
        farm_of(stub).create_run(inputs=inputs())
    assert stub.count("POST", "/tasks") == 2
    assert stub.runs == {}


def test_a_run_that_somebody_has_resumed_is_left_to_its_workers(stub: Stub) -> None:
    def inputs() -> Iterator[int]:
        yield from range(50_000)
        for run in stub.runs.values():
            run.state = "active"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        farm_of(stub).create_run(inputs=inputs())
    (run,) = stub.runs.values()
    (note,) = caught.value.__notes__
    assert note.startswith(f"Run {run.uuid} is kept with the 40,000 tasks that have come, because")


@pytest.mark.parametrize("fault", [drop_before, drop_after])
def test_the_end_of_an_upload_is_said_until_it_is_heard(stub: Stub, fault: Fault) -> None:
    stub.fault("POST", "/uploaded", fault)
    run = farm_of(stub).create_run(inputs=["a"])
    assert (stub.runs[run.uuid].state, stub.count("POST", "/uploaded")) == ("active", 2)


def test_a_run_that_is_going_is_no_failure_because_nobody_has_heard_of_it(stub: Stub) -> None:
    stub.fault("POST", "/uploaded", *[drop_after] * 200)
    run = farm_of(stub).create_run(inputs=["a"])
    assert stub.count("POST", "/uploaded") > 3
    assert (stub.runs[run.uuid].state, len(stub.runs)) == ("active", 1)


def test_ctrl_c_at_the_end_of_an_upload_says_that_the_run_goes_on(
    stub: Stub, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.fault("POST", "/uploaded", drop_after)
    monkeypatch.setattr(clock, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        farm_of(stub).create_run(inputs=["a"])
    (run,) = stub.runs.values()
    assert caught.value.__notes__ == [f"Run {run.uuid} has all its tasks, and goes on."]


def interrupt(seconds: float) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("/tasks", "may be left, paused, with a part of its tasks: 'taskfarm delete {0}' removes"),
        ("/uploaded", "may go on all the same: look at it ('taskfarm status {0}') before"),
    ],
)
def test_a_server_that_is_gone_leaves_a_run_that_is_named(stub: Stub, call: str, told: str) -> None:
    stub.fault("POST", call, *[drop_before] * 200)
    stub.fault("DELETE", "/uploaded", drop_before)
    with pytest.raises(ServerUnreachableError) as caught:
        farm_of(stub).create_run(inputs=["a"])
    (uuid,) = stub.runs
    assert f"Run {uuid} {told.format(uuid)}" in str(caught.value)


def test_connect_sends_nothing_and_reads_the_environment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="No password or token"):
        connect(stub.url)
    monkeypatch.setenv("TASKFARM_URL", stub.url)
    monkeypatch.setenv("TASKFARM_TOKEN", "given-token")
    farm = connect()
    assert not stub.calls
    assert list(farm.runs()) == []


def test_policies_are_sent_by_their_names_in_the_api(stub: Stub) -> None:
    start = datetime(2026, 1, 2, tzinfo=UTC)
    farm_of(stub).create_run(
        3, name="tiles", error_attempts=3, task_timeout=timedelta(minutes=2), start_after=start
    )
    assert datetime.fromisoformat(stub.last("POST", "/run").body.pop("startAfter")) == start
    assert stub.last("POST", "/run").body == {
        "numTasks": 3, "name": "tiles", "errorAttempts": 3, "taskTimeout": 120.0,
    }  # fmt: skip


@pytest.mark.parametrize("given", [{}, {"tasks": 1, "inputs": ["a"]}])
def test_a_run_has_either_a_number_or_inputs(stub: Stub, given: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match="either tasks"):
        farm_of(stub).create_run(**given)  # type: ignore[arg-type]
    assert not stub.calls


def test_inputs_are_streamed_in_pieces_and_the_run_is_closed_then(stub: Stub) -> None:
    sent: list[int] = []

    def inputs() -> Iterator[int]:
        for number in range(50_000):
            sent.append(stub.count("POST", "/tasks"))
            yield number

    run = farm_of(stub).create_run(inputs=inputs())
    assert stub.runs[run.uuid].inputs == dict(enumerate(range(50_000)))
    assert stub.count("POST", "/tasks") == 3
    assert sent[-1] == 2, "the first pieces leave before the last input is made"
    assert (stub.runs[run.uuid].state, stub.count("POST", "/uploaded")) == ("active", 1)


def test_large_inputs_make_small_pieces(stub: Stub) -> None:
    run = farm_of(stub).create_run(tasks=0, open=True)
    assert run.append("x" * 200_000 for _ in range(50)) == 50
    sizes = [len(json.dumps(c.body)) for c in stub.calls if c.path.endswith("/tasks")]
    assert len(sizes) > 2
    assert max(sizes) < 5 * 2**20


def test_an_input_that_is_too_large_is_refused_with_advice(stub: Stub) -> None:
    run = farm_of(stub).create_run(tasks=0, open=True)
    with pytest.raises(InvalidArgumentError, match=r"Input 1 has .* Put the data into a file"):
        run.append(["small", "x" * 300_000])
    with pytest.raises(InvalidArgumentError, match=r"Input 0 cannot be sent as JSON"):
        run.append([{1, 2}])
    assert run.progress.total == 0


@pytest.mark.parametrize("fault", [drop_before, drop_after])
def test_an_append_whose_answer_is_lost_adds_its_tasks_once(stub: Stub, fault: Fault) -> None:
    run = farm_of(stub).create_run(tasks=2, open=True)
    stub.fault("POST", "/tasks", fault)
    assert run.append(["a", "b", "c"]) == 3
    assert stub.runs[run.uuid].inputs == {2: "a", 3: "b", 4: "c"}


def test_plain_tasks_are_appended_by_number(stub: Stub) -> None:
    run = farm_of(stub).create_run(tasks=2, open=True)
    assert run.append(tasks=5) == 5
    assert run.progress.total == 7


def test_runs_are_found_again(stub: Stub) -> None:
    farm = farm_of(stub)
    made = [farm.create_run(1), farm.create_run(2)]
    assert [run.uuid for run in farm.runs(namespace="x")] == [run.uuid for run in made]
    assert stub.last("GET", "/runs").query == {"namespace": "x"}
    assert farm.run(made[1].uuid).progress.total == 2
    with pytest.raises(NotFoundError):
        farm.run("nothing")


def test_a_list_goes_on_over_pages(stub: Stub) -> None:
    farm = farm_of(stub)
    page = {"data": [{"uuid": "a"}], "next": f"{stub.url}runs?after=1&limit=1"}
    stub.fault("GET", "/runs", answer(200, page), answer(200, {"data": [{"uuid": "b"}]}))
    assert [run.uuid for run in farm.runs()] == ["a", "b"]
    assert stub.last("GET", "/runs").query == {"after": "1", "limit": "1"}


def test_steering_sends_the_reason(stub: Stub) -> None:
    run = farm_of(stub).create_run(1)
    run.pause("disk is full")
    assert run.progress.state == "paused"
    run.resume()
    run.cancel("wrong input")
    assert run.progress.over
    assert stub.runs[run.uuid].reasons == [
        ("pause", "disk is full"), ("resume", ""), ("cancel", "wrong input"),
    ]  # fmt: skip
    assert run.restart(everything=True) == 2
    assert stub.last("POST", "/restart").query == {"all": "True"}
    assert run.explain(0) == {"code": "waiting", "reason": "because"}
    run.delete()
    assert not stub.runs


def test_a_restart_takes_a_selection_and_can_be_undone(stub: Stub) -> None:
    run = farm_of(stub).create_run(4)
    with pytest.raises(ConflictError, match="nothing to undo"):
        run.undo()
    age = timedelta(minutes=2)
    run.restart(states=["failed"], tasks="0-2", host="n1", older_than=age, reason="disk")
    assert stub.last("POST", "/restart").body == {
        "status": ["failed"], "tasks": "0-2", "host": "n1", "olderThan": 120, "reason": "disk",
    }  # fmt: skip
    assert run.undo() == 3


def test_wait_ends_with_the_run(stub: Stub, clock: FakeClock) -> None:
    run = farm_of(stub).create_run(1)
    with pytest.raises(TimeoutError, match="is not over after 60 s"):
        run.wait(timeout=60)

    def finish() -> None:
        stub.runs[run.uuid].status[0] = "done"

    clock.on_sleep = finish
    assert run.wait().done == 1


def test_results_are_read_line_by_line(stub: Stub) -> None:
    run = farm_of(stub).create_run(2)
    rows = [{"task": n, "status": "done", "output": n} for n in range(2)]
    stub.runs[run.uuid].ended = rows
    assert list(run.results()) == rows
    assert list(run.failures()) == []


def test_lists_of_a_run_are_read(stub: Stub) -> None:
    run = farm_of(stub).create_run(2)
    stub.runs[run.uuid].ended = [{"task": 0, "status": "done"}]
    assert list(run.attempts()) == [{"task": 0, "status": "done"}]
    assert run.failure_groups() == [{"count": 2}]
    assert list(run.events()) == []


def test_results_are_saved_whole_or_not_at_all(stub: Stub, tmp_path: Path) -> None:
    run = farm_of(stub).create_run(2)
    stub.runs[run.uuid].ended = [{"task": n, "status": "done", "output": n} for n in range(2)]
    file = tmp_path / "out.ndjson"
    assert run.save(file) == 2
    assert [json.loads(line)["output"] for line in file.read_text().splitlines()] == [0, 1]
    with pytest.raises(InvalidArgumentError, match="tells no format"):
        run.save(tmp_path / "out.txt")
    with pytest.raises(InvalidArgumentError, match='must be "results" or'):
        run.save(tmp_path / "out.csv", "nothing")
    assert [one.name for one in tmp_path.iterdir()] == ["out.ndjson"]


def test_results_become_parquet(stub: Stub, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = farm_of(stub).create_run(2)
    stub.runs[run.uuid].ended = [
        {"task": n, "status": "done", "output": {"mean": n}} for n in range(2)
    ]
    assert run.save(tmp_path / "out.parquet") == 2
    read = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(one["task"], json.loads(one["output"])) for one in read] == [
        (0, {"mean": 0}), (1, {"mean": 1}),
    ]  # fmt: skip


def test_results_that_are_cut_off_are_no_results(stub: Stub) -> None:
    run = farm_of(stub).create_run(2)
    stub.fault("GET", "/results", answer(200, '{"task": 0}\n{"task": 1, "out'))
    results = run.results()
    assert next(results) == {"task": 0}
    with pytest.raises(UnexpectedAnswerError, match="no JSON object"):
        next(results)


def test_farms_and_runs_can_be_pickled_and_tell_no_secrets(stub: Stub) -> None:
    with farm_of(stub) as farm:
        run = farm.create_run(2)
        assert pickle.loads(pickle.dumps(run)).progress.total == 2
        assert "secret" not in repr(farm) + repr(run)
        assert run.uuid in repr(run)
