"""`launch` and `advise`: scripts for batch systems, jobs through PSI/J, and how many are needed."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from taskfarm_worker import Farm, InvalidArgumentError, Progress
from taskfarm_worker.cli._cluster import _only_here
from taskfarm_worker.commands.advice import advise
from taskfarm_worker.commands.jobs import wanted

from tests.cli.conftest import Said, counts, until
from tests.server import Server

Call = Callable[..., Said]


def shellcheck(script: str) -> None:
    """Hold a script against the linter of shell scripts."""
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--severity=warning", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("executor", ["slurm", "pbs", "lsf", "flux", "local"])
@pytest.mark.parametrize("nodes", [1, 4])
def test_scripts_are_sound(taskfarm: Call, farm: Farm, executor: str, nodes: int) -> None:
    run = farm.create_run(inputs=["true"], name="tiles of 'May'")
    shape = ("--jobs", 3 if nodes == 1 else 1, "--nodes", nodes, "--proc", 16, "--time", "4:00:00")
    said = taskfarm("launch", run.uuid, "--print", "--executor", executor, *shape, "--grace", 90)
    assert said.code == 0, said.err
    shellcheck(said.out)
    # Farmers end themselves in time wherever the batch system gives no warning.
    assert f"work {run.uuid} --proc 16" in said.out
    assert f"--timeout {4 * 3600 - 180}s" in said.out


def test_a_slurm_array_replaces_its_shell_and_gets_the_signal(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(1, template="true")
    shape = ("--jobs", 20, "--proc", 32, "--time", "1-00:00", "--queue", "long", "--set", "qos=low")
    lines = taskfarm("launch", run.uuid, "--print", *shape).lines
    for line in (
        "#SBATCH --array=1-20", "#SBATCH --time=24:00:00", "#SBATCH --signal=B:USR1@60",
        "#SBATCH --cpus-per-task=32", "#SBATCH --partition=long", "#SBATCH --qos=low",
    ):  # fmt: skip
        assert line in lines
    assert lines[-1].startswith("exec ")
    assert Path(f"taskfarm_{run.uuid[:12]}").is_dir()  # Slurm does not make it for its output


def test_an_address_that_only_this_machine_can_reach_is_warned_of(
    taskfarm: Call, farm: Farm, farm_server: Server
) -> None:
    run = farm.create_run(1, template="true")
    port = farm_server.url.rsplit(":", 1)[1].rstrip("/")
    for host in ("127.0.0.1", "localhost"):
        said = taskfarm("--url", f"http://{host}:{port}", "launch", run.uuid, "--print")
        assert said.out.startswith("#!")
        assert f"other nodes will not reach the farm at http://{host}:{port}/api/" in said.err
        assert "TASKFARM_URL, with the name of this machine" in said.err
    assert taskfarm("launch", run.uuid, "--print", "--executor", "local").err == ""
    assert taskfarm("launch", run.uuid, "--print", "--quiet").err == ""


@pytest.mark.parametrize(
    ("url", "near"),
    [("http://[::1]:5000/api/", True), ("http://127.1.2.3/api/", True),
     ("https://farm.example/api/", False), ("http://192.168.1.2:5000/api/", False)],
)  # fmt: skip
def test_addresses_of_this_machine_alone_are_known(url: str, near: bool) -> None:
    assert _only_here(url) is near


def test_each_farmer_of_a_job_of_several_nodes_gets_all_its_cores(
    taskfarm: Call, farm: Farm
) -> None:
    run = farm.create_run(1, template="true")
    said = taskfarm("launch", run.uuid, "--print", "--nodes", 5, "--proc", 32)
    assert "srun --nodes=5 --ntasks-per-node=1 --cpus-per-task=32 \\" in said.lines


@pytest.mark.parametrize(
    ("executor", "line"),
    [
        ("slurm", '#SBATCH --output="{}/a b 100%%/slurm-%j.out"'),
        ("pbs", '#PBS -o "{}/a b 100%/"'),
    ],
)
def test_a_folder_may_have_blanks_in_its_name(
    taskfarm: Call, farm: Farm, here: Path, executor: str, line: str
) -> None:
    run = farm.create_run(1, template="true")
    said = taskfarm("launch", run.uuid, "--print", "--executor", executor, "-w", "a b 100%")
    assert line.format(here) in said.lines
    shellcheck(said.out)
    said = taskfarm("launch", run.uuid, "--print", "--executor", executor, "-w", 'a"b')
    assert (said.code, "take another --workdir" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("executor", "lines"),
    [
        ("slurm", ['#SBATCH --account="a b#$X"', '#SBATCH --comment="x;y \'z\'"',
                   "#SBATCH --exclusive", "#SBATCH --gres=gpu:2,disk:1"]),
        ("pbs", ['#PBS -A "a b#$X"', '#PBS -comment "x;y \'z\'"', "#PBS -exclusive"]),
        ("lsf", ['#BSUB -P "a b#$X"', '#BSUB -comment "x;y \'z\'"', "#BSUB -exclusive"]),
        ("flux", []),
    ],
)  # fmt: skip
def test_values_with_blanks_and_signs_of_the_shell_arrive_whole(
    taskfarm: Call, farm: Farm, executor: str, lines: list[str]
) -> None:
    run = farm.create_run(1, template="true")
    Path("mine.ini").write_text("[my runner]\nRunner = ShellRunner\n")
    words = ("launch", run.uuid, "--print", "--executor", executor)
    given = ("--set", "comment=x;y 'z'", "--set", "exclusive", "--set", "gres=gpu:2,disk:1")
    said = taskfarm(*words, "--account", "a b#$X", *given, "--runner", "my runner")
    assert set(lines) <= set(said.lines)
    shellcheck(said.out)
    command = said.lines[-1].strip()
    assert "my runner" in shlex.split(command)
    if executor == "flux":
        submitted = shlex.split(said.lines[-2].rstrip("\\"))
        assert {"--bank=a b#$X", "--comment=x;y 'z'", "--exclusive"} <= set(submitted)


@pytest.mark.parametrize("executor", ["slurm", "pbs", "lsf"])
@pytest.mark.parametrize(
    "words", [["--account", 'a"b'], ["--queue", "a\nb"], ["--set", "qos=a\\b"],
              ["--set", "a b=c"], ["--set", "=x"], ["--account", ""]],
)  # fmt: skip
def test_values_that_a_directive_cannot_hold_are_refused(
    taskfarm: Call, farm: Farm, executor: str, words: list[str]
) -> None:
    run = farm.create_run(1, template="true")
    said = taskfarm("launch", run.uuid, "--print", "--executor", executor, *words)
    assert (said.code, said.out, words[0] in said.err) == (1, "", True), said.err


@pytest.mark.parametrize("words", [["--jobs", 0], ["--nodes", -1], ["--proc", 0], ["--time", "59"]])
def test_jobs_that_could_do_nothing_are_refused(
    taskfarm: Call, farm: Farm, words: list[object]
) -> None:
    run = farm.create_run(1, template="true")
    said = taskfarm("launch", run.uuid, "--print", *words)
    assert (said.code, said.out, str(words[0]) in said.err) == (1, "", True)


def test_jobs_that_no_farmer_would_begin_are_refused(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(1, template="true")
    Path("mine.ini").write_text("[known]\nRunner = ShellRunner\n")
    for words in (["--proc", 10_001], ["--runner", "unknown"]):
        said = taskfarm("launch", run.uuid, "--print", *words)
        assert (said.code, said.out, str(words[1]) in said.err.replace(",", "")) == (1, "", True)
    assert "--runner known" in taskfarm("launch", run.uuid, "--print", "--runner", "known").out


def test_the_name_of_a_job_is_no_option(taskfarm: Call, farm: Farm) -> None:
    for name, shown in (("--touch me", "touch-me"), ("--", "taskfarm-")):
        run = farm.create_run(1, template="true", name=name)
        said = taskfarm("launch", run.uuid, "--print", "--executor", "pbs")
        assert said.lines[1].startswith(f"#PBS -N {shown}")


def test_the_local_script_ends_as_its_farmers_do(taskfarm: Call, farm: Farm) -> None:
    run = farm.create_run(inputs=["echo $PROC_NUMBER >> out"] * 4)
    script = taskfarm("launch", run.uuid, "--print", "--executor", "local", "--jobs", 2).out
    nobody = {**os.environ, "TASKFARM_CONFIG": "/nonexistent"}
    failed = subprocess.run(["bash", "-c", script], capture_output=True, timeout=120, env=nobody)
    assert (failed.returncode, counts(run)) == (1, {"waiting": 4})
    subprocess.run(["bash", "-c", script], check=True, capture_output=True, timeout=120)
    assert counts(run) == {"done": 4}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_local_script_hands_signals_on(taskfarm: Call, farm: Farm, number: int) -> None:
    run = farm.create_run(inputs=["sleep 60"] * 4)
    shape = ("--executor", "local", "--jobs", 2, "--proc", 2)
    script = taskfarm("launch", run.uuid, "--print", *shape).out
    with subprocess.Popen(["bash", "-c", script], stderr=subprocess.DEVNULL) as running:
        until(lambda: counts(run) == {"computing": 4})
        running.send_signal(number)
        assert running.wait(60) == 75
    assert counts(run) == {"waiting": 4}


def test_jobs_are_submitted_through_psij(process: Call, farm: Farm) -> None:
    pytest.importorskip("psij")
    run = farm.create_run(inputs=["echo $TASKFARM_TASK > out_$TASKFARM_TASK"] * 6)
    said = process("launch", run.uuid, "--executor", "local", "--jobs", 2, "-n", 1, "-w", "w")
    assert (said.code, len(said.lines)) == (0, 2), said.err
    assert run.wait(60).done == 6
    refused = process("launch", run.uuid, "--executor", "paper")
    assert (refused.code, "no executor 'paper'" in refused.err) == (1, True)


def test_elastic_jobs_follow_the_backlog_to_its_end(process: Call, farm: Farm) -> None:
    pytest.importorskip("psij")
    run = farm.create_run(inputs=["true"] * 8)
    elastic = ("--elastic", "--min", 1, "--max", 2, "--interval", 0.2)
    said = process("launch", run.uuid, "--executor", "local", *elastic, "-n", 2, "-w", "w")
    assert (said.code, said.lines[-1]) == (0, "The run is over."), said.err
    assert counts(run) == {"done": 8}


def test_elastic_jobs_that_do_not_start_are_not_submitted_for_ever(
    process: Call, farm: Farm
) -> None:
    pytest.importorskip("psij")
    run = farm.create_run(3)  # without commands: every farmer ends at once with an error
    elastic = ("--elastic", "--min", 1, "--max", 1, "--interval", 0.2)
    said = process("launch", run.uuid, "--executor", "local", *elastic, "-w", "w")
    assert (said.code, "failed to start" in said.err) == (1, True), said.err
    assert 3 <= len(said.lines) <= 5
    assert counts(run) == {"waiting": 3}


def test_how_many_jobs_a_backlog_asks_for() -> None:
    def backlog(waiting: int, state: str = "active", computing: int = 0) -> Progress:
        return Progress(state, 100, waiting, computing, 0, 0, 0, 0.0)

    assert wanted(backlog(100), 8, 1, 50) == 13
    assert wanted(backlog(1000), 8, 1, 50) == 50
    assert wanted(backlog(1), 8, 3, 50) == 3
    assert wanted(backlog(0, computing=9), 8, 1, 50) == 2
    assert wanted(backlog(0, "finished"), 8, 1, 50) == 0
    assert wanted(backlog(100, "paused"), 8, 1, 50) == 0


def test_advice_is_rate_arithmetic_with_a_range() -> None:
    told = advise([100.0] * 50, left=3600, seconds=24 * 3600, proc=10, job_seconds=3600)
    # 3600 x 100 s = 100 core hours. A job does 10 x (3600 - 20 - 50) s.
    assert told.core_hours == (100, 100, 100)
    assert (told.jobs, told.fewest) == (11, 11)
    assert told.together == 1  # 24 jobs fit one after the other
    wide = advise([10.0, 200.0] * 25, left=3600, seconds=7200, proc=10, job_seconds=3600)
    assert wide.fewest < wide.jobs
    assert wide.together == -(-wide.jobs // 2)
    for wrong in ([], [1.0]):
        with pytest.raises(InvalidArgumentError, match="Too little"):
            advise(wrong, 1, 3600, 1, None)
    with pytest.raises(InvalidArgumentError, match="is over"):
        advise([1.0] * 9, 10, -5, 1, None)


@pytest.mark.parametrize(
    ("took", "until", "length", "told"),
    [
        (0.1, 10, None, r"of 10 s is too short .* need 62 s: .* Give a later --by\.$"),
        (7200.0, 86400, 3600, r"of 3600 s is too short .* need 10861 s: .* Give a longer --time\."),
        (0.1, 600, 3600, r"of 3600 s is too long to end in the 600 s until --by: give a shorter "),
    ],
)
def test_jobs_that_would_do_nothing_are_refused_with_what_to_change(
    took: float, until: float, length: float | None, told: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        advise([took] * 9, 10, until, 1, length)


def test_the_time_that_tasks_are_said_to_need_suffices() -> None:
    assert advise([7200.0] * 9, 10, 86400, 1, 10861).jobs >= 10
    assert advise([0.1] * 9, 10, 62, 1, None).jobs >= 1


def test_advice_is_based_on_the_runs_own_times(taskfarm: Call, process: Call, farm: Farm) -> None:
    run = farm.create_run(inputs=["sleep 0.1"] * 6)
    assert "Too little" in taskfarm("advise", run.uuid, "--by", "+2h").err
    assert process("work", run.uuid).code == 0
    assert taskfarm("advise", run.uuid, "--by", "+2h").out == "Nothing is left to be done.\n"
    none = taskfarm("advise", run.uuid, "--by", "+2h", "--json").json
    assert (none["measured"], none["left"], none["jobs"]) == (6, 0, 0)
    run.restart(everything=True)
    told = taskfarm("advise", run.uuid, "--by", "+2h", "--json").json
    assert (told["measured"], told["left"], told["jobs"]) == (6, 6, 1)
    assert told["mean"][0] >= 0.1
    assert none.keys() < told.keys()
    for wrong, code in (("--proc=0", 2), ("--proc=-3", 2), ("--proc=1000000", 2), ("--time=0", 1)):
        said = taskfarm("advise", run.uuid, "--by", "+2h", wrong)
        assert (said.code, said.out, wrong[:6] in said.err) == (code, "", True), said.err
    lines = taskfarm("advise", run.uuid, "--by", "+2h", "-n", 4).lines
    assert lines[-1].startswith(f"taskfarm launch {run.uuid} --executor slurm --jobs 1 --proc 4")
