"""How attempts ended, encoded as soon as they end, so that what cannot be sent is noticed there."""

from __future__ import annotations

import json
import subprocess
import time
import traceback
from typing import NamedTuple

from ._answers import Json
from ._errors import InvalidArgumentError
from ._session import plain
from ._task import Task

MOST_OUTPUT = 256 * 1024
MOST_ERROR = 64 * 1024

Key = tuple[int, int]
"""A task's number and an attempt's."""

Span = tuple[float, float]
"""How long an attempt took, and when it ended; seconds, by the monotonic clock of this process."""


class Done(NamedTuple):
    """An attempt that succeeded with nothing to tell."""

    key: Key
    span: Span

    def text(self, now: float) -> str:
        """Put it as an exchange has it.

        Args:
            now: the time, by the same clock.

        Returns:
            JSON.
        """
        (task, attempt), (took, ended) = self
        return f"[{task}, {attempt}, {took:.6f}, {now - ended:.6f}]"


class Told(NamedTuple):
    """A report on the end of an attempt, with its JSON."""

    key: Key
    json: str
    span: Span

    def text(self, now: float) -> str:
        """Put it as an exchange has it, with the time as it is then.

        Args:
            now: the time, by the same clock.

        Returns:
            JSON.
        """
        took, ended = self.span
        return f'{self.json[:-1]}, "took": {took:.6f}, "ago": {now - ended:.6f}}}'


def success(task: Task, output: Json, span: Span) -> Told:
    """Report an attempt as done.

    Args:
        task: the task.
        output: what came of it, or None.
        span: its time.

    Returns:
        the report.

    Raises:
        InvalidArgumentError: the output is no JSON value, or too long to be kept.
    """
    told = _told(task, "done", span)
    if output is None:
        return told
    return Told(told.key, f'{told.json[:-1]}, "output": {_encoded(output, task)}}}', span)


def failure(task: Task, error: BaseException, span: Span) -> Told:
    """Report an attempt as failed.

    Args:
        task: the task.
        error: what its function raised.
        span: its time.

    Returns:
        the report, with the traceback from the function on.
    """
    trace = error.__traceback__
    inner = trace.tb_next if trace is not None else None  # without our own frame
    lines = traceback.format_exception(type(error), error, inner)
    text = "".join(lines)[-MOST_ERROR:]
    return _told(task, "failed", span, error=text, exitCode=_exit_code(error))


def not_begun(key: Key) -> Told:
    """Give a task back that was kept ahead.

    Args:
        key: the task's number and the attempt's.

    Returns:
        the report.
    """
    body = {"task": key[0], "attempt": key[1], "status": "released"}
    return Told(key, json.dumps(body), (0.0, time.monotonic()))


def refused(report: Told, reason: str) -> Told:
    """Report an attempt as failed whose true report the server does not take.

    Args:
        report: the true one.
        reason: why.

    Returns:
        the report.
    """
    error = f"The server refused the report of this attempt: {reason}"[:MOST_ERROR]
    key = report.key
    body = {"task": key[0], "attempt": key[1], "status": "failed", "error": _valid(error)}
    return Told(key, json.dumps(body), report.span)


def _told(
    task: Task, status: str, span: Span, error: str | None = None, exitCode: int | None = None
) -> Told:
    key = (task.number, task.attempt)
    body: dict[str, object] = {"task": key[0], "attempt": key[1], "status": status}
    if status == "failed" and task.percent:
        body["percentCompleted"] = task.percent
    log = task.log_tail
    if log is not None:
        body["log"] = _valid(log)
    if error is not None:
        body["error"] = _valid(error)
    if exitCode is not None:
        body["exitCode"] = exitCode
    return Told(key, json.dumps(body), span)


def _valid(text: str) -> str:
    """Replace what UTF-8 cannot hold: names of files in a traceback may have it."""
    return text.encode(errors="replace").decode()


def _encoded(output: Json, task: Task) -> str:
    try:
        text = json.dumps(output, allow_nan=False, default=plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"The output of task {task.number} cannot be sent as JSON: {error}. Return numbers, "
            "strings, lists and dictionaries, or write a file and return its path."
        ) from None
    if len(text) > MOST_OUTPUT:
        size = len(json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")))
        if size > MOST_OUTPUT:
            raise InvalidArgumentError(
                f"The output of task {task.number} has {size} characters, and {MOST_OUTPUT} at "
                "most are kept. Write it to a file and return its path."
            )
    return text


def _exit_code(error: BaseException) -> int | None:
    """The exit code that an exception speaks of, if it does."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return error.returncode if isinstance(error, subprocess.CalledProcessError) else None
