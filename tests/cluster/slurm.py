"""A Slurm of this machine alone: munged, slurmctld and two slurmd, which end with the tests.

All of them listen on loopback only, on ports and in a folder of their own.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.server import free_port

PROGRAMS = (
    "munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun",
)  # fmt: skip
NODES = ("one", "two")
CPUS = 8
"""Of each node, as Slurm is told: what runs on them sleeps most of its time."""

PATIENCE = 120.0
"""Seconds for anything that Slurm is to do; on a busy machine some of it takes long."""

CONFIGURATION = """
ClusterName=taskfarm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=0
MessageTimeout=60
SlurmdTimeout=600
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why there is no Slurm here, if there is none."""
    missing = [one for one in PROGRAMS if shutil.which(one) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    if os.getuid() != 0:
        return "Slurm's daemons start the jobs of others, which takes root"
    if not (on_loopback(socket.gethostname()) or may_unshare()):
        return "Slurm listens on the address of the host's name, and that is not on loopback"
    return None


def on_loopback(host: str) -> bool:
    """Whether the name of a host means loopback, and nothing else."""
    with suppress(OSError):
        return all(one.startswith("127.") for one in socket.gethostbyname_ex(host)[2])
    return False


def may_unshare() -> bool:
    """Whether processes can be given another host name."""
    return subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0


@dataclass
class Slurm:
    """A running cluster: its folder, and its daemons."""

    folder: Path
    host: str
    daemons: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's programs find it."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *words: str, text: str | None = None) -> str:
        """Call one of Slurm's programs, or another."""
        done = subprocess.run(
            words,
            input=text,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def submit(self, script: str) -> str:
        """Submit a script as `sbatch` takes it; answers the number of the job."""
        return self.call("sbatch", "--parsable", text=script).strip()

    def states(self, *jobs: str) -> dict[str, str]:
        """The states of what is left of jobs, elements of arrays each for itself."""
        words = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(jobs)}"]
        return dict(line.split() for line in self.call(*words).splitlines())

    def wait(self, *jobs: str) -> None:
        """Wait until nothing is left of jobs."""
        wait_for(lambda: not self.states(*jobs), f"jobs {jobs} to end", self.log)

    def log(self) -> str:
        """What the daemons have said last."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {one.name}\n{one.read_text()[-3000:]}" for one in files)

    def begin(self, name: str, *words: str) -> None:
        """Start a daemon in the foreground, as a child of ours."""
        named = [] if on_loopback(socket.gethostname()) else _renamed(self.host)
        with (self.folder / f"{name}.log").open("wb") as log:
            self.daemons.append(
                subprocess.Popen([*named, *words], env=self.environment, stdout=log, stderr=log)
            )

    def end(self) -> None:
        """Cancel what is left, and end the daemons, the last first."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.call("scancel", "--user=root")
            wait_for(lambda: not self.call("squeue", "--noheader"), "the last jobs", self.log)
        for one in reversed(self.daemons):
            one.terminate()
            with suppress(subprocess.TimeoutExpired):
                one.wait(30)
            one.kill()
            one.wait()


@contextmanager
def started() -> Iterator[Slurm]:
    """Start a cluster, and wait until its nodes are idle."""
    host = socket.gethostname() if on_loopback(socket.gethostname()) else "localhost"
    # Not in pytest's own folder: munged wants to be reached by everybody.
    with tempfile.TemporaryDirectory(prefix="taskfarm-slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Slurm(folder, host)
        _write(cluster)
        try:
            _begin(cluster)
            yield cluster
        finally:
            cluster.end()


def _write(cluster: Slurm) -> None:
    """Write the configuration and the key."""
    key = cluster.folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))
    nodes = [
        f"NodeName={node} NodeHostname={cluster.host} NodeAddr=127.0.0.1 Port={free_port()} "
        f"CPUs={CPUS} State=UNKNOWN"
        for node in NODES
    ]
    (cluster.folder / "state").mkdir()
    (cluster.folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=cluster.host, port=free_port(), folder=cluster.folder, nodes="\n".join(nodes)
        )
    )


def _begin(cluster: Slurm) -> None:
    folder = cluster.folder
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
    words = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    cluster.begin("munged", "munged", "--foreground", *words)
    wait_for((folder / "munge.socket").exists, "munged", cluster.log)
    cluster.begin("slurmctld", "slurmctld", "-D")
    for node in NODES:
        cluster.begin(f"slurmd-{node}", "slurmd", "-D", "-N", node)
    wait_for(lambda: _idle(cluster), "the nodes to be idle", cluster.log)


def _idle(cluster: Slurm) -> bool:
    """Whether all nodes are there."""
    for one in cluster.daemons:
        assert one.poll() is None, f"{one.args} has ended:\n{cluster.log()}"
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%T"], env=cluster.environment,
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    return done.stdout.split() == ["idle"] * len(NODES)


def _renamed(host: str) -> list[str]:
    """Words before a command that give it another host name."""
    return ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$@"', "sh"]


def wait_for(holds: Callable[[], object], what: str, log: Callable[[], str]) -> None:
    """Wait for an event that only a look at Slurm tells."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not in {PATIENCE:.0f} s\n{log()}"
        time.sleep(0.1)
