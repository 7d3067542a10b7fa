"""Everything that the client raises.

::

    TaskFarmError (a RuntimeError)
    ├── ConfigurationError          address, credentials or configuration file
    ├── InvalidArgumentError        a value that no server would take (also a ValueError)
    ├── ServerUnreachableError      the server did not answer within the patience
    ├── AnswerLostError             sent, not answered: done or not, nobody knows
    ├── WorkerDiedError             worker processes were killed again and again
    └── ResponseError               the server answered, and it was no
        ├── BadRequestError         400: a value is wrong
        ├── AuthenticationError     401: user, password or token refused
        ├── PermissionDeniedError   403: not for this user
        ├── NotFoundError           404: no such run, task, worker or information
        ├── ConflictError           409: not in the present state of the run or task
        ├── TooLargeError           413: more data than the server takes
        ├── ThrottledError          429: too many calls
        ├── ServerUnavailableError  502, 503, 504: the server is away for now
        ├── ServerError             any other 5xx: a fault of the server
        └── UnexpectedAnswerError   not an answer of a Taskfarm server

All of them can be pickled, since worker pools send exceptions from process to process.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence


def join(*sentences: str) -> str:
    """Put sentences together.

    Args:
        sentences: each may be empty, or lack its full stop.

    Returns:
        one line of text.
    """
    text = ""
    for sentence in filter(None, sentences):
        gap = "" if not text else " " if text[-1] in ".?!" else ". "
        text += gap + sentence
    return text


def full(error: OSError) -> bool:
    """Tell whether what is printed has nowhere to go: a disk, a share of it, or a file is full.

    Args:
        error: what the system said.

    Returns:
        whether.
    """
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and not error.filename


def tell(error: BaseException, text: str) -> None:
    """Add to what an error says, whatever its class: to the message of ours, as a note to others.

    Args:
        error: any.
        text: what else its reader should know.
    """
    if isinstance(error, TaskFarmError):
        error.append(text)
    else:  # as `add_note` does, which Python 3.9 and 3.10 lack
        error.__dict__.setdefault("__notes__", []).append(text)


def told(error: BaseException) -> list[str]:
    """What has been added to an error of another class than ours.

    Args:
        error: any.

    Returns:
        sentences.
    """
    return list(getattr(error, "__notes__", ()))


class TaskFarmError(RuntimeError):
    """Base of all errors of the client; its text says what was wrong and what to do."""

    def append(self, text: str) -> None:
        """Add to the message.

        Args:
            text: what else the reader should know; may be empty.
        """
        self.args = (join(str(self), text),)


class ConfigurationError(TaskFarmError):
    """The address, the credentials or the configuration file cannot be used."""


class InvalidArgumentError(TaskFarmError, ValueError):
    """An argument has a value that no server would accept; nothing was sent."""


class ServerUnreachableError(TaskFarmError):
    """The server could not be reached, or did not answer, for as long as patience lasted."""


class AnswerLostError(TaskFarmError):
    """A call was sent but its answer never came, and repeating it blindly is not safe."""


class WorkerDiedError(TaskFarmError):
    """Worker processes were killed, or crashed, more often than they are replaced."""


class ResponseError(TaskFarmError):
    """The server answered with an error.

    Attributes:
        status: the HTTP status, for example 404.
        code: the server's short name for the error, or "" when it gave none.
        detail: the server's explanation.
        errors: for bad input, what is wrong with each field.
        retry_after: seconds that the server asks to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        detail: str = "",
        errors: Mapping[str, Sequence[str]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep the server's answer beside the message.

        Args:
            message: the full text for a person.
            status: the HTTP status.
            code: the server's short name for the error.
            detail: the server's explanation.
            errors: what is wrong with each field.
            retry_after: seconds that the server asks to wait.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = dict(errors or {})
        self.retry_after = retry_after


class BadRequestError(ResponseError):
    """A value in the call is wrong (400); `errors` says which. Nothing was changed."""


class AuthenticationError(ResponseError):
    """User, password or token was refused (401)."""


class PermissionDeniedError(ResponseError):
    """The user may not do this (403)."""


class NotFoundError(ResponseError):
    """There is no such run, task, worker or information, or the user may not see it (404)."""


class ConflictError(ResponseError):
    """The run, task or worker is in a state that does not allow this (409)."""


class TooLargeError(ResponseError):
    """The call carries more data than the server takes (413)."""


class ThrottledError(ResponseError):
    """Too many calls (429); `retry_after` says when to come back."""


class ServerUnavailableError(ResponseError):
    """The server is away for now (502, 503, 504) and stayed so while patience lasted."""


class ServerError(ResponseError):
    """The server has failed (any other 5xx); the fault is not in the call."""


class UnexpectedAnswerError(ResponseError):
    """The answer is not one that a Taskfarm server gives; the address may be wrong."""
