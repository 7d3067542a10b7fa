"""System checks: what a user can get wrong in the settings, said by ``manage.py check``.

Each has an id, a sentence on what is wrong, and a hint on what to do; the reference of the settings
in ``docs/`` lists them.
"""

import sqlite3
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

OLDEST_SQLITE = (3, 35, 0)
OLDEST_POSTGRESQL = 14_00_00


@register(Tags.database)
def check_sqlite(**_: Any) -> list[CheckMessage]:
    """SQLite must know RETURNING, which claims are made of."""
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine.endswith("sqlite3") and sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return [
            Error(
                f"SQLite {sqlite3.sqlite_version} is too old: claims need 3.35 or newer.",
                hint="Use a newer Python, or PostgreSQL: DATABASE_URL=pgserver:///directory.",
                id="taskfarm.E001",
            )
        ]
    return []


@register(Tags.database)
def check_postgresql(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """PostgreSQL must be new enough; asked only where the database may be asked (``migrate``)."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SHOW server_version_num")
                version = int(cursor.fetchone()[0])
            if version < OLDEST_POSTGRESQL:
                found.append(
                    Error(
                        f"PostgreSQL {version // 10000} is too old: the farm needs 14 or newer.",
                        hint="Upgrade the server, or use DATABASE_URL=pgserver:///directory.",
                        id="taskfarm.E002",
                    )
                )
    return found


@register(Tags.security, deploy=True)
def check_database_fits_production(**_: Any) -> list[CheckMessage]:
    """SQLite is for a laptop or a trial."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return [
            Warning(
                "SQLite serves one machine and one writer at a time.",
                hint="Set DATABASE_URL=postgresql://user:password@host/name for production.",
                id="taskfarm.W001",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_hosts(**_: Any) -> list[CheckMessage]:
    """A farm for others must say under which names it is reached, and no more."""
    if settings.LOCAL_ONLY:
        return [
            Warning(
                "ALLOWED_HOSTS is not set: the farm answers only to this machine.",
                hint="Set ALLOWED_HOSTS=farm.example.org, and SECRET_KEY with it.",
                id="taskfarm.W002",
            )
        ]
    if "*" in settings.ALLOWED_HOSTS:
        return [
            Warning(
                "ALLOWED_HOSTS=* lets anybody choose the name that links are built with.",
                hint="List the names under which the farm is reached.",
                id="taskfarm.W003",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_proxy(**_: Any) -> list[CheckMessage]:
    """HTTPS ends at a proxy, so the farm must know that there is one."""
    if settings.HTTPS and not settings.PROXIES:
        return [
            Warning(
                "TASKFARM_HTTPS=1 without TASKFARM_PROXIES: every request looks like plain HTTP "
                "and is redirected for ever.",
                hint="Set TASKFARM_PROXIES to the number of proxies in front, usually 1.",
                id="taskfarm.W004",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_metrics(**_: Any) -> list[CheckMessage]:
    """Behind a proxy that tells nothing of its callers, all of them look local."""
    local = any(network.is_loopback for network in settings.TASKFARM_METRICS_ALLOW)
    if local and not settings.PROXIES and not settings.TASKFARM_METRICS_TOKEN:
        return [
            Warning(
                "TASKFARM_METRICS_ALLOW has this machine, and TASKFARM_PROXIES is 0: behind a "
                "proxy on this machine anybody may look like it.",
                hint="Set TASKFARM_PROXIES, or TASKFARM_METRICS_TOKEN.",
                id="taskfarm.W006",
            )
        ]
    return []


@register(Tags.staticfiles, deploy=True)
def check_static_files(**_: Any) -> list[CheckMessage]:
    """In production static files are collected, hashed and cached."""
    if not settings.COLLECTED:
        return [
            Warning(
                "Static files have not been collected.",
                hint="Run manage.py collectstatic.",
                id="taskfarm.W005",
            )
        ]
    return []
