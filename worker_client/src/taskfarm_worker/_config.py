"""Where the client finds its server, its credentials and its patience.

Sources, first to last: the arguments, the environment (`TASKFARM_URL`, `TASKFARM_USER`,
`TASKFARM_PASSWORD`, `TASKFARM_TOKEN`), the configuration file. The address comes from the first
source that has one. Password and token come from the first source that has either, and always
from one source only: a token in the environment never stands in for a password in an argument,
and a password in the file never renews somebody else's token.
"""

from __future__ import annotations

import configparser
import logging
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ._errors import ConfigurationError

log = logging.getLogger("taskfarm_worker")

KEYS = ("url", "user", "password", "token")


class DefaultURL(str):
    """The documented default address, told from the same text passed by a caller by its type.

    Without this the default of `url_base` would hide `TASKFARM_URL` from everybody who leaves
    the argument out, or an explicit address would lose against the environment.
    """

    __slots__ = ()


DEFAULT_URL: str = DefaultURL("http://localhost:5000/api/")


@dataclass(frozen=True)
class Source:
    """What one place says; None where it says nothing."""

    label: str
    url: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Credentials:
    """Who calls: a user with a password, a token, or both; and where that was found."""

    user: str | None
    password: str | None = field(repr=False)
    token: str | None = field(repr=False)
    label: str

    @property
    def can_renew(self) -> bool:
        """Whether a new token can be fetched when the present one ends."""
        return self.user is not None and self.password is not None


@dataclass(frozen=True)
class Settings:
    """The outcome: one address, and credentials if any were found."""

    url: str
    user: str | None
    credentials: Credentials | None


def resolve(
    url: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
) -> Settings:
    """Combine the arguments with the environment and the configuration file.

    The file is only opened when the other two leave something out, so that a complete set of
    arguments works however the file looks.

    Args:
        url: the address given by the caller; None or `DEFAULT_URL` when there was none.
        user: the user name given by the caller.
        password: the password given by the caller.
        token: the token given by the caller.

    Returns:
        the address, made right, and the credentials if there are any.

    Raises:
        ConfigurationError: the address or the configuration file cannot be used.
    """
    if isinstance(url, DefaultURL):
        url = None
    sources = [Source("the arguments", url, user, password, token), _environment()]
    if not (_first_url(sources) and _credentials(sources)):
        sources.append(_config_file())
    origin = _first_url(sources) or Source("the default", DEFAULT_URL)
    return Settings(
        url=normalise_url(origin.url or DEFAULT_URL, origin.label),
        user=_first_user(sources),
        credentials=_credentials(sources),
    )


def patience(given: float | None, default: float) -> float:
    """Find for how long failing calls are repeated.

    Args:
        given: the argument of the caller in seconds, or None.
        default: seconds when neither the argument nor `TASKFARM_PATIENCE` is set.

    Returns:
        seconds, zero or more; infinite is allowed.

    Raises:
        ConfigurationError: the value is not a number of seconds.
    """
    text = os.environ.get("TASKFARM_PATIENCE", "").strip()
    value: float | str = given if given is not None else text or default
    origin = "patience" if given is not None else "TASKFARM_PATIENCE"
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not seconds >= 0:
        raise ConfigurationError(
            f"{origin} is {value!r}; it must be a number of seconds, zero or more."
        )
    return seconds


def normalise_url(url: str, label: str) -> str:
    """Turn the address of a server into the base address of its API.

    Args:
        url: for example `http://host:5000`, `http://host:5000/api` or `https://host/farm/api/`.
        label: where the address was found, for the error message.

    Returns:
        the address ending in `/api/`.

    Raises:
        ConfigurationError: the address has no http(s) scheme, or carries a password or a query.
    """
    if "@" in url:  # never echo it: it is about to be logged by somebody
        raise ConfigurationError(
            f"The address from {label} carries a user name or password. Take it out: addresses "
            "end up in logs. Use TASKFARM_USER and TASKFARM_PASSWORD or the configuration file."
        )
    parts = _split(url.strip())
    if parts is None or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} from {label} is not the address of a server. It should look like "
            f"{str(DEFAULT_URL)!r}, with http:// or https:// in front."
        )
    path = parts.path.rstrip("/")
    if "api" not in path.split("/"):
        path += "/api"
    return urlunsplit((parts.scheme, parts.netloc, path + "/", "", ""))


