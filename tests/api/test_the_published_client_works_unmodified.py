"""``taskfarm-worker==0.4.0`` from PyPI: a real process, real HTTP, a real gunicorn."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from runs import lifecycle
from runs.models import Run, Task, Worker
from tests import factories
from tests.server import Server

# As printed in the paper of the published taskfarm; only the four values in capitals are put in.
SKELETON = """
from taskfarm_worker import TaskFarmWorker

# connect to taskfarm
tf = TaskFarmWorker('USER','SECRET',
                    'UUID',
                    url_base='URL')
print(tf.percentDone)

# loop over the tasks
for t in tf.tasks:
    print("worker _{}_ processing task _{}".format(tf.worker_uuid,t))
    # do some work
    # update the percentage done
    tf.update(50)
    # do some more work and update percentage
    tf.update(100)
    # mark task as completed
    tf.done()
"""
CLASSES = """
import json, sys
from taskfarm_worker import TaskFarm, TaskFarmWorker, tfRuns

user, secret, url = sys.argv[1:]
said = {}

def refused(action):
    try:
        action()
    except RuntimeError as error:
        return str(error)[:10]
    return "nothing was refused"

tf = TaskFarm(user, secret, numTasks=4, url_base=url)
said["uuid"], said["numTasks"] = tf.uuid, tf.numTasks
said["listed"] = [[run["uuid"], run["numTasks"]] for run in tfRuns(user, secret, url_base=url)]
said["fresh"] = [tf.percentDone, tf.numWaiting, tf.numComputing, tf.numDone]

tf.setTaskInfo(3, "percentCompleted", 40)
tf.setTaskInfo(2, "status", "done")
said["task 3"] = [tf.getTaskInfo(3, "percentCompleted"), tf.getTaskInfo(3, "status")]
said["task 2"] = tf.getTaskInfo(2, "")["status"]

worker = TaskFarmWorker(user, secret, tf.uuid, url_base=url)
said["worker"] = worker.worker_uuid
said["first"] = worker.task
worker.update(10)
said["computing"] = [tf.percentDone, tf.numWaiting, tf.numComputing, tf.numDone]
worker.done()                      # below 100 %: let go of, but not done
said["let go of"] = tf.getTaskInfo(0, "status")
said["second"] = worker.task
worker.update(100)
worker.done()
said["done"] = tf.getTaskInfo(1, "status")

tf.restart()
said["restarted"] = [tf.percentDone, tf.numWaiting, tf.numComputing, tf.numDone]
said["all others"] = []
for number in worker.tasks:
    said["all others"].append(number)
    worker.update(100)
    worker.done()
said["over"] = [tf.percentDone, tf.numWaiting, tf.numComputing, tf.numDone, worker.task]
tf.restart(everything=True)
said["everything"] = [tf.percentDone, tf.numWaiting, tf.numComputing, tf.numDone]

