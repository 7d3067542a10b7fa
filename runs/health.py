"""How the database does: its size, what vacuum has left, who holds it up; and what is stuck."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection

from runs.dialect import as_datetime, fetch
from runs.models import Run, SweepLock

MOST_STUCK = 50

SIZES = """
SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup,
    GREATEST(last_vacuum, last_autovacuum)
FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname LIKE 'runs\\_%%'
ORDER BY 2 DESC LIMIT 50
"""
OLDEST = """
SELECT MAX(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - xact_start)), COUNT(*)
FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
"""
WHOLE = "SELECT pg_database_size(current_database()), current_setting('server_version')"


@dataclass(frozen=True)
class Table:
    """A table: bytes with its indexes, rows alive and dead (about), when it was last vacuumed."""

    name: str
    bytes: int
    live: int
    dead: int
    vacuumed: datetime | None

    @property
    def bloated(self) -> bool:
        """More dead rows than a healthy table has."""
        return self.dead > 10_000 and self.dead > self.live


@dataclass(frozen=True)
class Health:
    """What staff should know. ``oldest``: seconds of the oldest snapshot that others hold."""

    database: str
    bytes: int
    tables: list[Table]
    oldest: float | None
    sweeps: SweepLock | None
    stuck: list[Run]
    versions: dict[str, str]


def look() -> Health:
    """Ask the database about itself: five queries at most, none of which reads a table of tasks."""
    postgresql = connection.vendor == "postgresql"
    size, version = on_postgresql() if postgresql else on_sqlite()
    return Health(
        database="PostgreSQL" if postgresql else "SQLite",
        bytes=size,
        tables=read_tables() if postgresql else [],
        oldest=oldest_snapshot() if postgresql else None,
        sweeps=SweepLock.objects.first(),
        stuck=list(Run.objects.filter(unfinished=True).order_by("id")[:MOST_STUCK]),
        versions={"Django": django.get_version(), "database": version},
    )


def on_postgresql() -> tuple[int, str]:
    """Bytes and version."""
    size, version = fetch(WHOLE, [])[0]
    return int(size), str(version)


def on_sqlite() -> tuple[int, str]:
    """Bytes of the file, the log beside it included, and version."""
    name = str(settings.DATABASES["default"]["NAME"])
    files = [Path(name), Path(f"{name}-wal")]
    size = sum(file.stat().st_size for file in files if file.exists())
    return size, str(fetch("SELECT sqlite_version()", [])[0][0])


def read_tables() -> list[Table]:
    """The farm's tables, the largest first."""
    return [tell(row) for row in fetch(SIZES, [])]


def tell(row: tuple[Any, ...]) -> Table:
    """One table."""
    name, size, live, dead, vacuumed = row
    return Table(name, int(size), int(live), int(dead), as_datetime(vacuumed))


def oldest_snapshot() -> float | None:
    """Seconds since the oldest transaction began that holds a snapshot; None where none does."""
    seconds, holders = fetch(OLDEST, [])[0]
    return float(seconds) if holders and seconds is not None else None