def _split(url: str) -> SplitResult | None:
    """Split an http(s) address with a host and a sane port; None for anything else."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return None
    return parts if valid else None


def _first_url(sources: Sequence[Source]) -> Source | None:
    return next((source for source in sources if source.url), None)


def _first_user(sources: Sequence[Source]) -> str | None:
    return next((source.user for source in sources if source.user), None)


def _credentials(sources: Sequence[Source]) -> Credentials | None:
    """Take password and token from the first source that has either, for the chosen user.

    A source that names another user is passed over: its password belongs to that user.
    """
    user = _first_user(sources)
    for source in sources:
        if source.user and source.user != user:
            continue
        password = source.password if user is not None else None
        if source.token or password is not None:
            return Credentials(user, password, source.token, source.label)
    return None


def _environment() -> Source:
    values = {key: os.environ.get(f"TASKFARM_{key.upper()}") or None for key in KEYS}
    return Source("the environment (TASKFARM_…)", **values)


def config_path() -> tuple[str, bool]:
    """Find the configuration file.

    Returns:
        its path, and whether `TASKFARM_CONFIG` asked for it (so that it has to exist).
    """
    chosen = os.environ.get("TASKFARM_CONFIG")
    if chosen:
        return os.path.expanduser(chosen), True
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG specification says to ignore relative ones
        base = os.path.expanduser("~/.config")
    return os.path.join(base, "taskfarm", "config.ini"), False


def _config_file() -> Source:
    """Read the configuration file; an absent one says nothing.

    A default path that cannot even be looked at (a HOME that belongs to somebody else, as in
    many containers) counts as absent. `TASKFARM_CONFIG=/dev/null` means: no file.
    """
    path, demanded = config_path()
    nothing = Source(f"the file {path}")
    if path == os.devnull:
        return nothing
    try:
        os.stat(path)
    except OSError as error:
        if demanded:
            raise ConfigurationError(
                f"TASKFARM_CONFIG names {path}, which cannot be read: {error.strerror}."
            ) from error
        return nothing
    try:
        with open(path, encoding="utf-8") as file:
            _refuse_shared(file, path)
            return _parse(file, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error


def _refuse_shared(file: TextIO, path: str) -> None:
    """Refuse a file that others can read or could have written; it may hold a password."""
    if os.name != "posix":
        return
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path} belongs to another user (uid {status.st_uid}) and is not used. "
            "Make a copy of your own, or let TASKFARM_CONFIG name another file."
        )
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode) or mode & 0o077:
        raise ConfigurationError(
            f"{path} can be used by others (mode {mode:04o}) and may hold a password. "
            f"Run: chmod 600 {path}"
        )


def _parse(file: TextIO, path: str) -> Source:
    """Read the section [taskfarm]; errors never quote a line, since it may be the password."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_file(file)
    except (configparser.Error, UnicodeDecodeError) as error:
        where = f" (line {error.lineno})" if hasattr(error, "lineno") else ""
        raise ConfigurationError(f"{path} is not a valid INI file{where}.") from None
    if not parser.has_section("taskfarm"):
        raise ConfigurationError(f"{path} has no section [taskfarm].")
    section = parser["taskfarm"]
    for key in section:
        if key not in KEYS:
            log.warning("%s: unknown key %r; known are %s.", path, key, ", ".join(KEYS))
    return Source(f"the file {path}", **{key: section.get(key) or None for key in KEYS})
