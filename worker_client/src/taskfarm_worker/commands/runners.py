"""Runners: how a command is run. By itself, in a shell, or in a container.

The interface is that of PyTaskFarmer: a class with `run(taskid, command, logfh)`, which returns
the exit code, and `terminate()`. Those of ours say in `launch` which process to start instead, and
the farmer starts it; so does any class of others that derives from `CommandRunner` and only says
that. A class with a `run` of its own is called in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from .._errors import InvalidArgumentError
from .launching import SHELL, arguments

__all__ = [
    "ApptainerRunner",
    "BasicRunner",
    "CommandRunner",
    "DockerRunner",
    "PodmanRunner",
    "Runner",
    "ShellRunner",
    "ShifterRunner",
    "SingularityRunner",
]


@dataclass
class Launch:
    """A process to start.

    Attributes:
        program: path of the program.
        words: its arguments, the name first.
        environment: what is added to the farmer's.
        folder: a temporary folder that is removed once the process has ended.
    """

    program: str
    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None


class Runner:
    """What PyTaskFarmer calls a runner. Derive from it to write one."""

    def run(self, taskid: int, command: str, logfh: IO[str]) -> int | None:
        """Run a command to its end.

        Args:
            taskid: number of the task.
            command: what to run.
            logfh: where its output goes.

        Returns:
            the exit code; 0 or None for success.
        """
        raise NotImplementedError

    def terminate(self) -> None:
        """End the command that is running; called when the farmer is to end."""


class CommandRunner(Runner):
    """A runner that makes a process of a command."""

    def __init__(self) -> None:
        """Prepare."""
        self.execute: subprocess.Popen[bytes] | None = None

    def launch(self, taskid: int, command: str) -> Launch:
        """Say which process to start.

        Args:
            taskid: number of the task.
            command: as the tasklist has it.

        Returns:
            the process.
        """
        raise NotImplementedError

    def run(self, taskid: int, command: str, logfh: IO[str]) -> int | None:
        """Run a command to its end, for callers that know PyTaskFarmer's interface only."""
        what = self.launch(taskid, command)
        added = {"PROC_NUMBER": str(taskid), **what.environment}
        try:
            self.execute = subprocess.Popen(
                what.words, executable=what.program, stdin=subprocess.DEVNULL, stdout=logfh,
                stderr=logfh, env={**os.environ, **added},
            )  # fmt: skip
            return self.execute.wait()
        finally:
            if what.folder is not None:
                shutil.rmtree(what.folder, ignore_errors=True)

    def terminate(self) -> None:
        """Kill the command that is running."""
        if self.execute is not None:
            self.execute.kill()


class BasicRunner(CommandRunner):
    """Runs the command as it is; by way of a shell only where it needs one."""

    def launch(self, taskid: int, command: str) -> Launch:
        """The program itself, or a shell."""
        return Launch(*arguments(command))


class ShellRunner(CommandRunner):
    """Runs every command in a shell, after some set-up."""

    def __init__(self, shell: str = SHELL, setup: str = "", tempdir: object = False) -> None:
        """Prepare.

        Args:
            shell: the shell, such as `/bin/bash`.
            setup: commands to run before the task's; if they fail, so does the task.
            tempdir: whether each task gets a temporary folder to run in, removed afterwards.
        """
        super().__init__()
        self.shell = _found(shell)
        self.setup = setup
        self.tempdir = truth(tempdir)

    def launch(self, taskid: int, command: str) -> Launch:
        """A shell."""
        folder = tempfile.mkdtemp(prefix="taskfarm-") if self.tempdir else None
        enter = f'cd "$TASKFARM_TEMPDIR" && {command}' if folder else command
        whole = f"{self.setup} && {enter}" if self.setup else enter
        added = {"TASKFARM_TEMPDIR": folder} if folder else {}
        return Launch(self.shell, [self.shell, "-c", whole], added, folder)


