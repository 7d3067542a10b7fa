"""`taskfarm`: from arguments to an exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .._errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    TaskFarmError,
    full,
    join,
    told,
)
from .._streams import complain, drop, own_exit_code
from ..commands import named
from . import _working
from ._context import ERROR, Context
from ._parser import parse

WORKING = (_working.run, _working.work)
"""Commands that do more than to print: what nobody reads of them is not all well."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `taskfarm`.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        the exit code: 0 done, 1 failed (a line on stderr says why), 3 tasks have failed, 4 the run
        or some of its tasks were cancelled, 75 stopped early with the tasks given back, 124 waited
        in vain, 130 interrupted.

    Raises:
        SystemExit: with code 2 for wrong usage; with code 0 after --help and --version.
    """
    logging.basicConfig(format="taskfarm: %(message)s")
    _prepare_streams()
    with own_exit_code():
        return _call(argv)


def _call(argv: Sequence[str] | None) -> int:
    """Do what the arguments say; whatever goes wrong is told in a line."""
    do = None
    try:
        args = _parsed(argv)
        do = args.do
        quiet = getattr(args, "quiet", False)
        named.log.setLevel(logging.ERROR if quiet else logging.NOTSET)  # of *.ini files
        if os.getpid() == 1:  # of a container: the kernel keeps from it what it does not handle
            signal.signal(signal.SIGTERM, _leave)
        code: int = do(Context(args))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        drop(sys.stdout)
        return 128 + signal.SIGPIPE if do in WORKING else 0
    except (TaskFarmError, OSError) as error:
        _complain(_in_words(error))
        return ERROR
    except (KeyboardInterrupt, EOFError) as error:
        _complain(join("interrupted", *told(error)))
        return 128 + getattr(error, "number", signal.SIGINT)
    return code


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; help that cannot be printed is an error like any other."""
    try:
        return parse(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def _complain(text: str) -> None:
    """Say what went wrong; if that is standard output, nothing of it is tried once more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except OSError as error:
        drop(sys.stdout)
        text = f"Output cannot be written: {error.strerror}."
    complain(f"taskfarm: {text}")


def _prepare_streams() -> None:
    """Let everything be printed somewhere, whatever it is, and whatever is closed."""
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:  # else the next file that is opened takes its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115  # to the end
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log may have what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")


def _in_words(error: Exception) -> str:
    """An error in a line; what a call was refused for, without the call, which nobody typed."""
    if isinstance(error, OSError) and full(error):
        return join(f"Output cannot be written: {error.strerror}.", *told(error))
    text = join(" ".join(str(error).split()), *told(error))
    if isinstance(error, (BadRequestError, ConflictError, NotFoundError)) and error.status:
        return text.partition(": ")[2] or text
    return text


def _leave(number: int, frame: FrameType | None) -> None:
    """End as SIGTERM ends any other process."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
