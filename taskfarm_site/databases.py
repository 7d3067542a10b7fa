"""From ``DATABASE_URL`` to Django's ``DATABASES``: SQLite, PostgreSQL, or PostgreSQL from PyPI."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.db import connection

# WAL lets readers go on while one writes; IMMEDIATE takes the write lock at BEGIN, so that a claim
# never reads what another claim is about to change; a waiting writer waits 30 s, then fails.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;",
}
HELP = "Use sqlite:///path, postgresql://user:password@host/name or pgserver:///directory."

OR_URL = "or set DATABASE_URL to another one."


def database(url: str, *, default: Path) -> dict[str, Any]:
    """Django's settings for one database.

    Args:
        url: ``DATABASE_URL``; empty means SQLite at ``default``.
        default: path of the SQLite file for an empty ``url``.

    Raises:
        ImproperlyConfigured: the URL is of no known kind or names no database.
    """
    if not url:
        return sqlite(default)
    parts = urlsplit(url)
    # sqlite:///relative and sqlite:////absolute, as SQLAlchemy and the published taskfarm spell it.
    path = unquote(parts.path)[1:] if parts.scheme == "sqlite" else unquote(parts.path)
    if parts.scheme == "sqlite" and path:
        return sqlite(Path(path))
    if parts.scheme in {"postgresql", "postgres", "postgresql+psycopg2"} and path.strip("/"):
        return postgresql(url)
    if parts.scheme == "pgserver" and path.strip("/"):
        return pgserver(Path(path), dict(parse_qsl(parts.query)))
    raise ImproperlyConfigured(f"DATABASE_URL={redact(url)!r} is not understood. {HELP}")


def no_connection(error: Exception) -> str | None:
    """What to tell where no connection to the database came about, or it broke; else None.

    Args:
        error: as Django raised it, with the driver's error as its cause.
    """
    cause = error.__cause__
    settings: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        if not getattr(cause, "sqlite_errorname", "").startswith("SQLITE_CANTOPEN"):
            return None
        where, advice = f"file {settings['NAME']}", "See that its folder is there, and yours,"
    else:
        # What the server itself refuses has a code; 08 and 57P are the ends of connections.
        if not (getattr(cause, "pgcode", None) or "08").startswith(("08", "57P")):
            return None
        where, advice = place(settings), "See that it runs and lets you in,"
    lines = [line for line in str(error).splitlines() if line.strip() and line[0] != "\t"]
    return f"No connection to the database {where}: {'; '.join(lines)}. {advice} {OR_URL}"


def no_table(error: Exception) -> str | None:
    """What to tell where the database lacks a table or a column that this farm has; else None."""
    cause = error.__cause__
    missing = getattr(cause, "pgcode", None) in ("42P01", "42703")
    if not missing and not str(error).startswith(("no such table", "no such column")):
        return None
    which = "it has no tables yet, or those of an earlier version"
    return f"The database is not ready: {which}. Type 'manage.py migrate' first."


def place(settings: dict[str, Any]) -> str:
    """Where a PostgreSQL is, without its password."""
    name, own = settings["NAME"], settings.get("PGSERVER")
    if own:
        return f"{name!r} in {own['directory']}"
    port = f", port {settings['PORT']}" if settings["PORT"] else ""
    return f"{name!r} at {settings['HOST'] or 'the local socket'}{port}"


def redact(url: str) -> str:
    """The URL without its password, fit for an error message or a log."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)


def sqlite(path: Path) -> dict[str, Any]:
    """SQLite in WAL mode: transactions begin IMMEDIATE, so claims are serial."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": dict(SQLITE_OPTIONS),
        "CONN_MAX_AGE": None,
    }


def postgresql(url: str) -> dict[str, Any]:
    """A PostgreSQL server; query parameters (sslmode, …) go to libpq as they are."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        # A folder in ?host= is a Unix socket, as in libpq's own URLs.
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
    }


def pgserver(directory: Path, options: dict[str, str]) -> dict[str, Any]:
    """The PostgreSQL that comes from PyPI, kept in ``directory``, started on demand."""
    return {
        "ENGINE": "taskfarm_site.pgserver",
        "NAME": options.pop("name", "taskfarm"),
        "USER": "postgres",
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
        "PGSERVER": {"directory": str(directory)},
    }
