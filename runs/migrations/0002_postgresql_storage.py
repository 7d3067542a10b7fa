"""How PostgreSQL stores the hot tables: room for updates in place, and vacuum in good time."""

from typing import Any

from django.db import migrations

# fillfactor leaves room on each page, so that an update can stay there (HOT: no index is touched).
# A scale factor of 0.2, the default, would let two million dead rows pile up in a run of ten
# million before the first vacuum; here it comes after some ten thousand changes.
HOT = "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000"
STORAGE = {
    "runs_task": f"fillfactor = 85, {HOT}, autovacuum_analyze_scale_factor = 0.02",
    "runs_attempt": "autovacuum_vacuum_insert_scale_factor = 0.05",
    # A handful of rows, each rewritten all the time.
    "runs_tally": "fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "runs_throughput": "fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000",
    "runs_run": "fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500",
    "runs_worker": "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500",
}


def names(options: str) -> str:
    """The option names alone, as RESET wants them."""
    return ", ".join(option.split(" = ")[0] for option in options.split(", "))


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
    dependencies = [("runs", "0001_tables")]
    operations = [migrations.RunPython(tune, reset)]
