"""How PostgreSQL stores the tables that came with the exchange."""

from importlib import import_module
from typing import Any

from django.db import migrations

names = import_module("runs.migrations.0002_postgresql_storage").names

# Inputs are written once; a sweep lock is one row, rewritten every few seconds.
STORAGE = {
    "runs_taskinput": "autovacuum_vacuum_insert_scale_factor = 0.05",
    "runs_runevent": "autovacuum_vacuum_insert_scale_factor = 0.2",
    "runs_failuretally": (
        "fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500"
    ),
    "runs_sweeplock": (
        "fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200"
    ),
}


def tune(apps: Any, schema_editor: Any) -> None:
    """Set the storage options where the database is PostgreSQL."""
    if schema_editor.connection.vendor == "postgresql":
        for table, options in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} SET ({options})")


def reset(apps: Any, schema_editor: Any) -> None:
    """Back to the server's defaults."""
    if schema_editor.connection.vendor == "postgresql":
        for table, options in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({names(options)})")


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_exchange_and_policy")]
    operations = [migrations.RunPython(tune, reset)]
