"""`Run.work` in one process: what is claimed, done and reported."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import pytest
from taskfarm_stub import Run as Kept
from taskfarm_stub import Seen, Stub
from taskfarm_worker import InvalidArgumentError, NotFoundError, Run, Summary, Task, connect


def run_of(stub: Stub, tasks: int = 3) -> tuple[Run, Kept]:
    run = connect(stub.url, "user", "secret").create_run(tasks)
    return run, stub.runs[run.uuid]


def exchanges(stub: Stub) -> list[Seen]:
    return [call for call in stub.calls if call.path.endswith("/exchange")]


def test_every_task_is_done_once(stub: Stub) -> None:
    run, kept = run_of(stub, 3000)
    numbers: list[int] = []
    assert run.work(lambda task: numbers.append(task.number)) == Summary(done=3000)
    assert sorted(numbers) == list(range(3000))
    assert sorted(kept.outcomes()) == [(number, 1, "done") for number in range(3000)]


def test_many_short_tasks_take_few_calls_in_short_form(stub: Stub) -> None:
    run, _ = run_of(stub, 3000)
    run.work(lambda task: None)
    assert len(exchanges(stub)) < 20
    assert all("reports" not in call.body for call in exchanges(stub))


def test_outputs_and_inputs_pass_through(stub: Stub) -> None:
    run = connect(stub.url, "user", "secret").create_run(inputs=[{"n": 1}, {"n": 2}])
    assert run.work(lambda task: {"twice": 2 * task.input["n"]}).done == 2
    assert [row["output"] for row in run.results()] == [{"twice": 2}, {"twice": 4}]


def test_an_exception_is_a_failed_attempt_with_its_traceback(stub: Stub) -> None:
    run, kept = run_of(stub)

    def fail(task: Task) -> None:
        task.log("number", task.number)
        if task.number == 1:
            raise ValueError("no such tile: \udcff")

    assert run.work(fail) == Summary(done=2, failed=1)
    (failed,) = run.failures()
    assert failed["task"] == 1
    assert failed["log"] == "number 1\n"
    assert failed["error"].startswith("Traceback (most recent call last):")
    assert failed["error"].endswith("ValueError: no such tile: ?\n")
    assert "_work.py" not in failed["error"]
    assert kept.status == ["done", "failed", "done"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SystemExit(3), "failed", 3),
        (SystemExit("usage"), "failed", 1),
        (SystemExit(0), "done", None),
        (SystemExit(), "done", None),
        (subprocess.CalledProcessError(7, "solve"), "failed", 7),
    ],
)
def test_exit_codes_are_kept(
    stub: Stub, error: BaseException, status: str, code: int | None
) -> None:
    run, kept = run_of(stub, 1)

    def leave(task: Task) -> None:
        raise error

    run.work(leave)
    assert kept.status == [status]
    assert kept.ended[0].get("exitCode") == code


@pytest.mark.parametrize("output", [{1, 2}, float("nan"), "x" * 300_000, object()])
def test_an_output_that_cannot_be_kept_fails_its_task_only(stub: Stub, output: object) -> None:
    run, kept = run_of(stub)
    summary = run.work(lambda task: output if task.number == 1 else None)
    assert summary == Summary(done=2, failed=1)
    assert "The output of task 1" in kept.ended[-1]["error"] + kept.ended[1].get("error", "")


def test_a_report_that_the_server_refuses_fails_its_task_only(stub: Stub) -> None:
    run, kept = run_of(stub, 100)
    kept.refused_outputs = (42,)
    run.work(lambda task: task.number)
    assert [kept.status.index("failed"), kept.status.count("done")] == [42, 99]
    failed = [one for one in kept.ended if one["status"] == "failed"]
    assert "The output is bad." in failed[0]["error"]


def test_progress_is_coalesced_and_its_range_is_checked(stub: Stub) -> None:
    run, kept = run_of(stub, 1)
    seen = threading.Event()
    stub.after = lambda call: seen.set() if "reports" in call.body else None

    def slow(task: Task) -> None:
        for percent in range(60):
            task.update(percent)
        with pytest.raises(ValueError, match="out of range"):
            task.update(101)
        assert seen.wait(30)
        assert (task.percent, kept.percent[0]) == (59, 59)

    assert run.work(slow).done == 1
    told = [call.body["reports"][run.uuid] for call in exchanges(stub) if "reports" in call.body]
    assert told == [[{"task": 0, "attempt": 1, "percentCompleted": 59.0}]]


def test_the_first_claim_takes_one_task_and_long_tasks_are_not_claimed_ahead(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfarm_worker._courier.AHEAD", 0.0)
    run, _ = run_of(stub, 5)
    run.work(lambda task: None)
    assert max(call.body["want"] for call in exchanges(stub)) == 1


def test_a_worker_registers_with_a_heartbeat_and_signs_off(stub: Stub) -> None:
    run, _ = run_of(stub, 1)
    run.work(lambda task: None, heartbeat=30)
    (worker,) = stub.workers.values()
    assert worker["heartbeat"] == 30
    assert stub.calls[-1].method == "DELETE"
    assert stub.calls[-1].path.endswith(worker["uuid"])


def test_a_long_task_is_shown_to_be_alive(stub: Stub) -> None:
    run, _ = run_of(stub, 1)
    beats: list[Seen] = []
    enough = threading.Event()

    def note(call: Seen) -> None:
        if "holding" in call.body:
            beats.append(call)
            if len(beats) == 3:
                enough.set()

    stub.after = note
    run.work(lambda task: enough.wait(30) and None, heartbeat=0.02)
    assert beats[0].body["holding"] == {run.uuid: [[0, 1]]}


def test_what_is_reported_is_not_held(stub: Stub) -> None:
    run, _ = run_of(stub, 300)
    run.work(lambda task: None, heartbeat=0.001)
    for call in exchanges(stub):
        done = call.body.get("done", {}).get(run.uuid, [])
        held = call.body.get("holding", {}).get(run.uuid, [])
        assert not {tuple(pair) for pair in done} & {tuple(pair) for pair in held}


def test_a_task_that_was_taken_away_is_marked_and_not_reported(stub: Stub) -> None:
    run, kept = run_of(stub, 1)

    def long(task: Task) -> str:
        if task.attempt == 1:
            kept.take_away(0)
            wait_until(lambda: task.cancelled)
            return "late"
        return "right"

    assert run.work(long, heartbeat=0.02) == Summary(done=1, dropped=1)
    assert [(one["attempt"], one["output"]) for one in kept.ended] == [(2, "right")]


def test_tasks_that_were_taken_away_before_they_began_are_not_begun(stub: Stub) -> None:
    run, kept = run_of(stub, 50)
    begun: list[tuple[int, int]] = []

    def work(task: Task) -> None:
        begun.append((task.number, task.attempt))
        if begun == [(0, 1), (1, 1)]:
            with stub.lock:
                kept.take_away(40)
                kept.status[40] = "cancelled"
            beats = len(exchanges(stub))
            wait_until(lambda: len(exchanges(stub)) > beats + 2)

    assert run.work(work, heartbeat=0.02).done == 49
    assert 40 not in [number for number, _ in begun]


def test_a_cancelled_run_ends_the_work(stub: Stub) -> None:
    run, kept = run_of(stub, 50)
    begun: list[int] = []

    def work(task: Task) -> None:
        begun.append(task.number)
        if len(begun) == 2:
            with stub.lock:
                kept.state = "cancelled"
                kept.status[:] = ["cancelled"] * 50
                kept.holder.clear()
            wait_until(lambda: task.cancelled)

    assert run.work(work, heartbeat=0.02) == Summary(done=1, dropped=1)
    assert begun == [0, 1]


def test_a_worker_waits_for_tasks_that_others_hold(stub: Stub) -> None:
    run, kept = run_of(stub, 2)
    kept.status[1] = "computing"
    asked: list[Seen] = []

    def give_back(call: Seen) -> None:
        asked.append(call)
        if len(asked) == 5:
            kept.status[1] = "waiting"

    stub.after = give_back
    assert run.work(lambda task: None).done == 2


def test_a_paused_run_is_waited_for(stub: Stub) -> None:
    run, kept = run_of(stub, 2)
    kept.state = "paused"
    asked: list[Seen] = []

    def resume(call: Seen) -> None:
        asked.append(call)
        if len(asked) == 3:
            kept.state = "active"

    stub.after = resume
    assert run.work(lambda task: None).done == 2


def test_no_task_is_begun_that_will_not_fit(stub: Stub) -> None:
    run, kept = run_of(stub, 30)
    left = iter([100.0] * 20)
    summary = run.work(lambda task: None, time_left=lambda: next(left, 0.0))
    assert 0 < summary.done < 30
    assert kept.status.count("done") == summary.done
    assert kept.status.count("waiting") == 30 - summary.done
    assert exchanges(stub)[0].body["timeLeft"] == 100


def test_a_worker_without_a_task_ends_with_its_time(stub: Stub) -> None:
    run, kept = run_of(stub, 3)
    kept.state = "paused"
    assert run.work(lambda task: None, time_left=0.5) == Summary()
    assert kept.status == ["waiting"] * 3


def test_the_batch_system_tells_the_time_left(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    run, kept = run_of(stub, 3)
    assert run.work(lambda task: None).done == 0
    assert kept.status == ["waiting"] * 3
    assert next(iter(stub.workers.values()))["labels"] == {"SLURM_JOB_ID": "4711"}


def test_a_deleted_run_ends_the_work_with_an_error(stub: Stub) -> None:
    run, _ = run_of(stub, 3)

    def delete(task: Task) -> None:
        stub.runs.clear()

    with pytest.raises(NotFoundError, match=r"1 report could not be delivered: it went with its"):
        run.work(delete)


def test_a_worker_that_the_server_forgot_registers_again(stub: Stub) -> None:
    run, kept = run_of(stub, 3)

    def forget(task: Task) -> None:
        if task.number == 0:
            stub.workers.clear()

    assert run.work(forget).done == 3
    assert kept.status == ["done"] * 3


@pytest.mark.parametrize("wrong", [{"processes": 0}, {"on_signal": "ignore"}])
def test_wrong_arguments_are_refused_before_any_work(stub: Stub, wrong: dict[str, object]) -> None:
    run, _ = run_of(stub)
    before = len(stub.calls)
    with pytest.raises(InvalidArgumentError):
        run.work(lambda task: None, **wrong)  # type: ignore[arg-type]
    assert len(stub.calls) == before


def wait_until(true: Callable[[], object]) -> None:
    """Wait for what another thread does next."""
    pause = threading.Event()
    for _ in range(6000):
        if true():
            return
        pause.wait(0.005)
    raise AssertionError("It did not happen.")
