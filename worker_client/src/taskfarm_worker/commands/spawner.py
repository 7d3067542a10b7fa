"""From a task in hand to a running process: its log, its environment, its progress."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import signal
import time

from .._answers import Json
from .._courier import InHand
from .._errors import TaskFarmError
from .child import Child, written_progress
from .foreign import fork
from .guard import Guard
from .order import LINE
from .runners import CommandRunner, Launch, Runner
from .workdir import Workdir

LONGEST_INPUT = 100_000
"""Bytes of an input that fit into an environment; Linux takes 128 KiB per variable."""

PROGRESS_FD = 3

OURS = (
    errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS,
)  # fmt: skip
"""Errors of a start that the next task would meet, too."""


class HostError(TaskFarmError):
    """This machine cannot start commands at all: no room, no memory, too many processes."""


class Spawner:
    """Starts processes for a farmer."""

    def __init__(
        self,
        runner: Runner,
        workdir: Workdir,
        run: str,
        worker: str,
        poll: select.poll,
        guard: Guard,
    ) -> None:
        """Prepare.

        Args:
            runner: how a command is run.
            workdir: where logs go.
            run: UUID of the run.
            worker: UUID of the farmer.
            poll: where the pipes for progress are registered.
            guard: ends what is started here when this process was killed.
        """
        self._runner = runner
        self._workdir = workdir
        self._poll = poll
        self._guard = guard
        self._environment = dict(os.environb)
        self._environment.update({
            b"TASKFARM_RUN": run.encode(), b"TASKFARM_WORKER": worker.encode(),
            b"TASKFARM_PROGRESS_FD": b"%d" % PROGRESS_FD,
        })  # fmt: skip
        spawned = isinstance(runner, CommandRunner) and type(runner).run is CommandRunner.run
        self._spawned: CommandRunner | None = runner if spawned else None  # type: ignore[assignment]
        self._null = os.open(os.devnull, os.O_RDWR)
        self._pipes: dict[int, tuple[int, int]] = {}
        self._slots: dict[int, int] = {}
        self._logs = f"{workdir.logs}/log_"

    def start(self, hand: InHand, command: str, slot: int) -> Child:
        """Start a task.

        Args:
            hand: the task.
            command: what it runs.
            slot: the farmer's place for it.

        Returns:
            the process.

        Raises:
            HostError: this machine cannot start anything.
            OSError: the command cannot be started.
            TaskFarmError: the runner cannot start it.
        """
        log = self._open_log(*hand.key)
        self._guard.starting(slot, *hand.key)
        pid = 0
        try:
            one = self._start(hand, command, slot, log)
            pid = one.pid
        except OSError as error:
            if error.errno in OURS:
                raise HostError(f"no process can be started here: {error.strerror}.") from None
            raise
        finally:
            self._guard.started(slot, pid)
            if not pid:
                os.close(log)
        return one

    def hear(self, handle: int) -> tuple[int, float | None]:
        """Read what a command has told of its progress.

        Args:
            handle: a pipe that has something.

        Returns:
            the slot, and per cent or None.
        """
        with contextlib.suppress(BlockingIOError):
            return self._slots[handle], written_progress(os.read(handle, 4096))
        return self._slots[handle], None

    def close(self) -> None:
        """Close what is open."""
        for reader, writer in self._pipes.values():
            os.close(reader)
            os.close(writer)
        os.close(self._null)

    def _open_log(self, number: int, attempt: int) -> int:
        path = f"{self._logs}{number}"
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            if attempt > 1:  # what the attempt before has said is kept
                with contextlib.suppress(FileNotFoundError):
                    os.rename(path, f"{path}.{attempt - 1}")
            return os.open(path, flags, 0o666)
        except OSError as error:
            raise HostError(f"{path} cannot be written: {error.strerror}.") from None

    def _start(self, hand: InHand, command: str, slot: int, log: int) -> Child:
        number, attempt = hand.key
        surroundings = self._surroundings(number, attempt, hand.input)
        began, wall = time.monotonic(), time.time()
        folder = None
        if self._spawned is not None:
            launch = self._spawned.launch(number, command)
            folder = launch.folder
            pid = self._spawn(launch, surroundings, log, slot)
        else:
            pid = fork(self._runner, number, command, log, surroundings, self._guard.handle)
        line = hand.input.get(LINE) if isinstance(hand.input, dict) else None
        return Child(hand.key, pid, command, log, slot, line, folder, began, wall)

    def _spawn(self, launch: Launch, surroundings: dict[bytes, bytes], log: int, slot: int) -> int:
        """Start a process of its own group, with nothing of the farmer's but what it is given."""
        if launch.environment:
            added = {one.encode(): value.encode() for one, value in launch.environment.items()}
            surroundings = {**surroundings, **added}
        try:
            return os.posix_spawn(
                launch.program, launch.words, surroundings,
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, self._null, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, self._pipe(slot), PROGRESS_FD),
                ),
                setpgroup=0, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )  # fmt: skip
        except OSError:
            if launch.folder is not None:
                shutil.rmtree(launch.folder, ignore_errors=True)
            raise

    def _surroundings(self, number: int, attempt: int, given: Json) -> dict[bytes, bytes]:
        """The environment of a task; the same dictionary for all, as it is copied on the way."""
        env = self._environment
        env[b"PROC_NUMBER"] = env[b"TASKFARM_TASK"] = b"%d" % number
        env[b"TASKFARM_ATTEMPT"] = b"%d" % attempt
        text = given if isinstance(given, str) else "" if given is None else json.dumps(given)
        value = text.encode(errors="replace")
        env.pop(b"TASKFARM_INPUT_FILE", None)
        if len(value) > LONGEST_INPUT:
            path = self._workdir.logs / f"input_{number}"
            path.write_bytes(value)
            env[b"TASKFARM_INPUT_FILE"] = os.fsencode(path.absolute())
            value = b""
        env[b"TASKFARM_INPUT"] = value.replace(b"\0", b"")
        return env

    def _pipe(self, slot: int) -> int:
        """The writing end for the progress of the commands in a slot."""
        if slot not in self._pipes:
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._pipes[slot] = (reader, writer)
            self._slots[reader] = slot
            self._poll.register(reader, select.POLLIN)
        return self._pipes[slot][1]
