"""Blocks of code: those that a test can run are run, all others are at least well-formed."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import get_commands

from benchmarks.harness.paths import PEER_VENV
from docs._ext.farmdocs import commands
from runs import appending, queue, steering, tallies
from runs.models import Run, Worker
from runs.states import Outcome, TaskState
from tests import factories
from tests.docs import pages
from tests.server import Server, free_port, wait_until_up

MAKEFILE = pages.ROOT / "Makefile"
MADE_BY_READERS = {"deploy/tls", "deploy/production.env", "benchmarks/results/"}
SHELL = list(pages.blocks("bash", "sh"))
PYTHON = list(pages.blocks("python"))


@pytest.mark.once
def test_every_shell_block_is_well_formed() -> None:
    assert len(SHELL) > 20
    for block in SHELL:
        done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
        assert done.returncode == 0, f"{block.page}: {done.stderr}"


@pytest.mark.once
def test_every_python_block_is_well_formed() -> None:
    assert PYTHON
    for block in PYTHON:
        compile(block.code, block.page, "exec")


@pytest.mark.once
def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", MAKEFILE.read_text(), re.M))
    for page in pages.pages():
        code = re.findall(r"`([^`\n]+)`", page.read_text())
        code += [block.code for block in SHELL if block.page == pages.name(page)]
        for target in re.findall(r"(?:^|\s)make ([a-z]+)", "\n".join(code)):
            assert target in targets, f"{pages.name(page)}: make {target}"


@pytest.mark.once
def test_every_manage_command_and_option_exists() -> None:
    parsers = commands.farm_commands()
    for block in SHELL:
        for words in calls(block.code, "manage.py"):
            assert words[0] in get_commands(), f"{block.page}: {words[0]}"
            if words[0] in parsers:
                known = parsers[words[0]]._option_string_actions
                check_options(block, words[1:], set(known))


@pytest.mark.once
def test_every_option_of_manage_tf_exists() -> None:
    known = set(commands.client_parser()._option_string_actions)
    for block in SHELL:
        for words in calls(block.code, "manageTF"):
            check_options(block, words, known)


def calls(code: str, program: str) -> list[list[str]]:
    """The words behind each call of a program."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        words = [word.rstrip(")") for word in shlex.split(line, comments=True)]
        for place, word in enumerate(words):
            if word.split("/")[-1].removeprefix("RUN=$(") == program and words[place + 1 :]:
                found.append(words[place + 1 :])
    return found


def check_options(block: pages.Block, words: list[str], known: set[str]) -> None:
    """Each option among the words is a known one."""
    for word in words:
        if word.startswith("-"):
            assert word in known, f"{block.page}: {word}"


@pytest.mark.once
def test_files_that_the_pages_name_exist() -> None:
    for page in pages.pages():
        for path in re.findall(
            r"`((?:deploy|examples|benchmarks|runs|docs)/[\w./-]*)`", page.read_text()
        ):
            assert (pages.ROOT / path).exists() or path in MADE_BY_READERS, f"{page.name}: {path}"


@pytest.mark.once
@pytest.mark.parametrize(
    ("page", "file"),
    [("tutorial/index.md", "tutorial/first_worker.py"), ("howto/batch.md", "howto/tiles_worker.py"),
     ("howto/from-0.4.md", "howto/copy_run.py"), ("howto/python.md", "howto/measure_files.py"),
     ("howto/python.md", "howto/steps_worker.py"), ("howto/policies.md", "howto/careful_run.py")],
)  # fmt: skip
def test_a_program_on_a_page_is_the_one_that_is_tested(page: str, file: str) -> None:
    shown = [block.code for block in PYTHON if block.page == f"docs/{page}"]
    assert (pages.DOCS / file).read_text() in shown