again = TaskFarm(user, secret, uuid=tf.uuid, url_base=url)
said["opened"] = [again.uuid, again.numTasks]
said["refused"] = [
    refused(lambda: TaskFarm(user, "wrong", numTasks=1, url_base=url)),
    refused(lambda: TaskFarm(user, secret, uuid="0" * 32, url_base=url)),
    refused(lambda: TaskFarm(user, secret, numTasks=-1, url_base=url)),
    refused(lambda: tf.info("blub")),
    refused(lambda: tf.setTaskInfo(0, "status", "blub")),
    refused(lambda: tf.setTaskInfo(0, "blub", 1)),
    refused(lambda: TaskFarmWorker(user, secret, "0" * 32, url_base=url)),
    refused(lambda: tfRuns(user, "wrong", url_base=url)),
]
tf.delete()
said["deleted"] = [refused(lambda: tf.percentDone), refused(tf.delete)]
print(json.dumps(said))
"""

Program = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(published_client: Path, server: Server) -> Start:
    """Starts a program of the client's environment, without anything of ours on its path."""

    def popen(program: str, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [published_client / program, *arguments], cwd=published_client, text=True,
            env={"PATH": str(published_client)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return popen


@pytest.fixture
def program(start: Start) -> Program:
    """Runs a program of the client's environment to its end; answers what it wrote."""

    def run(name: str, *arguments: str) -> str:
        out, err = start(name, *arguments).communicate(timeout=120)
        assert err == ""
        return out

    return run


@pytest.fixture
def manage(program: Program, server: Server) -> Program:
    """Runs ``manageTF`` as alice."""
    given = ("-b", server.api, "-u", "alice", "-p", factories.PASSWORD)
    return lambda *arguments: program("manageTF", *given, *arguments)


def alices(num_tasks: int) -> Run:
    """A run of alice's."""
    return factories.run(User.objects.get(username="alice"), num_tasks)


def test_its_classes_do_all_that_they_promise(program: Program, server: Server) -> None:
    said = json.loads(program("python", "-c", CLASSES, "alice", factories.PASSWORD, server.api))
    assert said == {
        "uuid": said["uuid"],
        "numTasks": 4,
        "listed": [[said["uuid"], 4]],
        "fresh": [0.0, 4, 0, 0],
        "task 3": [40.0, "waiting"],
        "task 2": "done",
        "worker": Worker.objects.get().uuid.hex,
        "first": 0,
        # (10 + 0 + 100 + 40) / 4
        "computing": [37.5, 2, 1, 1],
        "let go of": "computing",
        "second": 1,
        "done": "done",
        "restarted": [62.5, 2, 0, 2],
        "all others": [0, 3],
        "over": [100.0, 0, 0, 4, None],
        "everything": [0.0, 4, 0, 0],
        "opened": [said["uuid"], 4],
        "refused": [
            "[HTTP 401]", "[HTTP 404]", "[HTTP 400]", "[HTTP 404]", "[HTTP 400]", "[HTTP 400]",
            "[HTTP 404]", "[HTTP 401]",
        ],
        "deleted": ["[HTTP 404]", "[HTTP 404]"],
    }  # fmt: skip
    assert not Run.objects.exists()


def test_manage_lists_shows_resets_and_deletes(manage: Program) -> None:
    run, other = alices(4), alices(2)
    worker = factories.worker(run.owner)
    factories.advance(run, worker, done=1, computing=1)
    lifecycle.change_task(run=run, number=1, percent=50)
    uuid = run.uuid.hex

    expected = f"{run.id} {uuid} 4\n{other.id} {other.uuid.hex} 2\n"
    assert manage("-l") == manage("--list") == expected
    assert manage("-i", uuid) == f"{run.id} {uuid} 4 (2,1,1) 37.5\n"
    assert manage(uuid) == ""
    assert manage("-r", uuid) == ""
    assert manage("-i", uuid) == f"{run.id} {uuid} 4 (3,0,1) 37.5\n"
    assert manage("-R", uuid) == ""
    assert manage("-i", uuid) == f"{run.id} {uuid} 4 (4,0,0) 0.0\n"
    factories.check_books(run)
    assert manage("-d", uuid) == ""
    assert manage("-l") == f"{other.id} {other.uuid.hex} 2\n"


def test_manage_ends_with_the_refusal_of_the_server(start: Start, server: Server) -> None:
    for arguments, reason in (
        (["-u", "alice", "-p", "wrong", "-l"], "[HTTP 401]"),
        (["-u", "alice", "-p", factories.PASSWORD, "-i", "0" * 32], "[HTTP 404]"),
    ):
        process = start("manageTF", "-b", server.api, *arguments)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert reason in err.splitlines()[-1]


def skeleton(run: Run, server: Server) -> str:
    """The paper's program with this farm's values."""
    text = SKELETON
    values = {
        "USER": "alice", "SECRET": factories.PASSWORD, "UUID": run.uuid.hex, "URL": server.api,
    }  # fmt: skip
    for name, value in values.items():
        text = text.replace(f"'{name}'", f"'{value}'")
    return text


def test_the_papers_skeleton_worker_runs_as_printed(program: Program, server: Server) -> None:
    run = alices(5)
    lines = program("python", "-c", skeleton(run, server)).splitlines()
    worker = Worker.objects.get().uuid.hex
    assert lines == ["0.0", *(f"worker _{worker}_ processing task _{n}" for n in range(5))]
    assert set(Task.objects.filter(run=run).values_list("state", "percent")) == {(2, 100.0)}
    factories.check_books(run)


def test_two_skeleton_workers_share_a_run(start: Start, server: Server) -> None:
    run = alices(60)
    workers = [start("python", "-u", "-c", skeleton(run, server)) for _ in range(2)]
    written = [worker.communicate(timeout=120) for worker in workers]
    assert [err for _, err in written] == ["", ""]
    lines = [out.splitlines()[1:] for out, _ in written]
    numbers = [int(line.rpartition("_")[2]) for line in lines[0] + lines[1]]
    # Each task once, whoever got it, and each worker in rising order.
    assert sorted(numbers) == list(range(60))
    for part in (numbers[: len(lines[0])], numbers[len(lines[0]) :]):
        assert part == sorted(part)
    assert set(run.tasks.values_list("state", "attempt")) == {(2, 1)}
    assert set(run.tasks.values_list("worker__uuid", flat=True)) == set(
        Worker.objects.values_list("uuid", flat=True)
    )
    factories.check_books(run)
