"""What a pod of ``deploy/kubernetes`` runs, with what its secret holds, ended like on a drain."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from taskfarm_worker import Farm

from tests import factories
from tests.cli.conftest import counts, until
from tests.server import ROOT, Server

JOB = ROOT / "deploy" / "kubernetes" / "job.yaml"


def test_a_pod_that_is_evicted_gives_its_tasks_back(
    start: Callable[..., "subprocess.Popen[str]"], farm: Farm, farm_server: Server
) -> None:
    run = farm.create_run(inputs=["touch begun_$TASKFARM_TASK; sleep 1000"] * 4)
    pod = yaml.safe_load(JOB.read_text().replace("RUN", run.uuid))["spec"]["template"]["spec"]
    (farmer,) = pod["containers"]
    words = ["w" if one == "/work/run" else one for one in farmer["args"]]
    secret = {
        "TASKFARM_URL": farm_server.url,
        "TASKFARM_USER": "alice",
        "TASKFARM_PASSWORD": factories.PASSWORD,
        "TASKFARM_CONFIG": os.devnull,
    }
    running = start(*words, env={**os.environ, **secret})
    until(lambda: len(list(Path().glob("begun_*"))) == 4)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=pod["terminationGracePeriodSeconds"])
    assert running.returncode == 143, err
    assert counts(run) == {"waiting": 4}
    assert {row["outcome"] for row in run.attempts()} == {"released"}


@pytest.mark.once
def test_a_pod_knows_its_job_and_node() -> None:
    pod = yaml.safe_load(JOB.read_text())["spec"]["template"]["spec"]
    fields = {
        one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in pod["containers"][0]["env"]
    }
    assert fields == {
        "KUBERNETES_JOB": "metadata.labels['batch.kubernetes.io/job-name']",
        "KUBERNETES_NODE": "spec.nodeName",
    }


@pytest.mark.once
def test_a_pod_that_has_not_reached_its_farm_yet_ends_at_once() -> None:
    """The first process of a container gets only the signals that it handles."""
    unshared = ["unshare", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*unshared, "true"], capture_output=True).returncode:
        pytest.skip("unshare is not permitted here")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        secret = {"TASKFARM_URL": url, "TASKFARM_USER": "alice", "TASKFARM_PASSWORD": "secret"}
        words = [*unshared, sys.executable, "-m", "taskfarm_worker", "work", "da8eb1c1"]
        with subprocess.Popen(words, env={**os.environ, **secret}) as pod:
            call, _ = silent.accept()
            with call:
                first = Path(f"/proc/{pod.pid}/task/{pod.pid}/children").read_text()
                os.kill(int(first), signal.SIGTERM)
                assert pod.wait(20) == 143
