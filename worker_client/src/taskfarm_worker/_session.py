"""The one class that does everything over the wire.

Rules of repetition, in one place:

- Every call is repeated after 429 and 503, and when no connection came about: in these cases the
  server has done nothing.
- When a call may have been carried out but its answer is lost (timeout, broken connection, 502,
  504), it depends on the call: see `Repeat`.
- A call that is answered by 401 is repeated once with a new token, if there is a password.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import platform
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Union

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from . import _config, _retry, _transport
from ._answers import error_from, member, retry_after
from ._closing import Closing
from ._errors import (
    AnswerLostError,
    ConfigurationError,
    InvalidArgumentError,
    ResponseError,
    ServerUnreachableError,
    TaskFarmError,
    join,
)
from ._version import __version__

log = logging.getLogger("taskfarm_worker")

SHORT_PATIENCE = 30.0
"""Seconds: for people and scripts, who want to hear soon that a server is away."""

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
SLOW_READ_TIMEOUT = 600.0
"""Seconds for the calls whose work grows with the run: create, restart, delete."""

IDLE_LIMIT = 15.0
"""Seconds after which a kept connection is not trusted any more: servers, proxies and firewalls
drop idle ones, and a call sent into a dead one is a call whose fate is unknown."""

Timeout = Union[float, tuple[float, float]]


class Repeat(Enum):
    """What to do when a call may have been carried out but its answer is lost."""

    FREELY = "twice is as good as once"
    NEVER = "twice does harm, so the caller has to look"
    AT_A_PRICE = "twice costs something, but less than giving up"


IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True)
class Call:
    """One call to the server.

    Attributes:
        method: the HTTP method.
        path: below the base address, for example "runs".
        params: query parameters.
        body: the JSON object to send.
        content: JSON that is encoded already, in place of `body`.
        stream: leave the body of the answer to be read bit by bit; its reader must close it.
        repeat: what to do when the answer is lost.
        doubt: what may have happened then, and what to do about it; for the error message.
        already: the status and code by which a repeated call learns that the lost one was
            carried out; an empty code stands for any.
        slow: whether the work of the server grows with the size of the run.
        within: seconds for which an answer is waited for at most; a second at least.
    """

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Mapping[str, object] | None = None
    content: bytes | None = None
    stream: bool = False
    repeat: Repeat | None = None
    doubt: str = ""
    already: tuple[int, str] | None = None
    slow: bool = False
    within: float = math.inf

    @property
    def repeated(self) -> Repeat:
        """The rule for this call: as stated, or as the method implies."""
        implied = Repeat.FREELY if self.method in IDEMPOTENT else Repeat.NEVER
        return self.repeat or implied


@dataclass(frozen=True)
class Trouble:
    """Why a try failed, and what that allows.

    Attributes:
        error: what to raise when there is no further try.
        passing: whether a later try may succeed.
        doubtful: whether the server may have carried the call out all the same.
        wait: seconds that the server asks to wait, or None.
        advice: what a person can do about it in the end.
        response: the answer, if there was one.
    """

    error: TaskFarmError
    passing: bool = False
    doubtful: bool = False
    wait: float | None = None
    advice: str = ""
    response: requests.Response | None = None

    def means(self, already: tuple[int, str] | None) -> bool:
        """Tell whether this answer is the stated status and code (an empty code: any)."""
        if already is None or not isinstance(self.error, ResponseError):
            return False
        status, code = already
        return self.error.status == status and code in ("", self.error.code)


def token_auth(token: str) -> HTTPBasicAuth:
    """Make the credentials of a token: the user of HTTP Basic, which taskfarm 0.4.0 takes, too.

    Args:
        token: as the server gave it.

    Returns:
        what requests wants as `auth`; given so, no ~/.netrc overrides the header.
    """
    return HTTPBasicAuth(token, "")


class _PerProcess:
    """What must not be shared with a forked child: the sockets and the lock."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.last_used = 0.0
        self.http = requests.Session()
        self.http.headers["User-Agent"] = (
            f"taskfarm-worker/{__version__} (Python {platform.python_version()}; "
            f"{platform.system()}) {requests.utils.default_user_agent()}"
        )


