"""On a real Slurm: whatever ends a job, its tasks are done exactly once, the books are right."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from taskfarm_worker import Farm, Run

from tests.cli.conftest import Said, counts, until
from tests.cluster.slurm import NODES, Slurm, wait_for
from tests.server import ROOT, Server, environment

pytestmark = pytest.mark.slurm

Script = Callable[..., str]

TASKS = 100
WORK = (
    "say() { echo $TASKFARM_TASK >> $1; }; say begun; until [ -e go ]; do sleep .1; done; say ended"
)
"""A command that is in its middle until the file `go` appears."""


@pytest.fixture
def run(farm: Farm) -> Run:
    """A run of such commands."""
    return farm.create_run(inputs=[WORK] * TASKS, name="tiles of May")


@pytest.fixture
def manage(farm_server: Server) -> Callable[..., str]:
    """Calls `manage.py` on the farm's database."""

    def call(*words: str) -> str:
        env = environment(farm_server.database_url, 0)
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def done_once(run: Run, manage: Callable[..., str]) -> Callable[..., None]:
    """Whether every task was done exactly once, by the farm's word and by the commands' own."""

    def check(*others: str) -> None:
        assert counts(run) == {"done": TASKS}
        ends = [(row["task"], row["outcome"]) for row in run.attempts()]
        assert Counter(task for task, how in ends if how == "done") == Counter(range(TASKS))
        assert {how for _, how in ends} <= {"done", "released", *others}
        assert sorted(numbers("ended")) == list(range(TASKS))
        assert "0 repaired" in manage("checktallies", run.uuid)  # else its exit code is 1

    return check


@pytest.fixture
def belongings(run: Run, manage: Callable[..., str]) -> Callable[[], list[dict[str, str]]]:
    """What the workers of the run have said of where they belong."""

    def call() -> list[dict[str, str]]:
        told = manage(
            "shell", "-v", "0", "-c",
            "import json; from runs.models import Worker; print(json.dumps([one.labels for one in "
            f"Worker.objects.filter(attempts__run__uuid='{run.uuid}').distinct()]))",
        )  # fmt: skip
        return json.loads(told)

    return call


def numbers(file: str) -> list[int]:
    """The tasks that have written into a file."""
    path = Path(file)
    return [int(one) for one in path.read_text().split()] if path.exists() else []


def begun(slurm: Slurm, count: int) -> None:
    """Wait until so many commands have begun."""
    wait_for(lambda: len(numbers("begun")) >= count, f"{count} commands to begin", slurm.log)


def finish(slurm: Slurm, *jobs: str) -> None:
    """Let commands end, and with them the jobs."""
    Path("go").touch()
    slurm.wait(*jobs)


def waiting(slurm: Slurm, job: str) -> list[str]:
    """The elements of an array that do not run."""
    return [element for element, state in slurm.states(job).items() if state == "PENDING"]


def all_given_back(run: Run) -> None:
    """What was held was given back by its farmers: the farm did not have to miss them."""
    assert counts(run) == {"waiting": TASKS}
    assert {row["outcome"] for row in run.attempts()} == {"released"}


def test_an_array_of_farmers(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[[], None],
    belongings: Callable[[], list[dict[str, str]]],
) -> None:  # fmt: skip
    job = slurm.submit(script(run.uuid, "--jobs", 3, "--proc", 2))
    begun(slurm, 6)  # each has two: they work at the same time
    finish(slurm, job)
    done_once()
    told = belongings()
    assert {one["SLURM_ARRAY_TASK_ID"] for one in told} == {"1", "2", "3"}
    assert {one["SLURM_ARRAY_JOB_ID"] for one in told} == {job}
    assert {one["SLURMD_NODENAME"] for one in told} <= set(NODES)


def test_a_farmer_on_every_node_by_srun(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[[], None],
    belongings: Callable[[], list[dict[str, str]]],
) -> None:  # fmt: skip
    job = slurm.submit(script(run.uuid, "--nodes", 2, "--proc", 3))
    begun(slurm, 6)
    finish(slurm, job)
    done_once()
    assert sorted(one["SLURMD_NODENAME"] for one in belongings()) == sorted(NODES)