class ContainerRunner(CommandRunner):
    """What the runners of containers have in common: a command line around `bash -c`."""

    tool = ""

    def __init__(
        self,
        image: str,
        setup: str = "",
        volumes: str = "",
        tempdir: object = False,
        shell: str = "/bin/bash",
    ) -> None:
        """Prepare.

        Args:
            image: name of the image.
            setup: commands to run in it before the task's.
            volumes: what to bind, separated by spaces.
            tempdir: whether each task gets a temporary folder to run in, removed afterwards.
            shell: the shell in the image.
        """
        super().__init__()
        self.image = image
        self.setup = setup
        self.volumes = volumes.split()
        self.tempdir = truth(tempdir)
        self.shell = shell

    def options(self, folder: str | None) -> list[str]:
        """The options of the tool.

        Args:
            folder: a temporary folder for the task to run in.

        Returns:
            all words between the tool's name and the shell's.
        """
        raise NotImplementedError

    def launch(self, taskid: int, command: str) -> Launch:
        """The tool with its options, and the command in a shell in the image."""
        folder = tempfile.mkdtemp(prefix="taskfarm-") if self.tempdir else None
        whole = f"{self.setup} && {command}" if self.setup else command
        words = [self.tool, *self.options(folder), self.shell, "-c", whole]
        return Launch(_found(self.tool), words, {"BASH_ENV": ""}, folder)


class ShifterRunner(ContainerRunner):
    """Runs each command in a Shifter container."""

    tool = "shifter"

    def __init__(
        self,
        image: str,
        setup: str = "",
        volumes: str = "",
        modules: str = "",
        tempdir: object = False,
    ) -> None:
        """Prepare.

        Args:
            image: name of the image.
            setup: commands to run in it before the task's.
            volumes: what to bind, separated by spaces.
            modules: of Shifter, separated by spaces.
            tempdir: whether each task gets a temporary folder to run in, removed afterwards.
        """
        super().__init__(image, setup, volumes, tempdir)
        self.modules = modules.split()

    def options(self, folder: str | None) -> list[str]:
        """As PyTaskFarmer has them."""
        work = [f"--workdir={folder}"] if folder else []
        binds = [f"-V{volume}" for volume in self.volumes]
        modules = [f"-m{module}" for module in self.modules]
        return ["--image", self.image, *work, *binds, *modules, "--"]


class ApptainerRunner(ContainerRunner):
    """Runs each command with Apptainer, or Singularity where that is its name."""

    def __init__(self, image: str, options: str = "", **common: str) -> None:
        """Prepare.

        Args:
            image: file or address of the image.
            options: more options for `apptainer exec`, separated by spaces.
            common: see `ContainerRunner`.
        """
        super().__init__(image, **common)
        self.more = options.split()
        self.tool = "apptainer" if shutil.which("apptainer") else "singularity"

    def options(self, folder: str | None) -> list[str]:
        """Of `apptainer exec`."""
        work = ["--bind", folder, "--pwd", folder] if folder else []
        binds = [word for volume in self.volumes for word in ("--bind", volume)]
        return ["exec", *work, *binds, *self.more, self.image]


class DockerRunner(ContainerRunner):
    """Runs each command with Docker; the container ends with it."""

    tool = "docker"

    def __init__(self, image: str, options: str = "", **common: str) -> None:
        """Prepare.

        Args:
            image: name of the image.
            options: more options for `docker run`, separated by spaces.
            common: see `ContainerRunner`.
        """
        super().__init__(image, **common)
        self.more = options.split()

    def options(self, folder: str | None) -> list[str]:
        """Of `docker run`: the current folder is there, files belong to the user."""
        here = os.getcwd()
        work = folder or here
        binds = [f"{one}:{one}" for one in dict.fromkeys((here, work))] + self.volumes
        tasks = ("RUN", "TASK", "ATTEMPT", "INPUT", "WORKER")
        names = ["PROC_NUMBER", *(f"TASKFARM_{name}" for name in tasks)]
        return [
            "run", "--rm", "--init", *self.owner(), "--workdir", work,
            *(word for one in binds for word in ("--volume", one)),
            *(word for name in names for word in ("--env", name)),
            *self.more, self.image,
        ]  # fmt: skip

    def owner(self) -> list[str]:
        """Who the process in the container is."""
        return ["--user", f"{os.getuid()}:{os.getgid()}"]


class PodmanRunner(DockerRunner):
    """Runs each command with Podman."""

    tool = "podman"

    def owner(self) -> list[str]:
        """The user keeps the number that files outside have."""
        return ["--userns=keep-id"]


def truth(value: object) -> bool:
    """Read a switch from an *.ini file.

    Args:
        value: such as `True`, `yes`, `1`, `False`, `no`, `0`.

    Returns:
        whether it is on.

    Raises:
        InvalidArgumentError: it is neither.
    """
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0", "", "none"):
        return False
    raise InvalidArgumentError(f"tempdir is {value!r}; it must be True or False.")


def _found(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise InvalidArgumentError(f"This runner needs {tool}, which is not on PATH.")
    return path


SingularityRunner = ApptainerRunner
