"""`taskfarm`: from arguments to an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .._errors import TaskFarmError
from ._context import ERROR, Context
from ._parser import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run `taskfarm`.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        the exit code: 0 done, 1 failed (a line on stderr says why), 3 tasks have failed, 4 the run
        was cancelled, 75 stopped early with the tasks given back, 124 waited in vain, 130
        interrupted.

    Raises:
        SystemExit: with code 2 for wrong usage; with code 0 after --help and --version.
    """
    logging.basicConfig(format="taskfarm: %(message)s")
    args = parse(argv)
    if os.getpid() == 1:  # of a container: the kernel keeps from it what it does not handle
        signal.signal(signal.SIGTERM, _leave)
    try:
        code: int = args.do(Context(args))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TaskFarmError, OSError) as error:
        print(f"taskfarm: {' '.join(str(error).split())}", file=sys.stderr)
        return ERROR
    except (KeyboardInterrupt, EOFError):
        print("taskfarm: interrupted", file=sys.stderr)
        return 130
    return code


def _leave(number: int, frame: FrameType | None) -> None:
    """End as SIGTERM ends any other process."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
