"""Statements that PostgreSQL parses and plans once for each connection, not once for each call.

A worker's calls are a few short statements each; to parse and plan one takes PostgreSQL as long as
to execute it. psycopg2 knows no prepared statements, so they are prepared and executed by SQL:
https://www.postgresql.org/docs/current/sql-prepare.html. SQLite's driver keeps its own.

A plan that is kept was made for tables as they were then, and tables grow. While one is tiny,
reading all of it costs least, or an index that does not lead to the row. So only statements are
prepared that find their rows by a unique key, and none of their plans reads a whole table.

A pooler that gives each transaction another connection (PgBouncer in that mode) knows nothing of
them. The first statement that is missed there ends their use in this process; so they are used only
where that does no harm: outside of transactions, and in those that are begun again.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from django.db import Error, connection

MISSED = {"26000", "42P05", "0A000"}
"""PostgreSQL's codes for invalid_sql_statement_name, duplicate_prepared_statement, and
feature_not_supported: a column has become one of another type since."""

log = logging.getLogger(__name__)
_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_trusted = True


class Prepared(str):
    """A statement of a frequent call that finds its rows by a unique key, in the shared words."""

    __slots__ = ()


class _Here(threading.local):
    """Whether this thread's transaction is begun again if a statement is missed."""

    begun_again = False


_here = _Here()


@contextmanager
def begun_again() -> Iterator[None]:
    """Transactions in here are begun again by the caller if a statement is missed."""
    _here.begun_again = True
    try:
        yield
    finally:
        _here.begun_again = False


def usable() -> bool:
    """Whether a prepared statement can be used here and now."""
    if not _trusted or connection.vendor != "postgresql":
        return False
    return _here.begun_again or not connection.in_atomic_block


def ready(sql: str) -> str:
    """Prepare the statement on this connection, if it is not; answers what executes it."""
    name, prepare, execute = in_words(sql)
    session = connection.connection
    known = _known.setdefault(session, set())
    if name not in known:
        with connection.wrap_database_errors, session.cursor() as cursor:
            cursor.execute(prepare)
        known.add(name)
    return execute


@cache
def in_words(sql: str) -> tuple[str, str, str]:
    """The statement's name, and the words that prepare it and that execute it."""
    places = sql.replace("%%", "").count("%s")
    body = sql % tuple(f"${place + 1}" for place in range(places))
    name = f"taskfarm_{sha256(body.encode()).hexdigest()[:16]}"
    values = ", ".join(["%s"] * places)
    execute = f"SET LOCAL enable_seqscan = off; EXECUTE {name} ({values})"
    return name, f"PREPARE {name} AS {body}", execute


def missed(error: Error) -> bool:
    """Whether a prepared statement was not there, or no longer fit; if so, the last time."""
    global _trusted
    if getattr(error.__cause__, "pgcode", None) not in MISSED:
        return False
    if _trusted:
        log.warning("No prepared statements from here on: %s", error)
    _trusted = False
    return True