class ServerSession(Closing):
    """Talks to one server as one user: connections, token, timeouts, repetitions, errors.

    Threads may share one. So may processes, by fork or pickle: each opens connections of its
    own. The pickled form carries the credentials; keep it off the disk.
    """

    def __init__(
        self,
        settings: _config.Settings,
        *,
        timeout: Timeout | None = None,
        patience: float = SHORT_PATIENCE,
        clock: _retry.Clock | None = None,
    ) -> None:
        """Prepare; nothing is sent before the first call.

        Args:
            settings: the address and the credentials.
            timeout: seconds to connect and to wait for an answer, one number or two; by default
                10 and 60, and 600 for an answer to creating, restarting and deleting runs.
            patience: seconds for which a failing call is repeated.
            clock: where time comes from, for tests.

        Raises:
            ConfigurationError: there are no credentials, or the token cannot be one.
            InvalidArgumentError: the timeout is not a number of seconds above zero.
        """
        if settings.credentials is None:
            raise ConfigurationError(
                f"No password or token for the Taskfarm server at {settings.url}. Pass username "
                "and password, or set TASKFARM_USER and TASKFARM_PASSWORD (or TASKFARM_TOKEN), "
                f"or write them to {_config.config_path()[0]} (mode 0600), as 'taskfarm login' "
                "does."
            )
        self.url_base = settings.url
        self.patience = patience
        self._credentials = settings.credentials
        self._token = _check_token(settings.credentials)
        self._timeout = _check_timeout(timeout)
        self._clock = clock or _retry.SYSTEM_CLOCK
        self._own = _PerProcess()

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to this process."""
        return {key: value for key, value in self.__dict__.items() if key != "_own"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start with connections of one's own."""
        self.__dict__.update(state)
        self._own = _PerProcess()

    @property
    def http(self) -> requests.Session:
        """The connections of this process."""
        return self._here().http

    @property
    def token(self) -> str:
        """The token, fetched with the password when there is none yet."""
        if not self._token:
            self._renew(spent="")
        return self._token

    @property
    def user(self) -> str | None:
        """The name of the user, where it is known: a token alone does not tell."""
        return self._credentials.user

    def impatient(self, *, sharing: bool = False, timeout: Timeout | None = None) -> ServerSession:
        """Make a copy that tries each call once.

        Args:
            sharing: use the connections of this one, in place of others.
            timeout: seconds to wait for an answer, in place of what this one waits.

        Returns:
            the copy, for a caller that repeats calls by rules of its own.
        """
        copied = copy.copy(self)
        copied.patience = 0.0
        copied._timeout = _check_timeout(timeout) or self._timeout
        if sharing:
            copied._own = self._here()
        return copied

    @property
    def clock(self) -> _retry.Clock:
        """Where time comes from."""
        return self._clock

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self.http.close()

    def url(self, path: str) -> str:
        """Give the full address of a call.

        Args:
            path: below the base address.

        Returns:
            the base address with the path behind it.
        """
        return self.url_base + path

    def call(self, call: Call) -> requests.Response:
        """Make a call, and repeat it as far as that is safe and patience lasts.

        Args:
            call: what to do.

        Returns:
            the answer, a success; or, for a repeated call, an error which says that the lost
            try before it was carried out (`Call.already`).

        Raises:
            ResponseError: the server refused.
            ServerUnreachableError: no answer within the patience.
            AnswerLostError: the answer is lost, and the call must not be repeated.
            InvalidArgumentError: the body cannot be sent as JSON.
        """
        return self._persist(call, None)

    def _persist(self, call: Call, auth: AuthBase | None) -> requests.Response:
        """Try until there is an answer. `auth` None stands for the token."""
        retrying = _retry.Retrying(self.patience, self._clock)
        in_doubt = False
        while True:
            outcome = self._try(call, auth)
            if isinstance(outcome, requests.Response):
                retrying.succeeded(f"{call.method} {self.url(call.path)}")
                return outcome
            if in_doubt and outcome.response is not None and outcome.means(call.already):
                return outcome.response
            in_doubt = in_doubt or outcome.doubtful
            self._wait_or_raise(call, outcome, retrying, in_doubt)

    def _wait_or_raise(
        self, call: Call, trouble: Trouble, retrying: _retry.Retrying, in_doubt: bool
    ) -> None:
        """Wait for the next try, or raise when there is none."""
        error = trouble.error
        told = join(str(error), call.doubt) if trouble.doubtful else str(error)
        if trouble.doubtful and call.repeated is Repeat.NEVER:
            raise AnswerLostError(told)
        if trouble.passing and retrying.wait(told, trouble.wait):
            return
        if retrying.failures > 1:
            error.append(f"Given up after {retrying.failures} tries in {retrying.elapsed:.0f} s.")
        error.append(trouble.advice)
        if in_doubt:
            error.append(call.doubt)
        raise error

    def _try(self, call: Call, auth: AuthBase | None) -> requests.Response | Trouble:
        """Send once (twice if the token had ended) and judge what comes back."""
        try:
            response = self._send(call, auth) if auth else self._send_with_token(call)
        except requests.RequestException as error:
            return self._transport_trouble(call, error)
        if 200 <= response.status_code < 300:
            return response
        return self._answer_trouble(call, response, auth)

    def _send_with_token(self, call: Call) -> requests.Response:
        """Send with the token; when it is refused, once more with a new one.

        A refused call was not carried out, so that this is safe for every method.
        """
        token = self.token
        response = self._send(call, token_auth(token))
        if response.status_code == 401 and self._renew(spent=token):
            response = self._send(call, token_auth(self._token))
        return response

    def _send(self, call: Call, auth: AuthBase) -> requests.Response:
        own = self._here()
        now = self._clock.now()
        if now - own.last_used > IDLE_LIMIT:
            own.http.close()
        own.last_used = now
        body = call.content if call.body is None else _encode(call.body)
        return own.http.request(
            call.method,
            self.url(call.path),
            params=call.params,
            data=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
            auth=auth,
            timeout=self._timeout_for(call),
            allow_redirects=False,
            stream=call.stream,
        )

    def _renew(self, spent: str) -> bool:
        """Fetch a token with the password.

        Args:
            spent: the token that was refused; when another thread has replaced it meanwhile,
                nothing is left to do.

        Returns:
            False when there is no password to do it with.
        """
        credentials = self._credentials
        if credentials.user is None or credentials.password is None:
            return False
        with self._here().lock:
            if self._token == spent:
                # Bytes, since requests would encode text as Latin-1 and fail on the rest.
                user, password = credentials.user.encode(), credentials.password.encode()
                answer = self._persist(Call("GET", "token"), HTTPBasicAuth(user, password))
                self._token = str(member(answer, "token"))
        return True

    def _here(self) -> _PerProcess:
        """What belongs to this process; a forked child must not write into its parent's socket."""
        if self._own.pid != os.getpid():
            self._own = _PerProcess()
        return self._own

    def _timeout_for(self, call: Call) -> tuple[float, float]:
        usual = SLOW_READ_TIMEOUT if call.slow else READ_TIMEOUT
        connect, read = self._timeout or (CONNECT_TIMEOUT, usual)
        most = max(1.0, call.within)
        return min(connect, most), min(read, most)

    def _transport_trouble(self, call: Call, error: requests.RequestException) -> Trouble:
        """Judge what requests raised.

        It goes to the log, not into the chain of causes: the four nested errors of the HTTP
        libraries would bury the one line that matters in the output of a batch job.
        """
        log.debug("%r", error)
        reason = _transport.describe(error, self._timeout_for(call))
        return Trouble(
            ServerUnreachableError(f"{call.method} {self.url(call.path)}: {reason}"),
            passing=_transport.worth_repeating(error),
            doubtful=_transport.worth_repeating(error) and not _transport.never_left(error),
            advice="Check the address (url_base, TASKFARM_URL), and that the server is running.",
        )

    def _answer_trouble(
        self, call: Call, response: requests.Response, auth: AuthBase | None
    ) -> Trouble:
        status = response.status_code
        hint = self._refusal_hint(auth) if status == 401 else ""
        error = error_from(response, sent=call.body, hint=hint)
        # A deletion may have begun, and the answer to any commit may be lost below the server, too.
        cut_short = call.already is not None and error.code == "unavailable"
        return Trouble(
            error,
            passing=status in (429, 502, 503, 504),
            doubtful=status in (502, 504) or cut_short,
            wait=retry_after(response) if status in (429, 503) else None,
            response=response,
        )

    def _refusal_hint(self, auth: AuthBase | None) -> str:
        """Say which credentials were refused, where they came from, and what to do."""
        who = self._credentials
        if auth is not None:
            return (
                f"The password of user {who.user!r} comes from {who.label}: "
                "check both, and that the account is active."
            )
        if who.can_renew:
            return f"Even a new token of user {who.user!r} is refused: is the account active?"
        return (
            f"The token from {who.label} has ended or is wrong, and there is no password to "
            "fetch a new one with. Give user and password, or a new token, as 'taskfarm login' "
            "gets."
        )


def _check_token(credentials: _config.Credentials) -> str:
    """Refuse what cannot be a token before an HTTP library quotes it in its own complaint."""
    token = (credentials.token or "").strip()
    if not token.isascii() or len(token.split()) > 1:
        raise ConfigurationError(
            f"The token from {credentials.label} holds blanks, line breaks or special letters; "
            "it must be copied whole, as one word."
        )
    return token


def _check_timeout(timeout: Timeout | None) -> tuple[float, float] | None:
    """Make two numbers of the caller's one or two, and refuse what requests would choke on."""
    if timeout is None:
        return None
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) != 2 or not all(isinstance(item, (int, float)) and item > 0 for item in pair):
        raise InvalidArgumentError(
            f"timeout is {timeout!r}; it must be seconds above zero: one number, or two for "
            "connecting and for answering."
        )
    return pair


def _encode(body: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, default=plain).encode()
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{body!r} cannot be sent as JSON: {error}.") from error


def plain(value: object) -> object:
    """Make a Python number of a NumPy one, which `json` does not know."""
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} is not a JSON type")
    return item()
