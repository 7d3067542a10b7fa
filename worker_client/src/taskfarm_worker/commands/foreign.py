"""Runners of others, that run a command by themselves: each call in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType

from .runners import Runner


def fork(
    runner: Runner,
    number: int,
    command: str,
    log: int,
    surroundings: dict[bytes, bytes],
    lifeline: int,
) -> int:
    """Let a runner run a command in a new process, the leader of its own group.

    Args:
        runner: has PyTaskFarmer's interface.
        number: of the task.
        command: what to run.
        log: where output goes; open.
        surroundings: the environment.
        lifeline: what only the farmer may hold open: by its end others know of the farmer's.

    Returns:
        the pid.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # both do it, so that neither has to wait for the other
            os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        os.close(lifeline)
        _settle(runner, log, surroundings)
        with os.fdopen(os.dup(log), "w") as output:
            code = int(runner.run(number, command, output) or 0)
            code = code if code >= 0 else 128 - code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code % 256)


def _settle(runner: Runner, log: int, surroundings: dict[bytes, bytes]) -> None:
    """Make the new process look like any command's."""

    def terminate(number: int, frame: FrameType | None) -> None:
        runner.terminate()
        os._exit(128 + number)

    signal.set_wakeup_fd(-1)
    for one in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, terminate)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name, value in surroundings.items():
        os.environb[name] = value