@pytest.mark.parametrize("shape", [("--jobs", 2), ("--nodes", 2)], ids=["array", "srun"])
def test_scancel_gives_tasks_back_and_the_same_script_goes_on(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[[], None], shape: tuple[object, ...]
) -> None:
    text = script(run.uuid, *shape, "--proc", 2)
    job = slurm.submit(text)
    begun(slurm, 4)
    slurm.call("scancel", job)
    slurm.wait(job)
    all_given_back(run)
    finish(slurm, slurm.submit(text))
    done_once()


@pytest.mark.once
def test_the_signal_before_the_walltime_gives_tasks_back(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[[], None]
) -> None:
    """The walltime is cut when the work has begun, so that the farmers' own clocks know nothing."""
    text = script(run.uuid, "--proc", 2, "--time", "4:00:00")
    several = script(run.uuid, "--nodes", 2, "--proc", 2, "--time", "4:00:00")
    assert "#SBATCH --signal=B:USR1@60" in text
    jobs = [slurm.submit(text), slurm.submit(several)]
    begun(slurm, 6)
    for job in jobs:
        slurm.call("scontrol", "update", f"jobid={job}", "timelimit=1")
    slurm.wait(*jobs)
    all_given_back(run)
    for file in Path().glob("taskfarm_*/slurm-*.out"):
        assert "it got SIGUSR1" in file.read_text()
    finish(slurm, slurm.submit(text))
    done_once()


@pytest.mark.once
def test_a_node_goes_down_and_its_job_starts_again(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[[], None]
) -> None:
    # More than half of a node for each, so that each has a node of its own.
    job = slurm.submit(script(run.uuid, "--jobs", 2, "--proc", 5))
    begun(slurm, 10)
    slurm.call("scontrol", "update", "nodename=one", "state=down", "reason=test")
    until(lambda: counts(run) == {"computing": 5, "waiting": TASKS - 5})
    wait_for(lambda: waiting(slurm, job), "a job to be requeued", slurm.log)
    slurm.call("scontrol", "update", "nodename=one", "state=resume")
    # Slurm itself would wait for two minutes.
    slurm.call("scontrol", "update", f"jobid={waiting(slurm, job)[0]}", "starttime=now")
    begun(slurm, 15)
    finish(slurm, job)
    done_once()


@pytest.mark.once
def test_a_job_of_several_nodes_goes_on_without_one_that_goes_down(
    slurm: Slurm, run: Run, script: Script, done_once: Callable[..., None]
) -> None:
    job = slurm.submit(script(run.uuid, "--nodes", 2, "--proc", 3))
    begun(slurm, 6)
    slurm.call("scontrol", "update", "nodename=two", "state=down", "reason=test")
    try:
        # A farmer on a node that is gone says nothing: the farm misses it after half a minute.
        until(lambda: counts(run) == {"computing": 3, "waiting": TASKS - 3}, 120)
        assert slurm.states(job) == {job: "RUNNING"}
        finish(slurm, job)
    finally:
        slurm.call("scontrol", "update", "nodename=two", "state=resume")
    done_once("lost")


@pytest.mark.once
def test_jobs_through_psij(
    slurm: Slurm, run: Run, process: Callable[..., Said], done_once: Callable[[], None]
) -> None:
    pytest.importorskip("psij")
    words = ("launch", run.uuid, "--executor", "slurm", "--jobs", 2, "--proc", 2, "-w", "w")
    first = process(*words, env=slurm.environment)
    assert (first.code, len(first.lines)) == (0, 2), first.err
    begun(slurm, 4)
    slurm.call("scancel", *first.lines)
    slurm.wait(*first.lines)
    all_given_back(run)
    again = process(*words, env=slurm.environment)
    finish(slurm, *again.lines)
    done_once()


def test_as_many_jobs_as_the_backlog_asks_for(
    slurm: Slurm, run: Run, start: Callable[..., "subprocess.Popen[str]"],
    done_once: Callable[[], None],
) -> None:  # fmt: skip
    pytest.importorskip("psij")
    words = ("--elastic", "--max", 2, "--interval", 0.5, "--proc", 2, "-w", "w")
    launcher = start("launch", run.uuid, "--executor", "slurm", *words, env=slurm.environment)
    begun(slurm, 4)
    Path("go").touch()
    out, err = launcher.communicate(timeout=120)
    assert (launcher.returncode, out.splitlines()[-1]) == (0, "The run is over."), err
    assert out.count("submitted") == 2
    done_once()