@pytest.mark.once
def test_the_readme_leads_to_pages_that_can_be_read_in_place() -> None:
    linked = re.findall(r"\((docs/[^)#]*\.md)\)", pages.README.read_text())
    assert len(linked) > 10
    for path in linked:
        text = (pages.ROOT / path).read_text()
        assert not re.search(r"^(```|:::)\{|<!-- generated", text, re.M), path


# --- Real workers against a real server ---------------------------------------------------------


@pytest.fixture
def farm(server: Server) -> dict[str, str]:
    """The environment of a worker of alice's."""
    # The server runs with the real hashers, the tests with a fast one.
    hashed = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(username="alice").update(password=hashed)
    return {
        **os.environ,
        "TASKFARM_URL": server.api,
        "TASKFARM_USER": "alice",
        "TASKFARM_PASSWORD": factories.PASSWORD,
        "TASKFARM_CONFIG": os.devnull,
        "PYTHONPATH": str(pages.ROOT / "worker_client" / "src"),
    }


@pytest.fixture
def run(farm: dict[str, str]) -> Run:
    """A small run of alice's."""
    return factories.run(User.objects.get(username="alice"), 12)


def start(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start a worker."""
    return subprocess.Popen(
        command, env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a worker that must end well; answers what it printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_the_worker_in_curl_does_a_run(farm: dict[str, str], run: Run, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$1 $2" >> done.txt\n[ "$2" != 5 ]\n')
    program.chmod(0o755)
    script = str(pages.ROOT / "examples" / "worker.sh")
    workers = [start([script, run.uuid.hex, "./program", "word"], farm, tmp_path) for _ in range(2)]
    for worker in workers:
        finish(worker)
    lines = sorted((tmp_path / "done.txt").read_text().split("\n")[:-1])
    assert lines == sorted(f"word {number}" for number in range(12))
    counts = tallies.read(run.id)
    assert (counts.done, counts.failed) == (11, 1)
    factories.check_books(run)


def test_the_tutorials_worker_fails_where_it_says_and_succeeds_when_mended(
    farm: dict[str, str], tmp_path: Path
) -> None:
    run = factories.run(User.objects.get(username="alice"), 51)
    source = (pages.DOCS / "tutorial" / "first_worker.py").read_text()
    script = tmp_path / "first_worker.py"
    script.write_text(source.replace("time.sleep(0.1)", "time.sleep(0)"))
    command = [sys.executable, str(script), run.uuid.hex]
    assert len(finish(start(command, farm, tmp_path)).splitlines()) == 51
    failed = run.attempts.filter(outcome=Outcome.FAILED).order_by("number")
    assert [one.number for one in failed] == [0, 50]
    assert all(str(one.error).endswith("ZeroDivisionError: division by zero\n") for one in failed)
    tutorial = (pages.DOCS / "tutorial" / "index.md").read_text()
    look = [sys.executable, "-m", "taskfarm_worker", "failures", run.uuid.hex]
    first, second = finish(start(look, farm, tmp_path)).splitlines()
    assert first.replace("2 x", "4 x") in tutorial.splitlines()
    assert second.split(",")[0] in tutorial
    mend = next(line for line in tutorial.splitlines() if line.startswith("sed "))
    subprocess.run(shlex.split(mend), cwd=tmp_path, check=True)
    reset = [sys.executable, "-m", "taskfarm_worker.manage", run.uuid.hex, "--reset"]
    finish(start(reset, farm, tmp_path))
    assert finish(start(command, farm, tmp_path)).splitlines() == ["task 0", "task 50"]
    assert tallies.read(run.id).done == 51
    assert json.loads(str(run.attempts.get(number=50, attempt=2).output)) == 1.0


def test_the_readmes_commands_work_from_the_clone_beside_the_demonstration(
    farm: dict[str, str], server: Server, tmp_path: Path
) -> None:
    (block,) = [one.code for one in SHELL if one.page == "README.md" and "taskfarm run" in one.code]
    demo = "http://127.0.0.1:5000 --user demo"
    assert demo in block
    (tmp_path / ".venv").symlink_to(sys.prefix)  # the clone
    typed = block.replace(demo, f"{server.url} --user alice").replace("sleep %s", "sleep 0.%s")
    shell = {name: value for name, value in farm.items() if not name.startswith("TASKFARM_")}
    shell |= {"PATH": os.defpath, "HOME": str(tmp_path), "TASKFARM_CONFIG": str(tmp_path / "c.ini")}
    done = subprocess.run(
        ["bash", "-e", "-c", typed], input=factories.PASSWORD + "\n",
        cwd=tmp_path, env=shell, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert tallies.read(Run.objects.get().id).done == 5


@pytest.mark.once
def test_the_lines_for_completion_are_right_in_each_shell(
    farm: dict[str, str], tmp_path: Path
) -> None:
    (block,) = [one.code for one in SHELL if "taskfarm completion" in one.code]
    (tmp_path / "taskfarm").write_text(f'#!/bin/sh\n{sys.executable} -m taskfarm_worker "$@"\n')
    (tmp_path / "taskfarm").chmod(0o755)
    farm["PATH"] = f"{tmp_path}{os.pathsep}{farm['PATH']}"
    asked = {"bash": "complete -p taskfarm", "zsh": "autoload -Uz compinit; compinit -u",
             "fish": "complete -c taskfarm"}  # fmt: skip
    lines = dict(zip(asked, block.splitlines(), strict=True))
    for shell in filter(shutil.which, asked):
        typed = [lines[shell], asked[shell]]
        done = subprocess.run(
            [shell, "-c", "\n".join(typed[::-1] if shell == "zsh" else typed)],
            cwd=tmp_path, env={**farm, "HOME": str(tmp_path)}, text=True, capture_output=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), shell
        assert shell == "zsh" or "taskfarm" in done.stdout


@pytest.mark.once
def test_the_tutorial_leads_to_the_command_line() -> None:
    tutorial = (pages.DOCS / "tutorial" / "index.md").read_text()
    assert "(../howto/commands.md)" in tutorial.split("## Where to go from here")[1]
    assert "taskfarm failures $RUN" in tutorial


TILES = """
import time
def process(task, progress):
    if task == 3:
        raise OSError("no such tile")
    progress(40)
    print(task, flush=True)
    while task == 7:
        time.sleep(0.05)
"""


def test_the_batch_worker_reports_failures_and_gives_its_task_back_when_time_is_over(
    farm: dict[str, str], run: Run, tmp_path: Path
) -> None:
    (tmp_path / "tiles.py").write_text(TILES)
    farm["PYTHONPATH"] += os.pathsep + str(tmp_path)
    script = str(pages.DOCS / "howto" / "tiles_worker.py")
    worker = start([sys.executable, script, run.uuid.hex], farm, tmp_path)
    assert worker.stdout
    while worker.stdout.readline() != "7\n":
        pass
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == -signal.SIGTERM
    task = run.tasks.get(number=7)
    assert (task.state, task.percent, task.worker) == (TaskState.WAITING, 40, None)
    counts = tallies.read(run.id)
    assert (counts.done, counts.failed, counts.computing, counts.waiting) == (6, 1, 0, 5)
    factories.check_books(run)


def copy_run(uuid: str, old: str, new: str, farm: dict[str, str], folder: Path) -> Run:
    """The run that the page's program makes on the new server of the one on the old server."""
    script = (pages.DOCS / "howto" / "copy_run.py").read_text()
    asked = 'return input("User: "), getpass.getpass()'
    assert asked in script
    copy = folder / "copy_run.py"
    copy.write_text(script.replace(asked, f"return 'alice', {factories.PASSWORD!r}"))
    made = finish(start([sys.executable, str(copy), uuid, old, new], farm, folder))
    return Run.objects.get(uuid=made.strip())


def test_a_run_is_copied_from_one_server_to_another(
    farm: dict[str, str], run: Run, server: Server, tmp_path: Path
) -> None:
    worker = factories.worker(run.owner)
    factories.advance(run, worker, done=2, failed=1, computing=1)
    queue.report_progress(run=run, number=3, percent=30)
    new = copy_run(run.uuid.hex, server.api, server.api, farm, tmp_path)
    states = [task.state for task in new.tasks.order_by("number")]
    assert states == [TaskState.DONE] * 2 + [TaskState.WAITING] * 10
    assert new.tasks.get(number=3).percent == 30
    factories.check_books(new)


def script(name: str, *arguments: object) -> list[str]:
    """How a script of the how-to guides is called."""
    return [sys.executable, str(pages.DOCS / "howto" / name), *map(str, arguments)]


def test_files_are_measured_in_four_processes(farm: dict[str, str], tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("line\n" * number)
    worker = start(script("measure_files.py", *(f"{n}.txt" for n in range(10))), farm, tmp_path)
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, err
    assert out.splitlines()[1:] == [
        "9 done, 2 failed attempts", *(f"{number}.txt {5 * number} {number}" for number in range(9))
    ]  # fmt: skip
    assert "9.txt FileNotFoundError" in err
    run = Run.objects.get()
    assert run.attempts.get(number=9, attempt=2).log_tail == "reading 9.txt\n"
    factories.check_books(run)


def test_a_long_task_goes_on_where_it_was_left(
    farm: dict[str, str], run: Run, tmp_path: Path
) -> None:
    queue.report_progress(run=run, number=3, percent=70)
    assert finish(start(script("steps_worker.py", run.uuid.hex), farm, tmp_path)) == ""
    steps = {folder.name: len(list(folder.iterdir())) for folder in tmp_path.glob("task-*")}
    assert steps == {f"task-{number}": 3 if number == 3 else 10 for number in range(12)}
    assert json.loads(str(run.attempts.get(number=3).output)) == "task-3"
    factories.check_books(run)


def test_the_careful_run_gets_the_policy_that_it_asks_for(
    farm: dict[str, str], tmp_path: Path
) -> None:
    uuid = finish(start(script("careful_run.py"), farm, tmp_path)).strip()
    run = Run.objects.get(uuid=uuid)
    assert (run.num_tasks, run.error_attempts, run.backoff) == (10_000, 3, 30)
    assert (run.task_timeout, run.canary_tasks, run.canary_percent) == (7200, 20, 90)
    assert run.expire_at is not None
    assert not run.released


# --- The worker in curl and jq, on the exchange --------------------------------------------------

EXCHANGE_WORKER = str(pages.ROOT / "examples" / "exchange_worker.sh")
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


def program(folder: Path, *lines: str) -> str:
    """A program to do the work."""
    path = folder / "program"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return "./program"


@needs_jq
def test_the_exchange_worker_does_a_run_with_inputs_outputs_and_logs(
    farm: dict[str, str], tmp_path: Path
) -> None:
    run = factories.run(User.objects.get(username="alice"), 0)
    values = [{"x": 1}, 'a "quoted" text', None, [1.5], "fails"]
    appending.append(run=run, values=values)
    work = program(
        tmp_path, 'echo "$2 of $1" >&2', '[ "$2" != 4 ] || { printf "\\377 oops" >&2; exit 3; }',
        '[ "$2" = 2 ] || echo "$TASKFARM_INPUT"',
    )  # fmt: skip
    workers = [start([EXCHANGE_WORKER, run.uuid.hex, work, "w"], farm, tmp_path) for _ in range(2)]
    for worker in workers:
        finish(worker)
    kept = {one.number: one for one in run.attempts.all()}
    assert [json.loads(kept[number].output or "null") for number in range(4)] == values[:4]
    assert kept[1].log_tail == "1 of w\n"
    assert (kept[4].outcome, kept[4].exit_code) == (Outcome.FAILED, 3)
    assert "oops" in str(kept[4].log_tail)
    assert all(worker.heartbeat == 10 and worker.gone for worker in Worker.objects.all())
    factories.check_books(Run.objects.get())


@needs_jq
def test_the_exchange_worker_gives_its_task_back_when_it_is_ended(
    farm: dict[str, str], run: Run, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "begun")
    work = program(tmp_path, "echo yes > begun", "exec sleep 60")
    worker = start([EXCHANGE_WORKER, run.uuid.hex, work], farm, tmp_path)
    assert (tmp_path / "begun").read_text() == "yes\n"
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 143
    counts = tallies.read(run.id)
    assert (counts.waiting, counts.computing) == (12, 0)
    assert run.attempts.get().outcome == Outcome.RELEASED


@needs_jq
def test_the_exchange_worker_stops_what_was_taken_away(
    farm: dict[str, str], run: Run, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "begun")
    quick = tmp_path / "worker.sh"
    quick.write_text(Path(EXCHANGE_WORKER).read_text().replace("heartbeat=10", "heartbeat=1"))
    quick.chmod(0o755)
    work = program(tmp_path, "echo yes > begun", "exec sleep 60")
    worker = start([str(quick), run.uuid.hex, work], farm, tmp_path)
    assert (tmp_path / "begun").read_text() == "yes\n"
    steering.cancel(run=run, who="alice")
    finish(worker)
    assert tallies.read(run.id).cancelled == 12
    assert run.attempts.get().outcome == Outcome.CANCELLED
    factories.check_books(run)


OLD_USER = f"""
import taskfarm
with taskfarm.app.app_context():
    taskfarm.db.create_all()
    user = taskfarm.User(username="alice")
    user.hash_password({factories.PASSWORD!r})
    taskfarm.db.session.add(user)
    taskfarm.db.session.commit()
"""


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[str]:
    """The published taskfarm 0.4.0 as a real server; `make bench` installs it."""
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        pytest.skip("needs taskfarm 0.4.0: make bench BENCH_ARGS=--quick")
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/old.db", "SECRET_KEY": "s" * 40}
    subprocess.run([python, "-c", OLD_USER], env=environment, cwd=tmp_path, check=True)
    port = free_port()
    command = [python, "-m", "gunicorn", "taskfarm:app", "--bind", f"127.0.0.1:{port}"]
    with (tmp_path / "old.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=log, stderr=log
        )  # fmt: skip
    try:
        wait_until_up(Server(port, "", process, tmp_path / "old.log"))  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{port}/api/"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.once
def test_a_run_is_taken_along_from_a_real_0_4_0(
    farm: dict[str, str], server: Server, old_server: str, tmp_path: Path
) -> None:
    with requests.Session() as http:
        login = ("alice", factories.PASSWORD)
        token = http.get(f"{old_server}token", auth=login).json()["token"]
        http.auth = (token, "")
        uuid = http.post(f"{old_server}run", json={"numTasks": 4}).json()["uuid"]
        worker = {"uuid": "0" * 32, "hostname": "n", "pid": 1}
        http.post(f"{old_server}worker", json=worker).raise_for_status()
        tasks = f"{old_server}runs/{uuid}/tasks/"
        for state in ({"status": "done", "percentCompleted": 100}, {"percentCompleted": 30}):
            body = {"worker_uuid": worker["uuid"]}
            number = http.post(f"{old_server}runs/{uuid}/task", json=body).json()["task"]
            http.put(f"{tasks}{number}", json=state).raise_for_status()
    new = copy_run(uuid, old_server, server.api, farm, tmp_path)
    found = [(task.state, task.percent) for task in new.tasks.order_by("number")]
    waiting = TaskState.WAITING
    assert found == [(TaskState.DONE, 100), (waiting, 30), (waiting, 0), (waiting, 0)]
    factories.check_books(new)
