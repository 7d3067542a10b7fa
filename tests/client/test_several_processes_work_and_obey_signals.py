"""`Run.work` in several processes; SIGTERM and SIGINT; processes that are killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from stub_faults import stall
from taskfarm_stub import Exchange, Seen, Stub
from taskfarm_stub import Run as Kept
from taskfarm_worker import (
    NotFoundError,
    Run,
    ServerUnreachableError,
    Summary,
    Task,
    WorkerDiedError,
    connect,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked here")


def run_of(stub: Stub, tasks: int = 3) -> tuple[Run, Kept]:
    run = connect(stub.url, "user", "secret").create_run(tasks)
    return run, stub.runs[run.uuid]


def test_processes_share_the_tasks_and_add_up_what_they_did(stub: Stub) -> None:
    run, kept = run_of(stub, 60)
    stub.share = 5

    def work(task: Task) -> int:
        if task.number == 7:
            raise ValueError("no")
        return os.getpid()

    assert run.work(work, processes=3) == Summary(done=59, failed=1)
    pids = {one.get("output") for one in kept.ended} - {None}
    assert os.getpid() not in pids
    assert len(stub.workers) == 3
    assert sum(call.method == "DELETE" for call in stub.calls) == 3


def test_an_error_of_one_process_reaches_the_caller(stub: Stub) -> None:
    run, _ = run_of(stub)
    stub.runs.clear()
    with pytest.raises(NotFoundError):
        run.work(lambda task: None, processes=2)


def test_a_process_that_is_killed_is_replaced(stub: Stub) -> None:
    run, kept = run_of(stub, 20)

    def lose(call: Seen) -> None:
        """Give what killed workers hold back, as the real server does after a while."""
        pids = {worker["uuid"]: worker["pid"] for worker in stub.workers.values()}
        for number, holder in list(kept.holder.items()):
            if kept.attempt[number] == 1 and number == 4 and gone(pids[holder]):
                kept.take_away(4)

    stub.after = lose

    def work(task: Task) -> None:
        if (task.number, task.attempt) == (4, 1):
            os.kill(os.getpid(), signal.SIGKILL)

    stub.share = 1
    assert run.work(work, processes=2).done >= 1
    assert kept.status == ["done"] * 20
    assert kept.attempt[4] == 2
    assert len(stub.workers) == 3


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] == "Z"
    except OSError:
        return True


def test_processes_that_die_again_and_again_are_not_replaced_for_ever(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfarm_worker._work.MOST_DEATHS", 1)
    run, _ = run_of(stub, 20)
    with pytest.raises(WorkerDiedError, match="exit code -9"):
        run.work(lambda task: os.kill(os.getpid(), signal.SIGKILL), processes=2)


class Forked:
    """A child that works on a run in its main thread, and can be sent signals."""

    def __init__(self, work: Callable[[], Any]) -> None:
        context = multiprocessing.get_context("fork")
        self.reader, writer = context.Pipe(duplex=False)

        def live() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # In a shell's background, where these tests may run, it is ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                writer.send(work())
            except KeyboardInterrupt:
                writer.send("interrupted")

        self.process = context.Process(target=live)
        self.process.start()
        writer.close()

    def kill(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self) -> int | None:
        self.process.join(60)
        return self.process.exitcode


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_task_in_hand_finish_and_gives_the_rest_back(
    stub: Stub, processes: int, number: int
) -> None:
    run, kept = run_of(stub, 100)
    begun = multiprocessing.get_context("fork").Semaphore(0)
    go_on = multiprocessing.get_context("fork").Event()

    def work(task: Task) -> str:
        begun.release()
        assert go_on.wait(30)
        return "finished"

    child = Forked(lambda: run.work(work, processes))
    for _ in range(processes):
        assert begun.acquire(timeout=30)
    child.kill(number)
    wait_until_signalled(child)
    go_on.set()
    code = child.end()
    assert code == (-signal.SIGTERM if number == signal.SIGTERM else 0)
    assert "computing" not in kept.status
    assert [one["output"] for one in kept.ended] == ["finished"] * processes
    assert kept.status.count("waiting") == 100 - processes


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("signals", [1, 2])
def test_tasks_are_released_at_once_by_choice_or_by_a_second_signal(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, processes: int, signals: int
) -> None:
    monkeypatch.setattr("taskfarm_worker._work.SECOND_SIGNAL", 0.0)
    run, kept = run_of(stub, 100)
    begun = multiprocessing.get_context("fork").Semaphore(0)
    never = multiprocessing.get_context("fork").Event()

    def work(task: Task) -> None:
        task.update(40)
        begun.release()
        while not never.wait(0.1):
            pass

    on_signal = "release" if signals == 1 else "finish"
    child = Forked(lambda: run.work(work, processes, on_signal=on_signal))
    for _ in range(processes):
        assert begun.acquire(timeout=30)
    child.kill(signal.SIGTERM)
    if signals == 2:
        wait_until_signalled(child)
        child.kill(signal.SIGTERM)
    assert child.end() == -signal.SIGTERM
    assert kept.status == ["waiting"] * 100
    assert kept.percent.count(40) == processes


def wait_until_signalled(child: Forked) -> None:
    """Wait until no signal is pending any more in the process and its children."""
    pause = threading.Event()
    for _ in range(6000):
        pids = [child.process.pid, *children(child.process.pid)]
        if not any(pending(pid) for pid in pids):
            pause.wait(0.2)  # for the last of them to run its handler
            return
        pause.wait(0.005)
    raise AssertionError("The signal is still pending.")


def children(pid: int | None) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def pending(pid: int | None) -> bool:
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return bool(int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("unanswered", ["/worker", "/exchange"])
def test_a_signal_is_obeyed_soon_though_the_server_does_not_answer(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, processes: int, unanswered: str
) -> None:
    monkeypatch.setattr("taskfarm_worker._courier.GRACE", 0.5)
    run, _ = run_of(stub, 100)
    waiting = threading.Semaphore(0)

    def keep_waiting(exchange: Exchange) -> None:
        waiting.release()
        stall(exchange)

    stub.fault("POST", unanswered, *[keep_waiting] * 100)
    child = Forked(lambda: run.work(lambda task: None, processes))
    for _ in range(processes):
        assert waiting.acquire(timeout=30)
    begun = time.monotonic()
    child.kill(signal.SIGTERM)
    assert child.end() == -signal.SIGTERM
    assert time.monotonic() - begun < 15, "the stub lets go of a call after 30 s"


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_a_second_signal_waits_for_no_server_that_does_not_answer(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    processes: int, number: int, code: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("taskfarm_worker._work.SECOND_SIGNAL", 0.0)
    monkeypatch.setattr("taskfarm_worker._courier.QUICK", 0.2)
    run, _ = run_of(stub, 100)
    begun = multiprocessing.get_context("fork").Semaphore(0)
    never = multiprocessing.get_context("fork").Event()

    def work(task: Task) -> None:
        if task.number < processes:
            return  # with a report that cannot be delivered any more
        begun.release()
        never.wait(60)

    stub.share = 50
    child = Forked(lambda: run.work(work, processes))
    for _ in range(processes):
        assert begun.acquire(timeout=30)
    stub.fault("POST", "/exchange", *[stall] * 100)
    for worker in list(stub.workers):
        stub.fault("DELETE", f"/worker/{worker}", *[stall] * 100)
    signalled = time.monotonic()
    for _ in range(2):
        child.kill(number)
        wait_until_signalled(child)
    assert child.end() == code
    assert time.monotonic() - signalled < 10, "without a second signal it is 20 s"
    assert "Traceback" not in capfd.readouterr().err


def test_a_process_that_heeds_no_second_signal_is_killed(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfarm_worker._work.SECOND_SIGNAL", 0.0)
    monkeypatch.setattr("taskfarm_worker._work.LAST", 0.2)
    run, _ = run_of(stub, 2)
    begun = multiprocessing.get_context("fork").Semaphore(0)

    def work(task: Task) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        begun.release()
        time.sleep(60)

    stub.share = 1
    child = Forked(lambda: run.work(work, processes=2))
    for _ in range(2):
        assert begun.acquire(timeout=30)
    signalled = time.monotonic()
    for _ in range(2):
        child.kill(signal.SIGTERM)
        threading.Event().wait(0.3)  # two signals at once are one
    assert child.end() == -signal.SIGTERM
    assert time.monotonic() - signalled < 20, "the tasks take 60 s"


@pytest.mark.parametrize("number", [0, 3])
def test_last_reports_are_tried_for_some_seconds_after_a_signal(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("taskfarm_worker._courier.GRACE", 0.5)
    run, _ = run_of(stub, 100)

    def work(task: Task) -> None:
        if task.number == number:
            stub.fault("POST", "/exchange", *[stall] * 100)
            os.kill(os.getpid(), signal.SIGTERM)

    begun = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"could not be delivered: (its|their) task"):
        run.work(work)
    assert time.monotonic() - begun < 15, "the stub lets go of a call after 30 s"


def test_signals_have_their_old_meaning_after_the_work(stub: Stub) -> None:
    run, _ = run_of(stub)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run.work(lambda task: None)
    run.work(lambda task: None, processes=2)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_work_in_another_thread_leaves_signals_alone(stub: Stub) -> None:
    run, kept = run_of(stub)
    thread = threading.Thread(target=run.work, args=(lambda task: None,))
    thread.start()
    thread.join(60)
    assert kept.status == ["done"] * 3


def noop(task: Task) -> None:
    """Do nothing; can be pickled."""


def test_a_job_can_be_sent_to_a_process_that_is_not_forked(stub: Stub) -> None:
    from taskfarm_worker._work import Job, Shift

    run, kept = run_of(stub)
    job = pickle.loads(pickle.dumps(Job(run._server, run.uuid, noop)))
    assert Shift(job).work() == Summary(done=3)
    assert kept.status == ["done"] * 3
